//! FENCE against a model: random tokens of few owners over few registers and keys.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::server;

#[derive(Clone, Debug)]
enum Act {
    Set(u8),
    Get,
    Incr,
    Del,
}

#[derive(Clone, Debug)]
struct Op {
    /// The number of the token and its owner; `None`: the command comes without a fence.
    token: Option<(u64, &'static str)>,
    register: u8,
    key: u8,
    act: Act,
}

fn op() -> impl Strategy<Value = Op> {
    let owner = prop_oneof![Just(""), Just(":a"), Just(":b")];
    let act =
        prop_oneof![(0..9u8).prop_map(Act::Set), Just(Act::Get), Just(Act::Incr), Just(Act::Del)];
    let token = proptest::option::weighted(0.8, (0..6u64, owner));
    let fields = (token, 0..2u8, 0..3u8, act);
    fields.prop_map(|(token, register, key, act)| Op { token, register, key, act })
}

/// The data, registers included: the last key is the first register.
#[derive(Default)]
struct Model(BTreeMap<String, String>);

impl Model {
    fn run(&mut self, op: &Op) -> String {
        if let Some((number, owner)) = op.token {
            let register = format!("r{}", op.register);
            if let Some(refusal) = self.register(register, number, owner) {
                return refusal;
            }
        }
        let key = key(op);
        let old = self.0.get(&key).cloned();
        match op.act {
            Act::Set(value) => {
                self.0.insert(key, value.to_string());
                "OK".to_owned()
            }
            Act::Get => old.map_or_else(|| "(nil)".to_owned(), |old| format!("\"{old}\"")),
            Act::Incr => match old.as_deref().unwrap_or("0").parse::<i64>() {
                Ok(number) => {
                    self.0.insert(key, (number + 1).to_string());
                    format!("(integer) {}", number + 1)
                }
                Err(_) => "(error) ERR value is not an integer or out of range".to_owned(),
            },
            Act::Del => format!("(integer) {}", u8::from(self.0.remove(&key).is_some())),
        }
    }

    fn register(&mut self, register: String, number: u64, owner: &str) -> Option<String> {
        let token = format!("{number}{owner}");
        if let Some(newest) = self.0.get(&register) {
            let seen = newest.split(':').next().expect("a number");
            let seen: u64 = seen.parse().expect("a number");
            if number < seen {
                return Some(format!("(error) FENCED token {number} is older than {seen}"));
            }
            if number == seen && token != *newest {
                return Some(format!("(error) FENCED token {number} is another owner's"));
            }
        }
        self.0.insert(register, token);
        None
    }
}

fn key(op: &Op) -> String {
    if op.key == 2 { "r0".to_owned() } else { format!("k{}", op.key) }
}

fn line(op: &Op) -> String {
    let key = key(op);
    let command = match op.act {
        Act::Set(value) => format!("SET {key} {value}"),
        Act::Get => format!("GET {key}"),
        Act::Incr => format!("INCR {key}"),
        Act::Del => format!("DEL {key}"),
    };
    match op.token {
        Some((number, owner)) => format!("FENCE r{} {number}{owner} {command}", op.register),
        None => command,
    }
}

proptest! {
    #[test]
    fn every_reply_and_all_data_are_those_of_the_model(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let (mut ours, conn) = server();
        let mut model = Model::default();
        ours.log().start();
        for op in &ops {
            let line = line(op);
            let reply = ours.line(conn, &line).to_string();
            prop_assert_eq!(reply, model.run(op), "after {}", line);
        }
        let (mut copy, other) = server();
        let log = ours.log().take();
        copy.send(other, &log);
        prop_assert_eq!(copy.engine().digest(), ours.engine().digest());
        for (key, value) in &model.0 {
            let reply = ours.line(conn, &format!("GET {key}")).to_string();
            prop_assert_eq!(reply, format!("\"{value}\""));
        }
        let keys = ours.line(conn, "DBSIZE").to_string();
        prop_assert_eq!(keys, format!("(integer) {}", model.0.len()));
        ours.engine().check_invariants();
    }
}

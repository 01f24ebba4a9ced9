//! The same random clients on a real redis-server 7.0: what each client receives after each command
//! must be the same. Redis gives no order to the names of UNSUBSCRIBE without names nor to patterns
//! that match, and tells a publisher of its own message before the reply.

use orrery_engine::rng::Rng;
use orrery_engine::{ConnId, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;

const CLIENTS: usize = 4;
const STEPS: usize = 1500;
const NAMES: [&str; 9] = ["a", "b", "ab", "*", "a*", "?", "[ab]*", "", "\\*"];

struct Pair {
    ours: Server,
    our_clients: Vec<ConnId>,
    real_clients: Vec<RealClient>,
}

impl Pair {
    fn new(real: &RealRedis) -> Self {
        let mut ours = Server::default();
        let our_clients = (0..CLIENTS).map(|_| ours.connect()).collect();
        let real_clients = (0..CLIENTS).map(|_| real.connect()).collect();
        Self { ours, our_clients, real_clients }
    }

    /// What every client has received after one of them sent a command: theirs, then ours.
    fn run(&mut self, who: usize, words: &[&str]) -> Vec<(Vec<String>, Vec<String>)> {
        let request = encode(words);
        // The one who asked is done when it has an answer to something that came later.
        self.real_clients[who].send(&request);
        let mut theirs: Vec<Vec<Value>> = vec![Vec::new(); CLIENTS];
        let order = std::iter::once(who).chain((0..CLIENTS).filter(|&client| client != who));
        for client in order {
            let real = &mut self.real_clients[client];
            real.send(&encode(&["PING", "fence"]));
            loop {
                let value = real.read();
                let is_fence = match &value {
                    Value::Bulk(text) => text == b"fence",
                    Value::Array(parts) => parts == &[Value::bulk("pong"), Value::bulk("fence")],
                    _ => false,
                };
                if is_fence {
                    break;
                }
                theirs[client].push(value);
            }
        }
        let output = self.ours.send(self.our_clients[who], &request);
        let mut all = Vec::new();
        for (client, theirs) in theirs.iter().enumerate() {
            let output = if client == who {
                output.clone()
            } else {
                self.ours.output(self.our_clients[client])
            };
            all.push((plain(theirs), plain(&Value::read_all(&output))));
        }
        all
    }
}

/// What was received, without what has no order.
fn plain(values: &[Value]) -> Vec<String> {
    let unordered = |value: &Value| match value {
        Value::Array(parts) | Value::Push(parts) => {
            parts.first().is_some_and(|word| word.bytes().ends_with(b"unsubscribe"))
        }
        _ => false,
    };
    let mut lines: Vec<String> = Vec::new();
    for value in values {
        if unordered(value) {
            let parts = value.elements();
            lines.push(format!("{} {}", parts[0], parts[1]));
            lines.push(format!("count {}", parts[2]));
        } else {
            lines.push(value.to_string());
        }
    }
    lines.sort();
    lines
}

fn draw<'a>(rng: &mut Rng) -> Vec<&'a str> {
    let mut names = |least: u64| -> Vec<&'a str> {
        let count = least + rng.below(3);
        (0..count).map(|_| NAMES[rng.below(NAMES.len() as u64) as usize]).collect()
    };
    let (some, any, one) = (names(1), names(0), names(1)[0]);
    let with = |word: &'a str, rest: Vec<&'a str>| {
        std::iter::once(word).chain(rest).collect::<Vec<&'a str>>()
    };
    match rng.below(24) {
        0..3 => with("SUBSCRIBE", some),
        3..5 => with("PSUBSCRIBE", some),
        5 => with("SSUBSCRIBE", some),
        6..8 => with("UNSUBSCRIBE", any),
        8 => with("PUNSUBSCRIBE", any),
        9 => with("SUNSUBSCRIBE", any),
        10..16 => vec!["PUBLISH", one, "message"],
        16 => vec!["SPUBLISH", one, "message"],
        17 => vec!["PUBSUB", "NUMPAT"],
        18 => with("PUBSUB", with("NUMSUB", any)),
        19 => with("PUBSUB", with("SHARDNUMSUB", any)),
        20 => vec!["RESET"],
        21 => vec!["PING"],
        22 => vec!["GET", "k"],
        _ => vec!["HELLO 3"],
    }
}

#[test]
fn everybody_receives_what_he_would_from_redis() {
    let Some(real) = RealRedis::start("everybody_receives_what_he_would_from_redis") else {
        return;
    };
    for seed in 1..=4 {
        let mut rng = Rng::new(Seed(seed), "pub/sub differential");
        let mut pair = Pair::new(&real);
        let mut run = Vec::new();
        for _ in 0..STEPS {
            let who = rng.below(CLIENTS as u64) as usize;
            let mut words = draw(&mut rng);
            if words == ["HELLO 3"] {
                words = vec!["HELLO", if rng.chance(1, 2) { "3" } else { "2" }];
            }
            run.push(format!("{who}> {}", words.join(" ")));
            let received = pair.run(who, &words);
            for (client, (theirs, ours)) in received.iter().enumerate() {
                // Versions and ids are in the reply of HELLO.
                let hello = words[0] == "HELLO" && client == who && theirs.len() == ours.len();
                assert!(
                    theirs == ours || hello,
                    "seed {seed}, client {client}\nredis {theirs:?}\nours  {ours:?}\n{}",
                    run[run.len().saturating_sub(30)..].join("\n")
                );
            }
        }
    }
}

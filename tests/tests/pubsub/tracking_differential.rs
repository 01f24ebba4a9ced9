//! Random clients that cache, here and on a real redis-server 7.0: what each of them receives, in
//! which order, must be the same.
//!
//! Some things are not: what a script reads is tracked here also if it was not given to it; Redis
//! lets a message into the middle of the reply of the client that it is sent to on behalf of
//! another; it tells a client that broadcasts with NOLOOP of what its own script has changed; and
//! it writes RESP3's null to a client of RESP2. So scripts read what they are given, a client that
//! receives for others is compared by kind, and no run has both scripts and NOLOOP.

use std::collections::BTreeMap;

use orrery_engine::rng::Rng;
use orrery_engine::{ConnId, Seed};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;

const CLIENTS: usize = 5;
const STEPS: usize = 1200;
const KEYS: [&str; 7] = ["a", "b", "ab", "abc", "b1", "", "x"];

struct Pair<'a> {
    real: &'a RealRedis,
    ours: Server,
    our_clients: Vec<ConnId>,
    real_clients: Vec<RealClient>,
    /// Each client's id on either server; one that has gone keeps its name.
    names: [BTreeMap<i64, String>; 2],
    ids: Vec<[i64; 2]>,
}

impl<'a> Pair<'a> {
    fn new(real: &'a RealRedis) -> Self {
        let mut pair = Self {
            real,
            ours: Server::default(),
            our_clients: Vec::new(),
            real_clients: Vec::new(),
            names: Default::default(),
            ids: Vec::new(),
        };
        (0..CLIENTS).for_each(|client| pair.connect(client));
        let flushed = pair.real_clients[0].call(&["FLUSHALL"]);
        assert_eq!(flushed, Value::simple("OK"));
        pair
    }

    fn connect(&mut self, client: usize) {
        let (ours, mut real) = (self.ours.connect(), self.real.connect());
        // One client is left to speak RESP2 until it says otherwise.
        if client + 1 < CLIENTS {
            self.ours.line(ours, "HELLO 3");
            real.call(&["HELLO", "3"]);
        }
        let ids = [real.call(&["CLIENT", "ID"]).integer(), ours.0 as i64];
        let name = format!("client {}", self.names[0].len());
        for (names, id) in self.names.iter_mut().zip(ids) {
            names.insert(id, name.clone());
        }
        if client == self.our_clients.len() {
            self.our_clients.push(ours);
            self.real_clients.push(real);
            self.ids.push(ids);
        } else {
            let gone = self.ids[client][0];
            self.ours.disconnect(self.our_clients[client]);
            (self.our_clients[client], self.ids[client]) = (ours, ids);
            self.real_clients[client] = real;
            let words = ["CLIENT", "LIST", "ID", &gone.to_string()];
            while !self.real_clients[client].call(&words).bytes().is_empty() {
                std::thread::yield_now();
            }
        }
    }

    /// What every client has received after one of them sent commands: theirs, then ours.
    fn run(&mut self, who: usize, commands: &[Vec<String>]) -> Vec<[Vec<Value>; 2]> {
        let request = |server: usize| -> Vec<u8> {
            let id = |word: &String| match word.strip_prefix("id of ") {
                Some(client) => {
                    self.ids[client.parse::<usize>().expect("a client")][server].to_string()
                }
                None => word.clone(),
            };
            let spell =
                |words: &Vec<String>| encode(&words.iter().map(id).collect::<Vec<String>>());
            commands.iter().flat_map(spell).collect()
        };
        let (theirs, ours) = (request(0), request(1));
        self.real_clients[who].send(&theirs);
        let mut received: Vec<[Vec<Value>; 2]> = vec![Default::default(); CLIENTS];
        // Redis broadcasts when it has nothing else to do: perhaps behind the first fence.
        let others = (0..CLIENTS).filter(|&client| client != who);
        for client in std::iter::once(who).chain(others).chain([who]) {
            let more = self.fence(client);
            received[client][0].extend(more);
        }
        let output = self.ours.send(self.our_clients[who], &ours);
        received[who][1] = Value::read_all(&output);
        self.ours.engine().check_invariants();
        for (client, received) in received.iter_mut().enumerate() {
            // Redis had to answer this too.
            let output = self.ours.send(self.our_clients[client], &encode(&["PING", "fence"]));
            received[1].extend(Value::read_all(&output));
            assert!(received[1].pop().is_some_and(|value| is_fence(&value)), "it comes last");
        }
        for received in &mut received {
            for (server, values) in received.iter_mut().enumerate() {
                values.iter_mut().for_each(|value| rename(value, &self.names[server]));
            }
        }
        received
    }

    /// What the real server has for a client, which has an answer to something that came later.
    fn fence(&mut self, client: usize) -> Vec<Value> {
        let real = &mut self.real_clients[client];
        real.send(&encode(&["PING", "fence"]));
        let mut values = Vec::new();
        loop {
            let value = real.read();
            if is_fence(&value) {
                return values;
            }
            values.push(value);
        }
    }
}

/// Whether a value is the answer to what is asked last.
fn is_fence(value: &Value) -> bool {
    match value {
        Value::Bulk(text) => text == b"fence",
        Value::Array(parts) => parts == &[Value::bulk("pong"), Value::bulk("fence")],
        _ => false,
    }
}

/// Ids of clients differ from server to server.
fn rename(value: &mut Value, names: &BTreeMap<i64, String>) {
    let is_id = |word: &Value| {
        [Value::bulk("redirect"), Value::bulk("tracking-redir-broken")].contains(word)
    };
    let name = |value: &mut Value| {
        if let Value::Integer(id) = value
            && let Some(name) = names.get(id)
        {
            *value = Value::bulk(name);
        }
    };
    match value {
        Value::Array(parts) | Value::Push(parts) => {
            for index in 1..parts.len() {
                if is_id(&parts[index - 1]) {
                    name(&mut parts[index]);
                }
            }
            parts.iter_mut().for_each(|part| rename(part, names));
        }
        Value::Map(pairs) => {
            pairs.iter_mut().filter(|(key, _)| is_id(key)).for_each(|(_, value)| name(value));
        }
        _ => {}
    }
}

fn is_message(value: &Value) -> bool {
    match value {
        Value::Push(_) => true,
        Value::Array(parts) => parts.first() == Some(&Value::bulk("message")),
        _ => false,
    }
}

/// The parts of a reply that Redis may have put a message into.
fn flat(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(parts) if !is_message(value) => parts.iter().flat_map(flat).collect(),
        value => vec![value.clone()],
    }
}

fn options(rng: &mut Rng, no_loop: bool) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |chance: bool, more: &[&str]| {
        if chance {
            words.extend(more.iter().map(|&word| word.to_owned()));
        }
    };
    let broadcast = rng.chance(1, 3);
    add(broadcast, &["BCAST"]);
    for prefix in ["a", "b", "ab", ""] {
        add(broadcast && rng.chance(1, 4), &["PREFIX", prefix]);
    }
    add(rng.chance(1, 6), &["OPTIN"]);
    add(rng.chance(1, 6), &["OPTOUT"]);
    add(no_loop && rng.chance(1, 2), &["NOLOOP"]);
    let receiver = format!("id of {}", rng.below(CLIENTS as u64));
    add(rng.chance(1, 3), &["REDIRECT", &receiver]);
    words
}

fn draw(rng: &mut Rng, no_loop: bool) -> Vec<String> {
    let mut key = || KEYS[rng.below(KEYS.len() as u64) as usize].to_owned();
    let (one, two) = (key(), key());
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let with = |line: &str, more: &[&String]| {
        let mut all = words(line);
        all.extend(more.iter().map(|&word| word.clone()));
        all
    };
    let (get, set) =
        ("return redis.call('GET', KEYS[2])", "return redis.call('SET', KEYS[1], 'v')");
    let script = |text: &str| {
        ["EVAL", text, "2", &one, &two].iter().map(|&word| word.to_owned()).collect::<Vec<_>>()
    };
    let v = "v".to_owned();
    match rng.below(40) {
        0..4 => {
            let mut all = words("CLIENT TRACKING ON");
            all.extend(options(rng, no_loop));
            all
        }
        4 => words("CLIENT TRACKING OFF"),
        5 => words("CLIENT TRACKINGINFO"),
        6..9 => words("CLIENT CACHING YES"),
        9 => words("CLIENT CACHING NO"),
        10..18 => with("GET", &[&one]),
        18 => with("MGET", &[&one, &two]),
        19 => with("EXISTS", &[&one, &two]),
        20..26 => with("SET", &[&one, &v]),
        26 => with("MSET", &[&one, &v, &two, &v]),
        27 => with("DEL", &[&one, &two]),
        28 => with("RENAME", &[&one, &two]),
        29..32 => with("GETRANGE", &[&one, &"0".to_owned(), &"3".to_owned()]),
        32 => with("TYPE", &[&two]),
        33 if !no_loop => script(get),
        34 if !no_loop => script(set),
        35 if rng.chance(1, 3) => words("FLUSHALL"),
        35 => with("GET", &[&two]),
        36 => words("SWAPDB 0 1"),
        37 => words("SUBSCRIBE __redis__:invalidate"),
        38 => words("UNSUBSCRIBE"),
        _ if rng.chance(1, 3) => words("RESET"),
        _ => with("INCR", &[&one]),
    }
}

#[test]
fn everybody_is_told_what_redis_tells() {
    let Some(real) = RealRedis::start("everybody_is_told_what_redis_tells") else { return };
    for seed in 1..=6 {
        let mut rng = Rng::new(Seed(seed), "tracking differential");
        let mut pair = Pair::new(&real);
        let mut run = Vec::new();
        let mut messages = 0;
        for _ in 0..STEPS {
            let who = rng.below(CLIENTS as u64) as usize;
            // When the last one goes that tracks, keys are forgotten that Redis keeps.
            if rng.chance(1, 60) && pair.somebody_tracks_but(who) {
                run.push(format!("{who} is replaced"));
                pair.connect(who);
                continue;
            }
            let mut words = draw(&mut rng, seed % 2 == 0);
            if words == ["RESET"] && rng.chance(3, 4) {
                words = vec!["HELLO".to_owned(), if rng.chance(7, 8) { "3" } else { "2" }.into()];
            }
            let mut commands = vec![words];
            if rng.chance(1, 8) {
                let more = (0..rng.below(4)).map(|_| draw(&mut rng, seed % 2 == 0));
                commands.extend(more.collect::<Vec<_>>());
                // RESET would end it, and what SUBSCRIBE says is a message too.
                let not_inside = ["RESET", "HELLO", "SUBSCRIBE", "UNSUBSCRIBE"];
                commands.retain(|words| !not_inside.contains(&&*words[0]));
                // Here a client that stops is not told of what it did before, nor is a new
                // receiver.
                commands.retain(|words| words.get(1).is_none_or(|word| word != "TRACKING"));
                commands.insert(0, vec!["MULTI".to_owned()]);
                commands.push(vec!["EXEC".to_owned()]);
            }
            if rng.chance(1, 5) {
                let word = if rng.chance(2, 3) { "YES" } else { "NO" };
                let words = ["CLIENT", "CACHING", word].map(str::to_owned).to_vec();
                commands.insert(0, words);
            }
            let lines: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
            run.push(format!("{who}> {}", lines.join(" | ")));
            let received = pair.run(who, &commands);
            for (client, [theirs, ours]) in received.iter().enumerate() {
                messages += ours.iter().filter(|value| is_message(value)).count();
                // Versions and ids are in the reply of HELLO.
                let hello = commands.iter().any(|words| words[0] == "HELLO")
                    && client == who
                    && theirs.len() == ours.len();
                let by_kind = |values: &[Value]| -> [Vec<Value>; 2] {
                    let values: Vec<Value> = values.iter().flat_map(flat).collect();
                    let (messages, replies) = values.into_iter().partition(is_message);
                    [messages, replies]
                };
                let is_same = theirs == ours
                    || pair.receives_for_others(client) && by_kind(theirs) == by_kind(ours);
                assert!(
                    is_same || hello,
                    "seed {seed}, client {client}\nredis {theirs:?}\nours  {ours:?}\n{}",
                    run[run.len().saturating_sub(40)..].join("\n")
                );
            }
        }
        assert!(messages > STEPS / 8, "only {messages} messages");
    }
}

impl Pair<'_> {
    fn somebody_tracks_but(&self, client: usize) -> bool {
        let tracking = &self.ours.engine().state().tracking;
        let others = (0..CLIENTS).filter(|&other| other != client);
        others.map(|other| self.our_clients[other]).any(|conn| tracking.find(conn).is_some())
    }

    fn receives_for_others(&self, client: usize) -> bool {
        let tracking = &self.ours.engine().state().tracking;
        let receiver = self.our_clients[client];
        let redirects = |conn: &ConnId| {
            let tracker = tracking.find(*conn);
            *conn != receiver
                && tracker.is_some_and(|tracker| tracker.mode().redirect == Some(receiver))
        };
        self.our_clients.iter().any(redirects)
    }
}

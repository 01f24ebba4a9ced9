//! Subscriptions against sets of names: random clients subscribe, publish, change their protocol
//! and go; after each step everybody has received exactly what the model says, in its order.

use std::collections::{BTreeMap, BTreeSet};

use orrery_engine::ConnId;
use orrery_engine::session::Topic;
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;
use proptest::prelude::*;

const CLIENTS: usize = 4;
const CHANNELS: [&str; 6] = ["a", "b", "ab", "abc", "x", ""];
const PATTERNS: [&str; 6] = ["a", "a*", "*b", "?", "*", "[ab]"];

#[derive(Clone, Debug)]
enum Op {
    Subscribe(usize, Topic, Vec<usize>),
    Unsubscribe(usize, Topic, Vec<usize>),
    Publish(usize, usize, u8),
    PublishToShard(usize, usize, u8),
    Hello(usize, u8),
    Reset(usize),
    /// The client goes and another one comes.
    Replace(usize),
    /// Replies are not wanted, or wanted again.
    Mute(usize, bool),
}

fn ops() -> impl Strategy<Value = Op> {
    let topic = prop_oneof![
        Just(Topic::Channel),
        Just(Topic::Channel),
        Just(Topic::Pattern),
        Just(Topic::ShardChannel),
    ];
    let (client, name) = (0..CLIENTS, 0..CHANNELS.len());
    let names = prop::collection::vec(name.clone(), 0..4);
    let some = prop::collection::vec(name.clone(), 1..4);
    prop_oneof![
        6 => (client.clone(), topic.clone(), some).prop_map(|(c, t, n)| Op::Subscribe(c, t, n)),
        4 => (client.clone(), topic, names).prop_map(|(c, t, n)| Op::Unsubscribe(c, t, n)),
        8 => (client.clone(), name.clone(), any::<u8>()).prop_map(|(c, n, m)| Op::Publish(c, n, m)),
        3 => (client.clone(), name, any::<u8>()).prop_map(|(c, n, m)| Op::PublishToShard(c, n, m)),
        2 => (client.clone(), 2..4_u8).prop_map(|(c, version)| Op::Hello(c, version)),
        1 => client.clone().prop_map(Op::Reset),
        1 => client.clone().prop_map(Op::Replace),
        1 => (client, any::<bool>()).prop_map(|(c, on)| Op::Mute(c, on)),
    ]
}

/// One client, as far as pub/sub goes.
#[derive(Clone, Debug, Default)]
struct Client {
    names: BTreeMap<usize, BTreeSet<&'static str>>,
    resp3: bool,
    muted: bool,
    /// What it must have received in this step.
    expected: Vec<Value>,
}

impl Client {
    fn names(&self, topic: Topic) -> BTreeSet<&'static str> {
        self.names.get(&(topic as usize)).cloned().unwrap_or_default()
    }

    fn is_restricted(&self) -> bool {
        !self.resp3 && self.names.values().any(|names| !names.is_empty())
    }

    fn push(&mut self, parts: Vec<Value>) {
        self.expected.push(if self.resp3 { Value::Push(parts) } else { Value::Array(parts) });
    }

    fn reply(&mut self, value: Value) {
        if !self.muted {
            self.expected.push(value);
        }
    }

    /// Whether the command is refused; then the error is expected.
    fn is_refused(&mut self, command: &str) -> bool {
        if !self.is_restricted() {
            return false;
        }
        self.reply(Value::error(&format!(
            "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT \
             / RESET are allowed in this context"
        )));
        true
    }

    fn confirm(&mut self, word: &str, name: Option<&str>, topic: Topic) {
        let count = match topic {
            Topic::ShardChannel => self.names(topic).len(),
            _ => self.names(Topic::Channel).len() + self.names(Topic::Pattern).len(),
        };
        let name = name.map_or(Value::Null, Value::bulk);
        self.push(vec![Value::bulk(word), name, Value::Integer(count as i64)]);
    }
}

/// What these few patterns mean.
fn matches(pattern: &str, channel: &str) -> bool {
    match pattern {
        // Redis looks at nothing in an empty text but whether the pattern is empty.
        _ if channel.is_empty() => pattern.is_empty(),
        "a" => channel == "a",
        "a*" => channel.starts_with('a'),
        "*b" => channel.ends_with('b'),
        "?" => channel.len() == 1,
        "*" => true,
        "[ab]" => channel == "a" || channel == "b",
        other => panic!("{other} is none of the patterns"),
    }
}

fn word(topic: Topic, un: &str) -> String {
    let letter = match topic {
        Topic::Channel => "",
        Topic::Pattern => "p",
        Topic::ShardChannel => "s",
    };
    format!("{letter}{un}subscribe")
}

fn pool(topic: Topic) -> [&'static str; 6] {
    if topic == Topic::Pattern { PATTERNS } else { CHANNELS }
}

struct World {
    server: Server,
    conns: Vec<ConnId>,
    clients: Vec<Client>,
}

impl World {
    fn new() -> Self {
        let mut server = Server::default();
        let conns = (0..CLIENTS).map(|_| server.connect()).collect();
        Self { server, conns, clients: vec![Client::default(); CLIENTS] }
    }

    /// Sends a command and compares what everybody received.
    fn check(&mut self, who: usize, words: &[&str]) {
        let output = self.server.send(self.conns[who], &encode(words));
        for (index, client) in self.clients.iter_mut().enumerate() {
            let received =
                if index == who { output.clone() } else { self.server.output(self.conns[index]) };
            let received = Value::read_all(&received);
            assert_eq!(received, std::mem::take(&mut client.expected), "{index} after {words:?}");
        }
        self.server.engine().check_invariants();
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Subscribe(who, topic, names) => self.subscribe(*who, *topic, names),
            Op::Unsubscribe(who, topic, names) => self.unsubscribe(*who, *topic, names),
            Op::Publish(who, channel, message) => {
                self.publish(*who, CHANNELS[*channel], &message.to_string());
            }
            Op::PublishToShard(who, channel, message) => {
                self.publish_to_shard(*who, CHANNELS[*channel], &message.to_string());
            }
            Op::Hello(who, version) => {
                let client = &mut self.clients[*who];
                if !client.is_restricted() && !client.muted {
                    client.resp3 = *version == 3;
                    let words = ["HELLO", &version.to_string()];
                    self.server.call(self.conns[*who], &words);
                }
            }
            Op::Reset(who) => {
                self.clients[*who] = Client::default();
                self.clients[*who].expected = vec![Value::simple("RESET")];
                self.check(*who, &["RESET"]);
            }
            Op::Replace(who) => {
                self.server.disconnect(self.conns[*who]);
                self.conns[*who] = self.server.connect();
                self.clients[*who] = Client::default();
            }
            Op::Mute(who, muted) => {
                let client = &mut self.clients[*who];
                if client.is_refused("client|reply") {
                    self.check(*who, &["CLIENT", "REPLY", "OFF"]);
                    return;
                }
                client.muted = *muted;
                client.reply(Value::simple("OK"));
                self.check(*who, &["CLIENT", "REPLY", if *muted { "OFF" } else { "ON" }]);
            }
        }
    }

    fn subscribe(&mut self, who: usize, topic: Topic, names: &[usize]) {
        let command = word(topic, "");
        let mut words = vec![command.as_str()];
        for &name in names {
            let name = pool(topic)[name];
            let client = &mut self.clients[who];
            client.names.entry(topic as usize).or_default().insert(name);
            client.confirm(&command, Some(name), topic);
            words.push(name);
        }
        self.check(who, &words);
    }

    fn unsubscribe(&mut self, who: usize, topic: Topic, names: &[usize]) {
        let command = word(topic, "un");
        let mut words = vec![command.as_str()];
        let client = &mut self.clients[who];
        let given: Vec<&str> = names.iter().map(|&name| pool(topic)[name]).collect();
        words.extend(&given);
        let all: Vec<&str> = client.names(topic).into_iter().collect();
        let ended = if given.is_empty() { all } else { given };
        for &name in &ended {
            client.names.entry(topic as usize).or_default().remove(name);
            client.confirm(&command, Some(name), topic);
        }
        if ended.is_empty() {
            client.confirm(&command, None, topic);
        }
        self.check(who, &words);
    }

    fn publish(&mut self, who: usize, channel: &str, message: &str) {
        if !self.clients[who].is_refused("publish") {
            let mut sent = 0;
            let mut own = Vec::new();
            for (index, client) in self.clients.iter_mut().enumerate() {
                let mut messages = Vec::new();
                if client.names(Topic::Channel).contains(channel) {
                    messages.push(["message", channel, message].map(Value::bulk).to_vec());
                }
                for pattern in client.names(Topic::Pattern) {
                    if matches(pattern, channel) {
                        let parts = ["pmessage", pattern, channel, message];
                        messages.push(parts.map(Value::bulk).to_vec());
                    }
                }
                sent += messages.len();
                if index == who {
                    own = messages;
                } else {
                    messages.into_iter().for_each(|parts| client.push(parts));
                }
            }
            let client = &mut self.clients[who];
            client.reply(Value::Integer(sent as i64));
            own.into_iter().for_each(|parts| client.push(parts));
        }
        self.check(who, &["PUBLISH", channel, message]);
    }

    fn publish_to_shard(&mut self, who: usize, channel: &str, message: &str) {
        if !self.clients[who].is_refused("spublish") {
            let is_receiver = |client: &Client| client.names(Topic::ShardChannel).contains(channel);
            let sent = self.clients.iter().filter(|client| is_receiver(client)).count();
            self.clients[who].reply(Value::Integer(sent as i64));
            for client in &mut self.clients {
                if is_receiver(client) {
                    client.push(["smessage", channel, message].map(Value::bulk).to_vec());
                }
            }
        }
        self.check(who, &["SPUBLISH", channel, message]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn everybody_gets_what_he_has_subscribed_to(ops in prop::collection::vec(ops(), 1..80)) {
        let mut world = World::new();
        ops.iter().for_each(|op| world.run(op));
    }
}

//! Scenes with several clients, played to this engine and to a real redis-server.
//!
//! Invariant: what the two servers say is compared after every line, for every client.

use std::collections::BTreeMap;

use orrery_engine::{Config, ConnId, Seed};

use crate::real_redis::{RealClient, RealRedis};
use crate::resp_value::{encode, words};
use crate::server_in_process::Server;

/// Several clients, by letters, of a server.
pub trait Stage {
    /// Sends bytes for a client and lets the server do all it can; returns what every client has
    /// received, in the order of their letters.
    fn say(&mut self, client: char, bytes: &[u8]) -> Vec<(char, String)>;
}

/// Clients of an engine.
pub struct Ours {
    /// The engine.
    pub server: Server,
    clients: BTreeMap<char, ConnId>,
}

impl Ours {
    /// Clients of a new engine.
    pub fn new(config: Config) -> Self {
        Self { server: Server::new(config, Seed(1)), clients: BTreeMap::new() }
    }

    fn client(&mut self, name: char) -> ConnId {
        if let Some(&conn) = self.clients.get(&name) {
            return conn;
        }
        let conn = self.server.connect();
        self.clients.insert(name, conn);
        conn
    }
}

impl Stage for Ours {
    fn say(&mut self, client: char, bytes: &[u8]) -> Vec<(char, String)> {
        let conn = self.client(client);
        let first = self.server.send(conn, bytes);
        self.server.advance_ms(0);
        self.server.engine().check_invariants();
        let clients: Vec<(char, ConnId)> = self.clients.iter().map(|(&n, &c)| (n, c)).collect();
        let outputs = clients.into_iter().map(|(name, other)| {
            let mut output = if other == conn { first.clone() } else { Vec::new() };
            output.extend(self.server.output(other));
            (name, output.escape_ascii().to_string())
        });
        outputs.filter(|(_, output)| !output.is_empty()).collect()
    }
}

/// Clients of a real redis-server.
pub struct Theirs {
    redis: RealRedis,
    control: RealClient,
    clients: BTreeMap<char, RealClient>,
}

impl Theirs {
    /// A real server, where one is installed.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[])
    }

    /// Like [`Self::start`], with more arguments.
    pub fn start_with(test: &str, arguments: &[&str]) -> Option<Self> {
        let redis = RealRedis::start_with(test, arguments)?;
        let control = redis.connect();
        Some(Self { redis, control, clients: BTreeMap::new() })
    }

    /// A server without data and without clients.
    pub fn clear(&mut self) {
        self.clients.clear();
        self.settle();
        self.control.call(&["FLUSHALL"]);
    }

    /// The second request is read after everything that was sent before the first.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.control.call(&["PING"]);
        }
    }
}

impl Stage for Theirs {
    fn say(&mut self, client: char, bytes: &[u8]) -> Vec<(char, String)> {
        let redis = &self.redis;
        self.clients.entry(client).or_insert_with(|| redis.connect()).send(bytes);
        self.settle();
        let outputs = self.clients.iter_mut().map(|(&name, client)| {
            let output = client.available().escape_ascii().to_string();
            (name, output)
        });
        outputs.filter(|(_, output)| !output.is_empty()).collect()
    }
}

/// `A: BLPOP k 0; PING` sends two commands at once for client A.
pub fn bytes_of(line: &str) -> (char, Vec<u8>) {
    let (client, commands) = line.split_once(": ").expect("a client and commands");
    let bytes = commands.split("; ").flat_map(|command| encode(&words(command))).collect();
    (client.chars().next().expect("a letter"), bytes)
}

/// Plays scenes, apart by empty lines, to both servers, which must say the same to everybody.
///
/// `~ 20` lets so many milliseconds pass for both.
#[track_caller]
pub fn check(theirs: &mut Theirs, config: &Config, scenes: &str) {
    for scene in scenes.split("\n\n") {
        theirs.clear();
        let mut ours = Ours::new(config.clone());
        for line in scene.lines().filter(|line| !line.is_empty()) {
            if let Some(millis) = line.strip_prefix("~ ") {
                let millis = millis.parse().expect("a number of milliseconds");
                std::thread::sleep(std::time::Duration::from_millis(millis));
                ours.server.advance_ms(millis);
                continue;
            }
            let (client, bytes) = bytes_of(line);
            let (expected, got) = (theirs.say(client, &bytes), ours.say(client, &bytes));
            // It tells the number of the connection.
            if !line.contains("HELLO") {
                assert_eq!(got, expected, "after {line} in\n{scene}");
            }
        }
    }
}

//! A real redis-server and an engine in this process, with the same clients: sends each command to
//! both and compares.

use std::time::{Duration, Instant as HostInstant, SystemTime, UNIX_EPOCH};

use orrery_engine::config::{Access, EncodingNames, Encodings};
use orrery_engine::time::TtlClock;
use orrery_engine::{Config, ConnId, Instant, Now, Seed, UnixMicros};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::{Value, encode};
use orrery_tests::server_in_process::Server;

use super::compare::same;

/// Clients of each server: two that run commands, four that wait, one that looks at what is stored.
const CLIENTS: usize = 7;
/// The clients that speak RESP3.
const RESP3_CLIENTS: [usize; 2] = [1, 3];
/// The client that looks at what is stored.
pub(crate) const READER: usize = 6;
/// A command that takes longer on the real server waits for ever.
const PATIENCE: Duration = Duration::from_millis(400);

/// A longer word is not shown.
const SHOWN_BYTES_MAX: usize = 150;

/// Why a run failed.
pub(crate) type Difference = String;

/// The words of a command.
pub(crate) type Words = Vec<Vec<u8>>;

/// What a program on the command line would take.
pub(crate) fn line(text: &str) -> Words {
    orrery_tests::resp_value::words(text)
}

/// The words as they could be typed.
pub(crate) fn shown(words: &[Vec<u8>]) -> String {
    let quote = |word: &Vec<u8>| {
        if word.len() > SHOWN_BYTES_MAX {
            let from = word[..20].escape_ascii();
            return format!("\"{from}...\" (so that it has {} bytes)", word.len());
        }
        let plain = !word.is_empty()
            && word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
        if plain {
            String::from_utf8_lossy(word).into_owned()
        } else {
            format!("\"{}\"", word.escape_ascii())
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Both servers.
pub(crate) struct Pair {
    pub(crate) ours: Server,
    our_clients: Vec<ConnId>,
    real_clients: Vec<RealClient>,
    /// The clients' ids on the real server and on ours.
    ids: Vec<(i64, i64)>,
    start: HostInstant,
}

impl Pair {
    /// Two empty servers with the same settings.
    pub(crate) fn new(real: &RealRedis, seed: u64) -> Self {
        let config = Config {
            // As in Redis; the harness starts its own clock long before now.
            ttl_clock: TtlClock::Wall,
            debug_command: Access::Yes,
            encodings: Encodings { names: EncodingNames::Redis70, ..Encodings::default() },
            ..Config::default()
        };
        let mut ours = Server::new(config, Seed(seed));
        let mut control = real.connect();
        control.call(&["FLUSHALL"]);
        for (name, value) in DEFAULTS {
            control.call(&["CONFIG", "SET", name, value]);
        }
        let our_clients = (0..CLIENTS).map(|_| ours.connect()).collect();
        let real_clients = (0..CLIENTS).map(|_| real.connect()).collect();
        let start = HostInstant::now();
        let mut pair = Self { ours, our_clients, real_clients, ids: Vec::new(), start };
        pair.turn_clocks();
        // What 7.0 can restore.
        pair.ours_only(&line("CONFIG SET rdb-version 10")).expect("it is a parameter");
        for client in 0..CLIENTS {
            if RESP3_CLIENTS.contains(&client) {
                let (_, reply) = pair.replies(client, &line("HELLO 3"));
                assert_eq!(reply.first(), Some(&b'%'), "{}", reply.escape_ascii());
            }
            let (real, ours) = pair.replies(client, &line("CLIENT ID"));
            let id = |reply: &[u8]| Value::read_all(reply)[0].integer();
            pair.ids.push((id(&real), id(&ours)));
        }
        pair
    }

    /// Sets the engine's clocks to those of this machine.
    pub(crate) fn turn_clocks(&mut self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let mono = 2_000_000 + self.start.elapsed().as_micros() as u64;
        self.ours
            .set_clocks(Now { mono: Instant(mono), wall: UnixMicros(wall.as_micros() as u64) });
    }

    /// Sends a command to both and does not wait.
    pub(crate) fn send(&mut self, client: usize, words: &[Vec<u8>]) -> Vec<u8> {
        let bytes = encode(words);
        self.real_clients[client].send(&bytes);
        self.turn_clocks();
        self.ours.send(self.our_clients[client], &bytes)
    }

    /// What the real server and this one say. A command that waits is waited for; one that would
    /// wait for ever is unblocked.
    pub(crate) fn replies(&mut self, client: usize, words: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let bytes = encode(words);
        self.real_clients[client].send(&bytes);
        let real = self.real_clients[client].read_raw_within(PATIENCE);
        self.turn_clocks();
        let ours = self.ours.send(self.our_clients[client], &bytes);
        match real {
            Some(real) => {
                let ours = if ours.is_empty() { self.wait_for_ours(client) } else { ours };
                (real, ours)
            }
            None if ours.is_empty() => self.unblock(client),
            None => (self.unblock(client).0, ours),
        }
    }

    /// Gives ours the time that the real server needed to lose its patience.
    fn wait_for_ours(&mut self, client: usize) -> Vec<u8> {
        let end = HostInstant::now() + PATIENCE;
        loop {
            std::thread::sleep(Duration::from_millis(1));
            self.turn_clocks();
            self.ours.tick();
            let output = self.ours.output(self.our_clients[client]);
            if !output.is_empty() || HostInstant::now() > end {
                return output;
            }
        }
    }

    /// Ends the waiting of a client, with what both then say to it: first to the one that ends it,
    /// then to the one that waited.
    pub(crate) fn unblock(&mut self, client: usize) -> (Vec<u8>, Vec<u8>) {
        let (real_id, our_id) = self.ids[client];
        let other = if client == READER { 0 } else { READER };
        let ask = |id: i64| encode(&["CLIENT", "UNBLOCK", &id.to_string()]);
        self.real_clients[other].send(&ask(real_id));
        let mut real = self.real_clients[other].read_raw();
        real.extend(self.real_clients[client].read_raw_within(PATIENCE).unwrap_or_default());
        self.turn_clocks();
        let mut ours = self.ours.send(self.our_clients[other], &ask(our_id));
        ours.extend(self.ours.output(self.our_clients[client]));
        (real, ours)
    }

    /// Returns when the real server has seen all that was sent to it before.
    pub(crate) fn let_real_catch_up(&mut self) {
        for _ in 0..2 {
            self.real_clients[READER].call(&["PING"]);
        }
    }

    /// What ours has told the client and nobody has looked at.
    pub(crate) fn our_output(&mut self, client: usize) -> Vec<u8> {
        self.ours.output(self.our_clients[client])
    }

    /// Sends a command to both; their replies must be as good as the same.
    pub(crate) fn compare(&mut self, client: usize, words: &[Vec<u8>]) -> Result<(), Difference> {
        let (real, ours) = self.replies(client, words);
        judge(words, &real, &ours)
    }

    /// A command that only ours gets and that must succeed.
    pub(crate) fn ours_only(&mut self, words: &[Vec<u8>]) -> Result<(), Difference> {
        self.turn_clocks();
        let reply = self.ours.send(self.our_clients[READER], &encode(words));
        if reply.first() == Some(&b'-') {
            return Err(format!("{}\nours: {}", shown(words), reply.escape_ascii()));
        }
        Ok(())
    }

    /// Like [`Self::ours_only`], on the real server.
    pub(crate) fn real_only(&mut self, words: &[Vec<u8>]) -> Result<(), Difference> {
        match self.real_clients[READER].call(words) {
            Value::Error(text) => Err(format!("{}\nredis: {}", shown(words), text.escape_ascii())),
            _ => Ok(()),
        }
    }
}

/// Complains unless both replies are as good as the same.
pub(crate) fn judge(words: &[Vec<u8>], real: &[u8], ours: &[u8]) -> Result<(), Difference> {
    if same(words, real, ours) {
        return Ok(());
    }
    let (real, ours) = (real.escape_ascii(), ours.escape_ascii());
    Err(format!("{}\nredis: {real}\nours:  {ours}", shown(words)))
}

/// The settings that steps change, and what they are at the start.
const DEFAULTS: [(&str, &str); 7] = [
    ("hash-max-listpack-entries", "512"),
    ("hash-max-listpack-value", "64"),
    ("list-max-listpack-size", "-2"),
    ("list-compress-depth", "0"),
    ("set-max-intset-entries", "512"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
];

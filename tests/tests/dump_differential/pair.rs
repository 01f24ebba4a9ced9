//! A real server and this engine, side by side, and what of their replies must be the same.

use std::time::{Instant as HostInstant, SystemTime, UNIX_EPOCH};

use orrery_engine::time::TtlClock;
use orrery_engine::{Config, ConnId, Instant, Now, Seed, UnixMicros};
use orrery_tests::real_redis::{RealClient, RealRedis};
use orrery_tests::resp_value::Value;
use orrery_tests::server_in_process::Server;

/// Both servers.
pub(crate) struct Pair {
    redis: RealRedis,
    client: RealClient,
    ours: Server,
    conn: ConnId,
    start: HostInstant,
}

impl Pair {
    /// `None` where redis-server is not installed.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let arguments = ["--enable-debug-command", "yes", "--sanitize-dump-payload", "yes"];
        let redis = RealRedis::start_with(test, &arguments)?;
        let mut config = Config { ttl_clock: TtlClock::Wall, ..Config::default() };
        for (name, value) in [("enable-debug-command", "yes"), ("rdb-version", "10")] {
            config.set(name, &[value]).expect("a parameter");
        }
        let mut ours = Server::new(config, Seed(1));
        let conn = ours.connect();
        let client = redis.connect();
        let mut pair = Self { redis, client, ours, conn, start: HostInstant::now() };
        pair.turn_clocks();
        Some(pair)
    }

    fn turn_clocks(&mut self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let mono = 2_000_000 + self.start.elapsed().as_micros() as u64;
        self.ours
            .set_clocks(Now { mono: Instant(mono), wall: UnixMicros(wall.as_micros() as u64) });
    }

    /// Whether the real server still takes connections.
    pub(crate) fn is_real_alive(&self) -> bool {
        !self.redis.connect().call(&["PING"]).is_error()
    }

    pub(crate) fn theirs<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        self.client.call(words)
    }

    pub(crate) fn ours<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        self.turn_clocks();
        self.ours.call(self.conn, words)
    }

    /// The replies of both, theirs first.
    pub(crate) fn both<W: AsRef<[u8]>>(&mut self, words: &[W]) -> (Value, Value) {
        (self.theirs(words), self.ours(words))
    }

    pub(crate) fn check_invariants(&self) {
        self.ours.engine().check_invariants();
    }
}

/// What XINFO STREAM FULL says, but for how the entries are stored and for when consumers were last
/// active: Redis 7.0 does not know the latter.
pub(crate) fn stream_in_full(reply: Value) -> String {
    fn strip(value: Value) -> Value {
        const LEFT_OUT: [&[u8]; 3] = [b"radix-tree-keys", b"radix-tree-nodes", b"active-time"];
        let Value::Array(parts) = value else { return value };
        let mut kept = Vec::new();
        let mut parts = parts.into_iter();
        while let Some(part) = parts.next() {
            match part {
                Value::Bulk(name) if LEFT_OUT.contains(&&*name) => drop(parts.next()),
                part => kept.push(strip(part)),
            }
        }
        Value::Array(kept)
    }
    strip(reply).to_string()
}

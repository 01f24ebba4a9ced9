//! What a warm engine allocates: nothing for GET and INCR, nor for a SET of the same shape.
//!
//! Bytes in, `step`, bytes out with reused buffers, as a driver does it. Only this thread's
//! allocations count.

use allocation_counter::measure;
use bytes::BytesMut;
use orrery_engine::{
    Config, ConnId, Effects, Engine, Input, Instant, Micros, Now, Origin, Seed, UnixMicros,
};
use orrery_tests::resp_value::encode;

/// Rounds that are measured; a single allocation among them is found.
const ROUNDS: usize = 1000;

struct Driver {
    engine: Engine,
    fx: Effects,
    now: Now,
    input: BytesMut,
    output: Vec<u8>,
}

const CONN: ConnId = ConnId(1);

impl Driver {
    fn new() -> Self {
        let now = Now { mono: Instant(0), wall: UnixMicros(1_767_225_600_000_000) };
        let mut driver = Self {
            engine: Engine::new(Config::default(), Seed(1), now),
            fx: Effects::new(),
            now,
            input: BytesMut::with_capacity(1 << 20),
            output: Vec::with_capacity(1 << 20),
        };
        let origin = Origin::Unix { path: "/tmp/test.sock".into() };
        driver.engine.step(now, Input::Opened { conn: CONN, origin }, &mut driver.fx);
        driver
    }

    /// Runs requests and returns how many replies' bytes there were.
    fn run(&mut self, requests: &[u8]) -> usize {
        self.now.mono = self.now.mono + Micros(100);
        self.now.wall = UnixMicros(self.now.wall.0 + 100);
        // The whole buffer is taken by every step, so its allocation can be used again.
        self.input.clear();
        if !self.input.try_reclaim(requests.len()) {
            self.input = BytesMut::with_capacity(1 << 20);
        }
        self.input.extend_from_slice(requests);
        let bytes = &mut self.input;
        self.engine.step(self.now, Input::Received { conn: CONN, bytes }, &mut self.fx);
        self.output.clear();
        self.engine.take_output(CONN, &mut self.output);
        let len = self.output.len();
        self.engine.step(self.now, Input::Sent { conn: CONN, len }, &mut self.fx);
        self.fx.drain().for_each(drop);
        len
    }

    /// Takes what waits for another client, with the same buffer.
    fn read(&mut self, conn: ConnId) -> usize {
        self.output.clear();
        self.engine.take_output(conn, &mut self.output);
        let len = self.output.len();
        self.engine.step(self.now, Input::Sent { conn, len }, &mut self.fx);
        self.fx.drain().for_each(drop);
        len
    }

    /// Fails if `requests` allocate when everything is warm.
    #[track_caller]
    fn check(&mut self, what: &str, requests: &[Vec<u8>]) {
        for _ in 0..16 {
            requests.iter().for_each(|request| assert!(self.run(request) > 0, "no reply"));
        }
        let info = measure(|| {
            for _ in 0..ROUNDS {
                for request in requests {
                    self.run(request);
                }
            }
        });
        assert_eq!(info.count_total, 0, "{what}: {} bytes", info.bytes_total);
    }
}

#[test]
fn warm_reads_and_writes_allocate_nothing() {
    let mut driver = Driver::new();
    let long = ["a".repeat(5000), "b".repeat(5000)];
    driver.run(&encode(&["MSET", "text", "hello world", "number", "12", "long", &long[0]]));
    driver.run(&encode(&["SET", "fading", "hello", "EX", "100"]));
    let get = |key: &str| encode(&["GET", key]);
    let set = |key: &str, value: &str| encode(&["SET", key, value]);
    driver.check("GET", &[get("text"), get("number"), get("long"), get("fading"), get("none")]);
    driver
        .check("SET of a short string", &[set("text", "Hello World"), set("text", "hello world")]);
    driver.check("SET of an integer", &[set("number", "7"), set("number", "123456789")]);
    driver.check("SET of a long string", &[set("long", &long[1]), set("long", &long[0])]);
    driver.check(
        "SET with a TTL",
        &[
            encode(&["SET", "fading", "world", "EX", "200"]),
            encode(&["SET", "fading", "again", "PX", "5000000"]),
            encode(&["SETEX", "fading", "300", "hello"]),
        ],
    );
    driver.check(
        "INCR",
        &[
            encode(&["INCR", "number"]),
            encode(&["INCRBY", "number", "-1000000"]),
            encode(&["INCREX", "number", "UBOUND", "5", "EX", "100", "ENX"]),
        ],
    );
    driver.check(
        "a lock",
        &[
            encode(&["SET", "text", "hello world", "IFEQ", "hello world", "KEEPTTL"]),
            encode(&["SET", "text", "other", "NX", "PX", "100"]),
            encode(&["SETNX", "text", "other"]),
            encode(&["DELIFEQ", "text", "other"]),
            encode(&["EXPIRE", "fading", "1000"]),
            encode(&["TTL", "fading"]),
            encode(&["PERSIST", "fading"]),
        ],
    );
    driver
        .check("a pipeline", &[[get("text"), get("number"), set("text", "world hello")].concat()]);
}

#[test]
fn warm_sets_allocate_nothing() {
    let mut driver = Driver::new();
    let words = |line: &str| encode(&line.split(' ').collect::<Vec<_>>());
    let members: String = (0..1000).map(|number| format!(" m{number}")).collect();
    driver.run(&words("SADD small a b c"));
    driver.run(&words("SADD integers 1 2 3 70000"));
    driver.run(&words(&format!("SADD big{members}")));
    for key in ["small", "integers", "big"] {
        let reads = ["SISMEMBER k m5", "SISMEMBER k 3", "SMISMEMBER k a 1 m1", "SCARD k"];
        let mut reads = reads.map(|line| words(&line.replace('k', key))).to_vec();
        reads.extend([words(&format!("SRANDMEMBER {key}")), words(&format!("SMEMBERS {key}"))]);
        driver.check(&format!("reads of {key}"), &reads);
        let writes = [format!("SADD {key} 3"), format!("SREM {key} none")];
        driver.check(&format!("writes of {key}"), &writes.map(|line| words(&line)));
    }
    driver.check("a member that comes and goes", &[words("SADD small x"), words("SREM small x")]);
}

#[test]
fn publishing_allocates_at_most_one_buffer_for_each_receiver() {
    let mut driver = Driver::new();
    let publish = |channel: &str| encode(&["PUBLISH", channel, "hello world"]);
    let set = [encode(&["SET", "k", "v"]), encode(&["DEL", "k"])];
    driver.check("PUBLISH to nobody", &[publish("news")]);
    driver.run(&encode(&["CONFIG", "SET", "notify-keyspace-events", "KEA"]));
    driver.check("events for nobody", &set);
    let receivers: Vec<ConnId> = (2..102).map(ConnId).collect();
    for &conn in &receivers {
        let origin = Origin::Unix { path: "/tmp/test.sock".into() };
        driver.engine.step(driver.now, Input::Opened { conn, origin }, &mut driver.fx);
        let mut bytes = BytesMut::from(&b"SUBSCRIBE news\r\n"[..]);
        let input = Input::Received { conn, bytes: &mut bytes };
        driver.engine.step(driver.now, input, &mut driver.fx);
        driver.read(conn);
    }
    driver.check("PUBLISH to another channel", &[publish("weather")]);
    driver.check("events that nobody has asked for", &set);
    let round = |driver: &mut Driver| {
        driver.run(&publish("news"));
        receivers.iter().for_each(|&conn| assert!(driver.read(conn) > 0, "no message"));
    };
    (0..16).for_each(|_| round(&mut driver));
    let info = measure(|| (0..ROUNDS).for_each(|_| round(&mut driver)));
    // What `publish` and `encode` of this test allocate comes on top.
    let own = measure(|| drop(publish("news"))).count_total * ROUNDS as u64;
    let count = info.count_total - own;
    assert!(count <= (receivers.len() * ROUNDS) as u64, "{count}");
}

/// The measurement itself: a value of another shape must allocate.
#[test]
fn a_growing_value_is_seen_to_allocate() {
    let mut driver = Driver::new();
    let grown: Vec<Vec<u8>> =
        (0..8).map(|power| encode(&["SET", "k", &"x".repeat(2000 << power)])).collect();
    let info = measure(|| grown.iter().for_each(|request| assert!(driver.run(request) > 0)));
    assert!(info.count_total >= 8, "{}", info.count_total);
}

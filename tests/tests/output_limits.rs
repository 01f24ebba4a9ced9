//! Clients that do not read: limits on the output that waits for them.

use bytes::BytesMut;
use orrery_engine::{
    Config, ConnId, Effect, Effects, Engine, Input, Instant, LogLevel, Now, Origin, Seed, Timer,
    UnixMicros,
};

/// An engine with one client whose driver takes output but cannot write it.
struct Slow {
    engine: Engine,
    fx: Effects,
    now: Now,
}

const CONN: ConnId = ConnId(1);

impl Slow {
    fn new(limit: &str) -> Self {
        let mut config = Config::default();
        let words: Vec<&str> = limit.split(' ').collect();
        config.set("client-output-buffer-limit", &words).unwrap();
        let now = Now { mono: Instant(0), wall: UnixMicros(1_000_000) };
        let mut slow = Self { engine: Engine::new(config, Seed(1), now), fx: Effects::new(), now };
        let origin = Origin::Unix { path: "/tmp/s".into() };
        slow.step(Input::Opened { conn: CONN, origin });
        slow.command("SET k 0123456789");
        let mut taken = Vec::new();
        slow.engine.take_output(CONN, &mut taken);
        slow.step(Input::Sent { conn: CONN, len: taken.len() });
        slow
    }

    fn step(&mut self, input: Input<'_>) -> Vec<Effect> {
        self.engine.step(self.now, input, &mut self.fx);
        self.fx.drain().collect()
    }

    fn command(&mut self, line: &str) -> Vec<Effect> {
        let mut bytes = BytesMut::from(format!("{line}\r\n").as_bytes());
        self.step(Input::Received { conn: CONN, bytes: &mut bytes })
    }

    /// One GET: 17 bytes of output.
    fn get(&mut self) -> Vec<Effect> {
        self.command("GET k")
    }

    fn pending(&self) -> usize {
        self.engine.state().sessions.find(CONN).unwrap().output_pending()
    }

    fn tick_at(&mut self, millis: u64) -> Vec<Effect> {
        self.now.mono = Instant(millis * 1000);
        self.step(Input::Tick)
    }
}

fn is_closed(effects: &[Effect]) -> bool {
    effects.contains(&Effect::Abort(CONN))
}

#[test]
fn at_the_hard_limit_the_client_is_closed_and_its_output_dropped() {
    let mut slow = Slow::new("normal 170 0 0");
    for count in 1..=9 {
        assert_eq!(slow.get(), [Effect::Flush(CONN)], "{count}");
        assert_eq!(slow.pending(), count * 17);
    }
    let effects = slow.get();
    let [Effect::Log(LogLevel::Warning, text), Effect::Abort(CONN)] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert!(text.starts_with("Client id=1 addr=/tmp/s:0 "), "{text}");
    assert!(
        text.ends_with("scheduled to be closed ASAP for overcoming of output buffer limits."),
        "{text}"
    );
    let mut left = Vec::new();
    slow.engine.take_output(CONN, &mut left);
    assert_eq!(left, b"");
    assert_eq!(slow.get(), [], "nothing more is run");
    assert_eq!(slow.engine.state().stats.output_buffer_closed, 1);
}

#[test]
fn what_was_given_out_and_not_written_counts() {
    let mut slow = Slow::new("normal 170 0 0");
    for _ in 0..9 {
        slow.get();
        slow.engine.take_output(CONN, &mut Vec::new());
    }
    assert_eq!(slow.pending(), 153);
    slow.step(Input::Sent { conn: CONN, len: 17 });
    assert!(!is_closed(&slow.get()), "as much has left as came");
    assert!(is_closed(&slow.get()));
}

#[test]
fn a_pipeline_in_one_step_is_seen_at_its_end() {
    let mut slow = Slow::new("normal 170 0 0");
    assert!(is_closed(&slow.command(&"GET k\r\n".repeat(20))));
}

#[test]
fn over_the_soft_limit_the_client_has_its_time() {
    let mut slow = Slow::new("normal 0 34 5");
    slow.get();
    assert_eq!(slow.engine.deadline(), None);
    slow.get();
    assert_eq!(slow.engine.deadline(), Some((Instant(1_000_000), Timer::OutputLimits)));
    for second in 1..=5 {
        assert_eq!(slow.tick_at(second * 1000), []);
    }
    assert!(is_closed(&slow.tick_at(6000)));
    assert_eq!(slow.engine.deadline(), None);
}

#[test]
fn a_client_that_reads_in_between_stays() {
    let mut slow = Slow::new("normal 0 34 5");
    slow.get();
    slow.get();
    slow.tick_at(4000);
    slow.engine.take_output(CONN, &mut Vec::new());
    slow.step(Input::Sent { conn: CONN, len: 17 });
    slow.get();
    assert_eq!(slow.tick_at(9000), [], "the time began anew at the second GET");
    assert!(is_closed(&slow.tick_at(10_100)));
}

#[test]
fn without_limits_nothing_is_closed() {
    let mut slow = Slow::new("normal 0 0 0");
    for _ in 0..1000 {
        assert_eq!(slow.get(), [Effect::Flush(CONN)]);
    }
    assert_eq!(slow.engine.deadline(), None);
}

/// Redis builds the reply until the limit stops it; without a limit it would take all memory.
#[test]
fn a_reply_without_end_closes_the_client_at_the_hard_limit() {
    for line in ["HRANDFIELD h -999999999", "SRANDMEMBER s -999999999", "ZRANDMEMBER z -999999999"]
    {
        let mut slow = Slow::new("normal 1000000 0 0");
        for setup in ["HSET h a b", "SADD s a", "ZADD z 1 a", "CLIENT REPLY OFF"] {
            assert!(!is_closed(&slow.command(setup)));
        }
        assert!(!is_closed(&slow.command(&line.replace("999999999", "9"))));
        slow.command("CLIENT REPLY ON");
        assert!(is_closed(&slow.command(line)), "{line}");
        assert_eq!(slow.pending(), 0, "{line}: nothing of it is sent");
        let mut slow = Slow::new("normal 0 0 0");
        for setup in ["HSET h a b", "SADD s a", "ZADD z 1 a"] {
            slow.command(setup);
        }
        assert!(!is_closed(&slow.command(&line.replace("999999999", "9"))), "{line}");
    }
}

#[test]
fn who_has_not_logged_in_gets_little_room() {
    let mut slow = Slow::new("normal 0 0 0");
    slow.command("CONFIG SET requirepass secret");
    slow.command("RESET");
    let mut refusals = 0;
    while !is_closed(&slow.get()) {
        refusals += 1;
        assert!(slow.pending() <= 17 << 10);
    }
    let noauth = "-NOAUTH Authentication required.\r\n".len();
    assert!((refusals + 2) * noauth > 17 << 10, "only {refusals} refusals were kept");
}

//! Subscribers that do not read, messages for many, and how much work and memory that is.

use bytes::BytesMut;
use orrery_engine::{
    Config, ConnId, Effect, Effects, Engine, Input, Instant, Now, Origin, Seed, Timer, UnixMicros,
};

/// An engine whose driver takes output but cannot write it.
struct Slow {
    engine: Engine,
    fx: Effects,
    now: Now,
}

const PUBLISHER: ConnId = ConnId(1);
const FIRST: ConnId = ConnId(2);
const SECOND: ConnId = ConnId(3);
/// `*3 message a 0123456789`.
const MESSAGE_BYTES: usize = 41;

impl Slow {
    fn new(settings: &[(&str, &str)]) -> Self {
        let mut config = Config::default();
        for (name, value) in settings {
            let words: Vec<&str> = value.split(' ').collect();
            config.set(name, &words).expect("a setting");
        }
        let now = Now { mono: Instant(0), wall: UnixMicros(1_000_000) };
        let mut slow = Self { engine: Engine::new(config, Seed(1), now), fx: Effects::new(), now };
        for conn in [PUBLISHER, FIRST, SECOND] {
            slow.open(conn);
        }
        slow.say(SECOND, "HELLO 3");
        slow.read(SECOND);
        for conn in [FIRST, SECOND] {
            slow.say(conn, "SUBSCRIBE a");
            slow.read(conn);
        }
        slow
    }

    fn open(&mut self, conn: ConnId) {
        let origin = Origin::Unix { path: "/tmp/s".into() };
        self.step(Input::Opened { conn, origin });
    }

    fn step(&mut self, input: Input<'_>) -> Vec<Effect> {
        self.engine.step(self.now, input, &mut self.fx);
        self.fx.drain().collect()
    }

    fn say(&mut self, conn: ConnId, line: &str) -> Vec<Effect> {
        let mut bytes = BytesMut::from(format!("{line}\r\n").as_bytes());
        let effects = self.step(Input::Received { conn, bytes: &mut bytes });
        self.engine.check_invariants();
        effects
    }

    /// Everything that waits for a client is written.
    fn read(&mut self, conn: ConnId) -> Vec<u8> {
        let mut taken = Vec::new();
        self.engine.take_output(conn, &mut taken);
        self.step(Input::Sent { conn, len: taken.len() });
        taken
    }

    fn publish(&mut self) -> Vec<Effect> {
        let effects = self.say(PUBLISHER, "PUBLISH a 0123456789");
        self.read(PUBLISHER);
        effects
    }

    fn pending(&self, conn: ConnId) -> usize {
        self.engine.state().sessions.find(conn).expect("it is there").output_pending()
    }

    fn tick_at(&mut self, millis: u64) -> Vec<Effect> {
        self.now.mono = Instant(millis * 1000);
        self.step(Input::Tick)
    }
}

fn aborted(effects: &[Effect]) -> Vec<ConnId> {
    let abort = |effect: &Effect| match effect {
        Effect::Abort(conn) => Some(*conn),
        _ => None,
    };
    effects.iter().filter_map(abort).collect()
}

#[test]
fn a_message_is_appended_once_and_flushed_once() {
    let mut slow = Slow::new(&[]);
    let effects = slow.say(PUBLISHER, "PUBLISH a 0123456789\r\nPUBLISH a 0123456789");
    let flushes = [PUBLISHER, FIRST, SECOND].map(Effect::Flush);
    assert_eq!(effects, flushes, "two messages, one flush each");
    // Who has not been flushed yet need not be asked for again.
    assert_eq!(slow.say(PUBLISHER, "PUBLISH a 0123456789"), [Effect::Flush(PUBLISHER)]);
    let message = "3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10\r\n0123456789\r\n";
    assert_eq!(message.len() + 1, MESSAGE_BYTES);
    assert_eq!(slow.read(FIRST), format!("*{message}").repeat(3).as_bytes());
    assert_eq!(slow.read(SECOND), format!(">{message}").repeat(3).as_bytes());
    assert_eq!(slow.publish(), flushes, "and again when it has left");
}

#[test]
fn over_the_hard_limit_only_the_one_who_does_not_read_is_cut_off() {
    let limit = format!("pubsub {} 0 0 normal 250 0 0", 10 * MESSAGE_BYTES);
    let mut slow = Slow::new(&[("client-output-buffer-limit", &limit)]);
    for count in 1..=9 {
        assert_eq!(aborted(&slow.publish()), []);
        assert_eq!(slow.pending(FIRST), count * MESSAGE_BYTES, "the class is that of subscribers");
        slow.read(SECOND);
    }
    let effects = slow.say(PUBLISHER, "PUBLISH a 0123456789\r\nPUBLISH a 0123456789");
    assert_eq!(aborted(&effects), [FIRST]);
    assert_eq!(slow.read(PUBLISHER), b":2\r\n:2\r\n", "it counts until it is gone, as in Redis");
    assert_eq!(slow.pending(FIRST), 0, "what it had is dropped");
    assert_eq!(slow.engine.state().stats.output_buffer_closed, 1);
    assert_eq!(aborted(&slow.publish()), [], "the other one has room left");
    slow.say(PUBLISHER, "PUBLISH a 0123456789");
    assert_eq!(slow.read(PUBLISHER), b":1\r\n");
}

#[test]
fn a_message_that_is_longer_than_the_limit_is_not_even_copied() {
    let mut slow = Slow::new(&[("client-output-buffer-limit", "pubsub 32mb 8mb 60")]);
    let long = "x".repeat(33 << 20);
    let effects = slow.say(PUBLISHER, &format!("PUBLISH a {long}"));
    // The parser wants a bulk string for so long a word.
    assert!(!effects.is_empty());
    slow.read(PUBLISHER);
    let request = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n${}\r\n{long}", long.len());
    slow.open(ConnId(9));
    let mut effects = slow.say(ConnId(9), &request);
    effects.retain(|effect| matches!(effect, Effect::Abort(_)));
    assert_eq!(effects, [Effect::Abort(FIRST), Effect::Abort(SECOND)]);
    assert!(slow.engine.state().sessions.memory_bytes() < 1 << 20);
}

#[test]
fn over_the_soft_limit_a_subscriber_has_its_time() {
    let limit = format!("pubsub 0 {} 5", 2 * MESSAGE_BYTES);
    let mut slow = Slow::new(&[("client-output-buffer-limit", &limit)]);
    slow.publish();
    assert_eq!(slow.engine.deadline(), None);
    slow.read(SECOND);
    slow.publish();
    assert_eq!(slow.engine.deadline(), Some((Instant(1_000_000), Timer::OutputLimits)));
    for second in 1..=5 {
        assert_eq!(slow.tick_at(second * 1000), []);
        slow.publish();
        slow.read(SECOND);
    }
    assert_eq!(aborted(&slow.tick_at(6000)), [FIRST]);
    assert_eq!(slow.engine.deadline(), None);
}

#[test]
fn after_the_last_subscription_the_limit_is_that_of_all() {
    let limit = format!("pubsub 0 0 0 normal {} 0 0", 10 * MESSAGE_BYTES);
    let mut slow = Slow::new(&[("client-output-buffer-limit", &limit)]);
    for _ in 0..20 {
        assert_eq!(aborted(&slow.publish()), []);
    }
    assert_eq!(aborted(&slow.say(SECOND, "UNSUBSCRIBE a")), [SECOND]);
}

#[test]
fn so_many_subscriptions_and_no_more() {
    let mut slow = Slow::new(&[("client-subscriptions-max", "5")]);
    let error = b"-ERR too many subscriptions for one client\r\n";
    slow.say(FIRST, "PSUBSCRIBE b c d e f");
    assert_eq!(slow.read(FIRST), error);
    slow.say(FIRST, "PSUBSCRIBE b c\r\nSSUBSCRIBE d\r\nSUBSCRIBE e\r\nSUBSCRIBE g");
    assert!(slow.read(FIRST).ends_with(error));
    slow.say(FIRST, "PUNSUBSCRIBE b");
    slow.read(FIRST);
    slow.say(FIRST, "SUBSCRIBE g");
    assert!(slow.read(FIRST).starts_with(b"*3\r\n$9\r\nsubscribe"));
}

#[test]
fn a_step_ends_when_it_has_written_much_to_others() {
    let mut slow = Slow::new(&[]);
    let payload = "x".repeat(60_000);
    let pipeline = format!("PUBLISH a {payload}\r\n").repeat(100);
    let mut bytes = BytesMut::from(pipeline.as_bytes());
    let before = bytes.len();
    let effects = slow.step(Input::Received { conn: PUBLISHER, bytes: &mut bytes });
    assert!(effects.contains(&Effect::Resume(PUBLISHER)), "{effects:?}");
    let ran = (before - bytes.len()) / (payload.len() + "PUBLISH a \r\n".len());
    // Two receivers: four megabytes are written after some 35 commands.
    assert!((30..40).contains(&ran), "{ran} commands in one step");
}

#[test]
fn subscriptions_are_counted_as_memory_of_their_client() {
    let mut slow = Slow::new(&[]);
    let memory = |slow: &Slow| slow.engine.state().sessions.find(FIRST).map(|s| s.memory_bytes());
    let before = memory(&slow).expect("it is there");
    let names: Vec<String> = (0..1000).map(|index| format!("channel-{index:04}")).collect();
    slow.say(FIRST, &format!("PSUBSCRIBE {}", names.join(" ")));
    slow.read(FIRST);
    let grown = memory(&slow).expect("it is there") - before;
    assert!(grown > 1000 * "channel-0000".len(), "{grown}");
    let registry = slow.engine.state().pubsub.memory_bytes();
    assert!(registry > 1000 * "channel-0000".len(), "{registry}");
    slow.say(FIRST, "PUNSUBSCRIBE");
    slow.read(FIRST);
    assert_eq!(memory(&slow), Some(before));
}

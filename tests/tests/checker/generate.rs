//! Random small histories: some that a server produced, some of those then falsified.

use orrery_sim::history::{
    Command, Condition, History, Operation, Outcome, Reply, SetCommand, Specification, Value,
};

use super::commands::{Clock, Keys, run};

/// A small generator of its own, so that a failure repeats from its seed for ever.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What kind of history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) specification: Specification,
    pub(crate) operations: u64,
    pub(crate) keys: u64,
    pub(crate) has_ttl: bool,
    /// By how much the generating server's clock may err on a span, in microseconds.
    pub(crate) clock_error_us: u64,
    /// How long before and after its instant an operation may be called and return.
    pub(crate) window_us: u64,
    /// One reply in so many is made up; 0 for none.
    pub(crate) lies: u64,
}

/// A clock like Redis's: whole milliseconds, a key lives through its last one. Its error wanders
/// between 0 and the bound, so that no span is off by more than the bound.
struct ServerClock {
    now_ms: i64,
    deadlines_ms: Vec<i64>,
}

impl Clock for ServerClock {
    fn set(&mut self, ttl_ms: i64) -> usize {
        self.deadlines_ms.push(self.now_ms + ttl_ms);
        self.deadlines_ms.len() - 1
    }
    fn is_alive(&mut self, deadline: usize) -> bool {
        self.now_ms <= self.deadlines_ms[deadline]
    }
    fn remaining_ms(&mut self, deadline: usize, _: Option<i64>) -> i64 {
        self.deadlines_ms[deadline] - self.now_ms
    }
    fn remaining_s(&mut self, deadline: usize, _: Option<i64>) -> i64 {
        (self.deadlines_ms[deadline] - self.now_ms + 500) / 1_000
    }
}

fn value(random: &mut Random) -> Value {
    Value::from(["1", "2", "12", "x"][random.below(4) as usize])
}

fn key(random: &mut Random, shape: &Shape) -> Value {
    Value::from(["a", "b", "c"][random.below(shape.keys) as usize])
}

fn ttl_ms(random: &mut Random) -> i64 {
    // Sometimes long enough for TTL to answer more than zero, sometimes invalid.
    [1, 2, 3, 4, 5, 7, 9, 600, 0][random.below(9) as usize]
}

fn set(random: &mut Random, shape: &Shape) -> SetCommand {
    let plain =
        SetCommand { key: key(random, shape), value: value(random), ..SetCommand::default() };
    if shape.specification != Specification::Redis {
        return plain;
    }
    SetCommand {
        ttl_ms: (shape.has_ttl && random.one_in(2)).then(|| ttl_ms(random)),
        condition: match random.below(6) {
            0 => Some(Condition::Nx),
            1 => Some(Condition::Xx),
            2 => Some(Condition::IfEq(value(random))),
            _ => None,
        },
        keep_ttl: false,
        get: random.one_in(4),
        ..plain
    }
}

fn command(random: &mut Random, shape: &Shape) -> Command {
    let key = key(random, shape);
    match (shape.specification, random.below(if shape.has_ttl { 15 } else { 11 })) {
        (_, 0..=1) => Command::Get { key },
        (_, 2..=3) => Command::Set(set(random, shape)),
        (Specification::Register, 4..) => {
            Command::Cas { key, from: value(random), to: value(random) }
        }
        (Specification::Kv, 4..) => Command::Append { key, value: value(random) },
        (Specification::Redis, 4) => Command::Append { key, value: value(random) },
        (Specification::Redis, 5) => Command::GetDel { key },
        (Specification::Redis, 6) => {
            let other = self::key(random, shape);
            let keys = if random.one_in(2) { vec![key, other] } else { vec![key] };
            if random.one_in(2) { Command::Del { keys } } else { Command::Exists { keys } }
        }
        (Specification::Redis, 7..=8) => {
            Command::IncrBy { key, by: [1, -1, i64::MAX][random.below(3) as usize] }
        }
        (Specification::Redis, 9) => {
            let other = self::key(random, shape);
            if random.one_in(2) {
                Command::MGet { keys: vec![key, other] }
            } else {
                Command::MSet { pairs: vec![(key, value(random)), (other, value(random))] }
            }
        }
        (Specification::Redis, 10) => {
            let one = Command::Set(set(random, shape));
            let other = Command::IncrBy { key, by: 1 };
            Command::Multi { commands: vec![one, other] }
        }
        (Specification::Redis, 11) => Command::Expire { key, ttl_ms: ttl_ms(random) },
        (Specification::Redis, 12) => Command::Persist { key },
        (Specification::Redis, 13) => Command::Pttl { key },
        (Specification::Redis, _) if random.one_in(3) => Command::Ttl { key },
        (Specification::Redis, _) => {
            let set = SetCommand { keep_ttl: true, ..set(random, shape) };
            // SET refuses KEEPTTL together with PX.
            Command::Set(SetCommand { ttl_ms: None, ..set })
        }
    }
}

fn lie(random: &mut Random, truth: Reply) -> Reply {
    match truth {
        Reply::Int(number) => {
            Reply::Int(number.wrapping_add([-1, 1, 2, 6][random.below(4) as usize]))
        }
        Reply::Nil if random.one_in(2) => Reply::Done,
        Reply::Bulk(_) if random.one_in(2) => Reply::Nil,
        Reply::Nil | Reply::Bulk(_) => Reply::Bulk(value(random)),
        Reply::Done if random.one_in(2) => Reply::Nil,
        other => other,
    }
}

/// A history that a server with the shape's clock error could have produced, but for the lies.
pub(crate) fn history(seed: u64, shape: Shape) -> History {
    let mut random = Random::new(seed);
    let mut keys = Keys::default();
    let mut clock = ServerClock { now_ms: 0, deadlines_ms: Vec::new() };
    let mut error_us: u64 = 0;
    let mut instant_us: u64 = 10_000;
    let mut operations = Vec::new();
    for id in 0..shape.operations {
        instant_us += random.below(3_000);
        if shape.clock_error_us > 0 && random.one_in(2) {
            // Never back: a server clock that runs back is judged by other tests.
            error_us =
                (error_us + random.below(shape.clock_error_us + 1)).min(shape.clock_error_us);
        }
        let server_us = i64::try_from(instant_us + error_us).unwrap();
        clock.now_ms = clock.now_ms.max(server_us.div_euclid(1_000));
        let command = command(&mut random, &shape);
        let call_us = instant_us - random.below(shape.window_us);
        let return_us = instant_us + random.below(shape.window_us);
        let fate = random.below(12);
        let mut outcome = Outcome::Info;
        // An unknown operation took effect in half of the cases, a failed one never.
        if fate == 0 && random.one_in(2) {
            outcome = Outcome::Fail;
        } else if fate != 0 || random.one_in(2) {
            let reply = run(shape.specification, &command, None, &mut keys, &mut clock);
            if fate > 1 {
                let is_lie = shape.lies > 0 && random.one_in(shape.lies);
                let reply = if is_lie { lie(&mut random, reply) } else { reply };
                outcome = Outcome::Ok(reply);
            }
        }
        let return_us = (outcome != Outcome::Info).then_some(return_us);
        operations.push(Operation { id, process: id, command, call_us, return_us, outcome });
    }
    History { specification: shape.specification, operations }
}

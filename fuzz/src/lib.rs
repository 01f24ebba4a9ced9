//! What the fuzz targets do with their bytes, so that tests can replay a finding without libFuzzer.
//!
//! Invariant: a target panics only if the engine is wrong.

use arbitrary::Arbitrary;
use bytes::BytesMut;
use orrery_engine::commands::generate::Generator;
use orrery_engine::rng::Rng;
use orrery_engine::{
    Config, ConnId, Effect, Effects, Engine, Input, Instant, Micros, Now, Origin, Seed, UnixMicros,
};

/// The clocks of a run stay within a few years, so that sums of TTLs stay meaningful.
const START_US: u64 = 1_700_000_000_000_000;
/// Small enough that a run of the fuzzer reaches the limits.
const BULK_BYTES_MAX: u64 = 1 << 20;

/// One conversation and the places where its bytes are cut.
#[derive(Arbitrary, Debug)]
pub struct Cuts<'a> {
    bytes: &'a [u8],
    cuts: Vec<u8>,
}

/// How the input is cut into pieces must not change a byte of the output.
pub fn cutting_does_not_matter(input: &Cuts<'_>) {
    if REPORTS_ON_ITSELF.iter().any(|word| contains_in_any_case(input.bytes, word)) {
        return;
    }
    let whole = Driver::new().converse(&[input.bytes]);
    let mut pieces = Vec::new();
    let mut rest = input.bytes;
    for &cut in &input.cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(whole, Driver::new().converse(&pieces), "cut as {:?}", input.cuts);
}

/// Commands that tell how many steps there were or how much was received: cutting shows in them.
const REPORTS_ON_ITSELF: [&[u8]; 4] = [b"info", b"client", b"memory", b"debug"];

fn contains_in_any_case(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// One thing that a driver may do.
#[derive(Arbitrary, Debug)]
pub enum Action<'a> {
    /// A client connects.
    Open(u8),
    /// A client sends bytes.
    Send(u8, &'a [u8]),
    /// A client sends a whole command.
    Command(u8, Vec<&'a [u8]>),
    /// A client sends a command drawn from the rows by this number, valid or nearly.
    Drawn(u8, u64),
    /// What was given out has left.
    Sent(u8, u16),
    /// A client goes.
    Close(u8),
    /// Both clocks advance.
    Wait(u32),
    /// The wall clock is set.
    SetWall(i32),
    /// The driver's timer fires.
    Tick,
}

/// Any sequence of inputs: no panic, structures whole, and the same sequence twice gives the same
/// state and output.
pub fn inputs_are_survived(actions: &[Action<'_>]) {
    let mut first = Driver::new();
    let mut second = Driver::new();
    for action in actions {
        let (a, b) = (first.act(action), second.act(action));
        assert_eq!(a, b, "the same input gave two outputs");
    }
    first.engine.check_invariants();
    assert_eq!(first.engine.digest(), second.engine.digest());
}

fn encode<T: AsRef<[u8]>>(words: &[T]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
        bytes.extend_from_slice(word.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

struct Driver {
    engine: Engine,
    fx: Effects,
    now: Now,
    inputs: Vec<Option<BytesMut>>,
    opened: u64,
    ids: [ConnId; 4],
}

impl Driver {
    fn new() -> Self {
        let now = Now { mono: Instant(1), wall: UnixMicros(START_US) };
        let config = Config { proto_max_bulk_len: BULK_BYTES_MAX, ..Config::default() };
        let inputs = vec![None, None, None, None];
        let engine = Engine::new(config, Seed(1), now);
        Self { engine, fx: Effects::new(), now, inputs, opened: 0, ids: [ConnId(0); 4] }
    }

    fn converse(mut self, pieces: &[&[u8]]) -> Vec<u8> {
        self.act(&Action::Open(0));
        let mut output = Vec::new();
        for piece in pieces {
            output.extend(self.act(&Action::Send(0, piece)));
        }
        self.engine.check_invariants();
        output
    }

    fn act(&mut self, action: &Action<'_>) -> Vec<u8> {
        match action {
            Action::Open(who) => self.open(usize::from(who % 4)),
            Action::Send(who, bytes) => return self.send(usize::from(who % 4), bytes),
            Action::Command(who, words) => {
                return self.send(usize::from(who % 4), &encode(words));
            }
            Action::Drawn(who, number) => {
                let mut rng = Rng::new(Seed(*number), "command");
                let mut generator = Generator::new(&mut rng, self.now.wall.as_millis());
                let row = generator.row();
                let words = generator.any(row);
                return self.send(usize::from(who % 4), &encode(&words));
            }
            Action::Sent(who, len) => {
                let conn = self.ids[usize::from(who % 4)];
                self.step(Input::Sent { conn, len: usize::from(*len) });
            }
            Action::Close(who) => self.close(usize::from(who % 4)),
            Action::Wait(us) => {
                self.now.mono = self.now.mono + Micros(u64::from(*us));
                self.now.wall = UnixMicros(self.now.wall.0 + u64::from(*us));
            }
            Action::SetWall(offset_ms) => {
                let offset_us = i64::from(*offset_ms) * 1000;
                self.now.wall = UnixMicros(START_US.saturating_add_signed(offset_us));
            }
            Action::Tick => self.step(Input::Tick),
        }
        Vec::new()
    }

    fn step(&mut self, input: Input<'_>) {
        self.engine.step(self.now, input, &mut self.fx);
    }

    fn open(&mut self, who: usize) {
        if self.inputs[who].is_none() {
            self.opened += 1;
            self.ids[who] = ConnId(self.opened);
            self.inputs[who] = Some(BytesMut::new());
            let origin = Origin::Unix { path: "fuzz".to_owned() };
            self.step(Input::Opened { conn: self.ids[who], origin });
        }
    }

    fn close(&mut self, who: usize) {
        if self.inputs[who].take().is_some() {
            self.step(Input::Closed { conn: self.ids[who] });
        }
    }

    fn send(&mut self, who: usize, bytes: &[u8]) -> Vec<u8> {
        let Some(mut input) = self.inputs[who].take() else { return Vec::new() };
        input.extend_from_slice(bytes);
        let conn = self.ids[who];
        let mut output = Vec::new();
        let mut closed = false;
        loop {
            self.engine.step(self.now, Input::Received { conn, bytes: &mut input }, &mut self.fx);
            self.engine.take_output(conn, &mut output);
            let mut again = false;
            for effect in self.fx.drain() {
                again |= effect == Effect::Resume(conn);
                closed |= effect == Effect::Close(conn);
            }
            if closed || !again {
                break;
            }
        }
        self.inputs[who] = Some(input);
        if closed {
            self.close(who);
        }
        output
    }
}

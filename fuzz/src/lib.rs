//! What the fuzz targets do with their bytes, so that tests can replay a finding without libFuzzer.
//!
//! Invariant: a target panics only if the engine is wrong.

mod acl;
mod aof_file;
mod config;
mod driver;
mod hyperloglog;
/// The disk of the workspace's tests, which this crate is not a part of.
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/src/memory_disk.rs"]
mod memory_disk;
mod packed;
mod rdb_file;
mod restore;
mod script_values;
mod scripts;
mod start;
mod stream;

use arbitrary::Arbitrary;
use orrery_engine::commands::generate::Generator;
use orrery_engine::rng::Rng;
use orrery_engine::{Input, Micros, Seed, UnixMicros};

pub use acl::rules_are_survived;
pub use aof_file::logs_are_survived;
pub use config::configurations_are_survived;
use driver::{Driver, START_US, encode};
pub use hyperloglog::sketches_are_survived;
pub use packed::packed_values_are_read;
pub use rdb_file::files_are_survived;
pub use restore::restored_values_behave;
pub use script_values::values_are_survived;
pub use scripts::{formats_are_survived, json_is_survived, packs_are_survived};
pub use start::starts_are_survived;
pub use stream::streams_are_survived;

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
const REPORTS_ON_ITSELF: [&[u8]; 5] = [b"info", b"client", b"memory", b"debug", b"acl"];

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

impl Driver {
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
}

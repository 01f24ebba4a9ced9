//! An engine with clocks that a target turns and up to four clients.

use bytes::BytesMut;
use orrery_engine::commands::generate::Generator;
use orrery_engine::commands::spec::{Flags, Group};
use orrery_engine::commands::table::{Row, table};
use orrery_engine::config::Access;
use orrery_engine::rng::Rng;
use orrery_engine::value::number::parse_integer;
use orrery_engine::{
    Config, ConnId, DiskError, DiskErrorKind, DiskOrder, Effect, Effects, Engine, Input, Instant,
    Now, Origin, Seed, UnixMicros,
};

/// The clocks of a run stay within a few years, so that sums of TTLs stay meaningful.
pub(crate) const START_US: u64 = 1_700_000_000_000_000;
/// Small enough that a run of the fuzzer reaches the limits.
const BULK_BYTES_MAX: u64 = 1 << 20;

/// Random picks are repeated so often at most.
const REPETITIONS_MIN: i64 = -1000;

/// A request as clients send it.
pub(crate) fn encode<T: AsRef<[u8]>>(words: &[T]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
        bytes.extend_from_slice(word.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A part whose length stands in two bytes before it, and the rest.
pub(crate) fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let [low, high, rest @ ..] = data else { return (data, &[]) };
    rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()))
}

/// A negative count asks for so many picks that may repeat: as many gigabytes as a client wants.
fn limit_repetitions(words: &mut [Vec<u8>]) {
    for word in words {
        if parse_integer(word).is_some_and(|count| count < REPETITIONS_MIN) {
            *word = REPETITIONS_MIN.to_string().into_bytes();
        }
    }
}

/// See the module.
pub(crate) struct Driver {
    pub(crate) engine: Engine,
    fx: Effects,
    pub(crate) now: Now,
    inputs: Vec<Option<BytesMut>>,
    opened: u64,
    pub(crate) ids: [ConnId; 4],
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self::of(Config { proto_max_bulk_len: BULK_BYTES_MAX, ..Config::default() })
    }

    /// With one client, who may use DEBUG.
    pub(crate) fn with_client() -> Self {
        let debug_command = Access::Yes;
        let config =
            Config { proto_max_bulk_len: BULK_BYTES_MAX, debug_command, ..Config::default() };
        let mut driver = Self::of(config);
        driver.open(0);
        driver
    }

    pub(crate) fn of(config: Config) -> Self {
        let now = Now { mono: Instant(1), wall: UnixMicros(START_US) };
        let inputs = vec![None, None, None, None];
        let engine = Engine::new(config, Seed(1), now);
        Self { engine, fx: Effects::new(), now, inputs, opened: 0, ids: [ConnId(0); 4] }
    }

    pub(crate) fn step(&mut self, input: Input<'_>) {
        self.engine.step(self.now, input, &mut self.fx);
    }

    pub(crate) fn open(&mut self, who: usize) {
        if self.inputs[who].is_none() {
            self.opened += 1;
            self.ids[who] = ConnId(self.opened);
            self.inputs[who] = Some(BytesMut::new());
            let origin = Origin::Unix { path: "fuzz".to_owned() };
            self.step(Input::Opened { conn: self.ids[who], origin });
        }
    }

    pub(crate) fn close(&mut self, who: usize) {
        if self.inputs[who].take().is_some() {
            self.step(Input::Closed { conn: self.ids[who] });
        }
    }

    pub(crate) fn send(&mut self, who: usize, bytes: &[u8]) -> Vec<u8> {
        let Some(mut input) = self.inputs[who].take() else { return Vec::new() };
        input.extend_from_slice(bytes);
        let conn = self.ids[who];
        let mut output = Vec::new();
        let mut closed = false;
        loop {
            self.engine.step(self.now, Input::Received { conn, bytes: &mut input }, &mut self.fx);
            self.engine.take_output(conn, &mut output);
            let mut again = false;
            let effects: Vec<Effect> = self.fx.drain().collect();
            for effect in effects {
                again |= effect == Effect::Resume(conn);
                closed |= effect == Effect::Close(conn);
                if let Effect::Disk(DiskOrder { ticket, .. }) = effect {
                    self.step(Input::Disk { ticket, result: Err(no_disk()) });
                    again = true;
                }
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

    /// What the engine wants done since it was last asked.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        self.fx.drain().collect()
    }

    /// Asks something of which the answer may take long: its effects are for whoever calls.
    pub(crate) fn ask<T: AsRef<[u8]>>(&mut self, words: &[T]) -> Vec<u8> {
        self.open(0);
        let (conn, mut bytes) = (self.ids[0], BytesMut::from(&encode(words)[..]));
        self.step(Input::Received { conn, bytes: &mut bytes });
        let mut output = Vec::new();
        self.take_output(&mut output);
        output
    }

    /// What the client has been told since.
    pub(crate) fn take_output(&mut self, output: &mut Vec<u8>) {
        self.engine.take_output(self.ids[0], output);
    }

    /// Runs a command of the client that [`Self::with_client`] has connected.
    pub(crate) fn run<T: AsRef<[u8]>>(&mut self, words: &[T]) -> Vec<u8> {
        self.open(0);
        self.send(0, &encode(words))
    }

    /// Runs a script to its end, which may take more than a step.
    pub(crate) fn run_script<T: AsRef<[u8]>>(&mut self, words: &[T]) -> Vec<u8> {
        const STEPS_MAX: usize = 10_000;
        let mut reply = self.run(words);
        for _ in 0..STEPS_MAX {
            if !reply.is_empty() {
                break;
            }
            self.engine.step(self.now, Input::Tick, &mut self.fx);
            self.fx.drain().for_each(drop);
            self.engine.take_output(self.ids[0], &mut reply);
        }
        reply
    }

    /// Runs commands of these groups, valid or nearly, that `number` chooses; none that blocks.
    pub(crate) fn run_drawn(&mut self, number: u64, groups: &[Group], keys: u64, count: usize) {
        let fits = |row: &&Row| {
            row.subcommands.is_empty()
                && groups.contains(&row.command.group)
                && !row.command.flags.has(Flags::BLOCKING)
        };
        let rows: Vec<&Row> = table().rows().iter().filter(fits).collect();
        let mut rng = Rng::new(Seed(number), "command");
        for _ in 0..if rows.is_empty() { 0 } else { count } {
            let row = rows[rng.below(rows.len() as u64) as usize];
            let mut generator = Generator::new(&mut rng, self.now.wall.as_millis());
            generator.keys = keys;
            let mut words = generator.any(row);
            if row.command.name.contains("RAND") {
                limit_repetitions(&mut words);
            }
            self.run(&words);
        }
    }

    /// The payload that DUMP gives for a key, if it exists.
    pub(crate) fn dump(&mut self, key: &str) -> Option<Vec<u8>> {
        let reply = self.run(&["DUMP", key]);
        let after = reply.strip_prefix(b"$")?;
        let end = after.windows(2).position(|pair| pair == b"\r\n")?;
        let len: usize = str::from_utf8(&after[..end]).ok()?.parse().ok()?;
        Some(after[end + 2..][..len].to_vec())
    }
}

/// What becomes of every order for files.
fn no_disk() -> DiskError {
    DiskError { at: 0, kind: DiskErrorKind::NotFound, text: "there is no disk".to_owned() }
}

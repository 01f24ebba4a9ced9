//! Reading a file of an append-only log piece by piece, as its bytes arrive.
//!
//! Invariants: how the bytes are cut into pieces never changes what is read. Nothing is held
//! between two calls but a few numbers; a record that is not whole yet is asked for again with more
//! behind it, at least twice as much, so that no byte is looked at more than a few times.

use super::record::{Fault, Limits, Record, Scan, Stop};
use super::strtol::strtol;
use crate::args::{Args, Span};
use crate::value::rdb::{self, FileReader, Progress};

/// How many bytes a call should have at least, where nothing larger is known to be there.
const WANTED_MIN: usize = 64 << 10;
/// What an RDB file begins with.
const SIGNATURES: [&[u8]; 2] = [b"REDIS", b"VALKEY"];
/// Spans whose room is kept for the next call.
const SPARE_SPANS_MAX: usize = 1 << 12;

/// Takes what is read: the keys of a snapshot at the start of the file, and the records behind.
pub trait Receive: rdb::Receive {
    /// A command, whose bytes begin at this place of the file. Those between a MULTI and its EXEC
    /// are to be run when that comes: the file may end before. An error ends the reading.
    fn command(&mut self, offset: u64, words: Args<'_>) -> Result<(), String>;
    /// An annotation without its line end; [`timestamp_of`] reads those that tell the time. An
    /// error ends the reading.
    fn annotation(&mut self, offset: u64, text: &[u8]) -> Result<(), String>;
}

/// A file that cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where the part begins that is wrong, in bytes from the start of the file.
    pub offset: u64,
    /// Up to where the file is good: whole records, and no transaction without its end.
    pub good_up_to: u64,
    /// Lines and words before what is wrong, as `redis-check-aof` counts them, from 0.
    pub lines: u64,
    /// What is wrong.
    pub reason: String,
    /// How it came, as far as one can tell.
    pub damage: Damage,
}

/// The kinds of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file ends too early: whoever wrote it was stopped. What is behind `good_up_to` was never
    /// whole.
    Cut,
    /// There is something that no server writes: there may be good records behind it.
    Corrupt,
    /// It is in the snapshot: nothing behind it can be used.
    Snapshot,
    /// Whoever takes the records has refused one.
    Refused,
}

/// The time that an annotation tells, in seconds since the epoch: `None` if it tells something
/// else, and an error if it should tell the time and does not.
pub fn timestamp_of(annotation: &[u8]) -> Option<Result<i64, InvalidTimestamp>> {
    let text = annotation.strip_prefix(b"#TS:")?;
    let (value, len) = strtol(text);
    Some(if len == text.len() { Ok(value) } else { Err(InvalidTimestamp) })
}

/// An annotation of the time that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTimestamp;

/// Which part of the file is being read.
enum Stage {
    Beginning,
    Snapshot(Box<FileReader>),
    Records,
}

/// Where reading stands.
pub struct AofReader {
    limits: Limits,
    stage: Stage,
    offset: u64,
    snapshot_bytes: u64,
    lines: u64,
    /// Where the transaction begins that has not ended.
    transaction: Option<u64>,
    spans: Vec<Span>,
}

impl Default for AofReader {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl AofReader {
    /// A reader at the start of a file.
    pub fn new(limits: Limits) -> Self {
        let (stage, spans) = (Stage::Beginning, Vec::new());
        Self { limits, stage, offset: 0, snapshot_bytes: 0, lines: 0, transaction: None, spans }
    }

    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Up to where the file is good: behind the last record that is in no open transaction.
    pub fn good_up_to(&self) -> u64 {
        match self.stage {
            Stage::Records => self.transaction.unwrap_or(self.offset),
            _ => 0,
        }
    }

    /// Lines and words of commands that were read.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many bytes are those of a snapshot that the file begins with, as far as it was read.
    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshot_bytes
    }

    /// Whether the snapshot was read to its end, if there is one.
    pub fn is_behind_snapshot(&self) -> bool {
        matches!(self.stage, Stage::Records)
    }

    /// Reads on until the bytes end or so many are taken. `is_all`: nothing comes behind the bytes;
    /// then the file is whole when all of them were taken without an error.
    pub fn read(
        &mut self,
        bytes: &[u8],
        taken_max: usize,
        is_all: bool,
        receiver: &mut impl Receive,
    ) -> Result<Progress, Broken> {
        let mut taken = 0;
        let mut wanted = WANTED_MIN;
        while taken < taken_max {
            let rest = &bytes[taken..];
            match self.part(rest, taken_max - taken, is_all, receiver)? {
                Step::Taken(len) => taken += len,
                Step::Wanted(len) => {
                    wanted = len.max(rest.len().saturating_mul(2)).max(WANTED_MIN);
                    break;
                }
                Step::Ended => return Ok(Progress { taken, wanted: 0 }),
            }
        }
        if self.spans.capacity() > SPARE_SPANS_MAX {
            self.spans = Vec::new();
        }
        Ok(Progress { taken, wanted })
    }

    fn part(
        &mut self,
        bytes: &[u8],
        taken_max: usize,
        is_all: bool,
        receiver: &mut impl Receive,
    ) -> Result<Step, Broken> {
        match &mut self.stage {
            Stage::Beginning => {
                let may_become = |start: &[u8]| start.starts_with(bytes);
                if SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) {
                    self.stage = Stage::Snapshot(Box::default());
                } else if !is_all && SIGNATURES.into_iter().any(may_become) {
                    return Ok(Step::Wanted(0));
                } else {
                    self.stage = Stage::Records;
                }
                Ok(Step::Taken(0))
            }
            Stage::Snapshot(reader) => {
                let read = reader.read(bytes, taken_max, is_all, receiver);
                let progress = read.map_err(|rdb::Broken { offset, reason }| Broken {
                    offset,
                    good_up_to: 0,
                    lines: 0,
                    reason,
                    damage: Damage::Snapshot,
                })?;
                self.offset = reader.offset();
                self.snapshot_bytes = self.offset;
                if reader.has_ended() {
                    self.stage = Stage::Records;
                } else if progress.taken == 0 {
                    return Ok(Step::Wanted(progress.wanted));
                }
                Ok(Step::Taken(progress.taken))
            }
            Stage::Records if bytes.is_empty() => self.end(is_all),
            Stage::Records => self.record(bytes, is_all, receiver),
        }
    }

    /// There are no more bytes.
    fn end(&self, is_all: bool) -> Result<Step, Broken> {
        if !is_all {
            return Ok(Step::Wanted(0));
        }
        match self.transaction {
            None => Ok(Step::Ended),
            Some(good_up_to) => Err(Broken {
                offset: self.offset,
                good_up_to,
                lines: self.lines,
                reason: "Reached EOF before reading EXEC for MULTI".to_owned(),
                damage: Damage::Cut,
            }),
        }
    }

    fn record(
        &mut self,
        bytes: &[u8],
        is_all: bool,
        receiver: &mut impl Receive,
    ) -> Result<Step, Broken> {
        let mut spans = core::mem::take(&mut self.spans);
        let mut scan = Scan::new(bytes, is_all);
        let scanned = scan.record(self.limits, &mut spans);
        let (len, lines) = scan.extent();
        let received = match scanned {
            Err(Stop::Short(wanted)) => {
                self.spans = spans;
                return Ok(Step::Wanted(wanted));
            }
            Err(Stop::Cut(fault)) => return Err(self.broken(fault, Damage::Cut)),
            Err(Stop::Wrong(fault)) => return Err(self.broken(fault, Damage::Corrupt)),
            Ok(Record::Annotation(span)) => receiver.annotation(self.offset, &bytes[..span.len]),
            Ok(Record::Command) => {
                let words = Args::new(bytes, &spans);
                let at = spans.first().map_or(0, |name| name.start);
                let fault = |reason: &str| Fault { at, lines: 3, reason: reason.to_owned() };
                match transaction_after(words, self.transaction, self.offset) {
                    Ok(transaction) => self.transaction = transaction,
                    Err(reason) => return Err(self.broken(fault(reason), Damage::Corrupt)),
                }
                receiver.command(self.offset, words)
            }
        };
        if let Err(reason) = received {
            return Err(self.broken(Fault { at: 0, lines: 0, reason }, Damage::Refused));
        }
        self.spans = spans;
        self.offset += len as u64;
        self.lines += lines;
        Ok(Step::Taken(len))
    }

    fn broken(&self, fault: Fault, damage: Damage) -> Broken {
        Broken {
            offset: self.offset + fault.at as u64,
            good_up_to: self.good_up_to(),
            lines: self.lines + fault.lines,
            reason: fault.reason,
            damage,
        }
    }
}

/// What one step of reading comes to.
enum Step {
    /// So many bytes are done with; none, when another part of the file begins.
    Taken(usize),
    /// There should be so many bytes; zero: more.
    Wanted(usize),
    /// That was the end of the file.
    Ended,
}

/// Where the transaction begins that a command at `offset` leaves open.
fn transaction_after(
    words: Args<'_>,
    before: Option<u64>,
    offset: u64,
) -> Result<Option<u64>, &'static str> {
    match before {
        None if words.is(0, "MULTI") => Ok(Some(offset)),
        None if words.is(0, "EXEC") => Err("Unexpected EXEC in AOF"),
        Some(_) if words.is(0, "MULTI") => Err("Unexpected MULTI in AOF"),
        Some(_) if words.is(0, "EXEC") => Ok(None),
        _ => Ok(before),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::rdb::{Corrupt, Head, SHORT, Value};

    /// What was received, as text.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Log(Vec<String>);

    impl Receive for Log {
        fn command(&mut self, offset: u64, words: Args<'_>) -> Result<(), String> {
            self.0.push(format!("{offset} {words:?}"));
            if words.is(0, "REFUSED") { Err("refused".to_owned()) } else { Ok(()) }
        }

        fn annotation(&mut self, offset: u64, text: &[u8]) -> Result<(), String> {
            self.0.push(format!("{offset} {}", text.escape_ascii()));
            Ok(())
        }
    }

    impl rdb::Receive for Log {
        fn aux(&mut self, _: u64, _: &[u8], _: &[u8]) -> Result<(), Corrupt> {
            Ok(())
        }

        fn library(&mut self, _: &[u8]) -> Result<(), Corrupt> {
            Ok(())
        }

        fn database(&mut self, offset: u64, index: u64) -> Result<(), Corrupt> {
            self.0.push(format!("{offset} database {index}"));
            Ok(())
        }

        fn sizes(&mut self, _: u64, _: u64) -> Result<(), Corrupt> {
            Ok(())
        }

        fn key(
            &mut self,
            _: u64,
            _: &Head,
            key: &[u8],
            value: Value<'_>,
        ) -> Result<usize, Corrupt> {
            let len = 1 + usize::from(*value.rest.first().ok_or(SHORT)?);
            let text = value.rest.get(1..len).ok_or(SHORT)?;
            self.0.push(format!("key {} {}", key.escape_ascii(), text.escape_ascii()));
            Ok(len)
        }
    }

    /// Reads pieces of these lengths, and then the rest.
    fn read(bytes: &[u8], pieces: &[usize]) -> (Log, Result<u64, Broken>) {
        let (mut log, mut reader) = (Log::default(), AofReader::default());
        let (mut taken, mut given) = (0, 0);
        let mut pieces = pieces.iter();
        loop {
            given = pieces.next().map_or(bytes.len(), |len| bytes.len().min(given + len));
            let is_all = given == bytes.len();
            match reader.read(&bytes[taken..given], usize::MAX, is_all, &mut log) {
                Ok(progress) => {
                    taken += progress.taken;
                    if is_all {
                        assert_eq!((taken, progress.wanted), (bytes.len(), 0));
                        return (log, Ok(reader.good_up_to()));
                    }
                }
                Err(broken) => return (log, Err(broken)),
            }
        }
    }

    const GET: &str = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    const MULTI: &str = "*1\r\n$5\r\nmulti\r\n";
    const EXEC: &str = "*1\r\n$4\r\nEXEC\r\n";
    const SNAPSHOT: &[u8] = b"REDIS0003\xfe\x00\x00\x01k\x01v\xff";

    /// Offset, end of what is good, kind of damage, a part of the reason.
    type Expected<'a> = Result<u64, (u64, u64, Damage, &'a str)>;

    #[track_caller]
    fn check(text: &str, expected: Expected<'_>) {
        let (_, found) = read(text.as_bytes(), &[]);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err((offset, good_up_to, damage, reason))) => {
                assert!(found.reason.contains(reason), "{found:?}");
                assert_eq!(
                    (found.offset, found.good_up_to, found.damage),
                    (offset, good_up_to, damage)
                );
            }
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn files_are_good_up_to_somewhere() {
        check("", Ok(0));
        check(GET, Ok(20));
        check(&format!("#TS:1\r\n{GET}# x\n"), Ok(31));
        check(&format!("{MULTI}{GET}{EXEC}"), Ok(49));
        check("*1\r\n$ 004\r\nPING\r\n*+1\r\n$\r\n\r\n", Ok(27));
        let cut = |offset, good, reason| Err((offset, good, Damage::Cut, reason));
        check(&format!("{GET}{MULTI}{GET}"), cut(55, 20, "before reading EXEC"));
        check(&format!("{GET}{}", &GET[..19]), cut(37, 20, "to read 3 bytes, got 2"));
        check(&format!("{GET}*"), cut(20, 20, "got: 0000"));
        check(&format!("{GET}*2\r"), cut(20, 20, "got: 0d00"));
        check(&format!("{GET}*2\r\n"), cut(24, 20, "middle of a command"));
        check(&format!("{GET}#TS:1"), cut(20, 20, "middle of an annotation"));
        let wrong = |offset, good, reason| Err((offset, good, Damage::Corrupt, reason));
        check(&format!("{GET}GET k\r\n"), wrong(20, 20, "format error"));
        check(&format!("{GET}*x"), wrong(20, 20, "got: 7800"));
        check(&format!("{GET}*0\r\n"), wrong(20, 20, "0 words"));
        check(&format!("{GET}*-1\r\n"), wrong(20, 20, "-1 words"));
        check("*1\r\n:4\r\nPING\r\n", wrong(4, 0, "Expected prefix '$', got: ':'"));
        check("*1\r\n$3\r\nPING\r\n", wrong(8, 0, "got: 470d"));
        check("*1\r\n$-3\r\nPING\r\n", wrong(4, 0, "string of -3 bytes"));
        check("*1\r\n$99999999999\r\n", wrong(4, 0, "not in the suitable range"));
        check(&format!("{MULTI}{MULTI}"), wrong(23, 0, "Unexpected MULTI"));
        check(&format!("{GET}{EXEC}"), wrong(28, 20, "Unexpected EXEC"));
        check(&format!("#{}\n", "x".repeat(1022)), wrong(0, 0, "annotation is too long"));
        check(&format!("*{}1\r\n", "0".repeat(200)), wrong(0, 0, "got: 0000"));
        check("*1\r\n$7\r\nREFUSED\r\n", Err((0, 0, Damage::Refused, "refused")));
    }

    #[test]
    fn a_snapshot_may_stand_before_commands() {
        let whole = [SNAPSHOT, GET.as_bytes()].concat();
        let (log, result) = read(&whole, &[]);
        assert_eq!(result, Ok(whole.len() as u64));
        assert_eq!(log.0, ["9 database 0", "key k v", "17 [\"GET\", \"k\"]"]);
        let (_, result) = read(&whole[..14], &[]);
        let broken = result.unwrap_err();
        assert_eq!((broken.damage, broken.good_up_to), (Damage::Snapshot, 0));
        let (_, result) = read(&whole[..whole.len() - 1], &[]);
        assert_eq!(result.unwrap_err().good_up_to, 17);
        for len in 1..9 {
            let (_, result) = read(&whole[..len], &[]);
            assert!(result.is_err(), "{len} bytes");
        }
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { word_bytes_max: 4, command_bytes_max: 30 };
        for (text, reason) in [
            ("*1\r\n$5\r\n", "string of 5 bytes"),
            ("*9\r\n$4\r\nPING\r\n$4\r\nPING\r\n$4\r\n", "too long"),
        ] {
            let mut reader = AofReader::new(limits);
            let read = reader.read(text.as_bytes(), usize::MAX, false, &mut Log::default());
            let broken = read.unwrap_err();
            assert!(broken.reason.contains(reason), "{broken:?}");
        }
    }

    #[test]
    fn what_is_taken_at_once_has_a_bound_and_what_is_wanted_is_told() {
        let text = GET.repeat(10);
        let (mut log, mut reader) = (Log::default(), AofReader::default());
        let progress = reader.read(text.as_bytes(), 50, true, &mut log).unwrap();
        assert_eq!((progress.taken, log.0.len()), (60, 3));
        assert!(progress.wanted > 0, "there is more");
        let long = "*1\r\n$1000000\r\nxxx";
        let progress = AofReader::default().read(long.as_bytes(), 50, false, &mut log).unwrap();
        assert_eq!((progress.taken, progress.wanted), (0, 1_000_016));
    }

    #[test]
    fn annotations_tell_the_time() {
        assert_eq!(timestamp_of(b"#TS:1795229783"), Some(Ok(1_795_229_783)));
        assert_eq!(timestamp_of(b"#TS:1x"), Some(Err(InvalidTimestamp)));
        assert_eq!(timestamp_of(b"# a comment"), None);
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(GET.as_bytes().to_vec()),
            Just(MULTI.as_bytes().to_vec()),
            Just(EXEC.as_bytes().to_vec()),
            Just(b"#TS:12\r\n".to_vec()),
            Just(SNAPSHOT.to_vec()),
            (0..300_usize)
                .prop_map(|len| format!("*1\r\n${len}\r\n{}\r\n", "x".repeat(len)).into()),
            proptest::collection::vec(any::<u8>(), 0..8),
        ];
        let damage = proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 0..4);
        (proptest::collection::vec(part, 0..12), damage).prop_map(|(parts, damage)| {
            let mut bytes = parts.concat();
            for (at, bit) in damage {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1_u8 << bit;
                }
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn pieces_never_matter(
            bytes in bytes(),
            pieces in proptest::collection::vec(prop_oneof![Just(1), 0..40_usize], 0..300),
        ) {
            prop_assert_eq!(read(&bytes, &pieces), read(&bytes, &[]));
        }

        #[test]
        fn what_is_good_reads_as_good_and_as_the_same(bytes in bytes()) {
            let (log, result) = read(&bytes, &[]);
            let good_up_to = match result {
                Ok(good_up_to) => good_up_to,
                Err(broken) => {
                    prop_assert!(broken.good_up_to <= broken.offset);
                    broken.good_up_to
                }
            };
            let (again, result) = read(&bytes[..good_up_to as usize], &[]);
            prop_assert_eq!(result, Ok(good_up_to));
            prop_assert!(log.0.starts_with(&again.0));
        }
    }
}

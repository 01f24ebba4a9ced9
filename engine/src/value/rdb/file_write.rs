//! Writing an RDB file piece by piece: header, what the server says of itself, functions, keys of
//! any database in any order, checksum.
//!
//! Invariant: what [`FileWriter::take`] gave, one after the other, is a file that
//! [`super::FileReader`] and the servers that the target names read.

use crc::{Digest, Table};

use super::envelope::CHECKSUM;
use super::header::header;
use super::{Element, Head, Saver, Target, opcodes};

/// Room that is made for what will be taken next.
const ROOM_BYTES_MAX: usize = 128 << 10;

/// A file in the making.
pub struct FileWriter {
    saver: Saver,
    /// What the header says.
    version: u16,
    /// `None`: the file says that it has no checksum.
    checksum: Option<Digest<'static, u64, Table<16>>>,
    /// The database that the last key was of.
    db: Option<usize>,
}

impl FileWriter {
    /// A file for these readers; `version` is at least what its keys need, and no less than the
    /// target's.
    pub fn new(target: Target, version: u16, compress: bool, with_checksum: bool) -> Self {
        let mut saver = Saver::new(target, compress);
        saver.needs(version);
        saver.writer.out.extend_from_slice(&header(saver.version));
        let version = core::mem::replace(&mut saver.version, target.version());
        saver.expect_keys();
        let checksum = with_checksum.then(|| CHECKSUM.digest());
        Self { saver, version, checksum, db: None }
    }

    /// Something that the server says of itself.
    pub fn aux(&mut self, name: &str, value: &str) {
        let writer = &mut self.saver.writer;
        writer.byte(opcodes::AUX);
        writer.text(Element::Bytes(name.as_bytes()));
        writer.text(Element::Bytes(value.as_bytes()));
    }

    /// The text of a library of functions.
    pub fn library(&mut self, text: &[u8]) {
        self.saver.writer.byte(opcodes::LIBRARY);
        self.saver.writer.text(Element::Bytes(text));
    }

    /// How many keys a database has, and how many of them expire: readers make room for them.
    pub fn sizes(&mut self, db: usize, keys: usize, deadlines: usize) {
        self.select(db);
        let writer = &mut self.saver.writer;
        writer.byte(opcodes::SIZES);
        writer.count(keys);
        writer.count(deadlines);
    }

    fn select(&mut self, db: usize) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.saver.writer.byte(opcodes::DATABASE);
            self.saver.writer.count(db);
        }
    }

    /// Begins a key. Whoever calls writes exactly one value to what is given back.
    pub fn key(&mut self, db: usize, key: &[u8], head: &Head) -> &mut Saver {
        self.select(db);
        let writer = &mut self.saver.writer;
        if let Some(deadline_ms) = head.deadline_ms {
            writer.byte(opcodes::DEADLINE_MS);
            writer.millis(i64::try_from(deadline_ms).unwrap_or(i64::MAX));
        }
        if let Some(seconds) = head.idle_secs {
            writer.byte(opcodes::IDLE);
            writer.length(seconds);
        }
        if let Some(frequency) = head.frequency {
            writer.byte(opcodes::FREQUENCY);
            writer.byte(frequency);
        }
        self.saver.name(key);
        &mut self.saver
    }

    /// Goes on with the value that was begun last.
    pub fn same_key(&mut self) -> &mut Saver {
        &mut self.saver
    }

    /// The version that the keys so far need.
    pub fn version_needed(&self) -> u16 {
        self.saver.version
    }

    /// Whether the keys need a newer version than the header says: then the file is of no use.
    pub fn is_too_old(&self) -> bool {
        self.saver.version > self.version
    }

    /// How many bytes there are to take.
    pub fn len(&self) -> usize {
        self.saver.writer.out.len()
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.saver.writer.out.is_empty()
    }

    /// What was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        let out = &mut self.saver.writer.out;
        // The next piece will be about as long.
        let room =
            if out.len() > out.capacity() / 2 { out.capacity().min(ROOM_BYTES_MAX) } else { 0 };
        let bytes = core::mem::replace(out, Vec::with_capacity(room));
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes);
        }
        bytes
    }

    /// The rest, with the end and the checksum.
    pub fn finish(mut self) -> Vec<u8> {
        self.saver.writer.byte(opcodes::END);
        let mut bytes = self.take();
        let checksum = self.checksum.map_or(0_u64, |checksum| checksum.finalize());
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Broken, Corrupt, FileReader, Item, Receive, Value, load_front};
    use super::*;

    /// What was read, as lines.
    #[derive(Default)]
    struct Lines(Vec<String>);

    impl Lines {
        fn add(&mut self, line: String) -> Result<(), Corrupt> {
            self.0.push(line);
            Ok(())
        }
    }

    impl Receive for Lines {
        fn aux(&mut self, _: u64, name: &[u8], value: &[u8]) -> Result<(), Corrupt> {
            self.add(format!("aux {} {}", name.escape_ascii(), value.escape_ascii()))
        }

        fn library(&mut self, text: &[u8]) -> Result<(), Corrupt> {
            self.add(format!("library {}", text.escape_ascii()))
        }

        fn database(&mut self, _: u64, index: u64) -> Result<(), Corrupt> {
            self.add(format!("db {index}"))
        }

        fn sizes(&mut self, keys: u64, deadlines: u64) -> Result<(), Corrupt> {
            self.add(format!("sizes {keys} {deadlines}"))
        }

        fn key(
            &mut self,
            _: u64,
            head: &Head,
            key: &[u8],
            value: Value<'_>,
        ) -> Result<usize, Corrupt> {
            let mut items = Vec::new();
            let len = load_front(value, &mut |item| {
                if let Item::String(element) | Item::SetMember(element) = item {
                    items.push(element.to_vec().escape_ascii().to_string());
                }
                Ok(())
            })?;
            let Head { deadline_ms, idle_secs, frequency } = head;
            let head = format!("{deadline_ms:?} {idle_secs:?} {frequency:?}");
            self.add(format!("{} {head}: {}", key.escape_ascii(), items.join(" ")))?;
            Ok(len)
        }
    }

    /// Reads with so many bytes at first, and more as they are asked for.
    fn read(file: &[u8], first: usize) -> Result<Vec<String>, Broken> {
        let (mut reader, mut lines) = (FileReader::default(), Lines::default());
        let (mut start, mut wanted) = (0, first);
        while !reader.has_ended() {
            let end = file.len().min(start + wanted);
            let progress =
                reader.read(&file[start..end], usize::MAX, end == file.len(), &mut lines)?;
            start += progress.taken;
            wanted = if progress.taken == 0 { progress.wanted } else { first };
        }
        assert_eq!(reader.offset(), start as u64);
        if start < file.len() {
            return Err(Broken { offset: start as u64, reason: "more behind the end".to_owned() });
        }
        Ok(lines.0)
    }

    fn file(target: Target, compress: bool, with_checksum: bool) -> Vec<u8> {
        let mut file = FileWriter::new(target, 0, compress, with_checksum);
        file.aux("redis-ver", "7.2.0");
        file.library(b"#!lua name=x");
        file.sizes(0, 2, 1);
        let mut bytes = file.take();
        file.key(0, b"k", &Head::default()).string(Element::Integer(7));
        let head = Head { deadline_ms: Some(1 << 41), idle_secs: Some(70), ..Head::default() };
        let long = b"long".repeat(50);
        file.key(0, &long, &head).string(Element::Bytes(&long));
        bytes.extend(file.take());
        let head = Head { frequency: Some(5), ..Head::default() };
        let members = [b"a", b"b"].map(|member| Element::Bytes(member));
        file.key(3, b"", &head).set(2, members.into_iter());
        file.key(0, b"12", &Head::default()).string(Element::Bytes(b""));
        bytes.extend(file.finish());
        bytes
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        let long = "long".repeat(50);
        let expected = [
            "aux redis-ver 7.2.0",
            "library #!lua name=x",
            "db 0",
            "sizes 2 1",
            "k None None None: 7",
            &format!("{long} Some(2199023255552) Some(70) None: {long}"),
            "db 3",
            " None None Some(5): a b",
            "db 0",
            "12 None None None: ",
        ];
        for (target, compress) in [(Target::Redis70, false), (Target::Redis72, true)] {
            for with_checksum in [false, true] {
                let file = file(target, compress, with_checksum);
                for first in [1, 2, 7, 100, 1000] {
                    assert_eq!(read(&file, first).unwrap(), expected, "{first} bytes at a time");
                }
            }
        }
    }

    #[test]
    fn a_damaged_file_is_refused_at_a_place_of_its_own() {
        let file = file(Target::Redis72, true, true);
        for at in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            let broken = read(&damaged, 10_000).expect_err("a bit was changed");
            assert!(broken.offset < file.len() as u64 && !broken.reason.is_empty(), "bit {at}");
        }
        for len in 0..file.len() {
            assert!(read(&file[..len], 10_000).is_err(), "cut to {len} bytes");
        }
    }

    #[test]
    fn modules_are_refused_by_name() {
        let header = b"REDIS0011";
        // What RedisBloom calls its filters: MBbloom--, of version 4.
        let id = b"\x81\x30\x16\xe5\xa2\x89\xbe\xf8\x04";
        for (front, what) in [(&b"\x07\x01k"[..], "a value"), (b"\xf7", "data beside keys")] {
            let broken = read(&[header, front, id, b"more"].concat(), 1000).unwrap_err();
            assert!(broken.reason.contains(what), "{}", broken.reason);
            assert!(broken.reason.contains("'MBbloom--'"), "{}", broken.reason);
            assert_eq!(broken.offset, 9);
        }
    }
}

//! A walk in pieces over big values, while commands change them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::config::Encodings;
use crate::evict::Usage;
use crate::keyspace::{Gave, Kept, Keyspace, NewValue, Undo, Value};
use crate::rng::{Rng, Seed};
use crate::snapshot::{file, save};
use crate::time::UnixMillis;
use crate::value::collection::Collection;
use crate::value::hash::{self, Hash, NewDeadline};
use crate::value::list::{self, List, Side};
use crate::value::rdb::{
    self, Corrupt, Dialect, FileReader, FileWriter, Head, Item, Kind, Receive, Target,
};
use crate::value::set::{self, Set};
use crate::value::stream::{self, IdRequest, References, Stream, StreamId};
use crate::value::zset::{self, Zset};

const DATABASES: usize = 2;
const KINDS: [&str; 6] = ["list", "set", "hash", "zset", "stream", "string"];
const HASH_KEY: (u64, u64) = (1, 2);
/// So many elements make a value that is given out in pieces.
const ELEMENTS: u64 = 3000;
/// What one part of a value that is copied may take, and a little for notes.
const PART_BYTES_MAX: usize = 4 << 20;

/// Database and key: the elements as lines, in order if the type has one, and the deadline.
type Picture = BTreeMap<(u64, Vec<u8>), (Vec<String>, Option<u64>)>;

/// Turns the items of a value into lines.
fn lines(value: rdb::Value<'_>) -> Result<(Vec<String>, usize), Corrupt> {
    let mut lines = Vec::new();
    let text = |element: rdb::Element<'_>| element.to_vec().escape_ascii().to_string();
    let len = rdb::load_front(value, &mut |item| {
        lines.push(match item {
            Item::String(element) | Item::ListElement(element) | Item::SetMember(element) => {
                text(element)
            }
            Item::HashField { field, value, deadline_ms } => {
                format!("{}={} {deadline_ms:?}", text(field), text(value))
            }
            Item::ZsetMember { member, score } => format!("{}={score:?}", text(member)),
            Item::StreamEntry { is_deleted: true, .. } => return Ok(()),
            // How entries are put into blocks is for the writer to say.
            Item::StreamEntry { id, fields, .. } => {
                let fields = fields.iter().map(|(a, b)| text(*a) + "=" + &text(*b));
                format!("{id:?} {}", fields.collect::<Vec<_>>().join(" "))
            }
            other => format!("{other:?}"),
        });
        Ok(())
    })?;
    if matches!(rdb::kind(value.type_byte, value.dialect)?, Kind::Set | Kind::Hash | Kind::Zset) {
        lines.sort();
    }
    Ok((lines, len))
}

/// What a file says.
#[derive(Default)]
struct Read {
    db: u64,
    picture: Picture,
}

impl Receive for Read {
    fn aux(&mut self, _: u64, _: &[u8], _: &[u8]) -> Result<(), Corrupt> {
        Ok(())
    }

    fn library(&mut self, _: &[u8]) -> Result<(), Corrupt> {
        Ok(())
    }

    fn database(&mut self, _: u64, index: u64) -> Result<(), Corrupt> {
        self.db = index;
        Ok(())
    }

    fn sizes(&mut self, _: u64, _: u64) -> Result<(), Corrupt> {
        Ok(())
    }

    fn key(
        &mut self,
        _: u64,
        head: &Head,
        key: &[u8],
        value: rdb::Value<'_>,
    ) -> Result<usize, Corrupt> {
        let (lines, len) = lines(value)?;
        let twice = self.picture.insert((self.db, key.to_vec()), (lines, head.deadline_ms));
        assert!(twice.is_none(), "each key is given once");
        Ok(len)
    }
}

fn picture_of_file(file: &[u8]) -> Picture {
    let (mut reader, mut read) = (FileReader::default(), Read::default());
    let progress = reader.read(file, usize::MAX, true, &mut read).expect("the file is whole");
    assert_eq!(progress.taken, file.len());
    read.picture
}

fn picture_of(keyspace: &Keyspace, encodings: &Encodings) -> Picture {
    let mut picture = Picture::new();
    for index in 0..DATABASES {
        let (db, mut cursor) = (keyspace.db(index), 0);
        loop {
            cursor = db.scan(cursor, |key, found| {
                let (bytes, version) = save(db.value(found), encodings).into_value();
                let dialect = if version == 80 { Dialect::Valkey } else { Dialect::Redis };
                let value = rdb::Value::of(&bytes, dialect).expect("there is a type byte");
                let (lines, _) = lines(value).expect("what was written is read");
                let deadline = db.deadline(found).map(|time| time.0);
                picture.insert((index as u64, key.to_vec()), (lines, deadline));
            });
            if cursor == 0 {
                break;
            }
        }
    }
    picture
}

/// Changes of values of all types, as commands make them.
struct World {
    keyspace: Keyspace,
    rng: Rng,
    encodings: Encodings,
    /// Names of elements end in a number below this.
    names: u64,
}

impl World {
    fn new(seed: u64, compress: bool) -> Self {
        let mut keyspace = Keyspace::new(DATABASES, Rng::new(Seed(seed), "keyspace"));
        keyspace.set_now(UnixMillis(1000));
        let encodings = Encodings { rdb_compression: compress, ..Encodings::default() };
        Self { keyspace, rng: Rng::new(Seed(seed), "pieces"), encodings, names: 2 * ELEMENTS }
    }

    /// A text that repeats itself somewhat; now and then a long one.
    fn text(&mut self) -> Vec<u8> {
        let times = if self.rng.below(40) == 0 { 30 } else { 1 };
        format!("{:08}", self.rng.below(1_000_000)).repeat(times).into_bytes()
    }

    /// Some element of a value, be it there or not.
    fn name(&mut self) -> Vec<u8> {
        format!("element:{:06}", self.rng.below(self.names)).into_bytes()
    }

    /// Has `change` change the value of a key, which is made if it is not there.
    fn edit<T: Kept>(&mut self, db: usize, key: &[u8], change: impl FnOnce(&mut T, &mut Self)) {
        match self.keyspace.find(db, key) {
            None => {
                let mut value: T = self.keyspace.empty(db);
                change(&mut value, self);
                if !value.is_empty() {
                    let value = NewValue::Object(value.into_object());
                    self.keyspace.add(db, key, value, None, 1);
                }
            }
            Some(found) => {
                let Ok(mut value) = self.keyspace.hand_out::<T>(db, found) else { return };
                change(&mut value, self);
                self.keyspace.put_back(db, found, value, 1);
            }
        }
    }

    /// Changes `count` elements of the value of a key.
    fn change_elements(&mut self, db: usize, key: &[u8], kind: &str, count: u64, grows: bool) {
        match kind {
            "list" => self.edit(db, key, |list, world| change_list(list, world, count, grows)),
            "set" => self.edit(db, key, |set, world| change_set(set, world, count, grows)),
            "hash" => self.edit(db, key, |hash, world| change_hash(hash, world, count, grows)),
            "zset" => self.edit(db, key, |zset, world| change_zset(zset, world, count, grows)),
            "stream" => {
                self.edit(db, key, |stream, world| change_stream(stream, world, count, grows))
            }
            _ => self.change_string(db, key, count, grows),
        }
    }

    fn change_string(&mut self, db: usize, key: &[u8], count: u64, grows: bool) {
        let Some(found) = self.keyspace.find(db, key) else {
            let text: Vec<u8> = (0..count).flat_map(|_| self.text()).collect();
            let text = if self.rng.below(2) == 0 { text } else { self.noise(text.len()) };
            return self.keyspace.add(db, key, NewValue::String(&text), None, 1);
        };
        let text = self.text();
        let at = self.rng.next_u64() as usize;
        if let Some(string) = self.keyspace.string_mut(db, found) {
            let before = string.capacity();
            let at = at % string.len().max(1);
            if grows {
                string.extend_from_slice(&text);
            } else if let Some(byte) = string.get_mut(at) {
                *byte ^= 1;
            }
            self.keyspace.string_changed(db, found, before, 1);
        }
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.rng.next_u64() as u8).collect()
    }

    fn fill(&mut self) {
        for db in 0..DATABASES {
            for kind in KINDS {
                let times = if kind == "string" { 4 } else { 1 };
                self.change_elements(db, kind.as_bytes(), kind, times * ELEMENTS, true);
            }
            for small in 0..50 {
                let (key, text) = (format!("small:{small}"), self.text());
                self.keyspace.set(db, key.as_bytes(), NewValue::String(&text), None, 1);
            }
        }
    }

    /// One change, drawn by these numbers.
    fn change(&mut self, what: u8, kind: u8, db: u8) {
        let (kind, db) = (KINDS[usize::from(kind) % KINDS.len()], usize::from(db) % DATABASES);
        let found = self.keyspace.find(db, kind.as_bytes());
        match (what, found) {
            (0..150, _) => self.change_elements(db, kind.as_bytes(), kind, 3, false),
            (150..170, Some(found)) => self.keyspace.remove(db, found),
            (170..185, Some(found)) => {
                let taken = self.keyspace.take(db, found);
                self.keyspace.put((db + 1) % DATABASES, b"moved", taken, 1);
            }
            (185..200, Some(found)) => {
                let deadline = Some(UnixMillis(self.keyspace.now().0 + 5));
                self.keyspace.set_deadline(db, found, deadline);
            }
            (200..210, _) => {
                self.keyspace.set_now(UnixMillis(self.keyspace.now().0 + 4));
                self.keyspace.expire_some(20, false, |_, _, _, _| {});
            }
            (210..220, _) => {
                let text = self.text().repeat(10);
                self.keyspace.set(db, kind.as_bytes(), NewValue::String(&text), None, 1);
            }
            (220..225, _) => drop(self.keyspace.flush(db, false)),
            (225..230, _) => self.keyspace.swap(0, 1),
            (230..240, _) => {
                let small = format!("small:{}", self.rng.below(60));
                let text = self.text();
                self.keyspace.set(db, small.as_bytes(), NewValue::String(&text), None, 1);
            }
            _ => self.keyspace.free_some(),
        }
    }

    fn script(&mut self, changes: &[(u8, u8, u8)], stands: bool) {
        self.keyspace.begin_undo(Undo::new(64 << 20));
        changes.iter().for_each(|&(what, kind, db)| self.change(what, kind, db));
        if stands {
            self.keyspace.end_undo();
        } else {
            while !self.keyspace.roll_back_some(3).1 {}
        }
    }
}

fn change_list(list: &mut List, world: &mut World, count: u64, grows: bool) {
    let limits = list::Limits::new(-2);
    for _ in 0..count {
        let (text, len) = (world.text(), list.reader().len());
        let side = if world.rng.below(2) == 0 { Side::Front } else { Side::Back };
        let at = world.rng.below(len as u64 + 1) as usize;
        match world.rng.below(if grows { 2 } else { 6 }) {
            3 if len > 1 => drop(list.remove_end(side, 1, &limits)),
            4 if at < len => list.set(at, &text, &limits),
            5 => list.insert(at, &text, &limits),
            _ => list.push(side, core::iter::once(&text[..]), &limits),
        }
    }
}

fn change_set(set: &mut Set, world: &mut World, count: u64, grows: bool) {
    let limits = set::Limits { integers: 512, entries: 128, value_bytes: 64, hash_key: HASH_KEY };
    for _ in 0..count {
        let name = world.name();
        if grows || world.rng.below(2) == 0 {
            set.insert(set::member(&name), &limits);
        } else {
            set.remove(set::member(&name));
        }
    }
}

fn change_hash(hash: &mut Hash, world: &mut World, count: u64, grows: bool) {
    let limits = hash::Limits { entries: 128, value_bytes: 64, hash_key: HASH_KEY };
    for _ in 0..count {
        let (name, text) = (world.name(), world.text());
        let deadline = match world.rng.below(20) {
            0 => NewDeadline::At(world.keyspace.now().0 + 50_000),
            _ => NewDeadline::Keep,
        };
        if grows || world.rng.below(2) == 0 {
            hash.set(&name, &text, deadline, &limits);
        } else {
            hash.remove(&name);
        }
    }
}

fn change_zset(zset: &mut Zset, world: &mut World, count: u64, grows: bool) {
    let limits = zset::Limits { entries: 128, value_bytes: 64, hash_key: HASH_KEY };
    for _ in 0..count {
        let (mut name, score) = (world.name(), world.rng.below(1000) as f64);
        name.extend(b"long".repeat(name[9] as usize % 2 * 40));
        if grows || world.rng.below(2) == 0 {
            zset.insert(&limits, &name, score);
        } else {
            zset.remove(&name);
        }
    }
}

fn change_stream(stream: &mut Stream, world: &mut World, count: u64, grows: bool) {
    let limits = stream::Limits { node_bytes: 4096, node_entries: 300 };
    stream.add_group(b"group", StreamId::MIN, None);
    for _ in 0..count {
        let (text, log) = (world.text(), stream.log_mut());
        let id = log.next_id(IdRequest::Auto, 5).expect("there are more");
        log.push(id, [&b"field"[..], &text].into_iter(), limits).expect("it fits");
        if !grows && world.rng.below(2) == 0 {
            let id = StreamId::new(5, world.rng.below(id.seq + 1));
            stream.delete(id, References::Keep);
        }
    }
}

/// A file in the making, and the walk that it is of.
struct Walk {
    writer: FileWriter,
    bytes: Vec<u8>,
}

impl Walk {
    fn begin(world: &mut World) -> Self {
        let Encodings { rdb_target, rdb_compression, .. } = world.encodings;
        let version = Target::version_max(rdb_target);
        let mut writer = FileWriter::new(rdb_target, version, rdb_compression, true);
        let bytes = writer.take();
        world.keyspace.begin_capture();
        Self { writer, bytes }
    }

    /// A step; true at the end. Counts what is written in it.
    fn step(&mut self, world: &mut World, budget: usize) -> (bool, usize) {
        let usage = Usage::unknown();
        let is_at_end = world.keyspace.capture_some(budget, |entry| {
            file::add(&mut self.writer, &entry, &usage, &world.encodings)
        });
        let written = self.writer.len();
        self.bytes.extend(self.writer.take());
        (is_at_end, written)
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(self.writer.finish());
        self.bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 48,
        max_shrink_iters: 200,
        ..Default::default()
    })]
    #[test]
    fn a_snapshot_in_pieces_is_the_state_at_its_moment(
        seed: u64,
        compress: bool,
        budget in 1_usize..60_000,
        changes in prop::collection::vec((0_u8..255, 0_u8..6, 0_u8..2), 0..80),
        pace in 1_usize..6,
        scripts in 0_u8..4,
    ) {
        let mut world = World::new(seed, compress);
        world.fill();
        let expected = picture_of(&world.keyspace, &world.encodings);
        let mut walk = Walk::begin(&mut world);
        for changes in changes.chunks(pace) {
            match scripts {
                0 | 1 => world.script(changes, scripts == 1),
                _ => changes.iter().for_each(|&(what, kind, db)| world.change(what, kind, db)),
            }
            if walk.step(&mut world, budget).0 {
                break;
            }
        }
        while world.keyspace.is_capturing() {
            walk.step(&mut world, budget);
        }
        world.keyspace.check_invariants();
        let given = picture_of_file(&walk.finish());
        prop_assert!(given == expected, "{:?}", difference(&given, &expected));
        while world.keyspace.has_trash() {
            world.keyspace.free_some();
        }
        world.keyspace.check_invariants();
    }
}

/// The first thing that is not the same, in short.
fn difference(given: &Picture, expected: &Picture) -> String {
    for (key, (lines, deadline)) in expected {
        let Some((found, found_deadline)) = given.get(key) else { return format!("no {key:?}") };
        if let Some(at) =
            (0..lines.len().max(found.len())).find(|&at| found.get(at) != lines.get(at))
        {
            return format!("{key:?}, {at}: {:?} for {:?}", found.get(at), lines.get(at));
        }
        if deadline != found_deadline {
            return format!("the deadline of {key:?}");
        }
    }
    let more = given.keys().find(|key| !expected.contains_key(*key));
    format!("{more:?} was not there")
}

/// A walk over one big value of a type that is changed between its steps: what a step writes and
/// what a change copies is bounded, whatever the value's size.
fn check_bounds(kind: &str, elements: u64) {
    let mut world = World { names: 2 * elements, ..World::new(1, false) };
    world.change_elements(0, b"big", kind, elements, true);
    let expected = picture_of(&world.keyspace, &world.encodings);
    let found = world.keyspace.find(0, b"big").expect("it was made");
    let value_bytes = world.keyspace.db(0).entry_bytes(found);
    let mut walk = Walk::begin(&mut world);
    let (mut steps, mut most) = (0, 0);
    loop {
        let (is_at_end, written) = walk.step(&mut world, 1);
        assert!(written < 64 << 10, "{kind}: a step wrote {written} bytes");
        if is_at_end {
            break;
        }
        steps += 1;
        let before = world.keyspace.capture_bytes();
        world.change_elements(0, b"big", kind, 1, false);
        let copied = world.keyspace.capture_bytes().saturating_sub(before);
        most = most.max(copied);
        assert!(copied < PART_BYTES_MAX.min(value_bytes / 2), "{kind}: {copied} bytes were copied");
    }
    assert!(steps > 20 && most > 0, "{kind}: {steps} steps, at most {most} bytes copied");
    let given = picture_of_file(&walk.finish());
    assert!(given == expected, "{kind}: {}", difference(&given, &expected));
    assert_eq!(world.keyspace.capture_bytes(), 0);
}

#[test]
fn steps_and_changes_are_bounded_however_long_a_list_is() {
    check_bounds("list", 100_000);
}

#[test]
fn steps_and_changes_are_bounded_however_large_a_set_is() {
    check_bounds("set", 200_000);
}

#[test]
fn steps_and_changes_are_bounded_however_large_a_hash_is() {
    check_bounds("hash", 200_000);
}

#[test]
fn steps_and_changes_are_bounded_however_large_a_sorted_set_is() {
    check_bounds("zset", 100_000);
}

#[test]
fn steps_and_changes_are_bounded_however_long_a_stream_is() {
    check_bounds("stream", 100_000);
}

/// A string has no parts: it is copied when it is changed, but moved when it goes.
#[test]
fn a_big_string_that_goes_is_moved() {
    let mut world = World::new(1, true);
    let text = world.noise(3 << 20);
    for key in ["one", "two"] {
        world.keyspace.set(0, key.as_bytes(), NewValue::String(&text), None, 1);
    }
    let expected = picture_of(&world.keyspace, &world.encodings);
    let at = |world: &mut World, key: &str| {
        let found = world.keyspace.find(0, key.as_bytes()).expect("it is there");
        match world.keyspace.db(0).value(found) {
            Value::Bytes(bytes) => (found, bytes.as_ptr() as usize),
            _ => panic!("it is a string"),
        }
    };
    let mut walk = Walk::begin(&mut world);
    let ((one, one_at), (_, two_at)) = (at(&mut world, "one"), at(&mut world, "two"));
    world.keyspace.remove(0, one);
    world.keyspace.set(0, b"two", NewValue::String(b"short"), None, 1);
    let mut places = Vec::new();
    world.keyspace.capture_some(1, |entry| {
        if let Value::Bytes(bytes) = entry.value {
            places.push(bytes.as_ptr() as usize);
        }
        Gave { bytes: 1, rest: Some(0) }
    });
    assert_eq!(places, [one_at]);
    while world.keyspace.is_capturing() {
        let (_, written) = walk.step(&mut world, 1);
        assert!(written < 64 << 10, "a step wrote {written} bytes");
    }
    assert_ne!(one_at, two_at);
    assert!(picture_of_file(&walk.finish()) == expected);
}

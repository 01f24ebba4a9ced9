//! A walk over all keys as they were at one moment, while they go on changing.
//!
//! The walk goes through hash space, database by database. An entry that is changed ahead of it has
//! its old value set aside first and is marked, so that the walk passes it by; one that is added
//! ahead of it is marked at once. Where the walk has passed nothing needs to be noted. So a change
//! costs a copy at most once, what waits to be given out is what was changed lately, and no table
//! beside the index says what has been dealt with.
//!
//! Big values are given out in pieces: the walk notes their keys as it passes, and gives them out
//! from where they lie. One that is to be changed before it is at its end is set aside by sharing
//! its parts ([`crate::value::shared`]): then it goes on there, at the same place. A big string has
//! no parts: it is copied when it is changed, and moved when it goes.
//!
//! Invariants: every entry of the moment is given out exactly once, with the value, deadline and
//! database that it had then; nothing that came later is. The pieces of one value come one behind
//! the other. When no walk goes on nothing is marked.

use std::collections::VecDeque;

use super::Keyspace;
use super::collections::Value;
use super::db::{Db, Found, Taken};
use crate::time::UnixMillis;
use crate::value::shared::Meter;

/// Buckets of hash space that cost as much as a byte that is given out.
const EMPTY_BUCKET_COST: usize = 8;

/// An entry as it was at the moment.
pub struct Given<'a> {
    /// The database's number at the moment.
    pub db: usize,
    /// The key.
    pub key: &'a [u8],
    /// What it held.
    pub value: Value<'a>,
    /// When it was to expire.
    pub deadline: Option<UnixMillis>,
    /// When or how often it had been used.
    pub access: u32,
    /// Where in the value to go on; 0 at first. `None`: it is small, to be taken whole.
    pub place: Option<u64>,
}

/// What was taken of an entry.
pub struct Gave {
    /// What it cost, in bytes.
    pub bytes: usize,
    /// Where to go on in the value, if it is not at its end; not 0. It means something to whoever
    /// takes it only.
    pub rest: Option<u64>,
}

/// A walk that goes on.
pub(super) struct Capture {
    /// Which database of the moment each present one is; `None`: it has come since.
    origins: Vec<Option<usize>>,
    /// The database of the moment that the walk is in, and the cursor there.
    db: usize,
    cursor: u64,
    /// Entries that have changed ahead of the walk, as they were.
    aside: VecDeque<Aside>,
    aside_bytes: usize,
    /// Big entries of present databases that the walk has passed and that are not at their ends.
    big: VecDeque<Big>,
    /// Who counts what the big values among those set aside have cost.
    meters: Vec<Meter>,
    /// Databases of the moment that were flushed since.
    flushed: Vec<(usize, Db)>,
    /// Nobody wants the entries any more: only marks are taken back.
    is_canceled: bool,
}

struct Aside {
    db: usize,
    key: Box<[u8]>,
    taken: Taken,
    bytes: usize,
    /// Where it is to go on, if it is given out in pieces.
    place: Option<u64>,
    /// Who counts what it costs, if it shares parts.
    meter: Option<Meter>,
}

/// A big entry, where it lies.
struct Big {
    db: usize,
    key: Box<[u8]>,
    place: u64,
}

impl Aside {
    fn given(&self) -> Given<'_> {
        Given {
            db: self.db,
            key: &self.key,
            value: self.taken.value.as_value(),
            deadline: self.taken.deadline,
            access: self.taken.access,
            place: self.place,
        }
    }

    fn has_begun(&self) -> bool {
        self.place.is_some_and(|place| place > 0)
    }
}

impl Capture {
    fn set_aside(&mut self, aside: Aside) {
        self.aside_bytes += aside.bytes;
        self.meters.extend(aside.meter.clone());
        // Its pieces come one behind the other.
        if aside.has_begun() {
            self.aside.push_front(aside);
        } else {
            self.aside.push_back(aside);
        }
    }

    /// Takes out the note of a big entry.
    fn take_big(&mut self, db: usize, key: &[u8]) -> Option<Big> {
        let at = self.big.iter().position(|big| big.db == db && *big.key == *key)?;
        self.big.remove(at)
    }

    /// Moves the big entries of a database that is gone from there.
    fn rescue_big(&mut self, origin: usize, db: &mut Db) {
        let (gone, stay) =
            core::mem::take(&mut self.big).into_iter().partition(|big| big.db == origin);
        self.big = stay;
        let gone: VecDeque<Big> = gone;
        for Big { key, place, .. } in gone {
            let found = db.find(&key).expect("a big entry is noted until it is changed");
            let (taken, bytes) = (db.take(found), size_of::<Aside>() + key.len());
            let place = Some(place);
            self.set_aside(Aside { db: origin, key, taken, bytes, place, meter: None });
        }
    }

    /// Whether the walk has yet to come to this place of a present database.
    fn is_ahead(&self, index: usize, found: Found) -> bool {
        match self.origins[index] {
            Some(db) if db == self.db => found.cursor() >= self.cursor,
            origin => origin.is_some_and(|db| db > self.db),
        }
    }
}

impl Keyspace {
    /// Begins a walk over what there is now.
    ///
    /// # Panics
    /// If one goes on, be it one that was canceled and takes its marks back.
    pub fn begin_capture(&mut self) {
        assert!(self.capture.is_none(), "one walk at a time");
        self.capture = Some(Box::new(Capture {
            origins: (0..self.databases.len()).map(Some).collect(),
            db: 0,
            cursor: 0,
            aside: VecDeque::new(),
            aside_bytes: 0,
            big: VecDeque::new(),
            meters: Vec::new(),
            flushed: Vec::new(),
            is_canceled: false,
        }));
    }

    /// Whether a walk goes on, be it one that was canceled and takes its marks back.
    #[inline]
    pub fn is_capturing(&self) -> bool {
        self.capture.is_some()
    }

    /// Bytes of old values that wait to be given out, flushed databases not counted.
    pub fn capture_bytes(&self) -> usize {
        self.capture.as_ref().map_or(0, |capture| {
            capture.aside_bytes + capture.meters.iter().map(Meter::bytes).sum::<usize>()
        })
    }

    /// Gives nothing out any more. Another walk can begin when [`Self::capture_some`] has come to
    /// the end of this one.
    pub fn cancel_capture(&mut self) {
        let Some(mut capture) = self.capture.take() else { return };
        capture.is_canceled = true;
        capture.aside_bytes = 0;
        capture.big.clear();
        capture.meters.clear();
        for aside in capture.aside.drain(..) {
            if let Some(object) = aside.taken.into_big_object() {
                self.trash.push_object(object);
            }
        }
        for (_, db) in capture.flushed.drain(..) {
            self.throw_away_db(db);
        }
        self.capture = Some(capture);
    }

    /// Walks on until `give`, which tells how many bytes it took each entry or piece for, has taken
    /// some `budget` of them. True at the end.
    pub fn capture_some(&mut self, budget: usize, mut give: impl FnMut(Given<'_>) -> Gave) -> bool {
        let Some(mut capture) = self.capture.take() else { return true };
        let mut left = budget;
        let is_at_end = loop {
            if left == 0 {
                break false;
            }
            let first = capture.aside.front();
            let cost = if first.is_some_and(|aside| aside.has_begun() || capture.big.is_empty()) {
                self.give_aside(&mut capture, &mut give)
            } else if !capture.big.is_empty() {
                self.give_big(&mut capture, &mut give)
            } else if capture.db == capture.origins.len() {
                break true;
            } else {
                self.walk_bucket(&mut capture, &mut give)
            };
            left = left.saturating_sub(cost);
        };
        if !is_at_end {
            self.capture = Some(capture);
        }
        is_at_end
    }

    /// Gives out the first of those that were set aside, or a piece of it; tells what that cost.
    fn give_aside(
        &mut self,
        capture: &mut Capture,
        give: &mut impl FnMut(Given<'_>) -> Gave,
    ) -> usize {
        let Some(aside) = capture.aside.front_mut() else { return 0 };
        let Gave { bytes, rest } = give(aside.given());
        if rest.is_some() {
            debug_assert!(aside.place.is_some(), "what is small is taken whole");
            aside.place = rest;
            return bytes;
        }
        if let Some(aside) = capture.aside.pop_front() {
            capture.aside_bytes -= aside.bytes;
            if let Some(meter) = aside.meter {
                capture.meters.retain(|other| !other.is(&meter));
            }
            if let Some(object) = aside.taken.into_big_object() {
                self.trash.push_object(object);
            }
        }
        bytes
    }

    /// Gives out a piece of the first big entry; tells what that cost.
    fn give_big(&self, capture: &mut Capture, give: &mut impl FnMut(Given<'_>) -> Gave) -> usize {
        let Some(big) = capture.big.front_mut() else { return 0 };
        let present = capture.origins.iter().position(|&db| db == Some(big.db));
        let db = &self.databases[present.expect("a database that goes leaves no big entries")];
        let found = db.find(&big.key).expect("a big entry is noted until it is changed");
        let Gave { bytes, rest } = give(Given {
            db: big.db,
            key: &big.key,
            value: db.value(found),
            deadline: db.deadline(found),
            access: db.access(found),
            place: Some(big.place),
        });
        match rest {
            Some(place) => big.place = place,
            None => {
                capture.big.pop_front();
            }
        }
        bytes
    }

    /// Walks through one bucket; tells what that cost.
    fn walk_bucket(
        &mut self,
        capture: &mut Capture,
        give: &mut impl FnMut(Given<'_>) -> Gave,
    ) -> usize {
        let origin = capture.db;
        let present = capture.origins.iter().position(|&db| db == Some(origin));
        let flushed = capture.flushed.iter_mut().position(|(db, _)| *db == origin);
        let db = match (present, flushed) {
            (Some(index), _) => &mut self.databases[index],
            (None, Some(at)) => &mut capture.flushed[at].1,
            (None, None) => {
                (capture.db, capture.cursor) = (origin + 1, 0);
                return EMPTY_BUCKET_COST;
            }
        };
        let (mut cost, mut marked) = (EMPTY_BUCKET_COST, Vec::new());
        let big = &mut capture.big;
        let next = db.scan(capture.cursor, |key, found| {
            // The bucket may have become wider since it was begun.
            if found.cursor() < capture.cursor {
                return;
            }
            if db.is_marked(found) {
                marked.push(found);
                return;
            }
            if capture.is_canceled {
                return;
            }
            if db.is_big(found) {
                big.push_back(Big { db: origin, key: key.into(), place: 0 });
            } else {
                let (deadline, access) = (db.deadline(found), db.access(found));
                let value = db.value(found);
                cost += give(Given { db: origin, key, value, deadline, access, place: None }).bytes;
            }
        });
        marked.into_iter().for_each(|found| db.set_mark(found, false));
        if let Some(at) = flushed
            && !capture.big.is_empty()
        {
            // It is there for the walk alone.
            let (_, mut db) = capture.flushed.swap_remove(at);
            capture.rescue_big(origin, &mut db);
            capture.flushed.push((origin, db));
        }
        if next == 0 {
            (capture.db, capture.cursor) = (origin + 1, 0);
            if let Some(at) = capture.flushed.iter().position(|(db, _)| *db == origin) {
                let (_, db) = capture.flushed.swap_remove(at);
                self.throw_away_db(db);
            }
        } else {
            capture.cursor = next;
        }
        cost
    }

    /// Sets the old value of an entry aside that is to be changed or removed; `goes`: nobody else
    /// wants it afterwards.
    #[cold]
    pub(super) fn capture_before(&mut self, index: usize, found: Found, goes: bool) {
        let forgets = self.planted_forgets();
        // What is moved goes off its account.
        self.db_mut(index);
        let db = &mut self.databases[index];
        let Some(capture) = self.capture.as_deref_mut() else { return };
        let Some(origin) = capture.origins[index].filter(|_| !capture.is_canceled) else { return };
        let noted = capture.take_big(origin, db.key(found));
        let is_dealt_with = || !capture.is_ahead(index, found) || db.is_marked(found);
        if noted.is_none() && (forgets || is_dealt_with()) {
            return;
        }
        let key: Box<[u8]> = db.key(found).into();
        let mut bytes = size_of::<Aside>() + key.len();
        let (mut place, mut meter) = (None, None);
        let taken = if !db.is_big(found) {
            let taken = db.copy(found);
            bytes += taken.memory_bytes();
            taken
        } else {
            place = Some(noted.as_ref().map_or(0, |big| big.place));
            match if goes { db.strip(found) } else { None } {
                Some(taken) => {
                    bytes += taken.memory_bytes();
                    taken
                }
                None => db.share(found, meter.insert(Meter::default())),
            }
        };
        capture.set_aside(Aside { db: origin, key, taken, bytes, place, meter });
        if noted.is_none() {
            db.set_mark(found, true);
        }
    }

    /// Marks an entry that was just added.
    #[cold]
    pub(super) fn capture_added(&mut self, index: usize, key: &[u8]) {
        let db = &mut self.databases[index];
        let found = db.find(key).expect("it was just added");
        if let Some(capture) = &self.capture
            && !capture.is_canceled
            && capture.is_ahead(index, found)
        {
            db.set_mark(found, true);
        }
    }

    /// Keeps a database that was flushed, if the walk has yet to come to it or to its end.
    pub(super) fn capture_flushed(&mut self, index: usize, mut db: Db) {
        if let Some(capture) = &mut self.capture
            && let Some(origin) = capture.origins[index]
        {
            capture.rescue_big(origin, &mut db);
        }
        if let Some(capture) = &mut self.capture
            && !capture.is_canceled
            && let Some(origin) = capture.origins[index].take_if(|origin| *origin >= capture.db)
        {
            capture.flushed.push((origin, db));
        } else {
            if let Some(capture) = &mut self.capture {
                capture.origins[index] = None;
            }
            self.throw_away_db(db);
        }
    }

    /// Two databases were exchanged.
    pub(super) fn capture_swapped(&mut self, a: usize, b: usize) {
        if let Some(capture) = &mut self.capture {
            capture.origins.swap(a, b);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{NewValue, Undo};
    use super::*;
    use crate::rng::{Rng, Seed};
    use crate::value::list::{Limits, List, Side};

    const DATABASES: usize = 3;

    /// Everything, by database and key: the value as text, and the deadline.
    type Picture = BTreeMap<(usize, Vec<u8>), (String, Option<u64>)>;

    fn text(value: Value<'_>) -> String {
        match value {
            Value::Bytes(bytes) => bytes.escape_ascii().to_string(),
            Value::Integer(value) => value.to_string(),
            Value::List(list) => {
                let elements = list.elements().to_vecs();
                elements.iter().map(|element| element.escape_ascii().to_string() + " ").collect()
            }
            _ => panic!("there are strings and lists only"),
        }
    }

    fn picture(keyspace: &Keyspace) -> Picture {
        let mut picture = Picture::new();
        for index in 0..DATABASES {
            let (db, mut cursor) = (keyspace.db(index), 0);
            loop {
                cursor = db.scan(cursor, |key, found| {
                    let value = (text(db.value(found)), db.deadline(found).map(|time| time.0));
                    picture.insert((index, key.to_vec()), value);
                });
                if cursor == 0 {
                    break;
                }
            }
        }
        picture
    }

    fn marks(keyspace: &Keyspace) -> usize {
        let mut marks = 0;
        for index in 0..DATABASES {
            let (db, mut cursor) = (keyspace.db(index), 0);
            loop {
                cursor = db.scan(cursor, |_, found| marks += usize::from(db.is_marked(found)));
                if cursor == 0 {
                    break;
                }
            }
        }
        marks
    }

    /// One change drawn at random, of the kinds that commands make.
    fn change(keyspace: &mut Keyspace, rng: &mut Rng, keys: u64) {
        let index = rng.below(DATABASES as u64) as usize;
        let key = format!("key:{}", rng.below(keys)).into_bytes();
        let value = format!("{}", rng.below(1 << 40)).repeat(1 + rng.below(30) as usize);
        let soon = Some(UnixMillis(keyspace.now().0 + rng.below(50)));
        let deadline = soon.filter(|_| rng.below(4) == 0);
        let found = keyspace.find(index, &key);
        match (rng.below(100), found) {
            (0..30, _) => {
                keyspace.set(index, &key, NewValue::String(value.as_bytes()), deadline, 1);
            }
            (30..45, Some(found)) => keyspace.remove(index, found),
            (45..55, Some(found)) => {
                keyspace.set_deadline(index, found, deadline);
            }
            (55..60, Some(found)) => {
                let mut taken = keyspace.take(index, found);
                taken.access = 3;
                keyspace.put((index + 1) % DATABASES, b"moved", taken, 2);
            }
            (60..65, Some(found)) => {
                if let Some(string) = keyspace.string_mut(index, found) {
                    let before = string.capacity();
                    string.push(b'!');
                    keyspace.string_changed(index, found, before, 1);
                }
            }
            (65..80, Some(found)) => {
                if let Ok(mut list) = keyspace.hand_out::<List>(index, found) {
                    let limits = Limits::new(-2);
                    if rng.below(3) == 0 {
                        drop(list.remove_end(Side::Front, 1, &limits));
                    } else {
                        list.push(Side::Back, core::iter::once(value.as_bytes()), &limits);
                    }
                    keyspace.put_back(index, found, list, 1);
                }
            }
            (65..80, None) => {
                let mut list: List = keyspace.empty(index);
                list.push(Side::Back, core::iter::once(&b"first"[..]), &Limits::new(-2));
                let object = super::super::Kept::into_object(list);
                keyspace.add(index, &key, NewValue::Object(object), deadline, 1);
            }
            (80..90, _) => {
                keyspace.set_now(UnixMillis(keyspace.now().0 + rng.below(20)));
                keyspace.expire_some(rng.below(20) as usize, false, |_, _, _, _| {});
            }
            (90..92, _) => keyspace.swap(index, rng.below(DATABASES as u64) as usize),
            (92..93, _) => {
                keyspace.flush(index, false);
            }
            _ => keyspace.free_some(),
        }
    }

    /// A few changes that stand or are undone, as those of a script are.
    fn script(keyspace: &mut Keyspace, rng: &mut Rng, keys: u64) {
        keyspace.begin_undo(Undo::new(1 << 20));
        (0..rng.below(20)).for_each(|_| change(keyspace, rng, keys));
        if rng.below(2) == 0 {
            while !keyspace.roll_back_some(3).1 {}
        } else {
            keyspace.end_undo();
        }
    }

    fn changes(keyspace: &mut Keyspace, rng: &mut Rng, count: u64, keys: u64) {
        for _ in 0..count {
            if rng.below(50) == 0 {
                script(keyspace, rng, keys);
            } else {
                change(keyspace, rng, keys);
            }
        }
    }

    #[test]
    fn a_walk_gives_what_was_there_at_the_moment_whatever_changes() {
        let mut aside = 0;
        for seed in 0..150 {
            let mut rng = Rng::new(Seed(seed), "capture");
            let keys = [10, 300, 5000][seed as usize % 3];
            let mut keyspace = Keyspace::new(DATABASES, Rng::new(Seed(seed), "keyspace"));
            keyspace.set_now(UnixMillis(1000));
            changes(&mut keyspace, &mut rng, keys * 2, keys);
            for _ in 0..3 {
                let expected = picture(&keyspace);
                keyspace.begin_capture();
                let mut given = Picture::new();
                let cancel_at = (rng.below(4) == 0).then(|| rng.below(20));
                for round in 0.. {
                    if cancel_at == Some(round) {
                        keyspace.cancel_capture();
                    }
                    aside = aside.max(keyspace.capture_bytes());
                    let ended = keyspace.capture_some(rng.below(4000) as usize + 1, |entry| {
                        let value = (text(entry.value), entry.deadline.map(|time| time.0));
                        let twice = given.insert((entry.db, entry.key.to_vec()), value);
                        assert_eq!(twice, None, "each entry is given once");
                        Gave { bytes: entry.key.len() + 50, rest: None }
                    });
                    keyspace.check_invariants();
                    if ended {
                        break;
                    }
                    let count = rng.below(40);
                    changes(&mut keyspace, &mut rng, count, keys);
                }
                if cancel_at.is_none() {
                    assert!(given == expected, "seed {seed}: {given:#?} is not {expected:#?}");
                }
                assert_eq!((marks(&keyspace), keyspace.capture_bytes()), (0, 0), "seed {seed}");
                changes(&mut keyspace, &mut rng, 20, keys);
            }
        }
        assert!(aside > 1000, "old values were set aside");
    }
}

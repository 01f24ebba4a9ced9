//! A walk over all keys as they were at one moment, while they go on changing.
//!
//! The walk goes through hash space, database by database. An entry that is changed ahead of it has
//! its old value set aside first and is marked, so that the walk passes it by; one that is added
//! ahead of it is marked at once. Where the walk has passed nothing needs to be noted. So a change
//! costs a copy at most once, what waits to be given out is what was changed lately, and no table
//! beside the index says what has been dealt with.
//!
//! Invariants: every entry of the moment is given out exactly once, with the value, deadline and
//! database that it had then; nothing that came later is. When no walk goes on nothing is marked.

use std::collections::VecDeque;

use super::Keyspace;
use super::collections::Value;
use super::db::{Db, Found, Taken};
use crate::time::UnixMillis;

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
}

impl Aside {
    fn given(&self) -> Given<'_> {
        Given {
            db: self.db,
            key: &self.key,
            value: self.taken.value.as_value(),
            deadline: self.taken.deadline,
            access: self.taken.access,
        }
    }
}

impl Capture {
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
        self.capture.as_ref().map_or(0, |capture| capture.aside_bytes)
    }

    /// Gives nothing out any more. Another walk can begin when [`Self::capture_some`] has come to
    /// the end of this one.
    pub fn cancel_capture(&mut self) {
        let Some(mut capture) = self.capture.take() else { return };
        capture.is_canceled = true;
        capture.aside_bytes = 0;
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

    /// Walks on until `give`, which tells how many bytes it took each entry for, has taken some
    /// `budget` of them. True at the end.
    pub fn capture_some(
        &mut self,
        budget: usize,
        mut give: impl FnMut(Given<'_>) -> usize,
    ) -> bool {
        let Some(mut capture) = self.capture.take() else { return true };
        let mut left = budget;
        let is_at_end = loop {
            if left == 0 {
                break false;
            }
            if let Some(aside) = capture.aside.pop_front() {
                capture.aside_bytes -= aside.bytes;
                left = left.saturating_sub(give(aside.given()));
                if let Some(object) = aside.taken.into_big_object() {
                    self.trash.push_object(object);
                }
                continue;
            }
            if capture.db == capture.origins.len() {
                break true;
            }
            left = left.saturating_sub(self.walk_bucket(&mut capture, &mut give));
        };
        if !is_at_end {
            self.capture = Some(capture);
        }
        is_at_end
    }

    /// Walks through one bucket; tells what that cost.
    fn walk_bucket(
        &mut self,
        capture: &mut Capture,
        give: &mut impl FnMut(Given<'_>) -> usize,
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
        let next = db.scan(capture.cursor, |key, found| {
            // The bucket may have become wider since it was begun.
            if found.cursor() < capture.cursor {
                return;
            }
            if db.is_marked(found) {
                marked.push(found);
            } else if !capture.is_canceled {
                let (deadline, access) = (db.deadline(found), db.access(found));
                let value = db.value(found);
                cost += give(Given { db: origin, key, value, deadline, access });
            }
        });
        marked.into_iter().for_each(|found| db.set_mark(found, false));
        if next == 0 {
            (capture.db, capture.cursor) = (origin + 1, 0);
            if let Some(at) = flushed {
                let (_, db) = capture.flushed.swap_remove(at);
                self.throw_away_db(db);
            }
        } else {
            capture.cursor = next;
        }
        cost
    }

    /// Sets the old value of an entry aside that is to be changed or removed.
    #[cold]
    pub(super) fn capture_before(&mut self, index: usize, found: Found) {
        if self.planted_forgets() {
            return;
        }
        let db = &mut self.databases[index];
        let Some(capture) = self.capture.as_deref_mut() else { return };
        if capture.is_canceled || !capture.is_ahead(index, found) || db.is_marked(found) {
            return;
        }
        let (key, taken): (Box<[u8]>, _) = (db.key(found).into(), db.copy(found));
        let bytes = size_of::<Aside>() + key.len() + taken.memory_bytes();
        capture.aside_bytes += bytes;
        let origin = capture.origins[index].expect("what is ahead was there at the moment");
        capture.aside.push_back(Aside { db: origin, key, taken, bytes });
        db.set_mark(found, true);
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
    pub(super) fn capture_flushed(&mut self, index: usize, db: Db) {
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
                        entry.key.len() + 50
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

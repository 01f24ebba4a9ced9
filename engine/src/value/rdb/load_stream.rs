//! Reading streams: blocks of entries, counters, consumer groups.
//!
//! A block is a listpack. First comes what its entries have in common: how many are valid, how many
//! deleted, the number of fields, their names, a zero. Then the entries: flags, the distance of the
//! identifier from the block's in both parts, fields and values (only values if the flags say that
//! the names are the block's), and how many elements that were.
//!
//! Invariant: what is given to the visitor has ascending identifiers and groups that hold together.

use super::listpack::Listpack;
use super::reader::Reader;
use super::stream::{Consumer, Group, Id, Idempotence, Pending, Producer, Totals};
use super::{Corrupt, Element, Item, Visit};

/// The forms that streams had, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    /// Redis 5.
    First,
    /// Redis 7.0: with what was ever added and deleted.
    Counted,
    /// Redis 7.2: with when consumers were last active.
    Active,
    /// Redis 8.6: with what is remembered of producers.
    Idempotent,
    /// Redis 8.8: with entries that were given back.
    GivenBack,
}

/// Nobody counts so far: XSETID takes half of it.
const ENTRIES_ADDED_MAX: u64 = 3 << 62;

pub(super) fn stream(
    reader: &mut Reader<'_>,
    layout: Layout,
    visit: &mut Visit<'_>,
) -> Result<(), Corrupt> {
    let mut entries = Entries::default();
    for _ in 0..reader.count()? {
        let key = reader.blob()?;
        let key: [u8; 16] = (*key).try_into().map_err(|_| Corrupt("a block without key"))?;
        let key = u128::from_be_bytes(key);
        let master = Id { ms: (key >> 64) as u64, seq: key as u64 };
        entries.block(master, &reader.blob()?, visit)?;
    }
    let totals = totals(reader, layout, &entries)?;
    visit(Item::StreamTotals(totals))?;
    let mut names = Vec::new();
    for _ in 0..reader.count()? {
        let group = group(reader, layout, &totals)?;
        visit(Item::StreamGroup(&group))?;
        names.push(group.name);
    }
    different(names)?;
    if layout >= Layout::Idempotent {
        visit(Item::StreamIdempotence(&idempotence(reader)?))?;
    }
    Ok(())
}

/// Fails if a name comes twice.
fn different<T: Ord>(mut names: Vec<T>) -> Result<(), Corrupt> {
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Corrupt(
            "Duplicate stream consumer detected, or another name that comes twice",
        ));
    }
    Ok(())
}

/// What is known of the entries so far.
#[derive(Debug, Default)]
struct Entries {
    length: u64,
    first: Option<Id>,
    /// The last entry that was not deleted.
    last: Id,
}

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

impl Entries {
    fn block(&mut self, master: Id, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Corrupt> {
        let mut elements = Listpack::open(bytes)?;
        let mut valid = elements.integer()?;
        let mut deleted = elements.integer()?;
        let mut names = Vec::new();
        for _ in 0..elements.integer()? {
            names.push(elements.must()?);
        }
        if elements.integer()? != 0 {
            return Err(Corrupt("a block whose names do not end"));
        }
        let mut fields = Vec::new();
        let mut starts_block = true;
        while valid > 0 || deleted > 0 {
            let (id, is_deleted) = entry(&mut elements, master, &names, &mut fields)?;
            if is_deleted {
                deleted -= 1;
            } else {
                if id <= self.last {
                    return Err(Corrupt("entries out of order"));
                }
                self.last = id;
                valid -= 1;
                self.length += 1;
                self.first.get_or_insert(id);
            }
            visit(Item::StreamEntry { id, fields: &fields, starts_block, is_deleted })?;
            starts_block = false;
        }
        if (valid, deleted) != (0, 0) {
            return Err(Corrupt("a block with other entries than it says"));
        }
        elements.end()
    }
}

/// One entry of a block; its fields are left in `fields`.
fn entry<'a>(
    elements: &mut Listpack<'a>,
    master: Id,
    names: &[Element<'a>],
    fields: &mut Vec<(Element<'a>, Element<'a>)>,
) -> Result<(Id, bool), Corrupt> {
    let flags = elements.integer()?;
    // The distance may be negative in the second part, and wraps.
    let id = Id {
        ms: master.ms.wrapping_add_signed(elements.integer()?),
        seq: master.seq.wrapping_add_signed(elements.integer()?),
    };
    fields.clear();
    let expected = if flags & SAME_FIELDS != 0 {
        for &name in names {
            fields.push((name, elements.must()?));
        }
        fields.len() + 3
    } else {
        for _ in 0..elements.integer()? {
            fields.push((elements.must()?, elements.must()?));
        }
        2 * fields.len() + 4
    };
    if fields.is_empty() {
        return Err(Corrupt("an entry without fields"));
    }
    if elements.integer()? != expected as i64 {
        return Err(Corrupt("an entry of another length than it says"));
    }
    Ok((id, flags & DELETED != 0))
}

fn totals(reader: &mut Reader<'_>, layout: Layout, entries: &Entries) -> Result<Totals, Corrupt> {
    let length = reader.length()?;
    let last_id = reader.id()?;
    let mut totals = Totals {
        length,
        last_id,
        first_id: entries.first.unwrap_or_default(),
        max_deleted_id: Id::default(),
        entries_added: length,
    };
    if layout >= Layout::Counted {
        // The first entry is known better than from here: some versions forgot to update it.
        reader.id()?;
        totals.max_deleted_id = reader.id()?;
        totals.entries_added = reader.length()?;
    }
    if length != entries.length || totals.entries_added < length {
        return Err(Corrupt("a stream of another length than it says"));
    }
    // XSETID may go back behind what was deleted, but not behind an entry.
    if entries.last > last_id {
        return Err(Corrupt("a stream with other identifiers than it says"));
    }
    if totals.entries_added > ENTRIES_ADDED_MAX {
        return Err(Corrupt("more entries than can be"));
    }
    Ok(totals)
}

/// How many entries a group has read, where that was not yet kept: as Redis guesses.
fn guess_entries_read(last_id: Id, totals: &Totals) -> Option<u64> {
    if totals.entries_added == 0 {
        return Some(0);
    }
    match last_id.cmp(&totals.last_id) {
        core::cmp::Ordering::Equal => Some(totals.entries_added),
        core::cmp::Ordering::Greater => None,
        core::cmp::Ordering::Less if last_id < totals.first_id => Some(0),
        core::cmp::Ordering::Less => (last_id == totals.first_id).then_some(1),
    }
}

fn group<'a>(
    reader: &mut Reader<'a>,
    layout: Layout,
    totals: &Totals,
) -> Result<Group<'a>, Corrupt> {
    let name = reader.text()?.into_bytes();
    let last_id = reader.id()?;
    let entries_read = if layout >= Layout::Counted {
        // Unknown is written as -1; other numbers may be any, as in Redis.
        Some(reader.length()?).filter(|&read| read != u64::MAX)
    } else {
        guess_entries_read(last_id, totals)
    };
    let mut pending = Vec::new();
    for _ in 0..reader.count()? {
        pending.push(Pending {
            id: reader.raw_id()?,
            delivered_ms: reader.millis()?,
            deliveries: reader.length()?,
            consumer: None,
        });
    }
    pending.sort_unstable_by_key(|entry| entry.id);
    if pending.windows(2).any(|pair| pair[0].id == pair[1].id) {
        return Err(Corrupt("an entry that is pending twice"));
    }
    let (consumers, given_back) = (Vec::new(), Vec::new());
    let mut group = Group { name, last_id, entries_read, consumers, pending, given_back };
    for _ in 0..reader.count()? {
        consumer(reader, layout, &mut group)?;
    }
    different(group.consumers.iter().map(|consumer| &consumer.name).collect())?;
    load_given_back(reader, layout, &mut group)?;
    Ok(group)
}

fn find_pending(group: &mut [Pending], id: Id) -> Result<&mut Pending, Corrupt> {
    let found = group.binary_search_by_key(&id, |entry| entry.id);
    found.map(|index| &mut group[index]).map_err(|_| Corrupt("an entry that is not pending"))
}

fn consumer<'a>(
    reader: &mut Reader<'a>,
    layout: Layout,
    group: &mut Group<'a>,
) -> Result<(), Corrupt> {
    let name = reader.text()?.into_bytes();
    let seen_ms = reader.millis()?;
    let active_ms = if layout >= Layout::Active { reader.millis()? } else { seen_ms };
    let index = group.consumers.len();
    group.consumers.push(Consumer { name, seen_ms, active_ms });
    for _ in 0..reader.count()? {
        let entry = find_pending(&mut group.pending, reader.raw_id()?)?;
        if entry.consumer.replace(index).is_some() {
            return Err(Corrupt("an entry that is pending for two"));
        }
    }
    Ok(())
}

/// Entries that belong to nobody are named, where the layout has them; every other has its
/// consumer.
fn load_given_back(
    reader: &mut Reader<'_>,
    layout: Layout,
    group: &mut Group<'_>,
) -> Result<(), Corrupt> {
    if layout >= Layout::GivenBack {
        for _ in 0..reader.count()? {
            group.given_back.push(reader.raw_id()?);
        }
    }
    let mut named = group.given_back.clone();
    named.sort_unstable();
    let ownerless = group.pending.iter().filter(|entry| entry.consumer.is_none());
    if ownerless.map(|entry| entry.id).eq(named) {
        Ok(())
    } else {
        Err(Corrupt("pending entries that belong to nobody"))
    }
}

fn idempotence<'a>(reader: &mut Reader<'a>) -> Result<Idempotence<'a>, Corrupt> {
    let duration_secs = reader.length()?;
    let names_max = reader.length()?;
    let mut producers = Vec::new();
    for _ in 0..reader.count()? {
        let name = reader.text()?.into_bytes();
        let mut messages = Vec::new();
        for _ in 0..reader.count()? {
            messages.push((reader.text()?.into_bytes(), reader.id()?));
        }
        different(messages.iter().map(|(name, _)| name).collect())?;
        producers.push(Producer { name, messages });
    }
    different(producers.iter().map(|producer| &producer.name).collect())?;
    let (added, repeated) = (reader.length()?, reader.length()?);
    Ok(Idempotence { duration_secs, names_max, producers, added, repeated })
}

//! An order-independent hash of the whole state, to compare two engines or two runs.
//!
//! Invariant: it depends on nothing that hash keys, insertion order or memory layout decide.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::keyspace::{Found, Keyspace, Value};
use crate::time::UnixMillis;
use crate::value::packed::Element;
use crate::value::stream::{Group, Stream, StreamId};

/// The digest of a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl core::fmt::Display for Digest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The digest of all keys, values and deadlines; expired entries that nobody has met do not count.
pub(crate) fn digest(keyspace: &Keyspace) -> Digest {
    let mut sum = 0_u128;
    for index in 0..keyspace.count() {
        let mut cursor = 0;
        loop {
            cursor = keyspace.db(index).scan(cursor, |key, found| {
                if !keyspace.is_expired(index, found) && !is_spent(keyspace, index, found) {
                    sum = sum.wrapping_add(entry_digest(keyspace, index, key, found));
                }
            });
            if cursor == 0 {
                break;
            }
        }
    }
    Digest(sum)
}

/// Whether an entry is a hash of which every field has expired, which nobody has met.
fn is_spent(keyspace: &Keyspace, index: usize, found: Found) -> bool {
    match keyspace.db(index).value(found) {
        Value::Hash(hash) => hash.living(keyspace.now().0).next().is_none(),
        _ => false,
    }
}

fn entry_digest(keyspace: &Keyspace, index: usize, key: &[u8], found: Found) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write_u64(index as u64);
    write_string(&mut hasher, key);
    let db = keyspace.db(index);
    hasher.write_u64(db.deadline(found).map_or(u64::MAX, |deadline| deadline.0));
    write_value(&mut hasher, db.value(found), keyspace.now());
    finish(&hasher)
}

fn finish(hasher: &SipHasher13) -> u128 {
    let hash = hasher.finish128();
    u128::from(hash.h1) << 64 | u128::from(hash.h2)
}

fn write_value(hasher: &mut SipHasher13, value: Value<'_>, now: UnixMillis) {
    hasher.write(value.type_name().as_bytes());
    match value {
        Value::Bytes(bytes) => hasher.write(bytes),
        Value::Integer(value) => hasher.write(itoa::Buffer::new().format(value).as_bytes()),
        Value::List(list) => {
            hasher.write_u64(list.len() as u64);
            list.elements().for_each(|element| write_element(hasher, element));
        }
        Value::Set(set) => {
            let sum = set.iter().map(|member| {
                let mut one = SipHasher13::new();
                write_element(&mut one, member);
                finish(&one)
            });
            write_sum(hasher, sum);
        }
        Value::Zset(zset) => {
            hasher.write_u64(zset.len() as u64);
            zset.iter().for_each(|(member, score)| {
                write_element(hasher, member);
                hasher.write_u64(score.to_bits());
            });
        }
        Value::Hash(hash) => {
            let sum = hash.living(now.0).map(|field| {
                let mut one = SipHasher13::new();
                write_element(&mut one, field.name);
                write_element(&mut one, field.value);
                one.write_u64(field.deadline_ms.unwrap_or(u64::MAX));
                finish(&one)
            });
            write_sum(hasher, sum);
        }
        Value::Stream(stream) => write_stream(hasher, stream),
    }
}

/// Entries, counters and groups; not how the entries are cut into blocks.
fn write_stream(hasher: &mut SipHasher13, stream: &Stream) {
    let log = stream.log();
    hasher.write_u64(log.len());
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        write_id(hasher, entry.id);
        hasher.write_u64(entry.len() as u64);
        for (name, value) in entry.fields() {
            write_string(hasher, name.as_bytes());
            write_string(hasher, value.as_bytes());
        }
    }
    write_id(hasher, log.last_id());
    write_id(hasher, log.max_deleted_id());
    hasher.write_u64(log.entries_added());
    hasher.write_u64(stream.groups().len() as u64);
    stream.groups().for_each(|group| write_group(hasher, group));
    if let Some(known) = stream.idempotency() {
        hasher.write_u64(known.settings().duration_secs);
        hasher.write_u64(known.settings().names_max as u64);
        for (producer, name, id, at_ms) in known.sent() {
            write_string(hasher, producer);
            write_string(hasher, name);
            write_id(hasher, id);
            hasher.write_u64(at_ms);
        }
    }
}

fn write_group(hasher: &mut SipHasher13, group: &Group) {
    write_string(hasher, group.name());
    write_id(hasher, group.last_delivered());
    // As many are never read.
    hasher.write_i64(group.entries_read().unwrap_or(i64::MIN));
    hasher.write_u64(group.consumers().len() as u64);
    for (_, consumer) in group.consumers() {
        write_string(hasher, consumer.name());
        hasher.write_u64(consumer.seen_ms());
        hasher.write_u64(consumer.active_ms().unwrap_or(u64::MAX));
    }
    hasher.write_u64(group.pending_len() as u64);
    for entry in group.pending_from(StreamId::MIN) {
        write_id(hasher, entry.id);
        hasher.write_u64(entry.delivered_ms());
        hasher.write_i64(entry.deliveries);
        let owner = entry.owner.map(|owner| group.consumer(owner).name());
        write_string(hasher, owner.unwrap_or_default());
    }
    group.released().into_iter().for_each(|id| write_id(hasher, id));
}

fn write_id(hasher: &mut SipHasher13, id: StreamId) {
    hasher.write_u64(id.ms);
    hasher.write_u64(id.seq);
}

/// Writes digests whose order does not matter.
fn write_sum(hasher: &mut SipHasher13, digests: impl Iterator<Item = u128>) {
    let (mut count, mut sum) = (0_u64, 0_u128);
    for digest in digests {
        count += 1;
        sum = sum.wrapping_add(digest);
    }
    hasher.write_u64(count);
    hasher.write_u128(sum);
}

fn write_element(hasher: &mut SipHasher13, element: Element<'_>) {
    write_string(hasher, element.bytes(&mut itoa::Buffer::new()));
}

fn write_string(hasher: &mut SipHasher13, string: &[u8]) {
    hasher.write_u64(string.len() as u64);
    hasher.write(string);
}

//! An order-independent hash of the whole state, to compare two engines or two runs.
//!
//! Invariant: it depends on nothing that hash keys, insertion order or memory layout decide.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::keyspace::{Found, Keyspace, Value};
use crate::value::packed::Element;

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
                if !keyspace.is_expired(index, found) {
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

fn entry_digest(keyspace: &Keyspace, index: usize, key: &[u8], found: Found) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write_u64(index as u64);
    write_string(&mut hasher, key);
    let db = keyspace.db(index);
    hasher.write_u64(db.deadline(found).map_or(u64::MAX, |deadline| deadline.0));
    write_value(&mut hasher, db.value(found));
    finish(&hasher)
}

fn finish(hasher: &SipHasher13) -> u128 {
    let hash = hasher.finish128();
    u128::from(hash.h1) << 64 | u128::from(hash.h2)
}

fn write_value(hasher: &mut SipHasher13, value: Value<'_>) {
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
        #[allow(unreachable_patterns, reason = "not every type is there yet")]
        _ => {}
    }
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

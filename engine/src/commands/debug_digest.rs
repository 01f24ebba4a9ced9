//! Redis's checksum of a data set (DEBUG DIGEST), so that this server's data can be compared with a
//! real one's.
//!
//! Invariant: it depends neither on the order of keys nor on how values are stored.

use sha1_smol::Sha1;

use crate::keyspace::{Db, Found, Keyspace, Value};
use crate::value::number::format_double;
use crate::value::packed::Element;
use crate::value::stream::StreamId;

/// A checksum in the making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checksum([u8; 20]);

impl Checksum {
    /// Adds something whose order does not matter.
    fn add(&mut self, part: &[u8]) {
        let hash = Sha1::from(part).digest().bytes();
        self.0.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds something whose order matters.
    fn mix(&mut self, part: &[u8]) {
        self.add(part);
        self.0 = Sha1::from(self.0).digest().bytes();
    }

    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.bytes(&mut itoa::Buffer::new()));
    }

    fn mix_value(&mut self, value: Value<'_>, has_deadline: bool) {
        self.mix(&number_of(value).to_be_bytes());
        match value {
            Value::Bytes(bytes) => self.mix(bytes),
            Value::Integer(value) => self.mix_element(Element::Integer(value)),
            Value::List(list) => list.elements().for_each(|element| self.mix_element(element)),
            Value::Set(set) => set.iter().for_each(|member| {
                self.add(member.bytes(&mut itoa::Buffer::new()));
            }),
            Value::Hash(hash) => hash.iter().for_each(|field| {
                let mut one = Self::default();
                one.mix_element(field.name);
                one.mix_element(field.value);
                if field.deadline_ms.is_some() {
                    one.add(b"!!hexpire!!");
                }
                self.add(&one.0);
            }),
            Value::Zset(zset) => zset.iter().for_each(|(member, score)| {
                let mut one = Self::default();
                one.mix_element(member);
                one.mix(spell_score(score).as_bytes());
                self.add(&one.0);
            }),
            Value::Stream(stream) => {
                for entry in stream.log().range(StreamId::MIN, StreamId::MAX) {
                    self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                    for (name, value) in entry.fields() {
                        self.mix(name.as_bytes());
                        self.mix(value.as_bytes());
                    }
                }
            }
        }
        if has_deadline {
            self.add(b"!!expire!!");
        }
    }
}

/// The number of a type in the checksum.
fn number_of(value: Value<'_>) -> u32 {
    match value {
        Value::Bytes(_) | Value::Integer(_) => 0,
        Value::List(_) => 1,
        Value::Set(_) => 2,
        Value::Zset(_) => 3,
        Value::Hash(_) => 4,
        Value::Stream(_) => 6,
    }
}

/// A score as C spells it with `%.17g`.
fn spell_score(score: f64) -> String {
    const DIGITS: i32 = 17;
    if !score.is_finite() {
        return format_double(score);
    }
    let scientific = format!("{score:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..DIGITS).contains(&exponent) {
        let places = usize::try_from(DIGITS - 1 - exponent).unwrap_or_default();
        let fixed = format!("{score:.places$}");
        return without_zeros(&fixed).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
}

/// A number without zeros that mean nothing behind its point.
fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

impl core::fmt::Display for Checksum {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The checksum of one value; zeros if there is none.
pub(super) fn value_digest(db: &Db, found: Option<Found>) -> Checksum {
    let mut checksum = Checksum::default();
    if let Some(found) = found {
        checksum.mix_value(db.value(found), db.deadline(found).is_some());
    }
    checksum
}

/// The checksum of all databases.
pub(super) fn dataset_digest(keyspace: &Keyspace) -> Checksum {
    let mut all = Checksum::default();
    for index in 0..keyspace.count() {
        let db = keyspace.db(index);
        if db.is_empty() {
            continue;
        }
        all.mix(&(index as u32).to_be_bytes());
        let mut cursor = 0;
        loop {
            cursor = db.scan(cursor, |key, found| {
                if !keyspace.is_expired(index, found) {
                    let mut entry = Checksum::default();
                    entry.mix(key);
                    entry.mix_value(db.value(found), db.deadline(found).is_some());
                    all.add(&entry.0);
                }
            });
            if cursor == 0 {
                break;
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_spelled_as_c_does() {
        for (score, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (0.1, "0.10000000000000001"),
            (-2.5, "-2.5"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1.5e300, "1.5000000000000001e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(spell_score(score), text);
        }
    }
}

//! Reading strings, lists, sets, hashes and sorted sets, of every version and in every packing.

use super::listpack::Listpack;
use super::load_stream::{Layout, stream};
use super::reader::{Reader, parse_double};
use super::ziplist::Ziplist;
use super::zipmap::Zipmap;
use super::{Corrupt, Dialect, Element, Item, Kind, Value, Visit, intset, types};

const UNKNOWN: Corrupt = Corrupt("a type of value that is not known");
/// What is to be a collection and has nothing.
pub const EMPTY: Corrupt = Corrupt("an empty collection");
const HALF: Corrupt = Corrupt("an element without its other half");

/// The last moment at which a field may expire, in milliseconds since the epoch: as in Redis.
const DEADLINE_MS_MAX: u64 = (1 << 48) - 2;

/// What a value holds if it holds anything.
pub fn kind(type_byte: u8, dialect: Dialect) -> Result<Kind, Corrupt> {
    use types::*;
    Ok(match (type_byte, dialect) {
        (STRING, _) => Kind::String,
        (LIST | LIST_ZIPLIST | LIST_QUICKLIST | LIST_QUICKLIST_2, _) => Kind::List,
        (SET | SET_INTSET | SET_LISTPACK, _) => Kind::Set,
        (ZSET | ZSET_2 | ZSET_ZIPLIST | ZSET_LISTPACK, _) => Kind::Zset,
        (HASH | HASH_ZIPMAP | HASH_ZIPLIST | HASH_LISTPACK, _) => Kind::Hash,
        (STREAM | STREAM_2 | STREAM_3, _) => Kind::Stream,
        (HASH_2_VALKEY, Dialect::Valkey) => Kind::Hash,
        (HASH_DEADLINES_EARLY..=HASH_LISTPACK_DEADLINES, Dialect::Redis) => Kind::Hash,
        (STREAM_4 | STREAM_5, Dialect::Redis) => Kind::Stream,
        _ => return Err(UNKNOWN),
    })
}

/// What Redis calls the packing of values that begin with this byte, where it has one.
pub fn packing(type_byte: u8) -> &'static str {
    use types::*;
    match type_byte {
        HASH_ZIPMAP => "Zipmap",
        LIST_ZIPLIST => "List ziplist",
        LIST_QUICKLIST => "Quicklist ziplist",
        LIST_QUICKLIST_2 => "Quicklist listpack",
        SET_INTSET => "Intset",
        SET_LISTPACK => "Set listpack",
        ZSET_ZIPLIST => "Zset ziplist",
        ZSET_LISTPACK => "Zset listpack",
        HASH_ZIPLIST => "Hash ziplist",
        HASH_LISTPACK => "Hash listpack",
        STREAM | STREAM_2 | STREAM_3 | STREAM_4 | STREAM_5 => "Stream listpack",
        _ => "Value",
    }
}

/// Gives every item of a value, type byte first, to `visit`. Items may have been given before an
/// error is found.
pub fn load(value: &[u8], dialect: Dialect, visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    whole(Value::of(value, dialect)?, |value| load_front(value, visit))
}

/// Reads a value behind which nothing may stand.
pub fn whole(
    value: Value<'_>,
    read: impl FnOnce(Value<'_>) -> Result<usize, Corrupt>,
) -> Result<(), Corrupt> {
    if read(value)? == value.rest.len() { Ok(()) } else { Err(Corrupt("bytes behind the value")) }
}

/// Gives every item of a value to `visit`, and its length without the type byte: more may stand
/// behind it. [`SHORT`](super::SHORT) if not all of it is there. Items may have been given before
/// an error is found.
pub fn load_front(value: Value<'_>, visit: &mut Visit<'_>) -> Result<usize, Corrupt> {
    let mut reader = Reader::new(value.rest);
    read(&mut reader, value, visit)?;
    Ok(value.rest.len() - reader.left())
}

/// How long a value is, without the type byte, that is an [`EMPTY`] collection.
pub fn empty_len(value: Value<'_>) -> Option<usize> {
    let mut reader = Reader::new(value.rest);
    // Whether there is nothing is known when all of it was read.
    let is_empty = read(&mut reader, value, &mut |_| Err(HALF)) == Err(EMPTY);
    is_empty.then(|| value.rest.len() - reader.left())
}

fn read(reader: &mut Reader<'_>, value: Value<'_>, visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    let Value { type_byte, dialect, .. } = value;
    kind(type_byte, dialect)?;
    match type_byte {
        types::STRING => visit(Item::String(reader.text()?.element())),
        types::LIST => strings(reader, &mut |element| visit(Item::ListElement(element))),
        types::LIST_ZIPLIST => ziplist_list(&reader.blob()?, visit).and_then(some),
        types::LIST_QUICKLIST | types::LIST_QUICKLIST_2 => quicklist(reader, type_byte, visit),
        types::SET => strings(reader, &mut |element| visit(Item::SetMember(element))),
        types::SET_INTSET => integer_set(&reader.blob()?, visit),
        types::SET_LISTPACK => listpack_set(&reader.blob()?, visit),
        types::ZSET | types::ZSET_2 => zset(reader, type_byte, visit),
        types::ZSET_ZIPLIST => pairs(Ziplist::open(&reader.blob()?)?, &mut scored(visit)),
        types::ZSET_LISTPACK => pairs(Listpack::open(&reader.blob()?)?, &mut scored(visit)),
        types::HASH => hash(reader, visit),
        types::HASH_ZIPMAP => zipmap_hash(&reader.blob()?, visit),
        types::HASH_ZIPLIST => pairs(Ziplist::open(&reader.blob()?)?, &mut lasting(visit)),
        types::HASH_LISTPACK => pairs(Listpack::open(&reader.blob()?)?, &mut lasting(visit)),
        types::HASH_2_VALKEY if dialect == Dialect::Valkey => valkey_hash(reader, visit),
        types::HASH_DEADLINES_EARLY | types::HASH_DEADLINES => {
            hash_with_deadlines(reader, type_byte, visit)
        }
        types::HASH_LISTPACK_DEADLINES_EARLY => triples(&reader.blob()?, visit),
        types::HASH_LISTPACK_DEADLINES => {
            reader.millis()?;
            triples(&reader.blob()?, visit)
        }
        types::STREAM => stream(reader, Layout::First, visit),
        types::STREAM_2 => stream(reader, Layout::Counted, visit),
        types::STREAM_3 => stream(reader, Layout::Active, visit),
        types::STREAM_4 => stream(reader, Layout::Idempotent, visit),
        types::STREAM_5 => stream(reader, Layout::GivenBack, visit),
        _ => Err(UNKNOWN),
    }
}

/// No collection is empty.
fn some(count: usize) -> Result<(), Corrupt> {
    if count == 0 { Err(EMPTY) } else { Ok(()) }
}

type VisitElement<'v> = dyn FnMut(Element<'_>) -> Result<(), Corrupt> + 'v;
type VisitPair<'v> = dyn FnMut(Element<'_>, Element<'_>) -> Result<(), Corrupt> + 'v;

fn strings(reader: &mut Reader<'_>, visit: &mut VisitElement<'_>) -> Result<(), Corrupt> {
    for _ in 0..reader.elements()? {
        visit(reader.text()?.element())?;
    }
    Ok(())
}

fn ziplist_list(bytes: &[u8], visit: &mut Visit<'_>) -> Result<usize, Corrupt> {
    let mut count = 0;
    for element in Ziplist::open(bytes)? {
        visit(Item::ListElement(element?))?;
        count += 1;
    }
    Ok(count)
}

fn quicklist(reader: &mut Reader<'_>, type_byte: u8, visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    const PLAIN: u64 = 1;
    const PACKED: u64 = 2;
    let mut count = 0;
    for _ in 0..reader.elements()? {
        if type_byte == types::LIST_QUICKLIST {
            count += ziplist_list(&reader.blob()?, visit)?;
            continue;
        }
        let container = reader.length()?;
        let bytes = reader.blob()?;
        match container {
            PLAIN if !bytes.is_empty() => {
                visit(Item::ListElement(Element::Bytes(&bytes)))?;
                count += 1;
            }
            PACKED => {
                for element in Listpack::open(&bytes)? {
                    visit(Item::ListElement(element?))?;
                    count += 1;
                }
            }
            _ => return Err(Corrupt("a part of a list that is of no known form")),
        }
    }
    some(count)
}

fn integer_set(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    let mut count = 0;
    for integer in intset::integers(bytes)? {
        visit(Item::SetMember(Element::Integer(integer?)))?;
        count += 1;
    }
    some(count)
}

fn listpack_set(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    let mut count = 0;
    for member in Listpack::open(bytes)? {
        visit(Item::SetMember(member?))?;
        count += 1;
    }
    some(count)
}

fn zset(reader: &mut Reader<'_>, type_byte: u8, visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    for _ in 0..reader.elements()? {
        let member = reader.text()?;
        let score = match type_byte {
            types::ZSET => reader.text_double()?,
            _ => reader.binary_double()?,
        };
        visit_score(member.element(), score, visit)?;
    }
    Ok(())
}

fn visit_score(member: Element<'_>, score: f64, visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    if score.is_nan() {
        return Err(Corrupt("a score that is no number"));
    }
    visit(Item::ZsetMember { member, score })
}

/// Pairs as members and scores.
fn scored<'v>(
    visit: &'v mut Visit<'_>,
) -> impl FnMut(Element<'_>, Element<'_>) -> Result<(), Corrupt> + 'v {
    |member, score| {
        let score = match score {
            Element::Integer(score) => score as f64,
            Element::Bytes(text) => parse_double(text)?,
        };
        visit_score(member, score, visit)
    }
}

/// Pairs as fields and values that do not expire.
fn lasting<'v>(
    visit: &'v mut Visit<'_>,
) -> impl FnMut(Element<'_>, Element<'_>) -> Result<(), Corrupt> + 'v {
    |field, value| visit(Item::HashField { field, value, deadline_ms: None })
}

/// Takes elements two by two.
fn pairs<'a>(
    mut elements: impl Iterator<Item = Result<Element<'a>, Corrupt>>,
    visit: &mut VisitPair<'_>,
) -> Result<(), Corrupt> {
    let mut count = 0;
    while let Some(first) = elements.next() {
        let second = elements.next().ok_or(HALF)?;
        visit(first?, second?)?;
        count += 1;
    }
    some(count)
}

fn hash(reader: &mut Reader<'_>, visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    for _ in 0..reader.elements()? {
        let (field, value) = (reader.text()?, reader.text()?);
        let (field, value) = (field.element(), value.element());
        visit(Item::HashField { field, value, deadline_ms: None })?;
    }
    Ok(())
}

fn zipmap_hash(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    let mut count = 0;
    for pair in Zipmap::open(bytes)? {
        let (field, value) = pair?;
        let (field, value) = (Element::Bytes(field), Element::Bytes(value));
        visit(Item::HashField { field, value, deadline_ms: None })?;
        count += 1;
    }
    some(count)
}

fn deadline(deadline_ms: u64) -> Result<Option<u64>, Corrupt> {
    match deadline_ms {
        0 => Ok(None),
        1..=DEADLINE_MS_MAX => Ok(Some(deadline_ms)),
        _ => Err(Corrupt("a field that expires too late")),
    }
}

/// Redis 7.4. The time of each field stands before it: zero, or one more than its distance from
/// the earliest; in release candidates, the time itself.
fn hash_with_deadlines(
    reader: &mut Reader<'_>,
    type_byte: u8,
    visit: &mut Visit<'_>,
) -> Result<(), Corrupt> {
    let earliest = match type_byte {
        types::HASH_DEADLINES => Some(reader.millis()? as u64),
        _ => None,
    };
    for _ in 0..reader.elements()? {
        let time = reader.length()?;
        let deadline_ms = match earliest {
            Some(earliest) if time != 0 => {
                let late = Corrupt("a field that expires too late");
                deadline(earliest.checked_add(time - 1).ok_or(late)?)?
            }
            _ => deadline(time)?,
        };
        let (field, value) = (reader.text()?, reader.text()?);
        visit(Item::HashField { field: field.element(), value: value.element(), deadline_ms })?;
    }
    Ok(())
}

/// Valkey 9. The time of each field stands behind it: -1 if there is none.
fn valkey_hash(reader: &mut Reader<'_>, visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    for _ in 0..reader.elements()? {
        let (field, value) = (reader.text()?, reader.text()?);
        let deadline_ms = match reader.millis()? {
            -1 => None,
            time => deadline(u64::try_from(time).unwrap_or(u64::MAX))?,
        };
        visit(Item::HashField { field: field.element(), value: value.element(), deadline_ms })?;
    }
    Ok(())
}

/// Redis 7.4. Field, value and time: zero if there is none.
fn triples(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Corrupt> {
    let mut elements = Listpack::open(bytes)?;
    let mut count = 0;
    while let Some(field) = elements.next() {
        let (field, value) = (field?, elements.must()?);
        let time = u64::try_from(elements.integer()?).unwrap_or(u64::MAX);
        visit(Item::HashField { field, value, deadline_ms: deadline(time)? })?;
        count += 1;
    }
    some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(value: &[u8], dialect: Dialect) -> Result<String, Corrupt> {
        let mut text = String::new();
        load(value, dialect, &mut |item| {
            let string = |element: Element<'_>| element.to_vec().escape_ascii().to_string();
            text += &match item {
                Item::String(element) | Item::ListElement(element) | Item::SetMember(element) => {
                    string(element)
                }
                Item::HashField { field, value, deadline_ms: None } => {
                    format!("{}={}", string(field), string(value))
                }
                Item::HashField { field, value, deadline_ms: Some(time) } => {
                    format!("{}={}@{time}", string(field), string(value))
                }
                Item::ZsetMember { member, score } => format!("{}={score}", string(member)),
                other => format!("{other:?}"),
            };
            text += " ";
            Ok(())
        })?;
        Ok(text.trim_end().to_owned())
    }

    #[track_caller]
    fn check(value: &[u8], expected: &str) {
        assert_eq!(show(value, Dialect::Redis).as_deref(), Ok(expected));
        for len in 0..value.len() {
            assert!(show(&value[..len], Dialect::Redis).is_err(), "cut to {len}");
        }
        assert!(show(&[value, b"\x00"].concat(), Dialect::Redis).is_err());
    }

    #[test]
    fn every_old_packing_is_read() {
        check(b"\x00\x05hello", "hello");
        check(b"\x00\xc0\x07", "7");
        check(b"\x01\x02\x01a\xc0\x07", "a 7");
        check(b"\x02\x02\x01a\x01b", "a b");
        check(b"\x03\x02\x01a\x031.5\x01b\xfe", "a=1.5 b=inf");
        check(b"\x04\x01\x01f\xc0\x01", "f=1");
        check(b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x3f", "a=1.5");
        check(b"\x09\x0b\x01\x03foo\x03\x00bar\xff", "foo=bar");
        let pair = b"\x12\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xf3\xff";
        let ziplist = [&[16], &pair[..]].concat();
        let mut ziplist = ziplist;
        ziplist[1] = 16;
        check(&[&[10][..], &ziplist].concat(), "a 2");
        check(&[&[12][..], &ziplist].concat(), "a=2");
        check(&[&[13][..], &ziplist].concat(), "a=2");
        check(&[&[14, 2][..], &ziplist, &ziplist].concat(), "a 2 a 2");
        check(b"\x0b\x0a\x02\x00\x00\x00\x01\x00\x00\x00\x07\x00", "7");
    }

    #[test]
    fn every_listpack_is_read() {
        let listpack = b"\x0c\x0c\x00\x00\x00\x02\x00\x81a\x02\x02\x01\xff";
        check(&[&[16][..], listpack].concat(), "a=2");
        check(&[&[17][..], listpack].concat(), "a=2");
        check(&[&[20][..], listpack].concat(), "a 2");
        check(&[&[18, 2, 2][..], listpack, &[1], b"\x03big"].concat(), "a 2 big");
    }

    #[test]
    fn fields_with_deadlines_are_read() {
        let time = 1000_i64.to_le_bytes();
        let fields = b"\x02\x00\x01a\x01b\x05\x01c\x01d";
        check(&[&[22][..], fields].concat(), "a=b c=d@5");
        check(&[&[24][..], &time, fields].concat(), "a=b c=d@1004");
        let listpack = b"\x0f\x0f\x00\x00\x00\x03\x00\x81a\x02\x81b\x02\x07\x01\xff";
        check(&[&[23][..], listpack].concat(), "a=b@7");
        check(&[&[25][..], &time, listpack].concat(), "a=b@7");
        let never = (-1_i64).to_le_bytes();
        let valkey = [b"\x16\x02\x01a\x01b", &never[..], b"\x01c\x01d", &time].concat();
        assert_eq!(show(&valkey, Dialect::Valkey).as_deref(), Ok("a=b c=d@1000"));
    }

    #[test]
    fn nonsense_is_refused() {
        let cases: [&[u8]; 14] = [
            b"",
            b"\x06",
            b"\x07\x00",
            b"\x08\x00",
            b"\x1c\x00",
            b"\x01\x00",
            b"\x02\x00",
            b"\x04\x00",
            b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f",
            b"\x03\x01\x01a\xfd",
            b"\x0b\x08\x02\x00\x00\x00\x00\x00\x00\x00",
            b"\x10\x07\x07\x00\x00\x00\x00\x00\xff",
            b"\x12\x01\x02\x07\x07\x00\x00\x00\x00\x00\xff",
            b"\x12\x01\x03\x01a",
        ];
        for value in cases {
            assert!(show(value, Dialect::Redis).is_err(), "{}", value.escape_ascii());
        }
        assert!(show(b"\x18\x00", Dialect::Valkey).is_err());
        let late = [&[24][..], &[0xff; 8], b"\x01\x05\x01a\x01b"].concat();
        assert!(show(&late, Dialect::Redis).is_err());
    }

    #[test]
    fn a_visitor_can_refuse() {
        let refuse = load(b"\x02\x02\x01a\x01a", Dialect::Redis, &mut |_| Err(HALF));
        assert_eq!(refuse, Err(HALF));
    }
}

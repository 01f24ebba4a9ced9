//! When two replies that are not the same bytes are as good as the same: where Redis promises no
//! order, where it chooses at random, where clocks show, and where it spells a double otherwise.

use orrery_engine::commands::table::table;
use orrery_tests::resp_value::Value;

/// How much later one of the two may have run a command than the other, in milliseconds.
pub(crate) const LAG_MS: i64 = 5000;

/// Replies in no promised order.
const UNORDERED: [&str; 12] = [
    "KEYS",
    "SMEMBERS",
    "SINTER",
    "SUNION",
    "SDIFF",
    "HKEYS",
    "HVALS",
    "GEOSEARCH",
    "GEORADIUS",
    "GEORADIUS_RO",
    "GEORADIUSBYMEMBER",
    "GEORADIUSBYMEMBER_RO",
];
/// Replies chosen at random.
const RANDOM: [&str; 5] = ["RANDOMKEY", "SPOP", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"];
/// Fields of XINFO that say how a stream is stored.
const INTERNAL: [&str; 2] = ["radix-tree-keys", "radix-tree-nodes"];
/// Fields of XINFO that depend on the clock.
const CLOCKED: [&str; 2] = ["idle", "seen-time"];

/// Whether both replies are as good as the same answer to the command.
pub(crate) fn same(words: &[Vec<u8>], real: &[u8], ours: &[u8]) -> bool {
    if real == ours {
        return true;
    }
    let (Ok(Some((real, real_len))), Ok(Some((ours, ours_len)))) =
        (Value::read(real), Value::read(ours))
    else {
        return false;
    };
    let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
    let has = |word: &str| words.iter().any(|it| it.eq_ignore_ascii_case(word.as_bytes()));
    if real.is_error() || ours.is_error() {
        // Redis takes what an earlier command left in `errno` for a score that is out of range.
        let not_double = b"ERR One or more scores can't be converted into double";
        if name.starts_with("SORT") && real == Value::Error(not_double.to_vec()) {
            return true;
        }
        // Later versions let some commands have more words, and know that infinity is not negative.
        let loose: [&[u8]; 2] = [b"ERR wrong number of arguments", b"ERR timeout is negative"];
        let is_loose = |text: &[u8]| loose.iter().any(|start| text.starts_with(start));
        return ours.is_error() && matches!(&real, Value::Error(text) if is_loose(text));
    }
    debug_assert!(real_len > 0 && ours_len > 0, "a reply has bytes");
    let name = name.as_str();
    match name {
        "TTL" | "EXPIRETIME" => near(&real, &ours, LAG_MS / 1000),
        "PTTL" | "PEXPIRETIME" => near(&real, &ours, LAG_MS),
        "XPENDING" => same_deliveries(&real, &ours),
        "XINFO" => same_info(&real, &ours),
        "HGETALL" => pairs(&real).map(sorted) == pairs(&ours).map(sorted),
        _ if RANDOM.contains(&name) => shape(&real) == shape(&ours),
        "SORT" if has("BY") && has("ALPHA") => unordered(&real) == unordered(&ours),
        _ => {
            let row = table().find_full(words[0].to_ascii_lowercase().as_slice());
            let has_doubles = row.is_some_and(|row| row.command.reply.contains("double"))
                || name.starts_with("GEO");
            let (real, ours) =
                if has_doubles { (numbers(&real), numbers(&ours)) } else { (real, ours) };
            let by_distance = has("ASC") || has("DESC") || has("COUNT");
            let is_ordered = !UNORDERED.contains(&name) || name.starts_with("GEO") && by_distance;
            if is_ordered { real == ours } else { unordered(&real) == unordered(&ours) }
        }
    }
}

fn near(real: &Value, ours: &Value, tolerance: i64) -> bool {
    match (real, ours) {
        (Value::Integer(real), Value::Integer(ours)) => {
            real == ours || *real > 0 && *ours > 0 && (real - ours).abs() <= tolerance
        }
        _ => false,
    }
}

fn sorted(mut values: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    values.sort_by_key(|pair| format!("{pair:?}"));
    values
}

/// The elements in an order that depends on nothing but them; what is no list stays as it is.
fn unordered(value: &Value) -> Value {
    let in_order = |values: &[Value]| {
        let mut values = values.to_vec();
        values.sort_by_key(|value| format!("{value:?}"));
        values
    };
    match value {
        Value::Array(values) => Value::Array(in_order(values)),
        Value::Set(values) => Value::Set(in_order(values)),
        other => other.clone(),
    }
}

/// The pairs of a map in either protocol.
fn pairs(value: &Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Map(pairs) => Some(pairs.clone()),
        Value::Array(values) if values.len() % 2 == 0 => {
            Some(values.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        _ => None,
    }
}

/// What a random choice must have in common with another: kinds and numbers.
fn shape(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            format!("array of {} {:?}", values.len(), values.first().map(shape))
        }
        Value::Set(values) => format!("set of {}", values.len()),
        Value::Bulk(_) => "bulk".to_owned(),
        Value::Double(_) => "double".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Every text that is a number replaced by one spelling of it: 7.0 prints doubles with 17 digits,
/// and keeps the sign of zero in some encodings only.
fn numbers(value: &Value) -> Value {
    let spell = |text: &[u8]| {
        let number: Option<f64> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        number.map_or_else(|| text.to_vec(), |number| format!("{:?}", number + 0.0).into_bytes())
    };
    match value {
        Value::Bulk(text) => Value::Bulk(spell(text)),
        Value::Double(text) => Value::Double(spell(text)),
        Value::Array(values) => Value::Array(values.iter().map(numbers).collect()),
        Value::Set(values) => Value::Set(values.iter().map(numbers).collect()),
        Value::Map(pairs) => {
            Value::Map(pairs.iter().map(|(key, value)| (numbers(key), numbers(value))).collect())
        }
        other => other.clone(),
    }
}

/// Compares lists of pending entries, in which a time or an idle time stands before the number of
/// deliveries.
fn same_deliveries(real: &Value, ours: &Value) -> bool {
    let (Value::Array(real), Value::Array(ours)) = (real, ours) else { return real == ours };
    let clocked = match real.as_slice() {
        [Value::Bulk(_), Value::Bulk(_), Value::Integer(_), Value::Integer(_)] => Some(2),
        [Value::Bulk(_), Value::Integer(_), Value::Integer(_)] => Some(1),
        _ => None,
    };
    let same = |(at, (real, ours)): (usize, (&Value, &Value))| {
        let close = |real: i64, ours: i64| (real - ours).abs() <= LAG_MS;
        match (real, ours) {
            (Value::Integer(real), Value::Integer(ours)) if clocked == Some(at) => {
                close(*real, *ours)
            }
            _ => same_deliveries(real, ours),
        }
    };
    real.len() == ours.len() && real.iter().zip(ours).enumerate().all(same)
}

/// Compares what XINFO says, field by field: ours may have more.
fn same_info(real: &Value, ours: &Value) -> bool {
    let is_name = |value: &Value| {
        matches!(value, Value::Bulk(text) if !text.is_empty()
            && text.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-'))
    };
    let fields = pairs(real).filter(|pairs| pairs.iter().all(|(name, _)| is_name(name)));
    if let Some(fields) = fields.filter(|fields| fields.len() > 2) {
        let ours = pairs(ours).unwrap_or_default();
        return fields.iter().all(|(name, real)| {
            let text = String::from_utf8_lossy(name.bytes());
            if INTERNAL.contains(&text.as_ref()) {
                return true;
            }
            let Some((_, ours)) = ours.iter().find(|(ours, _)| ours == name) else { return false };
            match (real, ours) {
                (Value::Integer(real), Value::Integer(ours))
                    if CLOCKED.contains(&text.as_ref()) =>
                {
                    (real - ours).abs() <= LAG_MS
                }
                _ => same_info(real, ours),
            }
        });
    }
    match (real, ours) {
        (Value::Array(reals), Value::Array(all)) if reals.len() == all.len() => {
            same_deliveries(real, ours)
                || reals.iter().zip(all).all(|(real, ours)| same_info(real, ours))
        }
        _ => real == ours,
    }
}

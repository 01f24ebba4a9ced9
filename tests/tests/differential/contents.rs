//! Compares everything that both servers store: keys, types, encodings, times to live, contents,
//! and what each makes of the other's DUMP.

use orrery_tests::resp_value::Value;

use super::pair::{Difference, Pair, READER, Words, line, shown};

/// The databases that drawn commands can reach.
const DATABASES: [usize; 4] = [0, 1, 2, 15];
/// Where payloads are restored.
const SCRATCH_KEY: &[u8] = b"scratch";

/// Compares both servers' data.
pub(crate) fn compare(pair: &mut Pair) -> Result<(), Difference> {
    for database in DATABASES {
        pair.compare(READER, &line(&format!("SELECT {database}")))?;
        let (real, ours) = pair.replies(READER, &line("KEYS *"));
        let names = |reply: &[u8]| {
            let value = Value::read_all(reply).remove(0);
            let mut names: Vec<Vec<u8>> =
                value.elements().iter().map(|key| key.bytes().to_vec()).collect();
            names.sort();
            names
        };
        let (real, ours) = (names(&real), names(&ours));
        if real != ours {
            return Err(format!("keys of database {database}\nredis: {real:?}\nours:  {ours:?}"));
        }
        for key in real {
            compare_key(pair, &key)?;
        }
    }
    pair.ours.engine().check_invariants();
    Ok(())
}

fn command(name: &str, key: &[u8], rest: &str) -> Words {
    let mut words = line(name);
    words.push(key.to_vec());
    words.extend(line(rest));
    words
}

fn compare_key(pair: &mut Pair, key: &[u8]) -> Result<(), Difference> {
    let (real, ours) = pair.replies(READER, &command("TYPE", key, ""));
    if real != ours {
        let (real, ours) = (real.escape_ascii(), ours.escape_ascii());
        return Err(format!("type of {}\nredis: {real}\nours: {ours}", key.escape_ascii()));
    }
    let kind = String::from_utf8_lossy(&real[1..real.len() - 2]).into_owned();
    pair.compare(READER, &command("PTTL", key, ""))?;
    compare_value(pair, key, &kind)?;
    exchange(pair, key)?;
    compare_value(pair, SCRATCH_KEY, &kind)?;
    pair.compare(READER, &command("DEL", SCRATCH_KEY, ""))
}

/// Compares a value of which both servers say that it is of this type.
fn compare_value(pair: &mut Pair, key: &[u8], kind: &str) -> Result<(), Difference> {
    pair.compare(READER, &command("OBJECT ENCODING", key, ""))?;
    if kind != "zset" || !has_negative_zero(pair, key) {
        pair.compare(READER, &command("DEBUG DIGEST-VALUE", key, ""))?;
    }
    match kind {
        "string" => pair.compare(READER, &command("GET", key, "")),
        "list" => pair.compare(READER, &command("LRANGE", key, "0 -1")),
        "set" => pair.compare(READER, &command("SMEMBERS", key, "")),
        "hash" => pair.compare(READER, &command("HGETALL", key, "")),
        "zset" => pair.compare(READER, &command("ZRANGE", key, "0 -1 WITHSCORES")),
        "stream" => {
            pair.compare(READER, &command("XRANGE", key, "- +"))?;
            pair.compare(READER, &command("XINFO STREAM", key, "FULL COUNT 0"))
        }
        other => Err(format!("{} is a {other}", key.escape_ascii())),
    }
}

/// Redis 7.0 loses the sign of a zero in the small form and keeps it in the big one.
fn has_negative_zero(pair: &mut Pair, key: &[u8]) -> bool {
    let (_, ours) = pair.replies(READER, &command("ZRANGE", key, "0 0 BYSCORE WITHSCORES"));
    ours.windows(6).any(|part| part == b"\r\n-0\r\n")
}

/// Each server restores what the other has dumped.
fn exchange(pair: &mut Pair, key: &[u8]) -> Result<(), Difference> {
    let (real, ours) = pair.replies(READER, &command("DUMP", key, ""));
    let payload = |reply: &[u8]| Value::read_all(reply)[0].bytes().to_vec();
    let restore = |payload: Vec<u8>| {
        let mut words = line("RESTORE scratch 0 PAYLOAD REPLACE");
        words[3] = payload;
        words
    };
    let why = |difference: Difference| {
        format!("a dump of {} is not restored: {difference}", shown(&[key.to_vec()]))
    };
    pair.ours_only(&restore(payload(&real))).map_err(why)?;
    pair.real_only(&restore(payload(&ours))).map_err(why)
}

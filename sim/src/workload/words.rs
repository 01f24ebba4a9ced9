//! Commands as bytes.
//!
//! Invariant: what is written is a whole RESP command; the client sends nothing else.

use super::locks::{EXTEND_SCRIPT, RELEASE_SCRIPT};
use super::{Ask, KeyName, Values, Workload};

/// Fields of one hash; the workload's keys are fields.
const FIELDS_PER_HASH: u16 = 8;
/// The one group that every stream has.
const GROUP: &str = "g";
/// Writes, and takes its time then: nobody may see what it wrote before it ends.
const SLOW_SCRIPT: &str = "redis.call('SET', KEYS[1], ARGV[1]) local turns = tonumber(ARGV[2]) \
    if turns == 0 then turns = math.huge end local turn = 0 while turn < turns do turn = turn + 1 \
    end return redis.status_reply('OK')";
/// More entries than any run adds to a stream.
const MANY: &str = "1000000";

impl Ask {
    /// Appends the command as the server sees it, from client number `client`.
    pub fn write(self, key: KeyName, client: u16, values: &Values, out: &mut Vec<u8>) {
        if key.workload == Workload::Fields {
            return self.write_of_field(key, values, out);
        }
        match self {
            Self::Transact(plan) => return plan.write(values, out),
            Self::Watch(plan) => return plan.write_watch(out),
            Self::Commit(plan) => return plan.write_commit(values, out),
            Self::Cached(step) => return step.write(key, values, out),
            _ => {}
        }
        let words = Words { key, values, out };
        match self {
            Self::Get => words.send(b"*2\r\n$3\r\nGET\r\n", None, None, b""),
            Self::Set { value } => words.send(b"*3\r\n$3\r\nSET\r\n", Some(value), None, b""),
            Self::SetNx { value } => {
                words.send(b"*4\r\n$3\r\nSET\r\n", Some(value), None, b"$2\r\nNX\r\n");
            }
            Self::SetXx { value } => {
                words.send(b"*4\r\n$3\r\nSET\r\n", Some(value), None, b"$2\r\nXX\r\n");
            }
            Self::Cas { from, value } => {
                words.send(b"*5\r\n$3\r\nSET\r\n", Some(value), None, b"$4\r\nIFEQ\r\n");
                bulk(out, |out| values.write(from, out));
            }
            Self::SetPx { value, ttl_ms } => {
                words.send(b"*5\r\n$3\r\nSET\r\n", Some(value), None, b"$2\r\nPX\r\n");
                bulk(out, |out| push_number(out, ttl_ms));
            }
            Self::GetDel => words.send(b"*2\r\n$6\r\nGETDEL\r\n", None, None, b""),
            Self::Del => words.send(b"*2\r\n$3\r\nDEL\r\n", None, None, b""),
            Self::IncrBy { by } => words.send(b"*3\r\n$6\r\nINCRBY\r\n", None, Some(by), b""),
            Self::Pexpire { ttl_ms } => {
                words.send(b"*3\r\n$7\r\nPEXPIRE\r\n", None, Some(ttl_ms as i64), b"");
            }
            Self::Pttl => words.send(b"*2\r\n$4\r\nPTTL\r\n", None, None, b""),
            _ => self.write_of_collection(key, client, values, out),
        }
    }

    /// Commands on lists, streams and channels.
    fn write_of_collection(self, key: KeyName, client: u16, values: &Values, out: &mut Vec<u8>) {
        use Word::{Consumer, Id, Key, Number, Seconds, Text, Value};
        let mut send = |words: &[Word]| write_words(words, key, client, values, out);
        match self {
            Self::Push { value } => send(&[Text("RPUSH"), Key, Value(value)]),
            Self::Pop => send(&[Text("LPOP"), Key]),
            Self::BlockingPop { timeout_ms } => send(&[Text("BLPOP"), Key, Seconds(timeout_ms)]),
            Self::Look => send(&[Text("LRANGE"), Key, Text("0"), Text("-1")]),
            Self::Add { value } => {
                send(&[Text("XADD"), Key, Text("*"), Text("v"), Value(value)]);
            }
            Self::CreateGroup => {
                let words = [Text("XGROUP"), Text("CREATE"), Key, Text(GROUP), Text("0")];
                send(&[&words[..], &[Text("MKSTREAM")]].concat());
            }
            Self::ReadGroup { count, block_ms } => {
                let head = [Text("XREADGROUP"), Text("GROUP"), Text(GROUP), Consumer];
                let count = [Text("COUNT"), Number(count)];
                let block = [Text("BLOCK"), Number(block_ms)];
                let block = if block_ms == 0 { &[][..] } else { &block };
                let tail = [Text("STREAMS"), Key, Text(">")];
                send(&[&head[..], &count, block, &tail].concat());
            }
            Self::Ack { id } => send(&[Text("XACK"), Key, Text(GROUP), Id(id)]),
            Self::Claim { idle_ms } => {
                let head = [Text("XAUTOCLAIM"), Key, Text(GROUP), Consumer, Number(idle_ms)];
                send(&[&head[..], &[Text("0-0"), Text("COUNT"), Text("4")]].concat());
            }
            Self::Pending => {
                let head = [Text("XPENDING"), Key, Text(GROUP)];
                send(&[&head[..], &[Text("-"), Text("+"), Text(MANY)]].concat());
            }
            Self::Range => send(&[Text("XRANGE"), Key, Text("-"), Text("+")]),
            Self::Publish { value } => send(&[Text("PUBLISH"), Key, Value(value)]),
            Self::Subscribe { channels } => {
                let names = (0..channels).map(Word::Numbered);
                send(&[Text("SUBSCRIBE")].into_iter().chain(names).collect::<Vec<_>>());
            }
            Self::Ping => send(&[Text("PING")]),
            Self::SlowSet { value, turns } => {
                let head = [Text("EVAL"), Text(SLOW_SCRIPT), Text("1"), Key];
                send(&[&head[..], &[Value(value), Number(turns)]].concat());
            }
            Self::Kill => send(&[Text("SCRIPT"), Text("KILL")]),
            Self::Acquire { .. } | Self::Release { .. } | Self::Extend { .. } => {
                self.write_of_lock(key, values, out);
            }
            Self::GetAll { keys } => {
                let names = (0..keys).map(Word::Numbered);
                send(&[Text("MGET")].into_iter().chain(names).collect::<Vec<_>>());
            }
            Self::Save => send(&[Text("SAVE")]),
            Self::SaveInBackground => send(&[Text("BGSAVE")]),
            Self::HasSaved { .. } => send(&[Text("INFO"), Text("persistence")]),
            other => unreachable!("{other:?} is a command on strings"),
        }
    }

    /// Commands on locks.
    fn write_of_lock(self, key: KeyName, values: &Values, out: &mut Vec<u8>) {
        use Word::{Key, Number, Text, Value};
        let mut send = |words: &[Word]| write_words(words, key, 0, values, out);
        let script = |text| [Text("EVAL"), Text(text), Text("1"), Key];
        match self {
            Self::Acquire { value, ttl_ms } => {
                let head = [Text("SET"), Key, Value(value)];
                send(&[&head[..], &[Text("NX"), Text("PX"), Number(ttl_ms)]].concat());
            }
            Self::Release { value } => {
                send(&[&script(RELEASE_SCRIPT)[..], &[Value(value)]].concat());
            }
            Self::Extend { value, ttl_ms } => {
                send(&[&script(EXTEND_SCRIPT)[..], &[Value(value), Number(ttl_ms)]].concat());
            }
            other => unreachable!("{other:?} is no command on locks"),
        }
    }

    /// The commands on keys with a time to live, as commands on fields of a hash.
    fn write_of_field(self, key: KeyName, values: &Values, out: &mut Vec<u8>) {
        use Word::{Field, Hash, Number, Text, Value};
        let mut send = |words: &[Word]| write_words(words, key, 0, values, out);
        let one = [Text("FIELDS"), Text("1"), Field];
        match self {
            Self::Get => send(&[Text("HGET"), Hash, Field]),
            Self::Set { value } => send(&[Text("HSET"), Hash, Field, Value(value)]),
            Self::SetPx { value, ttl_ms } => {
                let head = [Text("HSETEX"), Hash, Text("PX"), Number(ttl_ms)];
                send(&[&head[..], &one, &[Value(value)]].concat());
            }
            Self::Pttl => send(&[&[Text("HPTTL"), Hash][..], &one].concat()),
            Self::Pexpire { ttl_ms } => {
                send(&[&[Text("HPEXPIRE"), Hash, Number(ttl_ms)][..], &one].concat());
            }
            other => unreachable!("{other:?} is no command on fields"),
        }
    }
}

/// A word of a command.
#[derive(Clone, Copy)]
enum Word {
    Text(&'static str),
    Key,
    /// The hash that the key is a field of.
    Hash,
    Field,
    Consumer,
    /// The key of this number.
    Numbered(u16),
    Value(u64),
    Number(u64),
    /// Milliseconds, as seconds with a fraction.
    Seconds(u64),
    Id((u64, u64)),
}

fn write_words(words: &[Word], key: KeyName, client: u16, values: &Values, out: &mut Vec<u8>) {
    out.push(b'*');
    push_number(out, words.len() as u64);
    out.extend_from_slice(b"\r\n");
    for &word in words {
        bulk(out, |out| match word {
            Word::Text(text) => out.extend_from_slice(text.as_bytes()),
            Word::Key => key.write(out),
            Word::Hash => {
                KeyName { index: key.index / FIELDS_PER_HASH, ..key }.write(out);
            }
            Word::Numbered(index) => KeyName { index, ..key }.write(out),
            Word::Field => push_number(out, u64::from(key.index % FIELDS_PER_HASH)),
            Word::Consumer => {
                out.push(b'c');
                push_number(out, u64::from(client));
            }
            Word::Value(value) => values.write(value, out),
            Word::Number(number) => push_number(out, number),
            Word::Seconds(ms) => {
                push_number(out, ms / 1000);
                out.push(b'.');
                let fraction = ms % 1000;
                [fraction / 100, fraction / 10 % 10, fraction % 10]
                    .iter()
                    .for_each(|&digit| out.push(b'0' + digit as u8));
            }
            Word::Id((ms, sequence)) => {
                push_number(out, ms);
                out.push(b'-');
                push_number(out, sequence);
            }
        });
    }
}

struct Words<'a> {
    key: KeyName,
    values: &'a Values,
    out: &'a mut Vec<u8>,
}

impl Words<'_> {
    #[inline]
    fn send(self, head: &[u8], value: Option<u64>, number: Option<i64>, tail: &[u8]) {
        let Self { key, values, out } = self;
        out.extend_from_slice(head);
        bulk(out, |out| key.write(out));
        if let Some(value) = value {
            bulk(out, |out| values.write(value, out));
        }
        if let Some(number) = number {
            bulk(out, |out| {
                if number < 0 {
                    out.push(b'-');
                }
                push_number(out, number.unsigned_abs());
            });
        }
        out.extend_from_slice(tail);
    }
}

/// Appends a bulk string; nearly all are short enough for the length to be put in afterwards.
#[inline]
pub(super) fn bulk(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(b"$00\r\n");
    let body = out.len();
    write(out);
    let len = out.len() - body;
    if len < 100 {
        out[start + 1] = b'0' + (len / 10) as u8;
        out[start + 2] = b'0' + (len % 10) as u8;
        if len < 10 {
            out.copy_within(start + 2.., start + 1);
            out.pop();
        }
    } else {
        let mut digits = Vec::with_capacity(8);
        push_number(&mut digits, len as u64);
        out.splice(start + 1..start + 3, digits);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::super::replies::{Said, parse_reply};
    use super::*;
    use crate::chance::Chance;

    #[track_caller]
    fn check(ask: Ask, workload: Workload, wanted: &str) {
        let values = Values::new(Chance::new(1));
        let mut out = Vec::new();
        ask.write(KeyName { workload, index: 12 }, 3, &values, &mut out);
        let (said, len) = parse_reply(&out).expect("a whole command");
        assert_eq!(len, out.len());
        let words = said.items().expect("an array").map(|word| word.bulk().expect("a string"));
        let words: Vec<&str> = words.map(|word| str::from_utf8(word).expect("ASCII")).collect();
        assert_eq!(words.join(" "), wanted);
    }

    #[test]
    fn commands_are_written_as_resp() {
        check(Ask::Pexpire { ttl_ms: 1500 }, Workload::Ttl, "PEXPIRE t12 1500");
        check(Ask::IncrBy { by: -1 }, Workload::Counters, "INCRBY c12 -1");
        check(Ask::BlockingPop { timeout_ms: 1050 }, Workload::Queues, "BLPOP q12 1.050");
        check(Ask::Ack { id: (7, 2) }, Workload::Groups, "XACK g12 g 7-2");
        check(Ask::Pexpire { ttl_ms: 5 }, Workload::Fields, "HPEXPIRE f1 5 FIELDS 1 4");
        let read = Ask::ReadGroup { count: 2, block_ms: 0 };
        check(read, Workload::Groups, "XREADGROUP GROUP g c3 COUNT 2 STREAMS g12 >");
        let values = Values::new(Chance::new(1));
        let mut token = Vec::new();
        values.write(7, &mut token);
        let token = String::from_utf8(token).expect("ASCII");
        let acquire = Ask::Acquire { value: 7, ttl_ms: 900 };
        check(acquire, Workload::Locks, &format!("SET l12 {token} NX PX 900"));
        let release = Ask::Release { value: 7 };
        check(release, Workload::Locks, &format!("EVAL {RELEASE_SCRIPT} 1 l12 {token}"));
        let extend = Ask::Extend { value: 7, ttl_ms: 950 };
        check(extend, Workload::Locks, &format!("EVAL {EXTEND_SCRIPT} 1 l12 {token} 950"));
    }

    #[test]
    fn bulk_strings_of_every_length_say_their_length() {
        for len in [0, 1, 9, 10, 11, 99, 100, 101, 20_000] {
            let mut out = Vec::new();
            bulk(&mut out, |out| out.resize(out.len() + len, b'x'));
            let (said, consumed) = parse_reply(&out).expect("complete");
            assert_eq!((said, consumed), (Said::Bulk(&vec![b'x'; len]), out.len()));
        }
    }
}

//! What a client of a lock asks, as commands of Redis, and their replies.
//!
//! Each request is one command that a server runs as a whole; its reply is one line.
//!
//! Invariant: both dialects do the same with a key and a counter that only these commands touch.

use super::message::{CounterUse, Reply, Request, Token};
use orrery_base::encode::{array, bulk, command};

/// Which commands a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SET with IFEQ, and DELEX: Orrery, Redis from 8.4 on.
    Conditions,
    /// Scripts: any Redis or Valkey.
    Scripts,
}

/// The keys of a lock. In a cluster both must be in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// Whose value is the holder's token.
    pub lock: &'a [u8],
    /// Whose value is the last number; never deleted.
    pub counter: &'a [u8],
}

/// What there is at the front of what a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Not yet a whole reply.
    Part,
    /// A reply, and its bytes.
    Reply(Reply, usize),
    /// Nothing that such a command is answered with: whoever is there does not understand it.
    Odd,
}

/// The scripts that a server has been sent: it is told their names from then on, and not their
/// texts. What it has forgotten, as it says with NOSCRIPT, it is sent again after [`Sent::forget`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent(u8);

impl Sent {
    /// Nothing is known to be there.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// A script and what a server calls it.
struct Script {
    bit: u8,
    text: &'static [u8],
    sha1: &'static [u8; 40],
}

/// Longest reply, in bytes: an error's text.
pub const REPLY_BYTES_MAX: usize = 4096;

const ACQUIRE_AND_READ: Script = Script {
    bit: 1 << 0,
    text: b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) \
    then return tonumber(redis.call('GET', KEYS[2]) or 0) end return false",
    sha1: b"4a5a0d840499989b98690d0007fda8b8a7676510",
};
const ACQUIRE_AND_COUNT: Script = Script {
    bit: 1 << 1,
    text: b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) \
    then return redis.call('INCR', KEYS[2]) end return false",
    sha1: b"5797eeec77dc46ae585e4a71903bb5d7132efcd9",
};
const ACQUIRE_AND_PROPOSE: Script = Script {
    bit: 1 << 6,
    text: b"if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end \
    local counter = tonumber(redis.call('GET', KEYS[2]) or 0) \
    if counter < tonumber(ARGV[3]) then redis.call('SET', KEYS[2], ARGV[3]) end return counter",
    sha1: b"63f0d5376f975cc4e98de9ea49707376c966496a",
};
const EXTEND: Script = Script {
    bit: 1 << 2,
    text: b"if redis.call('GET', KEYS[1]) == ARGV[1] \
    then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0",
    sha1: b"e50f848e374a94192aa6f2e444e7eb8acc16501d",
};
const EXTEND_OR_SET: Script = Script {
    bit: 1 << 3,
    text: b"local value = redis.call('GET', KEYS[1]) \
    if value and value ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1",
    sha1: b"12140fcb69e8ff14f9f8da17d0fd85e5e83c3bbb",
};
const COMMIT: Script = Script {
    bit: 1 << 4,
    text: b"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[2]) \
    then redis.call('SET', KEYS[2], ARGV[2]) end return 1",
    sha1: b"c658bc1d3f80e7f797bd4d46395806c1688eed16",
};
const RELEASE: Script = Script {
    bit: 1 << 5,
    text: b"if redis.call('GET', KEYS[1]) == ARGV[1] \
    then return redis.call('DEL', KEYS[1]) end return 0",
    sha1: b"6fbe84d1140fd2047394924af9d845b83c070bec",
};

const SET_AND_READ: &[u8] = b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', unpack(ARGV, 2)) \
    then return tonumber(redis.call('GET', KEYS[2]) or 0) end return false";
const SET_AND_COUNT: &[u8] = b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', unpack(ARGV, 2)) \
    then return redis.call('INCR', KEYS[2]) end return false";
const SET_AND_PROPOSE: &[u8] = b"local number = table.remove(ARGV) \
    if not redis.call('SET', KEYS[1], ARGV[1], 'NX', unpack(ARGV, 2)) then return false end \
    local counter = tonumber(redis.call('GET', KEYS[2]) or 0) \
    if counter < tonumber(number) then redis.call('SET', KEYS[2], number) end return counter";
// GET as a script, so that its reply is one line.
const LOOK: &[u8] = b"if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end return 0";

/// Appends the command of a request.
pub fn write(request: &Request, names: Names<'_>, dialect: Dialect, out: &mut Vec<u8>) {
    write_after(request, names, dialect, &mut Sent::default(), out);
}

/// Appends the command of a request to a server that has been sent these scripts, in this order,
/// over one connection.
pub fn write_after(
    request: &Request,
    names: Names<'_>,
    dialect: Dialect,
    sent: &mut Sent,
    out: &mut Vec<u8>,
) {
    let Names { lock, counter } = names;
    let has_conditions = dialect == Dialect::Conditions;
    let spelled = |token: Token| token.to_string().into_bytes();
    match *request {
        Request::Acquire { token, ttl_ms, counter: counter_use } => {
            let (token, ttl_ms) = (spelled(token), decimal(ttl_ms));
            let script = match counter_use {
                CounterUse::Ignore => {
                    return command(out, [b"SET".as_slice(), lock, &token, b"NX", b"PX", &ttl_ms]);
                }
                CounterUse::Read => &ACQUIRE_AND_READ,
                CounterUse::Increment => &ACQUIRE_AND_COUNT,
                CounterUse::Propose(number) => {
                    let words: [&[u8]; 6] =
                        [b"2", lock, counter, &token, &ttl_ms, &decimal(number)];
                    return eval(&ACQUIRE_AND_PROPOSE, &words, sent, out);
                }
            };
            eval(script, &[b"2", lock, counter, &token, &ttl_ms], sent, out);
        }
        Request::AcquireUntil { token, until_ms, counter: counter_use } => {
            write_until((token, until_ms), counter_use, names, out);
        }
        Request::Limit { ttl_ms } => {
            command(out, [b"PEXPIRE".as_slice(), lock, &decimal(ttl_ms)]);
        }
        Request::Look { token } => {
            command(out, [b"EVAL".as_slice(), LOOK, b"1", lock, &spelled(token)]);
        }
        Request::Extend { token, ttl_ms, recreates } => {
            let (token, ttl_ms) = (spelled(token), decimal(ttl_ms));
            if has_conditions && !recreates {
                return command(
                    out,
                    [b"SET".as_slice(), lock, &token, b"IFEQ", &token, b"PX", &ttl_ms],
                );
            }
            let script = if recreates { &EXTEND_OR_SET } else { &EXTEND };
            eval(script, &[b"1", lock, &token, &ttl_ms], sent, out);
        }
        Request::Commit { token, number } => {
            let (token, number) = (spelled(token), decimal(number));
            eval(&COMMIT, &[b"2", lock, counter, &token, &number], sent, out);
        }
        Request::Release { token: None } => command(out, [b"DEL".as_slice(), lock]),
        Request::Release { token: Some(token) } if has_conditions => {
            command(out, [b"DELEX".as_slice(), lock, b"IFEQ", &spelled(token)]);
        }
        Request::Release { token: Some(token) } => {
            eval(&RELEASE, &[b"1", lock, &spelled(token)], sent, out);
        }
    }
}

/// Appends the call of a script, by its name where the server has been sent it.
fn eval(script: &Script, words: &[&[u8]], sent: &mut Sent, out: &mut Vec<u8>) {
    array(out, 2 + words.len());
    if sent.0 & script.bit == 0 {
        bulk(out, b"EVAL");
        bulk(out, script.text);
        sent.0 |= script.bit;
    } else {
        bulk(out, b"EVALSHA");
        bulk(out, script.sha1);
    }
    words.iter().for_each(|word| bulk(out, word));
}

/// The command of an acquisition whose end is a time of day, or that has none.
fn write_until(
    (token, until_ms): (Token, Option<u64>),
    counter_use: CounterUse,
    Names { lock, counter }: Names<'_>,
    out: &mut Vec<u8>,
) {
    let token = token.to_string().into_bytes();
    let (script, number) = match counter_use {
        CounterUse::Ignore => (None, None),
        CounterUse::Read => (Some(SET_AND_READ), None),
        CounterUse::Increment => (Some(SET_AND_COUNT), None),
        CounterUse::Propose(number) => (Some(SET_AND_PROPOSE), Some(decimal(number))),
    };
    let mut words: Vec<&[u8]> = match script {
        Some(script) => [b"EVAL".as_slice(), script, b"2", lock, counter, &token].into(),
        None => [b"SET".as_slice(), lock, &token, b"NX"].into(),
    };
    let until = until_ms.map(decimal);
    if let Some(until) = &until {
        words.extend([b"PXAT".as_slice(), until]);
    }
    words.extend(number.as_deref());
    command(out, words);
}

/// Reads the reply to a request from the front of what a server said, in either protocol.
#[must_use]
pub fn read(request: &Request, bytes: &[u8]) -> Said {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() > REPLY_BYTES_MAX { Said::Odd } else { Said::Part };
    };
    let (line, len) = (&bytes[..end], end + 2);
    let counts = match request {
        Request::Acquire { counter, .. } | Request::AcquireUntil { counter, .. } => {
            *counter != CounterUse::Ignore
        }
        _ => false,
    };
    let number = |digits: &[u8]| str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let reply = match line {
        b"+OK" if !counts => Reply::Done { counter: 0 },
        b"$-1" | b"_" | b"*-1" => Reply::Refused,
        [b'-', ..] => Reply::Failed,
        [b':', digits @ ..] => match number(digits) {
            Some(counter) if counts => Reply::Done { counter },
            Some(0) => Reply::Refused,
            Some(1) => Reply::Done { counter: 0 },
            _ => return Said::Odd,
        },
        _ => return Said::Odd,
    };
    Said::Reply(reply, len)
}

fn decimal(value: u64) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_whole_and_only_as_what_they_can_be() {
        let token = Token { client: 1, attempt: 2 };
        let acquire = |counter| Request::Acquire { token, ttl_ms: 5, counter };
        let (plain, counted) = (acquire(CounterUse::Ignore), acquire(CounterUse::Read));
        let release = Request::Release { token: Some(token) };
        let done = |counter| Reply::Done { counter };
        assert_eq!(read(&plain, b"+OK\r\n:1"), Said::Reply(done(0), 5));
        assert_eq!(read(&plain, b"$-1\r\n"), Said::Reply(Reply::Refused, 5));
        assert_eq!(read(&plain, b"_\r\n"), Said::Reply(Reply::Refused, 3));
        assert_eq!(read(&counted, b":0\r\n"), Said::Reply(done(0), 4));
        assert_eq!(read(&counted, b":17\r\n"), Said::Reply(done(17), 5));
        assert_eq!(read(&release, b":0\r\n"), Said::Reply(Reply::Refused, 4));
        assert_eq!(read(&release, b"-LOADING\r\n"), Said::Reply(Reply::Failed, 10));
        for part in [&b""[..], b"+OK", b"+OK\r"] {
            assert_eq!(read(&plain, part), Said::Part);
        }
        for odd in [&b":2\r\n"[..], b":-1\r\n", b"$3\r\nfoo\r\n", b"+OKAY\r\n", b"\r\n"] {
            assert_eq!(read(&release, odd), Said::Odd, "{}", odd.escape_ascii());
        }
        assert_eq!(read(&counted, b"+OK\r\n"), Said::Odd, "there must be a number");
        assert_eq!(read(&plain, &[b'-'; REPLY_BYTES_MAX]), Said::Part);
        assert_eq!(read(&plain, &[b'-'; REPLY_BYTES_MAX + 1]), Said::Odd);
    }
}

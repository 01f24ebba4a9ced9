//! What a client of a lock asks, as commands of Redis, and their replies.
//!
//! Each request is one command that a server runs as a whole; its reply is one line. Others may go
//! with it over the same connection, with a line each: what counts replicas before it, what has the
//! server track its key and what waits for replicas behind it.
//!
//! Invariant: both dialects do the same with a key and a counter that only these commands touch.

use super::message::{CounterUse, Reply, Request, Token};
use super::script::{Script, Sent};
use super::settings::Replicas;
use orrery_base::encode::command;

/// Which commands a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SET with IFEQ, and DELEX: Orrery, Redis from 8.4 on.
    Conditions,
    /// Scripts: any Redis or Valkey.
    Scripts,
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Which commands it has.
    pub dialect: Dialect,
    /// The replicas that are waited for.
    pub replicas: Option<Replicas>,
    /// Whether the key is read when it was set, so that a server that tracks what its clients have
    /// read tells when somebody else deletes it.
    pub is_tracked: bool,
}

impl Manner {
    /// One command for each request.
    #[must_use]
    pub fn plain(dialect: Dialect) -> Self {
        Self { dialect, replicas: None, is_tracked: false }
    }
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

/// Longest reply, in bytes: an error's text.
pub const REPLY_BYTES_MAX: usize = 4096;

const ACQUIRE_AND_READ: Script = Script {
    bit: 1 << 0,
    text: b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) \
    then return tonumber(redis.call('GET', KEYS[2]) or 0) end \
    return -1 - tonumber(redis.call('GET', KEYS[2]) or 0)",
    sha1: b"0227dc5976d27f289dd46375ffa68b3eae852a19",
};
const ACQUIRE_AND_COUNT: Script = Script {
    bit: 1 << 1,
    text: b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) \
    then return redis.call('INCR', KEYS[2]) end return false",
    sha1: b"5797eeec77dc46ae585e4a71903bb5d7132efcd9",
};
const ACQUIRE_AND_PROPOSE: Script = Script {
    bit: 1 << 6,
    text: b"local is_set = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) \
    local counter = tonumber(redis.call('GET', KEYS[2]) or 0) \
    if not is_set then return -1 - counter end \
    if counter < tonumber(ARGV[3]) then redis.call('SET', KEYS[2], ARGV[3]) end return counter",
    sha1: b"c2b2c0597ca3b9bbbd8e71dbebe2a80eb0ded118",
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
    then return tonumber(redis.call('GET', KEYS[2]) or 0) end \
    return -1 - tonumber(redis.call('GET', KEYS[2]) or 0)";
const SET_AND_COUNT: &[u8] = b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', unpack(ARGV, 2)) \
    then return redis.call('INCR', KEYS[2]) end return false";
const SET_AND_PROPOSE: &[u8] = b"local number = table.remove(ARGV) \
    local is_set = redis.call('SET', KEYS[1], ARGV[1], 'NX', unpack(ARGV, 2)) \
    local counter = tonumber(redis.call('GET', KEYS[2]) or 0) \
    if not is_set then return -1 - counter end \
    if counter < tonumber(number) then redis.call('SET', KEYS[2], number) end return counter";
// GET as a script, so that its reply is one line.
const LOOK: &[u8] = b"if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end return 0";

// How many replicas there are, as a script, so that the reply is one line.
const COUNT_REPLICAS: &[u8] = b"return tonumber(string.match(\
    redis.call('INFO', 'replication'), 'connected_slaves:(%d+)'))";

/// Appends the command of a request, and those that wait for replicas.
pub fn write(request: &Request, names: Names<'_>, manner: Manner, out: &mut Vec<u8>) {
    write_after(request, names, manner, &mut Sent::default(), out);
}

/// Appends the command of a request to a server that has been sent these scripts, in this order,
/// over one connection, and those that wait for replicas.
pub fn write_after(
    request: &Request,
    names: Names<'_>,
    manner: Manner,
    sent: &mut Sent,
    out: &mut Vec<u8>,
) {
    if awaited(request, manner.replicas).is_some_and(|it| it.none_will_do) {
        command(out, [b"EVAL".as_slice(), COUNT_REPLICAS, b"0"]);
    }
    write_one(request, names, manner.dialect, sent, out);
    if manner.is_tracked && request.is_to_last() {
        command(out, [b"EXISTS".as_slice(), names.lock]);
    }
    write_wait(request, manner.replicas, out);
}

/// Appends what waits for the replicas of a request that was just written.
pub fn write_wait(request: &Request, replicas: Option<Replicas>, out: &mut Vec<u8>) {
    if let Some(Replicas { needed, timeout_ms, .. }) = awaited(request, replicas) {
        command(out, [b"WAIT".as_slice(), &decimal(needed.into()), &decimal(timeout_ms)]);
    }
}

/// The replicas that are waited for after a request, if any are.
fn awaited(request: &Request, replicas: Option<Replicas>) -> Option<Replicas> {
    replicas.filter(|it| it.needed > 0 && request.is_to_last())
}

fn write_one(
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
                    return sent.call(&ACQUIRE_AND_PROPOSE, words.into_iter(), out);
                }
            };
            sent.call(script, [b"2", lock, counter, &token, &ttl_ms].into_iter(), out);
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
            sent.call(script, [b"1", lock, &token, &ttl_ms].into_iter(), out);
        }
        Request::Commit { token, number } => {
            let (token, number) = (spelled(token), decimal(number));
            sent.call(&COMMIT, [b"2", lock, counter, &token, &number].into_iter(), out);
        }
        Request::Release { token: None } => command(out, [b"DEL".as_slice(), lock]),
        Request::Release { token: Some(token) } if has_conditions => {
            command(out, [b"DELEX".as_slice(), lock, b"IFEQ", &spelled(token)]);
        }
        Request::Release { token: Some(token) } => {
            sent.call(&RELEASE, [b"1", lock, &spelled(token)].into_iter(), out);
        }
    }
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

/// Reads the reply to a request from the front of what a server said, in either protocol, with
/// what it said to the commands that went with it.
#[must_use]
pub fn read(request: &Request, manner: Manner, bytes: &[u8]) -> Said {
    let counts = match request {
        Request::Acquire { counter, .. } | Request::AcquireUntil { counter, .. } => {
            *counter != CounterUse::Ignore
        }
        _ => false,
    };
    let is_tracked = manner.is_tracked && request.is_to_last();
    read_all(awaited(request, manner.replicas), is_tracked, counts, bytes)
        .unwrap_or_else(|said| said)
}

/// The replies to a request and to what goes with it: with too few replicas it has failed.
fn read_all(
    replicas: Option<Replicas>,
    is_tracked: bool,
    counts: bool,
    bytes: &[u8],
) -> Result<Said, Said> {
    let how_many = |line: &[u8]| match line {
        [b'-', ..] => Some(None),
        [b':', digits @ ..] => number(digits).map(Some),
        _ => None,
    };
    let mut at = 0;
    let mut connected = None;
    if replicas.is_some_and(|it| it.none_will_do) {
        (connected, at) = line(bytes, how_many)?;
    }
    let (mut reply, len) = line(&bytes[at..], |line| one_reply(line, counts))?;
    at += len;
    if is_tracked {
        at += line(&bytes[at..], how_many)?.1;
    }
    if let Some(Replicas { needed, .. }) = replicas {
        let (acknowledged, len) = line(&bytes[at..], how_many)?;
        at += len;
        let is_enough = connected == Some(0) || acknowledged >= Some(needed.into());
        if matches!(reply, Reply::Done { .. }) && !is_enough {
            reply = Reply::Failed;
        }
    }
    Ok(Said::Reply(reply, at))
}

/// What the first line means, and its length.
fn line<T>(bytes: &[u8], meaning: impl Fn(&[u8]) -> Option<T>) -> Result<(T, usize), Said> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return Err(if bytes.len() > REPLY_BYTES_MAX { Said::Odd } else { Said::Part });
    };
    meaning(&bytes[..end]).map(|it| (it, end + 2)).ok_or(Said::Odd)
}

fn one_reply(line: &[u8], counts: bool) -> Option<Reply> {
    Some(match line {
        b"+OK" if !counts => Reply::Done { counter: 0 },
        b"$-1" | b"_" | b"*-1" => Reply::Refused { counter: 0 },
        [b'-', ..] => Reply::Failed,
        [b':', b'-', digits @ ..] if counts => {
            Reply::Refused { counter: number(digits)?.checked_sub(1)? }
        }
        [b':', digits @ ..] => match number(digits)? {
            counter if counts => Reply::Done { counter },
            0 => Reply::Refused { counter: 0 },
            1 => Reply::Done { counter: 0 },
            _ => return None,
        },
        _ => return None,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn decimal(value: u64) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(counter: CounterUse) -> Request {
        Request::Acquire { token: Token { client: 1, attempt: 2 }, ttl_ms: 5, counter }
    }

    fn done(counter: u64) -> Reply {
        Reply::Done { counter }
    }

    const REFUSED: Reply = Reply::Refused { counter: 0 };

    #[test]
    fn replies_are_read_whole_and_only_as_what_they_can_be() {
        let (plain, counted) = (acquire(CounterUse::Ignore), acquire(CounterUse::Read));
        let release = Request::Release { token: Some(Token { client: 1, attempt: 2 }) };
        let manner = Manner::plain(Dialect::Scripts);
        let read = |request: &Request, bytes: &[u8]| read(request, manner, bytes);
        assert_eq!(read(&plain, b"+OK\r\n:1"), Said::Reply(done(0), 5));
        assert_eq!(read(&plain, b"$-1\r\n"), Said::Reply(REFUSED, 5));
        assert_eq!(read(&plain, b"_\r\n"), Said::Reply(REFUSED, 3));
        assert_eq!(read(&counted, b":0\r\n"), Said::Reply(done(0), 4));
        assert_eq!(read(&counted, b":17\r\n"), Said::Reply(done(17), 5));
        assert_eq!(read(&counted, b":-1\r\n"), Said::Reply(REFUSED, 5));
        assert_eq!(read(&counted, b":-18\r\n"), Said::Reply(Reply::Refused { counter: 17 }, 6));
        assert_eq!(read(&release, b":0\r\n"), Said::Reply(REFUSED, 4));
        assert_eq!(read(&release, b"-LOADING\r\n"), Said::Reply(Reply::Failed, 10));
        for part in [&b""[..], b"+OK", b"+OK\r"] {
            assert_eq!(read(&plain, part), Said::Part);
        }
        for odd in [&b":2\r\n"[..], b":-1\r\n", b"$3\r\nfoo\r\n", b"+OKAY\r\n", b"\r\n"] {
            assert_eq!(read(&release, odd), Said::Odd, "{}", odd.escape_ascii());
        }
        for odd in [&b"+OK\r\n"[..], b":-0\r\n", b":--1\r\n", b":-\r\n"] {
            assert_eq!(read(&counted, odd), Said::Odd, "there must be a number");
        }
        assert_eq!(read(&plain, &[b'-'; REPLY_BYTES_MAX]), Said::Part);
        assert_eq!(read(&plain, &[b'-'; REPLY_BYTES_MAX + 1]), Said::Odd);
    }

    #[test]
    fn a_grant_is_one_when_enough_replicas_have_it() {
        let counted = acquire(CounterUse::Increment);
        let manner = |none_will_do| Manner {
            replicas: Some(Replicas { needed: 2, timeout_ms: 9, none_will_do }),
            ..Manner::plain(Dialect::Scripts)
        };
        let read = |none_will_do, bytes: &[u8]| read(&counted, manner(none_will_do), bytes);
        assert_eq!(read(false, b":7\r\n:2\r\n+"), Said::Reply(done(7), 8));
        assert_eq!(read(false, b":7\r\n:1\r\n"), Said::Reply(Reply::Failed, 8));
        assert_eq!(read(false, b"$-1\r\n:2\r\n"), Said::Reply(REFUSED, 9));
        assert_eq!(read(false, b":7\r\n-ERR no\r\n"), Said::Reply(Reply::Failed, 13));
        assert_eq!(read(false, b"-ERR no\r\n:2\r\n"), Said::Reply(Reply::Failed, 13));
        for part in [&b":7\r\n"[..], b":7\r\n:2", b":7"] {
            assert_eq!(read(false, part), Said::Part);
        }
        assert_eq!(read(false, b":7\r\n+OK\r\n"), Said::Odd);
        assert_eq!(read(true, b":0\r\n:7\r\n:0\r\n"), Said::Reply(done(7), 12), "none is there");
        let refused = Said::Reply(Reply::Failed, 12);
        assert_eq!(read(true, b":1\r\n:7\r\n:0\r\n"), refused);
        assert_eq!(read(true, b":3\r\n:7\r\n:2\r\n"), Said::Reply(done(7), 12));
        let release = Request::Release { token: None };
        assert_eq!(super::read(&release, manner(true), b":1\r\n"), Said::Reply(done(0), 4));
    }

    #[test]
    fn what_is_read_for_news_is_no_part_of_the_answer() {
        let counted = acquire(CounterUse::Increment);
        let tracked = Manner { is_tracked: true, ..Manner::plain(Dialect::Scripts) };
        let mut out = Vec::new();
        write(&counted, Names { lock: b"l", counter: b"c" }, tracked, &mut out);
        assert!(out.ends_with(b"*2\r\n$6\r\nEXISTS\r\n$1\r\nl\r\n"), "{}", out.escape_ascii());
        assert_eq!(read(&counted, tracked, b":7\r\n:1\r\n:"), Said::Reply(done(7), 8));
        assert_eq!(read(&counted, tracked, b"$-1\r\n:1\r\n"), Said::Reply(REFUSED, 9));
        assert_eq!(read(&counted, tracked, b":7\r\n-NOPERM\r\n"), Said::Reply(done(7), 13));
        assert_eq!(read(&counted, tracked, b":7\r\n"), Said::Part);
        assert_eq!(read(&counted, tracked, b":7\r\n+OK\r\n"), Said::Odd);
        let waits = Replicas { needed: 2, timeout_ms: 9, none_will_do: false };
        let both = Manner { replicas: Some(waits), ..tracked };
        assert_eq!(read(&counted, both, b":7\r\n:1\r\n:2\r\n"), Said::Reply(done(7), 12));
        assert_eq!(read(&counted, both, b":7\r\n:1\r\n:1\r\n"), Said::Reply(Reply::Failed, 12));
        let release = Request::Release { token: None };
        assert_eq!(read(&release, tracked, b":1\r\n:1"), Said::Reply(done(0), 4));
    }
}

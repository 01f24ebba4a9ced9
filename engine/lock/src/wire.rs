//! What a client of a lock asks, as commands of Redis, and their replies.
//!
//! Each request is one command that a server runs as a whole; its reply is one line.
//!
//! Invariant: both dialects do the same with a key and a counter that only these commands touch.

use super::message::{CounterUse, Reply, Request, Token};
use orrery_base::encode::command;

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

/// Longest reply, in bytes: an error's text.
pub const REPLY_BYTES_MAX: usize = 4096;

const ACQUIRE_AND_READ: &[u8] = b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) \
    then return tonumber(redis.call('GET', KEYS[2]) or 0) end return false";
const ACQUIRE_AND_COUNT: &[u8] = b"if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) \
    then return redis.call('INCR', KEYS[2]) end return false";
const EXTEND: &[u8] = b"if redis.call('GET', KEYS[1]) == ARGV[1] \
    then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
const EXTEND_OR_SET: &[u8] = b"local value = redis.call('GET', KEYS[1]) \
    if value and value ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1";
const COMMIT: &[u8] = b"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[2]) \
    then redis.call('SET', KEYS[2], ARGV[2]) end return 1";
const RELEASE: &[u8] = b"if redis.call('GET', KEYS[1]) == ARGV[1] \
    then return redis.call('DEL', KEYS[1]) end return 0";

/// Appends the command of a request.
pub fn write(request: &Request, names: Names<'_>, dialect: Dialect, out: &mut Vec<u8>) {
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
                CounterUse::Read => ACQUIRE_AND_READ,
                CounterUse::Increment => ACQUIRE_AND_COUNT,
            };
            command(out, [b"EVAL".as_slice(), script, b"2", lock, counter, &token, &ttl_ms]);
        }
        Request::Extend { token, ttl_ms, recreates } => {
            let (token, ttl_ms) = (spelled(token), decimal(ttl_ms));
            if has_conditions && !recreates {
                return command(
                    out,
                    [b"SET".as_slice(), lock, &token, b"IFEQ", &token, b"PX", &ttl_ms],
                );
            }
            let script = if recreates { EXTEND_OR_SET } else { EXTEND };
            command(out, [b"EVAL".as_slice(), script, b"1", lock, &token, &ttl_ms]);
        }
        Request::Commit { token, number } => {
            let (token, number) = (spelled(token), decimal(number));
            command(out, [b"EVAL".as_slice(), COMMIT, b"2", lock, counter, &token, &number]);
        }
        Request::Release { token: None } => command(out, [b"DEL".as_slice(), lock]),
        Request::Release { token: Some(token) } if has_conditions => {
            command(out, [b"DELEX".as_slice(), lock, b"IFEQ", &spelled(token)]);
        }
        Request::Release { token: Some(token) } => {
            command(out, [b"EVAL".as_slice(), RELEASE, b"1", lock, &spelled(token)]);
        }
    }
}

/// Reads the reply to a request from the front of what a server said, in either protocol.
#[must_use]
pub fn read(request: &Request, bytes: &[u8]) -> Said {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() > REPLY_BYTES_MAX { Said::Odd } else { Said::Part };
    };
    let (line, len) = (&bytes[..end], end + 2);
    let counts = match request {
        Request::Acquire { counter, .. } => *counter != CounterUse::Ignore,
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

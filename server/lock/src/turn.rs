//! Turns: what fair locks, read-write locks and semaphores are made of, on one server.
//!
//! Who wants a turn joins a queue on the server and has a lease of the place there, which asking
//! again renews. The first in the queue holds as soon as those who hold leave room. All times are
//! the server's. Whoever leaves wakes the first; a wake-up that is lost costs no more than the time
//! between two questions.
//!
//! The state machine is that of any lock; a turn only spells its requests in another way.
//!
//! Invariant: a waiter's token stays the same while it waits, so that an answer that was lost is
//! given again. Nothing is given back between two questions, and all go over one connection, so
//! that no late release meets a later question with the same token.

use orrery_lock_machine::{Request, Script, Sent, Token};

/// Hexadecimal digits of a token that are the same for all locks of one client.
pub(crate) const CLIENT_DIGITS: usize = 20;
/// Hexadecimal digits of a token behind those, which tell its locks apart.
const SERIAL_DIGITS: usize = 12;

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Holders that share have `s`, holders that do not `x`.
    mode: u8,
    /// What the keys are used for: others with another purpose are refused.
    form: String,
    /// Most holders that share.
    limit: u32,
    /// A waiter that does not ask for so long has left.
    lease_ms: u64,
    keys: [Vec<u8>; 4],
}

/// How a turn is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Alone,
    Shared,
}

const COME: Script = Script {
    bit: 1,
    text: include_bytes!("turn_come.lua"),
    sha1: b"f7432b87e1c1e3ae0a24c014f2bcda9c984f4a67",
};
const STAY: Script = Script {
    bit: 2,
    text: include_bytes!("turn_stay.lua"),
    sha1: b"6321e5ce04cd6037844f03461946a5b1bd90a378",
};
const LEAVE: Script = Script {
    bit: 4,
    text: include_bytes!("turn_leave.lua"),
    sha1: b"634bbcc3c65475fe36230e4b57b4411cb3a1571e",
};

impl Turn {
    pub(crate) fn new(name: &str, mode: Mode, form: String, limit: u32, lease_ms: u64) -> Self {
        let mode = match mode {
            Mode::Alone => b'x',
            Mode::Shared => b's',
        };
        let base = if name.contains('{') { name.to_owned() } else { format!("{{{name}}}") };
        let key = |suffix: &str| format!("{base}:{suffix}").into_bytes();
        let keys = [key("form"), key("holders"), key("queue"), key("leases")];
        Self { mode, form, limit, lease_ms, keys }
    }

    /// Appends the command of a request.
    pub(crate) fn write(
        &self,
        request: &Request,
        counter: &[u8],
        sent: &mut Sent,
        out: &mut Vec<u8>,
    ) {
        let who = |token: Token| format!("{}{token}", char::from(self.mode)).into_bytes();
        let decimal = |number: u64| number.to_string().into_bytes();
        match *request {
            Request::Acquire { token, ttl_ms, .. } => {
                let limit = decimal(self.limit.into());
                let (ttl, lease) = (decimal(ttl_ms), decimal(self.lease_ms));
                let words: [&[u8]; 5] = [&who(token), self.form.as_bytes(), &limit, &ttl, &lease];
                self.call(&COME, &words, counter, sent, out);
            }
            Request::Extend { token, ttl_ms, .. } => {
                self.call(&STAY, &[&who(token), &decimal(ttl_ms)], counter, sent, out);
            }
            Request::Release { token: Some(token) } => {
                self.call(&LEAVE, &[&who(token)], counter, sent, out);
            }
            // The settings of turns ask for nothing else.
            _ => {
                unreachable!("a turn is on one server and is given back by its holder")
            }
        }
    }

    fn call(
        &self,
        script: &Script,
        words: &[&[u8]],
        counter: &[u8],
        sent: &mut Sent,
        out: &mut Vec<u8>,
    ) {
        let keys = self.keys.iter().map(Vec::as_slice).chain([counter]);
        let words: Vec<&[u8]> =
            [b"5".as_slice()].into_iter().chain(keys).chain(words.iter().copied()).collect();
        sent.call(script, words.into_iter(), out);
    }
}

/// The channel on which a client's waiters are woken.
pub(crate) fn channel(identity: u128) -> String {
    let digits = format!("{identity:032x}");
    format!("orrery-lock:{}", &digits[..CLIENT_DIGITS])
}

/// Which of its locks a client is woken for.
pub(crate) fn woken(message: &[u8]) -> Option<u64> {
    let serial = message.get(1 + CLIENT_DIGITS..1 + CLIENT_DIGITS + SERIAL_DIGITS)?;
    u64::from_str_radix(str::from_utf8(serial).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_finds_its_lock_in_what_it_is_woken_with() {
        let client = 0xabcd_u128 << 112 | 0x1234_5678;
        let message = format!("x{}", Token { client, attempt: 7 });
        assert_eq!(woken(message.as_bytes()), Some(0x1234_5678));
        assert_eq!(channel(client), "orrery-lock:abcd0000000000000000");
        for odd in [&b""[..], b"x", &message.as_bytes()[..30], &[b'z'; 40], &[0xff; 40]] {
            assert_eq!(woken(odd), None);
        }
    }

    #[test]
    fn scripts_are_sent_once_and_named_from_then_on() {
        let turn = Turn::new("n", Mode::Shared, "semaphore 3".into(), 3, 500);
        let token = Token { client: 1, attempt: 1 };
        let mut sent = Sent::default();
        let mut spell = |request| {
            let mut out = Vec::new();
            turn.write(&request, b"{n}:fence", &mut sent, &mut out);
            String::from_utf8(out).expect("all words are text")
        };
        let release = || Request::Release { token: Some(token) };
        assert!(spell(release()).contains("EVAL\r\n"));
        let second = spell(release());
        assert!(second.contains("EVALSHA\r\n") && second.contains("{n}:queue\r\n"), "{second}");
        let stay = spell(Request::Extend { token, ttl_ms: 9, recreates: false });
        assert!(stay.contains("EVAL\r\n") && stay.starts_with("*10\r\n"), "{stay}");
    }
}

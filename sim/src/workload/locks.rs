//! Locks: who has set a key holds it until the key's time is over.
//!
//! A client acquires with SET NX PX and a value that nobody else writes, its token. It releases and
//! extends by scripts that look first whether its token is still there, as Redis's documentation
//! tells everybody to do; and some forget what they hold.
//!
//! Invariant: an extension asks for no less than its token has asked for before. So it only
//! lengthens a lease, whether or not anybody knows that it has happened.

use super::Ask;
use crate::chance::Draw;

/// The shortest lease that is asked for.
const TTL_LEAST_MS: u64 = 300;
/// The longest.
pub(crate) const TTL_MOST_MS: u64 = 12_000;

/// Deletes the key if the token is still there.
pub(super) const RELEASE_SCRIPT: &str =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";
/// Gives the key more time if the token is still there.
pub(super) const EXTEND_SCRIPT: &str = "if redis.call('GET',KEYS[1])==ARGV[1] then \
    return redis.call('PEXPIRE',KEYS[1],ARGV[2]) end return 0";

/// What a client believes that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The number of the value that it has set.
    pub token: u64,
    /// The longest time that it has asked for.
    pub ttl_ms: u64,
}

/// Draws what a client does to a lock of which it has this lease, if any. `value` is a value that
/// nobody has written.
pub(super) fn drawn(draw: &mut Draw, die: u64, value: u64, lease: Option<Lease>) -> Ask {
    match (die, lease) {
        (0..35, Some(Lease { token, .. })) => Ask::Release { value: token },
        (35..55, Some(Lease { token, ttl_ms })) => {
            Ask::Extend { value: token, ttl_ms: draw.between(ttl_ms, TTL_MOST_MS) }
        }
        // Whoever holds it may have forgotten that, or does not know it any more than others do.
        _ => Ask::Acquire { value, ttl_ms: draw.spread(TTL_LEAST_MS, TTL_MOST_MS) },
    }
}

/// What a client believes that it holds on one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases(Vec<(u16, Lease)>);

impl Leases {
    /// The lease of a lock.
    pub(crate) fn of(&self, key: u16) -> Option<Lease> {
        self.0.iter().find(|(index, _)| *index == key).map(|&(_, lease)| lease)
    }

    /// It forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// It asks something of a lock.
    pub(crate) fn ask(&mut self, key: u16, ask: Ask) {
        match ask {
            Ask::Release { .. } => self.0.retain(|(index, _)| *index != key),
            // It may happen though nobody says so.
            Ask::Extend { value, ttl_ms } => self.put(key, Lease { token: value, ttl_ms }),
            _ => {}
        }
    }

    /// It is told that what it asked has been done.
    pub(crate) fn done(&mut self, key: u16, ask: Ask) {
        if let Ask::Acquire { value, ttl_ms } = ask {
            self.put(key, Lease { token: value, ttl_ms });
        }
    }

    fn put(&mut self, key: u16, lease: Lease) {
        self.0.retain(|(index, _)| *index != key);
        self.0.push((key, lease));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Chance, Stream};

    #[test]
    fn extensions_only_lengthen_and_only_holders_release() {
        let key = Chance::new(3).key(Stream::Command, 0);
        let mut leases = Leases::default();
        let mut counts = [0; 3];
        for index in 0..3000 {
            let mut draw = key.at(index);
            let die = draw.below(100);
            let held = leases.of(5);
            let ask = drawn(&mut draw, die, index + 1, held);
            let place = match ask {
                Ask::Acquire { value, ttl_ms } => {
                    assert_eq!(value, index + 1, "a token of its own");
                    assert!((TTL_LEAST_MS..=TTL_MOST_MS).contains(&ttl_ms));
                    0
                }
                Ask::Release { value } => {
                    assert_eq!(Some(value), held.map(|lease| lease.token));
                    1
                }
                Ask::Extend { value, ttl_ms } => {
                    let held = held.expect("only what it holds");
                    assert_eq!(value, held.token);
                    assert!((held.ttl_ms..=TTL_MOST_MS).contains(&ttl_ms));
                    2
                }
                other => panic!("{other:?}"),
            };
            counts[place] += 1;
            leases.ask(5, ask);
            if index % 3 == 0 {
                leases.done(5, ask);
            }
            assert_eq!(leases.of(4), None);
        }
        assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
        leases.clear();
        assert_eq!(leases.of(5), None);
    }
}

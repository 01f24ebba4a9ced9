//! Copies that clients keep of what they have read: how a client asks to be told of changes, how it
//! reads, and what writes there are that one key alone has not.
//!
//! Clients with copies use a database of their own where there are several, so that they may flush
//! it.
//!
//! Invariant: what is written is whole commands, and [`Step::replies`] says how many replies come.

use super::words::{bulk, push_number};
use super::{KeyName, Values, Workload};
use crate::chance::Draw;

/// Where messages about changes go in RESP2.
pub(crate) const CHANNEL: &[u8] = b"__redis__:invalidate";
const READ_SCRIPT: &[u8] = b"return redis.call('GET', KEYS[1])";
const WRITE_SCRIPT: &[u8] = b"redis.call('SET', KEYS[1], ARGV[1]) \
    return redis.call('SET', KEYS[2], ARGV[2])";
/// Exchanges the database for an empty one. Whoever keeps copies is told nothing of an exchange, in
/// Redis as here; whoever exchanges databases has to see to it, as this script does by its flush.
const SWAP_SCRIPT: &[u8] = b"redis.call('SWAPDB', ARGV[1], ARGV[2]) \
    redis.call('SELECT', ARGV[2]) return redis.call('FLUSHDB')";

/// How messages about changes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// As RESP3 pushes over the connection that reads.
    Push,
    /// To a second connection that has subscribed to them.
    Redirect,
}

/// Of which keys a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Of those that it reads.
    All,
    /// Of those that it reads behind CLIENT CACHING YES.
    OptIn,
    /// Of those that it reads, but for those behind CLIENT CACHING NO.
    OptOut,
    /// Of all.
    Everything,
    /// Of the first so many, each of which is a prefix.
    Prefixes {
        /// How many.
        keys: u16,
    },
}

/// How a client keeps its copies fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// How messages come.
    pub via: Via,
    /// About what.
    pub scope: Scope,
    /// Whether it is not told of what it does itself.
    pub no_loop: bool,
}

/// How commands are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As they are.
    Plain,
    /// Between MULTI and EXEC.
    Exec,
    /// In a script.
    Script,
}

/// A command of a client that keeps copies, beside those on one string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// HELLO 3.
    Hello,
    /// SELECT of the database that those with copies use.
    Select {
        /// Its number.
        db: u16,
    },
    /// CLIENT ID, over the second connection.
    WhoAmI,
    /// SUBSCRIBE to messages about changes, over the second connection.
    Listen,
    /// CLIENT TRACKING.
    Track {
        /// How.
        mode: Mode,
        /// The second connection, if there is one.
        redirect: Option<u64>,
    },
    /// PING over the second connection.
    Probe,
    /// A read of the key.
    Fetch {
        /// How it is sent.
        manner: Manner,
        /// What CLIENT CACHING says before it, if anything.
        caching: Option<bool>,
    },
    /// SET of this key and of another, in one transaction or script.
    Pair {
        /// What both values are made of.
        value: u64,
        /// The other key.
        other: u16,
        /// How it is sent.
        manner: Manner,
    },
    /// FLUSHDB, or FLUSHALL.
    Flush {
        /// Whether it is FLUSHALL.
        all: bool,
    },
    /// The database is exchanged for an empty one.
    Swap {
        /// Its number; the empty one has the next.
        db: u16,
    },
}

impl Mode {
    /// Draws a mode; `None`: a client that keeps nothing.
    pub(crate) fn draw(draw: &mut Draw, keys: u16, has_second: bool) -> Option<Self> {
        let (die, no_loop) = (draw.below(16), draw.chance(1, 2));
        let redirects = draw.chance(1, 2) && has_second;
        let scope = match die {
            0..5 => Scope::All,
            5..8 => Scope::OptIn,
            8..11 => Scope::OptOut,
            11 => Scope::Everything,
            12..14 => Scope::Prefixes { keys: 1 + draw.below(u64::from(keys)) as u16 },
            _ => return None,
        };
        Some(Self { via: if redirects { Via::Redirect } else { Via::Push }, scope, no_loop })
    }

    /// Whether it may keep a copy of a key that it reads behind CLIENT CACHING with this answer.
    pub(crate) fn keeps(self, key: u16, caching: Option<bool>) -> bool {
        match self.scope {
            Scope::All | Scope::Everything => true,
            Scope::OptIn => caching == Some(true),
            Scope::OptOut => caching != Some(false),
            Scope::Prefixes { keys } => key < keys,
        }
    }

    fn write(self, redirect: Option<u64>, out: &mut Vec<u8>) {
        let mut words: Vec<Vec<u8>> =
            [&b"CLIENT"[..], b"TRACKING", b"ON"].map(<[u8]>::to_vec).to_vec();
        if let Some(id) = redirect {
            words.extend([b"REDIRECT".to_vec(), id.to_string().into_bytes()]);
        }
        match self.scope {
            Scope::All => {}
            Scope::OptIn => words.push(b"OPTIN".to_vec()),
            Scope::OptOut => words.push(b"OPTOUT".to_vec()),
            Scope::Everything => words.push(b"BCAST".to_vec()),
            Scope::Prefixes { keys } => {
                words.push(b"BCAST".to_vec());
                words.extend((0..keys).flat_map(|index| [b"PREFIX".to_vec(), spelled(index)]));
            }
        }
        if self.no_loop {
            words.push(b"NOLOOP".to_vec());
        }
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        command(out, &words);
    }
}

impl Step {
    /// How many replies come, the last of which says what came of it.
    pub(super) fn replies(self) -> u16 {
        match self {
            Self::Fetch { manner, caching } => {
                let before = if manner == Manner::Exec { 2 } else { 0 };
                1 + before + u16::from(caching.is_some())
            }
            Self::Pair { manner: Manner::Exec, .. } => 4,
            _ => 1,
        }
    }

    /// Whether it goes over the second connection.
    pub(crate) fn is_aside(self) -> bool {
        matches!(self, Self::WhoAmI | Self::Listen | Self::Probe)
    }

    /// The values of both keys of a pair.
    pub(crate) fn pair(value: u64) -> [u64; 2] {
        // Beyond all numbers of operations, so that they are no other's values.
        [value + (1 << 40), value + (2 << 40)]
    }

    /// Appends its commands as the server sees them.
    pub(super) fn write(self, key: KeyName, values: &Values, out: &mut Vec<u8>) {
        match self {
            Self::Hello => command(out, &[b"HELLO", b"3"]),
            Self::Select { db } => command(out, &[b"SELECT", db.to_string().as_bytes()]),
            Self::WhoAmI => command(out, &[b"CLIENT", b"ID"]),
            Self::Listen => command(out, &[b"SUBSCRIBE", CHANNEL]),
            Self::Track { mode, redirect } => mode.write(redirect, out),
            Self::Probe => command(out, &[b"PING"]),
            Self::Fetch { manner, caching } => {
                if let Some(caching) = caching {
                    let word: &[u8] = if caching { b"YES" } else { b"NO" };
                    command(out, &[b"CLIENT", b"CACHING", word]);
                }
                let key = &spelled(key.index);
                match manner {
                    Manner::Plain => command(out, &[b"GET", key]),
                    Manner::Exec => in_exec(out, |out| command(out, &[b"GET", key])),
                    Manner::Script => command(out, &[b"EVAL", READ_SCRIPT, b"1", key]),
                }
            }
            Self::Pair { value, other, manner } => {
                let [one, two] = Self::pair(value).map(|value| {
                    let mut text = Vec::new();
                    values.write(value, &mut text);
                    text
                });
                let (key, other) = (&spelled(key.index), &spelled(other));
                if manner == Manner::Exec {
                    in_exec(out, |out| {
                        command(out, &[b"SET", key, &one]);
                        command(out, &[b"SET", other, &two]);
                    });
                } else {
                    command(out, &[b"EVAL", WRITE_SCRIPT, b"2", key, other, &one, &two]);
                }
            }
            Self::Flush { all: true } => command(out, &[b"FLUSHALL"]),
            Self::Flush { all: false } => command(out, &[b"FLUSHDB"]),
            Self::Swap { db } => {
                let [one, other] = [db, db + 1].map(|db| db.to_string());
                let numbers = [one.as_bytes(), other.as_bytes()];
                command(out, &[b"EVAL", SWAP_SCRIPT, b"0", numbers[0], numbers[1]]);
            }
        }
    }
}

fn in_exec(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    command(out, &[b"MULTI"]);
    write(out);
    command(out, &[b"EXEC"]);
}

fn spelled(index: u16) -> Vec<u8> {
    let mut name = Vec::new();
    KeyName { workload: Workload::Caches, index }.write(&mut name);
    name
}

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.push(b'*');
    push_number(out, words.len() as u64);
    out.extend_from_slice(b"\r\n");
    for word in words {
        bulk(out, |out| out.extend_from_slice(word));
    }
}

#[cfg(test)]
mod tests {
    use super::super::replies::{Said, parse_reply};
    use super::*;
    use crate::chance::Chance;

    fn words(step: Step) -> Vec<String> {
        let mut out = Vec::new();
        let key = KeyName { workload: Workload::Caches, index: 2 };
        step.write(key, &Values::new(Chance::new(1)), &mut out);
        let mut commands = Vec::new();
        let mut rest = &out[..];
        while let Some((said, len)) = parse_reply(rest) {
            rest = &rest[len..];
            let words = said.items().expect("a command").filter_map(Said::bulk);
            let words: Vec<String> =
                words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
            commands.push(words.join(" "));
        }
        assert!(rest.is_empty());
        assert_eq!(commands.len(), usize::from(step.replies()), "each command has one reply");
        commands
    }

    #[test]
    fn steps_are_written_as_commands_with_one_reply_each() {
        let mode = Mode { via: Via::Push, scope: Scope::Prefixes { keys: 2 }, no_loop: true };
        let track = |mode, redirect| words(Step::Track { mode, redirect });
        assert_eq!(
            track(mode, None),
            ["CLIENT TRACKING ON BCAST PREFIX k0 PREFIX k1 NOLOOP".to_owned()]
        );
        let mode = Mode { via: Via::Redirect, scope: Scope::OptIn, no_loop: false };
        assert_eq!(track(mode, Some(7)), ["CLIENT TRACKING ON REDIRECT 7 OPTIN".to_owned()]);
        let fetch = words(Step::Fetch { manner: Manner::Exec, caching: Some(true) });
        assert_eq!(fetch, ["CLIENT CACHING YES", "MULTI", "GET k2", "EXEC"]);
        let pair = words(Step::Pair { value: 5, other: 0, manner: Manner::Exec });
        assert!(pair[1].starts_with("SET k2 ") && pair[2].starts_with("SET k0 "), "{pair:?}");
        let pair = words(Step::Pair { value: 5, other: 0, manner: Manner::Script });
        assert!(pair[0].contains(" 2 k2 k0 "), "{pair:?}");
        assert!(words(Step::Swap { db: 1 })[0].ends_with(" 0 1 2"));
    }

    #[test]
    fn copies_are_kept_of_what_is_tracked() {
        let keeps = |scope, key, caching| {
            Mode { via: Via::Push, scope, no_loop: false }.keeps(key, caching)
        };
        assert!(keeps(Scope::All, 1, None) && keeps(Scope::OptOut, 1, None));
        assert!(!keeps(Scope::OptIn, 1, None) && keeps(Scope::OptIn, 1, Some(true)));
        assert!(!keeps(Scope::OptOut, 1, Some(false)));
        let two = Scope::Prefixes { keys: 2 };
        assert!(keeps(two, 1, None) && !keeps(two, 2, None));
    }
}

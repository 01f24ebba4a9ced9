//! Messages in flight as small words, and those of one client and one server as a row in order.
//!
//! A request is called by its place among those to the same server that its client waits for (its
//! tag; 0: it waits for it no more): numbers that only grow would make states differ that do not.
//!
//! Invariant: no word is 0, which is the end of a row; what is written is read back.

use orrery_engine::lock::{CounterUse, Fencing, Reply, Request, Settings, Token};

/// Tags, with that of requests nobody waits for: a server is asked for a lock and its extension at
/// once at most.
pub(super) const TAGS: usize = 4;
const SLOT_BITS: u32 = 12;
const SLOTS: u32 = u64::BITS / SLOT_BITS;

const ACQUIRE: u16 = 1;
const COMMIT: u16 = 2;
const RELEASE: u16 = 3;
const RELEASE_ANY: u16 = 4;
const EXTEND: u16 = 5;

/// A request to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked(u16);

impl Asked {
    pub(super) fn new(request: &Request, tag: u8) -> Self {
        let (kind, attempt, number) = match *request {
            Request::Acquire { token, counter: CounterUse::Propose(number), .. } => {
                (ACQUIRE, token.attempt, number)
            }
            Request::Acquire { token, .. } => (ACQUIRE, token.attempt, 0),
            Request::Commit { token, number } => (COMMIT, token.attempt, number),
            Request::Release { token: Some(token) } => (RELEASE, token.attempt, 0),
            Request::Release { token: None } => (RELEASE_ANY, 0, 0),
            Request::Extend { token, .. } => (EXTEND, token.attempt, 0),
            Request::AcquireUntil { .. } | Request::Limit { .. } | Request::Look { .. } => {
                unreachable!("a scope has no settings that ask for it")
            }
        };
        assert!(attempt < 4 && number < 16 && usize::from(tag) < TAGS, "a word has room for it");
        Self(kind | (attempt as u16) << 3 | (number as u16) << 5 | u16::from(tag) << 9)
    }

    /// What it asks for, for this client.
    pub(super) fn request(self, client: usize, settings: &Settings) -> Request {
        let ttl_ms = settings.ttl_ms;
        let token = Token { client: client as u128, attempt: self.attempt().into() };
        match self.kind() {
            ACQUIRE => {
                let counter = match settings.fencing {
                    Fencing::None => CounterUse::Ignore,
                    Fencing::Counter => CounterUse::Increment,
                    Fencing::WriteBack => CounterUse::Read,
                    Fencing::Proposed => CounterUse::Propose(self.number()),
                };
                Request::Acquire { token, ttl_ms, counter }
            }
            COMMIT => Request::Commit { token, number: self.number() },
            RELEASE => Request::Release { token: Some(token) },
            RELEASE_ANY => Request::Release { token: None },
            _ => {
                let recreates = settings.extension.is_some_and(|rule| rule.recreates);
                Request::Extend { token, ttl_ms, recreates }
            }
        }
    }

    pub(super) fn tag(self) -> u8 {
        (self.0 >> 9) as u8
    }

    pub(super) fn tagged(self, tag: u8) -> Self {
        Self(self.0 & 0x1ff | u16::from(tag) << 9)
    }

    /// The attempt whose key it must find if it is to do anything; none: it does what it does.
    pub(super) fn needs(self) -> Option<u8> {
        matches!(self.kind(), COMMIT | RELEASE).then(|| self.attempt())
    }

    fn kind(self) -> u16 {
        self.0 & 7
    }

    fn number(self) -> u64 {
        (self.0 >> 5 & 15).into()
    }

    fn attempt(self) -> u8 {
        (self.0 >> 3 & 3) as u8
    }
}

/// What a server has answered to a request that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Answered {
    pub(super) tag: u8,
    pub(super) is_done: bool,
    pub(super) counter: u8,
}

impl Answered {
    pub(super) fn new(reply: Reply, tag: u8) -> Self {
        match reply {
            Reply::Done { counter } => {
                assert!(counter < 16, "a word has room for it");
                Self { tag, is_done: true, counter: counter as u8 }
            }
            Reply::Refused { counter } => {
                assert!(counter < 16, "a word has room for it");
                Self { tag, is_done: false, counter: counter as u8 }
            }
            Reply::Failed => Self { tag, is_done: false, counter: 0 },
        }
    }

    pub(super) fn reply(self) -> Reply {
        let counter = self.counter.into();
        if self.is_done { Reply::Done { counter } } else { Reply::Refused { counter } }
    }
}

/// Words that have a place in a [`Row`].
pub(super) trait Word: Copy {
    fn pack(self) -> u16;
    fn unpack(bits: u16) -> Self;
}

impl Word for Asked {
    fn pack(self) -> u16 {
        self.0
    }

    fn unpack(bits: u16) -> Self {
        Self(bits)
    }
}

impl Word for Answered {
    fn pack(self) -> u16 {
        1 | u16::from(self.is_done) << 1 | u16::from(self.counter) << 2 | u16::from(self.tag) << 6
    }

    fn unpack(bits: u16) -> Self {
        Self {
            tag: (bits >> 6) as u8,
            is_done: bits >> 1 & 1 == 1,
            counter: (bits >> 2 & 15) as u8,
        }
    }
}

/// What a client does with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accessing {
    pub(super) writes: bool,
    /// The grant in whose name, counted as they were told.
    pub(super) grant: u8,
    /// Its number; 0: it has none.
    pub(super) number: u8,
    /// Whether what its client has read is still there.
    pub(super) is_fresh: bool,
    /// Whether its client waits for an answer.
    pub(super) is_awaited: bool,
}

impl Word for Accessing {
    fn pack(self) -> u16 {
        1 | u16::from(self.writes) << 1
            | u16::from(self.grant) << 2
            | u16::from(self.number) << 5
            | u16::from(self.is_fresh) << 9
            | u16::from(self.is_awaited) << 10
    }

    fn unpack(bits: u16) -> Self {
        Self {
            writes: bits >> 1 & 1 == 1,
            grant: (bits >> 2 & 7) as u8,
            number: (bits >> 5 & 15) as u8,
            is_fresh: bits >> 9 & 1 == 1,
            is_awaited: bits >> 10 & 1 == 1,
        }
    }
}

/// Messages in order, the first to arrive first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row(pub(super) u64);

impl Row {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn push(&mut self, word: impl Word) {
        let len = (u64::BITS - self.0.leading_zeros()).div_ceil(SLOT_BITS);
        assert!(len < SLOTS, "so many messages are not under way to one server");
        self.0 |= u64::from(word.pack()) << (len * SLOT_BITS);
    }

    pub(super) fn first<W: Word>(self) -> Option<W> {
        (self.0 != 0).then(|| W::unpack((self.0 & ((1 << SLOT_BITS) - 1)) as u16))
    }

    pub(super) fn pop<W: Word>(&mut self) -> Option<W> {
        let first = self.first();
        self.0 >>= SLOT_BITS;
        first
    }

    /// Each word changed, and left out where there is none.
    pub(super) fn changed<W: Word>(mut self, change: impl Fn(W) -> Option<W>) -> Self {
        let mut row = Self::default();
        while let Some(word) = self.pop() {
            if let Some(word) = change(word) {
                row.push(word);
            }
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locks::exhaustive::Algorithm;

    #[test]
    fn what_is_written_is_read_back_in_order() {
        let settings = Algorithm::QuorumFenced.settings(3);
        let token = Token { client: 1, attempt: 3 };
        let requests = [
            Request::Acquire { token, ttl_ms: settings.ttl_ms, counter: CounterUse::Read },
            Request::Commit { token, number: 13 },
            Request::Release { token: Some(token) },
            Request::Release { token: None },
        ];
        let mut row = Row::default();
        for (tag, request) in requests.iter().enumerate() {
            row.push(Asked::new(request, tag as u8));
        }
        for (tag, request) in requests.into_iter().enumerate() {
            let word: Asked = row.pop().expect("it was pushed");
            assert_eq!((word.request(1, &settings), word.tag()), (request, tag as u8));
            assert_eq!(word.tagged(1).tagged(tag as u8), word);
        }
        assert!(row.is_empty());
        let done = |counter| Reply::Done { counter };
        let refused = |counter| Reply::Refused { counter };
        for reply in [refused(0), refused(15), done(0), done(15)] {
            let answered = Answered::new(reply, 2);
            assert_eq!((answered.reply(), Answered::unpack(answered.pack())), (reply, answered));
        }
        let access =
            Accessing { writes: true, grant: 7, number: 15, is_fresh: true, is_awaited: true };
        assert_eq!(Accessing::unpack(access.pack()), access);
    }
}

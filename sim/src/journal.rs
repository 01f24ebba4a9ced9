//! What clients saw, as they saw it: the raw material of histories.
//!
//! Invariant: an operation is written down before its command leaves, and an answer only when the
//! client has read it.

use crate::check::messages::Event;
use crate::workload::{Ask, Id, KeyName, Manner, Said, Step, Style, Values, Workload, number};

/// The moment that never came.
pub const NEVER_NS: u64 = u64::MAX;

/// What a client knows of one command's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing yet.
    Open,
    /// It will never know.
    Unknown,
    /// +OK.
    Done,
    /// Nothing there, or not done.
    Nil,
    /// An integer reply.
    Integer(i64),
    /// The value that was written under this number.
    Value(u64),
    /// A counter's value.
    Count(i64),
    /// Values, or entries of a stream; they are in [`Journal::lists`].
    List(u32),
    /// An error; its text is in [`Journal::texts`].
    Error(u32),
    /// It was refused, because a script ran, memory was full, the server was not ready, or somebody
    /// whom it has forgotten may hold a lock, and nothing happened; the text is in
    /// [`Journal::texts`].
    Refused(u32),
    /// Anything else; its text is in [`Journal::texts`].
    Odd(u32),
}

/// One command of one client.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// The client, counted from zero.
    pub client: u16,
    /// Its place among the commands that were sent at once.
    pub slot: u16,
    /// The server that it was sent to.
    pub server: u16,
    /// The key.
    pub key: KeyName,
    /// The command.
    pub ask: Ask,
    /// What came of it.
    pub seen: Seen,
    /// True time of the call.
    pub call_ns: u64,
    /// True time of the answer.
    pub return_ns: u64,
    /// The client's wall clock at the call, in microseconds.
    pub call_local_us: u64,
    /// The client's wall clock at the answer.
    pub return_local_us: u64,
}

/// Something that a subscriber received.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// The subscriber.
    pub client: u16,
    /// From this server.
    pub server: u16,
    /// Over which of its connections.
    pub connection: u64,
    /// When.
    pub at_ns: u64,
    /// What.
    pub event: Event,
}

/// A look at a client's own copy of what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The client.
    pub client: u16,
    /// The server that the copy is of.
    pub server: u16,
    /// Which of the keys that clients keep copies of.
    pub key: u16,
    /// The value; `None`: that there was none.
    pub value: Option<u64>,
    /// Everything that the server had told by then was known here.
    pub since_ns: u64,
    /// When.
    pub at_ns: u64,
}

/// All operations of a run, in the order of their calls.
#[derive(Debug, Default)]
pub struct Journal {
    /// The operations.
    pub ops: Vec<Op>,
    /// Texts that are no values.
    pub texts: Vec<Vec<u8>>,
    /// Values with their ids in a stream; zero is what a list's elements have for an id, and what
    /// an entry has for a value where only its id was told.
    pub lists: Vec<Vec<(Id, u64)>>,
    /// What subscribers received, in its order.
    pub heard: Vec<Heard>,
    /// Looks at copies.
    pub recalls: Vec<Recall>,
    /// How many were answered.
    pub answered: u64,
    /// How many have an unknown outcome.
    pub unknown: u64,
    scratch: Vec<u8>,
}

impl Journal {
    /// The number of the next value: one that no operation has written.
    #[must_use]
    pub fn next_value(&self) -> u64 {
        self.ops.len() as u64 + 1
    }

    /// Writes down an answer.
    pub(crate) fn answer(
        &mut self,
        at: usize,
        said: Said<'_>,
        values: &Values,
        (now_ns, local_us): (u64, u64),
    ) -> Seen {
        let Op { key, ask, .. } = self.ops[at];
        let seen = match key.workload {
            _ if is_refusal(ask, said) => Seen::Refused(self.keep_error(said)),
            Workload::Caches => self.cache_reply(ask, said, values),
            Workload::Queues | Workload::Groups => self.collection_reply(ask, said, values),
            Workload::Fields => self.field_reply(ask, said, values),
            Workload::Transactions => self.transaction_reply(ask, said, values),
            Workload::Messages => self.message_reply(ask, said),
            Workload::Saves => self.save_reply(ask, said, values),
            workload => self.string_reply(workload, said, values),
        };
        self.answered += 1;
        let op = &mut self.ops[at];
        op.seen = seen;
        op.return_ns = now_ns;
        op.return_local_us = local_us;
        seen
    }

    fn keep_error(&mut self, said: Said<'_>) -> u32 {
        let Said::Error(text) = said else { return self.keep(b"") };
        self.keep(text)
    }

    /// The reply of a client that keeps copies.
    fn cache_reply(&mut self, ask: Ask, said: Said<'_>, values: &Values) -> Seen {
        let step = match (ask, said) {
            (_, Said::Error(text)) => return Seen::Error(self.keep(text)),
            (Ask::Cached(step), _) => step,
            (Ask::Ping, Said::Simple(b"PONG")) => return Seen::Done,
            _ => return self.string_reply(Workload::Caches, said, values),
        };
        let first = |said: Said<'_>| said.items()?.next()?.bulk().map(<[u8]>::to_vec);
        match (step, said) {
            (Step::Hello, Said::Array(_)) => Seen::Done,
            (Step::Listen, _) if first(said).is_some_and(|word| word == b"subscribe") => Seen::Done,
            (Step::Probe, _) if first(said).is_some_and(|word| word == b"pong") => Seen::Done,
            (Step::Fetch { manner: Manner::Exec, .. }, Said::Array(mut items)) => {
                match (items.next(), items.next()) {
                    (Some(said), None) => self.string_reply(Workload::Caches, said, values),
                    _ => self.odd(said),
                }
            }
            (Step::Pair { manner: Manner::Exec, .. }, Said::Array(items)) => {
                let mut count = 0;
                let all = items.inspect(|_| count += 1).all(|said| said == Said::Simple(b"OK"));
                if all && count == 2 { Seen::Done } else { self.odd(said) }
            }
            _ => self.string_reply(Workload::Caches, said, values),
        }
    }

    fn string_reply(&mut self, workload: Workload, said: Said<'_>, values: &Values) -> Seen {
        match said {
            Said::Simple(b"OK") => Seen::Done,
            Said::Nil => Seen::Nil,
            Said::Integer(value) => Seen::Integer(value),
            Said::Error(text) => Seen::Error(self.keep(text)),
            Said::Bulk(text) if workload == Workload::Counters => match number(text) {
                Some(count) => Seen::Count(count),
                None => Seen::Odd(self.keep(text)),
            },
            Said::Bulk(text) => match values.read(text, &mut self.scratch) {
                Some(value) => Seen::Value(value),
                None => Seen::Odd(self.keep(text)),
            },
            other => self.odd(other),
        }
    }

    /// What the reply of a command on a field says about the field, in the words of the commands on
    /// keys.
    fn field_reply(&mut self, ask: Ask, said: Said<'_>, values: &Values) -> Seen {
        let only = said.items().and_then(|mut items| match (items.next(), items.next()) {
            (Some(Said::Integer(value)), None) => Some(value),
            _ => None,
        });
        match (ask, said, only) {
            (Ask::Set { .. }, Said::Integer(0 | 1), _) => Seen::Done,
            (Ask::SetPx { .. }, Said::Integer(1), _) => Seen::Done,
            (Ask::Pttl, _, Some(value)) => Seen::Integer(value),
            (Ask::Pexpire { .. }, _, Some(-2)) => Seen::Integer(0),
            (Ask::Pexpire { .. }, _, Some(1)) => Seen::Integer(1),
            (Ask::Set { .. } | Ask::SetPx { .. }, Said::Integer(_), _) => self.odd(said),
            _ => self.string_reply(Workload::Fields, said, values),
        }
    }

    /// The reply of a transaction; nil: it was aborted.
    fn transaction_reply(&mut self, ask: Ask, said: Said<'_>, values: &Values) -> Seen {
        let plan = match (ask, said) {
            (Ask::Transact(plan), _) => plan,
            (Ask::Commit(_), Said::Nil) => return Seen::Nil,
            (Ask::Commit(plan), _) if plan.is_committed(said) => return Seen::Done,
            (Ask::Watch(_) | Ask::Commit(_), Said::Error(text)) => {
                return Seen::Error(self.keep(text));
            }
            (Ask::Watch(plan), _) => {
                return match plan.read_watched(said, values, &mut self.scratch) {
                    Some(list) => self.list(list),
                    None => self.odd(said),
                };
            }
            (Ask::Commit(_), _) => return self.odd(said),
            _ => return self.collection_reply(ask, said, values),
        };
        match (plan.style, said) {
            (Style::Aborted, Said::Error(_)) => Seen::Nil,
            (Style::Aborted, _) => self.odd(said),
            (_, Said::Error(text)) => Seen::Error(self.keep(text)),
            _ => match plan.read(said, values, &mut self.scratch) {
                Some(list) => self.list(list),
                None => self.odd(said),
            },
        }
    }

    /// The reply of a client that saves keys.
    fn save_reply(&mut self, ask: Ask, said: Said<'_>, values: &Values) -> Seen {
        match (ask, said) {
            (Ask::SaveInBackground, Said::Simple(b"Background saving started")) => Seen::Done,
            (Ask::GetAll { keys }, Said::Array(items)) => {
                let mut list = Vec::new();
                let mut count = 0;
                for (index, item) in (0_u64..).zip(items) {
                    count += 1;
                    match item {
                        Said::Nil => {}
                        item => match item.bulk().and_then(|it| values.read(it, &mut self.scratch))
                        {
                            Some(value) => list.push(((index, 0), value)),
                            None => return self.odd(item),
                        },
                    }
                }
                if count == keys { self.list(list) } else { self.odd(said) }
            }
            (Ask::HasSaved { .. }, Said::Bulk(text)) => {
                let has = |line: &[u8]| text.split(|&byte| byte == b'\n').any(|it| it == line);
                let goes_on = [
                    &b"rdb_bgsave_in_progress:1\r"[..],
                    b"rdb_bgsave_in_progress:0\r",
                    b"rdb_last_bgsave_status:ok\r",
                    b"rdb_last_bgsave_status:err\r",
                ];
                match goes_on.map(has) {
                    [true, false, _, _] => Seen::Nil,
                    [false, true, true, false] => Seen::Done,
                    [false, true, false, true] => Seen::Integer(-1),
                    _ => Seen::Odd(self.keep(text)),
                }
            }
            _ => self.string_reply(Workload::Saves, said, values),
        }
    }

    fn message_reply(&mut self, ask: Ask, said: Said<'_>) -> Seen {
        let first = |said: Said<'_>| said.items()?.next()?.bulk().map(<[u8]>::to_vec);
        match (ask, said) {
            (Ask::Publish { .. }, Said::Integer(count)) => Seen::Integer(count),
            (Ask::Ping, Said::Simple(b"PONG")) => Seen::Done,
            (Ask::Ping, said) if first(said).is_some_and(|word| word == b"pong") => Seen::Done,
            (Ask::Subscribe { .. }, said)
                if first(said).is_some_and(|word| word == b"subscribe") =>
            {
                Seen::Done
            }
            (_, Said::Error(text)) => Seen::Error(self.keep(text)),
            _ => self.odd(said),
        }
    }

    /// Writes down what a subscriber received unasked; false: it is something else.
    pub(crate) fn hear(&mut self, mut heard: Heard, said: Said<'_>, values: &Values) -> bool {
        let Some(mut items) = said.items() else { return false };
        let is_message = items.next().and_then(Said::bulk).is_some_and(|word| word == b"message");
        let channel = is_message.then(|| items.next().and_then(Said::bulk)).flatten();
        let text = items.next().and_then(Said::bulk);
        let (Some(channel), Some(text)) = (channel, text) else { return false };
        // What was never published is told apart by its number.
        let channel = channel.get(1..).and_then(number).unwrap_or(-1);
        let value = values.read(text, &mut self.scratch).unwrap_or(0);
        heard.event = Event::Message { channel: channel as u16, value };
        self.heard.push(heard);
        true
    }

    fn collection_reply(&mut self, ask: Ask, said: Said<'_>, values: &Values) -> Seen {
        match (ask, said) {
            (_, Said::Error(text)) => Seen::Error(self.keep(text)),
            (_, Said::Integer(value)) => Seen::Integer(value),
            (Ask::CreateGroup, Said::Simple(b"OK")) => Seen::Done,
            (Ask::ReadGroup { .. }, Said::Nil) => self.list(Vec::new()),
            (_, Said::Nil) => Seen::Nil,
            (Ask::Pop, Said::Bulk(_)) => self.string_reply(Workload::Queues, said, values),
            _ => match self.parts(ask, said, values) {
                Some(Parts::Value(value)) => Seen::Value(value),
                Some(Parts::List(list)) => self.list(list),
                None => self.odd(said),
            },
        }
    }

    /// The parts of a reply that has some, if they are what the command's reply should have.
    fn parts(&mut self, ask: Ask, said: Said<'_>, values: &Values) -> Option<Parts> {
        let value = |text: &[u8], scratch: &mut Vec<u8>| values.read(text, scratch);
        let scratch = &mut self.scratch;
        Some(match ask {
            Ask::BlockingPop { .. } => {
                let mut items = said.items()?;
                items.next()?.bulk()?;
                Parts::Value(value(items.next()?.bulk()?, scratch)?)
            }
            Ask::Look => {
                let read = |item: Said<'_>| Some(((0, 0), value(item.bulk()?, scratch)?));
                Parts::List(said.items()?.map(read).collect::<Option<_>>()?)
            }
            Ask::Add { .. } => Parts::List(vec![(id(said)?, 0)]),
            Ask::ReadGroup { .. } => {
                let mut stream = said.items()?.next()?.items()?;
                stream.next()?.bulk()?;
                Parts::List(entries(stream.next()?, values, scratch)?)
            }
            Ask::Claim { .. } => {
                let mut items = said.items()?;
                items.next()?.bulk()?;
                Parts::List(entries(items.next()?, values, scratch)?)
            }
            Ask::Range => Parts::List(entries(said, values, scratch)?),
            Ask::Pending => {
                let read = |item: Said<'_>| Some((id(item.items()?.next()?)?, 0));
                Parts::List(said.items()?.map(read).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    fn list(&mut self, list: Vec<(Id, u64)>) -> Seen {
        self.lists.push(list);
        Seen::List(self.lists.len() as u32 - 1)
    }

    fn odd(&mut self, said: Said<'_>) -> Seen {
        let text = format!("{said:?}");
        Seen::Odd(self.keep(text.as_bytes()))
    }

    /// The client gives an operation up.
    pub(crate) fn give_up(&mut self, at: usize) {
        self.unknown += 1;
        self.ops[at].seen = Seen::Unknown;
    }

    fn keep(&mut self, text: &[u8]) -> u32 {
        self.texts.push(text.to_vec());
        self.texts.len() as u32 - 1
    }
}

/// Whether nothing happened because a script ran, because memory was full, because the server was
/// loading or cannot save, or because somebody whom it has forgotten may hold a lock: of a
/// transaction the reply of EXEC tells only that there was something.
fn is_refusal(ask: Ask, said: Said<'_>) -> bool {
    let Said::Error(text) = said else { return false };
    let may_be_told_later = match ask {
        Ask::Transact(plan) => plan.style == Style::Exec,
        Ask::Commit(_) | Ask::Cached(_) => true,
        _ => false,
    };
    text.starts_with(b"OOM ")
        || text.starts_with(b"LOADING ")
        || text.starts_with(b"MISCONF ")
        || text.starts_with(b"BUSY ")
        || (matches!(ask, Ask::Acquire { .. }) && text.starts_with(b"LOCKGRACE "))
        || (may_be_told_later && text.starts_with(b"EXECABORT "))
}

enum Parts {
    Value(u64),
    List(Vec<(Id, u64)>),
}

fn id(said: Said<'_>) -> Option<Id> {
    let text = said.bulk()?;
    let dash = text.iter().position(|&byte| byte == b'-')?;
    let part = |text: &[u8]| number(text).and_then(|number| u64::try_from(number).ok());
    Some((part(&text[..dash])?, part(&text[dash + 1..])?))
}

/// Entries with one field each.
fn entries(said: Said<'_>, values: &Values, scratch: &mut Vec<u8>) -> Option<Vec<(Id, u64)>> {
    said.items()?
        .map(|entry| {
            let mut parts = entry.items()?;
            let id = id(parts.next()?)?;
            let value = parts.next()?.items()?.nth(1)?.bulk()?;
            Some((id, values.read(value, scratch)?))
        })
        .collect()
}

//! From a command and its answer to the parts that the model applies one after the other.
//!
//! Every command becomes single-key parts that take effect at one instant: DEL of three keys is
//! three deletions whose count is checked at the last, EXEC the parts of all its commands.

use std::sync::Arc;

use super::Redis;
use crate::history::{Command, Condition, Outcome, Reply, SetCommand, Value};
use crate::model::NEVER_US;

/// A command with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedisOp {
    parts: Arc<[Part]>,
    impossible: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Part {
    /// Index of the key in the partition.
    pub(super) key: u32,
    pub(super) action: Action,
    pub(super) expected: Expected,
    /// Whether no earlier part is about the same key. Time stands still during a command and a
    /// MULTI, so a key that was touched cannot have expired since.
    pub(super) is_first_of_key: bool,
    /// The first part of a command that counts keys.
    pub(super) starts_count: bool,
    /// At the last part of such a command: what the count must be.
    pub(super) count: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Get,
    /// A look at a client's own copy.
    Cached,
    Set(SetAction),
    Append(u32),
    GetDel,
    IncrBy(i64),
    /// Microseconds.
    Expire(i64),
    Persist,
    Pttl,
    Ttl,
    Del,
    Exists,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SetAction {
    pub(super) value: u32,
    pub(super) ttl_us: Option<i64>,
    pub(super) condition: Only,
    pub(super) keep_ttl: bool,
    pub(super) get: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Only {
    Always,
    IfAbsent,
    IfPresent,
    IfEqual(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Expected {
    Anything,
    Done,
    Nil,
    Int(i64),
    Bulk(u32),
    Error,
}

/// Whether a command can give a key a deadline.
#[must_use]
pub fn sets_deadlines(command: &Command) -> bool {
    match command {
        Command::Set(set) => set.ttl_ms.is_some(),
        Command::Expire { ttl_ms, .. } => *ttl_ms > 0,
        Command::Multi { commands } => commands.iter().any(|inner| match inner {
            Command::Multi { .. } => false,
            inner => sets_deadlines(inner),
        }),
        _ => false,
    }
}

impl RedisOp {
    fn impossible() -> Self {
        Self { parts: Arc::from([]), impossible: true }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn is_impossible(&self) -> bool {
        self.impossible
    }

    pub(super) fn only_observes(&self) -> bool {
        self.parts.iter().all(|part| {
            matches!(
                part.action,
                Action::Get | Action::Cached | Action::Pttl | Action::Ttl | Action::Exists
            )
        })
    }

    /// Whether it saw that the one key is there.
    pub(super) fn saw_it_there(&self) -> bool {
        matches!(
            &*self.parts,
            [Part { action: Action::Get | Action::Cached, expected: Expected::Bulk(_), .. }]
        )
    }

    /// For an answered GET or a copy: the key and the value that it saw (`None` for nil).
    pub(super) fn seen(&self) -> Option<(u32, Option<u32>)> {
        match &*self.parts {
            [Part { key, action: Action::Get | Action::Cached, expected, .. }] => match expected {
                Expected::Bulk(value) => Some((*key, Some(*value))),
                Expected::Nil => Some((*key, None)),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn without_answer(&self) -> Self {
        let parts = self.parts.iter().map(|part| Part {
            expected: Expected::Anything,
            count: None,
            ..part.clone()
        });
        Self { parts: parts.collect(), impossible: self.impossible }
    }
}

/// Parts under construction; `None` from its methods means that no server answers so.
struct Builder<'a, F> {
    model: &'a mut Redis,
    key_index: F,
    parts: Vec<Part>,
}

impl Redis {
    /// The operation to judge, or `None` if it says nothing. `key_index` numbers the keys of the
    /// partition.
    pub fn compile(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        key_index: impl Fn(&Value) -> u32,
    ) -> Option<RedisOp> {
        let reply = match outcome {
            Outcome::Fail => return None,
            Outcome::Info => None,
            Outcome::Ok(reply) => Some(reply),
        };
        if matches!(command, Command::Multi { .. })
            && matches!(reply, Some(Reply::Nil | Reply::Error(_)))
        {
            // EXEC was aborted: nothing happened and nothing was seen.
            return None;
        }
        let mut builder = Builder { model: self, key_index, parts: Vec::new() };
        if builder.command(command, reply).is_none() {
            return Some(RedisOp::impossible());
        }
        let op = RedisOp { parts: builder.parts.into(), impossible: false };
        (reply.is_some() || !op.only_observes()).then_some(op)
    }
}

impl<F: Fn(&Value) -> u32> Builder<'_, F> {
    fn command(&mut self, command: &Command, reply: Option<&Reply>) -> Option<()> {
        let (key, action) = match command {
            Command::Get { key } => (key, Action::Get),
            Command::Cached { key } => (key, Action::Cached),
            Command::Set(set) => (&set.key, self.set(set)),
            Command::Append { key, value } => {
                (key, Action::Append(self.model.values.intern(value.as_bytes())))
            }
            Command::GetDel { key } => (key, Action::GetDel),
            Command::IncrBy { key, by } => (key, Action::IncrBy(*by)),
            Command::Expire { key, ttl_ms } => (key, Action::Expire(microseconds(*ttl_ms))),
            Command::Persist { key } => (key, Action::Persist),
            Command::Pttl { key } => (key, Action::Pttl),
            Command::Ttl { key } => (key, Action::Ttl),
            Command::Del { keys } => return self.counted(keys, Action::Del, reply),
            Command::Exists { keys } => return self.counted(keys, Action::Exists, reply),
            Command::MGet { keys } => {
                let replies = array(reply, keys.len())?;
                for (index, key) in keys.iter().enumerate() {
                    self.push(key, Action::Get, replies.map(|replies| &replies[index]))?;
                }
                return Some(());
            }
            Command::MSet { pairs } => {
                if !matches!(reply, None | Some(Reply::Done)) {
                    return None;
                }
                for (key, value) in pairs {
                    let set = SetCommand { value: value.clone(), ..SetCommand::default() };
                    let action = self.set(&set);
                    self.push(key, action, None)?;
                }
                return Some(());
            }
            Command::Multi { commands } => {
                let replies = array(reply, commands.len())?;
                for (index, inner) in commands.iter().enumerate() {
                    if matches!(inner, Command::Multi { .. }) {
                        return None;
                    }
                    self.command(inner, replies.map(|replies| &replies[index]))?;
                }
                return Some(());
            }
            Command::Cas { .. } => return None,
        };
        self.push(key, action, reply)
    }

    fn set(&mut self, set: &SetCommand) -> Action {
        let values = &mut self.model.values;
        Action::Set(SetAction {
            value: values.intern(set.value.as_bytes()),
            ttl_us: set.ttl_ms.map(microseconds),
            condition: match &set.condition {
                None => Only::Always,
                Some(Condition::Nx) => Only::IfAbsent,
                Some(Condition::Xx) => Only::IfPresent,
                Some(Condition::IfEq(value)) => Only::IfEqual(values.intern(value.as_bytes())),
            },
            keep_ttl: set.keep_ttl,
            get: set.get,
        })
    }

    fn counted(&mut self, keys: &[Value], action: Action, reply: Option<&Reply>) -> Option<()> {
        let count = match reply {
            None => None,
            Some(Reply::Int(count)) => Some(*count),
            Some(_) => return None,
        };
        for (index, key) in keys.iter().enumerate() {
            self.push(key, action, None)?;
            let part = self.parts.last_mut()?;
            part.starts_count = index == 0;
            part.count = if index + 1 == keys.len() { count } else { None };
        }
        Some(())
    }

    fn push(&mut self, key: &Value, action: Action, reply: Option<&Reply>) -> Option<()> {
        let expected = match reply {
            None => Expected::Anything,
            Some(Reply::Done) => Expected::Done,
            Some(Reply::Nil) => Expected::Nil,
            Some(Reply::Int(number)) => Expected::Int(*number),
            Some(Reply::Bulk(value)) => Expected::Bulk(self.model.values.intern(value.as_bytes())),
            Some(Reply::Error(_)) => Expected::Error,
            Some(Reply::Array(_)) => return None,
        };
        let key = (self.key_index)(key);
        self.parts.push(Part {
            key,
            action,
            expected,
            is_first_of_key: self.parts.iter().all(|part| part.key != key),
            starts_count: true,
            count: None,
        });
        Some(())
    }
}

#[allow(clippy::option_option, reason = "no answer and a wrong answer differ")]
fn array(reply: Option<&Reply>, len: usize) -> Option<Option<&[Reply]>> {
    match reply {
        None => Some(None),
        Some(Reply::Array(replies)) if replies.len() == len => Some(Some(replies)),
        Some(_) => None,
    }
}

/// Beyond what any sum in `deadline` can overflow, and far beyond what a run can observe.
fn microseconds(ms: i64) -> i64 {
    ms.saturating_mul(1_000).clamp(-NEVER_US / 2, NEVER_US / 2)
}

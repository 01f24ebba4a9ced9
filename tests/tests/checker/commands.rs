//! What commands do, written down a second time, as plainly as possible.
//!
//! Time is behind [`Clock`]: a real one for generating histories, a hypothetical one for the
//! oracle.

use std::collections::BTreeMap;

use orrery_sim::history::{Command, Condition, Reply, SetCommand, Specification, Value};

/// Answers questions about deadlines, which it names by numbers.
pub(crate) trait Clock {
    fn set(&mut self, ttl_ms: i64) -> usize;
    fn is_alive(&mut self, deadline: usize) -> bool;
    /// `expected` is what the client was told, if that is known.
    fn remaining_ms(&mut self, deadline: usize, expected: Option<i64>) -> i64;
    /// The same for TTL, in seconds.
    fn remaining_s(&mut self, deadline: usize, expected: Option<i64>) -> i64;
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Keys(BTreeMap<Vec<u8>, (Vec<u8>, Option<usize>)>);

impl Keys {
    fn find(&mut self, key: &Value, clock: &mut dyn Clock) -> Option<(Vec<u8>, Option<usize>)> {
        let (value, deadline) = self.0.get(key.as_bytes())?.clone();
        if let Some(deadline) = deadline
            && !clock.is_alive(deadline)
        {
            self.0.remove(key.as_bytes());
            return None;
        }
        Some((value, deadline))
    }

    fn put(&mut self, key: &Value, value: &[u8], deadline: Option<usize>) {
        self.0.insert(key.as_bytes().to_vec(), (value.to_vec(), deadline));
    }
}

fn bulk(value: Option<(Vec<u8>, Option<usize>)>) -> Reply {
    value.map_or(Reply::Nil, |(bytes, _)| Reply::Bulk(Value::from(bytes)))
}

fn int(number: usize) -> Reply {
    Reply::Int(i64::try_from(number).unwrap())
}

pub(crate) fn run(
    specification: Specification,
    command: &Command,
    expected: Option<&Reply>,
    keys: &mut Keys,
    clock: &mut dyn Clock,
) -> Reply {
    let is_kv = specification == Specification::Kv;
    match command {
        Command::Get { key } if is_kv => {
            let value = keys.find(key, clock).map_or(Vec::new(), |(value, _)| value);
            Reply::Bulk(Value::from(value))
        }
        Command::Get { key } => bulk(keys.find(key, clock)),
        Command::Set(set) => run_set(set, keys, clock),
        Command::Cas { key, from, to } => match keys.find(key, clock) {
            Some((value, _)) if value == from.as_bytes() => {
                keys.put(key, to.as_bytes(), None);
                Reply::Int(1)
            }
            _ => Reply::Int(0),
        },
        Command::Append { key, value } => {
            let (mut new, deadline) = keys.find(key, clock).unwrap_or_default();
            new.extend_from_slice(value.as_bytes());
            keys.put(key, &new, deadline);
            if is_kv { Reply::Done } else { int(new.len()) }
        }
        Command::GetDel { key } => {
            let reply = bulk(keys.find(key, clock));
            keys.0.remove(key.as_bytes());
            reply
        }
        Command::IncrBy { key, by } => {
            let (old, deadline) = keys.find(key, clock).unwrap_or_else(|| (b"0".to_vec(), None));
            let text = String::from_utf8(old).unwrap();
            // Redis takes only what it would print itself: "02" is no integer.
            let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
            match number.and_then(|number| number.checked_add(*by)) {
                None => Reply::Error("not an integer or out of range".into()),
                Some(sum) => {
                    keys.put(key, sum.to_string().as_bytes(), deadline);
                    Reply::Int(sum)
                }
            }
        }
        _ => run_more(specification, command, expected, keys, clock),
    }
}

/// Commands about time and about several keys.
fn run_more(
    specification: Specification,
    command: &Command,
    expected: Option<&Reply>,
    keys: &mut Keys,
    clock: &mut dyn Clock,
) -> Reply {
    match command {
        Command::Expire { key, ttl_ms } => match keys.find(key, clock) {
            None => Reply::Int(0),
            Some(_) if *ttl_ms <= 0 => {
                keys.0.remove(key.as_bytes());
                Reply::Int(1)
            }
            Some((value, _)) => {
                let deadline = clock.set(*ttl_ms);
                keys.put(key, &value, Some(deadline));
                Reply::Int(1)
            }
        },
        Command::Persist { key } => match keys.find(key, clock) {
            Some((value, Some(_))) => {
                keys.put(key, &value, None);
                Reply::Int(1)
            }
            _ => Reply::Int(0),
        },
        Command::Pttl { key } | Command::Ttl { key } => {
            let told = match expected {
                Some(Reply::Int(number)) => Some(*number),
                _ => None,
            };
            Reply::Int(match keys.find(key, clock) {
                None => -2,
                Some((_, None)) => -1,
                Some((_, Some(deadline))) if matches!(command, Command::Pttl { .. }) => {
                    clock.remaining_ms(deadline, told)
                }
                Some((_, Some(deadline))) => clock.remaining_s(deadline, told),
            })
        }
        Command::Del { keys: names } => {
            let mut count = 0;
            for name in names {
                count += usize::from(keys.find(name, clock).is_some());
                keys.0.remove(name.as_bytes());
            }
            int(count)
        }
        Command::Exists { keys: names } => {
            int(names.iter().filter(|name| keys.find(name, clock).is_some()).count())
        }
        Command::MGet { keys: names } => {
            Reply::Array(names.iter().map(|name| bulk(keys.find(name, clock))).collect())
        }
        Command::MSet { pairs } => {
            pairs.iter().for_each(|(key, value)| keys.put(key, value.as_bytes(), None));
            Reply::Done
        }
        Command::Multi { commands } => {
            let told = |index: usize| match expected {
                Some(Reply::Array(replies)) => replies.get(index),
                _ => None,
            };
            let commands = commands.iter().enumerate();
            Reply::Array(
                commands
                    .map(|(index, inner)| run(specification, inner, told(index), keys, clock))
                    .collect(),
            )
        }
        _ => unreachable!("{command} is run above"),
    }
}

fn run_set(set: &SetCommand, keys: &mut Keys, clock: &mut dyn Clock) -> Reply {
    if set.ttl_ms.is_some_and(|ttl_ms| ttl_ms <= 0) {
        return Reply::Error("invalid expire time".into());
    }
    let is_plain = set.condition.is_none() && !set.get && !set.keep_ttl;
    // A plain SET does not ask whether the old value had expired.
    let old = if is_plain { None } else { keys.find(&set.key, clock) };
    let writes = match &set.condition {
        None => true,
        Some(Condition::Nx) => old.is_none(),
        Some(Condition::Xx) => old.is_some(),
        Some(Condition::IfEq(value)) => {
            old.as_ref().is_some_and(|(bytes, _)| bytes == value.as_bytes())
        }
    };
    if writes {
        let kept = old.as_ref().and_then(|(_, deadline)| *deadline).filter(|_| set.keep_ttl);
        let deadline = set.ttl_ms.map(|ttl_ms| clock.set(ttl_ms)).or(kept);
        keys.put(&set.key, set.value.as_bytes(), deadline);
    }
    match (set.get, writes) {
        (true, _) => bulk(old),
        (false, true) => Reply::Done,
        (false, false) => Reply::Nil,
    }
}

//! Transactions over lists: what one does, as commands and as replies.
//!
//! Lists live for a second or two: then others are used, so that none grows long and reading stays
//! cheap. Every value that is appended is different and says which transaction appended it.
//!
//! Invariant: what a transaction does follows from its numbers alone.

use super::replies::Said;
use super::words::{bulk, push_number};
use super::{Ask, KeyName, Values, Workload};

/// Steps of one transaction, at most.
const STEPS_MAX: u64 = 4;
/// How long lists are used.
const WINDOW_NS: u64 = 1_000_000_000;
/// What a script does: a word that is not empty is appended, for an empty one the list is read.
const SCRIPT: &[u8] = b"local all = {} for i, key in ipairs(KEYS) do if ARGV[i] == '' then \
    all[i] = redis.call('LRANGE', key, 0, -1) else all[i] = redis.call('RPUSH', key, ARGV[i]) end \
    end return all";
/// In the journal's list of what a transaction read: begins a list. The number of values that
/// follow is in the other half of the id.
pub(crate) const READ: u64 = u64::MAX;

/// How a transaction is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// MULTI, the commands, EXEC.
    Exec,
    /// The same, with a word in between that is no command: nothing of it may happen.
    Aborted,
    /// EVAL.
    Script,
}

/// A transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The number of the operation, of which its values are made.
    pub value: u64,
    /// What is drawn.
    pub bits: u64,
    /// The first list that it may use.
    pub first_key: u16,
    /// How many it may use.
    pub keys: u16,
    /// How it is sent.
    pub style: Style,
}

/// One command of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// The list.
    pub(crate) key: u16,
    /// What is appended; `None`: the list is read.
    pub(crate) append: Option<u64>,
}

/// The number of the first list that is used at `now_ns`, or after the last second of the run.
pub(crate) fn first_key(now_ns: u64, seconds: u64, keys: u16) -> u16 {
    let window = (now_ns / WINDOW_NS).min(seconds.saturating_sub(1));
    window as u16 * keys
}

impl Plan {
    /// What it does, in order.
    pub(crate) fn actions(self) -> impl ExactSizeIterator<Item = Action> {
        let count = 1 + self.bits % STEPS_MAX;
        (0..count as u16).map(move |slot| {
            let bits = self.bits >> (8 + 12 * slot);
            let key = self.first_key + ((bits >> 1) & 0x7ff) as u16 % self.keys;
            let value = self.value * STEPS_MAX + u64::from(slot);
            Action { key, append: (bits & 1 == 1).then_some(value) }
        })
    }

    /// Appends its commands as the server sees them.
    pub(super) fn write(self, values: &Values, out: &mut Vec<u8>) {
        if self.style == Style::Script {
            return self.write_script(values, out);
        }
        out.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        for Action { key, append } in self.actions() {
            out.extend_from_slice(match append {
                Some(_) => b"*3\r\n$5\r\nRPUSH\r\n",
                None => b"*4\r\n$6\r\nLRANGE\r\n",
            });
            bulk(out, |out| name(key).write(out));
            match append {
                Some(value) => bulk(out, |out| values.write(value, out)),
                None => out.extend_from_slice(b"$1\r\n0\r\n$2\r\n-1\r\n"),
            }
        }
        if self.style == Style::Aborted {
            out.extend_from_slice(b"*1\r\n$6\r\nNOSUCH\r\n");
        }
        out.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
    }

    fn write_script(self, values: &Values, out: &mut Vec<u8>) {
        let count = self.actions().len() as u64;
        out.push(b'*');
        push_number(out, 3 + 2 * count);
        out.extend_from_slice(b"\r\n$4\r\nEVAL\r\n");
        bulk(out, |out| out.extend_from_slice(SCRIPT));
        bulk(out, |out| push_number(out, count));
        for Action { key, .. } in self.actions() {
            bulk(out, |out| name(key).write(out));
        }
        for Action { append, .. } in self.actions() {
            bulk(out, |out| append.into_iter().for_each(|value| values.write(value, out)));
        }
    }

    /// Whether more replies follow this one.
    fn goes_on(self, said: Said<'_>) -> bool {
        match (self.style, said) {
            (Style::Script, _) => false,
            (_, Said::Simple(word)) => word == b"OK" || word == b"QUEUED",
            (Style::Aborted, Said::Error(text)) => !text.starts_with(b"EXECABORT"),
            _ => false,
        }
    }

    /// What was read, as the journal keeps it: before the values of each list an entry with how
    /// many there are. `None`: the reply is no reply to this transaction.
    pub(crate) fn read(
        self,
        said: Said<'_>,
        values: &Values,
        scratch: &mut Vec<u8>,
    ) -> Option<Vec<((u64, u64), u64)>> {
        let mut items = said.items()?;
        let mut all = Vec::new();
        for action in self.actions() {
            match (action.append, items.next()?) {
                (Some(_), Said::Integer(1..)) => {}
                (None, Said::Array(list)) => {
                    let start = all.len();
                    all.push(((READ, 0), 0));
                    for item in list {
                        all.push(((0, 0), values.read(item.bulk()?, scratch)?));
                    }
                    all[start].0.1 = (all.len() - start - 1) as u64;
                }
                _ => return None,
            }
        }
        items.next().is_none().then_some(all)
    }
}

impl Ask {
    /// Whether more replies of this command follow the one that came.
    pub(crate) fn goes_on(self, said: Said<'_>) -> bool {
        match self {
            Self::Transact(plan) => plan.goes_on(said),
            // One confirmation for each channel, with how many there are then.
            Self::Subscribe { channels } => said.items().is_some_and(|mut items| {
                items.nth(2).is_some_and(|count| count != Said::Integer(i64::from(channels)))
            }),
            _ => false,
        }
    }
}

fn name(index: u16) -> KeyName {
    KeyName { workload: Workload::Transactions, index }
}

#[cfg(test)]
mod tests {
    use super::super::replies::parse_reply;
    use super::*;
    use crate::chance::Chance;

    fn words(plan: Plan) -> Vec<String> {
        let mut out = Vec::new();
        plan.write(&Values::new(Chance::new(1)), &mut out);
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
        commands
    }

    #[test]
    fn a_transaction_is_written_as_it_will_be_read() {
        // Two steps: append to the second list, read the first.
        let bits = 1 | (1 | 1 << 1) << 8;
        let plan = Plan { value: 5, bits, first_key: 6, keys: 3, style: Style::Exec };
        let actions: Vec<Action> = plan.actions().collect();
        assert_eq!(actions, [Action { key: 7, append: Some(20) }, Action { key: 6, append: None }]);
        let [begin, append, read, exec] = &words(plan)[..] else { panic!("four commands") };
        assert_eq!((&begin[..], &read[..], &exec[..]), ("MULTI", "LRANGE x6 0 -1", "EXEC"));
        assert!(append.starts_with("RPUSH x7 "), "{append}");
        let aborted = words(Plan { style: Style::Aborted, ..plan });
        assert_eq!(&aborted[3..], ["NOSUCH", "EXEC"]);
        let script = words(Plan { style: Style::Script, ..plan });
        assert!(script[0].starts_with("EVAL local all") && script[0].contains(" 2 x7 x6 "));
        let values = Values::new(Chance::new(1));
        let read = |text: &str| {
            let (said, _) = parse_reply(text.as_bytes()).expect("whole");
            plan.read(said, &values, &mut Vec::new())
        };
        assert_eq!(read("*2\r\n:1\r\n*0\r\n"), Some(vec![((READ, 0), 0)]));
        assert_eq!(read("*1\r\n:1\r\n"), None);
        assert_eq!(read("*3\r\n:1\r\n*0\r\n:1\r\n"), None);
        assert_eq!(read("*2\r\n*0\r\n:1\r\n"), None);
    }

    #[test]
    fn lists_change_with_time_until_the_end_of_the_run() {
        let second = 1_000_000_000;
        assert_eq!([0, second, 9 * second].map(|now| first_key(now, 5, 3)), [0, 3, 12]);
    }
}

//! Transactions over lists: what one does, as commands and as replies.
//!
//! Lists live for a second or two: then others are used, so that none grows long and reading stays
//! cheap. Every value that is appended is different and says which transaction appended it.
//!
//! Invariant: what a transaction does follows from its numbers alone.

use super::replies::Said;
use super::words::{bulk, push_number};
use super::{KeyName, Values, Workload};

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
    /// WATCH and a read; then, if nothing has changed since, MULTI, what is appended, EXEC.
    Watched,
}

impl Style {
    /// The style for a number below a hundred.
    pub(super) fn drawn(die: u64) -> Self {
        match die {
            0..35 => Self::Exec,
            35..40 => Self::Aborted,
            40..70 => Self::Watched,
            _ => Self::Script,
        }
    }
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

    /// The lists of a watched transaction, each once.
    pub(crate) fn lists(self) -> Vec<u16> {
        let mut lists: Vec<u16> = self.actions().map(|action| action.key).collect();
        lists.sort_unstable();
        lists.dedup();
        lists
    }

    /// What a watched transaction appends: at least one value.
    pub(crate) fn appends(self) -> impl Iterator<Item = (u16, u64)> {
        let any = self.actions().any(|action| action.append.is_some());
        let value = self.value * STEPS_MAX;
        self.actions().enumerate().filter_map(move |(slot, action)| {
            let instead = (slot == 0 && !any).then_some(value);
            Some((action.key, action.append.or(instead)?))
        })
    }

    /// Appends the first half of a watched transaction: WATCH, and one read of all its lists.
    pub(super) fn write_watch(self, out: &mut Vec<u8>) {
        let lists = self.lists();
        out.push(b'*');
        push_number(out, 1 + lists.len() as u64);
        out.extend_from_slice(b"\r\n$5\r\nWATCH\r\n");
        lists.iter().for_each(|&list| bulk(out, |out| name(list).write(out)));
        out.push(b'*');
        push_number(out, 3 + 2 * lists.len() as u64);
        out.extend_from_slice(b"\r\n$4\r\nEVAL\r\n");
        bulk(out, |out| out.extend_from_slice(SCRIPT));
        bulk(out, |out| push_number(out, lists.len() as u64));
        lists.iter().for_each(|&list| bulk(out, |out| name(list).write(out)));
        lists.iter().for_each(|_| bulk(out, |_| {}));
    }

    /// Appends the second half: what is appended if nothing has changed.
    pub(super) fn write_commit(self, values: &Values, out: &mut Vec<u8>) {
        out.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        for (key, value) in self.appends() {
            out.extend_from_slice(b"*3\r\n$5\r\nRPUSH\r\n");
            bulk(out, |out| name(key).write(out));
            bulk(out, |out| values.write(value, out));
        }
        out.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
    }

    /// What the first half of a watched transaction read, as the journal keeps it.
    pub(crate) fn read_watched(
        self,
        said: Said<'_>,
        values: &Values,
        scratch: &mut Vec<u8>,
    ) -> Option<Vec<((u64, u64), u64)>> {
        let items = said.items()?;
        let mut all = Vec::new();
        let mut read = 0;
        for item in items {
            push_list(item, values, scratch, &mut all)?;
            read += 1;
        }
        (read == self.lists().len()).then_some(all)
    }

    /// Whether a reply says that everything was appended.
    pub(crate) fn is_committed(self, said: Said<'_>) -> bool {
        let Some(items) = said.items() else { return false };
        let mut appended = 0;
        for item in items {
            if !matches!(item, Said::Integer(1..)) {
                return false;
            }
            appended += 1;
        }
        appended == self.appends().count()
    }

    /// How many replies come.
    pub(super) fn replies(self) -> u16 {
        let queued = self.actions().len() as u16;
        match self.style {
            Style::Script => 1,
            Style::Exec | Style::Watched => queued + 2,
            Style::Aborted => queued + 3,
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
                (None, list) => push_list(list, values, scratch, &mut all)?,
                _ => return None,
            }
        }
        items.next().is_none().then_some(all)
    }
}

/// Adds a list that was read to those of a transaction.
fn push_list(
    said: Said<'_>,
    values: &Values,
    scratch: &mut Vec<u8>,
    all: &mut Vec<((u64, u64), u64)>,
) -> Option<()> {
    let start = all.len();
    all.push(((READ, 0), 0));
    for item in said.items()? {
        all.push(((0, 0), values.read(item.bulk()?, scratch)?));
    }
    all[start].0.1 = (all.len() - start - 1) as u64;
    Some(())
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
        commands_in(&out)
    }

    fn commands_in(out: &[u8]) -> Vec<String> {
        let mut commands = Vec::new();
        let mut rest = out;
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
    fn a_watched_transaction_reads_what_it_watches_and_appends_at_least_once() {
        // Reads the second list, then the first.
        let bits = 1 | (1 << 1) << 8;
        let plan = Plan { value: 5, bits, first_key: 6, keys: 3, style: Style::Watched };
        let (mut watch, mut commit) = (Vec::new(), Vec::new());
        plan.write_watch(&mut watch);
        let watch = commands_in(&watch);
        assert_eq!((watch.len(), &watch[0][..]), (2, "WATCH x6 x7"));
        assert!(watch[1].starts_with("EVAL ") && watch[1].ends_with(" 2 x6 x7  "), "{watch:?}");
        let values = Values::new(Chance::new(1));
        plan.write_commit(&values, &mut commit);
        let commit = commands_in(&commit);
        assert_eq!(commit.len(), 3, "{commit:?}");
        assert!(commit[1].starts_with("RPUSH x7 "), "{commit:?}");
        assert_eq!(plan.appends().collect::<Vec<_>>(), [(7, 20)]);
        let said = |text: &'static str| parse_reply(text.as_bytes()).expect("whole").0;
        let mut scratch = Vec::new();
        let read = plan.read_watched(said("*2\r\n*0\r\n*0\r\n"), &values, &mut scratch);
        assert_eq!(read, Some(vec![((READ, 0), 0), ((READ, 0), 0)]));
        assert_eq!(plan.read_watched(said("*1\r\n*0\r\n"), &values, &mut scratch), None);
        assert!(plan.is_committed(said("*1\r\n:1\r\n")));
        assert!(!plan.is_committed(said("*-1\r\n")) && !plan.is_committed(said("*0\r\n")));
    }

    #[test]
    fn lists_change_with_time_until_the_end_of_the_run() {
        let second = 1_000_000_000;
        assert_eq!([0, second, 9 * second].map(|now| first_key(now, 5, 3)), [0, 3, 12]);
    }
}

//! Sorted sets: taking members off either end, and waiting for some if there are none.

use super::Cx;
use super::arguments::until_after_secs;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec};
use super::zset_pop::{Several, Shown, Side, pop_found};
use crate::args::Args;
use crate::error::Error;
use crate::session::{Kind, TimedOut, WaitFor};
use crate::time::Instant;

/// Keys up to the one before the last word, which is the time-out.
const KEYS_BEFORE_TIMEOUT: KeySpec = KeySpec {
    flags: &["RW", "ACCESS", "DELETE"],
    begin: Begin::Index(1),
    find: Find::Range { last: -2, step: 1 },
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "BZPOPMIN",
        syntax: "key [key ...] timeout:double",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST).and(Flags::BLOCKING),
        keys: &[KEYS_BEFORE_TIMEOUT],
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)) where N is the size of the sorted set.",
        summary: "Removes and returns the member with the lowest score of the first sorted set \
            that is there; waits for one if there is none.",
        reply: "[bulk, bulk, double] | null",
        run: |cx, args| pop(cx, args, Side::Min),
        ..Command::ROW
    },
    Command {
        name: "BZPOPMAX",
        syntax: "key [key ...] timeout:double",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST).and(Flags::BLOCKING),
        keys: &[KEYS_BEFORE_TIMEOUT],
        group: Group::SortedSet,
        since: "5.0.0",
        complexity: "O(log(N)) where N is the size of the sorted set.",
        summary: "Removes and returns the member with the highest score of the first sorted set \
            that is there; waits for one if there is none.",
        reply: "[bulk, bulk, double] | null",
        run: |cx, args| pop(cx, args, Side::Max),
        ..Command::ROW
    },
    Command {
        name: "BZMPOP",
        syntax: "timeout:double numkeys key [key ...] (MIN | MAX) [COUNT count]",
        arity: -5,
        flags: Flags::WRITE.and(Flags::BLOCKING),
        keys: &[KeySpec {
            flags: &["RW", "ACCESS", "DELETE"],
            begin: Begin::Index(2),
            find: Find::KeyNum { first: 1, step: 1 },
        }],
        group: Group::SortedSet,
        since: "7.0.0",
        complexity: "O(K) + O(M*log(N)) where K is the number of keys, N the size of the sorted \
            set and M the number of members returned.",
        summary: "Removes and returns members at one end of the first sorted set that is there; \
            waits for one if there is none.",
        reply: "[bulk, array<[bulk, double]>] | null",
        run: bzmpop,
        ..Command::ROW
    },
];

/// `BZPOPMIN key [key ...] timeout`
fn pop(cx: &mut Cx<'_>, args: Args<'_>, side: Side) -> Result<(), Error> {
    let last = args.len() - 1;
    let until = until_after_secs(cx, args.at(last))?;
    let keys: Vec<&[u8]> = args.from(1).take(last - 1).collect();
    pop_or_wait(cx, &keys, until, side, 1, Shown::KeyFlat)
}

/// `BZMPOP timeout numkeys key [key ...] (MIN | MAX) [COUNT count]`
fn bzmpop(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let several = Several::parse(args, 2)?;
    let until = until_after_secs(cx, args.at(1))?;
    let keys: Vec<&[u8]> = several.keys().collect();
    pop_or_wait(cx, &keys, until, several.side, several.count, Shown::KeyPairs)
}

/// Takes members off the first key that is there, or waits for one.
fn pop_or_wait(
    cx: &mut Cx<'_>,
    keys: &[&[u8]],
    until: Option<Instant>,
    side: Side,
    count: usize,
    shown: Shown,
) -> Result<(), Error> {
    for key in keys {
        let Some(found) = cx.find(key) else { continue };
        if cx.retry && cx.value(found).zset().is_err() {
            // It has become something else while the client waited, who may yet be served.
            continue;
        }
        return pop_found(cx, key, found, side, count, shown);
    }
    let (kind, timed_out) = (Kind::Zset, TimedOut::NullArray);
    cx.wait_for(WaitFor { keys, kind, until, timed_out, words: None });
    Ok(())
}

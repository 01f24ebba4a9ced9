//! Sorted sets: ranks of members, sizes of ranges.

use super::Cx;
use super::spec::{Command, Flags, Group, one_key};
use super::zset_bounds::{name_range, score_range};
use crate::args::Args;
use crate::error::Error;
use crate::value::zset::Edge;

/// A row of this family.
const ROW: Command = Command {
    flags: Flags::READONLY.and(Flags::FAST),
    keys: &[one_key(&["RO", "ACCESS"])],
    group: Group::SortedSet,
    complexity: "O(log(N)) where N is the size of the sorted set.",
    ..Command::ROW
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ZRANK",
        syntax: "key member [WITHSCORE]",
        arity: -3,
        since: "2.0.0",
        summary: "Returns how many members of a sorted set come before a member.",
        reply: "integer | [integer, double] | null",
        run: |cx, args| rank(cx, args, false),
        ..ROW
    },
    Command {
        name: "ZREVRANK",
        syntax: "key member [WITHSCORE]",
        arity: -3,
        since: "2.0.0",
        summary: "Returns how many members of a sorted set come after a member.",
        reply: "integer | [integer, double] | null",
        run: |cx, args| rank(cx, args, true),
        ..ROW
    },
    Command {
        name: "ZCOUNT",
        syntax: "key min:double max:double",
        arity: 4,
        since: "2.0.0",
        summary: "Counts the members of a sorted set in a range of scores.",
        reply: "integer",
        run: |cx, args| count(cx, args.at(1), score_range(args.at(2), args.at(3))?),
        ..ROW
    },
    Command {
        name: "ZLEXCOUNT",
        syntax: "key min:string max:string",
        arity: 4,
        since: "2.8.9",
        summary: "Counts the members of a sorted set of equal scores in a range of names.",
        reply: "integer",
        run: |cx, args| count(cx, args.at(1), name_range(args.at(2), args.at(3))?),
        ..ROW
    },
];

/// `ZRANK key member [WITHSCORE]`
fn rank(cx: &mut Cx<'_>, args: Args<'_>, is_reverse: bool) -> Result<(), Error> {
    if args.len() > 4 {
        return Err(Error::WrongArity(cx.row.full_name));
    }
    let with_score = args.len() == 4;
    if with_score && !args.is(3, "WITHSCORE") {
        return Err(Error::Syntax);
    }
    let mut ranked = None;
    if let Some(found) = cx.find_read(args.at(1)) {
        let zset = cx.value(found).zset()?;
        ranked = zset.rank(args.at(2)).map(|(rank, score)| {
            let rank = if is_reverse { zset.len() - 1 - rank } else { rank };
            (rank, score)
        });
    }
    match (ranked, with_score) {
        (Some((rank, score)), true) => {
            cx.reply.array(2);
            cx.reply.count(rank);
            cx.reply.double(score);
        }
        (Some((rank, _)), false) => cx.reply.count(rank),
        (None, true) => cx.reply.null_array(),
        (None, false) => cx.reply.null(),
    }
    Ok(())
}

/// Counts the members between two edges.
fn count(cx: &mut Cx<'_>, key: &[u8], (min, max): (Edge<'_>, Edge<'_>)) -> Result<(), Error> {
    let len = match cx.find_read(key) {
        Some(found) => cx.value(found).zset()?.between(min, max).len(),
        None => 0,
    };
    cx.reply.count(len);
    Ok(())
}

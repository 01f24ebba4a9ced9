//! Sorted sets: members in no order: random ones, or all of them little by little.

use std::collections::BTreeSet;

use super::Cx;
use super::arguments::integer;
use super::scan_collection::Scan;
use super::spec::{Command, Flags, Group, one_key};
use super::zset::reply_pairs;
use crate::args::Args;
use crate::error::Error;
use crate::resp::Protocol;
use crate::rng::Rng;
use crate::value::packed::Element;
use crate::value::zset::ZsetRef;

/// A reply of random members, which may be any number, has not more bytes than this.
const REPLY_BYTES_MAX: usize = 1 << 30;
/// A draw of more than one in so many walks over all members.
const WALK_ABOVE: usize = 8;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ZRANDMEMBER",
        syntax: "key [count [WITHSCORES]]",
        tips: &["nondeterministic_output"],
        arity: -2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::SortedSet,
        since: "6.2.0",
        complexity: "O(N) where N is the number of members returned.",
        summary: "Returns random members of a sorted set: different ones, or, if the count is \
        negative, any.",
        reply: "bulk | null | array<bulk | double | [bulk, double]>",
        run: zrandmember,
        ..Command::ROW
    },
    Command {
        name: "ZSCAN",
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOSCORES]",
        tips: &["nondeterministic_output"],
        arity: -3,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::SortedSet,
        since: "2.8.0",
        complexity: "O(1) for each call, O(N) for a whole iteration where N is the number of \
            members.",
        summary: "Returns some members of a sorted set and a cursor to go on from; 0 begins and \
            ends.",
        reply: "[bulk, array<bulk>]",
        run: zscan,
        ..Command::ROW
    },
];

/// `ZRANDMEMBER key [count [WITHSCORES]]`
fn zrandmember(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() == 2 {
        return show_one(cx, args.at(1));
    }
    let count = integer(args.at(2))?;
    if count == i64::MIN {
        let max = i64::MAX;
        return Err(Error::text(format!(
            "ERR value is out of range, value must between -{max} and {max}"
        )));
    }
    let with_scores = args.len() == 4;
    if args.len() > 4 || with_scores && !args.is(3, "WITHSCORES") {
        return Err(Error::Syntax);
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::fixed("ERR value is out of range"));
    }
    show_many(cx, args.at(1), count, with_scores)
}

fn show_one(cx: &mut Cx<'_>, key: &[u8]) -> Result<(), Error> {
    let Some(found) = cx.find_read(key) else {
        cx.reply.null();
        return Ok(());
    };
    let zset = cx.state.keyspace.db(cx.session.db).value(found).zset()?;
    let (member, _) = zset.random(&mut cx.state.rng).expect("a key has no empty set");
    member.reply(cx.reply);
    Ok(())
}

fn show_many(cx: &mut Cx<'_>, key: &[u8], count: i64, with_scores: bool) -> Result<(), Error> {
    let fatal_bytes = cx.fatal_output_bytes();
    let Some(found) = cx.find_read(key) else {
        cx.reply.array(0);
        return Ok(());
    };
    let zset = cx.state.keyspace.db(cx.session.db).value(found).zset()?;
    let (rng, reply) = (&mut cx.state.rng, &mut *cx.reply);
    let many = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        let len = many.min(zset.len());
        if len == zset.len() {
            reply_pairs(reply, len, with_scores, zset.iter());
        } else if len > zset.len() / WALK_ABOVE || matches!(zset, ZsetRef::Packed(_)) {
            let mut left = (len as u64, zset.len() as u64);
            let chosen = zset.iter().filter(|_| is_chosen(&mut left, rng));
            reply_pairs(reply, len, with_scores, chosen);
        } else {
            let ranks = distinct_ranks(zset.len(), len, rng).into_iter();
            let chosen = ranks.map(|rank| zset.at(rank).expect("it is less than the size"));
            reply_pairs(reply, len, with_scores, chosen);
        }
        return Ok(());
    }
    let has_pairs = with_scores && reply.protocol == Protocol::Resp3;
    reply.array(if with_scores && !has_pairs { many.saturating_mul(2) } else { many });
    let start = reply.out.len();
    for _ in 0..many {
        let (member, score) = zset.random(rng).expect("a key has no empty set");
        if has_pairs {
            reply.array(2);
        }
        member.reply(reply);
        if with_scores {
            reply.double(score);
        }
        if reply.out.len() >= fatal_bytes {
            return Ok(());
        }
        if reply.out.len() - start > REPLY_BYTES_MAX {
            return Err(Error::fixed("ERR value is out of range, the reply would be too long"));
        }
    }
    Ok(())
}

/// Whether the next of some members is among those chosen, of which so many are left to choose out
/// of so many; each choice is equally likely (Knuth's algorithm S).
fn is_chosen((choose, out_of): &mut (u64, u64), rng: &mut Rng) -> bool {
    let chosen = *choose > 0 && rng.below(*out_of) < *choose;
    *choose -= u64::from(chosen);
    *out_of -= 1;
    chosen
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]`
fn zscan(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let scan = Scan::at_cursor(args)?;
    let Some(found) = cx.find_read(args.at(1)) else {
        Scan::empty(cx.reply);
        return Ok(());
    };
    let zset = cx.state.keyspace.db(cx.session.db).value(found).zset()?;
    let scan = scan.options(args, "NOSCORES")?;
    let with_scores = !scan.keys_only;
    scan.reply(cx.reply, |page, cursor| {
        zset.scan(cursor, |member, score| {
            if page.key(member) && with_scores {
                page.value(Element::Double(score));
            }
        })
    });
    Ok(())
}

/// So many different numbers below `len`; each choice is equally likely (Floyd's algorithm).
fn distinct_ranks(len: usize, count: usize, rng: &mut Rng) -> BTreeSet<usize> {
    let mut ranks = BTreeSet::new();
    for last in len - count..len {
        let rank = rng.below(last as u64 + 1) as usize;
        if !ranks.insert(rank) {
            ranks.insert(last);
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn both_ways_to_choose_are_even() {
        let mut rng = Rng::new(Seed(1), "choose");
        let (mut by_rank, mut by_walk) = ([0; 10], [0; 10]);
        for _ in 0..10_000 {
            let ranks = distinct_ranks(10, 3, &mut rng);
            assert_eq!(ranks.len(), 3);
            ranks.into_iter().for_each(|rank| by_rank[rank] += 1);
            let mut left = (3, 10);
            for drawn in &mut by_walk {
                *drawn += usize::from(is_chosen(&mut left, &mut rng));
            }
            assert_eq!(left, (0, 0));
        }
        assert!(by_rank.iter().all(|drawn| (2800..3200).contains(drawn)), "{by_rank:?}");
        assert!(by_walk.iter().all(|drawn| (2800..3200).contains(drawn)), "{by_walk:?}");
    }
}

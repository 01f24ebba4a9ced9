//! Sets: members of one set.

use super::Cx;
use super::scan_collection::Scan;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::value::collection::Collection;
use crate::value::set::{Limits, Set, SetRef, member};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SADD",
        syntax: "key member [member ...]",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[one_key(&["RW", "INSERT"])],
        group: Group::Set,
        complexity: "O(N) where N is the number of members given.",
        summary: "Adds members to a set, which is made if there is none, and returns how many were \
            new.",
        reply: "integer",
        run: sadd,
        ..Command::ROW
    },
    Command {
        name: "SREM",
        syntax: "key member [member ...]",
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "DELETE"])],
        group: Group::Set,
        complexity: "O(N) where N is the number of members given.",
        summary: "Removes members from a set and returns how many were there; a set without \
            members goes.",
        reply: "integer",
        run: srem,
        ..Command::ROW
    },
    Command {
        name: "SISMEMBER",
        syntax: "key member",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO"])],
        group: Group::Set,
        summary: "Returns whether a set has a member.",
        reply: "integer",
        run: sismember,
        ..Command::ROW
    },
    Command {
        name: "SMISMEMBER",
        syntax: "key member [member ...]",
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Set,
        since: "6.2.0",
        complexity: "O(N) where N is the number of members given.",
        summary: "Returns for each of some members whether a set has it.",
        reply: "array<integer>",
        run: smismember,
        ..Command::ROW
    },
    Command {
        name: "SCARD",
        syntax: "key",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[one_key(&["RO"])],
        group: Group::Set,
        summary: "Returns how many members a set has.",
        reply: "integer",
        run: scard,
        ..Command::ROW
    },
    Command {
        name: "SMEMBERS",
        syntax: "key",
        tips: &["nondeterministic_output_order"],
        arity: 2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Set,
        complexity: "O(N) where N is the number of members.",
        summary: "Returns the members of a set.",
        reply: "set<bulk>",
        run: smembers,
        ..Command::ROW
    },
    Command {
        name: "SMOVE",
        syntax: "source destination member",
        arity: 4,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[
            one_key(&["RW", "ACCESS", "DELETE"]),
            KeySpec {
                flags: &["RW", "INSERT"],
                begin: Begin::Index(2),
                find: Find::Range { last: 0, step: 1 },
            },
        ],
        group: Group::Set,
        summary: "Moves a member from a set to another and returns whether it was there.",
        reply: "integer",
        run: smove,
        ..Command::ROW
    },
    Command {
        name: "SSCAN",
        syntax: "key cursor [MATCH pattern] [COUNT count]",
        tips: &["nondeterministic_output"],
        arity: -3,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Set,
        since: "2.8.0",
        complexity: "O(1) for each call, O(N) for a whole iteration where N is the number of \
            members.",
        summary: "Returns some members of a set and a cursor to go on from; 0 begins and ends.",
        reply: "[bulk, array<bulk>]",
        run: sscan,
        ..Command::ROW
    },
];

/// Up to where sets keep their forms at present.
#[inline]
pub(super) fn limits(cx: &Cx<'_>) -> Limits {
    let encodings = &cx.state.config.encodings;
    Limits {
        integers: encodings.intset_entries,
        entries: encodings.set_entries,
        value_bytes: encodings.set_value_bytes,
        hash_key: cx.state.hash_key,
    }
}

/// `SADD key member ...`
fn sadd(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, limits, words) = (args.at(1), limits(cx), args.from(2));
    let added = cx.edit_or_create(key, |_, set: &mut Set| {
        set.expect(member(args.at(2)), words.len(), &limits);
        words.filter(|word| set.insert(member(word), &limits)).count()
    })?;
    if added > 0 {
        cx.changed(key, "sadd");
    }
    cx.reply.count(added);
    Ok(())
}

/// `SREM key member ...`
fn srem(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(1);
    let edited = cx.edit(key, |_, set: &mut Set| {
        let removed = args.from(2).filter(|word| set.remove(member(word))).count();
        (removed, set.is_empty())
    })?;
    let (removed, is_gone) = edited.unwrap_or_default();
    if removed > 0 {
        cx.changed(key, "srem");
    }
    if is_gone {
        cx.changed(key, "del");
    }
    cx.reply.count(removed);
    Ok(())
}

/// Runs a read of the set at a key, which may be empty.
fn read<R>(
    cx: &mut Cx<'_>,
    key: &[u8],
    read: impl FnOnce(&mut crate::resp::Reply, SetRef<'_>) -> R,
) -> Result<R, Error> {
    let found = cx.find_read(key);
    let db = cx.state.keyspace.db(cx.session.db);
    let set = found.map_or(Ok(SetRef::EMPTY), |found| db.value(found).set())?;
    Ok(read(cx.reply, set))
}

/// `SISMEMBER key member`
fn sismember(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |reply, set| {
        reply.integer(i64::from(set.contains(member(args.at(2)))));
    })
}

/// `SMISMEMBER key member ...`
fn smismember(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |reply, set| {
        reply.array(args.len() - 2);
        for word in args.from(2) {
            reply.integer(i64::from(set.contains(member(word))));
        }
    })
}

/// `SCARD key`
fn scard(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |reply, set| reply.count(set.len()))
}

/// `SMEMBERS key`
fn smembers(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.at(1), |reply, set| {
        reply.set(set.len());
        set.iter().for_each(|member| member.reply(reply));
    })
}

/// `SMOVE source destination member`
fn smove(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (from, to, member) = (args.at(1), args.at(2), member(args.at(3)));
    let Some(source) = cx.find(from) else {
        cx.reply.integer(0);
        return Ok(());
    };
    cx.value(source).set()?;
    if let Some(target) = cx.find(to) {
        cx.value(target).set()?;
    }
    if from == to {
        let is_there = cx.value(source).set()?.contains(member);
        cx.reply.integer(i64::from(is_there));
        return Ok(());
    }
    let edited = cx.edit(from, |_, set: &mut Set| (set.remove(member), set.is_empty()))?;
    let (removed, is_gone) = edited.unwrap_or_default();
    if removed {
        cx.changed(from, "srem");
        if is_gone {
            cx.changed(from, "del");
        }
        let limits = limits(cx);
        let added = cx.edit_or_create(to, |_, set: &mut Set| {
            set.expect(member, 1, &limits);
            set.insert(member, &limits)
        })?;
        if added {
            cx.changed(to, "sadd");
        }
    }
    cx.reply.integer(i64::from(removed));
    Ok(())
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
fn sscan(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let scan = Scan::at_cursor(args)?;
    let Some(found) = cx.find_read(args.at(1)) else {
        Scan::empty(cx.reply);
        return Ok(());
    };
    let set = cx.state.keyspace.db(cx.session.db).value(found).set()?;
    let scan = scan.options(args, "")?;
    scan.reply(cx.reply, |page, cursor| {
        set.scan(cursor, |member| {
            page.key(member);
        })
    });
    Ok(())
}

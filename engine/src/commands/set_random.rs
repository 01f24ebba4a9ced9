//! Sets: random members.

use super::Cx;
use super::arguments::integer;
use super::set::limits;
use super::spec::{Command, Flags, Group, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Kept, NewValue};
use crate::value::collection::Collection;
use crate::value::packed::Element;
use crate::value::set::Set;

/// A reply of random members, which may be any number, has not more bytes than this.
const REPLY_BYTES_MAX: usize = 1 << 29;
/// The bytes of the shortest member in a reply.
const MEMBER_BYTES_MIN: usize = b"$0\r\n\r\n".len();
/// So many members are drawn before the size of the reply is looked at.
const DRAWS_PER_LOOK: usize = 1024;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SPOP",
        syntax: "key [count]",
        tips: &["nondeterministic_output"],
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[one_key(&["RW", "ACCESS", "DELETE"])],
        group: Group::Set,
        complexity: "O(N) where N is the number of members returned.",
        summary: "Removes and returns random members of a set.",
        reply: "bulk | null | set<bulk>",
        run: spop,
        ..Command::ROW
    },
    Command {
        name: "SRANDMEMBER",
        syntax: "key [count]",
        tips: &["nondeterministic_output"],
        arity: -2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"])],
        group: Group::Set,
        complexity: "O(N) where N is the number of members returned.",
        summary: "Returns random members of a set: different ones, or, if the count is negative, \
            any.",
        reply: "bulk | null | array<bulk>",
        run: srandmember,
        ..Command::ROW
    },
];

/// `SPOP key [count]`
fn spop(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match args.len() {
        2 => pop_one(cx, args.at(1)),
        3 => pop_many(cx, args.at(1), args.at(2)),
        _ => Err(Error::Syntax),
    }
}

fn pop_one(cx: &mut Cx<'_>, key: &[u8]) -> Result<(), Error> {
    let logs = cx.logs();
    let mut name = Vec::new();
    let popped = cx.edit(key, |cx, set: &mut Set| {
        set.pop(&mut cx.state.rng, |member| {
            member.reply(cx.reply);
            if logs {
                name = member.to_vec();
            }
        });
        set.is_empty()
    })?;
    cx.log_as([b"SREM".as_slice(), key, &name]);
    let Some(is_gone) = popped else {
        cx.reply.null();
        return Ok(());
    };
    cx.changed(key, "spop");
    if is_gone {
        cx.changed(key, "del");
    }
    Ok(())
}

fn pop_many(cx: &mut Cx<'_>, key: &[u8], count: &[u8]) -> Result<(), Error> {
    let count = integer(count).ok().and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(Error::fixed("ERR value is out of range, must be positive"))?;
    let Some(found) = cx.find(key) else {
        cx.reply.set(0);
        return Ok(());
    };
    let limits = limits(cx);
    let set = cx.state.keyspace.db(cx.session.db).value(found).set()?;
    let len = set.len();
    cx.reply.set(count.min(len));
    if count == 0 {
        return Ok(());
    }
    if count >= len {
        set.iter().for_each(|member| member.reply(cx.reply));
        cx.remove(found);
        cx.log_as([b"DEL".as_slice(), key]);
        cx.changed(key, "spop");
        cx.changed(key, "del");
        return Ok(());
    }
    let logs = cx.logs();
    let mut names = Vec::new();
    let mut note = |member: Element<'_>| {
        if logs {
            names.push(member.to_vec());
        }
    };
    if set.is_popped_singly(count) {
        cx.edit_found(found, |cx, set: &mut Set| {
            for _ in 0..count {
                set.pop(&mut cx.state.rng, |member| {
                    member.reply(cx.reply);
                    note(member);
                });
            }
        })?;
    } else {
        let show = |member: Element<'_>| {
            member.reply(cx.reply);
            note(member);
        };
        let left = set.part(count, &limits, &mut cx.state.rng, show);
        cx.replace_value(found, NewValue::Object(left.into_object()));
    }
    for name in &names {
        cx.log_also([b"SREM".as_slice(), key, name]);
    }
    cx.log_nothing();
    cx.changed(key, "spop");
    Ok(())
}

/// `SRANDMEMBER key [count]`
fn srandmember(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match args.len() {
        2 => show_one(cx, args.at(1)),
        3 => show_many(cx, args.at(1), integer(args.at(2))?),
        _ => Err(Error::Syntax),
    }
}

fn show_one(cx: &mut Cx<'_>, key: &[u8]) -> Result<(), Error> {
    let Some(found) = cx.find_read(key) else {
        cx.reply.null();
        return Ok(());
    };
    let set = cx.state.keyspace.db(cx.session.db).value(found).set()?;
    let member = set.random(&mut cx.state.rng).expect("a key has no empty set");
    member.reply(cx.reply);
    Ok(())
}

fn show_many(cx: &mut Cx<'_>, key: &[u8], count: i64) -> Result<(), Error> {
    if count == i64::MIN {
        let max = i64::MAX;
        return Err(Error::text(format!(
            "ERR value is out of range, value must between -{max} and {max}"
        )));
    }
    let fatal_bytes = cx.fatal_output_bytes();
    let Some(found) = cx.find_read(key) else {
        cx.reply.array(0);
        return Ok(());
    };
    let set = cx.state.keyspace.db(cx.session.db).value(found).set()?;
    let (rng, reply) = (&mut cx.state.rng, &mut *cx.reply);
    let many = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        reply.array(many.min(set.len()));
        set.choose(many, rng, |member| member.reply(reply));
        return Ok(());
    }
    reply.array(many);
    let start = reply.out.len();
    let mut left = many;
    while left > 0 && reply.out.len() < fatal_bytes {
        // What is sure to come counts too, so that nothing is drawn in vain.
        let bytes_min = left.saturating_mul(MEMBER_BYTES_MIN);
        let is_too_long = (reply.out.len() - start).saturating_add(bytes_min) > REPLY_BYTES_MAX;
        if is_too_long && fatal_bytes > REPLY_BYTES_MAX {
            return Err(Error::fixed("ERR value is out of range, the reply would be too long"));
        }
        let draws = left.min(DRAWS_PER_LOOK);
        set.draw(draws, rng, |member| member.reply(reply));
        left -= draws;
    }
    Ok(())
}

//! XGROUP: consumer groups and their consumers.

use super::Cx;
use super::arguments::integer;
use super::help::help;
use super::spec::{Begin, Command, Find, Flags, KeySpec};
use super::stream_words::{ROW, any_id, no_group, stream_at, strict_id, subcommand_syntax};
use crate::args::Args;
use crate::error::Error;
use crate::value::stream::{Stream, StreamId};

const GROUP: Command = Command { flags: Flags::WRITE, ..ROW };

/// The key of a subcommand.
pub(super) const fn second_word(flags: &'static [&'static str]) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(2), find: Find::Range { last: 0, step: 1 } }
}

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "XGROUP",
        arity: -2,
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about consumer groups.",
        ..GROUP
    },
    Command {
        name: "XGROUP CREATE",
        syntax: "key group (id | $) [MKSTREAM] [ENTRIESREAD entries-read:integer]",
        arity: -5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[second_word(&["RW", "INSERT"])],
        summary: "Makes a consumer group that reads from an id on.",
        reply: "ok",
        run: create,
        ..GROUP
    },
    Command {
        name: "XGROUP CREATECONSUMER",
        syntax: "key group consumer",
        arity: 5,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[second_word(&["RW", "INSERT"])],
        since: "6.2.0",
        summary: "Makes a consumer in a group; returns whether it is new.",
        reply: "integer",
        run: create_consumer,
        ..GROUP
    },
    Command {
        name: "XGROUP DELCONSUMER",
        syntax: "key group consumer",
        arity: 5,
        keys: &[second_word(&["RW", "DELETE"])],
        complexity: "O(N) where N is the number of its pending entries",
        summary: "Removes a consumer from a group; returns how many entries were pending with it.",
        reply: "integer",
        run: delete_consumer,
        ..GROUP
    },
    Command {
        name: "XGROUP DESTROY",
        syntax: "key group",
        arity: 4,
        keys: &[second_word(&["RW", "DELETE"])],
        complexity: "O(N) where N is the number of its pending entries",
        summary: "Removes a consumer group; returns whether there was one.",
        reply: "integer",
        run: destroy,
        ..GROUP
    },
    Command {
        name: "XGROUP HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..GROUP
    },
    Command {
        name: "XGROUP SETID",
        syntax: "key group (id | $) [ENTRIESREAD entries-read:integer]",
        arity: -5,
        keys: &[second_word(&["RW", "UPDATE"])],
        summary: "Sets the id from which a group reads on.",
        reply: "ok",
        run: set_id,
        ..GROUP
    },
];

/// The options of CREATE and SETID.
#[derive(Debug, Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<i64>,
}

impl Options {
    fn parse(args: Args<'_>, may_make_stream: bool) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 5;
        while index < args.len() {
            if may_make_stream && args.is(index, "MKSTREAM") {
                options.make_stream = true;
                index += 1;
            } else if args.is(index, "ENTRIESREAD") && index + 1 < args.len() {
                let number = integer(args.at(index + 1))?;
                if number < -1 {
                    let text = "ERR value for ENTRIESREAD must be positive or -1";
                    return Err(Error::fixed(text));
                }
                options.entries_read = (number >= 0).then_some(number);
                index += 2;
            } else {
                return Err(subcommand_syntax(args, "XGROUP"));
            }
        }
        Ok(options)
    }
}

const NO_KEY: Error = Error::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// The key must hold a stream, and this one the group.
fn require_group(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = cx.find(args.at(2)).ok_or(NO_KEY)?;
    let group = stream_at(cx, found)?.group(args.at(3));
    group.map(|_| ()).ok_or_else(|| no_group(args.at(2), args.at(3)))
}

/// `XGROUP CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]`
fn create(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(args, true)?;
    let (key, group) = (args.at(2), args.at(3));
    let last_id = match cx.find(key) {
        Some(found) => Some(stream_at(cx, found)?.log().last_id()),
        None if options.make_stream => None,
        None => return Err(NO_KEY),
    };
    if args.len() > 8 {
        return Err(subcommand_syntax(args, "XGROUP"));
    }
    let id = match args.at(4) {
        b"$" => last_id.unwrap_or(StreamId::MIN),
        word => strict_id(word)?,
    };
    let is_new = cx.edit_or_create(key, |_, stream: &mut Stream| {
        stream.add_group(group, id, options.entries_read)
    })?;
    if !is_new {
        return Err(Error::fixed("BUSYGROUP Consumer Group name already exists"));
    }
    if last_id.is_none() {
        cx.changed(key, "xgroup-create");
    } else {
        cx.announce(key, "xgroup-create");
    }
    cx.reply.ok();
    Ok(())
}

/// `XGROUP SETID key group <id | $> [ENTRIESREAD entries-read]`
fn set_id(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(args, false)?;
    require_group(cx, args)?;
    if !matches!(args.len(), 5 | 7) {
        return Err(subcommand_syntax(args, "XGROUP"));
    }
    let id = match args.at(4) {
        b"$" => None,
        word => Some(any_id(word, 0)?),
    };
    let key = args.at(2);
    cx.edit(key, |_, stream: &mut Stream| {
        stream.edit_group(args.at(3), |log, group| {
            group.set_position(id.unwrap_or_else(|| log.last_id()), options.entries_read);
        })
    })?;
    cx.announce(key, "xgroup-setid");
    cx.reply.ok();
    Ok(())
}

/// `XGROUP DESTROY key group`
fn destroy(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.at(2);
    let removed = cx.edit(key, |_, stream: &mut Stream| stream.remove_group(args.at(3)))?;
    let removed = removed.ok_or(NO_KEY)?;
    if removed {
        // Those who wait to read with the group learn that it is gone.
        cx.announce(key, "xgroup-destroy");
    }
    cx.reply.integer(removed.into());
    Ok(())
}

/// `XGROUP CREATECONSUMER key group consumer`
fn create_consumer(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    require_group(cx, args)?;
    let (key, now_ms) = (args.at(2), cx.stream_now_ms());
    let added = cx.edit(key, |_, stream: &mut Stream| {
        stream.edit_group(args.at(3), |_, group| group.add_consumer(args.at(4), now_ms))
    })?;
    let is_new = added.flatten().flatten().is_some();
    if is_new {
        cx.announce(key, "xgroup-createconsumer");
    }
    cx.reply.integer(is_new.into());
    Ok(())
}

/// `XGROUP DELCONSUMER key group consumer`
fn delete_consumer(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    require_group(cx, args)?;
    let key = args.at(2);
    let removed = cx.edit(key, |_, stream: &mut Stream| {
        stream.edit_group(args.at(3), |_, group| {
            group.find_consumer(args.at(4)).map(|number| group.remove_consumer(number))
        })
    })?;
    let pending = removed.flatten().flatten();
    if pending.is_some() {
        cx.announce(key, "xgroup-delconsumer");
    }
    cx.reply.count(pending.unwrap_or(0));
    Ok(())
}

//! PUBSUB: what is subscribed to, and by how many.

use super::Cx;
use super::help::help;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::session::Topic;

const ASKING: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE);

const PUBSUB: Command =
    Command { arity: -2, flags: ASKING, group: Group::PubSub, since: "2.8.0", ..Command::ROW };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "PUBSUB",
        flags: Flags::NONE,
        complexity: "Depends on subcommand.",
        summary: "Holds the commands about subscriptions.",
        ..PUBSUB
    },
    Command {
        name: "PUBSUB CHANNELS",
        syntax: "[pattern]",
        complexity: "O(N*log(N)) where N is the number of channels with a subscriber",
        summary: "Lists the channels that somebody has subscribed to.",
        reply: "array<bulk>",
        run: |cx, args| channels(cx, args, Topic::Channel),
        ..PUBSUB
    },
    Command {
        name: "PUBSUB HELP",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "6.2.0",
        summary: "Lists the subcommands.",
        reply: "array<simple>",
        run: help,
        ..PUBSUB
    },
    Command {
        name: "PUBSUB NUMPAT",
        arity: 2,
        summary: "Returns how many patterns somebody has subscribed to.",
        reply: "integer",
        run: patterns,
        ..PUBSUB
    },
    Command {
        name: "PUBSUB NUMSUB",
        syntax: "[channel [channel ...]]",
        complexity: "O(N) where N is the number of channels given",
        summary: "Returns how many have subscribed to each of the channels by its name.",
        reply: "array<bulk | integer>",
        run: |cx, args| subscribers(cx, args, Topic::Channel),
        ..PUBSUB
    },
    Command {
        name: "PUBSUB SHARDCHANNELS",
        syntax: "[pattern]",
        since: "7.0.0",
        complexity: "O(N*log(N)) where N is the number of shard channels with a subscriber",
        summary: "Lists the shard channels that somebody has subscribed to.",
        reply: "array<bulk>",
        run: |cx, args| channels(cx, args, Topic::ShardChannel),
        ..PUBSUB
    },
    Command {
        name: "PUBSUB SHARDNUMSUB",
        syntax: "[shardchannel [shardchannel ...]]",
        since: "7.0.0",
        complexity: "O(N) where N is the number of channels given",
        summary: "Returns how many have subscribed to each of the shard channels.",
        reply: "array<bulk | integer>",
        run: |cx, args| subscribers(cx, args, Topic::ShardChannel),
        ..PUBSUB
    },
];

fn channels(cx: &mut Cx<'_>, args: Args<'_>, topic: Topic) -> Result<(), Error> {
    if args.len() > 3 {
        let name = String::from_utf8_lossy(args.at(1));
        return Err(Error::text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP."
        )));
    }
    let names = cx.state.pubsub.names(topic, args.opt(2));
    cx.reply.array(names.len());
    for name in &names {
        cx.reply.bulk(name);
    }
    Ok(())
}

fn patterns(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.count(cx.state.pubsub.count(Topic::Pattern));
    Ok(())
}

/// An array in both protocols, although it is a map.
fn subscribers(cx: &mut Cx<'_>, args: Args<'_>, topic: Topic) -> Result<(), Error> {
    cx.reply.array(2 * (args.len() - 2));
    for channel in args.from(2) {
        cx.reply.bulk(channel);
        cx.reply.count(cx.state.pubsub.subscribers(topic, channel));
    }
    Ok(())
}

//! Subscribing, unsubscribing and publishing.
//!
//! Invariants: every word of SUBSCRIBE and its like is confirmed by a message of its own, in order,
//! with what the client then has; a client that wants no replies gets its confirmations all the
//! same, as it gets the messages.

use super::Cx;
use super::spec::{Begin, Channels, Command, Find, Flags, Group, KeySpec};
use crate::args::Args;
use crate::error::Error;
use crate::resp::Reply;
use crate::session::{Name, Topic};

/// What subscribing may do: not from scripts, but in whatever state the server is.
const SUBSCRIBING: Flags =
    Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE).and(Flags::SUBSCRIBED);
const PUBLISHING: Flags =
    Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::MAY_REPLICATE);

/// The form of every confirmation.
const CONFIRMATIONS: &str = "messages<[bulk, bulk | null, integer]>";

/// Shard channels are spread like keys although they are none.
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec {
    flags: &["NOT_KEY"],
    begin: Begin::Index(1),
    find: Find::Range { last: -1, step: 1 },
}];
const SHARD_CHANNEL: &[KeySpec] = &[KeySpec {
    flags: &["NOT_KEY"],
    begin: Begin::Index(1),
    find: Find::Range { last: 0, step: 1 },
}];

const SUBSCRIBE: Command = Command {
    arity: -2,
    flags: SUBSCRIBING.and(Flags::DENYOOM),
    group: Group::PubSub,
    since: "2.0.0",
    reply: CONFIRMATIONS,
    ..Command::ROW
};
const UNSUBSCRIBE: Command = Command { arity: -1, flags: SUBSCRIBING, ..SUBSCRIBE };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "PSUBSCRIBE",
        syntax: "pattern [pattern ...]",
        channels: Some(Channels::AllPatterns),
        complexity: "O(N*log(M)) where N is the number of patterns given and M is the number of \
                     all patterns",
        summary: "Subscribes to every channel that matches one of the patterns.",
        run: |cx, args| subscribe(cx, args, Topic::Pattern, "psubscribe"),
        ..SUBSCRIBE
    },
    Command {
        name: "PUBLISH",
        syntax: "channel message",
        arity: 3,
        channels: Some(Channels::First),
        flags: PUBLISHING,
        group: Group::PubSub,
        since: "2.0.0",
        complexity: "O(N+M) where N is the number of receivers and M is the number of all patterns",
        summary: "Sends a message to the subscribers of a channel and returns how many there are.",
        reply: "integer",
        run: publish,
        ..Command::ROW
    },
    Command {
        name: "PUNSUBSCRIBE",
        syntax: "[pattern [pattern ...]]",
        complexity: "O(N*log(M)) where N is the number of patterns given up and M is the number \
                     of all patterns",
        summary: "Ends subscriptions to patterns; without patterns, all of them.",
        run: |cx, args| unsubscribe(cx, args, Topic::Pattern, "punsubscribe"),
        ..UNSUBSCRIBE
    },
    Command {
        name: "SPUBLISH",
        syntax: "shardchannel message",
        arity: 3,
        channels: Some(Channels::First),
        flags: PUBLISHING,
        keys: SHARD_CHANNEL,
        group: Group::PubSub,
        since: "7.0.0",
        complexity: "O(N) where N is the number of receivers",
        summary: "Sends a message to the subscribers of a shard channel and returns how many there \
                  are.",
        reply: "integer",
        run: publish_to_shard,
        ..Command::ROW
    },
    Command {
        name: "SSUBSCRIBE",
        syntax: "shardchannel [shardchannel ...]",
        channels: Some(Channels::All),
        keys: SHARD_CHANNELS,
        since: "7.0.0",
        complexity: "O(N) where N is the number of channels given",
        summary: "Subscribes to shard channels.",
        run: subscribe_to_shard,
        ..SUBSCRIBE
    },
    Command {
        name: "SUBSCRIBE",
        syntax: "channel [channel ...]",
        channels: Some(Channels::All),
        complexity: "O(N) where N is the number of channels given",
        summary: "Subscribes to channels.",
        run: |cx, args| subscribe(cx, args, Topic::Channel, "subscribe"),
        ..SUBSCRIBE
    },
    Command {
        name: "SUNSUBSCRIBE",
        syntax: "[shardchannel [shardchannel ...]]",
        keys: SHARD_CHANNELS,
        since: "7.0.0",
        complexity: "O(N) where N is the number of channels given up",
        summary: "Ends subscriptions to shard channels; without channels, all of them.",
        run: |cx, args| unsubscribe(cx, args, Topic::ShardChannel, "sunsubscribe"),
        ..UNSUBSCRIBE
    },
    Command {
        name: "UNSUBSCRIBE",
        syntax: "[channel [channel ...]]",
        complexity: "O(N) where N is the number of channels given up",
        summary: "Ends subscriptions to channels; without channels, all of them.",
        run: |cx, args| unsubscribe(cx, args, Topic::Channel, "unsubscribe"),
        ..UNSUBSCRIBE
    },
];

fn publish(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.log_for_replicas(args);
    let receivers = cx.state.publish(args.at(1), args.at(2));
    cx.reply.count(receivers);
    Ok(())
}

fn publish_to_shard(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.log_for_replicas(args);
    let receivers = cx.state.publish_to_shard(args.at(1), args.at(2));
    cx.reply.count(receivers);
    Ok(())
}

/// Redis lets a transaction subscribe to channels for the sake of clients that always did, but not
/// to those of shards.
fn subscribe_to_shard(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if !cx.may_block() {
        return Err(Error::fixed("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    subscribe(cx, args, Topic::ShardChannel, "ssubscribe")
}

fn subscribe(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    topic: Topic,
    word: &'static str,
) -> Result<(), Error> {
    let has: usize = Topic::ALL.iter().map(|&topic| cx.session.subscribed(topic)).sum();
    if has + args.len() - 1 > cx.state.config.client_subscriptions_max {
        return Err(Error::fixed("ERR too many subscriptions for one client"));
    }
    for name in args.from(1) {
        cx.state.pubsub.subscribe(cx.session, topic, name);
        confirm(cx, word, Some(name), topic);
    }
    Ok(())
}

fn unsubscribe(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    topic: Topic,
    word: &'static str,
) -> Result<(), Error> {
    if args.len() > 1 {
        for name in args.from(1) {
            cx.state.pubsub.unsubscribe(cx.session, topic, name);
            confirm(cx, word, Some(name), topic);
        }
        return Ok(());
    }
    let names: Vec<Name> = match &cx.session.subscriptions {
        Some(subscriptions) => subscriptions.names(topic).iter().cloned().collect(),
        None => Vec::new(),
    };
    for name in &names {
        cx.state.pubsub.unsubscribe(cx.session, topic, name);
        confirm(cx, word, Some(name), topic);
    }
    if names.is_empty() {
        confirm(cx, word, None, topic);
    }
    Ok(())
}

/// One confirmation. Channels and patterns are counted together, shard channels alone.
fn confirm(cx: &mut Cx<'_>, word: &str, name: Option<&[u8]>, topic: Topic) {
    let session = &*cx.session;
    let count = match topic {
        Topic::ShardChannel => session.subscribed(topic),
        _ => session.subscribed(Topic::Channel) + session.subscribed(Topic::Pattern),
    };
    let write = |reply: &mut Reply| {
        reply.push(3);
        reply.text(word);
        reply.bulk_or_null(name);
        reply.count(count);
    };
    if session.is_muted() {
        let mut message = Reply { protocol: session.protocol, ..Reply::default() };
        write(&mut message);
        cx.state.sessions.post_to_running(session.id, &message.out);
    } else {
        write(cx.reply);
    }
}

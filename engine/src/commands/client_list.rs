//! CLIENT LIST and CLIENT INFO: one line for each client.
//!
//! Invariants: the fields that Redis 7.0 has stand in its order, later ones behind them; clients
//! are listed in the order in which they connected; one that is being closed is no longer listed.

use super::Cx;
use super::client::ANY_TIME;
use super::client_filter::{Filter, is_filter};
use super::client_tracking::redirection;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::input::{ConnId, Origin};
use crate::resp::Protocol;
use crate::session::{Session, Topic};
use crate::tracking::Tracker;
use crate::value::number::parse_integer;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CLIENT INFO",
        arity: 2,
        flags: ANY_TIME,
        tips: &["nondeterministic_output"],
        group: Group::Connection,
        since: "6.2.0",
        summary: "Returns what the server knows about the connection.",
        reply: "verbatim",
        run: info,
        ..Command::ROW
    },
    Command {
        name: "CLIENT LIST",
        syntax: "[TYPE (NORMAL | MASTER | SLAVE | REPLICA | PUBSUB)] \
                 [ID client-id [client-id ...]] [USER username] [ADDR ip:port] [LADDR ip:port] \
                 [SKIPME (YES | NO)] [MAXAGE maxage] [NAME name] [IDLE idle] [FLAGS flags] \
                 [LIB-NAME lib-name] [LIB-VER lib-ver] [DB db] [IP ip] [CAPA capa] \
                 [NOT-ID client-id [client-id ...]] \
                 [NOT-TYPE (NORMAL | MASTER | SLAVE | REPLICA | PUBSUB)] [NOT-USER username] \
                 [NOT-ADDR ip:port] [NOT-LADDR ip:port] [NOT-NAME name] [NOT-FLAGS flags] \
                 [NOT-LIB-NAME lib-name] [NOT-LIB-VER lib-ver] [NOT-DB db] [NOT-IP ip] \
                 [NOT-CAPA capa]",
        arity: -2,
        flags: ANY_TIME.and(Flags::ADMIN),
        tips: &["nondeterministic_output"],
        group: Group::Connection,
        since: "2.4.0",
        complexity: "O(N) where N is the number of client connections",
        summary: "Lists the open connections.",
        reply: "verbatim",
        run: list,
        ..Command::ROW
    },
];

/// What a client is, for the TYPE filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientType {
    /// An ordinary one.
    Normal,
    /// Our primary.
    Master,
    /// One of our replicas.
    Replica,
    /// A subscriber.
    Pubsub,
}

impl ClientType {
    /// The type called `name`.
    pub(super) fn parse(name: &[u8]) -> Result<Self, Error> {
        let known: [(&str, Self); 5] = [
            ("normal", Self::Normal),
            ("slave", Self::Replica),
            ("replica", Self::Replica),
            ("pubsub", Self::Pubsub),
            ("master", Self::Master),
        ];
        let found = known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        found.map(|&(_, found)| found).ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            Error::text(format!("ERR Unknown client type '{name}'"))
        })
    }

    /// What `session` is. Replication does not exist yet.
    pub(super) fn of(session: &Session) -> Self {
        if session.is_subscriber() { Self::Pubsub } else { Self::Normal }
    }
}

/// The sizes that only the running client has: its replies so far and its words.
#[derive(Clone, Copy, Default)]
struct Running {
    reply_bytes: usize,
    words_bytes: usize,
}

fn info(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut text = String::new();
    describe(&mut text, cx.session, cx, running(cx, args));
    cx.reply.verbatim("txt", &text);
    Ok(())
}

fn list(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut text = String::new();
    let names_only_ids =
        args.len() > 3 && args.is(2, "ID") && (3..args.len()).all(|word| !is_filter(args, word));
    if names_only_ids {
        // In the order in which they are named, as often as they are.
        for id in args.from(3) {
            let id = parse_integer(id).ok_or(Error::fixed("ERR Invalid client ID"))?;
            if let Ok(id) = u64::try_from(id) {
                append(cx, args, ConnId(id), &mut text, |_| true);
            }
        }
    } else {
        let filter = Filter::parse(args, &cx.state.acl, cx.state.config.databases, false)?;
        for conn in cx.state.sessions.ids() {
            let is_spared = filter.spares_self && conn == cx.session.id;
            append(cx, args, conn, &mut text, |session| !is_spared && filter.matches(cx, session));
        }
    }
    cx.reply.verbatim("txt", &text);
    Ok(())
}

/// Appends the line of client `conn` if it is there and `wanted`.
fn append(
    cx: &Cx<'_>,
    args: Args<'_>,
    conn: ConnId,
    text: &mut String,
    wanted: impl Fn(&Session) -> bool,
) {
    let (session, sizes) = if conn == cx.session.id {
        (&*cx.session, running(cx, args))
    } else {
        match cx.state.sessions.find(conn) {
            Some(session) if !session.closing => (session, Running::default()),
            _ => return,
        }
    };
    if wanted(session) {
        describe(text, session, cx, sizes);
    }
}

/// The line of the client that runs a command, for ACL LOG.
pub(super) fn describe_client(cx: &Cx<'_>) -> String {
    let mut text = String::new();
    describe(&mut text, cx.session, cx, Running::default());
    text.trim_end().to_owned()
}

fn running(cx: &Cx<'_>, args: Args<'_>) -> Running {
    Running { reply_bytes: cx.reply.out.len(), words_bytes: args.from(0).map(<[u8]>::len).sum() }
}

/// Appends one line. The engine knows no file descriptors.
fn describe(text: &mut String, session: &Session, cx: &Cx<'_>, running: Running) {
    use core::fmt::Write;

    let pending = session.outbox.len() + session.in_flight + running.reply_bytes;
    let (now, watches) = (cx.now.mono, &cx.state.watches);
    let tracker = cx.state.tracking.find(session.id);
    let queued = session.transaction.as_ref().map_or(-1, |queue| queue.len() as i64);
    let (parsed_bytes, words_bytes) = session.parser.parsed_bytes();
    let total_bytes = cx.state.client_bytes(session) + running.words_bytes;
    let fields: [(&str, &dyn core::fmt::Display); 33] = [
        ("id", &session.id.0),
        ("addr", &session.address()),
        ("laddr", &session.local_address()),
        ("fd", &-1),
        ("name", &String::from_utf8_lossy(&session.name)),
        ("age", &(now.since(session.created).as_millis() / 1000)),
        ("idle", &(now.since(session.last_active).as_millis() / 1000)),
        ("flags", &flags_of(cx, session)),
        ("db", &session.db),
        ("sub", &session.subscribed(Topic::Channel)),
        ("psub", &session.subscribed(Topic::Pattern)),
        ("ssub", &session.subscribed(Topic::ShardChannel)),
        ("multi", &queued),
        ("qbuf", &session.input_pending.saturating_sub(parsed_bytes)),
        ("qbuf-free", &0),
        ("argv-mem", &(running.words_bytes + words_bytes)),
        ("multi-mem", &session.transaction_bytes()),
        ("rbs", &session.outbox.capacity()),
        ("rbp", &pending),
        ("obl", &(session.outbox.len() + running.reply_bytes)),
        ("oll", &0),
        ("omem", &session.output_pending()),
        ("tot-mem", &total_bytes),
        ("events", &(if session.in_flight > 0 { "rw" } else { "r" })),
        ("cmd", &(if session.last_command.is_empty() { "NULL" } else { session.last_command })),
        ("user", &String::from_utf8_lossy(cx.state.acl.user(session.user).name())),
        ("redir", &tracker.map_or(-1, redirection)),
        ("resp", &(if session.protocol == Protocol::Resp3 { 3 } else { 2 })),
        ("watch", &watches.keys_of(session.id).len()),
        ("lib-name", &String::from_utf8_lossy(&session.lib_name)),
        ("lib-ver", &String::from_utf8_lossy(&session.lib_ver)),
        ("tot-cmds", &session.commands),
        ("capa", &(if session.redirects { "r" } else { "" })),
    ];
    for (index, (name, value)) in fields.iter().enumerate() {
        let separator = if index == 0 { "" } else { " " };
        write!(text, "{separator}{name}={value}").expect("a String takes everything");
    }
    text.push('\n');
}

/// All letters that `flags=` may have.
pub(super) const FLAG_LETTERS: &[u8] = b"OPxbtRBdcUeTN";

/// The letters of `flags=`, in Redis's order.
pub(super) fn flags_of(cx: &Cx<'_>, session: &Session) -> String {
    let is_spoilt = cx.state.watches.is_spoilt(session.id);
    let tracker = cx.state.tracking.find(session.id);
    let letters = [
        ('O', session.is_monitor),
        ('P', session.is_subscriber()),
        ('x', session.transaction.is_some()),
        ('b', session.blocked.is_some()),
        ('t', tracker.is_some()),
        ('R', tracker.is_some_and(Tracker::is_broken)),
        ('B', tracker.is_some_and(|tracker| tracker.mode().broadcast)),
        ('d', is_spoilt),
        ('c', session.closing),
        ('U', matches!(session.origin, Origin::Unix { .. })),
        ('e', session.no_evict),
        ('T', session.no_touch),
    ];
    let shown: String = letters.iter().filter(|(_, set)| *set).map(|&(letter, _)| letter).collect();
    if shown.is_empty() { "N".to_owned() } else { shown }
}

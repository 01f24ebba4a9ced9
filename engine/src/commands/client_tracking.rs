//! CLIENT TRACKING and its relatives: which clients cache keys, and which keys those are.
//!
//! Invariant: the keys of a command that only reads are tracked after it has run, before anything
//! else does, for the client that runs it or its script.

use super::Cx;
use super::client::ANY_TIME;
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::input::ConnId;
use crate::tracking::{Choice, Mode, Tracker};
use crate::value::number::parse_integer;

const TRACKING: Command =
    Command { group: Group::Connection, flags: ANY_TIME, since: "6.0.0", ..Command::ROW };

/// Prefixes of one command that are compared in pairs.
const COMPARED_MAX: usize = 1024;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CLIENT CACHING",
        syntax: "(YES | NO)",
        arity: 3,
        summary: "Says whether the keys of the next command are tracked.",
        reply: "ok",
        run: caching,
        ..TRACKING
    },
    Command {
        name: "CLIENT GETREDIR",
        arity: 2,
        summary: "Returns the client that receives this one's invalidation messages.",
        reply: "integer",
        run: receiver,
        ..TRACKING
    },
    Command {
        name: "CLIENT TRACKING",
        syntax: "(ON | OFF) [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] \
            [OPTIN] [OPTOUT] [NOLOOP]",
        arity: -3,
        complexity: "O(1). Some options may introduce additional complexity.",
        summary: "Switches the tracking of keys for client-side caching.",
        reply: "ok",
        run: tracking,
        ..TRACKING
    },
    Command {
        name: "CLIENT TRACKINGINFO",
        arity: 2,
        since: "6.2.0",
        summary: "Returns whether and how keys are tracked for the connection.",
        reply: "map<bulk, set<bulk> | integer | array<bulk>>",
        run: tracking_info,
        ..TRACKING
    },
];

/// What the words of CLIENT TRACKING ask for.
#[derive(Default)]
struct Wanted<'a> {
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
    redirect: Option<ConnId>,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn parse(cx: &Cx<'_>, args: Args<'a>) -> Result<Self, Error> {
        let mut wanted = Self::default();
        let mut index = 3;
        while index < args.len() {
            let value = args.opt(index + 1);
            match value {
                Some(value) if args.is(index, "REDIRECT") => {
                    wanted.redirect = Some(wanted.receiver(cx, value)?);
                    index += 1;
                }
                Some(value) if args.is(index, "PREFIX") => {
                    wanted.prefixes.push(value);
                    index += 1;
                }
                _ if args.is(index, "BCAST") => wanted.broadcast = true,
                _ if args.is(index, "OPTIN") => wanted.opt_in = true,
                _ if args.is(index, "OPTOUT") => wanted.opt_out = true,
                _ if args.is(index, "NOLOOP") => wanted.no_loop = true,
                _ => return Err(Error::Syntax),
            }
            index += 1;
        }
        Ok(wanted)
    }

    /// The client that REDIRECT names. It may go later.
    fn receiver(&self, cx: &Cx<'_>, word: &[u8]) -> Result<ConnId, Error> {
        if self.redirect.is_some() {
            return Err(Error::fixed("ERR A client can only redirect to a single other client"));
        }
        let id = parse_integer(word).ok_or(Error::NotAnInteger)?;
        let conn = ConnId(u64::try_from(id).unwrap_or_default());
        if conn != cx.session.id && cx.state.sessions.find(conn).is_none() {
            let text = "ERR The client ID you want redirect to does not exist";
            return Err(Error::fixed(text));
        }
        Ok(conn)
    }

    /// Whether it fits together, and to how the client tracks already.
    fn check(&self, tracker: Option<&Tracker>) -> Result<Mode, Error> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(Error::fixed("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        let before = tracker.map(Tracker::mode);
        if before.is_some_and(|before| before.broadcast != self.broadcast) {
            return Err(Error::fixed(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this \
                 client, and then re-enabling it with a different mode.",
            ));
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(Error::fixed("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        let choice = match (self.opt_in, self.opt_out) {
            (true, true) => {
                let text = "ERR You can't specify both OPTIN mode and OPTOUT mode";
                return Err(Error::fixed(text));
            }
            (true, false) => Choice::OptIn,
            (false, true) => Choice::OptOut,
            (false, false) => Choice::All,
        };
        let chosen = before.map_or(Choice::All, |before| before.choice);
        if choice != Choice::All && chosen != Choice::All && choice != chosen {
            return Err(Error::fixed(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this \
                 client, and then re-enabling it with a different mode.",
            ));
        }
        self.check_prefixes(tracker)?;
        let (broadcast, no_loop, redirect) = (self.broadcast, self.no_loop, self.redirect);
        Ok(Mode { broadcast, choice, no_loop, redirect })
    }

    /// No two prefixes of a client may match the same key: it would be told twice.
    fn check_prefixes(&self, tracker: Option<&Tracker>) -> Result<(), Error> {
        let overlaps = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        let mut sorted = self.prefixes.clone();
        sorted.sort_unstable();
        // Where one is the beginning of another, it is the beginning of all in between.
        let is_neat = !sorted.windows(2).any(|pair| overlaps(pair[0], pair[1]));
        // Redis looks at every pair, which takes too long where there are many.
        let is_slow = sorted.len() > COMPARED_MAX;
        let prefixes = if is_slow { &sorted } else { &self.prefixes };
        for (index, &prefix) in prefixes.iter().enumerate() {
            let existing = tracker.and_then(|tracker| tracker.overlapping(prefix));
            let others = if is_neat { &[] } else { &prefixes[index + 1..] };
            let others = &others[..others.len().min(if is_slow { 1 } else { COMPARED_MAX })];
            let (other, what) = match existing {
                Some(other) => (Some(other), "an existing"),
                None => {
                    let mut others = others.iter().copied();
                    (others.find(|other| overlaps(other, prefix)), "another provided")
                }
            };
            let Some(other) = other else { continue };
            let prefix = String::from_utf8_lossy(prefix);
            let other = String::from_utf8_lossy(other);
            return Err(Error::text(format!(
                "ERR Prefix '{prefix}' overlaps with {what} prefix '{other}'. Prefixes for a \
                 single client must not overlap."
            )));
        }
        Ok(())
    }
}

fn tracking(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let wanted = Wanted::parse(cx, args)?;
    let conn = cx.session.id;
    if args.is(2, "ON") {
        let mode = wanted.check(cx.state.tracking.find(conn))?;
        let has = cx.state.tracking.find(conn).map_or(0, |tracker| tracker.prefixes().len());
        if has + wanted.prefixes.len() > cx.state.config.client_subscriptions_max {
            return Err(Error::fixed("ERR too many prefixes for one client"));
        }
        let everything: &[&[u8]] = &[b""];
        let prefixes = match &wanted.prefixes[..] {
            [] if mode.broadcast => everything,
            prefixes => prefixes,
        };
        cx.state.tracking.begin(conn, mode, prefixes.iter().copied());
    } else if args.is(2, "OFF") {
        cx.state.tracking.end(conn);
    } else {
        return Err(Error::Syntax);
    }
    cx.reply.ok();
    Ok(())
}

fn caching(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let conn = cx.session.id;
    let Some(tracker) = cx.state.tracking.find(conn) else {
        return Err(Error::fixed(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        ));
    };
    let choice = tracker.mode().choice;
    if args.is(2, "YES") && choice != Choice::OptIn {
        return Err(Error::fixed(
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ));
    } else if args.is(2, "NO") && choice != Choice::OptOut {
        return Err(Error::fixed(
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        ));
    } else if !args.is(2, "YES") && !args.is(2, "NO") {
        return Err(Error::Syntax);
    }
    cx.state.tracking.except(conn);
    cx.reply.ok();
    Ok(())
}

/// Who gets the messages of a client that tracks; 0: itself.
pub(super) fn redirection(tracker: &Tracker) -> i64 {
    tracker.mode().redirect.map_or(0, |conn| conn.0 as i64)
}

fn receiver(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let redirection = cx.state.tracking.find(cx.session.id).map_or(-1, redirection);
    cx.reply.integer(redirection);
    Ok(())
}

fn tracking_info(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let tracker = cx.state.tracking.find(cx.session.id);
    let mode = tracker.map(Tracker::mode).unwrap_or_default();
    let is_exceptional = tracker.is_some_and(Tracker::is_exceptional);
    let (opt_in, opt_out) = (mode.choice == Choice::OptIn, mode.choice == Choice::OptOut);
    let flags = [
        ("off", tracker.is_none()),
        ("on", tracker.is_some()),
        ("bcast", mode.broadcast),
        ("optin", opt_in),
        ("caching-yes", opt_in && is_exceptional),
        ("optout", opt_out),
        ("caching-no", opt_out && is_exceptional),
        ("noloop", mode.no_loop),
        ("broken_redirect", tracker.is_some_and(Tracker::is_broken)),
    ];
    cx.reply.map(3);
    cx.reply.text("flags");
    cx.reply.set(flags.iter().filter(|(_, set)| *set).count());
    for (name, _) in flags.iter().filter(|(_, set)| *set) {
        cx.reply.text(name);
    }
    cx.reply.text("redirect");
    cx.reply.integer(tracker.map_or(-1, redirection));
    cx.reply.text("prefixes");
    cx.reply.array(tracker.map_or(0, |tracker| tracker.prefixes().len()));
    for prefix in tracker.into_iter().flat_map(Tracker::prefixes) {
        cx.reply.bulk(prefix);
    }
    Ok(())
}

impl Cx<'_> {
    /// The command has run: the keys that it has read are tracked if its client wants that. What a
    /// script reads is tracked with the keys that it was given.
    #[cold]
    pub(super) fn track_keys(&mut self, args: Args<'_>) {
        // What the command found to be over was over before it.
        self.state.tell_lapsed();
        let (conn, command) = (self.session.id, self.row.command);
        let runs_script = command.group == Group::Scripting;
        if runs_script {
            if self.session.blocked.is_none() {
                self.state.tracking.take_script_keys(conn);
            }
            return;
        }
        if !command.flags.has(Flags::READONLY) || !self.state.tracking.wants_keys(conn) {
            return;
        }
        // Words that do not fit the row have no keys, as in Redis.
        for key in self.row.keys(args).unwrap_or_default() {
            if !key.flags.contains(&"NOT_KEY") {
                self.state.track_key(conn, args.at(key.index));
            }
        }
        if let Some(keys) = self.state.tracking.take_script_keys(conn) {
            for key in keys.args().from(0) {
                self.state.track_key(conn, key);
            }
            self.state.tracking.give_script_keys_back(conn, keys);
        }
    }

    /// The command has ended, run or refused: CLIENT CACHING was for it, unless it began a
    /// transaction or is one of CLIENT's own.
    #[cold]
    pub(super) fn end_tracked_command(&mut self) {
        let keeps = self.row.command.flags.has(Flags::KEEPS_CACHING);
        if !keeps && self.session.transaction.is_none() {
            self.state.tracking.end_command(self.session.id);
        }
    }
}

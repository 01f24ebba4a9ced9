//! From words to a reply: the search in the table, the gates that a command must pass, the call.
//!
//! Invariants: a command that fails leaves exactly one error in the reply; a command that must wait
//! leaves no trace, so that it can be parsed and run again.

use super::Cx;
use super::acl_gate::{NO_AUTH, Place};
use super::measure;
use super::memory_gate;
use super::monitor_line;
use super::planted;
use super::schema;
use super::spec::{Databases, Flags};
use super::table::{Row, Unknown};
use crate::args::{Args, Words};
use crate::config::Access;
use crate::effects::{Effect, LogLevel};
use crate::error::Error;
use crate::persistence::LOADER;
use crate::session::{Blocked, ReplyMode};
use crate::time::Micros;

/// Bytes of arguments that the "unknown command" error quotes.
const QUOTED_BYTES_MAX: usize = 128;

/// A save has failed, and the settings say that nothing is to be lost for it.
const MISCONF: Error = Error::fixed(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to \
     disk. Commands that may modify the data set are disabled, because this instance is \
     configured to report errors during writes if RDB snapshotting fails \
     (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB \
     error.",
);

/// A master has fewer replicas than it must have for a write.
pub(super) const NO_REPLICAS: Error = Error::fixed("NOREPLICAS Not enough good replicas to write.");

/// Web requests are logged at most once in this time.
const WEB_REQUEST_LOG_INTERVAL: Micros = Micros::from_secs(60);

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It ran or was refused; its reply is written.
    Done,
    /// It must be tried again later; the session says why.
    Postponed,
}

/// Runs the command that `args` spell. `cx.row` is set to its row before any gate looks at it.
pub(crate) fn dispatch(cx: &mut Cx<'_>, args: Args<'_>) -> Ran {
    let mut start = cx.reply.out.len();
    match cx.state.command(args) {
        Err(unknown) => refuse_unknown(cx, unknown, args),
        Ok(row) => {
            cx.row = row;
            cx.session.last_command = row.full_name;
            let admitted = admit(cx, row, args);
            // What had to go for it is told before its reply.
            if cx.state.tracking.has_deferred() {
                cx.state.tell_deferred(cx.session, &mut cx.reply.out);
                start = cx.reply.out.len();
            }
            if let Err(error) = admitted {
                refuse(cx, args, &error);
            } else if cx.state.running_script.is_some() && !row.command.flags.has(Flags::ALLOW_BUSY)
            {
                if let Some(ran) = meet_script(cx, args) {
                    return ran;
                }
            } else if must_wait(cx, args) {
                cx.session.blocked = Some(Blocked::ClientPause);
                cx.state.held_by_pause.push(cx.session.id);
                return Ran::Postponed;
            } else if cx.session.transaction.is_some()
                && !row.command.flags.has(Flags::NEVER_QUEUED)
            {
                queue(cx, args);
            } else {
                run(cx, args, start);
            }
        }
    }
    // A command that the driver is still carrying out ends when its reply is written.
    if cx.session.blocked.is_none() {
        cx.session.end_command(&mut cx.reply.out, start);
        if cx.state.tracking.is_active() {
            cx.end_tracked_command();
        }
    }
    Ran::Done
}

/// Another client's script runs: the command waits for its end, or is told that it takes long.
#[cold]
fn meet_script(cx: &mut Cx<'_>, args: Args<'_>) -> Option<Ran> {
    let since = cx.state.running_script.as_ref()?.since;
    let patience = Micros::from_millis(cx.state.config.busy_reply_threshold_ms);
    if cx.now.mono < since + patience {
        cx.session.blocked = Some(Blocked::ScriptOfAnother);
        cx.state.held_by_script.push(cx.session.id);
        return Some(Ran::Postponed);
    }
    let busy = cx.state.running_script.as_ref()?.program.busy();
    refuse(cx, args, &busy);
    None
}

/// Keeps the command for EXEC.
#[cold]
fn queue(cx: &mut Cx<'_>, args: Args<'_>) {
    let is_spoilt = cx.state.watches.is_spoilt(cx.session.id);
    let flags = cx.flags_with(args);
    if let Some(transaction) = &mut cx.session.transaction
        && !is_spoilt
    {
        transaction.push(cx.row.index, flags.bits(), args.from(0));
    }
    cx.reply.simple("QUEUED");
}

/// Calls the command's function, with `cx.row` set. The reply begins at `start`.
pub(crate) fn run(cx: &mut Cx<'_>, args: Args<'_>, start: usize) {
    let row = cx.row;
    // One that has waited was counted when it came.
    let is_new = !cx.retry;
    cx.session.commands += u64::from(is_new);
    let begun = measure::begin(cx, args);
    let effects = cx.logs().then(|| cx.begin_effects());
    let result = match refuse_lock(cx, args) {
        Some(refusal) => Err(refusal),
        None => (row.command.run)(cx, args),
    };
    // None sees itself in INFO.
    if is_new {
        cx.state.stats.commands += 1;
        cx.state.stats.by_command[row.index].calls += 1;
    }
    if let Err(error) = result {
        // Whatever the command had begun to say gives way to the error.
        cx.reply.out.truncate(start);
        fail(cx, row.index, &error);
    }
    if let Some(frame) = effects {
        cx.end_effects(args, frame);
    }
    if cx.state.harm.is_some() {
        planted::spoil_reply(cx, args, start);
    }
    measure::end(cx, row, args, start, begun);
    if cx.state.tracking.is_active() {
        cx.track_keys(args);
    }
    // What it is run with again, unless it has said so itself.
    if let Some(wait) = &mut cx.session.keys_wait
        && wait.words.is_empty()
    {
        wait.words = Words::new(args.from(0));
    }
    if cfg!(debug_assertions) {
        check_reply(cx, args, start);
    }
}

/// Why a command must not make a key: it is a lock that a server before this one may have granted.
#[inline]
fn refuse_lock(cx: &mut Cx<'_>, args: Args<'_>) -> Option<Error> {
    let grace = cx.state.persistence.grace.as_ref()?;
    grace.left(cx.now.mono)?;
    find_refused_lock(cx, args)
}

#[cold]
fn find_refused_lock(cx: &mut Cx<'_>, args: Args<'_>) -> Option<Error> {
    if cx.session.id == LOADER {
        return None;
    }
    let may_grow = cx.flags_with(args).has(Flags::DENYOOM);
    let elsewhere = other_databases(cx, args);
    let databases = if elsewhere.is_empty() { vec![cx.session.db] } else { elsewhere.clone() };
    for key in cx.row.keys(args).ok()? {
        let has = |flag| key.flags.contains(&flag);
        let may_update = may_grow || !elsewhere.is_empty();
        let may_make = has("OW") || has("INSERT") || has("UPDATE") && may_update;
        let word = args.at(key.index);
        let keyspace = &mut cx.state.keyspace;
        if may_make
            && keyspace.is_lock(word)
            && databases.iter().any(|&db| keyspace.find(db, word).is_none())
        {
            return cx.state.grace_refusal(cx.now.mono);
        }
    }
    None
}

/// The databases in which a command makes its keys, if it names them (COPY, MOVE).
fn other_databases(cx: &Cx<'_>, args: Args<'_>) -> Vec<usize> {
    let Databases::SelectedAndNamed(words) = cx.row.command.databases else { return Vec::new() };
    // One that is not there is told by the command.
    let database = |index: usize| super::arguments::database(cx, args.opt(index)?).ok();
    words(args).into_iter().filter_map(database).collect()
}

/// Replies with the error that the command of row `row` has ended with.
pub(crate) fn fail(cx: &mut Cx<'_>, row: usize, error: &Error) {
    cx.reply.error(error);
    if !error.is_counted() {
        cx.state.count_error(&error.code());
    }
    cx.state.stats.by_command[row].failed += 1;
}

/// A command that has ended must have replied, and as its row says.
fn check_reply(cx: &Cx<'_>, args: Args<'_>, start: usize) {
    let reply = &cx.reply.out[start..];
    if cx.row.command.flags.has(Flags::RUNS_QUEUED) {
        // What each queued command has replied was checked by itself. Together they need not be one
        // value: SUBSCRIBE has as many confirmations as it has channels, as in Redis.
        return;
    }
    if cx.reply.out.len() >= cx.fatal_output_bytes() {
        // Nobody gets it.
        return;
    }
    let may_be_silent = cx.session.blocked.is_some()
        || cx.session.closing
        || cx.session.is_monitor
        || cx.session.is_replica
        || cx.session.reply_mode != ReplyMode::On;
    if !reply.is_empty() || !may_be_silent {
        schema::check(cx.row, args, cx.reply.protocol, reply);
    }
}

/// The gates, in Redis's order.
fn admit(cx: &mut Cx<'_>, row: &'static Row, args: Args<'_>) -> Result<(), Error> {
    if !cx.row.command.takes(args.len()) {
        return Err(Error::WrongArity(cx.row.full_name));
    }
    if cx.row.command.flags.has(Flags::PROTECTED) {
        check_protected(cx)?;
    }
    if cx.state.must_authenticate(cx.session) && !cx.row.command.flags.has(Flags::NO_AUTH) {
        return Err(NO_AUTH);
    }
    if cx.session.transaction.is_some() && cx.row.command.flags.has(Flags::NO_MULTI) {
        return Err(Error::fixed("ERR Command not allowed inside a transaction"));
    }
    if row.command.carries.is_some() {
        cx.state.carried(row, args)?;
    }
    cx.permit(row, args, Place::of(cx))?;
    if cx.state.config.eviction.bytes_max != 0 {
        memory_gate::check(cx, args)?;
    }
    if cx.state.tracking.is_active() {
        cx.state.limit_tracking();
    }
    if cx.state.persistence.refuses_writes()
        && (writes(cx, args) || row.command.flags.has(Flags::MINDS_SAVES))
    {
        return Err(MISCONF);
    }
    if cx.state.persistence.log_refusal().is_some() {
        check_log(cx, args)?;
    }
    if cx.state.config.replicas.needs_some() && writes(cx, args) {
        return Err(NO_REPLICAS);
    }
    if cx.session.gets_only_messages() && !cx.row.command.flags.has(Flags::SUBSCRIBED) {
        let name = cx.row.full_name;
        return Err(Error::text(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context"
        )));
    }
    if cx.state.persistence.is_starting() && !row.command.flags.has(Flags::LOADING) {
        return Err(loading(cx));
    }
    // As in Redis, to which it is a replica of a kind.
    if cx.session.is_monitor && reaches_data(cx, args) {
        return Err(Error::fixed("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}

/// Why a script may not write its first, if what it writes cannot be kept.
pub(super) fn disk_refusal(cx: &Cx<'_>) -> Option<Error> {
    if cx.state.persistence.refuses_writes() {
        return Some(MISCONF);
    }
    let why = cx.state.persistence.log_refusal()?;
    Some(Error::text(format!("MISCONF Errors writing to the AOF file: {why}")))
}

/// Why a script that says that it writes may not begin, if that cannot be kept.
pub(super) fn disk_refusal_of_script(cx: &Cx<'_>) -> Option<Error> {
    const BLOCKED: &str = "but it's currently unable to persist to disk. Writable scripts are \
                           blocked. Use 'no-writes' flag for read only scripts.";
    if cx.state.persistence.refuses_writes() {
        let text = format!("MISCONF Redis is configured to save RDB snapshots, {BLOCKED}");
        return Some(Error::text(text));
    }
    let why = cx.state.persistence.log_refusal()?;
    Some(Error::text(format!(
        "MISCONF Redis is configured to persist data to AOF, {BLOCKED} AOF error: {why}"
    )))
}

/// The log cannot be written: nothing that would have to be in it is done.
#[cold]
fn check_log(cx: &Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    match cx.state.persistence.log_refusal() {
        Some(why) if writes(cx, args) || cx.row.command.flags.has(Flags::MINDS_SAVES) => {
            Err(Error::text(format!("MISCONF Errors writing to the AOF file: {why}")))
        }
        _ => Ok(()),
    }
}

/// What clients read until everything is loaded, and how much of it is.
#[cold]
pub(super) fn loading(cx: &Cx<'_>) -> Error {
    let (loaded, all) = cx.state.persistence.loading_share().unwrap_or_default();
    let percent = loaded * 100 / all.max(1);
    Error::text(format!("LOADING Redis is loading the dataset in memory ({percent} %)"))
}

/// Whether `enable-debug-command` allows what could harm.
#[cold]
fn check_protected(cx: &Cx<'_>) -> Result<(), Error> {
    let allowed = match cx.state.config.debug_command {
        Access::Yes => true,
        Access::Local => cx.session.origin.is_local(),
        Access::No => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Error::fixed(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", \
         you can run it from a local connection, otherwise you need to set this option in the \
         configuration file, and then restart the server.",
    ))
}

/// Whether CLIENT PAUSE holds the command back. As in Redis no command is exempt from a pause of
/// everything, CLIENT UNPAUSE and QUIT included; only refusals are answered at once.
fn must_wait(cx: &Cx<'_>, args: Args<'_>) -> bool {
    match cx.state.pause {
        // Nobody is tried again during a pause.
        Some(pause) if cx.now.mono < pause.until && !cx.retry && !cx.session.is_monitor => {
            !pause.writes_only || may_write(cx, args)
        }
        _ => cx.state.holds_writers(cx.now.mono) && waits_for_disk(cx, args),
    }
}

/// Whether the command writes while too much is not on disk yet.
#[cold]
fn waits_for_disk(cx: &Cx<'_>, args: Args<'_>) -> bool {
    !cx.retry && !cx.session.is_monitor && writes(cx, args)
}

/// Whether the command writes, or one of those that it will run.
#[cold]
fn writes(cx: &Cx<'_>, args: Args<'_>) -> bool {
    cx.flags_of_all(args).has(Flags::WRITE)
}

/// Whether the command may change data, or those that it will run.
fn may_write(cx: &Cx<'_>, args: Args<'_>) -> bool {
    let flags = cx.flags_of_all(args);
    flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE)
}

/// Whether the command may read or change data, or those that it will run.
#[cold]
fn reaches_data(cx: &Cx<'_>, args: Args<'_>) -> bool {
    let flags = cx.flags_of_all(args);
    [Flags::WRITE, Flags::READONLY, Flags::MAY_REPLICATE].iter().any(|&flag| flags.has(flag))
}

impl Cx<'_> {
    /// How the command behaves with these words.
    pub(super) fn flags_with(&self, args: Args<'_>) -> Flags {
        self.row.flags_with(self.state, args)
    }

    /// How the command behaves, and those that it will run.
    pub(super) fn flags_of_all(&self, args: Args<'_>) -> Flags {
        let flags = self.flags_with(args);
        let queued = self.session.transaction.as_ref();
        let queued = queued.filter(|_| flags.has(Flags::RUNS_QUEUED));
        queued.map_or(flags, |queued| flags.and(Flags::from_bits(queued.flags())))
    }
}

/// Replies with an error to a command that is not run. A transaction that it was for, or that it
/// was to end, is refused with it.
fn refuse(cx: &mut Cx<'_>, args: Args<'_>, error: &Error) {
    let row = cx.row;
    cx.state.stats.by_command[row.index].rejected += 1;
    if row.command.flags.has(Flags::RUNS_QUEUED) {
        cx.session.transaction = None;
        cx.state.watches.forget(cx.session.id);
        let why = error.message();
        let why = why.strip_prefix("ERR ").unwrap_or(&why);
        cx.reply.error_text(&format!("EXECABORT Transaction discarded because of: {why}"));
        cx.state.count_error("EXECABORT");
        // Those who watch have seen MULTI.
        if !cx.state.observer.monitors.is_empty() {
            monitor_line::feed(cx, args);
        }
        return;
    }
    refuse_transaction(cx);
    cx.reply.error(error);
    cx.state.count_error(&error.code());
}

fn refuse_transaction(cx: &mut Cx<'_>) {
    if let Some(transaction) = &mut cx.session.transaction {
        transaction.refuse();
    }
}

fn refuse_unknown(cx: &mut Cx<'_>, unknown: Unknown, args: Args<'_>) {
    if is_web_request(args) {
        hang_up_on_web_request(cx);
        return;
    }
    cx.session.last_command = "";
    refuse_transaction(cx);
    cx.reply.error_bytes(&unknown_command(unknown, args));
    cx.state.count_error("ERR");
}

/// A web page can make a browser send a request here whose body holds commands. Its first words
/// give it away, and the body must not be run.
fn is_web_request(args: Args<'_>) -> bool {
    args.is(0, "POST") || args.is(0, "HOST:")
}

fn hang_up_on_web_request(cx: &mut Cx<'_>) {
    cx.session.closing = true;
    let last = cx.state.last_web_request;
    if last.is_none_or(|last| cx.now.mono.since(last) > WEB_REQUEST_LOG_INTERVAL) {
        cx.state.last_web_request = Some(cx.now.mono);
        let peer = cx.session.address();
        let text = format!(
            "Possible attack: {peer} sent a web request, perhaps from the browser of somebody who \
             looks at a hostile page. The connection was closed."
        );
        cx.fx.push(Effect::Log(LogLevel::Warning, text));
    }
}

/// The error's text. It quotes the client's bytes as they are.
pub(super) fn unknown_command(unknown: Unknown, args: Args<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    match unknown {
        Unknown::Command => {
            text.extend_from_slice(b"ERR unknown command '");
            text.extend_from_slice(cut(args.at(0), QUOTED_BYTES_MAX));
            text.extend_from_slice(b"', with args beginning with: ");
            let start = text.len();
            for word in args.from(1) {
                let quoted = text.len() - start;
                if quoted >= QUOTED_BYTES_MAX {
                    break;
                }
                text.push(b'\'');
                text.extend_from_slice(cut(word, QUOTED_BYTES_MAX - quoted));
                text.extend_from_slice(b"' ");
            }
        }
        Unknown::Subcommand => {
            text.extend_from_slice(b"ERR unknown subcommand '");
            text.extend_from_slice(cut(args.at(1), QUOTED_BYTES_MAX));
            text.extend_from_slice(b"'. Try ");
            text.extend_from_slice(&args.at(0).to_ascii_uppercase());
            text.extend_from_slice(b" HELP.");
        }
    }
    text
}

/// The first bytes of a word, up to a zero byte, where Redis's formatting stops.
fn cut(word: &[u8], bytes_max: usize) -> &[u8] {
    let word = &word[..word.len().min(bytes_max)];
    let end = word.iter().position(|&byte| byte == 0).unwrap_or(word.len());
    &word[..end]
}

//! Running scripts: EVAL and its relatives, and the commands that a script calls.
//!
//! Invariants: a script and all that it calls are one command for everybody else, also when it
//! takes several steps; while it runs key time stands still.

use super::Cx;
use super::acl_gate::Place;
use super::dispatch::{NO_REPLICAS, disk_refusal, disk_refusal_of_script, run as run_command};
use super::memory_gate::{OUT_OF_MEMORY, check_script, refuses_call};
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec};
use super::table::Row;
use crate::args::Args;
use crate::effects::{Effect, LogLevel};
use crate::error::Error;
use crate::keyspace::{Undo, Undone};
use crate::persistence::LOADER;
use crate::resp::Reply;
use crate::script::{
    Ask, Brought, InnerErrors, Pace, Problem, Program, Promises, Run, Running, ScriptId, Sha,
    Stage, Tell,
};
use crate::session::Blocked;
use crate::state::State;
use crate::value::number::parse_integer;

/// Units of work of a script that a command counts for, and bytes of it or of its reply that count
/// for one more.
const UNITS_PER_CALL: usize = 300;
const CALL_BYTES_PER_UNIT: usize = 16;

/// Bytes of values that a script may cause to be copied for every unit of its work, so that its
/// writes can be undone: a fraction of what it takes itself.
const COPIED_BYTES_PER_UNIT: usize = 3;
/// Changes of a stopped script that one step undoes.
const UNDONE_PER_STEP: usize = 1000;
/// A reply's buffer that grew beyond this is given back instead of kept for the next script.
const SPARE_BYTES_MAX: usize = 1 << 16;

const RUNS: Flags =
    Flags::NOSCRIPT.and(Flags::STALE).and(Flags::SKIP_MONITOR).and(Flags::NO_MANDATORY_KEYS);
pub(super) const WRITES: Flags = RUNS.and(Flags::MAY_REPLICATE);
pub(super) const READS: Flags = RUNS.and(Flags::READONLY);
const KEYS: Find = Find::KeyNum { first: 1, step: 1 };
pub(super) const ANY_KEYS: &[KeySpec] =
    &[KeySpec { flags: &["RW", "ACCESS", "UPDATE"], begin: Begin::Index(2), find: KEYS }];
pub(super) const READ_KEYS: &[KeySpec] =
    &[KeySpec { flags: &["RO", "ACCESS"], begin: Begin::Index(2), find: KEYS }];

const SCRIPT: Command = Command {
    arity: -3,
    keys: ANY_KEYS,
    flags: WRITES,
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "Depends on the script that is run",
    reply: "any",
    ..Command::ROW
};

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "EVAL",
        syntax: "script numkeys:integer [key [key ...]] [arg [arg ...]]",
        summary: "Runs a Lua script.",
        flags_with: Some(flags_of_text),
        run: eval,
        ..SCRIPT
    },
    Command {
        name: "EVALSHA",
        syntax: "sha1 numkeys:integer [key [key ...]] [arg [arg ...]]",
        summary: "Runs a Lua script that is known, by its SHA-1.",
        flags_with: Some(flags_of_sha),
        run: evalsha,
        ..SCRIPT
    },
    Command {
        name: "EVALSHA_RO",
        syntax: "sha1 numkeys:integer [key [key ...]] [arg [arg ...]]",
        flags: READS,
        categories: &["scripting"],
        keys: READ_KEYS,
        since: "7.0.0",
        summary: "Runs a Lua script that only reads, by its SHA-1.",
        flags_with: Some(flags_of_sha),
        run: evalsha,
        ..SCRIPT
    },
    Command {
        name: "EVAL_RO",
        syntax: "script numkeys:integer [key [key ...]] [arg [arg ...]]",
        flags: READS,
        categories: &["scripting"],
        keys: READ_KEYS,
        since: "7.0.0",
        summary: "Runs a Lua script that only reads.",
        flags_with: Some(flags_of_text),
        run: eval,
        ..SCRIPT
    },
];

/// How a command of `row` behaves when it runs what promises this, as in Redis.
pub(super) fn flags_with(row: &Row, promises: Promises) -> Flags {
    const DEPENDING: Flags =
        Flags::STALE.and(Flags::DENYOOM).and(Flags::WRITE).and(Flags::MAY_REPLICATE);
    let flags = row.command.flags;
    match promises {
        Promises { given: false, .. } => flags,
        Promises { no_writes: true, .. } => flags.without(DEPENDING),
        Promises { allow_oom: true, .. } => flags.without(DEPENDING).and(Flags::WRITE),
        _ => flags.without(DEPENDING).and(Flags::WRITE).and(Flags::DENYOOM),
    }
}

fn flags_of_text(state: &State, row: &Row, args: Args<'_>) -> Flags {
    flags_with(row, state.scripts.promises_of(args.at(1)))
}

fn flags_of_sha(state: &State, row: &Row, args: Args<'_>) -> Flags {
    let script = Sha::parse(args.at(1)).and_then(|sha| state.scripts.find(sha));
    let promises = script.map(|script| state.scripts.script(script).promises);
    flags_with(row, promises.unwrap_or_default())
}

/// `EVAL script numkeys [key ...] [arg ...]`
fn eval(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let keys = check_keys(args)?;
    let memory_bytes_max = cx.state.config.script_memory_bytes_max;
    let script = cx.state.scripts.load(args.at(1), Brought::ToRun, memory_bytes_max);
    begin_script(cx, script.map_err(Error::text)?, keys, args)
}

/// `EVALSHA sha1 numkeys [key ...] [arg ...]`
fn evalsha(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let keys = check_keys(args)?;
    let script = Sha::parse(args.at(1)).and_then(|sha| cx.state.scripts.find(sha));
    let script = script.ok_or(Error::fixed("NOSCRIPT No matching script. Please use EVAL."))?;
    begin_script(cx, script, keys, args)
}

fn check_keys(args: Args<'_>) -> Result<usize, Error> {
    let keys = parse_integer(args.at(2)).ok_or(Error::NotAnInteger)?;
    check_count(keys, args)
}

/// How many of the words behind the third are keys.
pub(super) fn check_count(keys: i64, args: Args<'_>) -> Result<usize, Error> {
    if keys > (args.len() - 3) as i64 {
        return Err(Error::fixed("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(keys).map_err(|_| Error::fixed("ERR Number of keys can't be negative"))
}

/// Whether a program that promises this may begin.
pub(super) fn check(cx: &Cx<'_>, promises: Promises) -> Result<(), Error> {
    let may_write = promises.given && !promises.no_writes;
    let is_of_log = cx.session.id == LOADER;
    if may_write
        && !is_of_log
        && let Some(refusal) = disk_refusal_of_script(cx)
    {
        return Err(refusal);
    }
    if may_write && cx.row.command.flags.has(Flags::READONLY) {
        return Err(Error::fixed(
            "ERR Can not execute a script with write flag using *_ro command.",
        ));
    }
    if may_write && cx.state.config.replicas.needs_some() {
        return Err(NO_REPLICAS);
    }
    check_script(cx, promises)
}

/// Runs a script that is known: to its end, or to the end of the step.
fn begin_script(
    cx: &mut Cx<'_>,
    script: ScriptId,
    keys: usize,
    args: Args<'_>,
) -> Result<(), Error> {
    let promises = cx.state.scripts.script(script).promises;
    check(cx, promises)?;
    let mut stage = cx.state.scripts.take_stage(script).expect("no script runs inside another");
    if let Some(run) = &mut stage.run {
        run.script = script;
    }
    begin(cx, Program::Script(script), stage, promises, (keys, args))
}

/// Runs a program: to its end, or to the end of the step. Its words are the fourth and all behind,
/// so many of them keys.
pub(super) fn begin(
    cx: &mut Cx<'_>,
    program: Program,
    mut stage: Box<Stage>,
    promises: Promises,
    (keys, args): (usize, Args<'_>),
) -> Result<(), Error> {
    // What it calls is.
    cx.log_nothing();
    if cx.state.tracking.is_active() {
        cx.state.tracking.declare_keys(cx.session.id, args.from(3).take(keys));
    }
    stage.enter(cx.session);
    let mut run = stage.run.take().expect("no script runs");
    run.function = program.function().map(|called| called.id);
    run.words.clear();
    args.from(3).for_each(|word| run.words.push(word));
    run.keys = keys;
    run.interval = Pace::default().interval();
    run.reply.out.clear();
    run.reply.protocol = cx.reply.protocol;
    run.error = None;
    run.is_counted = false;
    let pending = Some(stage.fiber.tell(Tell::Run(run)));
    let mut running = Running {
        caller: cx.session.id,
        row: cx.row.index,
        program,
        only_reads: promises.no_writes || cx.row.command.flags.has(Flags::READONLY),
        has_written: false,
        promises,
        log_mark: cx.state.log.mark(),
        is_stopped: false,
        since: cx.now.mono,
        stage,
        pending,
        ending: None,
        pace: Pace::default(),
        had_its_share: false,
        rest: None,
    };
    match go_on(cx, &mut running) {
        Some(result) => {
            cx.state.put_back_stage(&running.program, running.stage);
            result
        }
        None => {
            cx.session.blocked = Some(Blocked::Script);
            cx.state.running_script = Some(Box::new(running));
            Ok(())
        }
    }
}

/// Ends the log of what a script has written. What one that was stopped has written is undone, a
/// bounded part of it, and those who look at the keys are told. Returns whether that is all.
fn settle(cx: &mut Cx<'_>, running: &Running) -> bool {
    if !running.is_stopped {
        cx.state.keyspace.end_undo();
        return true;
    }
    if cx.state.keyspace.undo().is_some_and(|undo| !undo.is_lost()) {
        cx.state.log.roll_back(running.log_mark);
    }
    let (undone, is_all) = cx.state.keyspace.roll_back_some(UNDONE_PER_STEP);
    for undone in undone {
        match undone {
            Undone::Key(db, key) => cx.state.key_touched(db, &key),
            Undone::Database(index) => {
                cx.state.touch_watched(index, None);
                cx.state.waits.touch_all(index);
                cx.state.track_flush();
            }
        }
    }
    is_all
}

/// Writes what a script ended with.
fn end(cx: &mut Cx<'_>, running: &mut Running, mut run: Box<Run>) -> Result<(), Error> {
    let failed = |text| if run.is_counted { Error::Passed(text) } else { Error::text(text) };
    let problem = run.error.as_ref().map(|problem| shown(problem, &running.program, cx));
    let result = match (problem, &*run.reply.out) {
        (Some(text), _) => Err(failed(text)),
        // It returned an error.
        (None, [b'-', text @ .., b'\r', b'\n']) => {
            Err(failed(String::from_utf8_lossy(text).into_owned()))
        }
        (None, reply) => {
            cx.reply.out.extend_from_slice(reply);
            Ok(())
        }
    };
    if !run.inner_errors.is_empty() {
        count_inner(cx, running.row, core::mem::take(&mut run.inner_errors));
    }
    if run.reply.out.capacity() > SPARE_BYTES_MAX {
        run.reply.out = Vec::new();
    }
    running.stage.run = Some(run);
    result
}

/// Counts the errors inside of the reply of the command of row `row`.
fn count_inner(cx: &mut Cx<'_>, row: usize, errors: InnerErrors) {
    cx.state.stats.by_command[row].failed += errors.counted + u64::from(!errors.others.is_empty());
    for (code, count) in errors.others {
        cx.state.count_errors(&code, count);
    }
}

/// The error with the script's name, and where in it the error came up.
fn shown(problem: &Problem, program: &Program, cx: &Cx<'_>) -> String {
    let text = String::from_utf8_lossy(&problem.text);
    let name = match program {
        Program::Script(script) => cx.state.scripts.script(*script).sha.to_string(),
        Program::Function(called) => called.name.clone(),
    };
    match &problem.place {
        Some((source, line)) => format!("{text} script: {name}, on {source}:{line}."),
        None => format!("{text} script: {name}"),
    }
}

/// Does what a script asks for until it ends, or has had its share of this step. The context is
/// that of its caller or, if that has gone, of nobody.
pub(crate) fn go_on(cx: &mut Cx<'_>, running: &mut Running) -> Option<Result<(), Error>> {
    let share = running.pace.units() as usize;
    let mut spent = 0;
    let mut ask = running.pending.take().expect("the interpreter has asked something");
    loop {
        let is_over = spent >= share;
        let tell = match ask {
            Ask::Ended(run) => {
                if running.has_written && !settle(cx, running) {
                    return leave(running, Ask::Ended(run), false);
                }
                return Some(end(cx, running, run));
            }
            Ask::Call(_) | Ask::Permits(_) | Ask::Log(..) | Ask::Clock if is_over => {
                return leave(running, ask, true);
            }
            // It may not come to a pause for long: what is counted there is not what commands take.
            Ask::Call(_) | Ask::Permits(_) | Ask::Clock if running.ending.is_some() => {
                running.ending.take().map_or(Tell::GoOn, Tell::End)
            }
            Ask::Call(mut asked) => {
                let may_get = cx.state.log.restrict(asked.readers);
                call(cx, running, asked.words.args(), &mut asked.reply);
                cx.state.log.restrict(may_get);
                spent += UNITS_PER_CALL + asked.bytes() / CALL_BYTES_PER_UNIT;
                Tell::Replied(asked)
            }
            Ask::Permits(words) => {
                spent += UNITS_PER_CALL + words.len_bytes() / CALL_BYTES_PER_UNIT;
                permits(cx, running, words.args())
            }
            Ask::Clock => {
                spent += UNITS_PER_CALL;
                Tell::Time(cx.now.mono.since(running.since))
            }
            Ask::Log(level, text) => {
                log(cx, level, &text);
                Tell::GoOn
            }
            Ask::Pause if is_over && running.ending.is_none() => {
                return leave(running, ask, true);
            }
            Ask::Pause => {
                let interval = running.pace.interval();
                spent += interval as usize;
                if let Some(undo) = cx.state.keyspace.undo() {
                    undo.grant(COPIED_BYTES_PER_UNIT * interval as usize);
                }
                running.ending.take().map_or(Tell::GoOnFor(interval), Tell::End)
            }
            Ask::Job | Ask::Compiled(_) | Ask::Loaded(_) => unreachable!("a script runs"),
        };
        running.is_stopped |= matches!(tell, Tell::End(_));
        ask = running.stage.fiber.tell(tell);
    }
}

/// A script will go on in a later step, with the answer to `ask`.
fn leave<T>(running: &mut Running, ask: Ask, had_its_share: bool) -> Option<T> {
    running.pending = Some(ask);
    running.had_its_share = had_its_share;
    None
}

/// Writes a line of a script to the log.
pub(super) fn log(cx: &mut Cx<'_>, level: i64, text: &[u8]) {
    let level = [LogLevel::Debug, LogLevel::Verbose, LogLevel::Notice]
        .get(level as usize)
        .copied()
        .unwrap_or(LogLevel::Warning);
    cx.fx.push(Effect::Log(level, String::from_utf8_lossy(text).into_owned()));
}

/// Runs a command for a script. One that is not run is counted as refused, whether or not the
/// script goes on.
fn call(cx: &mut Cx<'_>, running: &mut Running, args: Args<'_>, reply: &mut Reply) {
    cx.state.note_script_command(true);
    if let Err(error) = try_call(cx, running, args, reply) {
        reply.error(&error);
        cx.state.count_error(&error.code());
        if let Ok(row) = cx.state.command(args) {
            cx.state.stats.by_command[row.index].rejected += 1;
        }
    }
    cx.state.note_script_command(false);
}

/// The error is that of a command that was not run.
fn try_call(
    cx: &mut Cx<'_>,
    running: &mut Running,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Error> {
    let refused = |text| Err(Error::fixed(text));
    let Ok(row) = cx.state.command(args) else {
        return refused("ERR Unknown Redis command called from script");
    };
    let flags = row.command.flags;
    if !row.command.takes(args.len()) {
        return refused("ERR Wrong number of args calling Redis command from script");
    }
    let may_debug = cx.state.scripts_may_debug
        && row.command.name == "DEBUG"
        && (args.is(1, "PROTOCOL") || args.is(1, "SLEEP"));
    if flags.has(Flags::NOSCRIPT) && !may_debug {
        return refused("ERR This Redis command is not allowed from script");
    }
    let session = &mut running.stage.session;
    session.protocol = reply.protocol;
    let mut inner = Cx {
        state: &mut *cx.state,
        session,
        reply,
        fx: &mut *cx.fx,
        now: cx.now,
        row,
        retry: false,
        may_block: false,
        is_carried: false,
    };
    inner.permit(row, args, Place::Script)?;
    let writes = flags.has(Flags::WRITE);
    if running.only_reads && (writes || flags.has(Flags::MAY_REPLICATE)) {
        return refused("ERR Write commands are not allowed from read-only scripts.");
    }
    let writes_first = writes && !running.has_written;
    let is_of_log = running.caller == LOADER;
    if writes_first
        && !is_of_log
        && let Some(refusal) = disk_refusal(&inner)
    {
        return Err(refusal);
    }
    if writes_first && inner.state.config.replicas.needs_some() {
        return Err(NO_REPLICAS);
    }
    if refuses_call(&inner, running.promises, running.has_written) {
        return Err(OUT_OF_MEMORY);
    }
    if writes_first {
        running.has_written = true;
        let undo_bytes_max = inner.state.config.script_undo_bytes_max;
        inner.state.keyspace.begin_undo(Undo::new(undo_bytes_max));
    }
    run_command(&mut inner, args, 0);
    inner.state.tell_lapsed();
    Ok(())
}

/// Whether the script's user may run a command.
fn permits(cx: &Cx<'_>, running: &Running, args: Args<'_>) -> Tell {
    match cx.state.command(args) {
        Ok(row) => Tell::Permitted(cx.state.may_run(&running.stage.session, row, args)),
        Err(_) => Tell::Refused("ERR Invalid command passed to redis.acl_check_cmd()".to_owned()),
    }
}

//! Running scripts: EVAL and its relatives, and the commands that a script calls.
//!
//! Invariants: a script and all that it calls are one command for everybody else, also when it
//! takes several steps; while it runs key time stands still.

use super::Cx;
use super::acl_gate::Place;
use super::dispatch::run as run_command;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec};
use super::table::table;
use crate::args::{Args, Words};
use crate::effects::{Effect, LogLevel};
use crate::error::Error;
use crate::input::Origin;
use crate::resp::{Protocol, Reply};
use crate::script::{Ask, Run, Running, Tell, sha1_of};
use crate::session::{Blocked, Session};
use crate::value::number::parse_integer;

/// Pauses of a script in one step.
const PAUSES_PER_STEP: u32 = 100;
/// Pauses of a script inside of a transaction, which is one step: some seconds.
const PAUSES_IN_TRANSACTION: u32 = 20_000;

const RUNS: Flags =
    Flags::NOSCRIPT.and(Flags::STALE).and(Flags::SKIP_MONITOR).and(Flags::NO_MANDATORY_KEYS);
const WRITES: Flags = RUNS.and(Flags::MAY_REPLICATE);
const READS: Flags = RUNS.and(Flags::READONLY);
const KEYS: Find = Find::KeyNum { first: 1, step: 1 };
const ANY_KEYS: &[KeySpec] =
    &[KeySpec { flags: &["RW", "ACCESS", "UPDATE"], begin: Begin::Index(2), find: KEYS }];
const READ_KEYS: &[KeySpec] =
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
        run: eval,
        ..SCRIPT
    },
    Command {
        name: "EVALSHA",
        syntax: "sha1 numkeys:integer [key [key ...]] [arg [arg ...]]",
        summary: "Runs a Lua script that is known, by its SHA-1.",
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
        run: eval,
        ..SCRIPT
    },
];

/// `EVAL script numkeys [key ...] [arg ...]`
fn eval(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_keys(args)?;
    let sha = sha1_of(args.at(1));
    let memory_bytes_max = cx.state.config.script_memory_bytes_max;
    cx.state.scripts.load(&sha, args.at(1), memory_bytes_max).map_err(Error::text)?;
    begin(cx, sha, args)
}

/// `EVALSHA sha1 numkeys [key ...] [arg ...]`
fn evalsha(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    check_keys(args)?;
    let sha = String::from_utf8_lossy(args.at(1)).to_ascii_lowercase();
    if cx.state.scripts.find(&sha).is_none() {
        return Err(Error::fixed("NOSCRIPT No matching script. Please use EVAL."));
    }
    begin(cx, sha, args)
}

fn check_keys(args: Args<'_>) -> Result<usize, Error> {
    let keys = parse_integer(args.at(2)).ok_or(Error::NotAnInteger)?;
    if keys > (args.len() - 3) as i64 {
        return Err(Error::fixed("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(keys).map_err(|_| Error::fixed("ERR Number of keys can't be negative"))
}

/// Runs a script that was loaded: to its end, or to the end of the step.
fn begin(cx: &mut Cx<'_>, sha: String, args: Args<'_>) -> Result<(), Error> {
    let keys = check_keys(args)?;
    let promises = cx.state.scripts.find(&sha).map(|script| script.promises).unwrap_or_default();
    let mut fiber = cx.state.scripts.take_interpreter().expect("no script runs inside another");
    let run = Run { sha, words: Words::new(args.from(3)), keys, protocol: cx.reply.protocol };
    let pending = Some(fiber.tell(Tell::Run(Box::new(run))));
    let origin = Origin::Unix { path: String::new() };
    let mut session = Box::new(Session::new(cx.session.id, origin, cx.now.mono, true));
    session.db = cx.session.db;
    session.user = cx.session.user;
    session.authenticated = cx.session.authenticated;
    session.is_script = true;
    let mut running = Running {
        caller: cx.session.id,
        only_reads: promises.no_writes || cx.row.command.flags.has(Flags::READONLY),
        has_written: false,
        since: cx.now.mono,
        fiber,
        session,
        pending,
        ending: None,
    };
    match go_on(cx, &mut running) {
        Some(ended) => {
            cx.state.scripts.put_back(running.fiber);
            reply(cx.reply, ended)
        }
        None => {
            cx.session.blocked = Some(Blocked::Script);
            cx.state.running_script = Some(Box::new(running));
            Ok(())
        }
    }
}

/// Writes what a script ended with.
fn reply(reply: &mut Reply, ended: Result<Vec<u8>, Vec<u8>>) -> Result<(), Error> {
    match ended {
        Ok(bytes) => {
            reply.out.extend_from_slice(&bytes);
            Ok(())
        }
        Err(text) => Err(Error::text(String::from_utf8_lossy(&text).into_owned())),
    }
}

/// Does what a script asks for until it ends, or has had its share of this step.
fn go_on(cx: &mut Cx<'_>, running: &mut Running) -> Option<Result<Vec<u8>, Vec<u8>>> {
    let mut pauses = 0;
    let mut ask = running.pending.take().expect("the interpreter has asked something");
    loop {
        let tell = match ask {
            Ask::Ended(result) => return Some(result),
            Ask::Call(words, protocol) => call(cx, running, words.args(), protocol),
            Ask::Permits(words) => permits(cx, running, words.args()),
            Ask::Log(level, text) => {
                let level = [LogLevel::Debug, LogLevel::Verbose, LogLevel::Notice]
                    .get(level as usize)
                    .copied()
                    .unwrap_or(LogLevel::Warning);
                let text = String::from_utf8_lossy(&text).into_owned();
                cx.fx.push(Effect::Log(level, text));
                Tell::GoOn
            }
            Ask::Pause => {
                pauses += 1;
                match running.ending.take() {
                    Some(text) => Tell::End(text),
                    None if cx.may_block && pauses > PAUSES_PER_STEP => {
                        running.pending = Some(Ask::Pause);
                        return None;
                    }
                    None if !cx.may_block && pauses > PAUSES_IN_TRANSACTION => {
                        Tell::End("ERR the script runs too long for a transaction".to_owned())
                    }
                    None => Tell::GoOn,
                }
            }
            Ask::Job | Ask::Compiled(_) => unreachable!("a script runs"),
        };
        ask = running.fiber.tell(tell);
    }
}

/// Runs a command for a script.
fn call(cx: &mut Cx<'_>, running: &mut Running, args: Args<'_>, protocol: Protocol) -> Tell {
    let refused = |text: &str| Tell::Refused(text.to_owned());
    let Ok(row) = table().find(args) else {
        return refused("ERR Unknown Redis command called from script");
    };
    let flags = row.command.flags;
    if !row.command.takes(args.len()) {
        return refused("ERR Wrong number of args calling Redis command from script");
    }
    if flags.has(Flags::NOSCRIPT) {
        return refused("ERR This Redis command is not allowed from script");
    }
    let writes = flags.has(Flags::WRITE) || flags.has(Flags::MAY_REPLICATE);
    if writes && running.only_reads {
        return refused("ERR Write commands are not allowed from read-only scripts.");
    }
    let mut reply = Reply { out: Vec::new(), protocol };
    running.session.protocol = protocol;
    let mut inner = Cx {
        state: &mut *cx.state,
        session: &mut running.session,
        reply: &mut reply,
        fx: &mut *cx.fx,
        now: cx.now,
        row,
        retry: false,
        may_block: false,
    };
    if let Err(error) = inner.permit(row, args, Place::Script) {
        return Tell::Refused(error.message().into_owned());
    }
    running.has_written |= flags.has(Flags::WRITE);
    run_command(&mut inner, args, 0);
    inner.state.tell_lapsed();
    Tell::Reply(reply.out)
}

/// Whether the script's user may run a command.
fn permits(cx: &Cx<'_>, running: &Running, args: Args<'_>) -> Tell {
    match table().find(args) {
        Ok(row) => {
            let may = cx.state.may_run(&running.session, row, args);
            Tell::Reply(if may { b"1".to_vec() } else { b"0".to_vec() })
        }
        Err(_) => Tell::Refused("ERR Invalid command passed to redis.acl_check_cmd()".to_owned()),
    }
}

/// Goes on with the script that an earlier step left, with a context of its caller or, if that has
/// gone, of nobody. Returns whether it has ended.
pub(crate) fn resume(cx: &mut Cx<'_>, running: &mut Running) -> Option<Result<(), Error>> {
    let ended = go_on(cx, running)?;
    Some(reply(cx.reply, ended))
}

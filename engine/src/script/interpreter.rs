//! A Lua interpreter: what lives on the fiber's stack.
//!
//! Invariants: scripts see only what the prelude gives them; they touch the server only through
//! the fiber's questions; no error leaves the interpreter but as a reply.

use std::cell::RefCell;
use std::collections::BTreeMap;

use mlua::{
    Function, HookTriggers, Lua, LuaOptions, MultiValue, Scope, StdLib, Table, Value, VmState,
};

use super::arguments::Thrown;
use super::convert::{from_lua, number_of, to_lua, word_of};
use super::fiber::{Ask, Line, Run, Tell};
use super::random::Random;
use super::sha1_of;
use crate::args::Words;
use crate::resp::{Protocol, Reply};

/// Instructions between two pauses of a script.
const PAUSE_INTERVAL: u32 = 10_000;
/// What the hook asks is in the registry under this name.
const PAUSE: &str = "pause";
/// Makes the world of scripts.
const PRELUDE: &str = include_str!("prelude.lua");

/// The version whose scripts run here.
const REDIS_VERSION: &str = "7.0.15";
const REDIS_VERSION_NUMBER: u32 = 0x0007_000f;
/// Numbers that scripts know by name.
const CONSTANTS: [(&str, i64); 9] = [
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
];
const WRONG_NUMBER: &str = "ERR wrong number of arguments";

/// An error that a function of `redis` raises: what `err` of its table is.
#[derive(Debug)]
struct Raised(String);

impl core::fmt::Display for Raised {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Raised {}

fn raise<T>(text: impl Into<String>) -> mlua::Result<T> {
    Err(mlua::Error::external(Raised(text.into())))
}

/// What belongs to the run of one script.
#[derive(Debug, Default)]
struct State {
    /// The protocol in which commands reply to the script (`redis.setresp`).
    protocol: Protocol,
    random: Random,
    /// The error with which the script was ended from outside.
    ending: Option<String>,
}

/// Runs an interpreter until it is told to leave.
pub(super) fn live(line: &Line, memory_bytes_max: usize) {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::new()).expect("these libraries are safe");
    let state = RefCell::new(State::default());
    let lived = lua.scope(|scope| {
        let raw = functions(&lua, scope, line, &state, memory_bytes_max)?;
        let api: Table = lua.load(PRELUDE).set_name("=prelude").call(raw)?;
        let (run, compile) = (api.get("run")?, api.get("compile")?);
        set_hook(&lua, PAUSE_INTERVAL)?;
        lua.set_memory_limit(memory_bytes_max)?;
        let interpreter =
            Interpreter { lua: &lua, line, state: &state, memory_bytes_max, run, compile };
        interpreter.work();
        Ok(())
    });
    lived.expect("the prelude has no errors");
}

/// The functions and constants that the prelude builds on.
fn functions<'scope, 'env>(
    lua: &Lua,
    scope: &'scope Scope<'scope, 'env>,
    line: &'env Line,
    state: &'env RefCell<State>,
    memory_bytes_max: usize,
) -> mlua::Result<Table> {
    let raw = lua.create_table()?;
    raw.set("call", scope.create_function(|lua, args| call(lua, line, state, &args))?)?;
    raw.set("pcall", scope.create_function(|lua, args| pcall(lua, line, state, &args))?)?;
    raw.set("raised", scope.create_function(raised)?)?;
    let pause = scope.create_function(|_, ()| {
        let known = state.borrow().ending.clone();
        if known.is_none()
            && let Tell::End(text) = line.suspend(Ask::Pause)
        {
            state.borrow_mut().ending = Some(text);
        }
        Ok(state.borrow().ending.clone())
    })?;
    lua.set_named_registry_value(PAUSE, pause)?;
    raw.set("random", scope.create_function(|lua, args| random(lua, state, &args))?)?;
    raw.set(
        "seed",
        scope.create_function(|_, seed: f64| {
            state.borrow_mut().random = Random::new(seed as i64 as u32);
            Ok(())
        })?,
    )?;
    raw.set("sha1hex", scope.create_function(|_, args: MultiValue| sha1hex(&args))?)?;
    raw.set("log", scope.create_function(|_, args: MultiValue| log(line, &args))?)?;
    raw.set(
        "setresp",
        scope
            .create_function(|_, args: MultiValue| set_protocol(&mut state.borrow_mut(), &args))?,
    )?;
    raw.set("set_repl", scope.create_function(|_, args: MultiValue| set_repl(&args))?)?;
    raw.set("acl_check_cmd", scope.create_function(|_, args: MultiValue| permits(line, &args))?)?;
    raw.set("place", scope.create_function(|lua, ()| Ok(place(lua)))?)?;
    raw.set("bit", super::bits::library(lua)?)?;
    raw.set("cjson", super::cjson::library(lua, memory_bytes_max)?)?;
    raw.set("cmsgpack", super::cmsgpack::library(lua, memory_bytes_max)?)?;
    raw.set("struct", super::structs::library(lua, memory_bytes_max)?)?;
    let constants = lua.create_table()?;
    for (name, value) in CONSTANTS {
        constants.set(name, value)?;
    }
    constants.set("REDIS_VERSION", REDIS_VERSION)?;
    constants.set("REDIS_VERSION_NUM", REDIS_VERSION_NUMBER)?;
    raw.set("constants", constants)?;
    Ok(raw)
}

/// Looks at the script now and then, in whatever coroutine it is. One that must end gets an error
/// now, and after every instruction from here on: no handler of errors goes on for long. So does
/// one that is too deep in calls for a look, until it has left them.
fn set_hook(lua: &Lua, interval: u32) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(interval);
    lua.set_global_hook(triggers, move |lua, _| {
        look_from(lua, interval).map(|()| VmState::Continue)
    })
}

/// Has the server look at the script that runs; an error when the script must end.
pub(super) fn look(lua: &Lua) -> mlua::Result<()> {
    look_from(lua, PAUSE_INTERVAL)
}

fn look_from(lua: &Lua, interval: u32) -> mlua::Result<()> {
    let looked = lua
        .named_registry_value::<Function>(PAUSE)
        .and_then(|pause| pause.call::<Option<String>>(()));
    let next = if matches!(looked, Ok(None)) { PAUSE_INTERVAL } else { 1 };
    if next != interval {
        set_hook(lua, next)?;
    }
    match looked? {
        None => Ok(()),
        Some(text) => Err(mlua::Error::runtime(text)),
    }
}

/// What works for whoever asks.
struct Interpreter<'a> {
    lua: &'a Lua,
    line: &'a Line,
    state: &'a RefCell<State>,
    memory_bytes_max: usize,
    /// The prelude's functions.
    run: Function,
    compile: Function,
}

impl Interpreter<'_> {
    fn work(&self) {
        let mut scripts: BTreeMap<String, Function> = BTreeMap::new();
        let mut ask = Ask::Job;
        loop {
            ask = match self.line.suspend(ask) {
                Tell::Compile { sha, text } => Ask::Compiled(self.compile(&text).map(|script| {
                    scripts.insert(sha, script);
                })),
                Tell::Run(run) => {
                    let script = scripts.get(&run.sha).expect("it was compiled");
                    Ask::Ended(self.run(script, &run))
                }
                Tell::Leave => return,
                told => unreachable!("no answer to a question for a job: {told:?}"),
            };
        }
    }

    fn compile(&self, text: &[u8]) -> Result<Function, String> {
        let text = self.lua.create_string(text).map_err(|error| error.to_string())?;
        match self.compile.call::<(Option<Function>, Option<mlua::LuaString>)>(text) {
            Ok((Some(script), _)) => Ok(script),
            Ok((None, problem)) => {
                let problem = problem.map(|text| text.to_string_lossy());
                Err(problem.unwrap_or_else(|| "unknown".to_owned()))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn run(&self, script: &Function, run: &Run) -> Result<Vec<u8>, Vec<u8>> {
        *self.state.borrow_mut() = State::default();
        let result = self.try_run(script, run);
        let ending = self.state.borrow_mut().ending.take();
        if self.lua.used_memory() > self.memory_bytes_max / 2 {
            // What a script left must not keep the next ones from running.
            self.lua.gc_collect().expect("collectors of scripts raise nothing");
        }
        if ending.is_some() {
            set_hook(self.lua, PAUSE_INTERVAL).expect("it was set before");
        }
        match (ending, result) {
            (Some(text), _) => Err(with_place(text.as_bytes(), &run.sha, None)),
            (None, Ok(reply)) => reply,
            (None, Err(error)) => {
                let text = format!("ERR {error}");
                Err(with_place(text.as_bytes(), &run.sha, None))
            }
        }
    }

    /// The outer result is that of the interpreter, the inner one that of the script.
    fn try_run(&self, script: &Function, run: &Run) -> mlua::Result<Result<Vec<u8>, Vec<u8>>> {
        let lua = self.lua;
        let words = run.words.args();
        let list = |from: usize, to: usize| -> mlua::Result<Table> {
            let table = lua.create_table_with_capacity(to - from, 0)?;
            for (index, word) in words.from(from).take(to - from).enumerate() {
                table.raw_set(index + 1, lua.create_string(word)?)?;
            }
            Ok(table)
        };
        let (keys, argv) = (list(0, run.keys)?, list(run.keys, words.len())?);
        let (ok, value, source, line): (bool, Value, Option<mlua::LuaString>, Option<i64>) =
            self.run.call((script, keys, argv))?;
        if !ok {
            let text = error_text(&value);
            let place = source.map(|source| (source.to_string_lossy(), line.unwrap_or(0)));
            return Ok(Err(with_place(&text, &run.sha, place)));
        }
        let mut reply = Reply { out: Vec::new(), protocol: run.protocol };
        let protocol = self.state.borrow().protocol;
        from_lua(&value, &mut reply, protocol)?;
        if reply.out.first() == Some(&b'-') {
            return Ok(Err(reply.out[1..reply.out.len() - 2].to_vec()));
        }
        Ok(Ok(reply.out))
    }
}

/// The text of an error that left a script: always a table with `err` after the prelude's handler.
fn error_text(problem: &Value) -> Vec<u8> {
    if let Some(word) = word_of(problem) {
        // Lua has no memory for the handler of errors when there is none.
        return [b"ERR ".as_slice(), &word].concat();
    }
    let Value::Table(table) = problem else { return b"ERR unknown error".to_vec() };
    match table.raw_get::<Value>("err") {
        Ok(value) => word_of(&value).unwrap_or_else(|| b"ERR unknown error".to_vec()),
        Err(_) => b"ERR unknown error".to_vec(),
    }
}

/// The text with the script's name, and where in it the error came up.
fn with_place(text: &[u8], sha: &str, place: Option<(String, i64)>) -> Vec<u8> {
    let mut shown: Vec<u8> = text.to_vec();
    shown.extend_from_slice(format!(" script: {sha}").as_bytes());
    if let Some((source, line)) = place {
        shown.extend_from_slice(format!(", on {source}:{line}.").as_bytes());
    }
    shown
}

/// The innermost place in a script, of the functions that run.
fn place(lua: &Lua) -> (Option<String>, Option<usize>) {
    for level in 1.. {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let name = source.source.map(|name| name.into_owned()).unwrap_or_default();
            (source.what != "C" && name.starts_with('@')).then(|| (name, debug.current_line()))
        });
        match found {
            None => return (None, None),
            Some(Some((name, line))) => return (Some(name), line),
            Some(None) => {}
        }
    }
    (None, None)
}

/// `redis.call`: the reply, or an error.
fn call(lua: &Lua, line: &Line, state: &RefCell<State>, args: &MultiValue) -> mlua::Result<Value> {
    match ask(line, state, args) {
        Ok(reply) => to_lua(lua, &reply),
        Err(text) => raise(text),
    }
}

/// `redis.pcall`: the reply; an error is one too.
fn pcall(lua: &Lua, line: &Line, state: &RefCell<State>, args: &MultiValue) -> mlua::Result<Value> {
    match ask(line, state, args) {
        Ok(reply) => to_lua(lua, &reply),
        Err(text) => {
            let table = lua.create_table()?;
            table.raw_set("err", text)?;
            Ok(Value::Table(table))
        }
    }
}

/// Has a command run; its reply, or the text of the error.
fn ask(line: &Line, state: &RefCell<State>, args: &MultiValue) -> Result<Vec<u8>, String> {
    let words = words_of(args)?;
    let protocol = state.borrow().protocol;
    match line.suspend(Ask::Call(words, protocol)) {
        Tell::Reply(reply) if reply.first() == Some(&b'-') => {
            Err(String::from_utf8_lossy(&reply[1..reply.len() - 2]).into_owned())
        }
        Tell::Reply(reply) => Ok(reply),
        Tell::Refused(text) => Err(text),
        Tell::End(text) => {
            state.borrow_mut().ending = Some(text.clone());
            Err(text)
        }
        told => unreachable!("no answer to a command: {told:?}"),
    }
}

/// `math.random`: as in C, but for the numbers.
fn random(lua: &Lua, state: &RefCell<State>, args: &MultiValue) -> mlua::Result<f64> {
    let drawn = state.borrow_mut().random.next();
    let bound = |index: usize| -> mlua::Result<f64> {
        let number = args.get(index).and_then(number_of);
        number.map_or_else(
            || raise_at(lua, &format!("bad argument #{} to 'random' (number expected)", index + 1)),
            |number| Ok(number.trunc()),
        )
    };
    let (from, to) = match args.len() {
        0 => return Ok(drawn),
        1 => (1.0, bound(0)?),
        2 => (bound(0)?, bound(1)?),
        _ => return raise_at(lua, "wrong number of arguments"),
    };
    if from > to {
        let index = args.len();
        return raise_at(lua, &format!("bad argument #{index} to 'random' (interval is empty)"));
    }
    Ok((drawn * (to - from + 1.0)).floor() + from)
}

/// Raises an error that says where, as Lua's own do.
pub(super) fn raise_at<T>(lua: &Lua, text: &str) -> mlua::Result<T> {
    match place(lua) {
        (Some(source), Some(line)) => raise(format!("ERR {}:{line}: {text}", &source[1..])),
        _ => raise(format!("ERR {text}")),
    }
}

/// The error that a function raised, as the table or text that scripts see; nothing: it is not
/// ours.
fn raised(lua: &Lua, problem: Value) -> mlua::Result<Value> {
    let Value::Error(error) = problem else { return Ok(Value::Nil) };
    if let Some(Thrown(text)) = error.downcast_ref::<Thrown>() {
        return lua.create_string(text).map(Value::String);
    }
    let root = error.chain().last().map(ToString::to_string);
    let found = error.downcast_ref::<Raised>().map(|raised| raised.0.clone());
    let text = found.or_else(|| root.map(|text| format!("ERR {text}"))).unwrap_or_default();
    let table = lua.create_table()?;
    table.raw_set("err", text)?;
    Ok(Value::Table(table))
}

/// The words of a command: strings and numbers.
fn words_of(args: &MultiValue) -> Result<Words, &'static str> {
    if args.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    let words: Option<Vec<Vec<u8>>> = args.iter().map(word_of).collect();
    let words = words.ok_or("ERR Lua redis lib command arguments must be strings or integers")?;
    Ok(Words::new(words.iter().map(Vec::as_slice)))
}

fn sha1hex(args: &MultiValue) -> mlua::Result<String> {
    match (args.len(), args.front().map(word_of)) {
        (1, Some(word)) => Ok(sha1_of(&word.unwrap_or_default())),
        _ => raise(WRONG_NUMBER),
    }
}

fn log(line: &Line, args: &MultiValue) -> mlua::Result<()> {
    if args.len() < 2 {
        return raise("ERR redis.log() requires two arguments or more.");
    }
    let Some(level) = args.front().and_then(number_of) else {
        return raise("ERR First argument must be a number (log level).");
    };
    let level = level as i64;
    if !(0..=3).contains(&level) {
        return raise("ERR Invalid debug level.");
    }
    let words: Vec<Vec<u8>> = args.iter().skip(1).filter_map(word_of).collect();
    line.suspend(Ask::Log(level, words.join(&b' ')));
    Ok(())
}

fn set_protocol(state: &mut State, args: &MultiValue) -> mlua::Result<()> {
    if args.len() != 1 {
        return raise("ERR redis.setresp() requires one argument.");
    }
    state.protocol = match args.front().and_then(word_of).as_deref() {
        Some(b"2") => Protocol::Resp2,
        Some(b"3") => Protocol::Resp3,
        _ => return raise("ERR RESP version must be 2 or 3."),
    };
    Ok(())
}

/// Effects are replicated, never scripts, and always all of them.
fn set_repl(args: &MultiValue) -> mlua::Result<()> {
    if args.len() != 1 {
        return raise("ERR redis.set_repl() requires one argument.");
    }
    match args.front().and_then(number_of) {
        Some(flags) if (0.0..4.0).contains(&flags) => Ok(()),
        _ => raise(
            "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ),
    }
}

fn permits(line: &Line, args: &MultiValue) -> mlua::Result<bool> {
    let words = match words_of(args) {
        Ok(words) => words,
        Err(_) if args.is_empty() => {
            return raise("ERR Please specify at least one argument for this call");
        }
        Err(_) => return raise("ERR redis.acl_check_cmd() require strings or integers"),
    };
    match line.suspend(Ask::Permits(words)) {
        Tell::Reply(answer) => Ok(answer == b"1"),
        Tell::Refused(text) => raise(text),
        told => unreachable!("no answer to a question: {told:?}"),
    }
}

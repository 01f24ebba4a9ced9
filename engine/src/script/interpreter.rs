//! A Lua interpreter: what lives on the fiber's stack.
//!
//! Invariants: scripts see only what the prelude gives them; they touch the server only through
//! the fiber's questions; no error leaves the interpreter but as a reply.

use mlua::{
    Function, HookTriggers, Lua, LuaOptions, LuaString, MultiValue, Scope, StdLib, Table, Value,
    VmState,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::arguments::{Arguments, Thrown, throw};
use super::convert::{from_lua, number_of, push_word, to_lua, word_of};
use super::fiber::{Ask, Call, FunctionId, Line, Problem, Run, Tell};
use super::known::ScriptId;
use super::memory::Memory;
use super::pace::PAUSE_INTERVAL;
use super::random::Random;
use super::register::{Registration, Registrations, register};
use super::sha::Digest;
use super::shelf::Registered;
use super::work::{Work, tell_of_work_by};
use crate::args::Words;
use crate::log::Readers;
use crate::resp::Protocol;

/// A reply's buffer that grew beyond this is given back instead of kept for the next command.
const SPARE_BYTES_MAX: usize = 1 << 16;
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
/// Bytes that are hashed between two looks at whether the script must end.
const HASHED_BYTES: usize = 1 << 16;
/// Units of work that a line for the log counts for, besides its bytes.
const LOG_UNITS: usize = 1000;
/// More than an allocator gives out of its lists of small pieces.
const LARGE_BYTES: usize = 4096;
/// Says in the table of an error that it was counted, in Redis's word.
pub(super) const COUNTED: &str = "ignore_error_stats_update";
const WRONG_NUMBER: &str = "ERR wrong number of arguments";

/// The version of this server as Redis has its own in one number: a byte for each part.
fn server_version_number() -> u32 {
    let parts = env!("CARGO_PKG_VERSION").split('.');
    parts.fold(0, |number, part| number << 8 | part.parse::<u32>().unwrap_or_default())
}

/// An error that a function of `redis` raises: what `err` of its table is.
#[derive(Debug)]
struct Raised {
    text: String,
    /// A command has failed or was refused, and was counted as such.
    is_counted: bool,
}

impl core::fmt::Display for Raised {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.text)
    }
}

impl core::error::Error for Raised {}

impl Raised {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_counted: false }
    }

    /// The error as scripts see it.
    fn to_table(&self, lua: &Lua) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.raw_set("err", self.text.as_str())?;
        if self.is_counted {
            table.raw_set(COUNTED, true)?;
        }
        Ok(table)
    }
}

pub(super) fn raise<T>(text: impl Into<String>) -> mlua::Result<T> {
    Err(mlua::Error::external(Raised::new(text)))
}

/// What belongs to the run of one script.
#[derive(Debug, Default)]
struct State {
    /// The protocol in which commands reply to the script (`redis.setresp`).
    protocol: Protocol,
    /// Who may know of what they change (`redis.set_repl`).
    readers: Readers,
    /// The error with which the script was ended from outside.
    ending: Option<String>,
    /// The last command and its reply, to be used again; its buffers outlive the run.
    call: Option<Box<Call>>,
}

/// What the prelude makes.
struct Prelude {
    compile: Function,
    run: Function,
    load: Function,
    end_load: Function,
    call: Function,
    end_run: Function,
    forget_debts: Function,
}

/// What the functions of `redis` work with.
#[derive(Clone, Copy)]
struct Api<'a> {
    lua: &'a Lua,
    line: &'a Line,
    state: &'a RefCell<State>,
    memory: &'a Memory,
    /// Random numbers go on from script to script, as in Redis 7.
    random: &'a Cell<Random>,
    /// Instructions between two pauses.
    interval: &'a Cell<u32>,
    registrations: &'a Registrations,
}

/// Runs an interpreter until it is told to leave.
pub(super) fn live(line: &Line, memory_bytes_max: usize) {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::new()).expect("these libraries are safe");
    let state = RefCell::new(State::default());
    let memory = Memory::new(memory_bytes_max);
    let registrations = Registrations::default();
    let interval = &Cell::new(PAUSE_INTERVAL);
    let random = &Cell::new(Random::default());
    let lived = lua.scope(|scope| {
        let (state, memory, registrations) = (&state, &memory, &registrations);
        let api = Api { lua: &lua, line, state, memory, random, interval, registrations };
        let raw = functions(scope, api)?;
        let prelude: Table = lua.load(PRELUDE).set_name("=prelude").call(raw)?;
        tell_of_work_by(&lua, &prelude.get("spend")?)?;
        let prelude = Prelude {
            compile: prelude.get("compile")?,
            run: prelude.get("run")?,
            load: prelude.get("load")?,
            end_load: prelude.get("end_load")?,
            call: prelude.get("call")?,
            end_run: prelude.get("end_run")?,
            forget_debts: prelude.get("forget_debts")?,
        };
        set_hook(&lua, PAUSE_INTERVAL)?;
        Interpreter { api, scripts: Vec::new(), libraries: BTreeMap::new(), prelude }.work();
        Ok(())
    });
    lived.expect("the prelude has no errors");
}

/// The functions and constants that the prelude builds on.
fn functions<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    api: Api<'env>,
) -> mlua::Result<Table> {
    let Api { lua, line, state, memory, registrations, random: generator, .. } = api;
    let memory_bytes_max = memory.bytes_max();
    let raw = lua.create_table()?;
    raw.set("call", scope.create_function(move |_, args| api.call(&args))?)?;
    raw.set("pcall", scope.create_function(move |_, args| api.pcall(&args))?)?;
    raw.set("clock", scope.create_function(move |_, ()| api.clock())?)?;
    raw.set("raised", scope.create_function(raised)?)?;
    let pause = scope.create_function(move |_, ()| Ok(api.pause()))?;
    lua.set_named_registry_value(PAUSE, pause)?;
    raw.set("random", scope.create_function(|lua, args| random(lua, generator, &args))?)?;
    raw.set(
        "seed",
        scope.create_function(|lua, args: MultiValue| {
            let seed = Arguments::new(lua, &args).integer(1)?;
            generator.set(Random::new(seed as u32));
            Ok(())
        })?,
    )?;
    let function = move |lua: &Lua, args| sha1hex(Work::new(lua, memory_bytes_max), &args);
    raw.set("sha1hex", scope.create_function(function)?)?;
    let function = move |lua: &Lua, args| log(Work::new(lua, memory_bytes_max), line, &args);
    raw.set("log", scope.create_function(function)?)?;
    raw.set(
        "setresp",
        scope
            .create_function(|_, args: MultiValue| set_protocol(&mut state.borrow_mut(), &args))?,
    )?;
    raw.set(
        "set_repl",
        scope.create_function(|_, args: MultiValue| set_repl(&mut state.borrow_mut(), &args))?,
    )?;
    let function = move |_: &Lua, args: MultiValue| api.permits(&args);
    raw.set("acl_check_cmd", scope.create_function(function)?)?;
    let function = |lua: &Lua, args: MultiValue| register(lua, registrations, &args);
    raw.set("register_function", scope.create_function(function)?)?;
    raw.set("place", scope.create_function(|lua, ()| Ok(place(lua)))?)?;
    raw.set("bit", super::bits::library(lua)?)?;
    raw.set("cjson", super::cjson::library(lua, memory_bytes_max)?)?;
    raw.set("cmsgpack", super::cmsgpack::library(lua, memory_bytes_max)?)?;
    raw.set("strings", super::strings::library(lua, memory_bytes_max)?)?;
    raw.set("struct", super::structs::library(lua, memory_bytes_max)?)?;
    let constants = lua.create_table()?;
    for (name, value) in CONSTANTS {
        constants.set(name, value)?;
    }
    constants.set("REDIS_VERSION", REDIS_VERSION)?;
    constants.set("REDIS_VERSION_NUM", REDIS_VERSION_NUMBER)?;
    raw.set("constants", constants)?;
    let server_constants = lua.create_table()?;
    server_constants.set("SERVER_NAME", "orrery")?;
    server_constants.set("SERVER_VERSION", env!("CARGO_PKG_VERSION"))?;
    server_constants.set("SERVER_VERSION_NUM", server_version_number())?;
    raw.set("server_constants", server_constants)?;
    Ok(raw)
}

/// Looks at the script now and then, in whatever coroutine it is. One that must end gets an error
/// now, and after every instruction from here on: no handler of errors goes on for long. So does
/// one that is too deep in calls for a look, until it has left them.
fn set_hook(lua: &Lua, interval: u32) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(interval);
    lua.set_global_hook(triggers, |lua, _| look(lua).map(|()| VmState::Continue))
}

/// Has the server look at the script that runs; an error when the script must end.
fn look(lua: &Lua) -> mlua::Result<()> {
    let looked = lua
        .named_registry_value::<Function>(PAUSE)
        .and_then(|pause| pause.call::<(Option<String>, u32)>(()));
    let next = if let Ok((None, next)) = looked { next } else { 1 };
    // Also if it is as before: this coroutine may have begun with another.
    set_hook(lua, next)?;
    match looked?.0 {
        None => Ok(()),
        Some(text) => Err(mlua::Error::runtime(text)),
    }
}

/// What works for whoever asks.
struct Interpreter<'a> {
    api: Api<'a>,
    /// The scripts that were compiled, by number.
    scripts: Vec<Option<Function>>,
    /// The functions of libraries, by the library's number.
    libraries: BTreeMap<u32, Vec<Function>>,
    prelude: Prelude,
}

impl Interpreter<'_> {
    fn work(mut self) {
        let mut ask = Ask::Job;
        loop {
            ask = match self.api.line.suspend(ask) {
                Tell::Compile { id, text } => Ask::Compiled(self.compile(id, &text)),
                Tell::Load { library, text } => Ask::Loaded(self.load(library, &text)),
                Tell::Forget(library) => {
                    self.libraries.remove(&library);
                    Ask::Job
                }
                Tell::Run(mut run) => {
                    self.run(&mut run);
                    Ask::Ended(run)
                }
                Tell::Leave => return,
                told => unreachable!("no answer to a question for a job: {told:?}"),
            };
        }
    }

    fn compile(&mut self, id: ScriptId, text: &[u8]) -> Result<(), String> {
        let Api { lua, memory, .. } = self.api;
        self.begin_alone();
        let text = lua.create_string(text).map_err(|error| error.to_string())?;
        let compiled = memory.limited(lua, || {
            self.prelude.compile.call::<(Option<Function>, Option<LuaString>)>(text)
        });
        if let Some(text) = self.end_alone() {
            return Err(text);
        }
        let script = match compiled {
            Ok((Some(script), _)) => script,
            Ok((None, problem)) => {
                let problem = problem.map(|text| text.to_string_lossy());
                return Err(problem.unwrap_or_else(|| "unknown".to_owned()));
            }
            Err(error) => return Err(error.to_string()),
        };
        let index = id.0 as usize;
        if index >= self.scripts.len() {
            self.scripts.resize(index + 1, None);
        }
        self.scripts[index] = Some(script);
        Ok(())
    }

    /// Runs a library's text, which registers its functions.
    fn load(&mut self, library: u32, text: &[u8]) -> Result<Vec<Registered>, String> {
        let Api { lua, memory, registrations, .. } = self.api;
        self.begin_alone();
        let text = lua.create_string(text).map_err(|error| error.to_string())?;
        registrations.replace(Some(Vec::new()));
        let loaded = memory.limited(lua, || self.prelude.load.call::<Option<LuaString>>(text));
        let made = registrations.take().unwrap_or_default();
        let ending = self.end_alone();
        self.prelude.end_load.call::<()>(()).expect("it sets a field that is there");
        memory.tidy(lua);
        let failed = |text: &str| Err(format!("Error registering functions: ERR {text}"));
        match (ending, loaded) {
            (Some(text), _) => return failed(&text),
            (None, Err(error)) => return failed(&error.to_string()),
            (None, Ok(Some(problem))) => return Err(problem.to_string_lossy()),
            (None, Ok(None)) => {}
        }
        let (mut functions, mut bodies) = (Vec::new(), Vec::new());
        for (index, Registration { name, description, flags, body }) in (0..).zip(made) {
            functions.push(Registered {
                name,
                description,
                flags,
                id: FunctionId { library, index },
            });
            bodies.push(body);
        }
        self.libraries.insert(library, bodies);
        Ok(functions)
    }

    /// Before code that is no script's: what it does is measured, whatever was before.
    fn begin_alone(&self) {
        let Api { lua, interval, .. } = self.api;
        interval.set(PAUSE_INTERVAL);
        set_hook(lua, PAUSE_INTERVAL).expect("it was set before");
        self.forget_debts();
    }

    /// After code of any kind: why it was ended, if it was.
    fn end_alone(&self) -> Option<String> {
        let Api { lua, state, interval, .. } = self.api;
        let ending = state.borrow_mut().ending.take();
        if ending.is_some() {
            set_hook(lua, interval.get()).expect("it was set before");
            self.forget_debts();
            self.prelude.end_run.call::<()>(()).expect("it takes no memory");
        }
        ending
    }

    fn forget_debts(&self) {
        self.prelude.forget_debts.call::<()>(()).expect("it takes no memory");
    }

    fn run(&self, run: &mut Run) {
        let Api { lua, state, interval, .. } = self.api;
        let call = state.take().call;
        state.borrow_mut().call = call;
        if interval.replace(run.interval) != run.interval {
            set_hook(lua, run.interval).expect("it was set before");
        }
        let result = self.try_run(run);
        self.tidy();
        match (self.end_alone(), result) {
            (None, Ok(())) => {}
            (Some(text), _) => run.fail(text.into_bytes()),
            (None, Err(error)) => run.fail(format!("ERR {error}").into_bytes()),
        }
    }

    /// Collects what the script has left if that is much, with pauses. One cycle may have begun
    /// before the end and miss some.
    fn tidy(&self) {
        let Api { lua, memory, .. } = self.api;
        let mut cycles = 0;
        while cycles < 2 && memory.is_crowded(lua) {
            cycles += usize::from(memory.tidy_some(lua));
            // Also if the script was ended: others wait all the same.
            self.api.ask_to_go_on();
        }
    }

    /// The result is that of the interpreter; that of the script is in `run`.
    fn try_run(&self, run: &mut Run) -> mlua::Result<()> {
        let Api { lua, state, memory, .. } = self.api;
        let words = run.words.args();
        let mut work = Work::new(lua, memory.bytes_max());
        // The prelude makes lists of nothing, when they are wanted.
        let mut list = |from: usize, to: usize| -> mlua::Result<Option<Table>> {
            if from == to {
                return Ok(None);
            }
            let table = lua.create_table_with_capacity(to - from, 0)?;
            for (index, word) in words.from(from).take(to - from).enumerate() {
                work.make(word.len())?;
                // Only texts are put there without a handle in between.
                match core::str::from_utf8(word) {
                    Ok(text) => table.raw_set(index + 1, text)?,
                    Err(_) => table.raw_set(index + 1, lua.create_string(word)?)?,
                }
            }
            Ok(Some(table))
        };
        let (keys, argv) = (list(0, run.keys)?, list(run.keys, words.len())?);
        let (how, what) = match run.function {
            None => (&self.prelude.run, self.scripts[run.script.0 as usize].as_ref()),
            Some(FunctionId { library, index }) => {
                let bodies = self.libraries.get(&library);
                (&self.prelude.call, bodies.and_then(|bodies| bodies.get(index as usize)))
            }
        };
        let what = what.expect("what is known was compiled or loaded");
        let (ok, value): (bool, Value) = memory.limited(lua, || how.call((what, keys, argv)))?;
        run.is_counted = match &value {
            Value::Table(table) => table.raw_get::<Option<bool>>(COUNTED)? == Some(true),
            _ => false,
        };
        if ok {
            let protocol = state.borrow().protocol;
            run.inner_errors = from_lua(&value, &mut run.reply, protocol, &mut work)?;
            return Ok(());
        }
        run.fail(error_text(&value));
        if let Value::Table(problem) = &value
            && let (Some(source), Some(line)) =
                (problem.raw_get::<Option<LuaString>>("source")?, problem.raw_get("line")?)
            && let Some(problem) = &mut run.error
        {
            problem.place = Some((source.to_string_lossy(), line));
        }
        Ok(())
    }
}

impl Run {
    fn fail(&mut self, text: Vec<u8>) {
        self.error = Some(Problem { text, place: None });
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

impl Api<'_> {
    /// Asks whether to go on: why not, and the instructions up to the next pause.
    fn pause(&self) -> (Option<String>, u32) {
        let known = self.state.borrow().ending.clone();
        if known.is_none() {
            self.ask_to_go_on();
        }
        (self.state.borrow().ending.clone(), self.interval.get())
    }

    /// Pauses, and notes what is answered.
    fn ask_to_go_on(&self) {
        tidy_allocator();
        match self.line.suspend(Ask::Pause) {
            Tell::End(text) => self.state.borrow_mut().ending = Some(text),
            Tell::GoOnFor(interval) => self.interval.set(interval),
            _ => {}
        }
    }

    /// `os.clock`: seconds since the script began, as the present step knows the time.
    fn clock(&self) -> mlua::Result<f64> {
        let known = self.state.borrow().ending.clone();
        if let Some(text) = known {
            return raise(text);
        }
        match self.line.suspend(Ask::Clock) {
            Tell::Time(elapsed) => Ok(elapsed.0 as f64 / 1e6),
            Tell::End(text) => {
                self.state.borrow_mut().ending = Some(text.clone());
                raise(text)
            }
            told => unreachable!("no answer to what time it is: {told:?}"),
        }
    }

    /// `redis.call`: the reply, or an error.
    fn call(&self, args: &MultiValue) -> mlua::Result<Value> {
        self.memory.suspended(self.lua, || match self.ask(args) {
            Ok(value) => value,
            Err(raised) => Err(mlua::Error::external(raised)),
        })
    }

    /// `redis.pcall`: the reply; an error is one too.
    fn pcall(&self, args: &MultiValue) -> mlua::Result<Value> {
        self.memory.suspended(self.lua, || match self.ask(args) {
            Ok(value) => value,
            Err(raised) => raised.to_table(self.lua).map(Value::Table),
        })
    }

    /// `redis.acl_check_cmd`: whether the caller may run a command.
    fn permits(&self, args: &MultiValue) -> mlua::Result<bool> {
        let mut words = Words::default();
        match words_of(args, &mut words) {
            Ok(()) => {}
            Err(_) if args.is_empty() => {
                return raise("ERR Please specify at least one argument for this call");
            }
            Err(_) => return raise("ERR redis.acl_check_cmd() require strings or integers"),
        }
        match self.line.suspend(Ask::Permits(words)) {
            Tell::Permitted(may) => Ok(may),
            Tell::Refused(text) => raise(text),
            Tell::End(text) => {
                self.state.borrow_mut().ending = Some(text.clone());
                raise(text)
            }
            told => unreachable!("no answer to a question: {told:?}"),
        }
    }

    /// Has a command run; its reply, or the error.
    fn ask(&self, args: &MultiValue) -> Result<mlua::Result<Value>, Raised> {
        let mut state = self.state.borrow_mut();
        // One that must end does nothing more, whatever it catches.
        if let Some(text) = &state.ending {
            return Err(Raised::new(text.clone()));
        }
        let mut call = state.call.take().unwrap_or_default();
        words_of(args, &mut call.words).map_err(Raised::new)?;
        call.reply.out.clear();
        call.reply.protocol = state.protocol;
        call.readers = state.readers;
        drop(state);
        let call = match self.line.suspend(Ask::Call(call)) {
            Tell::Replied(call) => call,
            Tell::End(text) => {
                self.state.borrow_mut().ending = Some(text.clone());
                return Err(Raised::new(text));
            }
            told => unreachable!("no answer to a command: {told:?}"),
        };
        let reply = &call.reply.out;
        let result = if reply.first() == Some(&b'-') {
            let text = String::from_utf8_lossy(&reply[1..reply.len() - 2]).into_owned();
            Err(Raised { text, is_counted: true })
        } else {
            Ok(to_lua(Work::new(self.lua, self.memory.bytes_max()), reply))
        };
        if reply.capacity() <= SPARE_BYTES_MAX {
            self.state.borrow_mut().call = Some(call);
        }
        result
    }
}

/// Has the allocator put together small pieces that were freed since it was last asked for a larger
/// one: glibc's does that only then, for all of them at once, which takes 100 ms after a million.
fn tidy_allocator() {
    drop(core::hint::black_box(Vec::<u8>::with_capacity(LARGE_BYTES)));
}

/// `math.random`: as in C, but for the numbers.
fn random(lua: &Lua, generator: &Cell<Random>, args: &MultiValue) -> mlua::Result<f64> {
    let mut random = generator.get();
    let drawn = random.next();
    generator.set(random);
    let args = Arguments::new(lua, args);
    let bound = |index| args.integer(index).map(|bound| f64::from(bound as i32));
    let (from, to) = match args.len() {
        0 => return Ok(drawn),
        1 => (1.0, bound(1)?),
        2 => (bound(1)?, bound(2)?),
        _ => return throw(lua, "wrong number of arguments"),
    };
    if from > to {
        return args.bad(args.len(), "interval is empty");
    }
    Ok((drawn * (to - from + 1.0)).floor() + from)
}

/// The error that a function raised, as the table or text that scripts see; nothing: it is not
/// ours.
fn raised(lua: &Lua, problem: Value) -> mlua::Result<Value> {
    let Value::Error(error) = problem else { return Ok(Value::Nil) };
    if let Some(Thrown(text)) = error.downcast_ref::<Thrown>() {
        return lua.create_string(text).map(Value::String);
    }
    let root = error.chain().last().map(ToString::to_string);
    let table = match error.downcast_ref::<Raised>() {
        Some(raised) => raised.to_table(lua),
        None => {
            Raised::new(root.map(|text| format!("ERR {text}")).unwrap_or_default()).to_table(lua)
        }
    };
    table.map(Value::Table)
}

/// The words of a command: strings and numbers.
fn words_of(args: &MultiValue, words: &mut Words) -> Result<(), &'static str> {
    words.clear();
    if args.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    for arg in args {
        if !push_word(arg, words) {
            return Err("ERR Lua redis lib command arguments must be strings or integers");
        }
    }
    Ok(())
}

fn sha1hex(mut work: Work<'_>, args: &MultiValue) -> mlua::Result<String> {
    let (1, Some(word)) = (args.len(), args.front().map(word_of)) else {
        return raise(WRONG_NUMBER);
    };
    let mut digest = Digest::default();
    for part in word.unwrap_or_default().chunks(HASHED_BYTES) {
        work.spend(part.len())?;
        digest.update(part);
    }
    Ok(digest.finish().to_string())
}

fn log(mut work: Work<'_>, line: &Line, args: &MultiValue) -> mlua::Result<()> {
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
    work.spend(LOG_UNITS + words.iter().map(Vec::len).sum::<usize>())?;
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

fn set_repl(state: &mut State, args: &MultiValue) -> mlua::Result<()> {
    if args.len() != 1 {
        return raise("ERR redis.set_repl() requires one argument.");
    }
    match args.front().and_then(number_of) {
        Some(flags) if (0.0..4.0).contains(&flags) => {
            state.readers = Readers::from_bits(flags as u8);
            Ok(())
        }
        _ => raise(
            "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
        ),
    }
}

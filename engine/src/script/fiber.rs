//! A script runs on a stack of its own, so that it can be left in the middle of anything, a
//! protected call included, and gone on with in a later step.
//!
//! Invariants: whoever holds the fiber answers each question with what it asks for; a fiber is
//! only dropped after it has come to its end, so that nothing has to be unwound through Lua.

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::convert::InnerErrors;
use super::interpreter;
use super::known::ScriptId;
use super::shelf::Registered;
use crate::args::Words;
use crate::log::Readers;
use crate::resp::Reply;
use crate::time::Micros;

/// Bytes of the stack; the system gives memory for what is used of them.
const STACK_BYTES: usize = 4 << 20;

/// What the interpreter is told.
#[derive(Debug)]
pub(crate) enum Tell {
    /// Compile a script, to be run by its number.
    Compile {
        /// The number.
        id: ScriptId,
        /// The text.
        text: Vec<u8>,
    },
    /// Load a library of functions.
    Load {
        /// The number of the library.
        library: u32,
        /// Its text, without the first line.
        text: Vec<u8>,
    },
    /// Forget the library of this number.
    Forget(u32),
    /// Run a script that was compiled.
    Run(Box<Run>),
    /// The reply to a command.
    Replied(Box<Call>),
    /// Whether a command is permitted.
    Permitted(bool),
    /// What was asked for cannot be.
    Refused(String),
    /// How long the script has run.
    Time(Micros),
    /// Go on.
    GoOn,
    /// Go on, and pause again after so many instructions.
    GoOnFor(u32),
    /// End the script with this error.
    End(String),
    /// Come to an end.
    Leave,
}

/// A function of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FunctionId {
    /// The number of the library.
    pub(crate) library: u32,
    /// In the order in which the library has registered them.
    pub(crate) index: u32,
}

/// A run of a script or a function.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// The number of the script.
    pub(crate) script: ScriptId,
    /// The function that is run instead.
    pub(crate) function: Option<FunctionId>,
    /// Its keys and its arguments, in one list.
    pub(crate) words: Words,
    /// How many of the words are keys.
    pub(crate) keys: usize,
    /// Instructions up to the first pause.
    pub(crate) interval: u32,
    /// The protocol of the client that gets the reply, and the reply.
    pub(crate) reply: Reply,
    /// What went wrong instead, and where in the script.
    pub(crate) error: Option<Problem>,
    /// It ended with the error of a command, which was counted then.
    pub(crate) is_counted: bool,
    /// Errors inside of the reply.
    pub(crate) inner_errors: InnerErrors,
}

/// An error that ended a script.
#[derive(Debug)]
pub(crate) struct Problem {
    /// What it says.
    pub(crate) text: Vec<u8>,
    /// The name of the code and the line in it.
    pub(crate) place: Option<(String, i64)>,
}

/// A command that a script calls.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// The command.
    pub(crate) words: Words,
    /// The protocol that the script has chosen, and the reply.
    pub(crate) reply: Reply,
    /// Who may know of what it changes (`redis.set_repl`).
    pub(crate) readers: Readers,
}

impl Call {
    /// Bytes of the command and of its reply.
    pub(crate) fn bytes(&self) -> usize {
        self.words.len_bytes() + self.reply.out.len()
    }
}

/// What the interpreter asks.
#[derive(Debug)]
pub(crate) enum Ask {
    /// For something to do.
    Job,
    /// For something to do: a script was compiled, or could not be.
    Compiled(Result<(), String>),
    /// For something to do: a library was loaded, or could not be.
    Loaded(Result<Vec<Registered>, String>),
    /// For the reply to a command.
    Call(Box<Call>),
    /// Whether the script's user may run a command.
    Permits(Words),
    /// To write a line to the log: its level and the text.
    Log(i64, Vec<u8>),
    /// How long the script has run, up to the present step.
    Clock,
    /// Whether to go on: the script has run for a while.
    Pause,
    /// For something to do: the script has ended, with a reply or an error.
    Ended(Box<Run>),
}

/// The stack of an interpreter and what is on it.
pub(crate) struct Fiber {
    coroutine: Coroutine<Tell, Ask, ()>,
}

/// The other side of the fiber.
pub(super) type Line = Yielder<Tell, Ask>;

impl Fiber {
    /// A new interpreter, whose scripts may take so many bytes of memory.
    pub(crate) fn new(memory_bytes_max: usize) -> Self {
        let stack = DefaultStack::new(STACK_BYTES).expect("there is address space for a stack");
        let coroutine = Coroutine::with_stack(stack, move |line: &Line, first: Tell| {
            debug_assert!(matches!(first, Tell::GoOn), "it begins by asking for a job");
            interpreter::live(line, memory_bytes_max);
        });
        let mut fiber = Self { coroutine };
        let ready = fiber.tell(Tell::GoOn);
        debug_assert!(matches!(ready, Ask::Job), "a new interpreter waits for a job");
        fiber
    }

    /// Answers the interpreter's question; returns its next one.
    pub(crate) fn tell(&mut self, tell: Tell) -> Ask {
        match self.coroutine.resume(tell) {
            CoroutineResult::Yield(ask) => ask,
            CoroutineResult::Return(()) => unreachable!("it only ends when it is told to"),
        }
    }
}

impl core::fmt::Debug for Fiber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Fiber").finish_non_exhaustive()
    }
}

impl Drop for Fiber {
    fn drop(&mut self) {
        // A script that is in the middle of something is ended first: it is killed until it asks
        // for another job, which it does soon, whatever it catches.
        let mut tell = Tell::Leave;
        while !self.coroutine.done() {
            match self.coroutine.resume(tell) {
                CoroutineResult::Return(()) => return,
                CoroutineResult::Yield(
                    Ask::Job | Ask::Compiled(_) | Ask::Loaded(_) | Ask::Ended(_),
                ) => {
                    tell = Tell::Leave;
                }
                CoroutineResult::Yield(_) => tell = Tell::End("ERR the server ends".into()),
            }
        }
    }
}

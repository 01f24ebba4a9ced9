//! A script that runs, with what it needs to go on in a later step.

use super::fiber::{Ask, FunctionId};
use super::known::ScriptId;
use super::pace::Pace;
use super::promises::Promises;
use super::stage::Stage;
use crate::args::Words;
use crate::error::Error;
use crate::input::ConnId;
use crate::session::Rest;
use crate::state::State;
use crate::time::Instant;

/// What runs.
#[derive(Debug)]
pub(crate) enum Program {
    /// A script.
    Script(ScriptId),
    /// A function of a library.
    Function(Box<Called>),
}

/// A function that was called.
#[derive(Debug)]
pub(crate) struct Called {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) id: FunctionId,
    /// The command.
    pub(crate) words: Words,
}

impl Program {
    /// The function that is run, if it is one.
    pub(crate) fn function(&self) -> Option<&Called> {
        match self {
            Self::Script(_) => None,
            Self::Function(called) => Some(called),
        }
    }

    /// What others are told while it runs.
    pub(crate) fn busy(&self) -> Error {
        Error::fixed(match self {
            Self::Script(_) => {
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
                 NOSAVE."
            }
            Self::Function(_) => {
                "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
                 NOSAVE."
            }
        })
    }
}

/// A script that runs, between two steps too.
#[derive(Debug)]
pub struct Running {
    /// Who gets the reply.
    pub(crate) caller: ConnId,
    /// The number of the row of the command that runs it.
    pub(crate) row: usize,
    /// What runs.
    pub(crate) program: Program,
    /// Whether the commands that it calls must not write.
    pub(crate) only_reads: bool,
    /// Whether it has called a command that writes.
    pub(crate) has_written: bool,
    /// What it promised.
    pub(crate) promises: Promises,
    /// How much was logged before it began.
    pub(crate) log_mark: usize,
    /// It was stopped from outside: what it has written is undone.
    pub(crate) is_stopped: bool,
    /// When it began.
    pub(crate) since: Instant,
    /// What it runs on.
    pub(crate) stage: Box<Stage>,
    /// What the interpreter asked before the step ended.
    pub(crate) pending: Option<Ask>,
    /// Ends the script with this error at its next pause.
    pub(crate) ending: Option<String>,
    /// How much of it one step runs.
    pub(crate) pace: Pace,
    /// The present step has run as much, and the time that it takes says something.
    pub(crate) had_its_share: bool,
    /// What is left of the transaction that it is part of.
    pub(crate) rest: Option<Box<Rest>>,
}

impl State {
    /// The stage of what ran is there for the next one.
    pub(crate) fn put_back_stage(&mut self, program: &Program, stage: Box<Stage>) {
        match program {
            Program::Script(_) => self.scripts.put_back(stage),
            Program::Function(_) => self.libraries.put_back(stage),
        }
    }
}

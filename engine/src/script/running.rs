//! A script that runs, with what it needs to go on in a later step.

use super::fiber::Ask;
use super::known::ScriptId;
use super::promises::Promises;
use super::stage::Stage;
use crate::input::ConnId;
use crate::session::Rest;
use crate::time::Instant;

/// A script that runs, between two steps too.
#[derive(Debug)]
pub struct Running {
    /// Who gets the reply.
    pub(crate) caller: ConnId,
    /// The script.
    pub(crate) script: ScriptId,
    /// Whether the commands that it calls must not write.
    pub(crate) only_reads: bool,
    /// Whether it has called a command that writes.
    pub(crate) has_written: bool,
    /// What it promised.
    pub(crate) promises: Promises,
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
    /// What is left of the transaction that it is part of.
    pub(crate) rest: Option<Box<Rest>>,
}

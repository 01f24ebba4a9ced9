//! What the engine asks of its driver: plain values, pushed into a reused sink.
//!
//! Effects are complete when `step` returns. Effects on one target are in order; across targets a
//! driver may carry them out in any order.

use crate::disk::DiskOrder;
use crate::input::ConnId;
use crate::stopwatch::Stopwatch;
use crate::time::Micros;

/// One thing that the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// There is output for this connection: call `take_output` and write it.
    Flush(ConnId),
    /// Write what `take_output` gives, then close the connection and say `Closed`.
    Close(ConnId),
    /// Close the connection now, whatever is unwritten, and say `Closed`: its peer may never read.
    Abort(ConnId),
    /// Whole commands are left in the input: hand the same bytes in again, after others had a turn.
    Resume(ConnId),
    /// Stop reading from this connection until [`Effect::Resume`].
    Pause(ConnId),
    /// Let this much time pass before the next step (DEBUG SLEEP).
    Stall(Micros),
    /// Write this text to the configuration file and answer [`crate::Outcome::ConfigRewritten`].
    RewriteConfig {
        /// Who asked.
        conn: ConnId,
        /// The directives that may differ from the file, as (name, value words) in order.
        parameters: Vec<(String, String)>,
        /// Whether the file is to name every parameter, not only what was changed.
        everything: bool,
    },
    /// Read the file of users (`aclfile`) and answer [`crate::Outcome::UsersRead`].
    ReadUsers {
        /// Who asked.
        conn: ConnId,
    },
    /// Replace the file of users (`aclfile`) and answer [`crate::Outcome::UsersWritten`].
    WriteUsers {
        /// Who asked.
        conn: ConnId,
        /// What the file is to hold.
        text: Vec<u8>,
    },
    /// A setting that the driver owns has changed (bind, port, log level...): read it from
    /// `Engine::config` and carry it out, then answer [`crate::Outcome::ConfigApplied`].
    ApplyConfig {
        /// Who asked.
        conn: ConnId,
        /// The names of the parameters that changed.
        names: Vec<&'static str>,
    },
    /// Carry these operations on files out and answer [`crate::Input::Disk`].
    Disk(DiskOrder),
    /// What was on disk is loaded: the server can be announced as ready.
    Ready,
    /// A line for the server's log.
    Log(LogLevel, String),
    /// Finish: write out what is left, close everything, end the process with this exit code.
    Shutdown {
        /// The process's exit code.
        exit_code: i32,
    },
}

/// How important a log line is; the names are Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// Chatty.
    Verbose,
    /// What an operator wants to see.
    Notice,
    /// Something is wrong.
    Warning,
}

/// The sink that `step` pushes into. The driver drains it and hands it in again.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    /// What the engine measures commands with; none by default.
    pub stopwatch: Stopwatch,
    /// How much time effects have asked to pass so far.
    stalled: Micros,
}

impl Effects {
    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one effect.
    pub fn push(&mut self, effect: Effect) {
        if let Effect::Stall(span) = effect {
            self.stalled = Micros(self.stalled.0.saturating_add(span.0));
        }
        self.list.push(effect);
    }

    /// How much time has been asked to pass, over the life of the sink.
    #[inline]
    pub(crate) fn stalled(&self) -> Micros {
        self.stalled
    }

    /// Takes everything out, in order, and keeps the capacity.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect> + '_ {
        self.list.drain(..)
    }

    /// Takes those out that `wanted` wants, in order; the others stay.
    pub(crate) fn take_if(&mut self, wanted: impl FnMut(&Effect) -> bool) -> Vec<Effect> {
        let mut wanted = wanted;
        self.list.extract_if(.., |effect| wanted(effect)).collect()
    }

    /// What is in the sink now.
    pub fn as_slice(&self) -> &[Effect] {
        &self.list
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

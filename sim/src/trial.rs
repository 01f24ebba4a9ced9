//! One run and everything that is said about it: the verdict, and why.
//!
//! Invariant: a trial is fine only if something happened: operations were answered, and every kind
//! of fault that was asked for struck.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::fault::FaultKind;
use crate::judge::{Judged, Loss, Wrong, judge};
use crate::setup::Setup;
use crate::world::{self, Outcome, Watch};

/// What is wrong with a run.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A history is not linearizable.
    Violation {
        /// Of which server.
        server: u16,
        /// In words; empty if no explanation was asked for.
        why: String,
    },
    /// A queue or a stream was not what it should be.
    NotKept {
        /// Of which server.
        server: u16,
        /// In words.
        why: String,
    },
    /// A server did not begin with files that nobody had harmed, or ended itself.
    Refused {
        /// Which.
        server: u16,
        /// What it said.
        why: String,
    },
    /// Clients got no answers after all faults were over.
    Starved(Vec<String>),
    /// No operation was answered during the run.
    NothingHappened,
    /// A kind of fault that was asked for never struck.
    NeverFired(FaultKind),
    /// The checker could not tell.
    Unknown {
        /// Of which server.
        server: u16,
        /// Why not.
        why: String,
    },
}

/// A run and its verdict.
#[derive(Debug)]
pub struct Trial {
    /// What happened.
    pub outcome: Outcome,
    /// What the histories say, by server.
    pub judged: Vec<Judged>,
    /// What is wrong, most serious first; empty: nothing.
    pub faults: Vec<Fault>,
    /// CPU time of this thread in the world.
    pub world_time: Duration,
    /// CPU time of this thread in judging.
    pub judge_time: Duration,
}

impl Trial {
    /// Whether something is wrong; an unknown verdict is not.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.faults.iter().any(|fault| !matches!(fault, Fault::Unknown { .. }))
    }

    /// Whether servers died, and whether clients saw that their data was gone.
    #[must_use]
    pub fn loss(&self) -> Loss {
        let any = |loss| self.judged.iter().any(|judged| judged.loss == loss);
        match (any(Loss::Seen), any(Loss::Unseen)) {
            (true, _) => Loss::Seen,
            (false, true) => Loss::Unseen,
            (false, false) => Loss::None,
        }
    }

    /// After how many deaths clients saw that something was there again.
    #[must_use]
    pub fn recovered(&self) -> usize {
        self.judged.iter().map(|judged| judged.recovered).sum()
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Violation { server, why } => {
                write!(f, "the history of server {server} is not linearizable")?;
                if why.is_empty() { Ok(()) } else { write!(f, "\n{}", why.trim_end()) }
            }
            Self::NotKept { server, why } => write!(f, "server {server}: {why}"),
            Self::Refused { server, why } => write!(f, "server {server} ended itself: {why}"),
            Self::Starved(clients) => {
                write!(f, "no answer after the faults were over: {}", clients.join("; "))
            }
            Self::NothingHappened => f.write_str("nothing happened: no operation was answered"),
            Self::NeverFired(kind) => write!(f, "the fault {kind} never struck"),
            Self::Unknown { server, why } => write!(f, "server {server}: unknown: {why}"),
        }
    }
}

/// The CPU time that this thread has had: a speed should not depend on what else a machine does.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Runs and judges.
#[must_use]
pub fn trial(setup: &Setup, watch: &mut Watch, explain: bool) -> Trial {
    let start = cpu_time();
    let outcome = world::run(setup, watch);
    let ran = cpu_time();
    let judged = judge(setup, &outcome, explain);
    let (world_time, judge_time) = (ran - start, cpu_time() - ran);
    let faults = faults(setup, &outcome, &judged);
    Trial { outcome, judged, faults, world_time, judge_time }
}

/// What is wrong with a run that was judged.
#[must_use]
pub fn faults(setup: &Setup, outcome: &Outcome, judged: &[Judged]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut unknown = Vec::new();
    for Judged { server, wrong, .. } in judged {
        match wrong {
            None => {}
            Some(Wrong::NotLinearizable(why)) => {
                let why = why.as_ref().map_or_else(String::new, ToString::to_string);
                faults.push(Fault::Violation { server: *server, why });
            }
            Some(Wrong::NotKept(why)) => {
                faults.push(Fault::NotKept { server: *server, why: why.clone() });
            }
            Some(Wrong::Unknown(reason)) => {
                unknown.push(Fault::Unknown { server: *server, why: reason.to_string() });
            }
        }
    }
    for (server, why) in &outcome.overfull {
        faults.push(Fault::NotKept { server: *server, why: why.clone() });
    }
    for (server, why) in &outcome.files.refused {
        faults.push(Fault::Refused { server: *server, why: why.clone() });
    }
    if !outcome.starved.is_empty() {
        faults.push(Fault::Starved(outcome.starved.clone()));
    }
    let safety_ns = setup.stage().safety_ns;
    if !outcome.journal.ops.iter().any(|op| op.return_ns < safety_ns) {
        faults.push(Fault::NothingHappened);
    }
    // With a plan of the user's own, or a part of one, whatever is in it counts.
    let plan = setup.plan();
    let planned = |kind: FaultKind| plan.faults.iter().any(|planned| planned.fault.kind == kind);
    let expected = |kind: &FaultKind| match (&setup.plan, setup.without.is_empty()) {
        (None, true) => setup.faults.contains(kind),
        _ => planned(*kind),
    };
    let silent = FaultKind::ALL.into_iter().filter(expected);
    // While no client has a connection to any server, none can be broken.
    let silent = silent
        .filter(|kind| outcome.fired[kind.index()] == 0 && !outcome.struck_nobody[kind.index()]);
    faults.extend(silent.map(Fault::NeverFired));
    faults.extend(unknown);
    faults
}

/// The first place at which two logs differ, if they do.
#[must_use]
pub fn first_difference(one: &[u64], other: &[u64]) -> Option<usize> {
    let common = one.iter().zip(other).position(|(a, b)| a != b);
    common.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found() {
        assert_eq!(first_difference(&[1, 2, 3], &[1, 2, 3]), None);
        assert_eq!(first_difference(&[1, 2, 3], &[1, 5, 3]), Some(1));
        assert_eq!(first_difference(&[1, 2], &[1, 2, 3]), Some(2));
    }
}

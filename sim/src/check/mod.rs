//! The linearizability checker.
//!
//! [`check`] splits a history into independent partitions, judges each (in parallel when there is
//! enough to do) and stops at the first that is not linearizable. The answer has three values and
//! is honest: `Unknown` always says why, and a history that some server with the reported clock
//! error can produce is never called illegal.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::Serialize;

use crate::history::History;
use crate::model::redis::Vanishing;

mod bits;
mod clock_error;
pub mod elle;
mod explain;
pub mod groups;
mod judge;
mod lookahead;
pub mod messages;
mod partition;
mod plan;
pub mod queues;
pub mod recovery;
mod search;
mod states;
mod visited;

pub use clock_error::ClockError;
pub use explain::Counterexample;
pub use states::StateTable;

use judge::Judgement;
use partition::{Partition, partition};
use search::Limits;

/// How to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Judge keys together even if no operation joins them.
    pub no_partition: bool,
    /// When to give up.
    pub timeout: Option<Duration>,
    /// Bytes to use for the search, all partitions together.
    pub memory_bytes: usize,
    /// The greatest clock error to consider for keys with time to live.
    pub max_clock_error_ms: u64,
    /// The tick of key time: a millisecond for Redis.
    pub clock_resolution_us: u32,
    /// Which Redis keys may be gone at any time.
    pub vanishing: Vanishing,
    /// How the names of keys begin that are never gone of themselves.
    pub lasting: Vec<String>,
    /// Explain a violation. Costs a second search and up to [`Options::explain_time`].
    pub explain: bool,
    /// The longest time to spend on making a counterexample small.
    pub explain_time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            no_partition: false,
            timeout: None,
            memory_bytes: 2 << 30,
            max_clock_error_ms: 60_000,
            clock_resolution_us: 1_000,
            vanishing: Vanishing::Never,
            lasting: Vec::new(),
            explain: true,
            explain_time: Duration::from_secs(3),
        }
    }
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReason {
    /// The timeout passed.
    Deadline,
    /// The memory limit was reached, level by level too.
    Memory,
    /// More operations are open at once than a search node has room for.
    TooConcurrent,
    /// A budget of nodes was used up.
    Nodes,
    /// Another partition had already failed.
    Cancelled,
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deadline => "the time limit was reached",
            Self::Memory => "the memory limit was reached",
            Self::TooConcurrent => "too many operations on one object are open at the same time",
            Self::Nodes => "the search budget was used up",
            Self::Cancelled => "the search was cancelled",
        })
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is a linearization, if the server's clock erred as stated.
    Linearizable(ClockError),
    /// There is none within the greatest clock error; explained if that was asked for.
    NotLinearizable(Option<Box<Counterexample>>),
    /// It could not be told.
    Unknown(UnknownReason),
}

/// The answer and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// Operations in the history.
    pub operations: usize,
    /// Objects that were judged apart.
    pub partitions: usize,
}

/// Up to this many operations, starting threads costs more than it gains.
const OPERATIONS_FOR_THREADS: usize = 4_096;
/// What one thread may spend on each partition, round after round, before the partitions are
/// shared out: most are easy, and one easy illegal partition settles the matter.
const NODES_BEFORE_THREADS: [u64; 2] = [1_000, 16_000];

/// Judges a history.
#[must_use]
pub fn check(history: &History, options: &Options) -> Report {
    let partitions = partition(history, options.no_partition);
    let cancelled = AtomicBool::new(false);
    let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let limits = Limits {
        deadline,
        memory_bytes: options.memory_bytes,
        nodes: u64::MAX,
        cancelled: &cancelled,
    };
    let judgements = judge_all(history, &partitions, options, limits);
    let mut clock_error = ClockError::default();
    let mut unknown = None;
    let mut illegal = None;
    for (judgement, partition) in judgements.into_iter().zip(&partitions) {
        match judgement {
            Judgement::Linearizable(error) => clock_error = clock_error.and(error),
            Judgement::NotLinearizable => illegal = illegal.or(Some(partition)),
            // The cancelled ones do not matter: something was illegal.
            Judgement::Unknown(reason) => unknown = unknown.or(Some(reason)),
        }
    }
    let verdict = match (illegal, unknown) {
        (Some(partition), _) => Verdict::NotLinearizable(if options.explain {
            let cancelled = AtomicBool::new(false);
            let limits = Limits { cancelled: &cancelled, ..limits };
            explain::explain(history, partition, options, limits).map(Box::new)
        } else {
            None
        }),
        (None, Some(reason)) => Verdict::Unknown(reason),
        (None, None) => Verdict::Linearizable(clock_error),
    };
    Report { verdict, operations: history.operations.len(), partitions: partitions.len() }
}

/// Judges the partitions, in their order as far as that goes; a prefix of the result is enough
/// once one of them is illegal.
fn judge_all(
    history: &History,
    partitions: &[Partition<'_>],
    options: &Options,
    limits: Limits<'_>,
) -> Vec<Judgement> {
    let judge = |partition: &Partition<'_>, limits: Limits<'_>| {
        let judgement = judge::judge(history, partition, options, limits);
        if judgement == Judgement::NotLinearizable {
            limits.cancelled.store(true, Ordering::Relaxed);
        }
        judgement
    };
    let operations: usize = partitions.iter().map(|partition| partition.operations.len()).sum();
    let not_yet = Judgement::Unknown(UnknownReason::Nodes);
    let mut judgements = vec![not_yet; partitions.len()];
    if let [partition] = partitions {
        return vec![judge(partition, limits)];
    }
    if operations <= OPERATIONS_FOR_THREADS {
        for nodes in NODES_BEFORE_THREADS {
            for (judgement, partition) in judgements.iter_mut().zip(partitions) {
                if *judgement == not_yet {
                    *judgement = judge(partition, Limits { nodes, ..limits });
                }
                if *judgement == Judgement::NotLinearizable {
                    return judgements;
                }
            }
        }
    }
    // A queue rather than rayon's splitting in halves keeps "biggest first" true.
    let open: Vec<usize> =
        (0..partitions.len()).filter(|&index| judgements[index] == not_yet).collect();
    let threads = rayon::current_num_threads().min(open.len()).max(1);
    let limits = Limits { memory_bytes: options.memory_bytes / threads, ..limits };
    let next = AtomicUsize::new(0);
    let done: Vec<(usize, Judgement)> = (0..threads)
        .into_par_iter()
        .flat_map_iter(|_| {
            std::iter::from_fn(|| {
                let index = *open.get(next.fetch_add(1, Ordering::Relaxed))?;
                let stop = limits.cancelled.load(Ordering::Relaxed);
                (!stop).then(|| (index, judge(&partitions[index], limits)))
            })
        })
        .collect();
    for (index, judgement) in done {
        judgements[index] = judgement;
    }
    judgements
}

//! Many runs with configurations drawn from consecutive seeds, until time is up.
//!
//! Invariant: whatever a swarm reports, the command beside it repeats.

use std::cell::RefCell;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orrery_engine::planted::PlantedBug;

use crate::fault::FaultKind;
use crate::journal::Seen;
use crate::judge::Loss;
use crate::model::redis::Vanishing;
use crate::setup::{Keeping, Memory, Setup};
use crate::trial::{Fault, trial};
use crate::world::{self, Figures, Watch};

/// Reports that are kept; more are only counted.
const REPORTS_MAX: usize = 100;
/// So many runs with deaths must show at least one loss, or the judge is blind.
const DEATHS_TO_SEE_LOSS: u64 = 20;
/// So many runs with disks must show that a server has its data again after a death.
const DISKS_TO_SEE_RECOVERY: u64 = 20;
/// So many runs with little memory must evict something.
const RUNS_TO_SEE_EVICTION: u64 = 40;

/// What a swarm does.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// How long.
    pub time: Duration,
    /// At most so many seeds; 0: no limit.
    pub seeds_max: u64,
    /// On how many threads.
    pub jobs: usize,
    /// The first seed.
    pub first_seed: u64,
    /// Give every server this bug, and stop when it is found.
    pub planted: Option<PlantedBug>,
    /// One run of this many is made twice, to compare digests; 0: none.
    pub twice_one_in: u64,
    /// Run this world with each seed, instead of drawing worlds.
    pub fixed: Option<Setup>,
}

/// Something to report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where it happened.
    pub seed: u64,
    /// In words.
    pub what: String,
    /// The command that repeats it.
    pub command: String,
}

/// What a swarm found.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// The first seed.
    pub first_seed: u64,
    /// Threads.
    pub jobs: usize,
    /// Real time.
    pub elapsed: Duration,
    /// Runs.
    pub seeds: u64,
    /// Events of all runs.
    pub events: u64,
    /// Simulated time of all runs.
    pub simulated_ns: u64,
    /// CPU time in worlds, all threads together.
    pub world_time: Duration,
    /// CPU time of judging, all threads together.
    pub judge_time: Duration,
    /// Answered operations.
    pub answered: u64,
    /// Operations with unknown outcome.
    pub unknown_operations: u64,
    /// Operations that were refused because memory was full or a script ran.
    pub refused: u64,
    /// Keys evicted, and in how many runs.
    pub evicted: (u64, u64),
    /// Runs whose servers had little memory and might evict.
    pub runs_with_little_memory: u64,
    /// Steps in which a script ran and did not end.
    pub script_steps: u64,
    /// Looks at clients' own copies.
    pub recalls: u64,
    /// By kind of fault: how often it struck, and in how many runs.
    pub fired: [(u64, u64); FaultKind::ALL.len()],
    /// Runs in which a server died that had data.
    pub runs_with_deaths: u64,
    /// Runs in which clients saw that data was gone.
    pub runs_with_seen_loss: u64,
    /// Runs whose servers had disks.
    pub runs_with_disks: u64,
    /// What those did.
    pub disks: Figures,
    /// Deaths after which clients saw that data was there again.
    pub recovered: u64,
    /// Disks that had to be emptied, since they had changed what was safe.
    pub emptied: u64,
    /// Runs that failed.
    pub failures: u64,
    /// Runs whose second digest was another.
    pub differences: u64,
    /// Runs made twice.
    pub twice: u64,
    /// Runs that could not be judged.
    pub unknown_verdicts: u64,
    /// The failures, differences and unknowns, by seed.
    pub reports: Vec<Report>,
}

impl Totals {
    /// Whether anything is wrong.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failures > 0 || self.differences > 0
    }
}

/// What the threads share.
struct Progress<'a> {
    swarm: &'a Swarm,
    start: Instant,
    next_seed: AtomicU64,
    stop: AtomicBool,
    totals: Mutex<Totals>,
    tell: &'a (dyn Fn(&Totals) + Sync),
}

thread_local! {
    /// The command that repeats what this thread is doing.
    static COMMAND: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A panic in a world is a finding like any other: it is told with the command that repeats it.
/// Where panics abort, the process ends with the status of a failure; elsewhere the swarm goes on.
fn tell_panics() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        previous(info);
        COMMAND
            .with_borrow(|command| eprintln!("orrery-sim: a panic; repeat it with\n  {command}"));
        if cfg!(panic = "abort") {
            std::process::exit(1);
        }
    }));
}

/// Runs the swarm; `tell` hears of every finished run.
#[must_use]
pub fn swarm(swarm: &Swarm, tell: &(dyn Fn(&Totals) + Sync)) -> Totals {
    let totals = Totals { first_seed: swarm.first_seed, jobs: swarm.jobs, ..Totals::default() };
    let progress = Progress {
        swarm,
        start: Instant::now(),
        next_seed: AtomicU64::new(swarm.first_seed),
        stop: AtomicBool::new(false),
        totals: Mutex::new(totals),
        tell,
    };
    tell_panics();
    std::thread::scope(|scope| {
        for _ in 0..swarm.jobs {
            scope.spawn(|| work(&progress));
        }
    });
    let mut totals = progress.totals.into_inner().unwrap_or_else(|poison| poison.into_inner());
    totals.elapsed = progress.start.elapsed();
    totals.reports.sort_by_key(|report| report.seed);
    tell_blindness(&mut totals, swarm);
    totals
}

/// What should have happened by now and did not is a failure: nobody would see it if it were wrong.
fn tell_blindness(totals: &mut Totals, swarm: &Swarm) {
    let blind = [
        (
            totals.runs_with_deaths >= DEATHS_TO_SEE_LOSS && totals.runs_with_seen_loss == 0,
            "servers died with their data and no history shows it",
        ),
        (
            totals.runs_with_little_memory >= RUNS_TO_SEE_EVICTION && totals.evicted.0 == 0,
            "memory was little and no key was evicted",
        ),
        (
            totals.runs_with_disks >= DISKS_TO_SEE_RECOVERY && totals.recovered == 0,
            "servers kept files and none had its data again after a death",
        ),
    ];
    for (_, what) in blind.into_iter().filter(|(is_so, _)| *is_so && swarm.planted.is_none()) {
        totals.failures += 1;
        totals.reports.push(Report {
            seed: swarm.first_seed,
            what: what.to_owned(),
            command: String::new(),
        });
    }
}

fn work(progress: &Progress<'_>) {
    // The checker's own threads would get in the way of the other jobs.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    let run = || {
        while !progress.stop.load(Ordering::Relaxed)
            && progress.start.elapsed() < progress.swarm.time
        {
            let seed = progress.next_seed.fetch_add(1, Ordering::Relaxed);
            let done = seed.wrapping_sub(progress.swarm.first_seed);
            if progress.swarm.seeds_max > 0 && done >= progress.swarm.seeds_max {
                break;
            }
            one(progress, seed);
        }
    };
    match pool {
        Ok(pool) => pool.install(run),
        // Without a pool of its own, the common one serves.
        Err(_) => run(),
    }
}

fn one(progress: &Progress<'_>, seed: u64) {
    let swarm = progress.swarm;
    let drawn = match &swarm.fixed {
        Some(setup) => Setup { seed, ..setup.clone() },
        None => Setup::drawn(seed),
    };
    let setup = Setup { planted: swarm.planted, ..drawn };
    let command = setup.command_line();
    COMMAND.set(command.clone());
    let attempt = panic::catch_unwind(|| {
        let result = trial(&setup, &mut Watch::default(), false);
        let again = (swarm.twice_one_in > 0 && seed.is_multiple_of(swarm.twice_one_in))
            .then(|| world::run(&setup, &mut Watch::default()).digest);
        (result, again)
    });
    let mut totals = progress.totals.lock().unwrap_or_else(|poison| poison.into_inner());
    totals.seeds += 1;
    match attempt {
        Err(_) => {
            totals.failures += 1;
            report(&mut totals, seed, "a panic, printed above".to_owned(), &command);
        }
        Ok((result, again)) => {
            let keeps = setup.keeping != Keeping::Nothing;
            add(&mut totals, &result, keeps);
            totals.runs_with_disks += u64::from(keeps);
            let vanishing = setup.memory.map(Memory::vanishing).unwrap_or_default();
            totals.runs_with_little_memory += u64::from(vanishing != Vanishing::Never);
            for fault in &result.faults {
                report(&mut totals, seed, fault.to_string(), &command);
            }
            totals.failures += u64::from(result.failed());
            if let Some(digest) = again {
                totals.twice += 1;
                if digest != result.outcome.digest {
                    totals.differences += 1;
                    let what = "two runs of this seed differ".to_owned();
                    report(&mut totals, seed, what, &format!("{command} --twice"));
                }
            }
            let is_violation =
                |fault: &Fault| matches!(fault, Fault::Violation { .. } | Fault::NotKept { .. });
            let found = result.faults.iter().any(is_violation);
            if swarm.planted.is_some() && found {
                progress.stop.store(true, Ordering::Relaxed);
            }
        }
    }
    totals.elapsed = progress.start.elapsed();
    (progress.tell)(&totals);
}

fn report(totals: &mut Totals, seed: u64, what: String, command: &str) {
    if totals.reports.len() < REPORTS_MAX {
        totals.reports.push(Report { seed, what, command: command.to_owned() });
    }
}

fn add(totals: &mut Totals, result: &crate::trial::Trial, keeps: bool) {
    let outcome = &result.outcome;
    totals.events += outcome.events;
    totals.simulated_ns += outcome.simulated_ns;
    totals.world_time += result.world_time;
    totals.judge_time += result.judge_time;
    totals.answered += outcome.journal.answered;
    totals.unknown_operations += outcome.journal.unknown;
    let refused = outcome.journal.ops.iter().filter(|op| matches!(op.seen, Seen::Refused(_)));
    totals.refused += refused.count() as u64;
    totals.evicted.0 += outcome.effects.evicted;
    totals.evicted.1 += u64::from(outcome.effects.evicted > 0);
    totals.script_steps += outcome.effects.script_steps;
    totals.disks = totals.disks.and(outcome.files.figures);
    totals.recovered += result.recovered() as u64;
    totals.emptied += outcome.files.emptied.len() as u64;
    totals.recalls += outcome.journal.recalls.len() as u64;
    for (sum, &fired) in totals.fired.iter_mut().zip(&outcome.fired) {
        sum.0 += u64::from(fired);
        sum.1 += u64::from(fired > 0);
    }
    let may_lose = !keeps && outcome.deaths.iter().any(|death| death.keys > 0);
    totals.runs_with_deaths += u64::from(may_lose);
    totals.runs_with_seen_loss += u64::from(result.loss() == Loss::Seen);
    let unknown = result.faults.iter().any(|fault| matches!(fault, Fault::Unknown { .. }));
    totals.unknown_verdicts += u64::from(unknown);
}

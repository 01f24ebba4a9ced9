//! Carries out planned faults on a real process.
//!
//! Invariants: one fault at a time, since they share a process; when [`run`] returns, the server
//! runs and is not stopped; every answer of a killed process was decided before the time of its
//! death, every answer of the next one after.

use std::io;
use std::time::Duration;

use orrery_sim::fault::FaultKind;
use orrery_sim::plan::Plan;
use tokio::time::sleep;

use crate::process::Process;
use crate::run::Clock;

/// The faults that need no more than a signal.
pub const FAULTS: [FaultKind; 2] = [FaultKind::Kill, FaultKind::Pause];

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Deeds {
    pub(crate) fired: [u32; FaultKind::ALL.len()],
    /// When the server's memory was gone, in nanoseconds since the run began.
    pub(crate) deaths_ns: Vec<u64>,
}

/// Carries out the plan.
///
/// # Errors
/// When the server ended by itself, cannot be handled or does not start again.
pub(crate) async fn run(process: &mut Process, plan: &Plan, clock: Clock) -> io::Result<Deeds> {
    let mut deeds = Deeds::default();
    for planned in &plan.faults {
        sleep(Duration::from_nanos(planned.at_ns.saturating_sub(clock.now_ns()))).await;
        if let Some(status) = process.ended() {
            return Err(io::Error::other(format!("the server ended by itself: {status}")));
        }
        let lasts = Duration::from_nanos(planned.lasts_ns);
        match planned.fault.kind {
            FaultKind::Kill => {
                process.kill()?;
                deeds.deaths_ns.push(clock.now_ns());
                sleep(lasts).await;
                process.restart()?;
            }
            FaultKind::Pause => {
                process.pause()?;
                sleep(lasts).await;
                process.resume()?;
            }
            other => return Err(io::Error::other(format!("{other} is not for real processes"))),
        }
        deeds.fired[planned.fault.kind.index()] += 1;
    }
    Ok(deeds)
}

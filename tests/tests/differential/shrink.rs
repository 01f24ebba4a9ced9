//! Makes a failing run short: leaves steps out as long as it still fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use orrery_tests::real_redis::RealRedis;

use super::pair::{Difference, Pair};
use super::steps::{Step, perform};

/// How the difference begins if ours has panicked.
const PANIC: &str = "a panic";
/// Longest that a run may be shortened.
const SHRINK_TIME: Duration = Duration::from_secs(60);

/// Performs all steps on new servers. Fails with the number of the step and the difference.
pub(crate) fn run(real: &RealRedis, seed: u64, steps: &[Step]) -> Result<(), (usize, Difference)> {
    let mut pair = Pair::new(real, seed);
    for (index, step) in steps.iter().enumerate() {
        let done = catch_unwind(AssertUnwindSafe(|| perform(&mut pair, step)));
        let result = done.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("{PANIC}: {}", text.unwrap_or_default()))
        });
        result.map_err(|difference| (index, difference))?;
    }
    Ok(())
}

/// The fewest steps found that fail, and how they do.
pub(crate) fn shrink(real: &RealRedis, seed: u64, steps: &[Step]) -> (Vec<Step>, Difference) {
    let Err((last, mut difference)) = run(real, seed, steps) else {
        return (steps.to_vec(), "it does not fail again".to_owned());
    };
    let end = Instant::now() + SHRINK_TIME;
    let mut steps = steps[..=last].to_vec();
    let mut chunk = steps.len().div_ceil(2);
    while Instant::now() < end {
        let mut from = 0;
        let before = steps.len();
        while from < steps.len() && Instant::now() < end {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + chunk).min(steps.len()));
            match run(real, seed, &fewer) {
                // A panic must not give way to a mere difference.
                Err((last, why)) if !difference.starts_with(PANIC) || why.starts_with(PANIC) => {
                    fewer.truncate(last + 1);
                    (steps, difference) = (fewer, why);
                }
                _ => from += chunk,
            }
        }
        if chunk == 1 && steps.len() == before {
            break;
        }
        chunk = (chunk / 2).max(1);
    }
    (steps, difference)
}

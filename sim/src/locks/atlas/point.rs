//! A point of the atlas: one algorithm, one set of values, many acquisitions.
//!
//! Invariant: a point's figures are whole numbers, so that a table of them is exact.

use super::super::algorithm::Algorithm;
use super::super::judge::{Figures, Invariant};
use super::super::lab::Servers;
use super::parameters::Values;
use super::statistics::{Interval, jain_per_mille, per_million, quantile};
use super::world::world;

/// Acquisitions of one world.
const WORLD_GRANTS: u64 = 1000;

/// Seeds of worlds are below this, so that a lab can make others of them.
const SEED_MAX: u64 = u64::MAX >> 8;

/// What is measured at a point.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name in the table.
    pub name: &'static str,
    /// What it says.
    pub words: &'static str,
}

const fn measure(name: &'static str, words: &'static str) -> Measure {
    Measure { name, words }
}

/// The columns of the table.
pub const MEASURES: [Measure; 23] = [
    measure("acquisitions", "acquisitions that came to something"),
    measure("refusals", "acquisitions that came to nothing"),
    measure("unavailable", "of these, while the lock was free and most servers there"),
    measure("belief", "I1: grants while another client took the lock for its own"),
    measure("grants", "I2: grants while another's time was not over"),
    measure("stale_writes", "I3: writes taken from a holder before"),
    measure("lost_updates", "I4: writes that replaced what their writer had not read"),
    measure("foreign", "I5: locks changed by others than their owners"),
    measure("continuity", "I6: locks that went on though another had them meanwhile"),
    measure("numbers", "I7: numbers that were not higher than those before"),
    measure("late_losses", "I10: holders that learned of their loss too late"),
    measure("lateness_p50_us", "how late, half of them"),
    measure("lateness_max_us", "how late, at most"),
    measure("acquire_p50_us", "time to acquire, half"),
    measure("acquire_p95_us", "time to acquire, 95 %"),
    measure("acquire_p99_us", "time to acquire, 99 %"),
    measure("acquire_p999_us", "time to acquire, 99.9 %"),
    measure("handover_p50_us", "from a holder's end to the next grant, half"),
    measure("handover_p99_us", "from a holder's end to the next grant, 99 %"),
    measure("recovery_p50_us", "the same after a holder that was gone, half"),
    measure("recovery_max_us", "the same after a holder that was gone, at most"),
    measure("writes", "writes that the store took"),
    measure("jain_per_mille", "Jain's index of the clients' shares, in thousandths"),
];

/// One algorithm at one set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The algorithm's place among those of the sweep.
    pub algorithm: usize,
    /// Its values along the two axes.
    pub at: [u64; 2],
    /// What was measured, in the order of [`MEASURES`].
    pub figures: [u64; MEASURES.len()],
}

impl Point {
    /// Lets worlds happen until there were so many acquisitions.
    pub(super) fn measure(
        algorithm: &Algorithm,
        servers: Servers,
        values: &Values,
        seed: u64,
        acquisitions: u64,
    ) -> [u64; MEASURES.len()] {
        let mut sum = Figures::default();
        let worlds = acquisitions.div_ceil(WORLD_GRANTS);
        for number in 0..worlds {
            let grants = WORLD_GRANTS.min(acquisitions - number * WORLD_GRANTS);
            // Worlds are alike for all algorithms, so that differences are theirs.
            let world_seed = seed.wrapping_mul(1_000_003).wrapping_add(number) & SEED_MAX;
            sum.add(world(algorithm, servers, values, world_seed, grants));
        }
        let broken = |invariant: Invariant| sum.broken[invariant as usize];
        let counts = [
            sum.grants,
            sum.refusals,
            sum.unavailable,
            broken(Invariant::Belief),
            broken(Invariant::Grants),
            broken(Invariant::StaleWrite),
            broken(Invariant::LostUpdate),
            broken(Invariant::Foreign),
            broken(Invariant::Continuity),
            broken(Invariant::Numbers),
            broken(Invariant::TimelyLoss),
        ];
        let jain = jain_per_mille(&sum.grants_each);
        let late = &mut sum.lateness_us;
        let lateness = [quantile(late, 500), quantile(late, 1000)];
        let took = [500, 950, 990, 999].map(|part| quantile(&mut sum.latencies_us, part));
        let handover = [500, 990].map(|part| quantile(&mut sum.handovers_us, part));
        let recovery = [500, 1000].map(|part| quantile(&mut sum.recoveries_us, part));
        let rest = [sum.writes, jain];
        let all: [&[u64]; 6] = [&counts, &lateness, &took, &handover, &recovery, &rest];
        let mut figures = [0; MEASURES.len()];
        figures.iter_mut().zip(all.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        figures
    }

    /// The figure of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn figure(&self, name: &str) -> u64 {
        let place = MEASURES.iter().position(|measure| measure.name == name);
        self.figures[place.expect("a measure's name")]
    }

    /// How many in a million acquisitions, with the interval.
    #[must_use]
    pub fn per_million(&self, name: &str) -> Interval {
        per_million(self.figure(name), self.figure("acquisitions"))
    }
}

impl Figures {
    /// Adds what was seen in another world.
    fn add(&mut self, mut other: Self) {
        self.grants += other.grants;
        self.refusals += other.refusals;
        self.unavailable += other.unavailable;
        self.writes += other.writes;
        self.latencies_us.append(&mut other.latencies_us);
        self.lateness_us.append(&mut other.lateness_us);
        self.handovers_us.append(&mut other.handovers_us);
        self.recoveries_us.append(&mut other.recoveries_us);
        self.grants_each.resize(self.grants_each.len().max(other.grants_each.len()), 0);
        self.grants_each.iter_mut().zip(other.grants_each).for_each(|(sum, it)| *sum += it);
        self.broken.iter_mut().zip(other.broken).for_each(|(sum, it)| *sum += it);
    }
}

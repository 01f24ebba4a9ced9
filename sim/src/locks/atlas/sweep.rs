//! A sweep: which points, and running them.
//!
//! Invariant: points are independent; what is handed on comes in no order, and is the same however
//! many threads there are.

use rayon::prelude::*;

use super::super::algorithm::Algorithm;
use super::super::lab::Servers;
use super::parameters::{PARAMETERS, Values};
use super::point::Point;
use crate::chance::{roll, roll_bytes};

/// A parameter and the values that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Its place among [`PARAMETERS`].
    pub place: usize,
    /// What it takes, in order.
    pub values: Vec<u64>,
}

impl Axis {
    /// Reads `name=1,2,3`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not like pause=0,100,200");
        let (name, list) = text.split_once('=').ok_or_else(wrong)?;
        let place = Values::find(name).ok_or_else(|| {
            let names: Vec<&str> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
            format!("there is no parameter {name:?}; there are {}", names.join(", "))
        })?;
        let values: Result<Vec<u64>, _> = list.split(',').map(str::parse).collect();
        let values = values.map_err(|_| wrong())?;
        if values.is_empty() || !values.is_sorted_by(|one, next| one < next) {
            return Err(format!("the values of {name} must be different and in order"));
        }
        values.iter().try_for_each(|&value| Values::default().with(place, value).map(drop))?;
        Ok(Self { place, values })
    }

    /// The parameter's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        PARAMETERS[self.place].name
    }
}

/// Two parameters, algorithms, and how much is measured.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Across and up.
    pub axes: [Axis; 2],
    /// What is measured.
    pub algorithms: Vec<&'static Algorithm>,
    /// The other parameters.
    pub values: Values,
    /// What the lock servers are.
    pub servers: Servers,
    /// What chance begins with.
    pub seed: u64,
    /// Acquisitions a point.
    pub acquisitions: u64,
}

impl Sweep {
    /// Names everything that decides about the figures but the axes' values, so that points of
    /// another sweep are not taken for this one's.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let [x, y] = &self.axes;
        let mut values = self.values;
        // What the axes take is not what the defaults say.
        for place in [x.place, y.place] {
            values = values.with(place, PARAMETERS[place].default).unwrap_or(values);
        }
        let mut hash = roll(roll(0, x.place as u64), y.place as u64);
        hash = (0..PARAMETERS.len()).fold(hash, |hash, place| roll(hash, values.at(place)));
        hash = roll_bytes(hash, format!("{:?}", self.servers).as_bytes());
        roll(roll(hash, self.seed), self.acquisitions)
    }

    /// What must be changed before it can be run: settings that are no lock.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.missing(&[]).into_iter().find_map(|(algorithm, at)| {
            let algorithm = self.algorithms[algorithm];
            let values = self.values_at(at);
            let nodes = if algorithm.is_single { 1 } else { values.of("nodes") as u16 };
            let problem = (algorithm.settings)(nodes, values.of("ttl")).problem()?;
            Some(format!("{} with ttl {}: {problem}", algorithm.name, values.of("ttl")))
        })
    }

    fn values_at(&self, at: [u64; 2]) -> Values {
        let [x, y] = &self.axes;
        let values = self.values.with(x.place, at[0]).and_then(|it| it.with(y.place, at[1]));
        values.expect("the axes were checked")
    }

    /// The points that `done` lacks.
    #[must_use]
    pub fn missing(&self, done: &[Point]) -> Vec<(usize, [u64; 2])> {
        let [x, y] = &self.axes;
        let mut missing = Vec::new();
        for algorithm in 0..self.algorithms.len() {
            for &up in &y.values {
                for &across in &x.values {
                    let at = [across, up];
                    let is_done =
                        done.iter().any(|point| (point.algorithm, point.at) == (algorithm, at));
                    if !is_done {
                        missing.push((algorithm, at));
                    }
                }
            }
        }
        missing
    }

    /// Measures points, and hands each on as soon as it is there.
    pub fn run(&self, points: &[(usize, [u64; 2])], finished: &(dyn Fn(Point) + Sync)) {
        points.par_iter().for_each(|&(algorithm, at)| {
            let values = self.values_at(at);
            // All points have the same worlds, but for their values.
            let figures = Point::measure(
                self.algorithms[algorithm],
                self.servers,
                &values,
                self.seed,
                self.acquisitions,
            );
            finished(Point { algorithm, at, figures });
        });
    }
}

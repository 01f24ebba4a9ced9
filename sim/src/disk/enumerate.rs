//! Crash points: what a protocol leaves on a disk if everything ends between any two of its
//! operations, or in the middle of one, in every way in which that can happen.
//!
//! Invariant: at every point all images that a loss of power can leave are looked at, as long as
//! they are no more than the limit; beyond it so many are drawn by keyed chance as the limit says,
//! the two extremes always among them, and the report says so. No two images of a point that are
//! the same are judged twice.

use std::collections::BTreeSet;
use std::fmt;

use orrery_engine::disk::{DiskOp, DiskOrder, Ticket};

use super::Disk;
use super::choice::{Choice, Drawn, Newest, Odometer, Oldest};
use crate::chance::{Chance, Key, Stream};

/// What happens to a disk and to whoever gave it orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An operation is carried out.
    Op(DiskOp),
    /// The order that ends here was answered; from now on others may have been told of it.
    Answered(Ticket),
}

/// The events of orders that are carried out one after the other.
#[must_use]
pub fn events(orders: &[DiskOrder]) -> Vec<Event> {
    let of_one = |order: &DiskOrder| {
        let ops = order.ops.iter().cloned().map(Event::Op);
        ops.chain([Event::Answered(order.ticket)]).collect::<Vec<_>>()
    };
    orders.iter().flat_map(of_one).collect()
}

/// How everything ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process is killed: the cache stays.
    Killed,
    /// The machine loses its power.
    PowerLost,
}

/// A moment at which everything ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// How many events are over.
    pub events: usize,
    /// Whether the next one, an operation, is in the middle.
    pub amid: bool,
    /// How.
    pub end: End,
    /// The orders that were answered before.
    pub answered: Vec<Ticket>,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.end {
            End::Killed => "killed",
            End::PowerLost => "power lost",
        };
        let amid = if self.amid { ", in the middle of the next" } else { "" };
        write!(f, "{how} after {} events{amid}", self.events)
    }
}

/// How much to look at.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Images of one point.
    pub images: u64,
    /// Of what is drawn where there are more.
    pub seed: u64,
    /// Bad images to report; the search ends there.
    pub found: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { images: 4_096, seed: 1, found: 8 }
    }
}

/// An image that was judged bad.
#[derive(Clone, Debug)]
pub struct Found {
    /// When everything ended.
    pub point: Point,
    /// What is on the disk.
    pub disk: Disk,
    /// What is wrong with it.
    pub why: String,
}

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Moments at which everything ended.
    pub points: usize,
    /// Those of them with so many possible ends that some were drawn.
    pub drawn_points: usize,
    /// Images that were judged.
    pub images: u64,
    /// What was found, in the order of events.
    pub found: Vec<Found>,
}

impl Report {
    /// Whether no image was left out.
    #[must_use]
    pub fn is_exhaustive(&self) -> bool {
        self.drawn_points == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { points, drawn_points, images, found } = self;
        write!(f, "{images} images at {points} points, ")?;
        match drawn_points {
            0 => write!(f, "all that there are")?,
            count => write!(f, "a part of all at {count} of these points")?,
        }
        write!(f, "; {} of them bad", found.len())?;
        for Found { point, why, .. } in found {
            write!(f, "\n{point}: {why}")?;
        }
        Ok(())
    }
}

/// Carries the events out on a copy of `start`, ends everything at every point in every way, and
/// lets `judge` recover from what is there then.
///
/// # Panics
/// If the disk fails an operation of a recorded workload: it was recorded on another disk.
pub fn enumerate(
    start: &Disk,
    events: &[Event],
    limits: Limits,
    judge: &mut dyn FnMut(&Point, Disk) -> Result<(), String>,
) -> Report {
    let mut search = Search { limits, judge, report: Report::default(), seen: BTreeSet::new() };
    let mut disk = start.clone();
    let mut answered = Vec::new();
    for (at, event) in events.iter().map(Some).chain([None]).enumerate() {
        let ends = [End::Killed, End::PowerLost];
        for end in ends {
            let point = Point { events: at, amid: false, end, answered: answered.clone() };
            search.at(&point, &disk, None);
        }
        match event {
            Some(Event::Op(op)) => {
                for end in ends {
                    let point = Point { events: at, amid: true, end, answered: answered.clone() };
                    search.at(&point, &disk, Some(op));
                }
                let done = disk.carry_out(op);
                assert!(done.is_ok(), "{op:?} was recorded on another disk: {done:?}");
            }
            Some(Event::Answered(ticket)) => answered.push(*ticket),
            None => {}
        }
    }
    search.report
}

struct Search<'a> {
    limits: Limits,
    judge: &'a mut dyn FnMut(&Point, Disk) -> Result<(), String>,
    report: Report,
    /// Images of the present point, by their hash.
    seen: BTreeSet<u64>,
}

impl Search<'_> {
    /// Everything ends now.
    fn at(&mut self, point: &Point, disk: &Disk, amid: Option<&DiskOp>) {
        if self.is_full() || amid.is_some_and(is_all_or_nothing) {
            return;
        }
        self.report.points += 1;
        self.seen.clear();
        if !self.has_too_many(point, disk, amid) {
            let mut odometer = Odometer::default();
            for _ in 0..self.limits.images {
                self.end(point, disk, amid, &mut odometer);
                if !odometer.advance() {
                    return;
                }
            }
        }
        self.report.drawn_points += 1;
        self.end(point, disk, amid, &mut Oldest);
        self.end(point, disk, amid, &mut Newest);
        let key = self.key(point);
        for index in 0..self.limits.images {
            self.end(point, disk, amid, &mut Drawn::new(key.at(index)));
        }
    }

    /// Whether it is clear from the beginning that there are more ends than may be looked at.
    fn has_too_many(&self, point: &Point, disk: &Disk, amid: Option<&DiskOp>) -> bool {
        let most = u128::from(self.limits.images);
        match (point.end, amid) {
            (End::Killed, _) => false,
            (End::PowerLost, None) => disk.count() > most,
            (End::PowerLost, Some(op)) => {
                let mut later = disk.clone();
                later.interrupt(op, &mut Newest);
                later.count() > most
            }
        }
    }

    fn key(&self, point: &Point) -> Key {
        let who = (point.events as u64) << 1 | u64::from(point.amid);
        Chance::new(self.limits.seed).key(Stream::Disk, who | 1 << 40)
    }

    fn is_full(&self) -> bool {
        self.report.found.len() >= self.limits.found
    }

    /// One end.
    fn end(&mut self, point: &Point, disk: &Disk, amid: Option<&DiskOp>, how: &mut dyn Choice) {
        let mut left = disk.clone();
        if let Some(op) = amid {
            left.interrupt(op, how);
        }
        match point.end {
            End::Killed => left.kill(),
            End::PowerLost => {
                left.lose_power(how);
            }
        }
        if self.is_full() || !self.seen.insert(left.digest()) {
            return;
        }
        self.report.images += 1;
        if let Err(why) = (self.judge)(point, left.clone()) {
            self.report.found.push(Found { point: point.clone(), disk: left, why });
        }
    }
}

/// Whether the middle of an operation is its beginning or its end, which are looked at anyway; so
/// is all that the middle of a sync can have made safe.
fn is_all_or_nothing(op: &DiskOp) -> bool {
    !matches!(op, DiskOp::Append { bytes, .. } if bytes.len() > 1)
}

#[cfg(test)]
mod tests;

//! A server's disk at work: its lanes, one operation of each at a time, and what remains of them
//! when the process or the machine dies.
//!
//! Invariant: as the engine's contract has it, orders of one lane are carried out one after the
//! other and answered in order; an order whose process has died is answered by nobody, and the
//! operation that was going on then is done, not done, or partly done.

use std::collections::VecDeque;

use orrery_engine::disk::{
    DiskAnswer, DiskError, DiskErrorKind, DiskOp, DiskOrder, DiskResult, FileId, Lane, Ticket,
};

use super::queue::{Queue, What};
use crate::chance::Key;
use crate::disk::Disk;
use crate::disk::choice::Drawn;

/// How many lanes there are.
const LANES: usize = 3;

/// The orders of one lane.
#[derive(Debug, Default)]
struct Row {
    orders: VecDeque<DiskOrder>,
    /// Which operation of the first one is going on.
    at: usize,
    /// Its end came while the machine or the process stood still.
    held: bool,
}

/// A disk and what was ordered of it.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) disk: Disk,
    host: u16,
    /// What deaths leave.
    deaths: Key,
    rows: [Row; LANES],
    /// What counts of the events that are under way.
    generation: u32,
    /// A fault that strikes in the middle of an operation, after so many others.
    pub(crate) ambush: Option<(u16, u64)>,
    /// Answers that the process has not taken.
    pub(crate) answers: VecDeque<(Ticket, DiskResult)>,
    pub(crate) figures: Figures,
    /// Whether the last death was one of the machine.
    pub(crate) lost_power: bool,
    /// Whether an order of the present process has failed but for want of a file.
    pub(crate) has_failed: bool,
}

/// What disks did, to see that they did something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Orders that were answered.
    pub orders: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Deaths in the middle of an operation.
    pub interrupted: u64,
    /// Losses of power that took something away.
    pub lossy: u64,
    /// Logs that somebody cut where they were broken.
    pub cut: u64,
}

impl Figures {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            orders: self.orders + other.orders,
            failed: self.failed + other.failed,
            interrupted: self.interrupted + other.interrupted,
            lossy: self.lossy + other.lossy,
            cut: self.cut + other.cut,
        }
    }
}

fn place(lane: Lane) -> usize {
    match lane {
        Lane::Log => 0,
        Lane::Sync => 1,
        Lane::Bulk => 2,
    }
}

impl Storage {
    pub(crate) fn new(host: u16, disk: Disk, deaths: Key) -> Self {
        Self {
            disk,
            host,
            deaths,
            rows: Default::default(),
            generation: 0,
            ambush: None,
            answers: VecDeque::new(),
            figures: Figures::default(),
            has_failed: false,
            lost_power: false,
        }
    }

    /// The process gives an order.
    pub(crate) fn give(&mut self, order: DiskOrder, now_ns: u64, queue: &mut Queue) {
        let lane = place(order.lane);
        self.rows[lane].orders.push_back(order);
        if self.rows[lane].orders.len() == 1 {
            self.begin(lane, now_ns, queue);
        }
    }

    /// The next operation of a lane begins, or its order has none.
    fn begin(&self, lane: usize, now_ns: u64, queue: &mut Queue) {
        let Some(order) = self.rows[lane].orders.front() else { return };
        let op = order.ops.get(self.rows[lane].at);
        let at_ns = now_ns + op.map_or(0, |op| self.disk.takes_ns(op));
        let (server, generation) = (self.host, self.generation);
        queue.push(at_ns, What::Disk { server, lane: lane as u8, generation });
    }

    /// Whether an event is about an operation that is still going on.
    pub(crate) fn expects(&self, generation: u32) -> bool {
        self.generation == generation
    }

    /// What a lane does, in words.
    pub(crate) fn describe(&self, lane: u8) -> String {
        let row = &self.rows[usize::from(lane)];
        let Some(order) = row.orders.front() else { return "nothing".to_owned() };
        let op = match order.ops.get(row.at) {
            None => "nothing".to_owned(),
            Some(DiskOp::Append { file, bytes }) => {
                let FileId(file) = file;
                format!("append to file {file} \"{}\"", bytes.escape_ascii())
            }
            Some(op) => format!("{op:?}"),
        };
        format!("{:?} order {}: {op}", order.lane, order.ticket.0)
    }

    /// The fault that strikes in the middle of the operation that is about to end.
    pub(crate) fn springs(&mut self) -> Option<u16> {
        let (fault, left) = self.ambush.take()?;
        if left > 1 {
            self.ambush = Some((fault, left - 1));
            return None;
        }
        Some(fault)
    }

    /// An operation has ended; nobody is there to begin the next one if all stands still.
    pub(crate) fn end(&mut self, lane: u8, stands: bool, now_ns: u64, queue: &mut Queue) {
        let lane = usize::from(lane);
        if stands {
            self.rows[lane].held = true;
            return;
        }
        let row = &mut self.rows[lane];
        let Some(order) = row.orders.front() else { return };
        let last = row.at + 1 >= order.ops.len();
        let done = match order.ops.get(row.at) {
            Some(op) => self.disk.carry_out(op),
            None => Ok(DiskAnswer::default()),
        };
        let result = match done {
            Ok(_) if !last => None,
            Ok(answer) => Some(Ok(answer)),
            Err(failure) => Some(Err(failure.at(row.at))),
        };
        match result {
            None => row.at += 1,
            Some(result) => {
                self.figures.orders += 1;
                self.figures.failed += u64::from(result.is_err());
                let is_harmless = |error: &DiskError| error.kind == DiskErrorKind::NotFound;
                self.has_failed |= result.as_ref().is_err_and(|error| !is_harmless(error));
                let ticket = order.ticket;
                row.orders.pop_front();
                row.at = 0;
                self.answers.push_back((ticket, result));
            }
        }
        self.begin(lane, now_ns, queue);
    }

    /// Does what the engine says about a log that is broken: it is cut there. False: it says
    /// nothing like that.
    pub(crate) fn repair(&mut self, warning: &str) -> bool {
        let Some((before, after)) = warning.split_once(" is broken at byte ") else { return false };
        let path = before.rsplit(' ').next().unwrap_or_default();
        let digits = after.split(|it: char| !it.is_ascii_digit()).next().unwrap_or_default();
        let is_log = path.ends_with(".incr.aof");
        let Some(len) = digits.parse().ok().filter(|_| is_log) else { return false };
        let is_cut = self.disk.cut(path, len);
        self.figures.cut += u64::from(is_cut);
        is_cut
    }

    /// The process or the machine goes on.
    pub(crate) fn go_on(&mut self, now_ns: u64, queue: &mut Queue) {
        for lane in 0..LANES {
            if core::mem::take(&mut self.rows[lane].held) {
                let (server, generation) = (self.host, self.generation);
                queue.push(now_ns, What::Disk { server, lane: lane as u8, generation });
            }
        }
    }

    /// The process dies, and the machine with it if its power is lost. `number` tells this death
    /// from the others.
    pub(crate) fn die(&mut self, power_lost: bool, number: u64) {
        let mut choice = Drawn::new(self.deaths.at(number));
        for row in &mut self.rows {
            if let Some(op) = row.orders.front().and_then(|order| order.ops.get(row.at)) {
                self.figures.interrupted += 1;
                self.disk.interrupt(op, &mut choice);
            }
            *row = Row::default();
        }
        self.answers.clear();
        // What a sync that failed has thrown away is gone as with the power.
        self.lost_power |= power_lost || self.has_failed;
        self.has_failed = false;
        self.ambush = None;
        self.generation += 1;
        if power_lost {
            self.figures.lossy += u64::from(self.disk.lose_power(&mut choice));
        } else {
            self.disk.kill();
        }
    }
}

//! The disk: a thread for each lane carries the engine's orders out.
//!
//! Invariants: the engine's thread never waits for the disk; each lane keeps the order of its
//! orders; every order is answered.

mod files;
mod queue;

/// What the queues are made of.
mod sync {
    pub(super) use std::sync::{Condvar, Mutex};
}

use std::fmt;
use std::sync::Arc;
use std::thread;

use orrery_engine::{DiskError, DiskErrorKind, DiskOrder, DiskResult, Lane, Ticket};

use files::Files;
use queue::{Answers, Orders};

/// The threads of one server; they end when it does.
#[derive(Default)]
pub(crate) struct Disk {
    log: Thread,
    sync: Thread,
    bulk: Thread,
    answers: Arc<Answered>,
}

type Answered = Answers<(Ticket, DiskResult)>;

/// A thread that is started when it is needed first.
#[derive(Default)]
struct Thread(Option<Arc<Orders<DiskOrder>>>);

impl Default for Answered {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl Disk {
    /// Has an order carried out.
    pub(crate) fn order(&mut self, order: DiskOrder) {
        let thread = match order.lane {
            Lane::Log => &mut self.log,
            Lane::Sync => &mut self.sync,
            Lane::Bulk => &mut self.bulk,
        };
        let is_bulk = order.lane == Lane::Bulk;
        match thread.started(is_bulk, &self.answers) {
            Ok(orders) => orders.push(order),
            Err(text) => {
                let error = DiskError { at: 0, kind: DiskErrorKind::Other, text };
                self.answers.push((order.ticket, Err(error)));
            }
        }
    }

    /// Waits for answers.
    pub(crate) fn answered(&self) -> impl Future<Output = Vec<(Ticket, DiskResult)>> + use<> {
        let answers = Arc::clone(&self.answers);
        std::future::poll_fn(move |cx| answers.poll_take(cx))
    }
}

impl Thread {
    fn started(
        &mut self,
        is_bulk: bool,
        answers: &Arc<Answered>,
    ) -> Result<&Orders<DiskOrder>, String> {
        if self.0.is_none() {
            let orders = Arc::new(Orders::new());
            let (taken, answers) = (Arc::clone(&orders), Arc::clone(answers));
            let run = move || {
                if is_bulk {
                    give_way();
                }
                work(&taken, &answers);
            };
            let started = thread::Builder::new().name("disk".to_owned()).spawn(run);
            started.map_err(|error| format!("no thread for the disk: {error}"))?;
            self.0 = Some(orders);
        }
        Ok(self.0.as_deref().expect("it was just started"))
    }
}

/// How much more than the process the thread for what takes long gives way to others.
#[cfg(target_os = "linux")]
const BULK_NICENESS: i32 = 10;

/// The calling thread gives way: it does not interrupt the engine's where they share a processor.
/// If the system does not allow it, nothing is lost but time.
#[cfg(target_os = "linux")]
fn give_way() {
    // On Linux a priority is a thread's own.
    let _ = rustix::process::nice(BULK_NICENESS);
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(orders) = &self.0 {
            orders.close();
        }
    }
}

/// A disk that is not there, for platforms without one: nothing can be read or written.
#[derive(Default)]
pub struct NoDisk(Answered);

impl fmt::Debug for NoDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoDisk")
    }
}

impl NoDisk {
    /// Refuses an order.
    pub fn order(&self, order: &DiskOrder) {
        let (kind, text) = (DiskErrorKind::NotFound, "there is no disk".to_owned());
        self.0.push((order.ticket, Err(DiskError { at: 0, kind, text })));
    }

    /// Waits for refusals.
    pub fn answered(&self) -> impl Future<Output = Vec<(Ticket, DiskResult)>> {
        std::future::poll_fn(|cx| self.0.poll_take(cx))
    }
}

fn work(orders: &Orders<DiskOrder>, answers: &Answered) {
    let mut files = Files::default();
    while let Some(DiskOrder { ticket, ops, .. }) = orders.pop() {
        answers.push((ticket, files.carry_out(ops)));
    }
}

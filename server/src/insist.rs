//! Who sends a second signal means it: a process that is too busy to hear it ends.
//!
//! One that hears it decides itself, see `engine/persist.rs`: at a second SIGINT it ends at once.
//!
//! Invariants: this looks at signals from a thread of its own, because the thread that serves may
//! be the one that hangs; it waits for no lock and writes to nothing that others write to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// How long a server may take to hear what it was told twice.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it may take to remove a file on the way out: the disk may be what hangs.
const REMOVAL_PATIENCE: Duration = Duration::from_millis(300);

/// How many signals the thread that serves has heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<AtomicU64>);

impl Heard {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ends the process with exit code 1 at a second signal that is not heard. Without threads or
/// signals there is nobody to insist.
pub(crate) fn watch(heard: Heard) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    drop(thread.spawn(move || runtime.block_on(run(&heard))));
}

/// Removes what a save had written, as far as the disk answers in time.
fn remove_snapshot() {
    let path = format!("temp-{}.rdb", std::process::id());
    let (is_done, done) = std::sync::mpsc::channel();
    let remove = move || {
        // That there is none is what most often is the case.
        drop(std::fs::remove_file(path));
        _ = is_done.send(());
    };
    if std::thread::Builder::new().spawn(remove).is_ok() {
        _ = done.recv_timeout(REMOVAL_PATIENCE);
    }
}

async fn run(heard: &Heard) {
    let kinds = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = kinds else { return };
    let mut is_first = true;
    loop {
        std::future::poll_fn(|cx| match interrupt.poll_recv(cx) {
            std::task::Poll::Ready(_) => std::task::Poll::Ready(()),
            std::task::Poll::Pending => terminate.poll_recv(cx).map(|_| ()),
        })
        .await;
        let before = heard.count();
        if !is_first {
            tokio::time::sleep(PATIENCE).await;
            if heard.count() == before {
                // The log may be what hangs.
                eprintln!("You insist... exiting now.");
                remove_snapshot();
                std::process::exit(1);
            }
        }
        is_first = false;
    }
}

//! Who sends a second signal means it: a process that is too busy to obey the first one ends.
//!
//! Invariants: this looks at signals from a thread of its own, because the thread that serves may
//! be the one that hangs; it waits for no lock and writes to nothing that others write to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// How long a server may take to obey once it was told twice.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the server has begun to do what a signal told it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Obeyed(Arc<AtomicBool>);

impl Obeyed {
    /// It has.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ends the process with exit code 1 at a second SIGINT, as Redis does, and at a second SIGTERM
/// that finds the first one unheard. Without threads or signals there is nobody to insist.
pub(crate) fn watch(obeyed: Obeyed) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    drop(thread.spawn(move || runtime.block_on(run(&obeyed))));
}

async fn run(obeyed: &Obeyed) {
    let kinds = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = kinds else { return };
    let mut is_first = true;
    loop {
        let is_interrupt = std::future::poll_fn(|cx| match interrupt.poll_recv(cx) {
            std::task::Poll::Ready(_) => std::task::Poll::Ready(true),
            std::task::Poll::Pending => terminate.poll_recv(cx).map(|_| false),
        })
        .await;
        if !is_first {
            if !is_interrupt {
                tokio::time::sleep(PATIENCE).await;
            }
            if is_interrupt || !obeyed.is_set() {
                // The log may be what hangs.
                eprintln!("You insist... exiting now.");
                std::process::exit(1);
            }
        }
        is_first = false;
    }
}

//! The server processes that are alive, so that none is left behind.
//!
//! Invariant: a process is in the list from its start until it has been waited for; a panic kills all
//! that are in it. (Ctrl-C ends a run in order, which kills them too.)

use std::panic;
use std::sync::{Mutex, Once, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

static ALIVE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// A process was started.
pub(crate) fn add(pid: Pid) {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Release builds abort on a panic: nothing is dropped, so this is the only chance.
            kill_all();
            before(info);
        }));
    });
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
}

/// A process was waited for; its number may be given to another now.
pub(crate) fn remove(pid: Pid) {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner).retain(|&other| other != pid);
}

fn kill_all() {
    // A panic while the list is locked must not wait for itself.
    if let Ok(alive) = ALIVE.try_lock() {
        for &pid in &*alive {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

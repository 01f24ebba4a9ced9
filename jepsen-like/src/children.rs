//! The server processes that are alive, so that none is left behind.
//!
//! Invariant: a process is in the list from its start until it has been waited for; where a panic
//! aborts, it kills all that are in it first. (Elsewhere it drops them, which kills them, and
//! ctrl-C ends a run in order.)

use std::panic;
use std::sync::{Mutex, Once, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

static ALIVE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// A process was started.
pub(crate) fn add(pid: Pid) {
    if cfg!(panic = "abort") {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                kill_all();
                before(info);
            }));
        });
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn all_that_are_alive_are_killed_and_no_others() {
        let sleep = || Command::new("sleep").arg("60").spawn().expect("there is sleep");
        let (mut one, mut other) = (sleep(), sleep());
        let (pid, other_pid) = (Pid::from_child(&one), Pid::from_child(&other));
        add(pid);
        add(other_pid);
        remove(other_pid);
        kill_all();
        assert_eq!(one.wait().expect("a child").signal(), Some(Signal::KILL.as_raw()));
        assert_eq!(other.try_wait().expect("a child"), None);
        other.kill().expect("it is alive");
        other.wait().expect("a child");
        remove(pid);
    }
}

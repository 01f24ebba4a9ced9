//! The two queues between the engine's thread and a thread of the disk.
//!
//! Invariants: what was pushed comes out once and in order; a thread that sleeps is woken by what
//! is pushed after it looked; nothing that was pushed before a queue was closed is lost.
//!
//! The types of `sync` are the standard library's here; a test of the workspace builds this file
//! with loom's and tries every order in which the threads can run.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use super::sync::{Condvar, Mutex};

/// What a thread of the disk has to do.
pub(crate) struct Orders<T> {
    state: Mutex<Waiting<T>>,
    filled: Condvar,
}

struct Waiting<T> {
    items: VecDeque<T>,
    is_closed: bool,
}

impl<T> Orders<T> {
    pub(crate) fn new() -> Self {
        let state = Waiting { items: VecDeque::new(), is_closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Adds one; never waits for the disk.
    pub(crate) fn push(&self, item: T) {
        self.state.lock().expect("nobody panics while holding it").items.push_back(item);
        self.filled.notify_one();
    }

    /// The next one; sleeps until there is one. `None`: the queue was closed and is empty.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = self.state.lock().expect("nobody panics while holding it");
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.is_closed {
                return None;
            }
            state = self.filled.wait(state).expect("nobody panics while holding it");
        }
    }

    /// Nothing more will be pushed.
    pub(crate) fn close(&self) {
        self.state.lock().expect("nobody panics while holding it").is_closed = true;
        self.filled.notify_all();
    }
}

/// What became of it, for a task of the engine's thread.
pub(crate) struct Answers<T> {
    state: Mutex<(Vec<T>, Option<Waker>)>,
}

impl<T> Answers<T> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new((Vec::new(), None)) }
    }

    /// Adds one and wakes whoever waits.
    pub(crate) fn push(&self, item: T) {
        let waker = {
            let mut state = self.state.lock().expect("nobody panics while holding it");
            state.0.push(item);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// All that there are, once there are some.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Vec<T>> {
        let mut state = self.state.lock().expect("nobody panics while holding it");
        if state.0.is_empty() {
            state.1 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(core::mem::take(&mut state.0))
    }
}

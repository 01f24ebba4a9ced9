//! The task that calls the engine when it asked to be called.
//!
//! Invariants: each turn is one bounded step, and sockets are polled between two turns, so that a
//! storm of expirations and the clients share the thread; a deadline that moves forward wakes it.

use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use orrery_engine::{Instant, Micros};
use tokio::task::yield_now;

use crate::node::{Next, NodeRef};
use crate::platform::Platform;

/// Sleeping longer than this gains nothing, and the machine itself may sleep meanwhile, which
/// timers may not count.
const SLEEP_MAX: Micros = Micros::from_secs(10);

/// Runs for as long as the server does.
pub(crate) async fn run<P: Platform>(node: NodeRef<P>) {
    let platform = Rc::clone(&node.borrow().platform);
    let bell = Rc::clone(&node.borrow().clock_bell);
    loop {
        let next = node.borrow_mut().clock_turn();
        match next {
            Next::Again => yield_now().await,
            Next::Never => bell.notified().await,
            Next::At(deadline) => {
                let at: Instant = deadline.min(platform.mono() + SLEEP_MAX);
                first(platform.sleep_until(at), bell.notified()).await;
            }
        }
    }
}

/// Waits until one of two futures ends.
pub(crate) async fn first(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let mut one = pin!(one);
    let mut other = pin!(other);
    std::future::poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

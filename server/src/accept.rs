//! The task of one listening socket.

use std::rc::Rc;

use orrery_engine::{LogLevel, Micros};
use tokio::task::{JoinHandle, spawn_local};

use crate::connection::Connection;
use crate::node::NodeRef;
use crate::platform::Platform;

/// How long to wait when the machine has no room for another connection.
const RETRY_AFTER: Micros = Micros::from_millis(100);

/// Accepts connections until it is aborted.
pub(crate) fn spawn<P: Platform>(node: &NodeRef<P>, listener: P::Listener) -> JoinHandle<()> {
    spawn_local(run(Rc::clone(node), listener))
}

async fn run<P: Platform>(node: NodeRef<P>, listener: P::Listener) {
    let platform = Rc::clone(&node.borrow().platform);
    loop {
        match platform.accept(&listener).await {
            Ok((stream, origin)) => {
                wait_for_stall(&node).await;
                let keepalive = node.borrow().keepalive;
                if let Some(interval) = keepalive {
                    platform.keep_alive(&stream, interval);
                }
                let mailbox = node.borrow_mut().open(origin);
                spawn_local(Connection::new(Rc::clone(&node), mailbox, stream).run());
            }
            Err(error) => {
                node.borrow().log(
                    LogLevel::Warning,
                    &format!("Accepting client connection: accept: {error}"),
                );
                platform.sleep_until(platform.mono() + RETRY_AFTER).await;
            }
        }
    }
}

async fn wait_for_stall<P: Platform>(node: &NodeRef<P>) {
    loop {
        let Some(until) = node.borrow().stalled_until() else { return };
        let platform = Rc::clone(&node.borrow().platform);
        platform.sleep_until(until).await;
        tokio::task::yield_now().await;
    }
}

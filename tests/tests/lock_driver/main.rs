//! `orrery-lock` through real sockets against real servers, ours and redis-server: locks that are
//! taken and given back, servers that die and stand still, holders that stand still, queues.
//!
//! Times are never compared closely: what must not happen early is checked to the millisecond, what
//! must happen in time with room for a busy machine.

#[path = "../tls_server/authority.rs"]
mod authority;
mod examples;
mod faults;
mod news;
mod primaries;
mod queues;
mod quorum;
mod replicas;
mod servers;
mod setup;
mod single;
mod wires;

use std::future::Future;
use std::time::{Duration, Instant};

use orrery_lock::{Builder, Locks};

use crate::servers::Server;

/// Later than this nobody is told what happened at a deadline, however busy the machine is.
const LATE_MAX: Duration = Duration::from_secs(5);

/// Runs a test on a runtime of its own.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(test)
}

/// Locks on these servers, with a time to live that tests can wait for.
fn builder(servers: &[Server]) -> Builder {
    let builder = with_patience(Locks::builder()).ttl(Duration::from_secs(1));
    servers.iter().fold(builder, |builder, server| builder.node(server.address()))
}

/// Servers have time to answer on a busy machine, too.
fn with_patience(builder: Builder) -> Builder {
    builder.node_timeout(Duration::from_millis(250))
}

async fn built(builder: Builder) -> Locks {
    builder.build().await.unwrap_or_else(|refusal| panic!("{refusal}"))
}

async fn locks(server: &Server) -> Locks {
    built(builder(std::slice::from_ref(server))).await
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < servers::PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

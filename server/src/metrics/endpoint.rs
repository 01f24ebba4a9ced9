//! The task of one socket for scrapers, and a task for each of them.
//!
//! Invariants: no more than so many are served at a time, and it is the oldest that gives way; each
//! has so much time and may send so many bytes; when the socket is closed, so are they all.

use std::collections::VecDeque;
use std::rc::Rc;

use orrery_engine::{LogLevel, Micros};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinHandle, spawn_local};

use super::figures::figures;
use super::request::{self, Answer};
use crate::clock;
use crate::node::NodeRef;
use crate::platform::Platform;

/// Scrapers that are served at a time.
const VISITS_MAX: usize = 16;
/// A scraper has this long from its connection to the end of the answer.
const PATIENCE: Micros = Micros::from_secs(10);
/// A request is no longer than this.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// How long to wait when the machine has no room for another connection.
const RETRY_AFTER: Micros = Micros::from_millis(100);

/// Serves scrapers until it is aborted.
pub(crate) fn spawn<P: Platform>(node: &NodeRef<P>, listener: P::Listener) -> JoinHandle<()> {
    spawn_local(run(Rc::clone(node), listener))
}

async fn run<P: Platform>(node: NodeRef<P>, listener: P::Listener) {
    let platform = Rc::clone(&node.borrow().platform);
    let mut visits = Visits::default();
    loop {
        match platform.accept(&listener).await {
            Ok((stream, _)) => {
                visits.admit(spawn_local(visit(Rc::clone(&node), stream)));
            }
            Err(error) => {
                let text = format!("Accepting a connection for metrics: accept: {error}");
                platform.log(LogLevel::Warning, &text);
                platform.sleep_until(platform.mono() + RETRY_AFTER).await;
            }
        }
    }
}

/// The tasks that are under way, oldest first.
#[derive(Default)]
struct Visits(VecDeque<JoinHandle<()>>);

impl Visits {
    fn admit(&mut self, task: JoinHandle<()>) {
        self.0.retain(|task| !task.is_finished());
        if self.0.len() >= VISITS_MAX
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(task);
    }
}

impl Drop for Visits {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn visit<P: Platform>(node: NodeRef<P>, stream: P::Stream) {
    let platform = Rc::clone(&node.borrow().platform);
    let end = platform.mono() + PATIENCE;
    clock::first(platform.sleep_until(end), converse(&node, stream)).await;
}

async fn converse<P: Platform>(node: &NodeRef<P>, mut stream: P::Stream) {
    let mut received = Vec::new();
    let answer = loop {
        if let Some(answer) = request::answer(&received) {
            break answer;
        }
        if received.len() >= REQUEST_BYTES_MAX {
            break Answer::Refusal("431 Request Header Fields Too Large");
        }
        let mut limited = (&mut stream).take((REQUEST_BYTES_MAX - received.len()) as u64);
        match limited.read_buf(&mut received).await {
            Ok(1..) => {}
            // It is gone, and so is whoever wanted to know.
            Ok(0) | Err(_) => return,
        }
    };
    let response = match answer {
        Answer::Figures { with_body } => request::figures(&look(node), with_body),
        Answer::Refusal(status) => request::refusal(status),
    };
    if stream.write_all(&response).await.is_ok() && stream.shutdown().await.is_ok() {
        // Closing with bytes unread would destroy the answer on its way.
        let mut rest = Vec::with_capacity(REQUEST_BYTES_MAX);
        let mut limited = stream.take(REQUEST_BYTES_MAX as u64);
        while let Ok(1..) = limited.read_buf(&mut rest).await {
            rest.clear();
        }
    }
}

/// Reads the figures between two steps.
fn look<P: Platform>(node: &NodeRef<P>) -> String {
    let node = node.borrow();
    let mut vitals = node.platform.vitals().unwrap_or_default();
    vitals.handshakes = node.tls.figures();
    figures(node.engine().state(), vitals, node.platform.now())
}

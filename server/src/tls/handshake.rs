//! Handshakes: a task each, until it is a connection, fails, or takes too long.
//!
//! Invariants: no more go on at a time than the limit, and it is the oldest that gives way: one
//! who only connects cannot keep those out who go on to speak; each failure is counted, and
//! logged with its peer as long as there are not too many a second.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use orrery_engine::{Handshakes, Instant, LogLevel, Micros, Origin};
use tokio::task::{AbortHandle, spawn_local};
use tokio_rustls::server::TlsStream;

use super::context::{TlsContext, TlsSettings};
use super::identity;
use super::stream::{Guarded, Wire};
use crate::accept::admit;
use crate::node::NodeRef;
use crate::platform::{Platform, reason};

/// Failures that are logged one by one in a second; of the others only the number.
const LINES_PER_SECOND: u64 = 20;
const SECOND: Micros = Micros::from_secs(1);

/// TLS of one server.
#[derive(Default)]
pub(crate) struct Tls {
    context: RefCell<Option<Rc<TlsContext>>>,
    limits: Cell<Limits>,
    pending: RefCell<Pending>,
    figures: Cell<Handshakes>,
    lines: Cell<Lines>,
}

#[derive(Clone, Copy, Default)]
struct Limits {
    timeout: Micros,
    pending_max: usize,
}

#[derive(Default)]
struct Pending {
    last: u64,
    /// In the order in which they began.
    tasks: BTreeMap<u64, (AbortHandle, Origin)>,
}

/// How many lines were written in the second that began at `since`, and how many were not.
#[derive(Clone, Copy, Default)]
struct Lines {
    since: Instant,
    written: u64,
    withheld: u64,
}

impl Tls {
    /// Puts other settings into force, for handshakes that begin from now on. Without a context
    /// the one that there is stays.
    pub(crate) fn configure(&self, settings: &TlsSettings, context: Option<TlsContext>) {
        let (timeout, pending_max) = (settings.handshake_timeout, settings.handshakes_max);
        self.limits.set(Limits { timeout, pending_max });
        if let Some(context) = context {
            self.context.replace(Some(Rc::new(context)));
        }
    }

    /// The figures for INFO.
    pub(crate) fn figures(&self) -> Handshakes {
        let pending = self.pending.borrow().tasks.len() as u64;
        Handshakes { pending, ..self.figures.get() }
    }

    /// Gives up all that are going on.
    pub(crate) fn stop(&self) {
        let tasks = core::mem::take(&mut self.pending.borrow_mut().tasks);
        tasks.values().for_each(|(task, _)| task.abort());
    }

    /// Takes the oldest out if there is no room for one more.
    fn make_room(&self) -> Option<(AbortHandle, Origin)> {
        let tasks = &mut self.pending.borrow_mut().tasks;
        if tasks.len() < self.limits.get().pending_max {
            return None;
        }
        tasks.pop_first().map(|(_, oldest)| oldest)
    }

    fn count(&self, change: impl FnOnce(&mut Handshakes)) {
        let mut figures = self.figures.get();
        change(&mut figures);
        self.figures.set(figures);
    }

    fn failed<P: Platform>(&self, platform: &P, origin: &Origin, why: &str) {
        self.count(|figures| figures.failed += 1);
        let now = platform.mono();
        let mut lines = self.lines.get();
        if now.since(lines.since) >= SECOND {
            if lines.withheld > 0 {
                let text = format!("... and {} more TLS handshakes failed", lines.withheld);
                platform.log(LogLevel::Warning, &text);
            }
            lines = Lines { since: now, ..Lines::default() };
        }
        if lines.written < LINES_PER_SECOND {
            lines.written += 1;
            let peer = match origin {
                Origin::Tcp { peer, local } | Origin::Tls { peer, local, .. } => {
                    format!("addr={peer} laddr={local}")
                }
                Origin::Unix { path } => format!("addr={path}:0"),
            };
            let text = format!("Error accepting a client connection: {why} ({peer})");
            platform.log(LogLevel::Warning, &text);
        } else {
            lines.withheld += 1;
        }
        self.lines.set(lines);
    }
}

/// Begins a handshake with a client that has just connected.
pub(crate) fn begin<P: Platform>(node: &NodeRef<P>, stream: P::Stream, origin: Origin) {
    let (tls, platform) = {
        let node = node.borrow();
        (Rc::clone(&node.tls), Rc::clone(&node.platform))
    };
    let Some(context) = tls.context.borrow().clone() else { return };
    if let Some((oldest, origin)) = tls.make_room() {
        oldest.abort();
        tls.failed(&*platform, &origin, "it gave way: too many handshakes are going on");
    }
    let id = {
        let mut pending = tls.pending.borrow_mut();
        pending.last += 1;
        pending.last
    };
    let task = spawn_local(shake(Rc::clone(node), context, stream, origin.clone(), id));
    tls.pending.borrow_mut().tasks.insert(id, (task.abort_handle(), origin));
}

async fn shake<P: Platform>(
    node: NodeRef<P>,
    context: Rc<TlsContext>,
    stream: P::Stream,
    origin: Origin,
    id: u64,
) {
    let (tls, platform) = {
        let node = node.borrow();
        (Rc::clone(&node.tls), Rc::clone(&node.platform))
    };
    if let Some(sessions) = &context.sessions {
        sessions.set_now(platform.mono());
    }
    let end = platform.mono() + tls.limits.get().timeout;
    let result =
        in_time(&*platform, end, Box::pin(context.acceptor.accept(Guarded::new(stream)))).await;
    tls.pending.borrow_mut().tasks.remove(&id);
    match result {
        None => tls.failed(&*platform, &origin, "the handshake took too long"),
        Some(Err(error)) => tls.failed(&*platform, &origin, &reason(&error)),
        Some(Ok(stream)) => {
            tls.count(|figures| {
                figures.done += 1;
                figures.resumed += u64::from(is_resumed(&stream));
            });
            let user = context.names_user.then(|| user_of(&stream)).flatten();
            admit(&node, Wire::Tls(Box::new(stream)), over_tls(origin, user)).await;
        }
    }
}

/// What a future gives if it is ready before `end`.
async fn in_time<P: Platform, F: Future + Unpin>(
    platform: &P,
    end: Instant,
    mut future: F,
) -> Option<F::Output> {
    let mut end = pin!(platform.sleep_until(end));
    std::future::poll_fn(|cx| match pin!(&mut future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| None),
    })
    .await
}

fn is_resumed<S>(stream: &TlsStream<S>) -> bool {
    use tokio_rustls::rustls::HandshakeKind;

    stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// The user that the client's certificate names.
fn user_of<S>(stream: &TlsStream<S>) -> Option<Box<str>> {
    let leaf = stream.get_ref().1.peer_certificates()?.first()?;
    identity::common_name(leaf).map(String::into_boxed_str)
}

fn over_tls(origin: Origin, user: Option<Box<str>>) -> Origin {
    match origin {
        Origin::Tcp { peer, local } => Origin::Tls { peer, local, user },
        other => other,
    }
}

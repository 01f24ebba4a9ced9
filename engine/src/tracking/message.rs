//! The messages of client-side caching, and whom they reach.
//!
//! Invariants: a message never lies inside a reply: what concerns the client whose command runs, or
//! is to reach it, waits for the command's end; a client whose receiver has gone is told so with
//! each message that was lost.

use super::Tracking;
use crate::config::OutputLimits;
use crate::input::ConnId;
use crate::resp::{Protocol, Reply};
use crate::session::{Session, Sessions};

/// The channel in whose name RESP2 gets messages.
const CHANNEL: &str = "__redis__:invalidate";

/// What is no longer as it was.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// These keys, spelled as an array.
    Keys(Vec<u8>),
    /// All keys.
    Everything,
}

impl News {
    pub(super) fn of_keys<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        let mut reply = Reply::default();
        reply.array(keys.len());
        for key in keys {
            reply.bulk(key);
        }
        Self::Keys(reply.out)
    }
}

/// Where messages go.
pub(super) struct Outlet<'a> {
    pub(super) sessions: &'a mut Sessions,
    pub(super) limits: &'a OutputLimits,
    /// A client whose command has just ended, and its output.
    pub(super) running: Option<(&'a Session, &'a mut Vec<u8>)>,
}

impl Outlet<'_> {
    /// Whether messages to a client must wait.
    fn must_wait(&self, conn: ConnId) -> bool {
        let is_running = self.running.as_ref().is_some_and(|(session, _)| session.id == conn);
        !is_running && self.sessions.is_out(conn)
    }

    /// The protocol of a client, and whether it has subscribed to anything; `None`: it has gone.
    fn find(&self, conn: ConnId) -> Option<(Protocol, bool)> {
        let session = match &self.running {
            Some((session, _)) if session.id == conn => session,
            _ => self.sessions.find(conn)?,
        };
        (!session.closing).then(|| (session.protocol, session.is_subscriber()))
    }

    fn post(&mut self, conn: ConnId, message: &[u8]) {
        match &mut self.running {
            Some((session, out)) if session.id == conn => {
                let start = out.len();
                out.extend_from_slice(message);
                if session.protocol == Protocol::Resp3 {
                    out[start] = b'>';
                }
            }
            _ => self.sessions.post(conn, message, self.limits),
        }
    }
}

impl Tracking {
    /// Tells the client `conn`, or who receives its messages; later if it is running.
    pub(super) fn tell(&mut self, conn: ConnId, news: &News, outlet: &mut Outlet<'_>) {
        let Some(tracker) = self.trackers.get_mut(&conn) else { return };
        let receiver = tracker.mode.redirect.unwrap_or(conn);
        if outlet.must_wait(conn) || outlet.must_wait(receiver) {
            self.deferred.push((conn, news.clone()));
            return;
        }
        let mut reply = Reply { out: core::mem::take(&mut self.message), ..Reply::default() };
        reply.out.clear();
        match outlet.find(receiver) {
            Some((protocol, is_subscriber)) => {
                let is_redirected = tracker.mode.redirect.is_some();
                if protocol == Protocol::Resp3 || is_redirected && is_subscriber {
                    spell(&mut reply, protocol, news);
                    outlet.post(receiver, &reply.out);
                }
            }
            None if tracker.mode.redirect.is_some() => {
                tracker.is_broken = true;
                if let Some((Protocol::Resp3, _)) = outlet.find(conn) {
                    reply.array(2);
                    reply.text("tracking-redir-broken");
                    reply.integer(receiver.0 as i64);
                    outlet.post(conn, &reply.out);
                }
            }
            None => {}
        }
        self.message = reply.out;
    }

    /// Tells what had to wait, in its order.
    pub(super) fn tell_deferred(&mut self, outlet: &mut Outlet<'_>) {
        for (conn, news) in core::mem::take(&mut self.deferred) {
            self.tell(conn, &news, outlet);
        }
    }
}

/// Spells a message as an array, which RESP3 makes a push of.
fn spell(reply: &mut Reply, protocol: Protocol, news: &News) {
    match protocol {
        Protocol::Resp3 => {
            reply.array(2);
            reply.text("invalidate");
        }
        Protocol::Resp2 => {
            reply.array(3);
            reply.text("message");
            reply.text(CHANNEL);
        }
    }
    reply.protocol = protocol;
    match news {
        News::Keys(keys) => reply.out.extend_from_slice(keys),
        News::Everything => reply.null(),
    }
}

//! Messages that a client gets without having asked just now: published ones first of all.
//!
//! Invariants: a message is appended once to the output of each of its receivers and to nobody's
//! output that is over its limit; a client whose session is out because it runs gets its messages
//! behind the reply of the present command. A session whose output was empty is flushed once.

use std::collections::BTreeMap;

use super::{Session, Sessions};
use crate::config::OutputLimits;
use crate::effects::{Effect, Effects};
use crate::input::ConnId;
use crate::resp::Protocol;

/// What messages have led to since somebody looked.
#[derive(Debug, Default)]
pub(super) struct Post {
    /// Clients whose output is to be flushed.
    flush: Vec<ConnId>,
    over_limit: Vec<OverLimit>,
    /// Messages to clients whose sessions are out.
    mail: BTreeMap<ConnId, Mail>,
    /// Bytes of all messages to all receivers so far.
    bytes: u64,
}

/// A client whose output went over a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverLimit {
    pub(crate) conn: ConnId,
    /// How much output it would have had.
    pub(crate) pending_bytes: u64,
    /// Whether it is to be closed at once. It gets nothing more.
    pub(crate) is_hard: bool,
}

/// Messages in the spelling of RESP2.
#[derive(Debug, Default)]
struct Mail {
    bytes: Vec<u8>,
    /// Where each message starts.
    starts: Vec<usize>,
}

/// The first byte of a message out of band.
fn first_byte(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Resp2 => b'*',
        Protocol::Resp3 => b'>',
    }
}

impl Mail {
    fn append_to(&self, out: &mut Vec<u8>, protocol: Protocol) {
        let base = out.len();
        out.extend_from_slice(&self.bytes);
        for start in &self.starts {
            out[base + start] = first_byte(protocol);
        }
    }
}

impl Sessions {
    /// Gives the running client a message that is spelled for its protocol, behind the reply of the
    /// present command.
    pub(crate) fn post_to_running(&mut self, conn: ConnId, message: &[u8]) {
        debug_assert!(self.find(conn).is_none(), "it runs");
        let mail = self.post.mail.entry(conn).or_default();
        mail.bytes.extend_from_slice(message);
    }

    /// Gives `conn` a message, which is an array in RESP2 and a push in RESP3: `message` is spelled
    /// for RESP2. A client that is being closed gets none.
    #[inline]
    pub(crate) fn post(&mut self, conn: ConnId, message: &[u8], limits: &OutputLimits) {
        debug_assert_eq!(message.first(), Some(&b'*'), "a message is an array");
        self.post_as(conn, message, true, limits);
    }

    /// Gives `conn` a line, which is spelled alike in all protocols. A client that is being closed
    /// gets none, nor does one that wants no replies.
    pub(crate) fn post_line(&mut self, conn: ConnId, line: &[u8], limits: &OutputLimits) {
        if self.find(conn).is_none_or(|session| !session.is_muted()) {
            self.post_as(conn, line, false, limits);
        }
    }

    #[inline]
    fn post_as(&mut self, conn: ConnId, message: &[u8], is_push: bool, limits: &OutputLimits) {
        let Some(place) = self.by_id.get_mut(&conn) else { return };
        self.post.bytes += message.len() as u64;
        let Some(session) = place else {
            let mail = self.post.mail.entry(conn).or_default();
            if is_push {
                mail.starts.push(mail.bytes.len());
            }
            mail.bytes.extend_from_slice(message);
            return;
        };
        if session.closing {
            return;
        }
        let limit = session.output_limit(limits);
        let pending_bytes = (session.output_pending() + message.len()) as u64;
        if limit.concerns(pending_bytes) {
            let is_hard = limit.hard_bytes != 0 && pending_bytes >= limit.hard_bytes;
            if is_hard || session.over_soft_limit.is_none() {
                self.post.over_limit.push(OverLimit { conn, pending_bytes, is_hard });
            }
            if is_hard {
                session.closing = true;
                return;
            }
        }
        // Whoever keeps output back must hear of all of it.
        if session.outbox.is_empty() || self.is_gated {
            self.post.flush.push(conn);
        }
        self.sum.add(&mut session.counted_bytes, message.len());
        session.outbox.reserve(message.len());
        session.outbox.push(if is_push { first_byte(session.protocol) } else { message[0] });
        session.outbox.extend_from_slice(&message[1..]);
    }

    /// Bytes of all messages to all receivers so far.
    pub(crate) fn posted_bytes(&self) -> u64 {
        self.post.bytes
    }

    /// Appends the messages that came for the running client to its output, which is in `out`.
    #[inline]
    pub(crate) fn collect_mail(&mut self, conn: ConnId, protocol: Protocol, out: &mut Vec<u8>) {
        if !self.post.mail.is_empty()
            && let Some(mail) = self.post.mail.remove(&conn)
        {
            mail.append_to(out, protocol);
        }
    }

    #[inline]
    pub(super) fn has_mail(&self) -> bool {
        !self.post.mail.is_empty()
    }

    /// What came for a client while its session was out, when it is back.
    pub(super) fn deliver_mail(&mut self, conn: ConnId) {
        let Some(mail) = self.post.mail.remove(&conn) else { return };
        let Some(session) = self.find_mut(conn).filter(|session| !session.closing) else { return };
        mail.append_to(&mut session.outbox, session.protocol);
        self.post.flush.push(conn);
    }

    /// Asks the driver to flush the output of those who got messages.
    pub(crate) fn flush_post(&mut self, fx: &mut Effects) {
        let mut flush = core::mem::take(&mut self.post.flush);
        for conn in flush.drain(..) {
            let waits = |session: &Session| !session.closing && !session.outbox.is_empty();
            if self.find(conn).is_some_and(waits) {
                fx.push(Effect::Flush(conn));
            }
        }
        self.post.flush = flush;
    }

    /// Whether messages have led to anything that the engine must do at the end of the step.
    #[inline]
    pub(crate) fn has_posted(&self) -> bool {
        !self.post.flush.is_empty() || !self.post.over_limit.is_empty()
    }

    /// Takes the clients out whose output went over a limit.
    pub(crate) fn take_over_limit(&mut self) -> Vec<OverLimit> {
        core::mem::take(&mut self.post.over_limit)
    }
}

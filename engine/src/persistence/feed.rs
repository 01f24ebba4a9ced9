//! Whoever sends SYNC gets all keys as a snapshot, and from its moment on every change as a
//! command.
//!
//! The snapshot is made in memory, a piece at a time, and must fit the output limit of replicas:
//! what does not is refused rather than held.
//!
//! Invariants: what a reader gets is the snapshot of one moment and then every record after it, in
//! order, none twice; while nobody reads nothing is logged for replicas.

use super::{Reason, log};
use crate::effects::{Effects, LogLevel};
use crate::input::ConnId;
use crate::log::Reader;
use crate::state::State;
use crate::time::Now;

/// Clients that read all changes.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    /// They wait until a snapshot for them can begin.
    waiting: Vec<ConnId>,
    /// Their snapshot is being made.
    copying: Vec<ConnId>,
    /// What has changed since its moment.
    backlog: Vec<u8>,
    /// They get every change.
    online: Vec<ConnId>,
}

impl Feeds {
    /// Whether nobody reads or wants to.
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.copying.is_empty() && self.online.is_empty()
    }

    /// Whether somebody waits for a snapshot to begin.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl State {
    /// A client wants to read all changes.
    pub(crate) fn add_feed(&mut self, conn: ConnId) {
        self.persistence.feeds.waiting.push(conn);
    }

    /// A client has gone.
    pub(crate) fn end_feed(&mut self, conn: ConnId) {
        let feeds = &mut self.persistence.feeds;
        for list in [&mut feeds.waiting, &mut feeds.copying, &mut feeds.online] {
            list.retain(|&other| other != conn);
        }
        if feeds.is_empty() && self.log.is_on_for(Reader::Replicas) {
            feeds.backlog = Vec::new();
            self.log.stop_for(Reader::Replicas);
        }
    }

    /// Begins a snapshot for those who wait; nothing else may be written.
    pub(crate) fn begin_copy(&mut self, now: Now, fx: &mut Effects) {
        let feeds = &mut self.persistence.feeds;
        feeds.copying = core::mem::take(&mut feeds.waiting);
        log(fx, LogLevel::Notice, "Starting a snapshot for whoever has sent SYNC");
        self.begin_save_to(Reason::Copy, String::new(), String::new(), now, fx);
    }

    /// The moment of the snapshot: what follows is logged.
    pub(super) fn begin_backlog(&mut self) {
        self.persistence.feeds.backlog.clear();
        if self.log.is_on_for(Reader::Replicas) {
            self.log.begin_part(Reader::Replicas);
        } else {
            self.log.start_for(Reader::Replicas);
        }
    }

    /// The snapshot is whole, or too long to be sent.
    pub(super) fn end_copy(&mut self, snapshot: Option<&[u8]>) {
        let feeds = &mut self.persistence.feeds;
        let copying = core::mem::take(&mut feeds.copying);
        let backlog = core::mem::take(&mut feeds.backlog);
        let limits = &self.config.output_limits;
        for conn in copying {
            let Some(snapshot) = snapshot else {
                let text = b"-ERR the snapshot exceeds the output limit of replicas\r\n";
                self.sessions.post_line(conn, text, limits);
                continue;
            };
            let head = format!("${}\r\n", snapshot.len());
            let all = [head.as_bytes(), snapshot, &backlog].concat();
            self.sessions.post_line(conn, &all, limits);
            feeds.online.push(conn);
        }
    }

    /// Gives what was logged to those who read.
    pub(crate) fn feed(&mut self) {
        if !self.log.is_on_for(Reader::Replicas) {
            return;
        }
        let bytes = self.log.take_for(Reader::Replicas);
        if bytes.is_empty() {
            return;
        }
        let feeds = &mut self.persistence.feeds;
        if !feeds.copying.is_empty() {
            feeds.backlog.extend_from_slice(&bytes);
        }
        for &conn in &feeds.online {
            self.sessions.post_line(conn, &bytes, &self.config.output_limits);
        }
    }
}

//! The memory of clients, counted as it changes, and who goes when they take too much together.
//!
//! Invariant: while it is asked for, what is noted in each session is what it takes; a session that
//! is being closed counts for nothing.

use crate::input::ConnId;
use crate::session::Session;
use crate::state::State;

/// Clients that take less are all alike, and so are those that take more than the largest class:
/// the exponents of two that Redis has.
const CLASS_MIN: u32 = 15;
const CLASS_MAX: u32 = 33;

/// The class of memory in which a client is: those of the highest go first.
fn class_of(bytes: usize) -> u32 {
    (usize::BITS - bytes.leading_zeros()).clamp(CLASS_MIN, CLASS_MAX)
}

impl State {
    /// Bytes of a client: its session, its output that has not left, what it watches and tracks.
    pub(crate) fn client_bytes(&self, session: &Session) -> usize {
        session.memory_bytes()
            + self.watches.memory_bytes_of(session.id)
            + self.tracking.memory_bytes_of(session.id)
    }

    /// Bytes of all clients but the running one.
    pub(crate) fn clients_bytes(&self) -> usize {
        let ids = self.sessions.ids();
        let clients = ids.into_iter().filter_map(|conn| self.sessions.find(conn));
        clients.map(|session| self.client_bytes(session)).sum()
    }

    /// Begins or ends to count the memory of clients.
    pub(super) fn count_clients(&mut self, counts: bool) {
        if self.sessions.start_counting(counts) {
            for conn in self.sessions.ids() {
                self.count_client(conn);
            }
        }
    }

    /// Notes what a client takes now, if anybody asks.
    #[inline]
    pub(crate) fn count_client(&mut self, conn: ConnId) {
        if self.sessions.is_counting() {
            self.count_client_now(conn);
        }
    }

    fn count_client_now(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.find(conn) else { return };
        let bytes = if session.closing { 0 } else { self.client_bytes(session) };
        self.sessions.set_counted(conn, bytes);
    }

    /// Checks what is noted; for tests.
    pub(crate) fn check_counted(&self) {
        self.sessions.check_counted();
        for conn in self.sessions.ids() {
            let Some(session) = self.sessions.find(conn) else { continue };
            // What it watches may have been forgotten since, because it has changed.
            if self.sessions.is_counting() && !session.closing && !self.watches.is_spoilt(conn) {
                assert_eq!(session.counted_bytes, self.client_bytes(session), "{}", conn.0);
            }
        }
    }

    /// The clients that have to go so that the others are under the limit, the biggest first.
    pub(crate) fn clients_to_evict(&self) -> Vec<ConnId> {
        let Some(limit) = self.config.eviction.clients_bytes_max() else { return Vec::new() };
        let mut total = self.sessions.counted_bytes() as u64;
        if total < limit {
            return Vec::new();
        }
        let mut clients: Vec<(u32, ConnId, usize)> = Vec::new();
        for conn in self.sessions.ids() {
            if let Some(session) = self.sessions.find(conn)
                && !session.no_evict
                && !session.closing
            {
                clients.push((class_of(session.counted_bytes), conn, session.counted_bytes));
            }
        }
        // Within a class those who came first.
        clients.sort_by_key(|&(class, conn, _)| (core::cmp::Reverse(class), conn));
        let mut chosen = Vec::new();
        for (_, conn, bytes) in clients {
            if total < limit {
                break;
            }
            total -= bytes as u64;
            chosen.push(conn);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_powers_of_two() {
        assert_eq!(class_of(0), 15);
        assert_eq!(class_of(16 << 10), 15);
        assert_eq!(class_of(32 << 10), 16);
        assert_eq!(class_of((1 << 20) - 1), 20);
        assert_eq!(class_of(1 << 20), 21);
        assert_eq!(class_of(1 << 40), 33);
    }
}

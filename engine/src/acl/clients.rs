//! Clients whose user has changed or gone.
//!
//! Invariant: no client is a user that is not there.

use super::Revoked;
use crate::effects::{Effect, Effects};
use crate::input::ConnId;
use crate::session::{Session, UserId};
use crate::state::State;

impl State {
    /// Closes a client, but not the running one, at once: its peer may have stopped reading, which
    /// can be the reason to close it.
    pub(crate) fn end_client(&mut self, conn: ConnId, fx: &mut Effects) {
        if let Some(session) = self.sessions.find_mut(conn) {
            session.kill();
            self.waits.end(session);
            self.pubsub.end(session);
            fx.push(Effect::Abort(conn));
        }
        self.count_client(conn);
    }

    /// Makes clients, but for the running one, the default user and closes them: their user has
    /// gone.
    pub(crate) fn end_clients_of(&mut self, is_gone: impl Fn(UserId) -> bool, fx: &mut Effects) {
        // A script that goes on in a later step outlives its client.
        if let Some(running) = &mut self.running_script
            && is_gone(running.stage.session.user)
        {
            running.stage.session.lose_user();
        }
        if let Some(rest) = self.running_script.as_mut().and_then(|running| running.rest.as_mut())
            && is_gone(rest.user)
        {
            (rest.user, rest.authenticated) = (UserId::DEFAULT, false);
        }
        for conn in self.sessions.ids() {
            if let Some(session) = self.sessions.find_mut(conn)
                && is_gone(session.user)
            {
                session.lose_user();
                self.end_client(conn, fx);
            }
        }
    }

    /// Closes the clients, but for the running one, that use channels which their user may use no
    /// more.
    pub(crate) fn end_clients_that_lost(&mut self, revoked: &Revoked, fx: &mut Effects) {
        for conn in self.sessions.ids() {
            if self.sessions.find(conn).is_some_and(|session| revoked.concerns(session)) {
                self.end_client(conn, fx);
            }
        }
    }
}

impl Revoked {
    /// Whether a client uses channels that its user may use no more.
    pub(crate) fn concerns(&self, session: &Session) -> bool {
        let mut channels = session.channels_in_use();
        session.user == self.user
            && !session.closing
            && channels.any(|(channel, is_pattern)| !self.allows(channel, is_pattern))
    }
}

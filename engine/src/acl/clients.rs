//! Clients whose user has changed or gone.
//!
//! Invariant: no client is a user that is not there.

use crate::effects::{Effect, Effects};
use crate::session::UserId;
use crate::state::State;

impl State {
    /// Makes clients, but for the running one, the default user and closes them: their user has
    /// gone.
    pub(crate) fn end_clients_of(&mut self, is_gone: impl Fn(UserId) -> bool, fx: &mut Effects) {
        for conn in self.sessions.ids() {
            if let Some(session) = self.sessions.find_mut(conn)
                && is_gone(session.user)
            {
                session.lose_user();
                self.waits.end(session);
                session.kill();
                fx.push(Effect::Abort(conn));
            }
        }
    }
}

//! Clients that together take more memory than they may, and keys that are still to be evicted.
//!
//! Invariant: when a command runs, clients were under their limit when its step began, or only
//! those are left that must not be evicted. What a step writes may leave before it counts, as in
//! Redis.

use super::Engine;
use crate::effects::{Effect, Effects, LogLevel};
use crate::input::Input;

impl Engine {
    /// Whether the timer is to go on evicting. During a pause the data does not change.
    pub(super) fn must_evict(&self) -> bool {
        self.state.eviction.is_pending() && self.state.pause.is_none()
    }

    /// Closes clients, the biggest first, until the others are under the limit.
    pub(super) fn evict_clients(&mut self, input: &Input<'_>, fx: &mut Effects) {
        // These make clients smaller: the next input will tell.
        if matches!(input, Input::Sent { .. } | Input::Closed { .. }) {
            return;
        }
        for conn in self.state.clients_to_evict() {
            let Some(session) = self.state.sessions.find(conn) else { continue };
            let text = format!(
                "Evicting client: id={} addr={} laddr={} name={} tot-mem={} cmd={}",
                session.id.0,
                session.address(),
                session.local_address(),
                String::from_utf8_lossy(&session.name),
                session.counted_bytes,
                session.last_command,
            );
            fx.push(Effect::Log(LogLevel::Notice, text));
            self.state.end_client(conn, fx);
            self.state.count_client(conn);
            self.state.eviction.clients += 1;
        }
    }
}

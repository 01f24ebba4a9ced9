//! The rest of transactions that a planted bug has torn; see [`crate::planted`].

use super::Engine;
use crate::commands::Cx;
use crate::commands::planted::run_rest;
use crate::commands::table::table;
use crate::effects::{Effect, Effects};
use crate::resp::Reply;

impl Engine {
    /// Goes on with the transaction whose time has come. If its client has gone, so has the rest.
    #[cold]
    pub(super) fn mend(&mut self, fx: &mut Effects) {
        let now = self.now;
        let Some(torn) = self.state.harm.as_mut().and_then(|harm| harm.take_torn(now.mono)) else {
            return;
        };
        let Some(mut session) = self.state.sessions.take(torn.conn) else { return };
        let out = core::mem::take(&mut session.outbox);
        let mut reply = Reply { out, protocol: session.protocol };
        let mut cx = Cx {
            state: &mut self.state,
            session: &mut session,
            reply: &mut reply,
            fx,
            now,
            row: &table().rows()[0],
            retry: false,
            may_block: true,
            is_carried: false,
        };
        run_rest(&mut cx, &torn);
        session.outbox = reply.out;
        session.blocked = None;
        fx.push(Effect::Flush(torn.conn));
        fx.push(Effect::Resume(torn.conn));
        self.state.sessions.put_back(session);
        self.state.count_client(torn.conn);
    }
}

//! `maxmemory`, before a command runs: keys are evicted, and what would take more memory is refused
//! when nothing is left to evict.
//!
//! Invariant: a script is judged by how it was before its first command, as in Redis: its own
//! memory does not stop it half-way.

use super::Cx;
use super::spec::Flags;
use crate::args::Args;
use crate::error::Error;
use crate::evict::Room;
use crate::script::Promises;

/// Memory is over its limit.
pub(super) const OUT_OF_MEMORY: Error =
    Error::fixed("OOM command not allowed when used memory > 'maxmemory'.");

/// Evicts, and refuses the command if that was in vain and it might take memory.
pub(super) fn check(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    // A script of another client runs, or the client has waited and was let in before.
    if cx.retry || cx.state.running_script.is_some() {
        return Ok(());
    }
    let running_bytes = cx.state.client_bytes(cx.session) + cx.reply.out.len();
    let is_limited = cx.state.config.eviction.bytes_max > 0;
    let began = if is_limited { cx.begin_event() } else { None };
    let is_full = cx.state.make_room(cx.now.mono, running_bytes) == Room::None;
    cx.end_event(began, "eviction-cycle");
    if is_full && takes_memory(cx, args) {
        return Err(OUT_OF_MEMORY);
    }
    cx.state.eviction.is_full = is_full;
    Ok(())
}

/// Whether the command may take memory: to queue it takes some, too, and for EXEC it depends on
/// what is queued.
fn takes_memory(cx: &Cx<'_>, args: Args<'_>) -> bool {
    let stays_in_transaction =
        cx.session.transaction.is_some() && !cx.row.command.flags.has(Flags::ENDS_TRANSACTION);
    stays_in_transaction || cx.flags_of_all(args).has(Flags::DENYOOM)
}

/// Whether a script may begin. Mostly the gate has judged it already by what it promises; not when
/// EXEC runs one that was not known when it was queued.
pub(super) fn check_script(cx: &Cx<'_>, promises: Promises) -> Result<(), Error> {
    let may_take = promises.given && !promises.allow_oom && !promises.no_writes;
    if may_take && cx.state.eviction.is_full {
        return Err(Error::fixed(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > \
             'maxmemory'",
        ));
    }
    Ok(())
}

/// Whether a script may not run the command of `cx`: once it has written it may go on.
pub(super) fn refuses_call(cx: &Cx<'_>, promises: Promises, has_written: bool) -> bool {
    cx.row.command.flags.has(Flags::DENYOOM)
        && !has_written
        && !promises.allow_oom
        && cx.state.eviction.is_full
}

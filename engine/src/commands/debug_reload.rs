//! DEBUG RELOAD: all keys are written to the snapshot file, all data goes, and what the file holds
//! is read. DEBUG LOADAOF does the same with the append-only file.
//!
//! Invariant: nothing goes before the file is whole and safe. While it is written nobody else is
//! served; while it is read others are told that the server is loading.

use super::Cx;
use crate::args::Args;
use crate::error::Error;
use crate::persistence::{Reason, Reload};
use crate::session::Blocked;

/// `DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]`
pub(super) fn reload(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (mut saves, mut flushes, mut merges) = (true, true, false);
    for index in 2..args.len() {
        if args.is(index, "MERGE") {
            merges = true;
        } else if args.is(index, "NOFLUSH") {
            flushes = false;
        } else if args.is(index, "NOSAVE") {
            saves = false;
        } else {
            let text = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";
            return Err(Error::fixed(text));
        }
    }
    if !cx.may_block() {
        return Err(Error::fixed("ERR DEBUG RELOAD waits for the disk: not in a transaction"));
    }
    let persistence = &cx.state.persistence;
    let is_busy = persistence.saving.as_ref().is_some_and(|it| it.reason != Reason::Background);
    if is_busy || persistence.is_loading() {
        return Err(Error::fixed("ERR Error trying to load the RDB dump, check server logs"));
    }
    let reload = Reload { conn: cx.session.id, flushes, merges };
    if saves {
        cx.state.begin_save(Reason::Reload(reload), cx.now, cx.fx);
    } else {
        cx.state.load_again(reload, cx.now, cx.fx);
    }
    cx.session.blocked = Some(Blocked::Driver);
    Ok(())
}

/// `DEBUG LOADAOF`
pub(super) fn load_log(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    if !cx.may_block() {
        return Err(Error::fixed("ERR DEBUG LOADAOF waits for the disk: not in a transaction"));
    }
    let persistence = &mut cx.state.persistence;
    if persistence.is_loading() {
        return Err(Error::fixed("ERR Error trying to load the AOF files, check server logs"));
    }
    persistence.reloads_log = Some(cx.session.id);
    cx.session.blocked = Some(Blocked::Driver);
    Ok(())
}

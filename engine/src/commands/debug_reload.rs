//! DEBUG RELOAD: all keys are written as an RDB file, all data goes, and what was written is read
//! again.
//!
//! Invariant: nothing goes before everything was written and read back once. The file lies in
//! memory meanwhile: there is none on disk yet.

use super::Cx;
use crate::args::Args;
use crate::error::Error;
use crate::snapshot::{Setting, file};
use crate::time::UnixMillis;

/// `DEBUG RELOAD`
pub(super) fn reload(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 2 {
        // NOSAVE, NOFLUSH and MERGE speak of a file.
        return Err(Error::fixed("ERR DEBUG RELOAD has no options until there are snapshot files"));
    }
    let usage = cx.state.usage();
    let (encodings, hash_key) = (&cx.state.config.encodings, cx.state.hash_key);
    let bytes = file::write(&mut cx.state.keyspace, &usage, encodings);
    let Ok(keys) = file::read(&bytes, &Setting { encodings, hash_key }) else {
        return Err(Error::fixed("ERR Error trying to load the RDB dump, check server logs"));
    };
    for index in 0..cx.state.keyspace.count() {
        if !cx.state.keyspace.db(index).is_empty() {
            cx.state.touch_watched(index, None);
            cx.state.keyspace.flush(index, false);
        }
    }
    for file::Key { db, key, value, head } in keys {
        let deadline = head.deadline_ms.map(UnixMillis);
        // Keys whose time is over are not loaded.
        if deadline.is_none_or(|deadline| deadline >= cx.state.keyspace.now()) {
            let access = cx.state.access_of_loaded(head.idle_secs, head.frequency);
            value.store(|value| cx.state.keyspace.set(db, &key, value, deadline, access));
        }
    }
    (0..cx.state.keyspace.count()).for_each(|index| cx.state.waits.touch_all(index));
    cx.reply.ok();
    Ok(())
}

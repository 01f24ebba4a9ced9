//! DEBUG RELOAD: every value is written in the form of snapshots, all data goes, and what was
//! written is read again.
//!
//! Invariant: nothing goes before everything was written and read back once. The bytes lie in
//! memory meanwhile: there is no snapshot file yet.

use super::Cx;
use crate::args::Args;
use crate::error::Error;
use crate::snapshot::{Loaded, Setting, load, save};
use crate::time::UnixMillis;
use crate::value::rdb;

/// A key whose value was written and read back.
struct Reloaded {
    key: Vec<u8>,
    value: Loaded,
    deadline: Option<UnixMillis>,
    access: u32,
}

/// `DEBUG RELOAD`
pub(super) fn reload(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 2 {
        // NOSAVE, NOFLUSH and MERGE speak of a file.
        return Err(Error::fixed("ERR DEBUG RELOAD has no options until there are snapshot files"));
    }
    let databases = cx.state.keyspace.count();
    let reloaded: Vec<Vec<Reloaded>> =
        (0..databases).map(|index| read_back(cx, index)).collect::<Result<_, _>>()?;
    for (index, keys) in reloaded.into_iter().enumerate() {
        if !cx.state.keyspace.db(index).is_empty() {
            cx.state.touch_watched(index, None);
            cx.state.keyspace.flush(index, false);
        }
        for Reloaded { key, value, deadline, access } in keys {
            value.store(|value| cx.state.keyspace.set(index, &key, value, deadline, access));
        }
        cx.state.waits.touch_all(index);
    }
    cx.reply.ok();
    Ok(())
}

/// The values of a database as they are after their way through bytes.
fn read_back(cx: &Cx<'_>, index: usize) -> Result<Vec<Reloaded>, Error> {
    let db = cx.state.keyspace.db(index);
    let (encodings, hash_key) = (&cx.state.config.encodings, cx.state.hash_key);
    let mut keys = Vec::new();
    let mut is_intact = true;
    let mut cursor = 0;
    loop {
        cursor = db.scan(cursor, |key, found| {
            // Keys whose time is over are not loaded.
            if cx.state.keyspace.is_expired(index, found) {
                return;
            }
            let payload = save(db.value(found), encodings).into_payload();
            let value = rdb::open(&payload).and_then(|(dialect, value)| {
                load(value, dialect, &Setting { encodings, hash_key }).ok()
            });
            let Some(value) = value else {
                is_intact = false;
                return;
            };
            let (deadline, access) = (db.deadline(found), db.access(found));
            keys.push(Reloaded { key: key.to_vec(), value, deadline, access });
        });
        if cursor == 0 {
            break;
        }
    }
    if is_intact {
        Ok(keys)
    } else {
        Err(Error::fixed("ERR Error trying to load the RDB dump, check server logs"))
    }
}

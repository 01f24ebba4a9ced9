//! Counting the keys of commands, for HOTKEYS and for the report that is always kept.

use super::Cx;
use super::measure::request_bytes;
use super::spec::Group;
use super::table::Row;
use crate::args::Args;
use crate::time::{Instant, Micros};

/// Ends the collection if its time is up.
pub(crate) fn end_if_due(cx: &mut Cx<'_>) {
    let Some(session) = &cx.state.observer.hot_keys.session else { return };
    if let Some(until) = session.until()
        && session.ended.is_none()
        && until <= cx.now.mono
    {
        stop(cx, until);
    }
}

/// Ends the collection as of `at`.
pub(crate) fn stop(cx: &mut Cx<'_>, at: Instant) {
    let after = figures(cx);
    if let Some(session) = &mut cx.state.observer.hot_keys.session {
        session.ended = Some(at);
        session.after = Some(after);
    }
    cx.state.configure_observer();
}

/// The process's figures now; see [`Session::before`].
pub(crate) fn figures(cx: &Cx<'_>) -> [u64; 3] {
    let (vitals, stats) = (&cx.state.vitals, &cx.state.stats);
    [vitals.cpu_user_us, vitals.cpu_system_us, stats.bytes_in + stats.bytes_out]
}

/// Counts a command that has run.
#[cold]
pub(super) fn note(
    cx: &mut Cx<'_>,
    row: &'static Row,
    args: Args<'_>,
    duration: Micros,
    reply_bytes: usize,
    is_sampled: bool,
) {
    end_if_due(cx);
    let bytes = request_bytes(args) + reply_bytes as u64;
    let hot = &mut cx.state.observer.hot_keys;
    if let Some(session) = &mut hot.session
        && session.ended.is_none()
        && !cx.session.is_script
    {
        session.total_micros += duration.0;
        session.total_bytes += bytes;
    }
    let counts = hot.counts();
    // The commands of a script count, not the keys that it declares.
    if row.command.group == Group::Scripting || !counts && !is_sampled {
        return;
    }
    match row.plain_range(args) {
        Some((first, last, step)) => {
            let keys = (first..last + 1).step_by(step);
            note_keys(cx, args, keys, duration.0, bytes, (counts, is_sampled));
        }
        None => {
            let mut keys = row.keys(args).unwrap_or_default();
            keys.retain(|key| !key.flags.contains(&"NOT_KEY"));
            let keys = keys.iter().map(|key| key.index);
            note_keys(cx, args, keys, duration.0, bytes, (counts, is_sampled));
        }
    }
    if is_sampled {
        cx.state.observer.hot_keys.end_sample();
    }
}

/// Counts the keys of a command: for the collection, for the report, or for both.
fn note_keys(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    keys: impl ExactSizeIterator<Item = usize>,
    micros: u64,
    bytes: u64,
    (counts, is_sampled): (bool, bool),
) {
    let each = keys.len().max(1) as u64;
    let db = cx.session.db;
    for key in keys {
        let key = args.at(key);
        let hot = &mut cx.state.observer.hot_keys;
        if counts && let Some(session) = &mut hot.session {
            session.micros.add(db, key, micros.div_ceil(each));
            session.bytes.add(db, key, bytes.div_ceil(each));
        }
        if is_sampled {
            let keyspace = cx.state.keyspace.db(db);
            let size = keyspace.find(key).map(|found| keyspace.entry_bytes(found) as u64);
            hot.report((db, key), micros / each, bytes / each, size);
        }
    }
}

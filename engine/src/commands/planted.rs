//! Where planted bugs harm transactions and replies; see [`crate::planted`]. Nothing here runs in a
//! server that has none.

use core::ops::Range;

use super::Cx;
use super::dispatch::run;
use super::spec::{Flags, Group};
use super::table::table;
use crate::args::{Args, Words};
use crate::planted::PlantedBug;
use crate::session::{Blocked, Transaction};
use crate::state::Torn;
use crate::time::Micros;

/// One transaction of this many that could be torn is.
const TORN_ONE_IN: u64 = 4;
/// How long the rest of a torn transaction waits.
const TORN_TIME: Micros = Micros::from_millis(50);
/// One reply of this many that could be stale is.
const STALE_ONE_IN: u64 = 4;
/// Replies that are kept.
const REPLIES_MAX: usize = 64;

/// Runs the first half of a transaction now and the rest later; or gives it back, to be run as it
/// should.
pub(super) fn tear(cx: &mut Cx<'_>, transaction: Box<Transaction>) -> Option<Box<Transaction>> {
    if cx.state.harm.is_none() { Some(transaction) } else { tear_some(cx, transaction) }
}

#[cold]
fn tear_some(cx: &mut Cx<'_>, transaction: Box<Transaction>) -> Option<Box<Transaction>> {
    let is_script = |row: usize| {
        let command = table().rows()[row].command;
        command.group == Group::Scripting || command.carries.is_some()
    };
    let has_script = transaction.commands().any(|(row, _)| is_script(row));
    let can_be_torn = cx.may_block() && transaction.len() > 1 && !has_script;
    let Some(harm) = &mut cx.state.harm else { return Some(transaction) };
    if harm.bug != PlantedBug::TornExec || !can_be_torn || harm.torn.is_some() {
        return Some(transaction);
    }
    harm.chances += 1;
    if !harm.chances.is_multiple_of(TORN_ONE_IN) {
        return Some(transaction);
    }
    let done = transaction.len() / 2;
    cx.reply.array(transaction.len());
    run_some(cx, &transaction, 0..done);
    cx.session.blocked = Some(Blocked::ScriptOfAnother);
    let (conn, until) = (cx.session.id, cx.now.mono + TORN_TIME);
    if let Some(harm) = &mut cx.state.harm {
        harm.torn = Some(Torn { conn, transaction, done, until });
    }
    None
}

/// Runs the rest of a torn transaction.
#[cold]
pub(crate) fn run_rest(cx: &mut Cx<'_>, torn: &Torn) {
    run_some(cx, &torn.transaction, torn.done..torn.transaction.len());
}

fn run_some(cx: &mut Cx<'_>, transaction: &Transaction, places: Range<usize>) {
    let (exec, may_block) = (cx.row, core::mem::replace(&mut cx.may_block, false));
    for (row, args) in transaction.commands().take(places.end).skip(places.start) {
        cx.row = &table().rows()[row];
        let start = cx.reply.out.len();
        run(cx, args, start);
    }
    (cx.row, cx.may_block) = (exec, may_block);
}

/// Replaces the reply of a command that only reads by what the same command replied before, now and
/// then.
#[cold]
pub(super) fn spoil_reply(cx: &mut Cx<'_>, args: Args<'_>, start: usize) {
    let reads = cx.row.command.flags.has(Flags::READONLY);
    let Some(harm) = &mut cx.state.harm else { return };
    if harm.bug != PlantedBug::StaleReply || !reads {
        return;
    }
    let words = Words::new(args.from(0));
    let reply = cx.reply.out[start..].to_vec();
    let before = harm.replies.iter().position(|(other, _)| *other == words);
    let before = before.map(|at| harm.replies.remove(at).1);
    if harm.replies.len() >= REPLIES_MAX {
        harm.replies.remove(0);
    }
    harm.replies.push((words, reply.clone()));
    if let Some(before) = before.filter(|before| *before != reply) {
        harm.chances += 1;
        if harm.chances.is_multiple_of(STALE_ONE_IN) {
            cx.reply.out.truncate(start);
            cx.reply.out.extend_from_slice(&before);
        }
    }
}

//! Transactions: commands that are queued and then run as one, unless a watched key has changed.
//!
//! Invariant: between the first and the last command of a transaction nothing else happens, and
//! afterwards, however it ended, its client has no transaction and watches nothing.

use super::Cx;
use super::acl_gate::Place;
use super::dispatch::{fail, run};
use super::planted;
use super::spec::{Command, Flags, Group, all_keys};
use super::table::table;
use crate::args::Args;
use crate::error::Error;
use crate::session::{Blocked, Rest, Transaction};

const TRANSACTION: Command = Command {
    arity: 1,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    group: Group::Transactions,
    ..Command::ROW
};
const AT_ONCE: Flags = TRANSACTION.flags.and(Flags::FAST).and(Flags::ALLOW_BUSY);

const ENDS: Flags = Flags::NEVER_QUEUED.and(Flags::ENDS_TRANSACTION);
const RUNS: Flags = ENDS.and(Flags::RUNS_QUEUED);

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "MULTI",
        flags: AT_ONCE.and(Flags::NEVER_QUEUED),
        since: "1.2.0",
        summary: "Begins a transaction: the commands that follow are queued.",
        reply: "ok",
        run: begin,
        ..TRANSACTION
    },
    Command {
        name: "EXEC",
        flags: TRANSACTION.flags.and(Flags::SKIP_SLOWLOG).and(RUNS),
        since: "1.2.0",
        complexity: "Depends on the commands in the transaction",
        summary: "Runs the queued commands, unless a watched key has changed.",
        reply: "array<any> | null",
        run: exec,
        ..TRANSACTION
    },
    Command {
        name: "DISCARD",
        flags: AT_ONCE.and(ENDS),
        since: "2.0.0",
        complexity: "O(N) where N is the number of queued commands",
        summary: "Throws the queued commands away.",
        reply: "ok",
        run: discard,
        ..TRANSACTION
    },
    Command {
        name: "WATCH",
        syntax: "key [key ...]",
        arity: -2,
        flags: AT_ONCE.and(Flags::NEVER_QUEUED),
        keys: &[all_keys(&["RO"])],
        since: "2.2.0",
        complexity: "O(1) for every key",
        summary: "Watches keys: the next transaction runs only if none of them has changed.",
        reply: "ok",
        run: watch,
        ..TRANSACTION
    },
    Command {
        name: "UNWATCH",
        flags: AT_ONCE,
        since: "2.2.0",
        summary: "Forgets all watched keys.",
        reply: "ok",
        run: unwatch,
        ..TRANSACTION
    },
];

fn begin(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    if cx.session.transaction.is_some() {
        return Err(Error::fixed("ERR MULTI calls can not be nested"));
    }
    cx.session.transaction = Some(Box::default());
    cx.reply.ok();
    Ok(())
}

fn exec(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    let Some(transaction) = cx.session.transaction.take() else {
        return Err(Error::fixed("ERR EXEC without MULTI"));
    };
    let is_spoilt = cx.state.is_spoilt(cx.session.id);
    cx.state.watches.forget(cx.session.id);
    if transaction.is_refused() {
        return Err(Error::fixed("EXECABORT Transaction discarded because of previous errors."));
    }
    if is_spoilt {
        cx.reply.null_array();
        return Ok(());
    }
    let Some(transaction) = planted::tear(cx, transaction) else { return Ok(()) };
    let start = cx.reply.out.len();
    cx.reply.array(transaction.len());
    run_from(cx, transaction, 0, start);
    Ok(())
}

/// Runs the commands of a transaction from number `next` on; its reply begins at `start`. None of
/// them waits: its client would hold up all others. A script that takes more than a step takes the
/// rest of the transaction with it.
fn run_from(cx: &mut Cx<'_>, transaction: Box<Transaction>, next: usize, start: usize) {
    let exec = cx.row;
    let may_block = core::mem::replace(&mut cx.may_block, false);
    let (mut left_at, mut is_refused) = (None, false);
    for (index, (row, args)) in transaction.commands().enumerate().skip(next) {
        cx.row = &table().rows()[row];
        cx.session.last_command = cx.row.full_name;
        let start_of_one = cx.reply.out.len();
        // The rules may have changed since the command was queued.
        let permitted = cx.permit(cx.row, args, Place::Exec);
        is_refused = permitted.is_err();
        match permitted {
            Ok(()) => run(cx, args, start_of_one),
            Err(error) => {
                cx.reply.error(&error);
                cx.state.count_error(&error.code());
            }
        }
        if cx.session.blocked == Some(Blocked::Script) {
            left_at = Some(index + 1);
            break;
        }
    }
    if let Some(next) = left_at {
        let reply = cx.reply.out.split_off(start);
        let rest = Rest::new(transaction, next, exec.index, cx.session, reply);
        let running = cx.state.running_script.as_mut();
        running.expect("its client is in the middle of it").rest = Some(Box::new(rest));
    }
    // As in Redis, for which the error of the last one is EXEC's own.
    cx.state.stats.by_command[exec.index].failed += u64::from(is_refused);
    cx.may_block = may_block;
    cx.row = exec;
    cx.session.last_command = exec.full_name;
}

/// A script in a transaction has ended: writes its error, if it failed, and goes on with the rest.
/// The script's command is that of row `row`; what is replied in this step begins at `start`.
pub(crate) fn go_on(
    cx: &mut Cx<'_>,
    rest: Rest,
    (row, script): (usize, Result<(), Error>),
    start: usize,
) {
    let Rest { transaction, next, exec, reply, .. } = rest;
    // What the script itself replied comes behind what the commands before it did.
    let last = cx.reply.out.split_off(start);
    cx.reply.out.extend_from_slice(&reply);
    cx.reply.out.extend_from_slice(&last);
    if let Err(error) = script {
        fail(cx, row, &error);
    }
    cx.row = &table().rows()[exec];
    run_from(cx, transaction, next, start);
}

fn discard(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    if cx.session.transaction.take().is_none() {
        return Err(Error::fixed("ERR DISCARD without MULTI"));
    }
    cx.state.watches.forget(cx.session.id);
    cx.reply.ok();
    Ok(())
}

fn watch(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if cx.session.transaction.is_some() {
        return Err(Error::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    for key in args.from(1) {
        // One whose time is over goes now, or its end would look like a change later.
        cx.find(key);
        cx.state.tell_lapsed();
        cx.state.watches.watch(cx.session.id, cx.session.db, key);
    }
    cx.reply.ok();
    Ok(())
}

fn unwatch(cx: &mut Cx<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.state.watches.forget(cx.session.id);
    cx.reply.ok();
    Ok(())
}

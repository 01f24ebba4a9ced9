//! Waiting for replicas: WAIT and WAITAOF.
//!
//! There are no replicas yet, so nobody ever acknowledges: a client that asks for an
//! acknowledgement waits until its patience ends. The shape is the one that replication will use.

use super::Cx;
use super::arguments::{integer, until_after_millis};
use super::spec::{Command, Flags, Group};
use crate::args::Args;
use crate::error::Error;
use crate::persistence::SyncWait;
use crate::session::{TimedOut, Wait};
use crate::time::Instant;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "WAIT",
        syntax: "numreplicas:integer timeout:integer",
        arity: 3,
        flags: Flags::BLOCKING,
        categories: &["connection", "-keyspace"],
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        group: Group::Generic,
        since: "3.0.0",
        summary: "Waits until as many replicas have acknowledged the client's writes, or a \
            time-out in milliseconds.",
        reply: "integer",
        run: wait,
        ..Command::ROW
    },
    Command {
        name: "WAITAOF",
        syntax: "numlocal:integer numreplicas:integer timeout:integer",
        arity: 4,
        flags: Flags::BLOCKING,
        categories: &["connection", "-keyspace"],
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        group: Group::Generic,
        since: "7.2.0",
        summary: "Waits until the client's writes are in the append-only files of this server and \
            of replicas, or a time-out in milliseconds.",
        reply: "[integer, integer]",
        run: waitaof,
        ..Command::ROW
    },
];

/// `WAIT numreplicas timeout`
fn wait(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let replicas = integer(args.at(1))?;
    let until = until_after_millis(cx, args.at(2))?;
    if replicas <= 0 {
        cx.reply.integer(0);
    } else {
        block(cx, until, TimedOut::Zero);
    }
    Ok(())
}

/// `WAITAOF numlocal numreplicas timeout`
fn waitaof(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let local = integer(args.at(1))?;
    if !(0..=1).contains(&local) {
        return Err(Error::fixed("ERR value is out of range, must be between 0 and 1"));
    }
    let replicas = integer(args.at(2))?;
    if replicas < 0 {
        return Err(Error::fixed("ERR value is out of range, must be positive"));
    }
    let until = until_after_millis(cx, args.at(3))?;
    let Some(aof) = &cx.state.persistence.aof else {
        if local > 0 {
            return Err(Error::fixed(
                "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
            ));
        }
        if replicas == 0 {
            cx.reply.array(2);
            cx.reply.integer(0);
            cx.reply.integer(0);
        } else {
            block(cx, until, TimedOut::TwoZeroes);
        }
        return Ok(());
    };
    let position = cx.state.log.position();
    let is_synced = aof.synced() >= position;
    if replicas == 0 && (is_synced || local == 0) || !cx.may_block() {
        cx.reply.array(2);
        cx.reply.integer(is_synced.into());
        cx.reply.integer(0);
        return Ok(());
    }
    let waits = SyncWait { position, is_enough: replicas == 0 };
    cx.state.persistence.sync_waits.insert(cx.session.id, waits);
    block(cx, until, TimedOut::TwoZeroes);
    Ok(())
}

fn block(cx: &mut Cx<'_>, until: Option<Instant>, timed_out: TimedOut) {
    if !cx.may_block() {
        timed_out.write(cx.reply);
        return;
    }
    cx.state.waits.begin(cx.session, Wait { until, timed_out });
}

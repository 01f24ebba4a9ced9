//! XCLAIM and XAUTOCLAIM: pending entries change their owner.
//!
//! What is pending but no longer in the stream is dropped on the way.

use super::Cx;
use super::spec::{Command, one_key};
use super::stream_effects::Records;
use super::stream_words::{
    ROW, WRITE_FAST, changed_silently, close_array, interval_start, no_key_or_group, quoted,
    reply_entry, reply_id, stream_at, strict_id, wake,
};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;
use crate::resp::Reply;
use crate::value::number::parse_integer;
use crate::value::stream::{Claim, Deliveries, Entry, Group, Log, Stream, StreamId};

/// XAUTOCLAIM looks at so many pending entries for each that it may claim.
const LOOKS_PER_ENTRY: usize = 10;
/// A greater count is an error, as in Redis, whose numbers would overflow.
const COUNT_MAX: i64 = i64::MAX / 16;
const COUNT_TOO_SMALL: &str = "ERR COUNT must be > 0";

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "XCLAIM",
        syntax: "key group consumer min-idle-time id [id ...] [IDLE ms:integer] \
            [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        arity: -6,
        flags: WRITE_FAST,
        keys: &[one_key(&["RW", "UPDATE"])],
        tips: &["nondeterministic_output"],
        complexity: "O(log N) for each id where N is the number of pending entries",
        summary: "Makes a consumer the owner of pending entries.",
        reply: "array<[bulk, array<bulk>]> | array<bulk>",
        run: xclaim,
        ..ROW
    },
    Command {
        name: "XAUTOCLAIM",
        syntax: "key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
        arity: -6,
        flags: WRITE_FAST,
        keys: &[one_key(&["RW", "DELETE"])],
        tips: &["nondeterministic_output"],
        since: "6.2.0",
        complexity: "O(N) where N is the number of entries to claim",
        summary: "Makes a consumer the owner of pending entries that nobody has looked after.",
        reply: "[bulk, array<[bulk, array<bulk>]> | array<bulk>, array<bulk>]",
        run: xautoclaim,
        ..ROW
    },
];

/// The found key of a stream that has the group.
fn find_group(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Found, Error> {
    let (key, group) = (args.at(1), args.at(2));
    let found = cx.find_read(key).ok_or_else(|| no_key_or_group(key, group))?;
    match stream_at(cx, found)?.group(group) {
        Some(_) => Ok(found),
        None => Err(no_key_or_group(key, group)),
    }
}

fn number(word: &[u8], error: &'static str) -> Result<i64, Error> {
    parse_integer(word).ok_or_else(|| Error::fixed(error))
}

/// The options of XCLAIM.
#[derive(Debug)]
struct Options {
    min_idle_ms: u64,
    ids: Vec<StreamId>,
    delivered_ms: u64,
    deliveries: Deliveries,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Options {
    fn parse(args: Args<'_>, now_ms: u64) -> Result<Self, Error> {
        let min_idle = number(args.at(4), "ERR Invalid min-idle-time argument for XCLAIM")?;
        // What is no id may be an option.
        let ids: Vec<StreamId> = args.from(5).map_while(|word| strict_id(word).ok()).collect();
        let mut index = 5 + ids.len();
        let (mut delivered, mut retry_count) = (None, None);
        let (mut force, mut just_id, mut last_id) = (false, false, StreamId::MIN);
        while index < args.len() {
            let value = args.opt(index + 1);
            index += 2;
            match value {
                _ if args.is(index - 2, "FORCE") => {
                    force = true;
                    index -= 1;
                }
                _ if args.is(index - 2, "JUSTID") => {
                    just_id = true;
                    index -= 1;
                }
                Some(word) if args.is(index - 2, "IDLE") => {
                    let idle = number(word, "ERR Invalid IDLE option argument for XCLAIM")?;
                    delivered = Some((now_ms as i64).wrapping_sub(idle));
                }
                Some(word) if args.is(index - 2, "TIME") => {
                    let error = "ERR Invalid TIME option argument for XCLAIM";
                    delivered = Some(number(word, error)?);
                }
                Some(word) if args.is(index - 2, "RETRYCOUNT") => {
                    let error = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
                    retry_count = Some(number(word, error)?);
                }
                Some(word) if args.is(index - 2, "LASTID") => last_id = strict_id(word)?,
                _ => {
                    let word = quoted(args.at(index - 2));
                    return Err(Error::text(format!("ERR Unrecognized XCLAIM option '{word}'")));
                }
            }
        }
        // A time that makes no sense is now.
        let delivered = delivered.and_then(|at| u64::try_from(at).ok());
        let kept = if just_id { Deliveries::Keep } else { Deliveries::Add };
        let set = retry_count.filter(|&count| count >= 0).map(Deliveries::Set);
        Ok(Self {
            min_idle_ms: u64::try_from(min_idle).unwrap_or(0),
            ids,
            delivered_ms: delivered.filter(|&at| at <= now_ms).unwrap_or(now_ms),
            deliveries: set.unwrap_or(kept),
            force,
            just_id,
            last_id,
        })
    }
}

/// What a claim has done.
#[derive(Debug, Default)]
struct Outcome {
    made_consumer: bool,
    changed: bool,
    /// What is logged.
    records: Records,
}

impl Outcome {
    fn new(records: Records) -> Self {
        Self { made_consumer: false, changed: false, records }
    }

    fn report(self, cx: &mut Cx<'_>, key: &[u8]) {
        self.records.log(cx);
        if self.made_consumer {
            cx.announce(key, "xgroup-createconsumer");
        }
        if self.changed {
            changed_silently(cx);
            // Others may wait for entries that have been pending for a time.
            wake(cx, key);
        }
    }
}

/// Who claims. It is made when it gets its first entry.
struct Claimant<'a> {
    name: &'a [u8],
    now_ms: u64,
    just_id: bool,
}

impl Claimant<'_> {
    /// Takes an entry over and replies with it.
    fn take(
        &self,
        group: &mut Group,
        entry: Entry<'_>,
        (delivered_ms, deliveries): (u64, Deliveries),
        reply: &mut Reply,
        outcome: &mut Outcome,
    ) {
        let owner = group.find_consumer(self.name).unwrap_or_else(|| {
            outcome.made_consumer = true;
            group.add_consumer(self.name, self.now_ms).expect("there is none with this name")
        });
        group.see_consumer(owner, self.now_ms);
        group.set_active(owner, Some(self.now_ms));
        group.claim(entry.id, Claim { owner, delivered_ms, deliveries });
        outcome.records.claim(group, entry.id);
        outcome.changed = true;
        if self.just_id {
            reply_id(reply, entry.id);
        } else {
            reply_entry(reply, entry);
        }
    }
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [...]`
fn xclaim(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let found = find_group(cx, args)?;
    let now_ms = cx.stream_now_ms();
    let options = Options::parse(args, now_ms)?;
    let claimant = Claimant { name: args.at(3), now_ms, just_id: options.just_id };
    let records = Records::new(cx, args.at(1));
    let outcome = cx.edit_found(found, |cx, stream: &mut Stream| {
        stream.edit_group(args.at(2), |log, group| {
            claim(cx.reply, log, group, &claimant, &options, Outcome::new(records))
        })
    })?;
    outcome.unwrap_or_default().report(cx, args.at(1));
    Ok(())
}

fn claim(
    reply: &mut Reply,
    log: &Log,
    group: &mut Group,
    claimant: &Claimant<'_>,
    options: &Options,
    mut outcome: Outcome,
) -> Outcome {
    let has_moved = options.last_id > group.last_delivered();
    if has_moved {
        group.set_position(options.last_id, group.entries_read());
        outcome.changed = true;
    }
    let start = reply.out.len();
    let mut len = 0;
    for &id in &options.ids {
        let Some(entry) = log.entry(id) else {
            outcome.records.claim(group, id);
            outcome.changed |= group.acknowledge(id);
            continue;
        };
        let is_due = match group.pending(id) {
            None => options.force,
            // What nobody owns needs no patience.
            Some(pending) => {
                pending.owner.is_none() || pending.idle_ms(claimant.now_ms) >= options.min_idle_ms
            }
        };
        if is_due {
            let what = (options.delivered_ms, options.deliveries);
            claimant.take(group, entry, what, reply, &mut outcome);
            len += 1;
        }
    }
    close_array(reply, start, len);
    if has_moved && outcome.records.is_empty() {
        outcome.records.position(group);
    }
    outcome
}

/// What XAUTOCLAIM looks for.
struct Search {
    min_idle_ms: u64,
    start: StreamId,
    count: usize,
    just_id: bool,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let min_idle = number(args.at(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
        let min_idle_ms = u64::try_from(min_idle).unwrap_or(0);
        let start = interval_start(args.at(5))?;
        let mut search = Self { min_idle_ms, start, count: 100, just_id: false };
        let mut index = 6;
        while index < args.len() {
            if args.is(index, "COUNT") && index + 1 < args.len() {
                let count = number(args.at(index + 1), COUNT_TOO_SMALL)?;
                if !(1..=COUNT_MAX).contains(&count) {
                    return Err(Error::fixed(COUNT_TOO_SMALL));
                }
                search.count = usize::try_from(count).unwrap_or(usize::MAX);
                index += 2;
            } else if args.is(index, "JUSTID") {
                search.just_id = true;
                index += 1;
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(search)
    }

    /// Claims what it finds; the reply is where to go on, what was claimed, what was dropped.
    fn run(
        &self,
        reply: &mut Reply,
        log: &Log,
        group: &mut Group,
        claimant: &Claimant<'_>,
        mut outcome: Outcome,
    ) -> Outcome {
        let (mut looks, mut left) = (self.count.saturating_mul(LOOKS_PER_ENTRY), self.count);
        let (mut claimed, mut dropped) = (0, Vec::new());
        let mut next = Some(self.start);
        let mut entries = Reply { out: Vec::new(), protocol: reply.protocol };
        while looks > 0 && left > 0 {
            looks -= 1;
            let pending = next.and_then(|next| group.pending_from(next).next());
            let Some(&pending) = pending else { break };
            next = pending.id.next();
            match log.entry(pending.id) {
                None => {
                    outcome.records.claim(group, pending.id);
                    outcome.changed |= group.acknowledge(pending.id);
                    dropped.push(pending.id);
                }
                Some(_) if pending.idle_ms(claimant.now_ms) < self.min_idle_ms => continue,
                Some(entry) => {
                    let deliveries = if self.just_id { Deliveries::Keep } else { Deliveries::Add };
                    let what = (claimant.now_ms, deliveries);
                    claimant.take(group, entry, what, &mut entries, &mut outcome);
                    claimed += 1;
                }
            }
            left -= 1;
        }
        let rest = next.and_then(|next| group.pending_from(next).next());
        reply.array(3);
        reply_id(reply, rest.map_or(StreamId::MIN, |pending| pending.id));
        reply.array(claimed);
        reply.out.extend_from_slice(&entries.out);
        reply.array(dropped.len());
        for id in dropped {
            reply_id(reply, id);
        }
        outcome
    }
}

/// `XAUTOCLAIM key group consumer min-idle-time start:string [COUNT count] [JUSTID]`
fn xautoclaim(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let search = Search::parse(args)?;
    let found = find_group(cx, args)?;
    let now_ms = cx.stream_now_ms();
    let claimant = Claimant { name: args.at(3), now_ms, just_id: search.just_id };
    let outcome = Outcome::new(Records::new(cx, args.at(1)));
    let outcome = cx.edit_found(found, |cx, stream: &mut Stream| {
        stream.edit_group(args.at(2), |log, group| {
            search.run(cx.reply, log, group, &claimant, outcome)
        })
    })?;
    outcome.unwrap_or_default().report(cx, args.at(1));
    Ok(())
}

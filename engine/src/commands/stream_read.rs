//! XREAD and XREADGROUP: what is new in streams, and what is pending with a consumer.
//!
//! Invariant: a command that waits has delivered nothing.

use super::Cx;
use super::arguments::{integer, until_after_millis};
use super::spec::{Begin, Command, Find, Flags, KeySpec};
use super::stream_budget::Budget;
use super::stream_effects::Records;
use super::stream_words::{
    ROW, changed_silently, close_array, close_pairs, open_pair, quoted, reply_entry, reply_fields,
    reply_id, stream_at, strict_id, wake,
};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;
use crate::resp::Reply;
use crate::session::{Kind, TimedOut, WaitFor};
use crate::time::{Instant, UnixMillis};
use crate::value::number::parse_integer;
use crate::value::stream::{
    Claim, ConsumerNumber, Deliveries, Entry, Group, Log, Stream, StreamId,
};

/// Entries that a client gets at most that has waited for them and said no number, as in Redis.
const WAITED_COUNT: usize = 1000;

const ENTRIES_BY_KEY: &str = "array<[bulk, array<[bulk, array<bulk>]>]> | \
    map<bulk, array<[bulk, array<bulk>]>> | null";
const GROUP_ENTRIES_BY_KEY: &str = "array<[bulk, array<[bulk, array<bulk> | null] | \
    [bulk, array<bulk>, integer, integer]>]> | map<bulk, array<[bulk, array<bulk> | null] | \
    [bulk, array<bulk>, integer, integer]>> | null";

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "XREAD",
        syntax: "[COUNT count] [MAXCOUNT maxcount:integer] [MAXSIZE maxsize:integer] \
            [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        arity: -4,
        flags: Flags::READONLY.and(Flags::BLOCKING),
        keys: &[KeySpec {
            flags: &["RO", "ACCESS"],
            begin: Begin::Keyword { word: "STREAMS", from: 1 },
            find: Find::FirstHalf,
        }],
        complexity: "O(N) where N is the number of entries returned",
        summary: "Returns entries after given ids, from several streams; waits for some if asked.",
        reply: ENTRIES_BY_KEY,
        run: xread,
        ..ROW
    },
    Command {
        name: "XREADGROUP",
        syntax: "GROUP group consumer [COUNT count] [MAXCOUNT maxcount:integer] \
            [MAXSIZE maxsize:integer] [BLOCK milliseconds] [CLAIM min-idle-time:integer] [NOACK] \
            STREAMS key [key ...] id [id ...]",
        arity: -7,
        flags: Flags::WRITE.and(Flags::BLOCKING),
        keys: &[KeySpec {
            flags: &["RO", "ACCESS"],
            begin: Begin::Keyword { word: "STREAMS", from: 4 },
            find: Find::FirstHalf,
        }],
        complexity: "O(N) where N is the number of entries returned",
        summary: "Returns entries that are new for a consumer group, or pending with a consumer.",
        reply: GROUP_ENTRIES_BY_KEY,
        run: xreadgroup,
        ..ROW
    },
];

/// The options before the keys.
#[derive(Debug, Default)]
struct Options<'a> {
    /// `None`: all.
    count: Option<usize>,
    /// Of all streams together.
    count_in_all: Option<usize>,
    bytes_in_all: Option<usize>,
    /// Whether to wait, and until when.
    block: Option<Option<Instant>>,
    /// Group and consumer.
    reader: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    min_idle_ms: Option<u64>,
    /// Where the keys are.
    keys_at: usize,
    keys: usize,
}

const NOT_IN_XREAD: [&str; 3] = [
    "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
    "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
    "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
];

impl<'a> Options<'a> {
    fn parse(cx: &Cx<'_>, args: Args<'a>, is_group: bool) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 1;
        while index < args.len() && options.keys_at == 0 {
            index += options.option(cx, args, index, is_group)?;
        }
        if options.keys_at == 0 {
            return Err(Error::Syntax);
        }
        if is_group && options.reader.is_none() {
            return Err(Error::fixed("ERR Missing GROUP option for XREADGROUP"));
        }
        if options.count_in_all.is_some_and(|in_all| options.count.is_some_and(|it| it > in_all)) {
            let text = "ERR MAXCOUNT must be greater than or equal to COUNT";
            return Err(Error::fixed(text));
        }
        Ok(options)
    }

    /// Takes the option at `index`; returns how many words it has.
    fn option(
        &mut self,
        cx: &Cx<'_>,
        args: Args<'a>,
        index: usize,
        is_group: bool,
    ) -> Result<usize, Error> {
        let only_in_groups = |option: usize| {
            if is_group { Ok(()) } else { Err(Error::fixed(NOT_IN_XREAD[option])) }
        };
        let value = args.opt(index + 1);
        match value {
            Some(_) if args.is(index, "BLOCK") && cx.session.is_script => {
                let name = String::from_utf8_lossy(args.at(0));
                let problem = "command is not allowed with BLOCK option from scripts";
                Err(Error::text(format!("ERR {name} {problem}")))
            }
            Some(word) if args.is(index, "BLOCK") => {
                self.block = Some(until_after_millis(cx, word)?);
                Ok(2)
            }
            Some(word) if args.is(index, "COUNT") => {
                let count = usize::try_from(integer(word)?).unwrap_or(0);
                self.count = Some(count).filter(|&count| count > 0);
                Ok(2)
            }
            Some(word) if args.is(index, "MAXCOUNT") => {
                self.count_in_all = Some(limit(word, "ERR MAXCOUNT must be positive")?);
                Ok(2)
            }
            Some(word) if args.is(index, "MAXSIZE") => {
                self.bytes_in_all = Some(limit(word, "ERR MAXSIZE must be positive")?);
                Ok(2)
            }
            Some(_) if args.is(index, "STREAMS") => {
                self.keys_at = index + 1;
                let words = args.len() - self.keys_at;
                self.keys = words / 2;
                if words.is_multiple_of(2) { Ok(1) } else { Err(UNBALANCED) }
            }
            Some(group) if args.is(index, "GROUP") && index + 2 < args.len() => {
                only_in_groups(0)?;
                self.reader = Some((group, args.at(index + 2)));
                Ok(3)
            }
            _ if args.is(index, "NOACK") => {
                only_in_groups(1)?;
                self.no_ack = true;
                Ok(1)
            }
            Some(word) if args.is(index, "CLAIM") => {
                only_in_groups(2)?;
                self.min_idle_ms = Some(min_idle(word)?);
                Ok(2)
            }
            _ => Err(Error::Syntax),
        }
    }

    fn key<'b>(&self, args: Args<'b>, number: usize) -> &'b [u8] {
        args.at(self.keys_at + number)
    }

    fn id<'b>(&self, args: Args<'b>, number: usize) -> &'b [u8] {
        args.at(self.keys_at + self.keys + number)
    }

    fn budget(&self, reply: &Reply) -> Budget {
        Budget::new(reply, self.count_in_all, self.bytes_in_all)
    }

    /// How many entries of each stream are wanted now.
    fn count(&self, cx: &Cx<'_>) -> usize {
        let count = self.count.or_else(|| cx.retry.then_some(WAITED_COUNT));
        count.unwrap_or(usize::MAX)
    }

    /// The command waits, if it may, or says that there is nothing.
    fn wait(&self, cx: &mut Cx<'_>, args: Args<'_>, kind: Kind, words: Option<Vec<Vec<u8>>>) {
        let Some(until) = self.block else {
            cx.reply.null_array();
            return;
        };
        let keys: Vec<&[u8]> = args.from(self.keys_at).take(self.keys).collect();
        cx.wait_for(WaitFor { keys: &keys, kind, until, timed_out: TimedOut::NullArray, words });
    }
}

const UNBALANCED: Error = Error::fixed(
    "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
);

/// A number above zero, or an error of this text.
fn limit(word: &[u8], text: &'static str) -> Result<usize, Error> {
    let number = usize::try_from(integer(word)?).ok();
    number.filter(|&number| number > 0).ok_or_else(|| Error::fixed(text))
}

fn min_idle(word: &[u8]) -> Result<u64, Error> {
    let millis = parse_integer(word).ok_or(Error::fixed("ERR min-idle-time is not an integer"))?;
    u64::try_from(millis).map_err(|_| Error::fixed("ERR min-idle-time must be a positive integer"))
}

/// What is wanted of one stream by XREAD.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    After(StreamId),
    /// `+`
    Last,
}

/// `XREAD [...] STREAMS key [key ...] id [id ...]`
fn xread(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(cx, args, false)?;
    let mut wanted = Vec::with_capacity(options.keys);
    for number in 0..options.keys {
        let found = cx.find_read(options.key(args, number));
        let stream = found.map(|found| stream_at(cx, found));
        // One that waits goes on waiting whatever the key becomes.
        let stream = if cx.retry { stream.and_then(Result::ok) } else { stream.transpose()? };
        let wants = match options.id(args, number) {
            b"$" => Wanted::After(stream.map_or(StreamId::MIN, |it| it.log().last_id())),
            b"+" => Wanted::Last,
            b">" => return Err(ONLY_IN_GROUPS),
            word => Wanted::After(strict_id(word)?),
        };
        wanted.push((found.filter(|_| stream.is_some()), wants));
    }
    let count = options.count(cx);
    let mut budget = options.budget(cx.reply);
    let start = cx.reply.out.len();
    let mut served = 0;
    for (number, &(found, wants)) in wanted.iter().enumerate() {
        if budget.is_spent(cx.reply) {
            break;
        }
        if !cx.retry {
            cx.count_read(options.key(args, number), found.is_some());
        }
        let Some(found) = found else { continue };
        let log = cx.state.keyspace.db(cx.session.db).value(found).stream()?.log();
        let Some(last) = log.last_entry_id() else { continue };
        let after = match wants {
            Wanted::After(id) => id,
            Wanted::Last => last.previous().unwrap_or(StreamId::MIN),
        };
        if let Some(first) = after.next().filter(|_| last > after) {
            open_pair(cx.reply, options.key(args, number));
            reply_within(cx.reply, log.range(first, StreamId::MAX).take(count), &mut budget);
            served += 1;
        }
    }
    if served > 0 {
        close_pairs(cx.reply, start, served);
    } else {
        let words = resolved(args, &options, &wanted);
        options.wait(cx, args, Kind::Stream, words);
    }
    Ok(())
}

/// Replies with entries for as long as there is a budget for them.
fn reply_within<'a>(
    reply: &mut Reply,
    entries: impl Iterator<Item = Entry<'a>>,
    budget: &mut Budget,
) {
    let start = reply.out.len();
    let mut len = 0;
    for entry in entries {
        if budget.is_spent(reply) {
            break;
        }
        reply_entry(reply, entry);
        budget.spend();
        len += 1;
    }
    close_array(reply, start, len);
}

const ONLY_IN_GROUPS: Error = Error::fixed(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
     option.",
);

/// The words of a command that waits, with an id in the place of each `$`: that of now.
fn resolved(
    args: Args<'_>,
    options: &Options<'_>,
    wanted: &[(Option<Found>, Wanted)],
) -> Option<Vec<Vec<u8>>> {
    let ids = options.keys_at + options.keys;
    if !args.from(ids).any(|word| word == b"$") {
        return None;
    }
    let mut words: Vec<Vec<u8>> = args.from(0).map(<[u8]>::to_vec).collect();
    for (word, (_, wants)) in words[ids..].iter_mut().zip(wanted) {
        if let Wanted::After(id) = wants {
            *word = id.text().as_bytes().to_vec();
        }
    }
    Some(words)
}

/// `XREADGROUP GROUP group consumer [...] STREAMS key [key ...] id [id ...]`
fn xreadgroup(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(cx, args, true)?;
    let (group, consumer) = options.reader.ok_or(Error::Syntax)?;
    let mut wanted = Vec::with_capacity(options.keys);
    for number in 0..options.keys {
        let key = options.key(args, number);
        let found = find_group(cx, key, group)?;
        wanted.push((found, group_id(options.id(args, number))?));
    }
    let mut reading = Reading {
        consumer,
        count: options.count(cx),
        no_ack: options.no_ack,
        min_idle_ms: options.min_idle_ms,
        now_ms: cx.stream_now_ms(),
        records: Records::default(),
    };
    let mut budget = options.budget(cx.reply);
    let start = cx.reply.out.len();
    let (mut served, mut alarms) = (0, Vec::new());
    for (number, &(found, after)) in wanted.iter().enumerate() {
        if budget.is_spent(cx.reply) {
            break;
        }
        let key = options.key(args, number);
        if !cx.retry {
            cx.count_read(key, true);
        }
        reading.records = Records::new(cx, key);
        let outcome = cx.edit_found(found, |cx, stream: &mut Stream| {
            stream.edit_group(group, |log, group| {
                reading.run(cx.reply, log, group, key, after, &mut budget)
            })
        })?;
        let outcome = outcome.unwrap_or_default();
        core::mem::take(&mut reading.records).log(cx);
        if outcome.made_consumer {
            cx.announce(key, "xgroup-createconsumer");
        }
        if outcome.served || outcome.has_dropped {
            changed_silently(cx);
        }
        served += usize::from(outcome.served);
        if outcome.has_claimants {
            wake(cx, key);
        }
        alarms.extend(outcome.due_ms.map(|due_ms| (key, due_ms)));
    }
    if served > 0 {
        close_pairs(cx.reply, start, served);
        return Ok(());
    }
    options.wait(cx, args, Kind::Anything, None);
    for (key, due_ms) in alarms {
        // Time alone makes an entry one to claim.
        let at = cx.state.clock.when(UnixMillis(due_ms));
        cx.state.waits.touch_at(at, cx.session.db, key);
    }
    Ok(())
}

/// The key of a stream that has the group. One that waits learns what has become of it.
fn find_group(cx: &mut Cx<'_>, key: &[u8], group: &[u8]) -> Result<Found, Error> {
    let found = cx.find_read(key);
    let stream = found.map(|found| stream_at(cx, found));
    if cx.retry && !matches!(stream, Some(Ok(_))) {
        return Err(Error::fixed("UNBLOCKED the stream key no longer exists"));
    }
    let has_group = stream.transpose()?.is_some_and(|stream| stream.group(group).is_some());
    if let Some(found) = found.filter(|_| has_group) {
        return Ok(found);
    }
    if cx.retry {
        let text = "NOGROUP the consumer group this client was blocked on no longer exists";
        return Err(Error::fixed(text));
    }
    let (key, group) = (quoted(key), quoted(group));
    Err(Error::text(format!(
        "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
    )))
}

/// The id after which a consumer's own entries are wanted; the greatest for what is new.
fn group_id(word: &[u8]) -> Result<StreamId, Error> {
    let text = match word {
        b">" => return Ok(StreamId::MAX),
        b"$" => {
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the \
             history of this consumer by specifying a proper ID, or use the > ID to get new \
             messages. The $ ID would just return an empty result set."
        }
        b"+" => {
            "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the \
             history of this consumer by specifying a proper ID, or use the > ID to get new \
             messages. The + ID would just return an empty result set."
        }
        word => return strict_id(word),
    };
    Err(Error::fixed(text))
}

/// Who reads, and how.
struct Reading<'a> {
    consumer: &'a [u8],
    count: usize,
    no_ack: bool,
    min_idle_ms: Option<u64>,
    now_ms: u64,
    /// What is logged of the stream that is read.
    records: Records,
}

/// What reading one stream has done.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    served: bool,
    made_consumer: bool,
    /// Whether something is pending no longer because it was deleted.
    has_dropped: bool,
    /// Whether others may wait for what is pending to become old.
    has_claimants: bool,
    /// When something will be there to claim, if nothing else happens.
    due_ms: Option<u64>,
}

impl Reading<'_> {
    /// Replies with a key and its entries, if there are some to be had.
    fn run(
        &mut self,
        reply: &mut Reply,
        log: &Log,
        group: &mut Group,
        key: &[u8],
        after: StreamId,
        budget: &mut Budget,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let wants_new = after == StreamId::MAX;
        let has_new = log.last_entry_id().is_some_and(|last| last > group.last_delivered());
        let mut claims = Vec::new();
        if wants_new {
            (claims, outcome.has_dropped) = self.claims(log, group, budget.entries());
        }
        if wants_new && !has_new && claims.is_empty() {
            outcome.due_ms = self.due_ms(group);
            return outcome;
        }
        let consumer = group.find_consumer(self.consumer).unwrap_or_else(|| {
            outcome.made_consumer = true;
            group.add_consumer(self.consumer, self.now_ms).expect("there is none with this name")
        });
        group.see_consumer(consumer, self.now_ms);
        (outcome.served, outcome.has_claimants) = (true, group.has_claimants());
        open_pair(reply, key);
        let start = reply.out.len();
        let len = if wants_new {
            let claimed = self.claim(reply, log, group, consumer, &claims, budget);
            let rest = self.count - claimed;
            let delivered = self.deliver(reply, log, group, consumer, rest, budget);
            if claimed > 0 || delivered > 0 && !self.no_ack {
                group.set_active(consumer, Some(self.now_ms));
            }
            claimed + delivered
        } else {
            self.history(reply, log, group, consumer, after, budget)
        };
        close_array(reply, start, len);
        // An entry that is pending with it makes it known.
        if outcome.made_consumer && (self.no_ack || self.records.is_empty()) {
            self.records.consumer(group, self.consumer);
        }
        outcome
    }

    /// The entries that are to be claimed, `most` at most. Those that were deleted are pending no
    /// longer, as XCLAIM and XAUTOCLAIM have it; whether there were some is the second result.
    fn claims(&mut self, log: &Log, group: &mut Group, most: usize) -> (Vec<StreamId>, bool) {
        let Some(min_idle_ms) = self.min_idle_ms else { return Default::default() };
        let mut deleted = Vec::new();
        let exists = |id| {
            let exists = log.entry(id).is_some();
            if !exists {
                deleted.push(id);
            }
            exists
        };
        let claims = group.claimable(self.now_ms, min_idle_ms, self.count.min(most), exists);
        self.records.acknowledge(group, &deleted);
        for &id in &deleted {
            group.acknowledge(id);
        }
        (claims, !deleted.is_empty())
    }

    /// When the first pending entry will have been idle for long enough.
    fn due_ms(&self, group: &mut Group) -> Option<u64> {
        let min_idle_ms = self.min_idle_ms?;
        group.next_delivered_ms(self.now_ms, min_idle_ms)?.checked_add(min_idle_ms)
    }

    fn claim(
        &mut self,
        reply: &mut Reply,
        log: &Log,
        group: &mut Group,
        owner: ConsumerNumber,
        ids: &[StreamId],
        budget: &mut Budget,
    ) -> usize {
        let mut len = 0;
        for &id in ids {
            if budget.is_spent(reply) {
                break;
            }
            let Some(entry) = log.entry(id) else { continue };
            let Some(&before) = group.pending(id) else { continue };
            let (delivered_ms, deliveries) = (self.now_ms, Deliveries::Add);
            group.claim(id, Claim { owner, delivered_ms, deliveries });
            self.records.claim(group, id);
            reply.array(4);
            reply_id(reply, id);
            reply_fields(reply, entry);
            reply.integer(before.idle_ms(self.now_ms) as i64);
            reply.integer(before.deliveries);
            budget.spend();
            len += 1;
        }
        len
    }

    /// Delivers what is new.
    fn deliver(
        &mut self,
        reply: &mut Reply,
        log: &Log,
        group: &mut Group,
        consumer: ConsumerNumber,
        count: usize,
        budget: &mut Budget,
    ) -> usize {
        let Some(first) = group.last_delivered().next() else { return 0 };
        let mut len = 0;
        for entry in log.range(first, StreamId::MAX).take(count) {
            if budget.is_spent(reply) {
                break;
            }
            group.advance(log, entry.id);
            if self.min_idle_ms.is_some() {
                reply.array(4);
                reply_id(reply, entry.id);
                reply_fields(reply, entry);
                reply.integer(0);
                reply.integer(0);
            } else {
                reply_entry(reply, entry);
            }
            if !self.no_ack {
                group.deliver(entry.id, consumer, self.now_ms);
                self.records.claim(group, entry.id);
            }
            budget.spend();
            len += 1;
        }
        if len > 0 {
            self.records.position(group);
        }
        len
    }

    /// Shows a consumer its own entries once more; what was deleted has no fields.
    fn history(
        &mut self,
        reply: &mut Reply,
        log: &Log,
        group: &mut Group,
        consumer: ConsumerNumber,
        after: StreamId,
        budget: &mut Budget,
    ) -> usize {
        let Some(first) = after.next() else { return 0 };
        let most = self.count.min(budget.entries());
        let ids: Vec<StreamId> = group.consumer(consumer).pending_from(first).take(most).collect();
        let mut len = 0;
        for &id in &ids {
            if budget.is_spent(reply) {
                break;
            }
            match log.entry(id) {
                Some(entry) => {
                    reply_entry(reply, entry);
                    group.deliver_again(id, self.now_ms);
                    self.records.claim(group, id);
                }
                None => {
                    reply.array(2);
                    reply_id(reply, id);
                    reply.null_array();
                }
            }
            budget.spend();
            len += 1;
        }
        len
    }
}

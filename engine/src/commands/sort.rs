//! SORT: the elements of a list, set or sorted set in another order, or values of other keys that
//! they name.
//!
//! Nothing is changed until the result is complete: elements and weights are compared where they
//! lie.

use core::iter;
use core::ops::Range;

use super::Cx;
use super::arguments::integer;
use super::keys::{BadKeys, FoundKey};
use super::sort_order::{Order, Sorted};
use super::sort_pattern::{Lookups, Pattern, Seen, is_constant};
use super::spec::{Begin, Command, Find, Flags, KeySpec, one_key};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::{Found, Value};
use crate::value::collection::Collection;
use crate::value::list::{Limits, List, Side};
use crate::value::packed::Element;

/// Keys that only the elements tell.
const BY_AND_GET: KeySpec =
    KeySpec { flags: &["RO", "ACCESS"], begin: Begin::Unknown, find: Find::Unknown };
/// The destination may be anywhere.
const DESTINATION: KeySpec =
    KeySpec { flags: &["OW", "UPDATE"], begin: Begin::Unknown, find: Find::Unknown };

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SORT",
        syntax: "key [BY pattern] [LIMIT offset:integer count:integer] \
            [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination:key]",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[one_key(&["RO", "ACCESS"]), BY_AND_GET, DESTINATION],
        find_keys: Some(|args| keys(args, true)),
        categories: &["set", "sortedset", "list", "dangerous", "-keyspace"],
        complexity: "O(N+M*log(M)) where N is the number of elements and M the number that is \
            returned; O(N) if nothing is sorted.",
        summary: "Sorts a list, set or sorted set and returns or stores the elements, or values \
            that they name.",
        reply: "array<bulk | null> | integer",
        run: |cx, args| sort(cx, args, true),
        ..Command::ROW
    },
    Command {
        name: "SORT_RO",
        syntax: "key [BY pattern] [LIMIT offset:integer count:integer] \
            [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
        arity: -2,
        flags: Flags::READONLY,
        keys: &[one_key(&["RO", "ACCESS"]), BY_AND_GET],
        find_keys: Some(|args| keys(args, false)),
        categories: &["set", "sortedset", "list", "dangerous", "-keyspace"],
        since: "7.0.0",
        complexity: "O(N+M*log(M)) where N is the number of elements and M the number that is \
            returned; O(N) if nothing is sorted.",
        summary: "Sorts a list, set or sorted set and returns the elements, or values that they \
            name.",
        reply: "array<bulk | null>",
        run: |cx, args| sort(cx, args, false),
        ..Command::ROW
    },
];

const BY_DENIED: Error =
    Error::fixed("ERR BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: Error =
    Error::fixed("ERR GET option of SORT denied due to insufficient ACL permissions.");

/// What the words behind the key ask for.
#[derive(Debug, Default)]
struct Options<'a> {
    by: Option<Pattern<'a>>,
    /// One of the patterns names the same for every element, so that nothing is sorted.
    is_constant: bool,
    offset: i64,
    /// Absent or negative: all.
    count: Option<i64>,
    gets: Vec<Pattern<'a>>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
    /// A script gets the elements.
    is_for_script: bool,
}

impl<'a> Options<'a> {
    /// `reads_every_key`: whether the user may read keys whose names are made up.
    fn parse(args: Args<'a>, may_store: bool, reads_every_key: bool) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 2;
        while index < args.len() {
            let (first, second) = (args.opt(index + 1), args.opt(index + 2));
            index += match (first, second) {
                _ if args.is(index, "ASC") => {
                    options.descending = false;
                    1
                }
                _ if args.is(index, "DESC") => {
                    options.descending = true;
                    1
                }
                _ if args.is(index, "ALPHA") => {
                    options.alpha = true;
                    1
                }
                (Some(offset), Some(count)) if args.is(index, "LIMIT") => {
                    options.offset = integer(offset)?;
                    options.count = Some(integer(count)?);
                    3
                }
                (Some(key), _) if may_store && args.is(index, "STORE") => {
                    options.store = Some(key);
                    2
                }
                (Some(pattern), _) if args.is(index, "BY") => {
                    if !reads_every_key && !is_constant(pattern) {
                        return Err(BY_DENIED);
                    }
                    options.by = Some(Pattern::new(pattern));
                    options.is_constant |= is_constant(pattern);
                    2
                }
                (Some(_), _) if args.is(index, "GET") && !reads_every_key => {
                    return Err(GET_DENIED);
                }
                (Some(pattern), _) if args.is(index, "GET") => {
                    options.gets.push(Pattern::new(pattern));
                    2
                }
                _ => return Err(Error::Syntax),
            };
        }
        Ok(options)
    }

    /// Which of so many sorted elements are wanted.
    fn range(&self, len: usize) -> Range<usize> {
        let offset = usize::try_from(self.offset).unwrap_or(0).min(len);
        let count = self.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(len);
        offset..offset.saturating_add(count).min(len)
    }

    /// By what the elements are to be ordered; `None`: they stay as they come.
    fn order(&self, is_set: bool) -> Option<Order<'a>> {
        let order = |by| Order { by, alpha: self.alpha, descending: self.descending };
        match self.is_constant {
            false => Some(order(self.by)),
            // What is stored must not depend on the order in which a set happens to lie, nor what
            // a script does.
            true if is_set && (self.store.is_some() || self.is_for_script) => {
                Some(Order { alpha: true, ..order(None) })
            }
            true => None,
        }
    }
}

/// The keys that the words name: the source, and the last destination.
fn keys(args: Args<'_>, may_store: bool) -> Result<Vec<FoundKey>, BadKeys> {
    let mut found = vec![FoundKey { index: 1, flags: &["RO", "ACCESS"] }];
    let mut store = None;
    let mut index = 2;
    while index < args.len() {
        if args.is(index, "LIMIT") {
            index += 2;
        } else if args.is(index, "GET") || args.is(index, "BY") {
            index += 1;
        } else if may_store && args.is(index, "STORE") && index + 1 < args.len() {
            store = Some(FoundKey { index: index + 1, flags: &["OW", "UPDATE"] });
            index += 1;
        }
        index += 1;
    }
    found.extend(store);
    Ok(found)
}

/// The elements in their own order, or backwards where they have an order and `descending` says so:
/// all, or if nothing is going to be sorted only those in `range`. A list of which parts are
/// compressed is opened into `opened`.
fn elements<'a>(
    value: Value<'a>,
    descending: bool,
    range: Option<Range<usize>>,
    opened: &'a mut Option<List>,
) -> Box<dyn Iterator<Item = Element<'a>> + 'a> {
    match value {
        Value::Set(set) => {
            let range = range.unwrap_or(0..set.len());
            Box::new(set.iter().take(range.end).skip(range.start))
        }
        Value::List(list) => {
            let side = if descending { Side::Back } else { Side::Front };
            let range = range.unwrap_or(0..list.len());
            Box::new(list.open(opened).elements(side, range.start, range.len()))
        }
        Value::Zset(zset) => {
            let range = range.unwrap_or(0..zset.len());
            let len = zset.len();
            let members = if descending {
                // Ranks count from the other end.
                zset.range_back(len - range.end..len - range.start)
            } else {
                zset.range(range)
            };
            Box::new(members.map(|(member, _)| member))
        }
        _ => Box::new(iter::empty()),
    }
}

/// How many elements a value has; an error if it is of a type that has no elements.
fn len(value: Value<'_>) -> Result<usize, Error> {
    match value {
        Value::Set(set) => Ok(set.len()),
        Value::List(list) => Ok(list.len()),
        Value::Zset(zset) => Ok(zset.len()),
        _ => Err(Error::WrongType),
    }
}

/// `SORT key ...`, `SORT_RO key ...`
fn sort(cx: &mut Cx<'_>, args: Args<'_>, may_store: bool) -> Result<(), Error> {
    let mut options = Options::parse(args, may_store, cx.may_read_every_key(args))?;
    options.is_for_script = cx.session.is_script;
    let found = cx.find_read(args.at(1));
    if let Some(key) = options.store {
        return store(cx, key, found, &options);
    }
    let mut opened = None;
    let notes_names = !cx.state.config.notify_events.is_silent();
    let mut lookups = Lookups::new(&cx.state.keyspace, cx.session.db, notes_names);
    let chosen = choose(found, &options, &mut lookups, &mut opened)?;
    cx.reply.array(chosen.len() * options.gets.len().max(1));
    for element in chosen {
        if options.gets.is_empty() {
            element.reply(cx.reply);
        }
        for get in &options.gets {
            match lookups.find(get, element) {
                Some(value) => value.reply(cx.reply),
                None => cx.reply.null(),
            }
        }
    }
    let seen = lookups.seen();
    note(cx, &seen);
    Ok(())
}

/// Makes a list of the result. What GET does not find is an empty string there.
fn store(
    cx: &mut Cx<'_>,
    key: &[u8],
    found: Option<Found>,
    options: &Options<'_>,
) -> Result<(), Error> {
    let is_silent = cx.state.config.notify_events.is_silent();
    // Whoever reads the log must know of keys that have expired, which it would find otherwise.
    let notes_names = !is_silent || cx.logs();
    let encodings = &cx.state.config.encodings;
    let limits = Limits::new(encodings.list_node_size).compressing(encodings.list_compress_depth);
    let mut opened = None;
    let mut lookups = Lookups::new(&cx.state.keyspace, cx.session.db, notes_names);
    let mut list = List::default();
    let mut push = |element: Element<'_>| {
        let mut buffer = itoa::Buffer::new();
        list.push(Side::Back, iter::once(element.bytes(&mut buffer)), &limits);
    };
    for element in choose(found, options, &mut lookups, &mut opened)? {
        if options.gets.is_empty() {
            push(element);
        }
        for get in &options.gets {
            push(lookups.find(get, element).unwrap_or(Element::Bytes(b"")));
        }
    }
    let (seen, len) = (lookups.seen(), list.reader().len());
    note(cx, &seen);
    for [key, field] in &seen.due {
        // Whoever reads the log would find them.
        cx.log_also([b"HDEL".as_slice(), key, field]);
    }
    let existed = cx.store(key, list);
    if len > 0 {
        cx.changed(key, "sortstore");
    } else if existed {
        cx.changed(key, "del");
    }
    cx.reply.count(len);
    Ok(())
}

/// Counts the reads of weights and other values, as if each had been a read of its own.
fn note(cx: &mut Cx<'_>, seen: &Seen) {
    cx.state.stats.hits += seen.used.len() as u64;
    cx.state.stats.misses += seen.misses;
    if !cx.session.no_touch {
        let db = cx.session.db;
        seen.used.iter().for_each(|found| cx.state.note_read(db, *found));
    }
    for name in seen.missed.iter().flatten() {
        // One that has expired is told of, too.
        cx.find(name);
        cx.state.notify_miss(cx.db(), name);
    }
}

/// The elements that the options ask for, in order.
fn choose<'a>(
    found: Option<Found>,
    options: &Options<'_>,
    lookups: &mut Lookups<'a>,
    opened: &'a mut Option<List>,
) -> Result<Vec<Element<'a>>, Error> {
    let Some(value) = found.map(|found| lookups.value(found)) else { return Ok(Vec::new()) };
    let range = options.range(len(value)?);
    match options.order(matches!(value, Value::Set(_))) {
        None => Ok(elements(value, options.descending, Some(range), opened).collect()),
        Some(order) => {
            let all = elements(value, false, None, opened);
            Ok(Sorted::new(all, &order, lookups)?.range(range))
        }
    }
}

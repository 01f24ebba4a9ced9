//! XADD and XTRIM, and what producers say so that nothing is added twice.

use super::Cx;
use super::arguments::integer;
use super::spec::{Command, Flags, one_key};
use super::stream::WORDS;
use super::stream_words::{
    ROW, WRITE_FAST, changed_silently, limits, new_id, producer_defaults, reply_id, stream_at,
    strict_id,
};
use crate::args::Args;
use crate::error::Error;
use crate::value::stream::{
    CannotAdd, Cut, IdRequest, References, Stream, StreamId, Trim, name_of_fields,
};

/// Blocks that an approximate trim removes at most, if nobody says otherwise.
const BLOCKS_PER_TRIM: u64 = 100;
const DURATION_SECS_MAX: i64 = 86_400;
const NAMES_MAX: i64 = 10_000;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "XADD",
        syntax: "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] \
            [IDMPAUTO producer-id | IDMP producer-id idempotent-id] \
            [(MAXLEN | MINID) [= | ~] threshold:string [LIMIT count]] (* | id) field value \
            [field value ...]",
        arity: -5,
        flags: WRITE_FAST.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "UPDATE"])],
        tips: &["nondeterministic_output"],
        complexity: "O(1) for the entry, O(N) to trim where N is the number of entries that go",
        summary: "Adds an entry to a stream, which is made if it does not exist; returns its id.",
        reply: "bulk | null",
        run: xadd,
        ..ROW
    },
    Command {
        name: "XTRIM",
        syntax: "key (MAXLEN | MINID) [= | ~] threshold:string [LIMIT count] \
            [KEEPREF | DELREF | ACKED]",
        arity: -4,
        flags: Flags::WRITE,
        keys: &[one_key(&["RW", "DELETE"])],
        tips: &["nondeterministic_output"],
        complexity: "O(N) where N is the number of entries that go",
        summary: "Removes entries from the front of a stream; returns how many.",
        reply: "integer",
        run: xtrim,
        ..ROW
    },
    Command {
        name: "XCFGSET",
        syntax: "key [IDMP-DURATION duration:integer] [IDMP-MAXSIZE maxsize:integer]",
        arity: -2,
        flags: WRITE_FAST,
        keys: &[one_key(&["RW", "UPDATE"])],
        since: "8.6.0",
        summary: "Sets how long, and how many, names of entries are remembered of a producer.",
        reply: "ok",
        run: xcfgset,
        ..ROW
    },
    Command {
        name: "XIDMPRECORD",
        syntax: "key producer-id idempotent-id id",
        arity: 5,
        flags: WRITE_FAST.and(Flags::DENYOOM),
        keys: &[one_key(&["RW", "UPDATE"])],
        since: "8.6.2",
        summary: "Remembers under which name a producer has added an entry.",
        reply: "ok",
        run: xidmprecord,
        ..ROW
    },
];

/// The options of XADD and XTRIM.
#[derive(Debug, Default)]
struct Options<'a> {
    id: Option<IdRequest>,
    /// Where XADD's id is.
    id_at: usize,
    /// Words that the log does not get as they are.
    places: Places,
    no_stream_made: bool,
    cut: Option<Cut>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
    producer: Option<Producer<'a>>,
}

/// Where words of options are.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    /// `MAXLEN` or `MINID`, and its threshold.
    cut: Option<(usize, usize)>,
    /// `LIMIT`.
    limit: Option<usize>,
    /// `IDMP` or `IDMPAUTO`, and how many words it has.
    producer: Option<(usize, usize)>,
    /// `KEEPREF` and its like.
    references: Option<usize>,
}

/// Who adds the entry, and under which name; `None`: one made of the fields.
#[derive(Clone, Copy, Debug)]
struct Producer<'a> {
    id: &'a [u8],
    name: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Reads everything up to XADD's id.
    fn parse(cx: &Cx<'_>, args: Args<'a>, is_xadd: bool) -> Result<Self, Error> {
        let mut options = Self { id_at: args.len(), ..Self::default() };
        let mut index = 2;
        while index < args.len() {
            if is_xadd && args.at(index) == b"*" {
                options.id = Some(IdRequest::Auto);
            } else if let Some(words) = options.option(args, index, is_xadd)? {
                index += words;
                continue;
            } else if is_xadd {
                options.id = Some(new_id(args.at(index))?);
            } else {
                return Err(Error::Syntax);
            }
            options.id_at = index;
            break;
        }
        options.check(is_xadd)?;
        if options.limit.is_none() && options.approximate {
            let entries = cx.state.config.encodings.stream_node_entries as u64;
            let limit = entries.saturating_mul(BLOCKS_PER_TRIM);
            options.limit = Some(if entries == 0 { 10_000 } else { limit.min(1_000_000) });
        }
        Ok(options)
    }

    /// The option at `index`, if there is one; returns how many words it has.
    fn option(
        &mut self,
        args: Args<'a>,
        index: usize,
        is_xadd: bool,
    ) -> Result<Option<usize>, Error> {
        let more = args.len() - index - 1;
        if more > 0 && (args.is(index, "MAXLEN") || args.is(index, "MINID")) {
            return self.cut(args, index).map(Some);
        }
        if more > 0 && args.is(index, "LIMIT") {
            self.places.limit = Some(index);
            let limit = u64::try_from(integer(args.at(index + 1))?);
            let text = "ERR The LIMIT argument must be >= 0.";
            self.limit = Some(limit.map_err(|_| Error::fixed(text))?);
            return Ok(Some(2));
        }
        if is_xadd && args.is(index, "NOMKSTREAM") {
            self.no_stream_made = true;
            return Ok(Some(1));
        }
        if let Some(&(_, references)) = WORDS.iter().find(|(word, _)| args.is(index, word))
            && self.references.is_none()
        {
            self.references = Some(references);
            self.places.references = Some(index);
            return Ok(Some(1));
        }
        if is_xadd { self.producer(args, index) } else { Ok(None) }
    }

    /// `MAXLEN` or `MINID`, perhaps `=` or `~`, and a threshold.
    fn cut(&mut self, args: Args<'a>, index: usize) -> Result<usize, Error> {
        if self.cut.is_some() {
            return Err(Error::fixed(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let has_operator = args.len() - index > 2 && matches!(args.at(index + 1), b"~" | b"=");
        self.approximate = has_operator && args.at(index + 1) == b"~";
        let at = index + 1 + usize::from(has_operator);
        self.places.cut = Some((index, at));
        let cut = if args.is(index, "MAXLEN") {
            let len = u64::try_from(integer(args.at(at))?);
            Cut::MaxLen(len.map_err(|_| Error::fixed("ERR The MAXLEN argument must be >= 0."))?)
        } else {
            Cut::MinId(strict_id(args.at(at))?)
        };
        self.cut = Some(cut);
        Ok(at + 1 - index)
    }

    /// `IDMPAUTO producer-id` or `IDMP producer-id idempotent-id`.
    fn producer(&mut self, args: Args<'a>, index: usize) -> Result<Option<usize>, Error> {
        let (name, words) = match args.len() - index {
            3.. if args.is(index, "IDMP") => (Some(args.at(index + 2)), 3),
            2.. if args.is(index, "IDMPAUTO") => (None, 2),
            _ => return Ok(None),
        };
        let id = args.at(index + 1);
        let error = match name {
            _ if self.producer.is_some() => "ERR IDMP/IDMPAUTO specified multiple times",
            Some(_) if id.is_empty() => "ERR IDMP requires a non-empty producer ID",
            Some(b"") => "ERR IDMP requires a non-empty idempotent ID",
            None if id.is_empty() => "ERR IDMPAUTO requires a non-empty producer ID",
            _ => {
                self.producer = Some(Producer { id, name });
                self.places.producer = Some((index, words));
                return Ok(Some(words));
            }
        };
        Err(Error::fixed(error))
    }

    /// What does not go together, in Redis's order.
    fn check(&self, is_xadd: bool) -> Result<(), Error> {
        let limited = self.limit.is_some_and(|limit| limit != 0);
        let error = if limited && self.cut.is_none() {
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
        } else if !is_xadd && self.cut.is_none() {
            "ERR syntax error, XTRIM must be called with a trimming strategy"
        } else if self.limit.is_some() && !self.approximate {
            "ERR syntax error, LIMIT cannot be used without the special ~ option"
        } else if self.producer.is_some() && self.id.is_some_and(|id| id != IdRequest::Auto) {
            "ERR IDMP/IDMPAUTO can be used only with auto-generated IDs"
        } else {
            return Ok(());
        };
        Err(Error::fixed(error))
    }

    fn trim(&self) -> Option<Trim> {
        Some(Trim {
            cut: self.cut?,
            approximate: self.approximate,
            limit: self.limit.unwrap_or(0),
            references: self.references.unwrap_or_default(),
        })
    }
}

/// What XADD has done.
enum Added {
    /// An entry was added; so many others were trimmed.
    New { id: StreamId, trimmed: Trimmed },
    /// Its producer had sent it before.
    Known(StreamId),
}

/// `XADD key [...] <* | id> field value [field value ...]`
fn xadd(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(cx, args, true)?;
    let words = args.len().saturating_sub(options.id_at + 1);
    let Some(id) = options.id.filter(|_| words >= 2 && words.is_multiple_of(2)) else {
        return Err(Error::WrongArity(cx.row.full_name));
    };
    if id == IdRequest::Exact(StreamId::MIN) {
        return Err(Error::fixed("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = args.at(1);
    if options.no_stream_made && cx.find(key).is_none() {
        cx.reply.null();
        return Ok(());
    }
    let added =
        cx.edit_or_create(key, |cx, stream: &mut Stream| add(cx, stream, args, &options, id))??;
    match added {
        Added::New { id, trimmed } => {
            if cx.logs() {
                log_added(cx, args, &options, id, &trimmed);
            }
            cx.changed(key, "xadd");
            if trimmed.count > 0 {
                cx.changed(key, "xtrim");
            }
            reply_id(cx.reply, id);
        }
        Added::Known(id) => {
            cx.log_nothing();
            changed_silently(cx);
            reply_id(cx.reply, id);
        }
    }
    Ok(())
}

fn add(
    cx: &Cx<'_>,
    stream: &mut Stream,
    args: Args<'_>,
    options: &Options<'_>,
    request: IdRequest,
) -> Result<Added, Error> {
    let (now_ms, first) = (cx.stream_now_ms(), options.id_at + 1);
    stream.forget_old_producers(now_ms);
    let made_of_fields = options.producer.is_some_and(|producer| producer.name.is_none());
    let name_of_fields = made_of_fields.then(|| name_of_fields(args.from(first)));
    let sender = options.producer.map(|Producer { id, name }| {
        let of_fields = || name_of_fields.as_ref().map(<[u8; 16]>::as_slice);
        (id, name.or_else(of_fields).unwrap_or_default())
    });
    if let Some((producer, name)) = sender {
        let known = stream.idempotency_mut(producer_defaults(cx));
        if let Some(id) = known.find(producer, name, now_ms) {
            known.note_duplicate();
            return Ok(Added::Known(id));
        }
    }
    let log = stream.log_mut();
    let id = log.next_id(request, cx.now.wall.as_millis()).map_err(refused)?;
    log.push(id, args.from(first), limits(cx)).map_err(refused)?;
    if let Some((producer, name)) = sender {
        stream.idempotency_mut(producer_defaults(cx)).remember(producer, name, id, now_ms);
    }
    let trimmed = options.trim().map(|trim| Trimmed::new(cx, stream, trim)).unwrap_or_default();
    Ok(Added::New { id, trimmed })
}

/// What a trim has left.
#[derive(Debug, Default)]
struct Trimmed {
    /// How many entries went.
    count: u64,
    /// For the log: how many are left, and the first.
    len: u64,
    first: StreamId,
    /// The last one that went, where it depends on references which do.
    last_gone: StreamId,
}

impl Trimmed {
    fn new(cx: &Cx<'_>, stream: &mut Stream, trim: Trim) -> Self {
        if !cx.logs() {
            return Self { count: stream.trim(trim), ..Self::default() };
        }
        let (count, last_gone) = stream.trim_up_to(trim);
        let log = stream.log();
        let first = log.range(StreamId::MIN, StreamId::MAX).next();
        let first = first.map_or_else(|| log.last_id().next().unwrap_or_default(), |it| it.id);
        Self { count, len: log.len(), first, last_gone }
    }
}

/// Logs that an entry was added: with its id, and with what has become of the options.
fn log_added(
    cx: &mut Cx<'_>,
    args: Args<'_>,
    options: &Options<'_>,
    id: StreamId,
    trimmed: &Trimmed,
) {
    let text = id.text();
    let is_exact = matches!(options.id, Some(IdRequest::Exact(_)));
    let id = if is_exact { args.at(options.id_at) } else { text.as_bytes() };
    let Some(Producer { id: producer, name }) = options.producer else {
        if options.references == Some(References::Acked) && options.cut.is_some() {
            cx.log_also(options.logged(args, id, None));
            return log_gone(cx, args.at(1), trimmed);
        }
        let threshold = trimmed.threshold(options);
        return cx.log_as(options.logged(args, id, Some(&threshold)));
    };
    // The name is remembered of an entry that is there.
    cx.log_also(options.logged(args, id, None));
    let of_fields = name.is_none().then(|| name_of_fields(args.from(options.id_at + 1)));
    let name = name.or_else(|| of_fields.as_ref().map(<[u8; 16]>::as_slice)).unwrap_or_default();
    cx.log_also([b"XIDMPRECORD".as_slice(), args.at(1), producer, name, text.as_bytes()]);
    if options.cut.is_none() {
        return cx.log_nothing();
    }
    log_trim(cx, args.at(1), options, trimmed);
}

/// Logs what XTRIM has done: with its words if that is what they say.
fn log_trimmed(cx: &mut Cx<'_>, args: Args<'_>, options: &Options<'_>, trimmed: &Trimmed) {
    if options.references == Some(References::Acked) {
        return log_gone(cx, args.at(1), trimmed);
    }
    let threshold = trimmed.threshold(options);
    cx.log_as(options.logged(args, b"", Some(&threshold)));
}

fn log_trim(cx: &mut Cx<'_>, key: &[u8], options: &Options<'_>, trimmed: &Trimmed) {
    if options.references == Some(References::Acked) {
        return log_gone(cx, key, trimmed);
    }
    let len = itoa::Buffer::new().format(trimmed.len).to_owned();
    let drops = options.references == Some(References::Drop);
    let words = [b"XTRIM".as_slice(), key, b"MAXLEN", b"=", len.as_bytes(), b"DELREF"];
    cx.log_as(words.into_iter().take(5 + usize::from(drops)));
}

/// Logs that entries went which every group has read and acknowledged: the first of these.
fn log_gone(cx: &mut Cx<'_>, key: &[u8], trimmed: &Trimmed) {
    match trimmed.last_gone.next() {
        Some(end) if trimmed.count > 0 => {
            cx.log_as([b"XTRIM".as_slice(), key, b"MINID", b"=", end.text().as_bytes(), b"ACKED"]);
        }
        _ => cx.log_nothing(),
    }
}

impl Trimmed {
    /// What an exact trim has to say so that it leaves the same.
    fn threshold(&self, options: &Options<'_>) -> Vec<u8> {
        match options.cut {
            Some(Cut::MinId(_)) => self.first.text().as_bytes().to_vec(),
            _ => itoa::Buffer::new().format(self.len).as_bytes().to_vec(),
        }
    }
}

impl Options<'_> {
    /// The words with this id, with this threshold in place of an approximate one, and without what
    /// only who asked has to know. No threshold: without the trim.
    fn logged<'b>(
        &self,
        args: Args<'b>,
        id: &'b [u8],
        threshold: Option<&'b [u8]>,
    ) -> Vec<&'b [u8]> {
        let Places { cut, limit, producer, references } = self.places;
        let is_left_out = |index: usize| {
            producer.is_some_and(|(at, words)| (at..at + words).contains(&index))
                || limit.is_some_and(|at| (at..at + 2).contains(&index))
                || threshold.is_none()
                    && (cut.is_some_and(|(at, end)| (at..=end).contains(&index))
                        || references == Some(index))
        };
        let word = |index: usize| match (cut, threshold) {
            (Some((_, at)), Some(threshold)) if self.approximate && index == at => threshold,
            (Some((at, _)), Some(_)) if self.approximate && index == at + 1 => b"=",
            _ if index == self.id_at => id,
            _ => args.at(index),
        };
        (0..args.len()).filter(|&index| !is_left_out(index)).map(word).collect()
    }
}

fn refused(why: CannotAdd) -> Error {
    Error::fixed(match why {
        CannotAdd::IdTooSmall => {
            "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        }
        CannotAdd::Exhausted => {
            "ERR The stream has exhausted the last possible ID, unable to add more items"
        }
        CannotAdd::TooLong => "ERR Elements are too large to be stored",
    })
}

/// `XTRIM key <MAXLEN | MINID> [= | ~] threshold:string [LIMIT count] [KEEPREF | DELREF | ACKED]`
fn xtrim(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(cx, args, false)?;
    let trim = options.trim().ok_or(Error::Syntax)?;
    let key = args.at(1);
    let trimmed = cx.edit(key, |cx, stream: &mut Stream| Trimmed::new(cx, stream, trim))?;
    let trimmed = trimmed.unwrap_or_default();
    if trimmed.count > 0 {
        if cx.logs() {
            log_trimmed(cx, args, &options, &trimmed);
        }
        cx.changed(key, "xtrim");
    }
    cx.reply.count(trimmed.count as usize);
    Ok(())
}

/// `XCFGSET key [IDMP-DURATION duration] [IDMP-MAXSIZE maxsize]`
fn xcfgset(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() == 2 {
        return Err(Error::fixed("ERR At least one parameter must be specified"));
    }
    let (mut duration, mut names) = (None, None);
    let mut index = 2;
    while index < args.len() {
        let word = args.opt(index + 1).ok_or(Error::Syntax)?;
        let (place, max, error) = if args.is(index, "IDMP-DURATION") {
            let error = "ERR IDMP-DURATION must be between 1 and 86400 seconds";
            (&mut duration, DURATION_SECS_MAX, error)
        } else if args.is(index, "IDMP-MAXSIZE") {
            let error = "ERR IDMP-MAXSIZE must be between 1 and 10000 entries";
            (&mut names, NAMES_MAX, error)
        } else {
            return Err(Error::Syntax);
        };
        let value = integer(word)?;
        if !(1..=max).contains(&value) {
            return Err(Error::fixed(error));
        }
        *place = Some(value as u64);
        index += 2;
    }
    let key = args.at(1);
    let found = cx.find(key).ok_or(Error::NoSuchKey)?;
    cx.edit_found(found, |cx, stream: &mut Stream| {
        let producers = stream.idempotency_mut(producer_defaults(cx));
        let mut settings = producers.settings();
        settings.duration_secs = duration.unwrap_or(settings.duration_secs);
        settings.names_max = names.map_or(settings.names_max, |names| names as usize);
        producers.configure(settings);
    })?;
    changed_silently(cx);
    cx.reply.ok();
    Ok(())
}

/// `XIDMPRECORD key producer-id idempotent-id id`
fn xidmprecord(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, producer, name) = (args.at(1), args.at(2), args.at(3));
    let found = cx.find(key).ok_or(Error::NoSuchKey)?;
    let stream = stream_at(cx, found)?;
    if producer.is_empty() || name.is_empty() {
        return Err(Error::fixed("ERR IDMP requires a non-empty producer ID and idempotent ID"));
    }
    let id = strict_id(args.at(4))?;
    if stream.log().entry(id).is_none() {
        return Err(Error::fixed("ERR The specified stream ID was deleted or doesn't exist"));
    }
    let now_ms = cx.stream_now_ms();
    let known = stream.idempotency().and_then(|known| known.find(producer, name, now_ms));
    if known.is_some_and(|known| known != id) {
        return Err(Error::fixed(
            "ERR The specified IDMP producer-id/idempotent-id pair maps to a different stream ID",
        ));
    }
    if known.is_none() {
        cx.edit_found(found, |cx, stream: &mut Stream| {
            let producers = stream.idempotency_mut(producer_defaults(cx));
            producers.restore(producer, name, id, now_ms);
        })?;
        changed_silently(cx);
    }
    cx.reply.ok();
    Ok(())
}

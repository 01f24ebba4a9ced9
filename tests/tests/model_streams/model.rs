//! The plainest streams: sorted maps; and clients that wait to read from them.

use std::collections::{BTreeMap, BTreeSet};

use orrery_engine::ConnId;
use orrery_tests::resp_value::Value;

use crate::ops::{Cut, From, IdOf, Key, NewId, Op, Reading, References, Trim};

pub(crate) type Id = (u64, u64);

pub(crate) const ID_MAX: Id = (u64::MAX, u64::MAX);
/// What a client gets at most that has waited and said no number.
const WAITED_COUNT: usize = 1000;

#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) owner: Option<String>,
    pub(crate) at: u64,
    /// Of an entry that was released: its place in the queue.
    pub(crate) turn: u64,
    pub(crate) count: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) seen: u64,
    pub(crate) active: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) last: Id,
    pub(crate) read: Option<i64>,
    pub(crate) pending: BTreeMap<Id, Pending>,
    pub(crate) consumers: BTreeMap<String, Consumer>,
    pub(crate) turns: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Producers {
    pub(crate) secs: u64,
    pub(crate) names: usize,
    /// Name, entry, when; by producer.
    pub(crate) sent: BTreeMap<String, Vec<(String, Id, u64)>>,
    pub(crate) added: i64,
    pub(crate) duplicates: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) entries: BTreeMap<Id, Vec<(String, String)>>,
    /// Ids of all entries in each block, those that were deleted too.
    pub(crate) blocks: Vec<Vec<Id>>,
    pub(crate) last: Id,
    pub(crate) max_deleted: Id,
    pub(crate) added: i64,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) producers: Option<Producers>,
}

#[derive(Clone, Debug)]
pub(crate) enum Held {
    Stream(Stream),
    Text,
}

/// What is wanted of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    After(Id),
    New,
    Last,
}

#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) reader: Option<(String, String)>,
    pub(crate) streams: Vec<(Key, Want)>,
    pub(crate) count: Option<usize>,
    pub(crate) count_in_all: Option<usize>,
    pub(crate) no_ack: bool,
    pub(crate) min_idle: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    pub(crate) conn: ConnId,
    pub(crate) reading: Resolved,
    pub(crate) deadline: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) node_entries: usize,
    pub(crate) keys: BTreeMap<Key, Held>,
    pub(crate) waiting: Vec<Waiter>,
}

pub(crate) fn key_name(key: Key) -> String {
    format!("stream{key}")
}

pub(crate) fn group_name(group: u8) -> String {
    format!("group{group}")
}

pub(crate) fn consumer_name(consumer: u8) -> String {
    format!("consumer{consumer}")
}

pub(crate) fn text(text: &str) -> Value {
    Value::bulk(text)
}

pub(crate) fn id_text(id: Id) -> String {
    format!("{}-{}", id.0, id.1)
}

pub(crate) fn id_value(id: Id) -> Value {
    text(&id_text(id))
}

pub(crate) fn wrong_type() -> Value {
    Value::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

pub(crate) fn after(id: Id) -> Option<Id> {
    match id.1.checked_add(1) {
        Some(seq) => Some((id.0, seq)),
        None => Some((id.0.checked_add(1)?, 0)),
    }
}

impl Stream {
    pub(crate) fn first(&self) -> Id {
        self.entries.keys().next().copied().unwrap_or_default()
    }

    pub(crate) fn entry(&self, id: Id) -> Value {
        Value::Array(vec![id_value(id), self.fields(id)])
    }

    pub(crate) fn fields(&self, id: Id) -> Value {
        let fields = &self.entries[&id];
        Value::Array(fields.iter().flat_map(|(name, value)| [text(name), text(value)]).collect())
    }

    pub(crate) fn push(&mut self, id: Id, fields: Vec<(String, String)>, node_entries: usize) {
        match self.blocks.last_mut() {
            Some(block) if block.len() < node_entries => block.push(id),
            _ => self.blocks.push(vec![id]),
        }
        self.entries.insert(id, fields);
        self.last = id;
        self.added += 1;
    }

    fn live(&self, block: &[Id]) -> usize {
        block.iter().filter(|id| self.entries.contains_key(id)).count()
    }

    pub(crate) fn delete(&mut self, id: Id) -> bool {
        if self.entries.remove(&id).is_none() {
            return false;
        }
        self.max_deleted = self.max_deleted.max(id);
        let at = self.blocks.iter().position(|block| block.contains(&id)).expect("in a block");
        if self.live(&self.blocks[at]) == 0 {
            self.blocks.remove(at);
        }
        true
    }

    pub(crate) fn refers(&self, id: Id) -> bool {
        self.groups.values().any(|group| group.last < id || group.pending.contains_key(&id))
    }

    pub(crate) fn forget(&mut self, id: Id) {
        for group in self.groups.values_mut() {
            group.pending.remove(&id);
        }
    }

    /// Trims block by block, as is documented of approximate trims.
    pub(crate) fn trim(&mut self, trim: Trim, min: Id, node_entries: usize) -> i64 {
        let before = self.entries.len();
        let limit = match trim.limit {
            Some(limit) => usize::from(limit),
            None if trim.approximate => 100 * node_entries,
            None => 0,
        };
        let is_cut = |stream: &Self, id: Id| match trim.cut {
            Cut::MaxLen(max) => stream.entries.len() > usize::from(max),
            Cut::MinId(_) => id < min,
        };
        let mut at = 0;
        while at < self.blocks.len() {
            let block = self.blocks[at].clone();
            let live = self.live(&block);
            let goes = match trim.cut {
                Cut::MaxLen(max) if self.entries.len() <= usize::from(max) => break,
                Cut::MaxLen(max) => self.entries.len() - live >= usize::from(max),
                Cut::MinId(_) => *block.last().expect("a block has entries") < min,
            };
            let gone = before - self.entries.len();
            if limit > 0 && gone + live > limit || trim.approximate && !goes {
                break;
            }
            let how = trim.references.unwrap_or(References::Keep);
            for &id in block.iter().filter(|id| self.entries.contains_key(id)).collect::<Vec<_>>() {
                if !is_cut(self, id) {
                    break;
                }
                if how == References::Acked && self.refers(id) {
                    continue;
                }
                if how == References::Drop {
                    self.forget(id);
                }
                self.entries.remove(&id);
            }
            if goes && self.live(&block) == 0 {
                self.blocks.remove(at);
            } else {
                at += 1;
            }
            if !goes {
                break;
            }
        }
        (before - self.entries.len()) as i64
    }

    fn has_tombstone(&self, id: Id) -> bool {
        let deleted = self.max_deleted;
        !self.entries.is_empty() && deleted != (0, 0) && self.first() <= deleted && id <= deleted
    }

    fn read_up_to(&self, id: Id) -> Option<i64> {
        let len = self.entries.len() as i64;
        if self.added == 0 {
            return Some(0);
        }
        if id == self.last || self.entries.is_empty() && id <= self.last {
            return Some(self.added);
        }
        let whole = self.max_deleted == (0, 0) || self.max_deleted < self.first();
        if id > self.last || !whole || id > self.first() {
            return None;
        }
        Some(self.added - len + i64::from(id == self.first()))
    }

    pub(crate) fn lag(&self, group: &Group) -> Option<i64> {
        if self.added == 0 {
            return Some(0);
        }
        let known = group.read.filter(|_| !self.has_tombstone(group.last));
        known.or_else(|| self.read_up_to(group.last)).map(|read| self.added - read)
    }

    /// The group moves on to an entry that it has not read.
    fn advance(&self, group: &mut Group, id: Id) {
        match group.read {
            Some(read) if !self.has_tombstone(id) => group.read = Some(read.wrapping_add(1)),
            _ if self.added != 0 => group.read = self.read_up_to(id),
            _ => {}
        }
        group.last = id;
    }
}

impl Group {
    /// What can be claimed, in order.
    fn due(&self, now: u64, min_idle: u64) -> Vec<Id> {
        let mut due: Vec<_> = self
            .pending
            .iter()
            .filter(|(_, it)| it.owner.is_none() || now.saturating_sub(it.at) >= min_idle)
            .map(|(&id, it)| (it.owner.is_some(), it.at, it.turn, id))
            .collect();
        due.sort();
        due.into_iter().map(|(.., id)| id).collect()
    }

    /// The consumer, which is made if it is new.
    pub(crate) fn see(&mut self, consumer: &str, now: u64) -> &mut Consumer {
        let new = Consumer { seen: now, active: None };
        let consumer = self.consumers.entry(consumer.to_owned()).or_insert(new);
        consumer.seen = now;
        consumer
    }
}

impl Model {
    pub(crate) fn new(now: u64, node_entries: usize) -> Self {
        Self { now, node_entries, ..Self::default() }
    }

    /// The stream at a key; `Ok(None)`: there is no key.
    pub(crate) fn stream(&self, key: Key) -> Result<Option<&Stream>, Value> {
        match self.keys.get(&key) {
            None => Ok(None),
            Some(Held::Stream(stream)) => Ok(Some(stream)),
            Some(Held::Text) => Err(wrong_type()),
        }
    }

    pub(crate) fn stream_mut(&mut self, key: Key) -> Result<Option<&mut Stream>, Value> {
        match self.keys.get_mut(&key) {
            None => Ok(None),
            Some(Held::Stream(stream)) => Ok(Some(stream)),
            Some(Held::Text) => Err(wrong_type()),
        }
    }

    pub(crate) fn stream_or_new(&mut self, key: Key) -> Result<&mut Stream, Value> {
        match self.keys.entry(key).or_insert_with(|| Held::Stream(Stream::default())) {
            Held::Stream(stream) => Ok(stream),
            Held::Text => Err(wrong_type()),
        }
    }

    // Ids.

    pub(crate) fn id(&self, key: Key, id: IdOf) -> Id {
        let mut known = BTreeSet::new();
        if let Ok(Some(stream)) = self.stream(key) {
            known.extend(stream.entries.keys().copied());
            known.extend(stream.groups.values().flat_map(|it| it.pending.keys().copied()));
            known.insert(stream.last);
        }
        let number = |number: u8| {
            let number = usize::from(number) % known.len().max(1);
            known.iter().nth(number).copied().unwrap_or_default()
        };
        match id {
            IdOf::Known(it) => number(it),
            IdOf::Near(it, delta) => {
                let (ms, seq) = number(it);
                (ms, seq.saturating_add_signed(delta.into()))
            }
            IdOf::Edge(greatest) => {
                if greatest {
                    ID_MAX
                } else {
                    (0, 0)
                }
            }
        }
    }

    /// The id that an entry gets, or the error.
    pub(crate) fn new_id(&self, key: Key, id: NewId) -> Result<Id, Value> {
        let last = self.stream(key)?.map_or((0, 0), |stream| stream.last);
        let id = match id {
            _ if last == ID_MAX => {
                return Err(Value::error(
                    "ERR The stream has exhausted the last possible ID, unable to add more items",
                ));
            }
            NewId::Some(id) => self.id(key, id),
            NewId::After(..) => self.id_after(last, id),
            // There is nothing after the last millisecond.
            NewId::AutoSeq(ms) if ms == 0 || last.0 == u64::MAX => {
                after(last).filter(|id| id.0 == last.0).unwrap_or((0, 0))
            }
            NewId::AutoSeq(ms) => (last.0.saturating_add(ms.into()), 0),
            NewId::Auto if self.now > last.0 => (self.now, 0),
            NewId::Auto => after(last).expect("it is not the last"),
        };
        if id <= last {
            let text = "ERR The ID specified in XADD is equal or smaller than the target stream \
                top item";
            return Err(Value::error(text));
        }
        Ok(id)
    }

    pub(crate) fn id_after(&self, last: Id, id: NewId) -> Id {
        match id {
            NewId::After(0, seq) => (last.0, last.1.saturating_add(1 + u64::from(seq))),
            NewId::After(ms, seq) => (last.0.saturating_add(ms.into()), seq.into()),
            _ => unreachable!("only for ids that are spelled out"),
        }
    }

    // Reading.

    pub(crate) fn resolve(&self, reading: &Reading) -> Resolved {
        let want = |&(key, from): &(Key, From)| {
            let last = self.stream(key).ok().flatten().map_or((0, 0), |stream| stream.last);
            let want = match (from, reading.reader.is_some()) {
                (From::After(id), _) => Want::After(self.id(key, id)),
                (From::New, false) => Want::After(last),
                (From::Last, false) => Want::Last,
                (From::New | From::Last, true) => Want::New,
            };
            (key, want)
        };
        Resolved {
            reader: reading.reader.map(|(group, it)| (group_name(group), consumer_name(it))),
            streams: reading.streams.iter().map(want).collect(),
            count: reading.count.filter(|&count| count > 0).map(usize::from),
            count_in_all: reading.count_in_all.map(usize::from),
            no_ack: reading.no_ack,
            min_idle: reading.min_idle_ms.map(u64::from),
        }
    }

    /// A client reads; `None`: it waits.
    pub(crate) fn begin(&mut self, conn: ConnId, reading: &Reading) -> Option<Value> {
        let resolved = self.resolve(reading);
        let reply = self.read(&resolved, false);
        if reply.is_none() {
            let deadline = reading.patience_ms.map(|millis| self.now + u64::from(millis));
            self.waiting.push(Waiter { conn, reading: resolved, deadline });
        }
        reply
    }

    /// Those who wait and can be served now get their replies.
    pub(crate) fn serve(&mut self) -> Vec<(ConnId, Value)> {
        let mut replies = Vec::new();
        for waiter in std::mem::take(&mut self.waiting) {
            match self.read(&waiter.reading, true) {
                Some(reply) => replies.push((waiter.conn, reply)),
                None => self.waiting.push(waiter),
            }
        }
        replies
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, millis: u64) -> Vec<(ConnId, Value)> {
        let end = self.now + millis;
        let mut replies = Vec::new();
        while let Some(at) = self.next_event().filter(|&at| at <= end) {
            self.now = at;
            replies.extend(self.serve());
            for waiter in std::mem::take(&mut self.waiting) {
                if waiter.deadline == Some(at) {
                    replies.push((waiter.conn, Value::NullArray));
                } else {
                    self.waiting.push(waiter);
                }
            }
        }
        self.now = end;
        replies
    }

    /// When something happens by itself.
    fn next_event(&self) -> Option<u64> {
        let mut events: Vec<u64> = self.waiting.iter().filter_map(|it| it.deadline).collect();
        for waiter in &self.waiting {
            let Some(min_idle) = waiter.reading.min_idle else { continue };
            for (key, _) in &waiter.reading.streams {
                let Ok(Some(stream)) = self.stream(*key) else { continue };
                let pending = stream.groups.values().flat_map(|group| group.pending.values());
                events.extend(pending.map(|pending| pending.at.saturating_add(min_idle)));
            }
        }
        events.into_iter().filter(|&at| at > self.now).min()
    }

    /// The reply of a read; `None` if there is nothing to be had.
    pub(crate) fn read(&mut self, reading: &Resolved, retry: bool) -> Option<Value> {
        for &(key, _) in &reading.streams {
            if let Some(error) = self.read_error(key, reading, retry) {
                return Some(error);
            }
        }
        let all = if retry { WAITED_COUNT } else { usize::MAX };
        let mut left = reading.count_in_all.unwrap_or(usize::MAX);
        let mut pairs = Vec::new();
        for &(key, want) in &reading.streams {
            if left == 0 {
                break;
            }
            let count = reading.count.unwrap_or(all).min(left);
            let entries = match &reading.reader {
                None => self.read_stream(key, want, count),
                Some((group, consumer)) => {
                    self.read_group(key, want, count, group, consumer, reading)
                }
            };
            left -= entries.as_ref().map_or(0, Vec::len);
            let pair = entries.map(|it| Value::Array(vec![text(&key_name(key)), Value::Array(it)]));
            pairs.extend(pair);
        }
        (!pairs.is_empty()).then_some(Value::Array(pairs))
    }

    fn read_error(&self, key: Key, reading: &Resolved, retry: bool) -> Option<Value> {
        let stream = self.stream(key);
        let Some((group, _)) = &reading.reader else {
            return stream.err().filter(|_| !retry);
        };
        let gone = "UNBLOCKED the stream key no longer exists";
        match stream {
            Err(_) | Ok(None) if retry => Some(Value::error(gone)),
            Err(error) => Some(error),
            Ok(Some(stream)) if stream.groups.contains_key(group) => None,
            _ if retry => Some(Value::error(
                "NOGROUP the consumer group this client was blocked on no longer exists",
            )),
            _ => Some(Value::error(&format!(
                "NOGROUP No such key '{}' or consumer group '{group}' in XREADGROUP with GROUP \
                 option",
                key_name(key)
            ))),
        }
    }

    fn read_stream(&self, key: Key, want: Want, count: usize) -> Option<Vec<Value>> {
        let stream = self.stream(key).ok()??;
        let ids: Vec<Id> = match want {
            Want::After(id) => stream.entries.keys().filter(|&&it| it > id).copied().collect(),
            _ => stream.entries.keys().next_back().copied().into_iter().collect(),
        };
        let entries: Vec<Value> = ids.into_iter().take(count).map(|id| stream.entry(id)).collect();
        (!entries.is_empty()).then_some(entries)
    }

    fn read_group(
        &mut self,
        key: Key,
        want: Want,
        count: usize,
        name: &str,
        consumer: &str,
        reading: &Resolved,
    ) -> Option<Vec<Value>> {
        let now = self.now;
        let stream = self.stream_mut(key).ok()??;
        let mut group = stream.groups.remove(name).expect("it was looked for");
        let mut entries = Vec::new();
        let is_new = matches!(want, Want::New | Want::After(ID_MAX));
        if let (false, Want::After(id)) = (is_new, want) {
            group.see(consumer, now);
            let own = |(_, it): &(&Id, &mut Pending)| it.owner.as_deref() == Some(consumer);
            let range = group.pending.iter_mut().filter(|(it, _)| **it > id).filter(own);
            for (&id, pending) in range.take(count) {
                if stream.entries.contains_key(&id) {
                    entries.push(stream.entry(id));
                    pending.at = now;
                    pending.count = pending.count.wrapping_add(1);
                } else {
                    entries.push(Value::Array(vec![id_value(id), Value::NullArray]));
                }
            }
            stream.groups.insert(name.to_owned(), group);
            return Some(entries);
        }
        let due = reading.min_idle.map_or_else(Vec::new, |min_idle| group.due(now, min_idle));
        let owner = Some(consumer.to_owned());
        for id in due {
            if entries.len() == count {
                break;
            }
            // What was deleted is not claimed, and pending no longer.
            if !stream.entries.contains_key(&id) {
                group.pending.remove(&id);
                continue;
            }
            let pending = group.pending.get_mut(&id).expect("it is due");
            let idle = now - if pending.owner.is_some() { pending.at } else { 0 };
            let numbers = [Value::Integer(idle as i64), Value::Integer(pending.count)];
            let entry = [id_value(id), stream.fields(id)].into_iter().chain(numbers);
            entries.push(Value::Array(entry.collect()));
            let count = pending.count.wrapping_add(1);
            *pending = Pending { owner: owner.clone(), at: now, turn: 0, count };
        }
        let claimed = entries.len();
        let ids: Vec<Id> = stream.entries.keys().filter(|&&id| id > group.last).copied().collect();
        for id in ids.into_iter().take(count - claimed) {
            stream.advance(&mut group, id);
            let zeroes = [Value::Integer(0), Value::Integer(0)];
            let numbers = zeroes.into_iter().filter(|_| reading.min_idle.is_some());
            let entry = [id_value(id), stream.fields(id)].into_iter().chain(numbers);
            entries.push(Value::Array(entry.collect()));
            if !reading.no_ack {
                let pending = Pending { owner: owner.clone(), at: now, turn: 0, count: 1 };
                group.pending.insert(id, pending);
            }
        }
        if !entries.is_empty() {
            let got = claimed > 0 || !reading.no_ack;
            let consumer = group.see(consumer, now);
            consumer.active = if got { Some(now) } else { consumer.active };
        }
        stream.groups.insert(name.to_owned(), group);
        (!entries.is_empty()).then_some(entries)
    }

    /// Commands that show everything.
    pub(crate) fn questions(&self) -> Vec<Op> {
        let mut questions = Vec::new();
        for key in [0, 1] {
            questions.push(Op::InfoStream(key, None));
            questions.push(Op::InfoStream(key, Some(Some(0))));
            questions.push(Op::InfoGroups(key));
            let (start, end) = ((IdOf::Edge(false), false), (IdOf::Edge(true), false));
            for reverse in [false, true] {
                questions.push(Op::Range { key, start, end, count: None, reverse });
            }
            questions.extend([0, 1].map(|group| Op::InfoConsumers(key, group)));
        }
        questions
    }
}

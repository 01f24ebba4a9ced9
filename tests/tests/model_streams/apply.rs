//! The words of each command, and what it must reply.

use orrery_tests::resp_value::Value;

use crate::model::{
    Consumer, Group, Held, ID_MAX, Id, Model, Pending, Producers, Stream, after, consumer_name,
    group_name, id_value, key_name, text,
};
use crate::ops::{Add, Claim, Cut, IdOf, Key, Mode, NewId, Op, References, Trim};

/// The fields of entries; some have others than those before them.
const FIELDS: [&[&str]; 4] = [&["a"], &["a"], &["sensor", "reading"], &["a", "7", "a"]];

type Reply = Result<Value, Value>;

fn integer(value: impl TryInto<i64>) -> Value {
    Value::Integer(value.try_into().unwrap_or(i64::MAX))
}

fn optional(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Integer)
}

fn pairs(pairs: Vec<(&str, Value)>) -> Value {
    Value::Array(pairs.into_iter().flat_map(|(name, value)| [text(name), value]).collect())
}

/// The fields and values of an entry to add.
pub(crate) fn fields(add: &Add) -> Vec<(String, String)> {
    let names = FIELDS[usize::from(add.fields)].iter();
    names.map(|name| ((*name).to_owned(), add.value.clone())).collect()
}

fn no_group(key: Key, group: &str) -> Value {
    let key = key_name(key);
    Value::error(&format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

impl Model {
    /// What a command must reply; the model is changed as the server must be.
    pub(crate) fn apply(&mut self, op: &Op) -> Value {
        self.reply(op).unwrap_or_else(|error| error)
    }

    fn reply(&mut self, op: &Op) -> Reply {
        match op {
            Op::Add(add) => self.add(add),
            Op::AddOnce { key, producer, name, value } => {
                self.add_once(*key, &format!("p{producer}"), *name, *value)
            }
            Op::Configure { key, secs, names } => self.configure(*key, *secs, *names),
            Op::Trim(key, trim) => self.trim(*key, *trim),
            Op::Read(reading) => {
                let resolved = self.resolve(reading);
                Ok(self.read(&resolved, false).unwrap_or(Value::NullArray))
            }
            Op::Create { .. }
            | Op::SetGroupId { .. }
            | Op::Destroy(..)
            | Op::CreateConsumer(..)
            | Op::DeleteConsumer(..) => self.group_command(op),
            Op::Claim(claim) => self.claim(claim),
            Op::Acknowledge(..) | Op::AcknowledgeDelete(..) | Op::Release { .. } => {
                self.end_pending(op)
            }
            Op::Pending(key, group) => self.pending_summary(*key, &group_name(*group)),
            Op::PendingRange { .. } => self.pending_range(op),
            Op::AutoClaim { .. } => self.auto_claim(op),
            Op::InfoStream(key, full) => self.info_stream(*key, *full),
            Op::InfoGroups(key) => self.info_groups(*key),
            Op::InfoConsumers(key, group) => self.info_consumers(*key, &group_name(*group)),
            _ => self.log_command(op),
        }
    }

    fn log_command(&mut self, op: &Op) -> Reply {
        match op {
            Op::Delete(key, ids) => {
                let ids = self.ids(*key, ids);
                let Some(stream) = self.stream_mut(*key)? else { return Ok(integer(0)) };
                Ok(integer(ids.into_iter().filter(|&id| stream.delete(id)).count() as i64))
            }
            Op::DeleteEx(key, references, ids) => {
                let ids = self.ids(*key, ids);
                let Some(stream) = self.stream_mut(*key)? else {
                    return Ok(Value::Array(vec![integer(-1); ids.len()]));
                };
                let outcome = |id| integer(delete(stream, id, *references));
                Ok(Value::Array(ids.into_iter().map(outcome).collect()))
            }
            Op::DropKey(key) => Ok(integer(i64::from(self.keys.remove(key).is_some()))),
            Op::Copy(from, to) if from == to => {
                Err(Value::error("ERR source and destination objects are the same"))
            }
            Op::Copy(from, to) => {
                let Some(held) = self.keys.get(from).cloned() else { return Ok(integer(0)) };
                self.keys.insert(*to, held);
                Ok(integer(1))
            }
            Op::MakeString(key) => {
                self.keys.insert(*key, Held::Text);
                Ok(Value::simple("OK"))
            }
            Op::SetId { key, id, added, max_deleted } => {
                let (id, max) = (self.id(*key, *id), max_deleted.map(|max| self.id(*key, max)));
                self.set_id(*key, id, *added, max)
            }
            Op::Len(key) => Ok(integer(self.stream(*key)?.map_or(0, |it| it.entries.len() as i64))),
            Op::Range { key, start, end, count, reverse } => {
                let start = self.start(*key, *start)?;
                let end = self.end(*key, *end)?;
                let Some(stream) = self.stream(*key)? else { return Ok(Value::Array(vec![])) };
                let inside = |id: &&Id| (start..=end).contains(*id);
                let mut ids: Vec<Id> = stream.entries.keys().filter(inside).copied().collect();
                if *reverse {
                    ids.reverse();
                }
                ids.truncate(count.map_or(usize::MAX, usize::from));
                Ok(match count {
                    Some(0) => Value::NullArray,
                    _ => Value::Array(ids.into_iter().map(|id| stream.entry(id)).collect()),
                })
            }
            other => unreachable!("{other:?} is applied elsewhere"),
        }
    }

    fn ids(&self, key: Key, ids: &[IdOf]) -> Vec<Id> {
        ids.iter().map(|&id| self.id(key, id)).collect()
    }

    fn start(&self, key: Key, (id, excluded): (IdOf, bool)) -> Result<Id, Value> {
        let id = self.id(key, id);
        let next = if excluded { after(id) } else { Some(id) };
        next.ok_or_else(|| Value::error("ERR invalid start ID for the interval"))
    }

    fn end(&self, key: Key, (id, excluded): (IdOf, bool)) -> Result<Id, Value> {
        let (ms, seq) = self.id(key, id);
        let before = match (excluded, seq) {
            (false, _) => Some((ms, seq)),
            (true, 0) => ms.checked_sub(1).map(|ms| (ms, u64::MAX)),
            (true, seq) => Some((ms, seq - 1)),
        };
        before.ok_or_else(|| Value::error("ERR invalid end ID for the interval"))
    }

    fn set_id(&mut self, key: Key, id: Id, added: Option<u8>, max: Option<Id>) -> Reply {
        let error = |text: &str| Err(Value::error(text));
        if max.is_some_and(|max| id < max) {
            return error(
                "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
            );
        }
        let stream = self.stream_mut(key)?.ok_or_else(|| Value::error("ERR no such key"))?;
        if stream.entries.keys().next_back().is_some_and(|&last| id < last) {
            return error(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            );
        }
        let added = added.map(i64::from);
        if added.is_some_and(|added| added < stream.entries.len() as i64) {
            return error(
                "ERR The entries_added specified in XSETID is smaller than the target stream \
                 length",
            );
        }
        stream.last = id;
        // Deleted entries after it are forgotten, or new ones could not follow.
        stream.blocks.iter_mut().for_each(|block| block.retain(|&it| it <= id));
        stream.blocks.retain(|block| !block.is_empty());
        stream.added = added.unwrap_or(stream.added);
        stream.max_deleted = max.filter(|&max| max != (0, 0)).unwrap_or(stream.max_deleted);
        Ok(Value::simple("OK"))
    }

    fn add(&mut self, add: &Add) -> Reply {
        let (node_entries, exists) = (self.node_entries, self.keys.contains_key(&add.key));
        if let NewId::Some(id) = add.id
            && self.id(add.key, id) == (0, 0)
        {
            let text = "ERR The ID specified in XADD must be greater than 0-0";
            return Err(Value::error(text));
        }
        if add.no_stream_made && !exists {
            return Ok(Value::Null);
        }
        let min = match add.trim {
            Some(Trim { cut: Cut::MinId(id), .. }) => self.id(add.key, id),
            _ => (0, 0),
        };
        let id = self.new_id(add.key, add.id)?;
        let stream = self.stream_or_new(add.key)?;
        stream.push(id, fields(add), node_entries);
        if let Some(trim) = add.trim {
            stream.trim(trim, min, node_entries);
        }
        Ok(id_value(id))
    }

    fn trim(&mut self, key: Key, trim: Trim) -> Reply {
        let node_entries = self.node_entries;
        let min = match trim.cut {
            Cut::MinId(id) => self.id(key, id),
            Cut::MaxLen(_) => (0, 0),
        };
        let stream = self.stream_mut(key)?;
        Ok(integer(stream.map_or(0, |stream| stream.trim(trim, min, node_entries))))
    }

    fn add_once(&mut self, key: Key, producer: &str, name: Option<u8>, value: u8) -> Reply {
        let (now, node_entries) = (self.now, self.node_entries);
        // A name made of the fields is the same for the same value, and no other name.
        let name = name.map_or_else(|| format!("auto{value}"), |name| format!("n{name}"));
        let last = self.stream(key)?.map_or((0, 0), |stream| stream.last);
        let new =
            Producers { secs: 100, names: 100, sent: Default::default(), added: 0, duplicates: 0 };
        let stream = self.stream_or_new(key)?;
        let producers = stream.producers.get_or_insert(new);
        let oldest = now - 1000 * producers.secs;
        let sent = producers.sent.entry(producer.to_owned()).or_default();
        sent.retain(|(.., at)| *at >= oldest);
        if let Some((_, id, _)) = sent.iter().find(|(known, ..)| *known == name) {
            producers.duplicates += 1;
            return Ok(id_value(*id));
        }
        if last == ID_MAX {
            return Err(Value::error(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        let id = if now > last.0 { (now, 0) } else { after(last).expect("it is not the last") };
        sent.push((name, id, now));
        let excess = sent.len().saturating_sub(producers.names);
        sent.drain(..excess);
        producers.added += 1;
        stream.push(id, vec![("a".to_owned(), value.to_string())], node_entries);
        Ok(id_value(id))
    }

    fn configure(&mut self, key: Key, secs: Option<u8>, names: Option<u8>) -> Reply {
        if secs.is_none() && names.is_none() {
            return Err(Value::error("ERR At least one parameter must be specified"));
        }
        let stream = self.stream_mut(key)?.ok_or_else(|| Value::error("ERR no such key"))?;
        let new =
            Producers { secs: 100, names: 100, sent: Default::default(), added: 0, duplicates: 0 };
        let producers = stream.producers.get_or_insert(new);
        let before = (producers.secs, producers.names);
        producers.secs = secs.map_or(producers.secs, u64::from);
        producers.names = names.map_or(producers.names, usize::from);
        if before != (producers.secs, producers.names) {
            producers.sent.clear();
        }
        Ok(Value::simple("OK"))
    }

    // Groups.

    fn group_command(&mut self, op: &Op) -> Reply {
        let now = self.now;
        if let Op::Create { key, group, id, make_stream, read } = op {
            return self.create(*key, &group_name(*group), *id, *make_stream, *read);
        }
        let (key, name) = match op {
            Op::SetGroupId { key, group, .. }
            | Op::Destroy(key, group)
            | Op::CreateConsumer(key, group, _)
            | Op::DeleteConsumer(key, group, _) => (*key, group_name(*group)),
            other => unreachable!("{other:?} is applied elsewhere"),
        };
        let position = match op {
            Op::SetGroupId { id: Some(id), .. } => self.id(key, *id),
            _ => self.stream(key)?.map_or((0, 0), |stream| stream.last),
        };
        let stream = self.stream_mut(key)?.ok_or_else(no_key)?;
        if matches!(op, Op::Destroy(..)) {
            return Ok(integer(i64::from(stream.groups.remove(&name).is_some())));
        }
        let group = stream.groups.get_mut(&name).ok_or_else(|| {
            let key = key_name(key);
            Value::error(&format!("NOGROUP No such consumer group '{name}' for key name '{key}'"))
        })?;
        match op {
            Op::SetGroupId { read, .. } => {
                group.last = position;
                group.read = read.map(i64::from);
                Ok(Value::simple("OK"))
            }
            Op::CreateConsumer(.., it) => {
                let is_new = !group.consumers.contains_key(&consumer_name(*it));
                if is_new {
                    group.see(&consumer_name(*it), now);
                }
                Ok(integer(i64::from(is_new)))
            }
            Op::DeleteConsumer(.., it) => {
                let name = consumer_name(*it);
                let before = group.pending.len();
                group.consumers.remove(&name);
                group.pending.retain(|_, pending| pending.owner.as_ref() != Some(&name));
                Ok(integer((before - group.pending.len()) as i64))
            }
            other => unreachable!("{other:?} is applied elsewhere"),
        }
    }

    fn create(
        &mut self,
        key: Key,
        name: &str,
        id: Option<IdOf>,
        make_stream: bool,
        read: Option<u8>,
    ) -> Reply {
        let stream = self.stream(key)?;
        if stream.is_none() && !make_stream {
            return Err(no_key());
        }
        let last = stream.map_or((0, 0), |stream| stream.last);
        let last = id.map_or(last, |id| self.id(key, id));
        let stream = self.stream_or_new(key)?;
        if stream.groups.contains_key(name) {
            return Err(Value::error("BUSYGROUP Consumer Group name already exists"));
        }
        let group = Group { last, read: read.map(i64::from), ..Group::default() };
        stream.groups.insert(name.to_owned(), group);
        Ok(Value::simple("OK"))
    }

    fn group_mut(&mut self, key: Key, name: &str) -> Result<Option<&mut Group>, Value> {
        Ok(self.stream_mut(key)?.and_then(|stream| stream.groups.get_mut(name)))
    }

    fn end_pending(&mut self, op: &Op) -> Reply {
        match op {
            Op::Acknowledge(key, group, ids) => {
                let ids = self.ids(*key, ids);
                let Some(group) = self.group_mut(*key, &group_name(*group))? else {
                    return Ok(integer(0));
                };
                let mut was_pending = |id: &Id| group.pending.remove(id).is_some();
                Ok(integer(ids.iter().filter(|id| was_pending(id)).count() as i64))
            }
            Op::AcknowledgeDelete(key, group, references, ids) => {
                let (ids, name) = (self.ids(*key, ids), group_name(*group));
                if self.group_mut(*key, &name)?.is_none() {
                    return Ok(Value::Array(vec![integer(-1); ids.len()]));
                }
                let stream = self.stream_mut(*key)?.expect("it has a group");
                let outcome = |id| {
                    let group = stream.groups.get_mut(&name).expect("it was looked for");
                    if group.pending.remove(&id).is_none() {
                        return integer(-1);
                    }
                    integer(if delete(stream, id, *references) == 2 { 2 } else { 1 })
                };
                Ok(Value::Array(ids.into_iter().map(outcome).collect()))
            }
            Op::Release { key, group, mode, ids, retry, force } => {
                let (ids, name) = (self.ids(*key, ids), group_name(*group));
                if self.group_mut(*key, &name)?.is_none() {
                    return Err(no_group(*key, &name));
                }
                let stream = self.stream_mut(*key)?.expect("it has a group");
                let group = stream.groups.get_mut(&name).expect("it was looked for");
                let mut released = 0;
                for id in ids {
                    let before = group.pending.get(&id).map(|pending| pending.count);
                    if before.is_none() && !(*force && stream.entries.contains_key(&id)) {
                        continue;
                    }
                    let count = match (retry, mode) {
                        (Some(retry), _) => i64::from(*retry),
                        (None, Mode::Silent) => before.unwrap_or(0).saturating_sub(1).max(0),
                        (None, Mode::Fail) => before.unwrap_or(0),
                        (None, Mode::Fatal) => i64::MAX,
                    };
                    group.turns += 1;
                    let turn = group.turns;
                    group.pending.insert(id, Pending { owner: None, at: 0, turn, count });
                    released += 1;
                }
                Ok(integer(released))
            }
            other => unreachable!("{other:?} is applied elsewhere"),
        }
    }

    fn group(&self, key: Key, name: &str) -> Result<(&Stream, &Group), Value> {
        let stream = self.stream(key)?;
        let group = stream.and_then(|stream| Some((stream, stream.groups.get(name)?)));
        group.ok_or_else(|| no_group(key, name))
    }

    fn pending_summary(&self, key: Key, name: &str) -> Reply {
        let (_, group) = self.group(key, name)?;
        let (Some(first), Some(last)) =
            (group.pending.first_key_value(), group.pending.last_key_value())
        else {
            return Ok(Value::Array(vec![integer(0), Value::Null, Value::Null, Value::NullArray]));
        };
        let owned = |name: &String| {
            let own = group.pending.values().filter(|it| it.owner.as_ref() == Some(name));
            own.count()
        };
        let owners = group.consumers.keys().map(|name| (name, owned(name)));
        let owners = owners.filter(|&(_, count)| count > 0);
        let shown = |(name, count): (&String, usize)| {
            Value::Array(vec![text(name), text(&count.to_string())])
        };
        Ok(Value::Array(vec![
            integer(group.pending.len() as i64),
            id_value(*first.0),
            id_value(*last.0),
            Value::Array(owners.map(shown).collect()),
        ]))
    }

    fn pending_range(&self, op: &Op) -> Reply {
        let Op::PendingRange { key, group, min_idle_ms, start, end, count, consumer } = op else {
            unreachable!("{op:?} is applied elsewhere")
        };
        let start = self.start(*key, *start)?;
        let end = self.end(*key, *end)?;
        let (_, group) = self.group(*key, &group_name(*group))?;
        let consumer = consumer.map(consumer_name);
        let idle = |it: &Pending| match it.owner {
            Some(_) => (self.now - it.at) as i64,
            None => i64::MAX,
        };
        let wanted = group
            .pending
            .iter()
            .filter(|(id, _)| (start..=end).contains(*id))
            .filter(|(_, it)| consumer.is_none() || it.owner == consumer)
            .filter(|(_, it)| idle(it) >= i64::from(min_idle_ms.unwrap_or(0)))
            .take(usize::from(*count));
        let shown = |(id, it): (&Id, &Pending)| {
            let idle = if it.owner.is_some() { idle(it) } else { -1 };
            let owner = it.owner.clone().unwrap_or_default();
            Value::Array(vec![id_value(*id), text(&owner), integer(idle), integer(it.count)])
        };
        Ok(Value::Array(wanted.map(shown).collect()))
    }

    fn claim(&mut self, claim: &Claim) -> Reply {
        let (key, now) = (claim.key, self.now);
        let (ids, name) = (self.ids(key, &claim.ids), group_name(claim.group));
        let last = claim.last_id.map_or((0, 0), |id| self.id(key, id));
        self.group(key, &name)?;
        let stream = self.stream_mut(key)?.expect("it has a group");
        let group = stream.groups.get_mut(&name).expect("it was looked for");
        group.last = group.last.max(last);
        let mut claimed = Vec::new();
        let mut taken = Vec::new();
        for id in ids {
            if !stream.entries.contains_key(&id) {
                group.pending.remove(&id);
                continue;
            }
            let count = match group.pending.get(&id) {
                None if !claim.force => continue,
                None => 1,
                Some(it) => {
                    let is_young = now - it.at < u64::from(claim.min_idle_ms);
                    if it.owner.is_some() && is_young {
                        continue;
                    }
                    it.count
                }
            };
            let count = match claim.retry_count {
                Some(retry_count) => retry_count.into(),
                None => count.wrapping_add(i64::from(!claim.just_id)),
            };
            let owner = Some(consumer_name(claim.consumer));
            let at = now - claim.idle_ms.map_or(0, u64::from);
            group.pending.insert(id, Pending { owner, at, turn: 0, count });
            group.see(&consumer_name(claim.consumer), now).active = Some(now);
            taken.push(id);
        }
        for id in taken {
            claimed.push(if claim.just_id { id_value(id) } else { stream.entry(id) });
        }
        Ok(Value::Array(claimed))
    }

    fn auto_claim(&mut self, op: &Op) -> Reply {
        let Op::AutoClaim { key, group, consumer, min_idle_ms, start, count, just_id } = op else {
            unreachable!("{op:?} is applied elsewhere")
        };
        let (name, start, now) = (group_name(*group), self.id(*key, *start), self.now);
        self.group(*key, &name)?;
        let stream = self.stream_mut(*key)?.expect("it has a group");
        let group = stream.groups.get_mut(&name).expect("it was looked for");
        let mut left = count.map_or(100, usize::from);
        let mut looks = 10 * left;
        let (mut claimed, mut dropped, mut next) = (Vec::new(), Vec::new(), (0, 0));
        let ids: Vec<Id> = group.pending.range(start..).map(|(&id, _)| id).collect();
        for id in ids {
            if left == 0 || looks == 0 {
                next = id;
                break;
            }
            looks -= 1;
            let pending = group.pending.get_mut(&id).expect("it was listed");
            if !stream.entries.contains_key(&id) {
                group.pending.remove(&id);
                dropped.push(id_value(id));
                left -= 1;
                continue;
            }
            if pending.owner.is_some() && now - pending.at < u64::from(*min_idle_ms) {
                continue;
            }
            let owner = Some(consumer_name(*consumer));
            let count = pending.count.wrapping_add(i64::from(!just_id));
            *pending = Pending { owner, at: now, turn: 0, count };
            group.see(&consumer_name(*consumer), now).active = Some(now);
            claimed.push(id);
            left -= 1;
        }
        let shown = |id| if *just_id { id_value(id) } else { stream.entry(id) };
        let claimed = claimed.into_iter().map(shown).collect();
        Ok(Value::Array(vec![id_value(next), Value::Array(claimed), Value::Array(dropped)]))
    }

    // XINFO.

    fn info_stream(&self, key: Key, full: Option<Option<u8>>) -> Reply {
        let stream = self.stream(key)?.ok_or_else(|| Value::error("ERR no such key"))?;
        let mut info = vec![
            ("length", integer(stream.entries.len() as i64)),
            ("radix-tree-keys", integer(stream.blocks.len() as i64)),
            ("radix-tree-nodes", integer(stream.blocks.len() as i64 + 1)),
            ("last-generated-id", id_value(stream.last)),
            ("max-deleted-entry-id", id_value(stream.max_deleted)),
            ("entries-added", integer(stream.added)),
            ("recorded-first-entry-id", id_value(stream.first())),
        ];
        if let Some(producers) = &stream.producers {
            let oldest = self.now - 1000 * producers.secs;
            let young = producers.sent.values().map(|sent| {
                let young = sent.iter().filter(|(.., at)| *at >= oldest);
                young.count()
            });
            let young: Vec<usize> = young.filter(|&count| count > 0).collect();
            info.extend([
                ("idmp-duration", integer(producers.secs)),
                ("idmp-maxsize", integer(producers.names as i64)),
                ("pids-tracked", integer(young.len() as i64)),
                ("iids-tracked", integer(young.iter().sum::<usize>() as i64)),
                ("iids-added", integer(producers.added)),
                ("iids-duplicates", integer(producers.duplicates)),
            ]);
        }
        let ids: Vec<Id> = stream.entries.keys().copied().collect();
        match full {
            None => {
                let entry = |id: Option<&Id>| id.map_or(Value::Null, |&id| stream.entry(id));
                info.push(("groups", integer(stream.groups.len() as i64)));
                info.push(("first-entry", entry(ids.first())));
                info.push(("last-entry", entry(ids.last())));
            }
            Some(count) => {
                let count = match count {
                    None => 10,
                    Some(0) => usize::MAX,
                    Some(count) => count.into(),
                };
                let entries = ids.iter().take(count).map(|&id| stream.entry(id)).collect();
                let groups =
                    stream.groups.iter().map(|(name, it)| full_group(stream, name, it, count));
                info.push(("entries", Value::Array(entries)));
                info.push(("groups", Value::Array(groups.collect())));
            }
        }
        Ok(pairs(info))
    }

    fn info_groups(&self, key: Key) -> Reply {
        let stream = self.stream(key)?.ok_or_else(|| Value::error("ERR no such key"))?;
        let shown = |(name, group): (&String, &Group)| {
            pairs(vec![
                ("name", text(name)),
                ("consumers", integer(group.consumers.len() as i64)),
                ("pending", integer(group.pending.len() as i64)),
                ("last-delivered-id", id_value(group.last)),
                ("entries-read", optional(group.read)),
                ("lag", optional(stream.lag(group))),
            ])
        };
        Ok(Value::Array(stream.groups.iter().map(shown).collect()))
    }

    fn info_consumers(&self, key: Key, name: &str) -> Reply {
        let stream = self.stream(key)?.ok_or_else(|| Value::error("ERR no such key"))?;
        let group = stream.groups.get(name).ok_or_else(|| {
            let key = key_name(key);
            Value::error(&format!("NOGROUP No such consumer group '{name}' for key name '{key}'"))
        })?;
        let shown = |(name, it): (&String, &Consumer)| {
            let pending = group.pending.values().filter(|it| it.owner.as_ref() == Some(name));
            let inactive = it.active.map_or(-1, |active| (self.now - active) as i64);
            pairs(vec![
                ("name", text(name)),
                ("pending", integer(pending.count() as i64)),
                ("idle", integer(self.now - it.seen)),
                ("inactive", integer(inactive)),
            ])
        };
        Ok(Value::Array(group.consumers.iter().map(shown).collect()))
    }
}

fn no_key() -> Value {
    Value::error(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
         use the MKSTREAM option to create an empty stream automatically.",
    )
}

/// What XDELEX says of one id.
fn delete(stream: &mut Stream, id: Id, references: References) -> i64 {
    if references == References::Drop {
        stream.forget(id);
    }
    if !stream.entries.contains_key(&id) {
        return -1;
    }
    if references == References::Acked && stream.refers(id) {
        return 2;
    }
    stream.delete(id);
    1
}

fn full_group(stream: &Stream, name: &str, group: &Group, count: usize) -> Value {
    let delivered = |it: &Pending| {
        let at = if it.owner.is_some() { it.at } else { 0 };
        [integer(at), integer(it.count)]
    };
    let pending = group.pending.iter().take(count).map(|(&id, it)| {
        let owner = text(&it.owner.clone().unwrap_or_default());
        Value::Array([id_value(id), owner].into_iter().chain(delivered(it)).collect())
    });
    let consumers = group.consumers.iter().map(|(name, consumer)| {
        let own = group.pending.iter().filter(|(_, it)| it.owner.as_ref() == Some(name));
        let own = own.map(|(&id, it)| {
            Value::Array([id_value(id)].into_iter().chain(delivered(it)).collect())
        });
        let own: Vec<Value> = own.collect();
        pairs(vec![
            ("name", text(name)),
            ("seen-time", integer(consumer.seen)),
            ("active-time", consumer.active.map_or_else(|| integer(-1), integer)),
            ("pel-count", integer(own.len() as i64)),
            ("pending", Value::Array(own.into_iter().take(count).collect())),
        ])
    });
    let released = group.pending.values().filter(|it| it.owner.is_none()).count();
    let mut info = vec![
        ("name", text(name)),
        ("last-delivered-id", id_value(group.last)),
        ("entries-read", optional(group.read)),
        ("lag", optional(stream.lag(group))),
        ("pel-count", integer(group.pending.len() as i64)),
    ];
    if released > 0 {
        info.push(("nacked-count", integer(released as i64)));
    }
    info.push(("pending", Value::Array(pending.collect())));
    info.push(("consumers", Value::Array(consumers.collect())));
    pairs(info)
}

//! The words of each command.

use crate::apply::fields;
use crate::model::{Model, consumer_name, group_name, id_text, key_name};
use crate::ops::{Claim, Cut, From, IdOf, Key, Mode, NewId, Op, Reading, References, Trim};

/// The words said so far.
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn word(&mut self, word: &str) {
        self.0.push(word.to_owned());
    }

    fn words<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(str::to_owned));
    }

    fn texts<const N: usize>(&mut self, words: [String; N]) {
        self.0.extend(words);
    }
}

impl Model {
    /// What a client sends.
    pub(crate) fn words_of(&self, op: &Op) -> Vec<Vec<u8>> {
        let mut line = Line::default();
        self.say(op, &mut line);
        line.0.into_iter().map(String::into_bytes).collect()
    }

    fn say(&self, op: &Op, line: &mut Line) {
        match op {
            Op::Add(_) | Op::AddOnce { .. } | Op::Configure { .. } | Op::Trim(..) => {
                self.say_add(op, line);
            }
            Op::Read(reading) | Op::Block(reading) => {
                self.say_reading(reading, matches!(op, Op::Block(_)), line);
            }
            Op::Create { .. }
            | Op::SetGroupId { .. }
            | Op::Destroy(..)
            | Op::CreateConsumer(..)
            | Op::DeleteConsumer(..) => self.say_group(op, line),
            Op::Claim(claim) => self.say_claim(claim, line),
            Op::Acknowledge(..)
            | Op::AcknowledgeDelete(..)
            | Op::Release { .. }
            | Op::Pending(..)
            | Op::PendingRange { .. }
            | Op::AutoClaim { .. } => self.say_pending(op, line),
            _ => self.say_log(op, line),
        }
    }

    fn say_log(&self, op: &Op, line: &mut Line) {
        let id = |key, id| id_text(self.id(key, id));
        match op {
            Op::Delete(key, ids) => {
                line.words(["XDEL", &key_name(*key)]);
                ids.iter().for_each(|&it| line.word(&id(*key, it)));
            }
            Op::DeleteEx(key, references, ids) => {
                line.words(["XDELEX", &key_name(*key)]);
                self.say_doomed(*key, *references, ids, line);
            }
            Op::DropKey(key) => line.words(["DEL", &key_name(*key)]),
            Op::Copy(from, to) => {
                line.words(["COPY", &key_name(*from), &key_name(*to), "REPLACE"]);
            }
            Op::MakeString(key) => line.words(["SET", &key_name(*key), "text"]),
            Op::SetId { key, id: last, added, max_deleted } => {
                line.words(["XSETID", &key_name(*key), &id(*key, *last)]);
                if let Some(added) = added {
                    line.words(["ENTRIESADDED", &added.to_string()]);
                }
                if let Some(max_deleted) = max_deleted {
                    line.words(["MAXDELETEDID", &id(*key, *max_deleted)]);
                }
            }
            Op::Len(key) => line.words(["XLEN", &key_name(*key)]),
            Op::Range { key, start, end, count, reverse } => {
                let [start, end] = [*start, *end].map(|bound| self.bound(*key, bound));
                let words =
                    if *reverse { ["XREVRANGE", &end, &start] } else { ["XRANGE", &start, &end] };
                line.words([words[0], &key_name(*key), words[1], words[2]]);
                if let Some(count) = count {
                    line.words(["COUNT", &count.to_string()]);
                }
            }
            Op::InfoStream(key, full) => {
                line.words(["XINFO", "STREAM", &key_name(*key)]);
                if let Some(count) = full {
                    line.word("FULL");
                    if let Some(count) = count {
                        line.words(["COUNT", &count.to_string()]);
                    }
                }
            }
            Op::InfoGroups(key) => line.words(["XINFO", "GROUPS", &key_name(*key)]),
            Op::InfoConsumers(key, group) => {
                line.words(["XINFO", "CONSUMERS", &key_name(*key), &group_name(*group)]);
            }
            other => unreachable!("{other:?} is said elsewhere"),
        }
    }

    fn bound(&self, key: Key, (id, excluded): (IdOf, bool)) -> String {
        match (id, excluded) {
            (IdOf::Edge(greatest), false) => (if greatest { "+" } else { "-" }).to_owned(),
            (id, false) => id_text(self.id(key, id)),
            (id, true) => format!("({}", id_text(self.id(key, id))),
        }
    }

    fn say_doomed(&self, key: Key, references: References, ids: &[IdOf], line: &mut Line) {
        match references {
            References::Keep => {}
            References::Drop => line.word("delref"),
            References::Acked => line.word("ACKED"),
        }
        line.words(["IDS", &ids.len().to_string()]);
        ids.iter().for_each(|&id| line.word(&id_text(self.id(key, id))));
    }

    fn say_trim(&self, key: Key, trim: &Trim, line: &mut Line) {
        let (word, threshold) = match trim.cut {
            Cut::MaxLen(max) => ("MAXLEN", max.to_string()),
            Cut::MinId(id) => ("MINID", id_text(self.id(key, id))),
        };
        line.words([word, if trim.approximate { "~" } else { "=" }, &threshold]);
        if let Some(limit) = trim.limit {
            line.words(["LIMIT", &limit.to_string()]);
        }
        match trim.references {
            None => {}
            Some(References::Keep) => line.word("KEEPREF"),
            Some(References::Drop) => line.word("DELREF"),
            Some(References::Acked) => line.word("ACKED"),
        }
    }

    fn say_add(&self, op: &Op, line: &mut Line) {
        match op {
            Op::Add(add) => {
                let last = self.stream(add.key).ok().flatten().map_or((0, 0), |it| it.last);
                line.words(["XADD", &key_name(add.key)]);
                if add.no_stream_made {
                    line.word("NOMKSTREAM");
                }
                if let Some(trim) = &add.trim {
                    self.say_trim(add.key, trim, line);
                }
                line.word(&match add.id {
                    NewId::After(..) => id_text(self.id_after(last, add.id)),
                    NewId::AutoSeq(ms) => format!("{}-*", last.0.saturating_add(ms.into())),
                    NewId::Auto => "*".to_owned(),
                    NewId::Some(id) => id_text(self.id(add.key, id)),
                });
                for (name, value) in fields(add) {
                    line.words([&*name, &*value]);
                }
            }
            Op::AddOnce { key, producer, name, value } => {
                line.words(["XADD", &key_name(*key)]);
                match name {
                    Some(name) => {
                        line.words(["IDMP", &format!("p{producer}"), &format!("n{name}")]);
                    }
                    None => line.words(["IDMPAUTO", &format!("p{producer}")]),
                }
                line.words(["*", "a", &value.to_string()]);
            }
            Op::Configure { key, secs, names } => {
                line.words(["XCFGSET", &key_name(*key)]);
                if let Some(secs) = secs {
                    line.words(["IDMP-DURATION", &secs.to_string()]);
                }
                if let Some(names) = names {
                    line.words(["IDMP-MAXSIZE", &names.to_string()]);
                }
            }
            Op::Trim(key, trim) => {
                line.words(["XTRIM", &key_name(*key)]);
                self.say_trim(*key, trim, line);
            }
            other => unreachable!("{other:?} is said elsewhere"),
        }
    }

    fn say_reading(&self, reading: &Reading, blocks: bool, line: &mut Line) {
        match reading.reader {
            None => line.word("XREAD"),
            Some((group, it)) => {
                line.words(["XREADGROUP", "GROUP", &group_name(group), &consumer_name(it)]);
            }
        }
        if let Some(count) = reading.count {
            line.words(["COUNT", &count.to_string()]);
        }
        if let Some(count) = reading.count_in_all {
            line.words(["MAXCOUNT", &count.to_string()]);
        }
        if blocks {
            line.words(["BLOCK", &reading.patience_ms.unwrap_or(0).to_string()]);
        }
        if let Some(min_idle_ms) = reading.min_idle_ms {
            line.words(["CLAIM", &min_idle_ms.to_string()]);
        }
        if reading.no_ack {
            line.word("NOACK");
        }
        line.word("STREAMS");
        reading.streams.iter().for_each(|(key, _)| line.word(&key_name(*key)));
        for &(key, from) in &reading.streams {
            line.word(&match (from, reading.reader.is_some()) {
                (From::After(id), _) => id_text(self.id(key, id)),
                (_, true) => ">".to_owned(),
                (From::New, false) => "$".to_owned(),
                (From::Last, false) => "+".to_owned(),
            });
        }
    }

    fn say_group(&self, op: &Op, line: &mut Line) {
        let id = |key: &Key, id: &Option<IdOf>| {
            id.map_or("$".to_owned(), |id| id_text(self.id(*key, id)))
        };
        let mut say_read = None;
        match op {
            Op::Create { key, group, id: last, make_stream, read } => {
                let last = id(key, last);
                line.words(["XGROUP", "CREATE", &key_name(*key), &group_name(*group), &last]);
                if *make_stream {
                    line.word("MKSTREAM");
                }
                say_read = *read;
            }
            Op::SetGroupId { key, group, id: last, read } => {
                let last = id(key, last);
                line.words(["XGROUP", "SETID", &key_name(*key), &group_name(*group), &last]);
                say_read = *read;
            }
            Op::Destroy(key, group) => {
                line.words(["XGROUP", "DESTROY", &key_name(*key), &group_name(*group)]);
            }
            Op::CreateConsumer(key, group, it) => {
                line.words(["XGROUP", "CREATECONSUMER", &key_name(*key), &group_name(*group)]);
                line.word(&consumer_name(*it));
            }
            Op::DeleteConsumer(key, group, it) => {
                line.words(["XGROUP", "DELCONSUMER", &key_name(*key), &group_name(*group)]);
                line.word(&consumer_name(*it));
            }
            other => unreachable!("{other:?} is said elsewhere"),
        }
        if let Some(read) = say_read {
            line.words(["ENTRIESREAD", &read.to_string()]);
        }
    }

    fn say_claim(&self, claim: &Claim, line: &mut Line) {
        let key = claim.key;
        line.words(["XCLAIM", &key_name(key), &group_name(claim.group)]);
        line.texts([consumer_name(claim.consumer), claim.min_idle_ms.to_string()]);
        claim.ids.iter().for_each(|&id| line.word(&id_text(self.id(key, id))));
        if let Some(idle_ms) = claim.idle_ms {
            line.words(["IDLE", &idle_ms.to_string()]);
        }
        if let Some(retry_count) = claim.retry_count {
            line.words(["RETRYCOUNT", &retry_count.to_string()]);
        }
        if claim.force {
            line.word("FORCE");
        }
        if claim.just_id {
            line.word("JUSTID");
        }
        if let Some(id) = claim.last_id {
            line.words(["LASTID", &id_text(self.id(key, id))]);
        }
    }

    fn say_pending(&self, op: &Op, line: &mut Line) {
        let id = |key: &Key, id: &IdOf| id_text(self.id(*key, *id));
        match op {
            Op::Acknowledge(key, group, ids) => {
                line.words(["XACK", &key_name(*key), &group_name(*group)]);
                ids.iter().for_each(|it| line.word(&id(key, it)));
            }
            Op::AcknowledgeDelete(key, group, references, ids) => {
                line.words(["XACKDEL", &key_name(*key), &group_name(*group)]);
                self.say_doomed(*key, *references, ids, line);
            }
            Op::Release { key, group, mode, ids, retry, force } => {
                line.words(["XNACK", &key_name(*key), &group_name(*group)]);
                line.word(match mode {
                    Mode::Silent => "SILENT",
                    Mode::Fail => "FAIL",
                    Mode::Fatal => "FATAL",
                });
                if *force {
                    line.word("FORCE");
                }
                self.say_doomed(*key, References::Keep, ids, line);
                if let Some(retry) = retry {
                    line.words(["RETRYCOUNT", &retry.to_string()]);
                }
            }
            Op::Pending(key, group) => {
                line.words(["XPENDING", &key_name(*key), &group_name(*group)]);
            }
            Op::PendingRange { key, group, min_idle_ms, start, end, count, consumer } => {
                line.words(["XPENDING", &key_name(*key), &group_name(*group)]);
                if let Some(min_idle_ms) = min_idle_ms {
                    line.words(["IDLE", &min_idle_ms.to_string()]);
                }
                line.texts([*start, *end].map(|bound| self.bound(*key, bound)));
                line.word(&count.to_string());
                if let Some(consumer) = consumer {
                    line.word(&consumer_name(*consumer));
                }
            }
            Op::AutoClaim { key, group, consumer, min_idle_ms, start, count, just_id } => {
                line.words(["XAUTOCLAIM", &key_name(*key), &group_name(*group)]);
                line.texts([consumer_name(*consumer), min_idle_ms.to_string()]);
                line.word(&id(key, start));
                if let Some(count) = count {
                    line.words(["COUNT", &count.to_string()]);
                }
                if *just_id {
                    line.word("JUSTID");
                }
            }
            other => unreachable!("{other:?} is said elsewhere"),
        }
    }
}

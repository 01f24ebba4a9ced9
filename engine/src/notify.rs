//! Keyspace events: changes of keys, published for those who subscribe to them.
//!
//! Invariant: every event that a change can have has a row in the table here, with the class by
//! which `notify-keyspace-events` lets it through.

use crate::config::{Config, EventClasses};
use crate::pubsub::PubSub;
use crate::session::Sessions;
use crate::state::State;

/// A key was added.
pub(crate) const NEW: &str = "new";
/// A key was given another value, whatever it held (Redis 8.2).
pub(crate) const OVERWRITTEN: &str = "overwritten";
/// And that is of another type.
pub(crate) const TYPE_CHANGED: &str = "type_changed";
/// A key that was to be read is not there.
pub(crate) const KEY_MISS: &str = "keymiss";

/// Events and their classes, in the order of their names.
const EVENTS: &[(&str, EventClasses)] = &[
    ("append", EventClasses::STRING),
    ("copy_to", EventClasses::GENERIC),
    ("del", EventClasses::GENERIC),
    ("evicted", EventClasses::EVICTED),
    ("expire", EventClasses::GENERIC),
    ("expired", EventClasses::EXPIRED),
    ("georadiusstore", EventClasses::SORTED_SET),
    ("geosearchstore", EventClasses::SORTED_SET),
    ("hdel", EventClasses::HASH),
    ("hexpire", EventClasses::HASH),
    ("hexpired", EventClasses::HASH),
    ("hincrby", EventClasses::HASH),
    ("hincrbyfloat", EventClasses::HASH),
    ("hpersist", EventClasses::HASH),
    ("hset", EventClasses::HASH),
    ("incrby", EventClasses::STRING),
    ("incrbyfloat", EventClasses::STRING),
    (KEY_MISS, EventClasses::MISS),
    ("linsert", EventClasses::LIST),
    ("lpop", EventClasses::LIST),
    ("lpush", EventClasses::LIST),
    ("lrem", EventClasses::LIST),
    ("lset", EventClasses::LIST),
    ("ltrim", EventClasses::LIST),
    ("move_from", EventClasses::GENERIC),
    ("move_to", EventClasses::GENERIC),
    (NEW, EventClasses::NEW),
    (OVERWRITTEN, EventClasses::OVERWRITTEN),
    ("persist", EventClasses::GENERIC),
    ("pfadd", EventClasses::STRING),
    ("rename_from", EventClasses::GENERIC),
    ("rename_to", EventClasses::GENERIC),
    ("restore", EventClasses::GENERIC),
    ("rpop", EventClasses::LIST),
    ("rpush", EventClasses::LIST),
    ("sadd", EventClasses::SET),
    ("sdiffstore", EventClasses::SET),
    ("set", EventClasses::STRING),
    ("setbit", EventClasses::STRING),
    ("setrange", EventClasses::STRING),
    ("sinterstore", EventClasses::SET),
    ("sortstore", EventClasses::LIST),
    ("spop", EventClasses::SET),
    ("srem", EventClasses::SET),
    ("sunionstore", EventClasses::SET),
    (TYPE_CHANGED, EventClasses::TYPE_CHANGED),
    ("xadd", EventClasses::STREAM),
    ("xdel", EventClasses::STREAM),
    ("xgroup-create", EventClasses::STREAM),
    ("xgroup-createconsumer", EventClasses::STREAM),
    ("xgroup-delconsumer", EventClasses::STREAM),
    ("xgroup-destroy", EventClasses::STREAM),
    ("xgroup-setid", EventClasses::STREAM),
    ("xsetid", EventClasses::STREAM),
    ("xtrim", EventClasses::STREAM),
    ("zadd", EventClasses::SORTED_SET),
    ("zdiffstore", EventClasses::SORTED_SET),
    ("zincr", EventClasses::SORTED_SET),
    ("zinterstore", EventClasses::SORTED_SET),
    ("zpopmax", EventClasses::SORTED_SET),
    ("zpopmin", EventClasses::SORTED_SET),
    ("zrangestore", EventClasses::SORTED_SET),
    ("zrem", EventClasses::SORTED_SET),
    ("zremrangebylex", EventClasses::SORTED_SET),
    ("zremrangebyrank", EventClasses::SORTED_SET),
    ("zremrangebyscore", EventClasses::SORTED_SET),
    ("zunionstore", EventClasses::SORTED_SET),
];

/// The class of an event.
///
/// # Panics
/// If the event has no row: the command that tells of it is wrong.
fn class_of(event: &str) -> EventClasses {
    match EVENTS.binary_search_by_key(&event, |&(name, _)| name) {
        Ok(at) => EVENTS[at].1,
        Err(_) => panic!("the event {event} has no class"),
    }
}

/// Those who may want to know of events, and what they may hear.
pub(crate) struct Audience<'a> {
    pub(crate) config: &'a Config,
    pub(crate) pubsub: &'a mut PubSub,
    pub(crate) sessions: &'a mut Sessions,
}

impl Audience<'_> {
    /// Publishes that `event` has happened to `key`, where the configuration lets its class
    /// through: to the channel of the key with the event, then to the channel of the event with the
    /// key.
    #[inline]
    pub(crate) fn tell(&mut self, db: usize, key: &[u8], event: &'static str) {
        debug_assert!(class_of(event) != EventClasses::default(), "every event has a class");
        if !self.config.notify_events.is_silent() && !self.pubsub.is_idle() {
            self.publish_event(db, key, event);
        }
    }

    #[cold]
    fn publish_event(&mut self, db: usize, key: &[u8], event: &'static str) {
        let wanted = self.config.notify_events;
        if !wanted.has(class_of(event)) {
            return;
        }
        if wanted.has(EventClasses::KEYSPACE) {
            self.publish("__keyspace@", db, &[key], event.as_bytes());
        }
        if wanted.has(EventClasses::KEYEVENT) {
            self.publish("__keyevent@", db, &[event.as_bytes()], key);
        }
    }

    /// Publishes in one channel, whose name is made of `kind`, the database and `parts`.
    fn publish(&mut self, kind: &str, db: usize, parts: &[&[u8]], message: &[u8]) {
        let mut channel = self.pubsub.borrow_channel();
        channel.extend_from_slice(kind.as_bytes());
        channel.extend_from_slice(itoa::Buffer::new().format(db).as_bytes());
        channel.extend_from_slice(b"__:");
        parts.iter().for_each(|part| channel.extend_from_slice(part));
        let limits = &self.config.output_limits;
        self.pubsub.publish(self.sessions, limits, &channel, message);
        self.pubsub.give_channel_back(channel);
    }

    /// Publishes which fields of the hash at `key` something has happened to, if there are any: in
    /// the channels that Redis 8.8 has for them.
    #[inline]
    pub(crate) fn tell_of_fields<T: AsRef<[u8]>>(
        &mut self,
        db: usize,
        key: &[u8],
        event: &'static str,
        names: &[T],
    ) {
        let wanted = self.config.notify_events.speaks_of_fields();
        if wanted && !names.is_empty() && !self.pubsub.is_idle() {
            self.publish_fields(db, key, event, names);
        }
    }

    #[cold]
    fn publish_fields<T: AsRef<[u8]>>(
        &mut self,
        db: usize,
        key: &[u8],
        event: &'static str,
        names: &[T],
    ) {
        let wanted = self.config.notify_events;
        let mut list = Vec::new();
        for name in names {
            if !list.is_empty() {
                list.push(b',');
            }
            push_with_length(&mut list, name.as_ref());
        }
        let word = event.as_bytes();
        if wanted.has(EventClasses::SUBKEYSPACE) {
            let message = [word, b"|", &list].concat();
            self.publish("__subkeyspace@", db, &[key], &message);
        }
        if wanted.has(EventClasses::SUBKEYEVENT) {
            let mut message = Vec::new();
            push_with_length(&mut message, key);
            message.push(b'|');
            message.extend_from_slice(&list);
            self.publish("__subkeyevent@", db, &[word], &message);
        }
        // Where the key ends could not be seen.
        if wanted.has(EventClasses::SUBKEYSPACE_ITEM) && !key.contains(&b'\n') {
            for name in names {
                let parts = [key, b"\n", name.as_ref()];
                self.publish("__subkeyspaceitem@", db, &parts, word);
            }
        }
        if wanted.has(EventClasses::SUBKEYSPACE_EVENT) {
            self.publish("__subkeyspaceevent@", db, &[word, b"|", key], &list);
        }
    }
}

/// `5:field`.
fn push_with_length(into: &mut Vec<u8>, text: &[u8]) {
    into.extend_from_slice(itoa::Buffer::new().format(text.len()).as_bytes());
    into.push(b':');
    into.extend_from_slice(text);
}

impl State {
    fn audience(&mut self) -> Audience<'_> {
        let Self { config, pubsub, sessions, .. } = self;
        Audience { config, pubsub, sessions }
    }

    /// Publishes that `event` has happened to `key`, if that is wanted.
    #[inline]
    pub(crate) fn notify(&mut self, db: usize, key: &[u8], event: &'static str) {
        self.audience().tell(db, key, event);
    }

    /// Publishes which fields of the hash at `key` it has happened to, if that is wanted.
    #[inline]
    pub(crate) fn notify_fields(
        &mut self,
        db: usize,
        key: &[u8],
        event: &'static str,
        names: &[&[u8]],
    ) {
        self.audience().tell_of_fields(db, key, event, names);
    }

    /// Publishes that a key was added, if that is wanted.
    #[inline]
    pub(crate) fn notify_new(&mut self, db: usize, key: &[u8]) {
        if self.config.notify_events.has(EventClasses::NEW) {
            self.tell_lapsed();
            self.notify(db, key, NEW);
        }
    }

    /// Publishes that a key which was to be read is not there, if that is wanted.
    #[inline]
    pub(crate) fn notify_miss(&mut self, db: usize, key: &[u8]) {
        if self.config.notify_events.has(EventClasses::MISS) {
            self.tell_lapsed();
            self.notify(db, key, KEY_MISS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_every_class_but_that_of_modules() {
        assert!(EVENTS.is_sorted_by(|(a, _), (b, _)| a < b));
        let all = EVENTS.iter().fold(EventClasses::default(), |all, &(_, class)| all.and(class));
        assert_eq!(all.spell(), "g$lshzxetnocm");
    }

    #[test]
    fn an_event_without_a_class_is_a_bug() {
        assert_eq!(class_of("zincr"), EventClasses::SORTED_SET);
        assert!(std::panic::catch_unwind(|| class_of("zincrease")).is_err());
    }
}

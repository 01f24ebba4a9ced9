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

/// Publishes that `event` has happened to `key`, where the configuration lets its class through: to
/// the channel of the key with the event, then to the channel of the event with the key.
#[inline]
pub(crate) fn notify(
    config: &Config,
    pubsub: &mut PubSub,
    sessions: &mut Sessions,
    (db, key): (usize, &[u8]),
    event: &'static str,
) {
    debug_assert!(class_of(event) != EventClasses::default(), "every event has a class");
    if !config.notify_events.is_silent() && !pubsub.is_idle() {
        publish(config, pubsub, sessions, (db, key), event);
    }
}

#[cold]
fn publish(
    config: &Config,
    pubsub: &mut PubSub,
    sessions: &mut Sessions,
    (db, key): (usize, &[u8]),
    event: &'static str,
) {
    let wanted = config.notify_events;
    if !wanted.has(class_of(event)) {
        return;
    }
    let limits = &config.output_limits;
    let mut channel = pubsub.borrow_channel();
    if wanted.has(EventClasses::KEYSPACE) {
        name(&mut channel, b"__keyspace@", db, key);
        pubsub.publish(sessions, limits, &channel, event.as_bytes());
    }
    if wanted.has(EventClasses::KEYEVENT) {
        name(&mut channel, b"__keyevent@", db, event.as_bytes());
        pubsub.publish(sessions, limits, &channel, key);
    }
    pubsub.give_channel_back(channel);
}

fn name(into: &mut Vec<u8>, kind: &[u8], db: usize, what: &[u8]) {
    into.clear();
    into.extend_from_slice(kind);
    into.extend_from_slice(itoa::Buffer::new().format(db).as_bytes());
    into.extend_from_slice(b"__:");
    into.extend_from_slice(what);
}

impl State {
    /// Publishes that `event` has happened to `key`, if that is wanted.
    #[inline]
    pub(crate) fn notify(&mut self, db: usize, key: &[u8], event: &'static str) {
        let Self { config, pubsub, sessions, .. } = self;
        notify(config, pubsub, sessions, (db, key), event);
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
        assert_eq!(all.spell(), "g$lshzxetnm");
    }

    #[test]
    fn an_event_without_a_class_is_a_bug() {
        assert_eq!(class_of("zincr"), EventClasses::SORTED_SET);
        assert!(std::panic::catch_unwind(|| class_of("zincrease")).is_err());
    }
}

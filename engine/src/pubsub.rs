//! Channels and patterns, and who has subscribed to them.
//!
//! Publishing costs one search by name, one look at each pattern, and one append for each receiver.
//!
//! Invariants: a client is filed under a name exactly while its session lists the name; a name is
//! there only while somebody has subscribed to it; the order of receivers is that of their
//! connections, and nothing that leaves here is in the order of a hash.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

use crate::config::OutputLimits;
use crate::input::ConnId;
use crate::resp::Reply;
use crate::rng::Rng;
use crate::session::{Name, Session, Sessions, Topic};
use crate::state::State;
use crate::value::glob;

/// A buffer for one message that grew beyond this is given back.
const SPARE_BYTES_MAX: usize = 64 << 10;
/// Heap bytes of one name in a table, beside the name itself and its subscribers.
const ENTRY_BYTES: usize = size_of::<Name>() + size_of::<Subscribers>() + 2 * size_of::<usize>();

/// The kinds of message, each with the word that it begins with.
const MESSAGE: &str = "message";
const PATTERN_MESSAGE: &str = "pmessage";
const SHARD_MESSAGE: &str = "smessage";

/// All subscriptions of all clients.
#[derive(Debug)]
pub struct PubSub {
    channels: Channels,
    shard_channels: Channels,
    patterns: BTreeMap<Name, Subscribers>,
    /// Heap bytes of the patterns, without their subscribers.
    pattern_bytes: usize,
    /// The message that is being sent; between messages it is empty and lends its allocation.
    message: Vec<u8>,
    /// The name of an event's channel, likewise.
    channel: Vec<u8>,
}

/// Channels by exact name. Nobody walks them but to sort what is found.
#[derive(Debug)]
struct Channels {
    by_name: HashMap<Name, Subscribers, Keyed>,
    bytes: usize,
}

/// The clients that have subscribed to one name, in ascending order.
#[derive(Debug, Default)]
struct Subscribers(Vec<ConnId>);

/// Hashes names under a secret key, so that nobody can choose names that collide.
#[derive(Clone, Debug)]
struct Keyed(SipHasher13);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }
}

impl Subscribers {
    /// Whether the client was not there before.
    fn insert(&mut self, conn: ConnId) -> bool {
        match self.0.binary_search(&conn) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, conn);
                true
            }
        }
    }

    /// Whether nobody is left.
    fn remove(&mut self, conn: ConnId) -> bool {
        let at = self.0.binary_search(&conn).expect("a subscriber is filed under the name");
        self.0.remove(at);
        self.0.is_empty()
    }

    fn post(&self, message: &[u8], sessions: &mut Sessions, limits: &OutputLimits) -> usize {
        for &conn in &self.0 {
            sessions.post(conn, message, limits);
        }
        self.0.len()
    }
}

impl Channels {
    fn new(rng: &mut Rng) -> Self {
        let hasher = SipHasher13::new_with_keys(rng.next_u64(), rng.next_u64());
        Self { by_name: HashMap::with_hasher(Keyed(hasher)), bytes: 0 }
    }

    /// The names that match, in order.
    fn names(&self, pattern: Option<&[u8]>) -> Vec<Name> {
        let matches = |name: &&Name| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        let mut names: Vec<Name> = self.by_name.keys().filter(matches).cloned().collect();
        names.sort_unstable();
        names
    }

    /// Files a client under a name that it has not subscribed to yet; returns the shared name.
    fn insert(&mut self, name: &[u8], conn: ConnId) -> Name {
        if let Some((name, _)) = self.by_name.get_key_value(name) {
            let name = Name::clone(name);
            self.by_name.entry(Name::clone(&name)).or_default().insert(conn);
            return name;
        }
        let shared: Name = name.into();
        self.bytes += ENTRY_BYTES + name.len();
        self.by_name.entry(Name::clone(&shared)).or_default().insert(conn);
        shared
    }

    fn remove(&mut self, name: &[u8], conn: ConnId) {
        let subscribers = self.by_name.get_mut(name).expect("a name with a subscriber is there");
        if subscribers.remove(conn) {
            self.by_name.remove(name);
            self.bytes -= ENTRY_BYTES + name.len();
        }
    }
}

impl PubSub {
    /// Nobody has subscribed to anything. Hash functions are keyed from `rng`.
    pub fn new(mut rng: Rng) -> Self {
        Self {
            channels: Channels::new(&mut rng),
            shard_channels: Channels::new(&mut rng),
            patterns: BTreeMap::new(),
            pattern_bytes: 0,
            message: Vec::new(),
            channel: Vec::new(),
        }
    }

    /// How many names of one kind somebody has subscribed to.
    pub fn count(&self, topic: Topic) -> usize {
        match topic {
            Topic::Pattern => self.patterns.len(),
            _ => self.by_name(topic).by_name.len(),
        }
    }

    /// The channels that somebody has subscribed to, those that match `pattern`, in order.
    pub(crate) fn names(&self, topic: Topic, pattern: Option<&[u8]>) -> Vec<Name> {
        self.by_name(topic).names(pattern)
    }

    /// How many clients have subscribed to a channel by its name.
    pub fn subscribers(&self, topic: Topic, channel: &[u8]) -> usize {
        self.by_name(topic).by_name.get(channel).map_or(0, |subscribers| subscribers.0.len())
    }

    fn by_name(&self, topic: Topic) -> &Channels {
        match topic {
            Topic::ShardChannel => &self.shard_channels,
            _ => &self.channels,
        }
    }

    /// Subscribes a client; whether it had not subscribed to this before.
    pub(crate) fn subscribe(&mut self, session: &mut Session, topic: Topic, name: &[u8]) -> bool {
        let subscriptions = session.subscriptions.get_or_insert_default();
        if subscriptions.contains(topic, name) {
            return false;
        }
        let name = match topic {
            Topic::Channel => self.channels.insert(name, session.id),
            Topic::ShardChannel => self.shard_channels.insert(name, session.id),
            Topic::Pattern => self.insert_pattern(name, session.id),
        };
        subscriptions.insert(topic, name);
        true
    }

    fn insert_pattern(&mut self, pattern: &[u8], conn: ConnId) -> Name {
        let shared = match self.patterns.get_key_value(pattern) {
            Some((name, _)) => Name::clone(name),
            None => {
                self.pattern_bytes += ENTRY_BYTES + pattern.len();
                pattern.into()
            }
        };
        self.patterns.entry(Name::clone(&shared)).or_default().insert(conn);
        shared
    }

    /// Ends a subscription; whether the client had it.
    pub(crate) fn unsubscribe(&mut self, session: &mut Session, topic: Topic, name: &[u8]) -> bool {
        let Some(subscriptions) = &mut session.subscriptions else { return false };
        if !subscriptions.remove(topic, name) {
            return false;
        }
        if subscriptions.is_empty() {
            session.subscriptions = None;
        }
        self.leave(topic, name, session.id);
        true
    }

    fn leave(&mut self, topic: Topic, name: &[u8], conn: ConnId) {
        match topic {
            Topic::Channel => self.channels.remove(name, conn),
            Topic::ShardChannel => self.shard_channels.remove(name, conn),
            Topic::Pattern => {
                let found = self.patterns.get_mut(name);
                if found.expect("a pattern with a subscriber is there").remove(conn) {
                    self.patterns.remove(name);
                    self.pattern_bytes -= ENTRY_BYTES + name.len();
                }
            }
        }
    }

    /// Ends all subscriptions of a client.
    pub(crate) fn end(&mut self, session: &mut Session) {
        let Some(subscriptions) = session.subscriptions.take() else { return };
        for topic in Topic::ALL {
            for name in subscriptions.names(topic) {
                self.leave(topic, name, session.id);
            }
        }
    }

    /// Whether a message to any channel but a shard's would have no receiver.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.channels.by_name.is_empty() && self.patterns.is_empty()
    }

    /// Heap bytes of names and lists of subscribers, without the clients' own.
    pub fn memory_bytes(&self) -> usize {
        self.channels.bytes + self.shard_channels.bytes + self.pattern_bytes
    }

    /// Checks that both sides of every subscription know of each other.
    pub(crate) fn check_invariants(&self, sessions: &Sessions) {
        let conns = sessions.ids();
        let of_all = || conns.iter().filter_map(|&conn| sessions.find(conn));
        for topic in Topic::ALL {
            let filed: Vec<(&Name, &Subscribers)> = match topic {
                Topic::Pattern => self.patterns.iter().collect(),
                _ => self.by_name(topic).by_name.iter().collect(),
            };
            let pairs: usize = filed.iter().map(|(_, subscribers)| subscribers.0.len()).sum();
            let listed: usize = of_all().map(|session| session.subscribed(topic)).sum();
            assert_eq!(pairs, listed, "both sides have the same number of subscriptions");
            for (name, Subscribers(subscribers)) in filed {
                assert!(!subscribers.is_empty(), "a name has a subscriber");
                assert!(subscribers.is_sorted_by(|a, b| a < b), "in order, each once");
                for &conn in subscribers {
                    let session = sessions.find(conn).expect("a subscriber is connected");
                    let own = session.subscriptions.as_ref().expect("and has subscriptions");
                    assert!(own.contains(topic, name), "and knows of this one");
                }
            }
        }
        let empty =
            |session: &Session| session.subscriptions.as_ref().is_some_and(|s| s.is_empty());
        assert!(!of_all().any(empty), "who has no subscription has no set of them");
    }
}

impl PubSub {
    /// Sends `message` to all who have subscribed to `channel`, by its name or by a pattern. How
    /// many messages that were; a client may get several.
    pub(crate) fn publish(
        &mut self,
        sessions: &mut Sessions,
        limits: &OutputLimits,
        channel: &[u8],
        message: &[u8],
    ) -> usize {
        if self.is_idle() {
            return 0;
        }
        let mut sent = 0;
        if let Some(subscribers) = self.channels.by_name.get(channel) {
            encode(&mut self.message, &[MESSAGE.as_bytes(), channel, message]);
            sent += subscribers.post(&self.message, sessions, limits);
        }
        for (pattern, subscribers) in &self.patterns {
            if glob::matches(pattern, channel) {
                let parts = [PATTERN_MESSAGE.as_bytes(), pattern, channel, message];
                encode(&mut self.message, &parts);
                sent += subscribers.post(&self.message, sessions, limits);
            }
        }
        rest(&mut self.message);
        sent
    }

    /// Sends `message` to all who have subscribed to the shard channel `channel`. How many that
    /// were.
    pub(crate) fn publish_to_shard(
        &mut self,
        sessions: &mut Sessions,
        limits: &OutputLimits,
        channel: &[u8],
        message: &[u8],
    ) -> usize {
        let Some(subscribers) = self.shard_channels.by_name.get(channel) else { return 0 };
        encode(&mut self.message, &[SHARD_MESSAGE.as_bytes(), channel, message]);
        let sent = subscribers.post(&self.message, sessions, limits);
        rest(&mut self.message);
        sent
    }

    /// Lends an empty buffer for the name of a channel.
    pub(crate) fn borrow_channel(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.channel)
    }

    /// Takes the buffer back.
    pub(crate) fn give_channel_back(&mut self, mut channel: Vec<u8>) {
        rest(&mut channel);
        self.channel = channel;
    }
}

impl State {
    /// Sends `message` to all who have subscribed to `channel`, by its name or by a pattern. How
    /// many messages that were; a client may get several.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let Self { pubsub, sessions, config, harm, .. } = self;
        let limits = &config.output_limits;
        let Some(harm) = harm else { return pubsub.publish(sessions, limits, channel, message) };
        if !harm.lets_pass(channel, message) {
            return 0;
        }
        let sent = pubsub.publish(sessions, limits, channel, message);
        if let Some((channel, message)) = harm.held.take() {
            pubsub.publish(sessions, limits, &channel, &message);
        }
        sent
    }

    /// Sends `message` to all who have subscribed to the shard channel `channel`. How many that
    /// were.
    pub fn publish_to_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let Self { pubsub, sessions, config, .. } = self;
        pubsub.publish_to_shard(sessions, &config.output_limits, channel, message)
    }
}

/// Empties a buffer that is lent; one that grew too large is given back.
fn rest(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > SPARE_BYTES_MAX {
        *buffer = Vec::new();
    }
}

/// Spells a message for RESP2. RESP3 differs in the first byte alone, so each message is spelled
/// once, whoever gets it.
fn encode(into: &mut Vec<u8>, parts: &[&[u8]]) {
    let mut reply = Reply { out: core::mem::take(into), ..Reply::default() };
    reply.out.clear();
    reply.array(parts.len());
    for part in parts {
        reply.bulk(part);
    }
    *into = reply.out;
}

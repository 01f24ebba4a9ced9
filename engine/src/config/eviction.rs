//! Limits on memory: how much there may be, what is evicted above it, and in which order.
//!
//! Invariant: every policy has one name, and every name one policy.

use super::value::Value;

/// A smaller limit on the memory of clients would let nobody talk to the server, as in Redis.
const CLIENTS_BYTES_MIN: u64 = 128 << 10;

/// The limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// Most memory that data and clients may take, in bytes; 0: no limit.
    pub bytes_max: u64,
    /// What is evicted above the limit.
    pub policy: Policy,
    /// Keys that are looked at to evict one.
    pub samples: usize,
    /// How much one step evicts, from 0 to 100.
    pub tenacity: u32,
    /// How much the LFU counter grows ever slower; 0: with every use.
    pub lfu_log_factor: u64,
    /// Minutes in which the LFU counter falls by one; 0: it never does.
    pub lfu_decay_mins: u64,
    /// Most memory that clients may take.
    pub clients: ClientsLimit,
    /// Patterns of keys that are never evicted, nor flushed without FORCE.
    pub protected_keys: Vec<String>,
}

impl Default for Eviction {
    fn default() -> Self {
        Self {
            bytes_max: 0,
            policy: Policy { order: Order::Never, only_volatile: false },
            samples: 5,
            tenacity: 10,
            lfu_log_factor: 10,
            lfu_decay_mins: 1,
            clients: ClientsLimit::Bytes(0),
            protected_keys: Vec::new(),
        }
    }
}

impl Eviction {
    /// Most memory that clients may take, in bytes; `None`: no limit.
    pub fn clients_bytes_max(&self) -> Option<u64> {
        let bytes = match self.clients {
            ClientsLimit::Bytes(0) => return None,
            ClientsLimit::Bytes(bytes) => bytes,
            ClientsLimit::Percent(_) if self.bytes_max == 0 => return None,
            ClientsLimit::Percent(percent) => {
                (u128::from(self.bytes_max) * u128::from(percent) / 100) as u64
            }
        };
        Some(bytes.max(CLIENTS_BYTES_MIN))
    }

    /// Whether anybody asks how much memory clients take before each command.
    pub fn counts_clients(&self) -> bool {
        self.bytes_max != 0 || self.clients_bytes_max().is_some()
    }

    /// Whether integers are shared objects in Redis, as OBJECT REFCOUNT tells.
    pub fn shares_integers(&self) -> bool {
        let keeps_use = matches!(self.policy.order, Order::Lru | Order::Lfu | Order::Lrm);
        self.bytes_max == 0 || !keeps_use
    }
}

/// A limit on the memory of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientsLimit {
    /// So many bytes; 0: no limit.
    Bytes(u64),
    /// This share of `maxmemory`.
    Percent(u8),
}

impl ClientsLimit {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Percent(percent) => Self::Percent(*percent),
            bytes => Self::Bytes(bytes.unsigned()),
        }
    }

    pub(super) fn value(self) -> Value {
        match self {
            Self::Bytes(bytes) => Value::Integer(bytes.into()),
            Self::Percent(percent) => Value::Percent(percent),
        }
    }
}

/// Which key goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// None goes.
    Never,
    /// The one that was used the longest time ago.
    Lru,
    /// The one that is used the least often.
    Lfu,
    /// The one that was changed the longest time ago.
    Lrm,
    /// Any.
    Random,
    /// The one that expires next.
    Ttl,
}

/// What is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which key goes first.
    pub order: Order,
    /// Whether only keys with a TTL go.
    pub only_volatile: bool,
}

const fn policy(order: Order, only_volatile: bool) -> Policy {
    Policy { order, only_volatile }
}

/// The policies by their names, in the order in which Redis lists those that it has.
const POLICIES: [(&str, Policy); 10] = [
    ("volatile-lru", policy(Order::Lru, true)),
    ("volatile-lfu", policy(Order::Lfu, true)),
    ("volatile-random", policy(Order::Random, true)),
    ("volatile-ttl", policy(Order::Ttl, true)),
    ("allkeys-lru", policy(Order::Lru, false)),
    ("allkeys-lfu", policy(Order::Lfu, false)),
    ("allkeys-random", policy(Order::Random, false)),
    ("noeviction", policy(Order::Never, false)),
    ("volatile-lrm", policy(Order::Lrm, true)),
    ("allkeys-lrm", policy(Order::Lrm, false)),
];

/// The names of all policies.
pub(super) const POLICY_NAMES: &[&str] = &{
    let mut names = [""; POLICIES.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = POLICIES[index].0;
        index += 1;
    }
    names
};

impl Policy {
    /// All there are.
    pub const ALL: [Self; POLICIES.len()] = {
        let mut all = [POLICIES[0].1; POLICIES.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = POLICIES[index].1;
            index += 1;
        }
        all
    };

    /// The policy of that name.
    pub fn named(name: &str) -> Option<Self> {
        POLICIES.iter().find(|(other, _)| *other == name).map(|&(_, policy)| policy)
    }

    pub(super) fn of(value: &Value) -> Self {
        let found = POLICIES.iter().find(|(name, _)| *name == value.text());
        found.map_or_else(|| Eviction::default().policy, |&(_, policy)| policy)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = POLICIES.iter().find(|&&(_, policy)| policy == self);
        found.map_or("noeviction", |&(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_its_name() {
        for (name, policy) in POLICIES {
            assert_eq!((policy.name(), Policy::named(name)), (name, Some(policy)));
            assert!(Policy::ALL.contains(&policy));
            assert_eq!(Policy::of(&Value::Choice(name)), policy);
        }
    }

    #[test]
    fn a_share_of_nothing_is_no_limit() {
        let limit = |bytes_max, clients| {
            Eviction { bytes_max, clients, ..Eviction::default() }.clients_bytes_max()
        };
        assert_eq!(limit(0, ClientsLimit::Percent(5)), None);
        assert_eq!(limit(100 << 20, ClientsLimit::Percent(5)), Some(5 << 20));
        assert_eq!(limit(0, ClientsLimit::Bytes(0)), None);
        assert_eq!(limit(0, ClientsLimit::Bytes(1)), Some(128 << 10));
        assert_eq!(limit(1, ClientsLimit::Bytes(3_000_000)), Some(3_000_000));
    }
}

//! Lock algorithms by name, with how their users use them.
//!
//! Invariant: names are unique; every algorithm has settings without a problem for the numbers of
//! servers that it is for.

use orrery_engine::lock::{
    AtQuorum, Cleanup, Expiry, Extension, FailedExtension, Fencing, LocalClock, LossSignal, Order,
    Replicas, Settings, Since, TTL_MS_MAX, TokenRule,
};

use super::store::Fences;

/// A lock algorithm, and how it is used.
#[derive(Clone, Copy, Debug)]
pub struct Algorithm {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub words: &'static str,
    /// How it does what it does, on so many servers, with such a time to live in milliseconds.
    pub settings: fn(u16, u64) -> Settings,
    /// It is for one server; otherwise for several.
    pub is_single: bool,
    /// What the store checks.
    pub fences: Fences,
    /// Whether a holder looks whether it still has the lock before it writes.
    pub looks: bool,
    /// Whether requests to a server go over several connections and may overtake each other.
    pub is_pooled: bool,
    /// Whether the number is asked for when the data is accessed, not kept from the grant (S30).
    pub asks_number: bool,
    /// Whether numbers come with their owner, so that the data can tell equal ones apart.
    pub names_owners: bool,
    /// After so long, in milliseconds, the client's library sends a request that has no answer once
    /// more, and takes the answer for the first one's (S39).
    pub resends_ms: Option<u64>,
}

fn extended(settings: Settings, every_ms: u64) -> Settings {
    let extension = Extension {
        every_ms: every_ms.max(1),
        held_ms_max: settings.ttl_ms.saturating_mul(100).min(TTL_MS_MAX),
        recreates: false,
        repairs: false,
        failed: FailedExtension::Keep,
    };
    Settings { extension: Some(extension), ..settings }
}

/// The same with another way to extend the time.
fn extending(settings: Settings, change: impl Fn(Extension) -> Extension) -> Settings {
    Settings { extension: settings.extension.map(change), ..settings }
}

/// The same on a server whose replicas may take its place, of which so many are waited for.
fn replicated(settings: Settings, needed: u16, none_will_do: bool) -> Settings {
    let timeout_ms = if needed > 0 { settings.node_timeout_ms.div_ceil(2) } else { 0 };
    Settings { replicas: Some(Replicas { needed, timeout_ms, none_will_do }), ..settings }
}

/// One server, asked at regular intervals until it grants, and nobody who looks at the time.
fn polling(ttl_ms: u64) -> Settings {
    Settings { retries: 200, retry_delay_ms: 100, retry_jitter_ms: 0, ..naive(1, ttl_ms) }
}

fn naive(nodes: u16, ttl_ms: u64) -> Settings {
    Settings { loss: LossSignal::Never, checks_elapsed: false, ..Settings::redlock(nodes, ttl_ms) }
}

const PLAIN: Algorithm = Algorithm {
    name: "",
    words: "",
    settings: Settings::redlock,
    is_single: false,
    fences: Fences::Nothing,
    looks: false,
    is_pooled: false,
    asks_number: false,
    names_owners: false,
    resends_ms: None,
};

/// The holder looks before it writes, and the store checks its numbers.
const NUMBERED: Algorithm =
    Algorithm { fences: Fences::All, looks: true, names_owners: true, ..PLAIN };

/// All that there are.
pub const ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "naive",
        words: "SET NX PX on one server, and work until it is done",
        settings: naive,
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "single",
        words: "one server, a deadline, and numbers that every access to the data carries",
        settings: |_, ttl_ms| Settings::single(ttl_ms),
        is_single: true,
        ..NUMBERED
    },
    Algorithm {
        name: "failover",
        words: "as single, on a primary whose place a replica may take, with what it has",
        settings: |_, ttl_ms| replicated(Settings::single(ttl_ms), 0, false),
        is_single: true,
        ..NUMBERED
    },
    Algorithm {
        name: "wait-one",
        words: "as failover, and a grant is one when one replica has it (WAIT 1)",
        settings: |_, ttl_ms| replicated(Settings::single(ttl_ms), 1, false),
        is_single: true,
        ..NUMBERED
    },
    Algorithm {
        name: "wait-two",
        words: "as failover, and a grant is one when two replicas have it (WAIT 2)",
        settings: |_, ttl_ms| replicated(Settings::single(ttl_ms), 2, false),
        is_single: true,
        ..NUMBERED
    },
    Algorithm { name: "redlock", words: "Redlock as it is specified", ..PLAIN },
    Algorithm {
        name: "redlock-margin",
        words: "Redlock that asks all servers, extends and repairs, with a holder that looks",
        settings: Settings::with_margin,
        looks: true,
        ..PLAIN
    },
    Algorithm {
        name: "redlock-counters",
        words: "Redlock with the greatest of the servers' counters as number",
        settings: |nodes, ttl_ms| Settings {
            fencing: Fencing::Counter,
            ..Settings::redlock(nodes, ttl_ms)
        },
        ..NUMBERED
    },
    Algorithm {
        name: "fenced-writes",
        words: "as fenced, but only writes carry the number",
        settings: Settings::fenced,
        fences: Fences::Writes,
        ..NUMBERED
    },
    Algorithm {
        name: "fenced",
        words: "Redlock whose number a majority has first, and every access carries it",
        settings: Settings::fenced,
        ..NUMBERED
    },
    Algorithm {
        name: "fenced-proposed",
        words: "as fenced, with numbers that are proposed, so that one round may be enough",
        settings: |nodes, ttl_ms| Settings {
            fencing: Fencing::Proposed,
            ..Settings::fenced(nodes, ttl_ms)
        },
        ..NUMBERED
    },
    Algorithm {
        name: "plain-del",
        words: "one server, released by DEL whoever has it",
        settings: |nodes, ttl_ms| Settings { checks_release: false, ..naive(nodes, ttl_ms) },
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "get-then-del",
        words: "one server, released by GET and then DEL (redis-py before 3.0)",
        settings: |nodes, ttl_ms| Settings { looks_before_release: true, ..naive(nodes, ttl_ms) },
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "setnx-expire",
        words: "one server, SETNX and EXPIRE as two commands",
        settings: |nodes, ttl_ms| Settings { expiry: Expiry::Afterwards, ..naive(nodes, ttl_ms) },
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "resending",
        words: "one server, and a client library that sends SET NX once more when no answer comes",
        settings: |nodes, ttl_ms| Settings {
            cleanup: Cleanup::WhereGranted,
            node_timeout_ms: 200,
            ..naive(nodes, ttl_ms)
        },
        is_single: true,
        resends_ms: Some(50),
        ..PLAIN
    },
    Algorithm {
        name: "redis-py",
        words: "redis-py by default: no time to live, asks every 100 ms",
        settings: |_, ttl_ms| Settings { expiry: Expiry::Never, ..polling(ttl_ms) },
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "python-redis-lock",
        words: "python-redis-lock with expire and auto_renewal: nobody is told when that ends",
        settings: |_, ttl_ms| extended(polling(ttl_ms), ttl_ms * 2 / 3),
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "bsm-redislock",
        words: "bsm/redislock with FenceKey: numbers for writes, one attempt, no deadline",
        settings: |nodes, ttl_ms| Settings {
            fencing: Fencing::Counter,
            retries: 0,
            ..naive(nodes, ttl_ms)
        },
        is_single: true,
        fences: Fences::Writes,
        ..PLAIN
    },
    Algorithm {
        name: "rueidislock",
        words: "rueidislock: ends by the client's time of day, an extension that waits for ever",
        settings: |_, ttl_ms| {
            let settings = extended(Settings::redlock(1, ttl_ms), ttl_ms / 2);
            let settings = Settings {
                expiry: Expiry::AtClientTime,
                checks_elapsed: false,
                node_timeout_ms: ttl_ms,
                loss: LossSignal::WhenExtensionFails,
                ..settings
            };
            extending(settings, |it| Extension { failed: FailedExtension::Release, ..it })
        },
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "redisson",
        words: "Redisson's RLock: a watchdog that no loss stops, and that may outlive the unlock",
        settings: |nodes, ttl_ms| Settings {
            extends_released: true,
            ..extended(naive(nodes, ttl_ms), ttl_ms / 3)
        },
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "redisson-fenced",
        words: "Redisson's RFencedLock, whose users ask for the number when they write",
        settings: |nodes, ttl_ms| Settings {
            fencing: Fencing::Counter,
            ..extended(naive(nodes, ttl_ms), ttl_ms / 3)
        },
        is_single: true,
        fences: Fences::All,
        asks_number: true,
        ..PLAIN
    },
    Algorithm {
        name: "redisson-wait",
        words: "Redisson's RLock that waits for a replica, unless there is none",
        settings: |nodes, ttl_ms| replicated(extended(naive(nodes, ttl_ms), ttl_ms / 3), 1, true),
        is_single: true,
        ..PLAIN
    },
    Algorithm {
        name: "redisson-multi",
        words: "Redisson's RedLock: no step 3, PEXPIRE of each key at the end, whoever has it",
        settings: |nodes, ttl_ms| Settings {
            expiry: Expiry::ShortenedAfterwards,
            at_quorum: AtQuorum::GoOn,
            order: Order::OneByOne,
            ..naive(nodes, ttl_ms)
        },
        ..PLAIN
    },
    Algorithm {
        name: "resending-redlock",
        words: "Redlock over a client library that sends once more when no answer comes",
        settings: |nodes, ttl_ms| Settings {
            node_timeout_ms: 200,
            ..Settings::redlock(nodes, ttl_ms)
        },
        resends_ms: Some(50),
        ..PLAIN
    },
    Algorithm {
        name: "pottery",
        words: "pottery: done at a majority while other requests are on their way, pooled",
        settings: |nodes, ttl_ms| Settings {
            retry_delay_ms: 0,
            ..Settings::redlock(nodes, ttl_ms)
        },
        is_pooled: true,
        ..PLAIN
    },
    Algorithm {
        name: "redlock-rb",
        words: "redlock-rb: extensions bring back what is gone; one that fails gives all back",
        settings: |nodes, ttl_ms| {
            let settings = Settings {
                node_timeout_ms: 100,
                loss: LossSignal::WhenExtensionFails,
                retry_jitter_ms: 50,
                ..extended(Settings::redlock(nodes, ttl_ms), ttl_ms / 2)
            };
            let failed = FailedExtension::ReleaseSilently;
            extending(settings, |it| Extension { recreates: true, failed, ..it })
        },
        ..PLAIN
    },
    Algorithm {
        name: "aioredlock",
        words: "aioredlock: extensions bring back what is gone, and errors are swallowed",
        settings: |nodes, ttl_ms| {
            let settings = Settings {
                loss: LossSignal::Never,
                retry_delay_ms: 100,
                ..extended(Settings::redlock(nodes, ttl_ms), ttl_ms * 3 / 5)
            };
            extending(settings, |it| Extension { recreates: true, ..it })
        },
        ..PLAIN
    },
    Algorithm {
        name: "distributed-lock",
        words: "DistributedLock: time from the answer, a loss noticed at the next extension",
        settings: |nodes, ttl_ms| Settings {
            since: Since::Answer,
            node_timeout_ms: (ttl_ms / 10).max(1),
            loss: LossSignal::WhenExtensionFails,
            ..extended(Settings::redlock(nodes, ttl_ms), ttl_ms * 3 / 10)
        },
        ..PLAIN
    },
    Algorithm {
        name: "redlock-rust",
        words: "the crate redlock: servers one by one, one token for all attempts",
        settings: |nodes, ttl_ms| Settings {
            order: Order::OneByOne,
            at_quorum: AtQuorum::GoOn,
            tokens: TokenRule::PerAcquisition,
            retry_delay_ms: 0,
            ..Settings::redlock(nodes, ttl_ms)
        },
        ..PLAIN
    },
    Algorithm {
        name: "node-redlock-4",
        words: "node-redlock 4: by the wall clock; an extension that fails gives everything back",
        settings: |nodes, ttl_ms| {
            let settings = Settings {
                clock: LocalClock::Wall,
                at_quorum: AtQuorum::GoOn,
                tokens: TokenRule::PerAcquisition,
                retries: 10,
                retry_delay_ms: 100,
                ..extended(Settings::redlock(nodes, ttl_ms), ttl_ms / 2)
            };
            let failed = FailedExtension::ReleaseSilently;
            extending(settings, |it| Extension { failed, ..it })
        },
        ..PLAIN
    },
    Algorithm {
        name: "redsync",
        words: "redsync: one token for all attempts, pooled connections",
        settings: |nodes, ttl_ms| Settings {
            tokens: TokenRule::PerAcquisition,
            node_timeout_ms: (ttl_ms / 20).max(1),
            at_quorum: AtQuorum::GoOn,
            retry_delay_ms: 50,
            retry_jitter_ms: 200,
            retries: 31,
            ..Settings::redlock(nodes, ttl_ms)
        },
        is_pooled: true,
        ..PLAIN
    },
    Algorithm {
        name: "redlock-py",
        words: "redlock-py: by the wall clock, one by one, a server that fails is an error",
        settings: |nodes, ttl_ms| Settings {
            clock: LocalClock::Wall,
            order: Order::OneByOne,
            at_quorum: AtQuorum::GoOn,
            fails_on_error: true,
            tokens: TokenRule::PerAcquisition,
            retry_jitter_ms: 0,
            ..Settings::redlock(nodes, ttl_ms)
        },
        is_pooled: true,
        ..PLAIN
    },
    Algorithm {
        name: "node-redlock-5",
        words: "node-redlock 5: no step 3, by the wall clock, nothing given back between attempts",
        settings: |nodes, ttl_ms| Settings {
            checks_elapsed: false,
            since: Since::Acquisition,
            clock: LocalClock::Wall,
            cleanup: Cleanup::Nowhere,
            tokens: TokenRule::PerAcquisition,
            loss: LossSignal::WhenExtensionFails,
            ..extended(Settings::redlock(nodes, ttl_ms), ttl_ms.saturating_sub(500))
        },
        ..PLAIN
    },
    Algorithm {
        name: "rslock",
        words: "rslock: an extension that fails gives everything back, and the old guard goes on",
        settings: |nodes, ttl_ms| {
            let settings = extended(Settings::redlock(nodes, ttl_ms), ttl_ms / 2);
            let extension = settings
                .extension
                .map(|it| Extension { failed: FailedExtension::ReleaseSilently, ..it });
            Settings { extension, tokens: TokenRule::PerAcquisition, ..settings }
        },
        ..PLAIN
    },
    Algorithm {
        name: "redlock-net",
        words: "RedLock.net: extensions that bring back what is gone",
        settings: |nodes, ttl_ms| {
            let settings = extended(Settings::redlock(nodes, ttl_ms), ttl_ms / 2);
            let extension = settings.extension.map(|it| Extension { recreates: true, ..it });
            let loss = LossSignal::WhenExtensionFails;
            Settings { extension, loss, tokens: TokenRule::PerAcquisition, ..settings }
        },
        ..PLAIN
    },
    Algorithm {
        name: "redis-semaphore",
        words: "redis-semaphore: elapsed time is never looked at, loss when an extension fails",
        settings: |nodes, ttl_ms| {
            let settings = extended(Settings::redlock(nodes, ttl_ms), ttl_ms * 4 / 5);
            let extension =
                settings.extension.map(|it| Extension { failed: FailedExtension::Release, ..it });
            Settings {
                extension,
                checks_elapsed: false,
                loss: LossSignal::WhenExtensionFails,
                tokens: TokenRule::PerAcquisition,
                retry_delay_ms: 10,
                retry_jitter_ms: 0,
                ..settings
            }
        },
        ..PLAIN
    },
    Algorithm {
        name: "redlock-universal",
        words: "redlock-universal: time from the answer, keys given back only where granted",
        settings: |nodes, ttl_ms| Settings {
            since: Since::Answer,
            cleanup: Cleanup::WhereGranted,
            clock: LocalClock::Wall,
            retry_jitter_ms: 0,
            loss: LossSignal::WhenExtensionFails,
            ..extended(Settings::redlock(nodes, ttl_ms), ttl_ms * 4 / 5)
        },
        ..PLAIN
    },
];

/// The algorithm of this name.
#[must_use]
pub fn algorithm(name: &str) -> Option<&'static Algorithm> {
    ALGORITHMS.iter().find(|algorithm| algorithm.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_settings_have_no_problem() {
        for (at, one) in ALGORITHMS.iter().enumerate() {
            assert!(ALGORITHMS[..at].iter().all(|other| other.name != one.name), "{}", one.name);
            for nodes in if one.is_single { 1..=1 } else { 3..=7 } {
                let settings = (one.settings)(nodes, 10_000);
                assert_eq!((settings.problem(), settings.nodes), (None, nodes), "{}", one.name);
            }
        }
    }
}

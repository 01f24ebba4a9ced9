//! Lock algorithms by name, with how their users use them.
//!
//! Invariant: names are unique; every algorithm has settings without a problem for the numbers of
//! servers that it is for.

use orrery_engine::lock::{
    AtQuorum, Cleanup, Extension, FailedExtension, Fencing, LocalClock, LossSignal, Order,
    Settings, Since, TokenRule,
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
    /// After so long, in milliseconds, the client's library sends a request that has no answer once
    /// more, and takes the answer for the first one's (S39).
    pub resends_ms: Option<u64>,
}

fn extended(settings: Settings, every_ms: u64) -> Settings {
    let extension = Extension {
        every_ms: every_ms.max(1),
        held_ms_max: settings.ttl_ms.saturating_mul(100),
        recreates: false,
        repairs: false,
        failed: FailedExtension::Keep,
    };
    Settings { extension: Some(extension), ..settings }
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
    resends_ms: None,
};

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
        fences: Fences::All,
        looks: true,
        ..PLAIN
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
        fences: Fences::All,
        looks: true,
        ..PLAIN
    },
    Algorithm {
        name: "fenced-writes",
        words: "as fenced, but only writes carry the number",
        settings: Settings::fenced,
        fences: Fences::Writes,
        looks: true,
        ..PLAIN
    },
    Algorithm {
        name: "fenced",
        words: "Redlock whose number a majority has first, and every access carries it",
        settings: Settings::fenced,
        fences: Fences::All,
        looks: true,
        ..PLAIN
    },
    Algorithm {
        name: "plain-del",
        words: "one server, released by DEL whoever has it",
        settings: |nodes, ttl_ms| Settings { checks_release: false, ..naive(nodes, ttl_ms) },
        is_single: true,
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

//! In what lock algorithms and their implementations differ.
//!
//! Invariant: every combination can be driven without a panic; [`Settings::doubts`] names what
//! makes one unsafe, and [`Settings::problem`] what makes it none at all.

use core::fmt;

/// As many servers a lock has at most.
pub const NODES_MAX: u16 = 64;
/// Longest time to live: a year.
pub const TTL_MS_MAX: u64 = 365 * 86_400_000;
/// Most further attempts.
const RETRIES_MAX: u32 = 1_000_000;

/// How a lock is acquired, kept and released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many servers there are.
    pub nodes: u16,
    /// How many of them must grant.
    pub quorum: u16,
    /// How long a server keeps a grant that nobody extends.
    pub ttl_ms: u64,
    /// What is taken off the time to live because clocks do not run alike.
    pub drift: Drift,
    /// In which order servers are asked.
    pub order: Order,
    /// A server that has not answered after this has not granted.
    pub node_timeout_ms: u64,
    /// Attempts after the first.
    pub retries: u32,
    /// Least time between two attempts.
    pub retry_delay_ms: u64,
    /// So much more at most, drawn for each.
    pub retry_jitter_ms: u64,
    /// What has a token of its own.
    pub tokens: TokenRule,
    /// What happens when enough servers have granted.
    pub at_quorum: AtQuorum,
    /// From when on time is taken off the time to live.
    pub since: Since,
    /// Whether a lock whose time is over already is none: step 3 of Redlock.
    pub checks_elapsed: bool,
    /// Whether an attempt with a server that failed is none, whoever granted.
    pub fails_on_error: bool,
    /// What an attempt that came to nothing gives back.
    pub cleanup: Cleanup,
    /// The clock that time is measured by.
    pub clock: LocalClock,
    /// Whether a release deletes only what is the client's own.
    pub checks_release: bool,
    /// How the time is made longer while the lock is held.
    pub extension: Option<Extension>,
    /// When the holder is told that it is one no more.
    pub loss: LossSignal,
    /// Whether grants have numbers.
    pub fencing: Fencing,
    /// How a key gets its end.
    pub expiry: Expiry,
    /// Whether a release asks first whose key it is, and then deletes it by another command,
    /// whoever has it by then (S02).
    pub looks_before_release: bool,
    /// Whether extensions go on when the lock was given back: a key whose release is lost is there
    /// for ever (S40).
    pub extends_released: bool,
    /// What a server's replicas are waited for, where one of them may take its place.
    pub replicas: Option<Replicas>,
}

/// What a server's replicas are waited for, after everything that must not be forgotten when one
/// of them takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// So many must have it; 0: none is waited for. Those that have it need not be those that take
    /// the server's place (S10).
    pub needed: u16,
    /// They are waited for so long.
    pub timeout_ms: u64,
    /// Whether a server that has no replicas at all need not wait (S11).
    pub none_will_do: bool,
}

/// What is taken off a time to live: a part of it and a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Thousandths of the time to live.
    pub per_mille: u32,
    /// And so much.
    pub plus_ms: u64,
}

/// In which order servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each when the one before has answered, or has not in time.
    OneByOne,
    /// All at the same time.
    AllAtOnce,
}

/// What has a token of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRule {
    /// Each attempt.
    PerAttempt,
    /// All attempts of an acquisition together: a release of one attempt that comes late takes away
    /// what the next was granted (S14).
    PerAcquisition,
}

/// What happens when enough servers have granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtQuorum {
    /// The lock is there; servers that were not asked are not.
    Stop,
    /// It is there when all have answered, or have not in time: with more grants than are needed it
    /// survives the loss of some (S12).
    GoOn,
}

/// From when on time is taken off the time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From before the first request of the attempt.
    Attempt,
    /// From before the first attempt: a lock that took long may have no time left when it is there.
    Acquisition,
    /// From the last answer: longer than the servers keep it.
    Answer,
}

/// What an attempt that came to nothing gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// The key on all servers, even those that are not known to have granted.
    Everywhere,
    /// On those that are known to have granted.
    WhereGranted,
    /// Nothing.
    Nowhere,
}

/// The clock that a client measures time by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalClock {
    /// One that only goes on. It must count the time that the machine sleeps.
    Monotonic,
    /// The time of day, which somebody may set (S20).
    Wall,
}

/// How the time is made longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// So long after a grant or an extension the next begins.
    pub every_ms: u64,
    /// The lock is kept at most so long, counted from its grant.
    pub held_ms_max: u64,
    /// Whether a server that does not have the key any more sets it again (S15).
    pub recreates: bool,
    /// Whether servers that have not granted are asked to.
    pub repairs: bool,
    /// What happens when too few servers extend.
    pub failed: FailedExtension,
}

/// What happens when too few servers extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedExtension {
    /// The lock is kept until its time is over; the next extension is tried.
    Keep,
    /// The holder is told, and everything is given back.
    Release,
    /// Everything is given back, and who goes by the old deadline is not told (S17).
    ReleaseSilently,
}

/// When the holder is told that it is one no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossSignal {
    /// At the moment at which the servers may give the lock to the next, whatever is under way.
    AtDeadline,
    /// When an extension has failed, which may be much later (S21).
    WhenExtensionFails,
    /// It must ask.
    Never,
}

/// Whether grants have numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fencing {
    /// They have none.
    None,
    /// The greatest counter of the servers that granted; on several servers it may go back (S29).
    Counter,
    /// One more than the greatest counter of a majority, which a majority has before the lock is
    /// there.
    WriteBack,
    /// The same, but each request proposes a number. If all who grant have only seen lower ones, a
    /// majority has it with the lock itself, and there is no second round.
    Proposed,
}

/// How a key gets its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// With its value, in one command.
    WithKey,
    /// By a command of its own when the lock is there, whoever has the key by then; who is gone
    /// before leaves a key without an end (S06).
    Afterwards,
    /// It gets twice the time with its value, and the time to live by a command of its own when
    /// the lock is there, whoever has the key by then (S31).
    ShortenedAfterwards,
    /// With its value, as a time of day by the client's clock (S19).
    AtClientTime,
    /// It has none (S05).
    Never,
}

/// What is dangerous about settings, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Two disjoint quorums.
    QuorumBelowMajority,
    /// As safe as one server less, and less available.
    EvenNodes,
    /// Step 3 of Redlock is missing.
    ElapsedUnchecked,
    /// The servers' time begins before the client's.
    LateDeadline,
    /// Somebody may set the clock.
    WallClock,
    /// A release that comes late takes away another grant.
    SharedToken,
    /// A release may delete another client's grant.
    BlindRelease,
    /// An extension may bring back what another had meanwhile.
    Recreates,
    /// What is given back while somebody goes by the old deadline.
    SilentRelease,
    /// The holder learns of its loss too late.
    LateLoss,
    /// What was granted blocks others until its time is over.
    NoCleanup,
    /// Numbers that may go back.
    CounterOfMany,
    /// A paused holder's writes cannot be told from the next one's.
    Unfenced,
    /// The next extension begins when the time is over.
    LateExtension,
    /// Clients that collide collide again.
    NoJitter,
    /// A key may be left without an end.
    Endless,
    /// What ends a key may end another client's.
    BlindExpiry,
    /// The servers end keys by the client's time of day.
    ClientTime,
    /// A release may delete what another client got since it looked.
    TornRelease,
    /// Extensions outlive the lock.
    LastingExtension,
    /// A replica that takes its server's place may not have what that granted.
    Failover,
    /// Replicas are waited for, but others may take the server's place.
    OtherReplicas,
    /// A server that is cut off from its replicas grants as if they had it.
    NoReplicas,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QuorumBelowMajority => {
                "a quorum below the majority: two clients can have the lock at once"
            }
            Self::EvenNodes => {
                "an even number of servers: it survives no more failures than one server less"
            }
            Self::ElapsedUnchecked => {
                "the time that acquiring takes is not checked: a lock may be over by then"
            }
            Self::LateDeadline => {
                "time is counted from the answer: the servers count it from the request"
            }
            Self::WallClock => "time is measured by a clock that can be set",
            Self::SharedToken => {
                "all attempts have one token: a late release takes a later one's grant"
            }
            Self::BlindRelease => "a release deletes the key whoever has it",
            Self::Recreates => {
                "an extension brings back a key that is gone: another may have had it"
            }
            Self::SilentRelease => "an extension that fails gives back what its holder goes by",
            Self::LateLoss => "the holder is not told when the lock's time is over",
            Self::NoCleanup => "attempts that fail leave keys that block others",
            Self::CounterOfMany => {
                "fencing tokens of several servers without a second round can go back"
            }
            Self::Unfenced => "no fencing token: a paused holder's writes look like the next one's",
            Self::LateExtension => "an extension begins when the lock's time is over already",
            Self::NoJitter => "no jitter between attempts: clients that collide collide again",
            Self::Endless => "a client that dies leaves a key that nothing ends",
            Self::BlindExpiry => "a key's time is set by a command that does not look whose it is",
            Self::ClientTime => "keys end by the client's time of day: it may be wrong",
            Self::TornRelease => {
                "a release looks and deletes in two commands: the key may be another's"
            }
            Self::LastingExtension => "extensions go on when the lock was given back",
            Self::Failover => {
                "a replica that takes its primary's place may not know what that granted"
            }
            Self::OtherReplicas => {
                "replicas are waited for, but another one may take their primary's place"
            }
            Self::NoReplicas => "a primary that has lost its replicas grants by itself",
        })
    }
}

impl Settings {
    /// Redlock as it is specified, on so many servers.
    #[must_use]
    pub fn redlock(nodes: u16, ttl_ms: u64) -> Self {
        Self {
            nodes,
            quorum: nodes / 2 + 1,
            ttl_ms,
            drift: Drift { per_mille: 10, plus_ms: 2 },
            order: Order::AllAtOnce,
            node_timeout_ms: (ttl_ms / 200).clamp(5, 50),
            retries: 3,
            retry_delay_ms: 200,
            retry_jitter_ms: 200,
            tokens: TokenRule::PerAttempt,
            at_quorum: AtQuorum::Stop,
            since: Since::Attempt,
            checks_elapsed: true,
            fails_on_error: false,
            cleanup: Cleanup::Everywhere,
            clock: LocalClock::Monotonic,
            checks_release: true,
            extension: None,
            loss: LossSignal::AtDeadline,
            fencing: Fencing::None,
            expiry: Expiry::WithKey,
            looks_before_release: false,
            extends_released: false,
            replicas: None,
        }
    }

    /// A lock on one server whose grants have numbers.
    #[must_use]
    pub fn single(ttl_ms: u64) -> Self {
        Self { fencing: Fencing::Counter, ..Self::redlock(1, ttl_ms) }
    }

    /// Redlock that asks all servers and repairs what is lost while it extends its time.
    #[must_use]
    pub fn with_margin(nodes: u16, ttl_ms: u64) -> Self {
        let extension = Extension {
            every_ms: (ttl_ms / 3).max(1),
            held_ms_max: ttl_ms.saturating_mul(100).min(TTL_MS_MAX),
            recreates: false,
            repairs: true,
            failed: FailedExtension::Keep,
        };
        Self {
            at_quorum: AtQuorum::GoOn,
            extension: Some(extension),
            ..Self::redlock(nodes, ttl_ms)
        }
    }

    /// Redlock with numbers that a majority has before a lock is there.
    #[must_use]
    pub fn fenced(nodes: u16, ttl_ms: u64) -> Self {
        Self { fencing: Fencing::WriteBack, ..Self::with_margin(nodes, ttl_ms) }
    }

    /// What must be changed before there is a lock at all.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let extension = self.extension;
        let checks = [
            (self.nodes == 0 || self.nodes > NODES_MAX, "a lock has 1 to 64 servers"),
            (self.quorum == 0, "at least one server must grant"),
            (self.quorum > self.nodes, "more servers must grant than there are"),
            (self.ttl_ms == 0 || self.ttl_ms > TTL_MS_MAX, "the time to live is 1 ms to a year"),
            (self.drift.per_mille > 1000, "the drift is at most 1000 thousandths"),
            (
                self.drift_ms() >= self.ttl_ms,
                "the drift takes up the whole time to live: nothing would be left of a grant",
            ),
            (
                self.node_timeout_ms == 0 || self.node_timeout_ms > TTL_MS_MAX,
                "a server is waited for 1 ms to a year",
            ),
            (self.retries > RETRIES_MAX, "there are at most a million attempts"),
            (
                self.retry_delay_ms > TTL_MS_MAX || self.retry_jitter_ms > TTL_MS_MAX,
                "attempts are at most a year apart",
            ),
            (extension.is_some_and(|it| it.every_ms == 0), "extensions are at least 1 ms apart"),
            (
                self.replicas.is_some_and(|it| it.needed > NODES_MAX),
                "at most 64 replicas are waited for",
            ),
            (
                self.replicas.is_some_and(|it| it.needed > 0 && it.timeout_ms == 0),
                "replicas are waited for at least 1 ms",
            ),
            (
                self.replicas.is_some_and(|it| it.timeout_ms > self.node_timeout_ms),
                "replicas are waited for no longer than their server",
            ),
        ];
        checks.into_iter().find_map(|(is_wrong, why)| is_wrong.then_some(why))
    }

    /// What is dangerous about them.
    #[must_use]
    pub fn doubts(&self) -> Vec<Doubt> {
        let extension = self.extension;
        let is_late = |it: Extension| it.every_ms >= self.ttl_ms.saturating_sub(self.drift_ms());
        let failed = extension.map(|it| it.failed);
        let all = [
            (self.quorum <= self.nodes / 2, Doubt::QuorumBelowMajority),
            (self.nodes.is_multiple_of(2), Doubt::EvenNodes),
            (!self.checks_elapsed, Doubt::ElapsedUnchecked),
            (self.since == Since::Answer, Doubt::LateDeadline),
            (self.clock == LocalClock::Wall, Doubt::WallClock),
            (self.tokens == TokenRule::PerAcquisition && self.retries > 0, Doubt::SharedToken),
            (!self.checks_release, Doubt::BlindRelease),
            (extension.is_some_and(|it| it.recreates), Doubt::Recreates),
            (failed == Some(FailedExtension::ReleaseSilently), Doubt::SilentRelease),
            (self.loss != LossSignal::AtDeadline, Doubt::LateLoss),
            (self.cleanup != Cleanup::Everywhere, Doubt::NoCleanup),
            (self.nodes > 1 && self.fencing == Fencing::Counter, Doubt::CounterOfMany),
            (self.fencing == Fencing::None, Doubt::Unfenced),
            (extension.is_some_and(is_late), Doubt::LateExtension),
            (self.retries > 0 && self.retry_jitter_ms == 0, Doubt::NoJitter),
            (matches!(self.expiry, Expiry::Never | Expiry::Afterwards), Doubt::Endless),
            (
                matches!(self.expiry, Expiry::Afterwards | Expiry::ShortenedAfterwards),
                Doubt::BlindExpiry,
            ),
            (self.expiry == Expiry::AtClientTime, Doubt::ClientTime),
            (self.looks_before_release, Doubt::TornRelease),
            (self.extends_released && extension.is_some(), Doubt::LastingExtension),
            (self.replicas.is_some_and(|it| it.needed == 0), Doubt::Failover),
            (self.replicas.is_some_and(|it| it.needed > 0), Doubt::OtherReplicas),
            (self.replicas.is_some_and(|it| it.none_will_do), Doubt::NoReplicas),
        ];
        all.into_iter().filter_map(|(applies, doubt)| applies.then_some(doubt)).collect()
    }

    /// What is taken off the time to live, rounded up.
    #[must_use]
    pub fn drift_ms(&self) -> u64 {
        let part = self.ttl_ms.saturating_mul(self.drift.per_mille.into()).div_ceil(1000);
        part.saturating_add(self.drift.plus_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithms_of_our_own_have_no_doubts_but_known_ones() {
        assert_eq!(Settings::redlock(5, 10_000).doubts(), [Doubt::Unfenced]);
        assert_eq!(Settings::redlock(4, 10_000).doubts(), [Doubt::EvenNodes, Doubt::Unfenced]);
        assert_eq!(Settings::single(10_000).doubts(), []);
        assert_eq!(Settings::fenced(5, 10_000).doubts(), []);
        let low = Settings { quorum: 2, ..Settings::fenced(5, 10_000) };
        assert_eq!(low.doubts(), [Doubt::QuorumBelowMajority]);
        assert!(low.doubts()[0].to_string().contains("below the majority"));
    }

    #[test]
    fn what_is_no_lock_is_refused_with_the_reason_and_the_limits_are_none() {
        let good = Settings::redlock(5, 10_000);
        let refused = |settings: Settings| settings.problem().is_some();
        assert!(!refused(good) && !refused(Settings { nodes: 64, quorum: 33, ..good }));
        assert!(refused(Settings { nodes: 65, ..good }));
        assert!(refused(Settings { nodes: 0, ..good }));
        assert!(refused(Settings { quorum: 6, ..good }) && refused(Settings { quorum: 0, ..good }));
        assert!(!refused(Settings::redlock(5, TTL_MS_MAX)));
        assert!(refused(Settings::redlock(5, TTL_MS_MAX + 1)));
        assert!(refused(Settings::redlock(5, 2)), "nothing is left");
        assert!(!refused(Settings::redlock(5, 4)));
        assert!(refused(Settings { retries: RETRIES_MAX + 1, ..good }));
        let waits = |needed, timeout_ms| {
            let replicas = Some(Replicas { needed, timeout_ms, none_will_do: false });
            refused(Settings { node_timeout_ms: 50, replicas, ..good })
        };
        assert!(!waits(0, 0) && !waits(1, 1) && !waits(64, 50));
        assert!(waits(1, 0) && waits(1, 51) && waits(65, 50));
    }
}

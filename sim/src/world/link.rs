//! Directed links: how long a message takes from one host to another, and whether it gets there.
//!
//! Invariant: the fate of the n-th message of a link is a function of the seed, the link and n,
//! and of the faults that are in force; nothing else shifts it.

use crate::chance::{Chance, Draw, Key, Stream};

/// The first retransmission comes after this, as in Linux.
pub(crate) const RETRANSMIT_NS: u64 = 200_000_000;
/// Retransmissions are never further apart. (Linux: two minutes; a run would wait for nothing.)
pub(crate) const RETRANSMIT_NS_MAX: u64 = 4_000_000_000;
/// After so many losses in a row a message gets through: loss is no partition.
const LOSSES_MAX: u32 = 8;

/// How links of a run are at their best.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// The least time that a message takes.
    pub(crate) base_ns: u64,
    /// Evenly spread on top.
    pub(crate) jitter_ns: u64,
    /// One message of this many takes ten times as long.
    pub(crate) spike_one_in: u64,
    /// How many of 65,536 messages are lost.
    pub(crate) loss: u64,
    /// How many of 256 messages arrive in several pieces.
    pub(crate) cut: u64,
}

/// One direction between two hosts.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    key: Key,
    sent: u64,
    /// How many faults cut it.
    pub(crate) cuts: u16,
    /// What latency faults add, in nanoseconds.
    pub(crate) extra_ns: u64,
    /// What loss faults add, of 65,536.
    pub(crate) extra_loss: u64,
    /// What slowness faults add, in nanoseconds per byte.
    pub(crate) byte_ns: u64,
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// From sending to arrival, retransmissions included.
    pub(crate) takes_ns: u64,
    /// How often it had to be sent again.
    pub(crate) losses: u32,
    /// For how the message is cut.
    pub(crate) draw: Draw,
}

impl Link {
    /// The link from host `from` to host `to`.
    pub(crate) fn new(chance: Chance, from: usize, to: usize) -> Self {
        let key = chance.key(Stream::Message, (from as u64) << 16 | to as u64);
        Self { key, sent: 0, cuts: 0, extra_ns: 0, extra_loss: 0, byte_ns: 0 }
    }

    /// Decides about the next message of `len` bytes.
    #[inline]
    pub(crate) fn send(&mut self, weather: &Weather, len: usize) -> Fate {
        let mut draw = self.key.at(self.sent);
        self.sent += 1;
        let mut takes_ns = weather.base_ns + draw.below(weather.jitter_ns + 1);
        if draw.below(weather.spike_one_in) == 0 {
            takes_ns *= 10;
        }
        takes_ns += self.extra_ns + self.byte_ns * len as u64;
        let loss = weather.loss + self.extra_loss;
        let mut losses = 0;
        if loss > 0 {
            let mut wait_ns = RETRANSMIT_NS;
            while losses < LOSSES_MAX && draw.below(65_536) < loss {
                takes_ns += wait_ns;
                wait_ns = (wait_ns * 2).min(RETRANSMIT_NS_MAX);
                losses += 1;
            }
        }
        Fate { takes_ns, losses, draw }
    }
}

/// When a message that was first sent at `sent_ns` is next sent again, from `now_ns` on.
pub(crate) fn next_attempt_ns(sent_ns: u64, now_ns: u64) -> u64 {
    let mut at_ns = sent_ns;
    let mut wait_ns = RETRANSMIT_NS;
    while at_ns < now_ns {
        at_ns += wait_ns;
        wait_ns = (wait_ns * 2).min(RETRANSMIT_NS_MAX);
    }
    at_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Weather =
        Weather { base_ns: 100, jitter_ns: 50, spike_one_in: 1 << 40, loss: 0, cut: 0 };

    #[test]
    fn faults_change_the_fate_of_a_message_but_not_of_the_next() {
        let fates = |extra_ns| {
            let mut link = Link::new(Chance::new(1), 0, 1);
            link.extra_ns = extra_ns;
            let first = link.send(&CALM, 10).takes_ns;
            link.extra_ns = 0;
            (first, link.send(&CALM, 10).takes_ns)
        };
        assert_eq!(fates(1000).0, fates(0).0 + 1000);
        assert_eq!(fates(1000).1, fates(0).1);
    }

    #[test]
    fn what_is_lost_comes_later_by_its_retransmissions() {
        let mut link = Link::new(Chance::new(1), 0, 1);
        link.extra_loss = 32_768;
        let fates: Vec<Fate> = (0..1000).map(|_| link.send(&CALM, 10)).collect();
        assert!(fates.iter().any(|fate| fate.losses == 0));
        assert!(fates.iter().any(|fate| fate.losses == 3));
        for fate in fates {
            let (mut least, mut wait) = (100, RETRANSMIT_NS);
            for _ in 0..fate.losses {
                least += wait;
                wait = (wait * 2).min(RETRANSMIT_NS_MAX);
            }
            assert!((least..=least + 50).contains(&fate.takes_ns));
        }
    }

    #[test]
    fn retransmissions_back_off_to_a_limit() {
        assert_eq!(next_attempt_ns(1000, 1000), 1000);
        assert_eq!(next_attempt_ns(0, 1), RETRANSMIT_NS);
        assert_eq!(next_attempt_ns(0, RETRANSMIT_NS + 1), 3 * RETRANSMIT_NS);
        let late = 1_000_000_000_000;
        assert!(next_attempt_ns(0, late) - late <= RETRANSMIT_NS_MAX);
    }
}

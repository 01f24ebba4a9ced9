//! What chance does to messages, said by steps instead.
//!
//! Who reads a story with a network that is slow now and then must believe its seed. So the story
//! is told, and what became of each message is written down as a step at that moment.
//!
//! Invariant: nothing is left to chance in a network that comes from here, and each step that is
//! added is about a message that the story's own steps do not explain.

use super::lab::{CALM, Network};
use super::story::{Step, Story, UNTIL_US_MAX, What, Who};
use super::trace::{Happening, Trace};

/// Whether seeds say how long messages take, and which ones are lost.
pub(super) fn has_chance(network: Network) -> bool {
    network.slow_one_in > 0 || network.lost_one_in > 0 || network.least_us != network.most_us
}

/// Networks in which all messages take the same time, and that of the story might be one of them.
pub(super) fn even(network: Network) -> [Network; 4] {
    let Network { least_us, most_us, .. } = network;
    let all = |takes_us| Network { least_us: takes_us, most_us: takes_us, ..CALM };
    [CALM, all(least_us), all(most_us), all(least_us.midpoint(most_us))]
}

/// How a network's chance is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Every message that takes another time than the network's has a step; otherwise only those
    /// that are slow or lost.
    pub(super) every: bool,
    /// What is lost takes longer than the story; otherwise its way is cut. Nobody is blamed for
    /// what a client does not get that is cut off.
    pub(super) is_late: bool,
    /// Steps last for so long, in microseconds, from the moment of their message on.
    pub(super) for_us: u64,
}

impl Manner {
    /// All, those first that need fewer steps and that leave more room for rounder numbers.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        kinds.into_iter().flat_map(|(every, is_late)| {
            [5_000, 1_000, 1].map(|for_us| Self { every, is_late, for_us })
        })
    }
}

/// The story with another network and with steps for what became of messages, as it was told.
pub(super) fn explicit(story: &Story, trace: &Trace, network: Network, manner: Manner) -> Story {
    let Manner { every, is_late, for_us } = manner;
    let never_us = (story.until_us + 1).min(UNTIL_US_MAX);
    let mut steps = Vec::new();
    for &(at_us, happening) in &trace.entries {
        let Happening::Sent { link, is_request, arrives_us, .. } = happening else { continue };
        let takes_us = arrives_us.map(|arrives_us| arrives_us - at_us);
        let is_usual = match every {
            true => takes_us == Some(network.most_us),
            false => takes_us.is_some_and(|takes_us| takes_us <= story.network.most_us),
        };
        if is_usual || is_told(&story.steps, (at_us, link), is_request, takes_us) {
            continue;
        }
        let what = match (takes_us.unwrap_or(never_us), is_request) {
            _ if takes_us.is_none() && !is_late => What::Cut { for_us },
            (by_us, true) => What::SlowRequests { by_us, for_us },
            (by_us, false) => What::SlowReplies { by_us, for_us },
        };
        steps.push(Step { at_us, who: link, what });
    }
    // Before what is sent at the same moment.
    steps.extend_from_slice(&story.steps);
    steps.sort_by_key(|step| step.at_us);
    Story { network, steps, ..story.clone() }
}

/// Whether a step of the story says already what becomes of a message.
fn is_told(
    steps: &[Step],
    (sent_us, link): (u64, Who),
    is_request: bool,
    takes_us: Option<u64>,
) -> bool {
    steps.iter().any(|step| {
        let (for_us, says) = match step.what {
            What::Cut { for_us } => (for_us, None),
            What::SlowRequests { by_us, for_us } if is_request => (for_us, Some(by_us)),
            What::SlowReplies { by_us, for_us } if !is_request => (for_us, Some(by_us)),
            _ => return false,
        };
        let lasts = step.at_us..step.at_us.saturating_add(for_us);
        step.who == link && lasts.contains(&sent_us) && says == takes_us
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locks::{algorithm, happen, read};

    /// The steps that say what becomes of messages when all are lost, for one that has said it of
    /// one way already.
    fn spelled(manner: Manner) -> Vec<String> {
        let text = "nodes 3\nclients 1\nuntil 4\nnetwork 0.2 0.4 0 1\n\
                    1 A-n1 cut 5\n1 A acquires\n";
        let story = read(text, &[]).expect("a story");
        let redlock = algorithm("redlock").expect("an algorithm");
        let trace = happen(&story, redlock, true).trace.expect("it was to be written down");
        let story = explicit(&story, &trace, CALM, manner);
        assert_eq!((story.problem(), story.network), (None, CALM));
        story.steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_lost_is_said_before_it_is_sent_and_only_once() {
        let cut = Manner { every: false, is_late: false, for_us: 1 };
        let [two, three, one, asks] = &spelled(cut)[..] else { panic!("four steps") };
        assert!(two.ends_with("A-n2 cut 0.001") && three.ends_with("A-n3 cut 0.001"));
        assert!(one.ends_with("A-n1 cut 5") && asks.ends_with("A acquires"));
        let late = spelled(Manner { is_late: true, ..cut });
        assert!(late[0].ends_with("A-n2 slow-requests 4.001 0.001"), "{late:?}");
        assert_eq!(late.len(), 4);
    }

    #[test]
    fn networks_without_chance_are_told_from_others() {
        let network = Network { least_us: 200, most_us: 500, slow_one_in: 0, lost_one_in: 0 };
        assert!(has_chance(network) && has_chance(Network { lost_one_in: 1, ..CALM }));
        assert!(has_chance(Network { slow_one_in: 1, ..CALM }));
        assert!(even(network).into_iter().all(|even| !has_chance(even)));
    }
}

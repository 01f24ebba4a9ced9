//! Stories as they happen.
//!
//! Invariant: with one algorithm a story happens in one way.

use std::collections::BTreeSet;

use orrery_engine::Seed;
use orrery_engine::lock::{Client, Phase};

use super::algorithm::Algorithm;
use super::judge::{Figures, Invariant, KeyChange, Violation};
use super::lab::{Event, Lab, Trouble};
use super::story::{Step, Story, What, Who};
use super::trace::{Happening, Trace};

/// What came of a story.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must not have happened.
    pub violations: Vec<Violation>,
    /// What was seen.
    pub figures: Figures,
    /// Everything that happened, if it was to be written down.
    pub trace: Option<Trace>,
}

impl Outcome {
    /// The invariants that were broken.
    #[must_use]
    pub fn broken(&self) -> BTreeSet<Invariant> {
        self.violations.iter().map(|violation| violation.invariant).collect()
    }
}

/// Lets a story happen with an algorithm.
///
/// # Panics
/// If the story has a [`problem`](Story::problem), or the algorithm is for another number of
/// servers.
#[must_use]
pub fn happen(story: &Story, algorithm: &Algorithm, is_traced: bool) -> Outcome {
    let mut lab = lab(story, algorithm);
    if is_traced {
        lab = lab.with_trace();
    }
    lab.run_until_us(story.until_us);
    lab.finish(story.ttl_ms * 1000);
    Outcome {
        violations: lab.violations().to_vec(),
        figures: lab.figures().clone(),
        trace: lab.take_trace(),
    }
}

/// The lab in which a story will happen.
fn lab(story: &Story, algorithm: &Algorithm) -> Lab {
    assert_eq!(story.problem(), None, "stories are checked before they are told");
    assert_eq!(algorithm.is_single, story.nodes == 1, "{}", algorithm.name);
    let settings = (algorithm.settings)(story.nodes, story.ttl_ms);
    let mut lab = Lab::new(story.seed, settings, story.clients, story.servers)
        .with_fences(algorithm.fences)
        .without_records();
    if algorithm.names_owners {
        lab = lab.with_owners();
    }
    lab.network = story.network;
    for server in &mut lab.servers {
        server.replicas = story.replicas;
    }
    lab.habits.looks = algorithm.looks;
    lab.habits.is_pooled = algorithm.is_pooled;
    lab.habits.asks_number = algorithm.asks_number;
    lab.habits.resends_us = algorithm.resends_ms.map(|ms| ms * 1000);
    lab.steps.clone_from(&story.steps);
    for (number, step) in story.steps.iter().enumerate() {
        lab.post(step.at_us, Event::Step(number));
    }
    // Those who go by other servers do so from the beginning.
    for step in &story.steps {
        if let Step { who: Who::Client(client), what: What::Use { nodes }, at_us: 0 } = *step {
            lab.use_only(client, nodes, algorithm, story);
        }
    }
    lab
}

impl Lab {
    /// The story has ended.
    pub(super) fn finish(&mut self, ttl_us: u64) {
        self.judge.finish(self.now_us, ttl_us);
    }

    /// A client goes by these servers only, as bits.
    fn use_only(&mut self, client: usize, nodes: u64, algorithm: &Algorithm, story: &Story) {
        let servers: Vec<usize> =
            (0..usize::from(story.nodes)).filter(|node| nodes >> node & 1 == 1).collect();
        let settings = (algorithm.settings)(servers.len() as u16, story.ttl_ms);
        let seed = Seed(story.seed * 100 + client as u64);
        self.clients[client] = Client::new(settings, client as u128 + 1, seed);
        self.hosts[client].servers = servers;
    }

    pub(super) fn take_step(&mut self, number: usize) {
        let Step { who, what, .. } = self.steps[number];
        match who {
            Who::Client(client) if !what.is_fault() => self.tell_step(client, number),
            _ => {
                self.note(Happening::Step(self.steps[number]));
                self.strike(who, what);
            }
        }
    }

    /// Something goes wrong.
    pub(super) fn strike(&mut self, who: Who, what: What) {
        match who {
            Who::Client(client) => self.strike_client(client, what),
            Who::Node(node) => self.strike_server(node, what),
            Who::Link(..) | Who::Store(_) => self.strike_link(who, what),
        }
    }

    /// A client does something by itself.
    pub(super) fn act(&mut self, client: usize, number: usize) {
        let step = self.steps[number];
        self.note(Happening::Step(step));
        match step.what {
            What::Acquire => self.acquire(client),
            What::Work { for_us } => self.work_for(client, for_us),
            // Who never had the lock has nothing to do with the store.
            What::Read if self.hosts[client].grant > 0 => self.read_value(client),
            What::Write if self.hosts[client].grant > 0 => self.write_value(client),
            What::Release => {
                self.release(client);
            }
            _ => {}
        }
    }

    fn strike_client(&mut self, client: usize, what: What) {
        match what {
            What::Pause { for_us } => self.pause(client, self.now_us + for_us),
            What::Crash => {
                self.hosts[client].is_gone = true;
                self.judge.crashed(self.now_us, client);
            }
            What::Clock { by_ms } => self.step_wall(client, by_ms),
            What::Rate { by_ppm } => {
                self.hosts[client].clock.add_rate(self.now_us * 1000, by_ppm);
                self.reconsider(client);
                // When it looks has moved, too.
                if self.clients[client].phase() != Phase::Idle {
                    self.post(self.now_us, Event::Looks(client));
                }
            }
            _ => {}
        }
    }

    fn strike_server(&mut self, node: usize, what: What) {
        let at_ns = self.now_us * 1000;
        match what {
            What::Clock { by_ms } => self.step_server(node, by_ms),
            What::Rate { by_ppm } => self.servers[node].add_rate(at_ns, by_ppm),
            What::Stop { for_us } => {
                let server = &mut self.servers[node];
                server.stopped_until_us = server.stopped_until_us.max(self.now_us + for_us);
            }
            What::Forget => self.forget(node),
            What::Delete => {
                self.servers[node].delete(at_ns);
                self.key_is_gone(node);
            }
            What::Fill { for_us } => self.servers[node].full_until_us = self.now_us + for_us,
            What::Grace { for_us } => {
                self.servers[node].forget_with_grace(at_ns, for_us);
                let until_us = self.now_us + self.servers[node].true_us(at_ns, for_us);
                self.judge.key(self.now_us, node, KeyChange::Withheld { until_us });
                self.note(Happening::Key { node, holder: None });
            }
            _ => {}
        }
        self.count_servers();
    }

    /// While most servers are away nobody can be blamed for a lock that is not to be had.
    fn count_servers(&mut self) {
        let mut away: Vec<u64> =
            self.servers.iter().map(|server| server.stopped_until_us).collect();
        if let Some(back_us) = self.back_us(&mut away) {
            self.judge.majority_lost_us = self.judge.majority_lost_us.max(Some(back_us));
        }
    }

    /// When enough servers are there again; none: they are. Until when each is away.
    fn back_us(&self, away: &mut Vec<u64>) -> Option<u64> {
        away.retain(|&until_us| until_us > self.now_us);
        away.sort_unstable_by(|one, next| next.cmp(one));
        // So many may be away, and no more.
        away.get(usize::from(self.settings.nodes - self.settings.quorum)).copied()
    }

    fn strike_link(&mut self, link: Who, what: What) {
        let now_us = self.now_us;
        self.troubles.retain(|trouble| trouble.until_us > now_us);
        let (is_request, for_us, takes_us) = match what {
            What::Cut { for_us } => (None, for_us, None),
            What::SlowRequests { by_us, for_us } => (Some(true), for_us, Some(by_us)),
            What::SlowReplies { by_us, for_us } => (Some(false), for_us, Some(by_us)),
            _ => return,
        };
        self.troubles.push(Trouble { link, is_request, until_us: now_us + for_us, takes_us });
        if let (Who::Link(client, _), What::Cut { .. }) = (link, what) {
            self.count_ways(client);
        }
    }

    /// While a client is cut off from most servers nobody can be blamed for what it does not get.
    fn count_ways(&mut self, client: usize) {
        let cut_until = |node: usize| {
            let is_cut = |trouble: &&Trouble| {
                trouble.link == Who::Link(client, node) && trouble.takes_us.is_none()
            };
            let ends = self.troubles.iter().filter(is_cut).map(|trouble| trouble.until_us);
            ends.chain([self.servers[node].stopped_until_us]).max().unwrap_or(0)
        };
        let mut away: Vec<u64> = (0..self.servers.len()).map(cut_until).collect();
        if let Some(back_us) = self.back_us(&mut away) {
            self.judge.unreached(client, back_us);
        }
    }
}

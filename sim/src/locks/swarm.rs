//! Stories drawn by chance, and what is broken in them.
//!
//! Nothing here knows a scenario. Each story draws which kinds of mischief it has at all, so that
//! many have two or three and most pairs come together somewhere.
//!
//! Invariant: a story is a function of its seed and of whether it is for one server; what a swarm
//! finds is a function of its first seed and of how many stories it has told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::happen::happen;
use super::judge::Invariant;
use super::lab::{CALM, Network, Servers};
use super::story::{Step, Story, What, Who};
use crate::chance::{Chance, Draw, Stream};

/// So many stories are told before anybody is asked whether to go on.
const BATCH: u64 = 512;
/// So many stories that broke something are remembered; the numbers count them all.
const FOUND_MAX: usize = 100_000;

/// A kind of thing that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mischief {
    Pause,
    Crash,
    ClientClock,
    ClientRate,
    ServerClock,
    ServerRate,
    Stop,
    Forget,
    Delete,
    Fill,
    Grace,
    Cut,
    SlowRequests,
    SlowReplies,
    SlowStore,
    CutStore,
    Uses,
}

impl Mischief {
    const ALL: [Self; 17] = [
        Self::Pause,
        Self::Crash,
        Self::ClientClock,
        Self::ClientRate,
        Self::ServerClock,
        Self::ServerRate,
        Self::Stop,
        Self::Forget,
        Self::Delete,
        Self::Fill,
        Self::Grace,
        Self::Cut,
        Self::SlowRequests,
        Self::SlowReplies,
        Self::SlowStore,
        Self::CutStore,
        Self::Uses,
    ];
}

/// The story of a seed, for one server or for several.
#[must_use]
pub fn draw(seed: u64, is_single: bool) -> Story {
    let chance = Chance::new(seed);
    let mut draw = chance.key(Stream::Setup, 0).at(0);
    let nodes = if is_single { 1 } else { draw.pick(&[3, 3, 5, 5]) };
    let mut story = Story::new(nodes, draw.pick(&[2, 2, 3, 4]));
    story.name = format!("seed-{seed}");
    "drawn by chance".clone_into(&mut story.title);
    // Seeds of engines and clients are multiples of it.
    story.seed = seed % 1_000_000;
    story.ttl_ms = draw.pick(&[1_000, 2_000, 10_000]);
    story.servers = draw.pick(&[Servers::Ideal, Servers::IdealWall]);
    story.network = network(&mut draw);
    story.until_us = story.ttl_ms * 1000 * draw.between(2, 5);
    for client in 0..story.clients {
        operations(&mut story, client, chance.key(Stream::Command, client as u64).at(0));
    }
    let moments = moments(&story);
    let victim = draw.below(story.clients as u64) as usize;
    let (often, of) = draw.pick(&[(1, 12), (1, 6), (1, 3)]);
    for (kind, mischief) in Mischief::ALL.into_iter().enumerate() {
        let mut draw = chance.key(Stream::Plan, kind as u64).at(0);
        if draw.chance(often, of) {
            for _ in 0..draw.pick(&[1, 1, 2, 3]) {
                wreak(&mut story, mischief, &moments, victim, &mut draw);
            }
        }
    }
    story.steps.sort_by_key(|step| step.at_us);
    story
}

fn network(draw: &mut Draw) -> Network {
    if draw.chance(1, 2) {
        return CALM;
    }
    // A request and its answer are there before a server is given up, but for the slow ones.
    let least_us = draw.spread(100, 1_000);
    Network {
        least_us,
        most_us: least_us + draw.spread(100, 1_000),
        slow_one_in: draw.pick(&[0, 0, 50, 10]),
        lost_one_in: draw.pick(&[0, 0, 50, 10]),
    }
}

/// What a client does by itself: sessions of work, or nothing but taking the lock and perhaps
/// giving it back.
fn operations(story: &mut Story, client: usize, mut draw: Draw) {
    let ttl_us = story.ttl_ms * 1000;
    let is_bare = draw.chance(1, 6);
    for _ in 0..draw.pick(&[1, 1, 2, 3]) {
        let at_us = draw.below(story.until_us * 3 / 4);
        let for_us = draw.spread(ttl_us / 100, 2 * ttl_us);
        let mut does = |at_us, what| {
            story.steps.push(Step { at_us, who: Who::Client(client), what });
        };
        if is_bare {
            does(at_us, What::Acquire);
            if draw.chance(3, 4) {
                does(at_us + for_us, What::Release);
            }
        } else {
            does(at_us, What::Work { for_us });
        }
    }
}

/// When clients begin what they do, and when they are done with it if nobody hinders them.
fn moments(story: &Story) -> Vec<(usize, u64)> {
    let mut moments = Vec::new();
    for step in &story.steps {
        if let Who::Client(client) = step.who {
            moments.push((client, step.at_us));
            if let What::Work { for_us } = step.what {
                moments.push((client, step.at_us + for_us));
            }
        }
    }
    moments
}

/// Adds something that goes wrong, for the victim more often than for others.
fn wreak(
    story: &mut Story,
    mischief: Mischief,
    moments: &[(usize, u64)],
    victim: usize,
    draw: &mut Draw,
) {
    let ttl_us = story.ttl_ms * 1000;
    let any = draw.below(story.clients as u64) as usize;
    let client = if draw.chance(1, 2) { victim } else { any };
    // What goes wrong while nobody does anything harms nobody.
    let moment = draw.pick(moments);
    let own: Vec<(usize, u64)> = moments.iter().copied().filter(|it| it.0 == client).collect();
    let near = draw.spread(ttl_us / 10_000, ttl_us);
    let at_us = match draw.below(8) {
        0..4 => draw.pick(&own).1 + near,
        4 => draw.pick(&own).1.saturating_sub(near),
        5 => moment.1 + near,
        _ => draw.below(story.until_us),
    };
    let node = draw.below(story.nodes.into()) as usize;
    let long_us = draw.spread(ttl_us / 20, 2 * ttl_us);
    let short_us = draw.spread(ttl_us / 1000, ttl_us);
    let sign = draw.pick(&[-1, 1]);
    let by_ms = sign * draw.spread(story.ttl_ms / 20, 8 * story.ttl_ms) as i64;
    let by_ppm = sign * draw.spread(100, 100_000) as i64;
    let (of_client, of_node) = (Who::Client(client), Who::Node(node));
    let (link, store) = (Who::Link(client, node), Who::Store(client));
    let (who, what) = match mischief {
        Mischief::Pause => (of_client, What::Pause { for_us: long_us }),
        Mischief::Crash => (of_client, What::Crash),
        Mischief::ClientClock => (of_client, What::Clock { by_ms }),
        Mischief::ClientRate => (of_client, What::Rate { by_ppm }),
        Mischief::ServerClock => (of_node, What::Clock { by_ms }),
        Mischief::ServerRate => (of_node, What::Rate { by_ppm }),
        Mischief::Stop => (of_node, What::Stop { for_us: long_us }),
        Mischief::Forget => (of_node, What::Forget),
        Mischief::Delete => (of_node, What::Delete),
        Mischief::Fill => (of_node, What::Fill { for_us: long_us }),
        Mischief::Grace => (of_node, What::Grace { for_us: long_us.max(ttl_us) }),
        Mischief::Cut => (link, What::Cut { for_us: long_us }),
        Mischief::SlowRequests => {
            (link, What::SlowRequests { by_us: long_us / 2, for_us: short_us })
        }
        Mischief::SlowReplies => (link, What::SlowReplies { by_us: long_us / 2, for_us: short_us }),
        Mischief::SlowStore => (
            store,
            What::SlowRequests { by_us: draw.spread(ttl_us / 4, 2 * ttl_us), for_us: long_us },
        ),
        Mischief::CutStore => (store, What::Cut { for_us: long_us }),
        Mischief::Uses if story.nodes == 1 => return,
        Mischief::Uses => {
            let nodes = draw.between(1, (1 << story.nodes) - 1);
            story.steps.push(Step { at_us: 0, who: of_client, what: What::Use { nodes } });
            return;
        }
    };
    story.steps.push(Step { at_us, who, what });
}

/// What a swarm tells.
#[derive(Clone, Copy, Debug)]
pub struct Swarm {
    /// With which algorithm.
    pub algorithm: &'static Algorithm,
    /// From which seed on.
    pub first_seed: u64,
    /// So many stories at most.
    pub stories_max: u64,
    /// For so long.
    pub time: Duration,
}

/// A story that broke something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its seed.
    pub seed: u64,
    /// What it broke.
    pub broken: BTreeSet<Invariant>,
}

/// What a swarm has found.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How many stories were told.
    pub stories: u64,
    /// How many times somebody got the lock in them.
    pub grants: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// In how many stories each invariant was broken, and the first seed with such a one.
    pub broken: [(u64, Option<u64>); Invariant::ALL.len()],
    /// How many stories broke something.
    pub failures: u64,
    /// Those that broke something, in order of their seeds.
    pub found: Vec<Found>,
}

impl Totals {
    /// Stories of consecutive seeds were told.
    fn add(&mut self, found: Found, grants: u64) {
        self.stories += 1;
        self.grants += grants;
        if found.broken.is_empty() {
            return;
        }
        self.failures += 1;
        for &invariant in &found.broken {
            let (stories, first) = &mut self.broken[invariant as usize];
            *stories += 1;
            first.get_or_insert(found.seed);
        }
        if self.found.len() < FOUND_MAX {
            self.found.push(found);
        }
    }
}

/// Tells stories of consecutive seeds until there are enough or time is up.
#[must_use]
pub fn swarm(setup: &Swarm, progress: &dyn Fn(&Totals)) -> Totals {
    let start = Instant::now();
    let mut totals = Totals::default();
    while totals.stories < setup.stories_max && totals.elapsed < setup.time {
        let first = setup.first_seed + totals.stories;
        let last = first + BATCH.min(setup.stories_max - totals.stories);
        let told: Vec<(Found, u64)> =
            (first..last).into_par_iter().map(|seed| tell(seed, setup.algorithm)).collect();
        told.into_iter().for_each(|(found, grants)| totals.add(found, grants));
        totals.elapsed = start.elapsed();
        progress(&totals);
    }
    totals
}

fn tell(seed: u64, algorithm: &Algorithm) -> (Found, u64) {
    let outcome = happen(&draw(seed, algorithm.is_single), algorithm, false);
    (Found { seed, broken: outcome.broken() }, outcome.figures.grants)
}

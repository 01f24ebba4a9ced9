//! What is no lock of one holder at a time: semaphores on several servers, and queues of waiters.
//!
//! They have a model of their own, much smaller than the lab: a message takes half a millisecond,
//! and of a story's steps they know `works`, `clock` and `slow-requests`.
//!
//! Invariant: with one of them a story happens in one way.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::Invariant;
use super::spelling::letter;
use super::story::{Step, Story, What, Who};
use super::telling::{Line, words};

/// A semaphore or a queue, by name.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub words: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// So many may be in, on a majority of all servers or on the first one.
    Semaphore { permits: usize, is_majority: bool },
    /// The first server has a queue of waiters, if it is fair, and wakes them.
    Waiters(Rules),
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    /// First come, first served; otherwise whoever asks first when it is free.
    is_fair: bool,
    /// Waiters leave the queue by the clock of whoever asks; otherwise by the server's.
    by_clients_clock: bool,
    /// Who has begun to listen asks once more.
    asks_again: bool,
}

/// All that there are.
pub const QUEUES: &[Queue] = &[
    Queue {
        name: "semaphore-majority",
        words: "two permits on each of several servers; who has a majority is in (redis-semaphore)",
        kind: Kind::Semaphore { permits: 2, is_majority: true },
    },
    Queue {
        name: "semaphore-one",
        words: "two permits on one server",
        kind: Kind::Semaphore { permits: 2, is_majority: false },
    },
    Queue {
        name: "redisson-fair",
        words: "Redisson's fair lock: who asks takes those out that wait too long by its own clock",
        kind: Kind::Waiters(Rules { is_fair: true, by_clients_clock: true, asks_again: true }),
    },
    Queue {
        name: "fair",
        words: "a queue that goes by the server's clock",
        kind: Kind::Waiters(Rules { is_fair: true, by_clients_clock: false, asks_again: true }),
    },
    Queue {
        name: "publish-once",
        words: "who is refused listens, and asks when it hears of a release",
        kind: Kind::Waiters(Rules { is_fair: false, by_clients_clock: false, asks_again: false }),
    },
    Queue {
        name: "publish-and-ask",
        words: "who is refused listens, asks once more, and then when it hears of a release",
        kind: Kind::Waiters(Rules { is_fair: false, by_clients_clock: false, asks_again: true }),
    },
];

/// The semaphore or queue of this name.
#[must_use]
pub fn queue(name: &str) -> Option<&'static Queue> {
    QUEUES.iter().find(|queue| queue.name == name)
}

/// How long a message takes.
const WAY_US: u64 = 500;
/// Who waits in a queue is taken out of it after this.
const PATIENCE_US: u64 = 300_000_000;
/// A lock that is free for so long while somebody waits is not to be had.
const BOUND_US: u64 = 1_000_000;
/// Who asked so much earlier is overtaken; less is chance.
const CHANCE_US: u64 = 100_000;

impl Queue {
    /// Lets a story happen: what is broken, and what happens.
    #[must_use]
    pub fn happen(&self, story: &Story) -> (BTreeSet<Invariant>, Vec<Line>) {
        let mut hall = Hall {
            rules: None,
            story,
            posted: 0,
            events: BTreeMap::new(),
            parties: vec![Party::default(); story.clients],
            holder: None,
            free_since: 0,
            queue: Vec::new(),
            listening: BTreeSet::new(),
            lines: Vec::new(),
            broken: BTreeSet::new(),
        };
        match self.kind {
            Kind::Semaphore { permits, is_majority } => hall.semaphore(permits, is_majority),
            Kind::Waiters(rules) => {
                hall.rules = Some(rules);
                hall.wait();
            }
        }
        (hall.broken, hall.lines)
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Step(Step),
    /// At the server.
    Asks(usize),
    Listens(usize),
    GivesBack(usize),
    /// At the client.
    Hears(usize),
}

#[derive(Clone, Debug, Default)]
struct Party {
    clock_us: i64,
    /// For how long it works when it gets in.
    works_us: u64,
    /// Since when it waits.
    since: Option<u64>,
}

/// Where they wait.
struct Hall<'a> {
    rules: Option<Rules>,
    story: &'a Story,
    posted: u64,
    events: BTreeMap<(u64, u64), Event>,
    parties: Vec<Party>,
    holder: Option<usize>,
    free_since: u64,
    /// Who waits, and until when.
    queue: Vec<(usize, u64)>,
    listening: BTreeSet<usize>,
    lines: Vec<Line>,
    broken: BTreeSet<Invariant>,
}

impl Hall<'_> {
    fn tell(&mut self, at_us: u64, text: String) {
        self.lines.push(Line { at_us, text, broken: None });
    }

    fn violate(&mut self, at_us: u64, invariant: Invariant, who: &str) {
        self.broken.insert(invariant);
        let text = format!("{}.", words::broken(invariant, who));
        self.lines.push(Line { at_us, text, broken: Some(invariant) });
    }

    fn post(&mut self, at_us: u64, event: Event) {
        self.posted += 1;
        self.events.insert((at_us, self.posted), event);
    }

    /// Every server lets those in whose requests come first.
    fn semaphore(&mut self, permits: usize, is_majority: bool) {
        let nodes = if is_majority { usize::from(self.story.nodes) } else { 1 };
        let mut arrivals: Vec<(u64, usize, usize)> = Vec::new();
        let mut slow: BTreeMap<(usize, usize), (u64, u64)> = BTreeMap::new();
        for &Step { at_us, who, what } in &self.story.steps {
            match (who, what) {
                (Who::Link(client, node), What::SlowRequests { by_us, for_us }) => {
                    slow.insert((client, node), (by_us, at_us + for_us));
                }
                (Who::Client(client), What::Work { .. }) => {
                    for node in 0..nodes {
                        let trouble = slow.get(&(client, node)).filter(|slow| at_us < slow.1);
                        let takes_us = trouble.map_or(WAY_US, |slow| slow.0);
                        arrivals.push((at_us + takes_us, node, client));
                    }
                }
                _ => {}
            }
        }
        arrivals.sort_unstable();
        let mut inside: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes];
        let mut holders: BTreeSet<usize> = BTreeSet::new();
        for (at_us, node, client) in arrivals {
            let name = letter(client);
            if inside[node].len() >= permits {
                self.tell(at_us, format!("n{} refuses {name}: {permits} are in.", node + 1));
                continue;
            }
            inside[node].insert(client);
            self.tell(at_us, format!("n{} lets {name} in.", node + 1));
            let votes = inside.iter().filter(|inside| inside.contains(&client)).count();
            if votes > nodes / 2 && holders.insert(client) {
                self.tell(at_us + WAY_US, format!("{name} is in."));
                if holders.len() > permits {
                    let who = format!("{} are in where {permits} may be", holders.len());
                    self.violate(at_us + WAY_US, Invariant::Belief, &who);
                }
            }
        }
    }

    fn wait(&mut self) {
        for &step in &self.story.steps {
            self.post(step.at_us, Event::Step(step));
        }
        while let Some(((at_us, _), event)) = self.events.pop_first() {
            if at_us > self.story.until_us {
                break;
            }
            self.step(at_us, event);
        }
        self.check_free(self.story.until_us);
    }

    fn step(&mut self, at_us: u64, event: Event) {
        match event {
            Event::Step(step @ Step { who: Who::Client(client), what, .. }) => match what {
                What::Work { for_us } => {
                    let party = &mut self.parties[client];
                    (party.works_us, party.since) = (for_us, Some(at_us));
                    self.tell(at_us, format!("{}.", words::step(step)));
                    self.post(at_us + WAY_US, Event::Asks(client));
                }
                What::Clock { by_ms } => {
                    self.parties[client].clock_us += by_ms * 1000;
                    self.tell(at_us, format!("{}.", words::step(step)));
                }
                _ => {}
            },
            Event::Step(_) => {}
            Event::Asks(client) => self.asks(at_us, client),
            Event::Listens(client) => {
                self.tell(at_us, format!("{} listens.", letter(client)));
                self.listening.insert(client);
                if self.rules.is_some_and(|rules| rules.asks_again) {
                    self.post(at_us + 2 * WAY_US, Event::Asks(client));
                }
            }
            Event::GivesBack(client) => self.gives_back(at_us, client),
            Event::Hears(client) => self.post(at_us + WAY_US, Event::Asks(client)),
        }
    }

    fn asks(&mut self, at_us: u64, client: usize) {
        let Some(rules) = self.rules else { return };
        if self.parties[client].since.is_none() {
            return;
        }
        let name = letter(client);
        let by_us = if rules.by_clients_clock { self.parties[client].clock_us } else { 0 };
        let now_us = at_us.saturating_add_signed(by_us);
        let (stay, leave): (Vec<_>, Vec<_>) =
            self.queue.iter().copied().partition(|&(_, until_us)| until_us > now_us);
        self.queue = stay;
        for (other, _) in leave {
            self.tell(at_us, format!("{name}'s request takes {} out.", letter(other)));
        }
        let is_next = self.queue.first().is_none_or(|&(first, _)| first == client);
        if self.holder.is_none() && is_next {
            return self.gets_in(at_us, client);
        }
        self.tell(at_us, format!("{name} is refused: it has to wait."));
        if rules.is_fair && self.queue.iter().all(|&(other, _)| other != client) {
            self.queue.push((client, now_us.saturating_add(PATIENCE_US)));
        }
        if !self.listening.contains(&client) {
            // The answer, and the request to listen.
            self.post(at_us + 2 * WAY_US, Event::Listens(client));
        }
    }

    fn gets_in(&mut self, at_us: u64, client: usize) {
        self.check_free(at_us);
        let asked_us = self.parties[client].since.take().unwrap_or(at_us);
        for other in 0..self.parties.len() {
            let waits = self.parties[other].since;
            if waits.is_some_and(|since| since + CHANCE_US < asked_us) {
                let who = format!("{} overtakes {}", letter(client), letter(other));
                self.violate(at_us, Invariant::Fairness, &who);
            }
        }
        self.tell(at_us, format!("{} GETS THE LOCK.", letter(client)));
        self.holder = Some(client);
        self.queue.retain(|&(other, _)| other != client);
        self.listening.remove(&client);
        self.post(at_us + 2 * WAY_US + self.parties[client].works_us, Event::GivesBack(client));
    }

    fn gives_back(&mut self, at_us: u64, client: usize) {
        (self.holder, self.free_since) = (None, at_us);
        let next = self.queue.first().map(|&(next, _)| next);
        let is_fair = self.rules.is_some_and(|rules| rules.is_fair);
        let woken: Vec<usize> = match is_fair {
            true => next.filter(|next| self.listening.contains(next)).into_iter().collect(),
            false => self.listening.iter().copied().collect(),
        };
        let names: String = woken.iter().map(|&woken| letter(woken)).collect();
        let heard = if names.is_empty() { "nobody".to_owned() } else { names };
        self.tell(at_us, format!("{} gives the lock back; {heard} hears of it.", letter(client)));
        for woken in woken {
            self.post(at_us + WAY_US, Event::Hears(woken));
        }
    }

    /// Whether somebody has waited for a free lock for too long.
    fn check_free(&mut self, at_us: u64) {
        if self.holder.is_some() {
            return;
        }
        for client in 0..self.parties.len() {
            let since = self.parties[client].since.map(|since| since.max(self.free_since));
            if since.is_some_and(|since| at_us - since > BOUND_US) {
                self.violate(at_us, Invariant::Availability, &letter(client).to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::algorithm::algorithm;
    use super::*;

    #[test]
    fn names_are_unique() {
        for (at, one) in QUEUES.iter().enumerate() {
            assert!(QUEUES[..at].iter().all(|other| other.name != one.name), "{}", one.name);
            assert!(algorithm(one.name).is_none(), "{}", one.name);
        }
    }
}

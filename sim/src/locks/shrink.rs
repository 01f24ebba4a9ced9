//! Stories made as small as they can be while the same thing is still broken in them.
//!
//! Everything that is left to chance is keyed, so that what is taken out of a story changes little
//! of the rest; what it does change is told again and looked at. Of what a network leaves to chance
//! only what mattered is kept, and by steps ([`super::explicit`]): such a story can have more steps
//! than one with a seed that must be believed.
//!
//! Invariant: what comes out breaks the same invariant with the same algorithm; unless it ran out
//! of runs, no step can be left out of it.

use super::algorithm::Algorithm;
use super::explicit::{Manner, even, explicit, has_chance};
use super::happen::happen;
use super::judge::Invariant;
use super::lab::{Network, Servers};
use super::story::{Step, Story, What, Who};

/// As many times a story is told while it is made smaller, unless somebody wants it otherwise.
pub const RUNS_MAX: u64 = 20_000;

/// A story made small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// What is left.
    pub story: Story,
    /// How many stories were told to find it.
    pub runs: u64,
    /// Whether nothing more was found to leave out; otherwise the runs were used up.
    pub is_minimal: bool,
}

impl Shrunk {
    /// How many things go wrong in it: steps, and a network that is slow or loses messages now and
    /// then.
    #[must_use]
    pub fn faults(&self) -> usize {
        let Network { slow_one_in, lost_one_in, .. } = self.story.network;
        let of_network = usize::from(slow_one_in > 0) + usize::from(lost_one_in > 0);
        self.story.steps.len() - self.operations() + of_network
    }

    /// Whether a reader must believe its seed: messages are slow or lost now and then, or take
    /// different times.
    #[must_use]
    pub fn has_chance(&self) -> bool {
        has_chance(self.story.network)
    }

    /// How many of its steps are what clients do by themselves.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.story.steps.iter().filter(|step| !step.what.is_fault()).count()
    }
}

/// Makes a story smaller that breaks an invariant; nothing: it does not break it.
#[must_use]
pub fn shrink(
    story: &Story,
    algorithm: &Algorithm,
    invariant: Invariant,
    runs_max: u64,
) -> Option<Shrunk> {
    let mut shrinker = Shrinker { algorithm, invariant, runs: 0, runs_max, best: story.clone() };
    if !shrinker.breaks(story) {
        return None;
    }
    while shrinker.pass() || shrinker.without_chance() {}
    let Shrinker { best, runs, .. } = shrinker;
    Some(Shrunk { story: best, runs, is_minimal: runs < runs_max })
}

struct Shrinker<'a> {
    algorithm: &'a Algorithm,
    invariant: Invariant,
    runs: u64,
    runs_max: u64,
    /// The smallest story so far.
    best: Story,
}

impl Shrinker<'_> {
    fn breaks(&mut self, story: &Story) -> bool {
        if self.runs >= self.runs_max || story.problem().is_some() {
            return false;
        }
        self.runs += 1;
        happen(story, self.algorithm, false).broken().contains(&self.invariant)
    }

    /// Takes a story with simpler numbers if it still breaks what it should.
    fn take_simpler(&mut self, story: Story) -> bool {
        let is_simpler = weight(&story) < weight(&self.best);
        is_simpler && story.steps.is_sorted_by_key(|step| step.at_us) && self.take(story)
    }

    /// Takes a story if it still breaks what it should.
    fn take(&mut self, story: Story) -> bool {
        let is_taken = self.breaks(&story);
        if is_taken {
            self.best = story;
        }
        is_taken
    }

    /// Tries everything once; false: nothing came of it.
    fn pass(&mut self) -> bool {
        let before = self.best.clone();
        self.fewer_steps();
        self.fewer_clients();
        self.fewer_servers();
        self.fewer_troubles();
        self.calmer();
        self.closer_together();
        self.rounder();
        self.shorter();
        self.best != before
    }

    /// Leaves out steps: halves, quarters and so on, and at last each one (ddmin).
    fn fewer_steps(&mut self) {
        let mut chunk = self.best.steps.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            let mut is_smaller = false;
            while at < self.best.steps.len() {
                let mut story = self.best.clone();
                let end = (at + chunk).min(story.steps.len());
                story.steps.drain(at..end);
                if self.take(story) {
                    is_smaller = true;
                } else {
                    at = end;
                }
            }
            // What was needed may not be any more, once others are gone.
            if !is_smaller || chunk > 1 {
                chunk /= 2;
            }
        }
    }

    /// Leaves out clients, with all that happens to them.
    fn fewer_clients(&mut self) {
        let mut client = 0;
        while self.best.clients > 1 && client < self.best.clients {
            let story = without_client(&self.best, client);
            if !self.take(story) {
                client += 1;
            }
        }
    }

    /// Leaves out servers, two at a time: an even number is another algorithm.
    fn fewer_servers(&mut self) {
        while self.best.nodes > 3 {
            let count = usize::from(self.best.nodes);
            let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |next| (one, next)));
            let all: Vec<Story> = pairs
                .filter_map(|(one, next)| without_server(&without_server(&self.best, next)?, one))
                .collect();
            if !all.into_iter().any(|story| self.take(story)) {
                return;
            }
        }
    }

    /// Says by one step what two say of messages to and from a server, and what lies between.
    fn fewer_troubles(&mut self) {
        let mut first = 0;
        while first < self.best.steps.len() {
            let mut second = first + 1;
            while second < self.best.steps.len() {
                if !self.join(first, second) {
                    second += 1;
                }
            }
            first += 1;
        }
    }

    fn join(&mut self, first: usize, second: usize) -> bool {
        let steps = &self.best.steps;
        let all: Vec<Story> = joined(steps[first], steps[second])
            .into_iter()
            .map(|step| {
                let mut story = self.best.clone();
                story.steps.remove(second);
                story.steps[first] = step;
                story
            })
            .collect();
        all.into_iter().any(|story| self.take(story))
    }

    /// Leaves less to chance.
    fn calmer(&mut self) {
        let Network { least_us, .. } = self.best.network;
        let some_chance = [
            Network { slow_one_in: 0, lost_one_in: 0, ..self.best.network },
            Network { slow_one_in: 0, ..self.best.network },
            Network { lost_one_in: 0, ..self.best.network },
            Network { most_us: least_us, ..self.best.network },
        ];
        for network in even(self.best.network).into_iter().chain(some_chance) {
            if self.best.network != network {
                let story = Story { network, ..self.best.clone() };
                self.take(story);
            }
        }
        if self.best.servers != Servers::Ideal {
            let story = Story { servers: Servers::Ideal, ..self.best.clone() };
            self.take(story);
        }
        if self.best.seed != 1 {
            let story = Story { seed: 1, ..self.best.clone() };
            self.take(story);
        }
    }

    /// Says by steps what chance does to messages, and leaves nothing of the network to it; false:
    /// nothing was left to it, or the story needs that.
    fn without_chance(&mut self) -> bool {
        let network = self.best.network;
        if !has_chance(network) || self.runs >= self.runs_max {
            return false;
        }
        self.runs += 1;
        let outcome = happen(&self.best, self.algorithm, true);
        let trace = outcome.trace.unwrap_or_default();
        let story = self.best.clone();
        Manner::all().any(|manner| {
            let mut networks = even(network).into_iter();
            networks.any(|network| self.take(explicit(&story, &trace, network, manner)))
        })
    }

    /// Brings the rest of the story closer to what was before it.
    fn closer_together(&mut self) {
        for from in 0..self.best.steps.len() {
            let before = from.checked_sub(1).map_or(0, |before| self.best.steps[before].at_us);
            let gap = self.best.steps[from].at_us - before;
            for smaller in simpler(gap) {
                let mut story = self.best.clone();
                for step in &mut story.steps[from..] {
                    step.at_us = step.at_us - gap + smaller;
                }
                if self.take_simpler(story) {
                    break;
                }
            }
        }
    }

    /// Makes every time and every duration rounder, and shorter.
    fn rounder(&mut self) {
        for step in 0..self.best.steps.len() {
            for number in 0..3 {
                let mut copy = self.best.steps[step];
                let Some(value) = numbers(&mut copy)[number].as_ref().map(Number::value) else {
                    continue;
                };
                for simpler in simpler(value) {
                    let mut story = self.best.clone();
                    if let Some(number) = &mut numbers(&mut story.steps[step])[number] {
                        number.set(simpler);
                    }
                    if self.take_simpler(story) {
                        break;
                    }
                }
            }
        }
    }

    /// Ends it earlier.
    fn shorter(&mut self) {
        let last_us = self.best.steps.last().map_or(0, |step| step.at_us);
        for until_us in simpler(self.best.until_us) {
            if until_us >= last_us && self.take_simpler(Story { until_us, ..self.best.clone() }) {
                return;
            }
        }
    }
}

/// A number of a step that can be made simpler.
enum Number<'a> {
    Unsigned(&'a mut u64),
    Signed(&'a mut i64),
}

impl Number<'_> {
    fn value(&self) -> u64 {
        match self {
            Self::Unsigned(value) => **value,
            Self::Signed(value) => value.unsigned_abs(),
        }
    }

    fn set(&mut self, to: u64) {
        match self {
            Self::Unsigned(value) => **value = to,
            Self::Signed(value) => **value = value.signum() * to as i64,
        }
    }
}

/// When it is, for how long, and by how much.
fn numbers(step: &mut Step) -> [Option<Number<'_>>; 3] {
    let (first, second) = match &mut step.what {
        What::Work { for_us }
        | What::Pause { for_us }
        | What::Stop { for_us }
        | What::Fill { for_us }
        | What::Grace { for_us }
        | What::Cut { for_us } => (Some(Number::Unsigned(for_us)), None),
        What::Clock { by_ms: by } | What::Rate { by_ppm: by } => (Some(Number::Signed(by)), None),
        What::SlowRequests { by_us, for_us } | What::SlowReplies { by_us, for_us } => {
            (Some(Number::Unsigned(by_us)), Some(Number::Unsigned(for_us)))
        }
        What::Acquire
        | What::Read
        | What::Write
        | What::Release
        | What::Use { .. }
        | What::Crash
        | What::Forget
        | What::Delete => (None, None),
    };
    [Some(Number::Unsigned(&mut step.at_us)), first, second]
}

/// Numbers that are simpler than this one, the simplest first: with fewer digits that say
/// something, or with as many and smaller.
fn simpler(value: u64) -> Vec<u64> {
    let mut all = vec![0];
    let mut unit = 10_u64.pow(value.max(1).ilog10());
    while unit > 0 {
        let down = value / unit * unit;
        all.extend([down / unit / 2 * unit, down, down + unit]);
        unit /= 10;
    }
    let mut ranked: Vec<(u32, u64)> = all.into_iter().map(|it| (digits(it), it)).collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.retain(|&rank| rank < (digits(value), value));
    ranked.into_iter().map(|(_, value)| value).collect()
}

/// How far a story's numbers are from being simple. Each change makes this less, so there is an
/// end.
fn weight(story: &Story) -> (u64, u64) {
    let mut weight = (0, 0);
    let mut add = |value: u64| {
        weight.0 += u64::from(2 * digits(value) + value.checked_ilog2().unwrap_or(0));
        weight.1 += value;
    };
    add(story.until_us);
    for mut step in story.steps.iter().copied() {
        numbers(&mut step).into_iter().flatten().for_each(|number| add(number.value()));
    }
    weight
}

/// How many digits say something.
fn digits(mut value: u64) -> u32 {
    while value > 0 && value.is_multiple_of(10) {
        value /= 10;
    }
    value.checked_ilog10().map_or(0, |digits| digits + 1)
}

/// Steps of which each might do alone what two do that are about messages to and from a server.
fn joined(first: Step, second: Step) -> Vec<Step> {
    let trouble = |step: Step| match (step.who, step.what) {
        (Who::Link(_, node), What::Cut { for_us }) => Some((node, for_us, 0)),
        (
            Who::Link(_, node),
            What::SlowRequests { by_us, for_us } | What::SlowReplies { by_us, for_us },
        ) => Some((node, for_us, by_us)),
        (Who::Node(node), What::Stop { for_us }) => Some((node, for_us, 0)),
        _ => None,
    };
    let (Some((node, for_us, by_us)), Some((other, other_for_us, other_by_us))) =
        (trouble(first), trouble(second))
    else {
        return Vec::new();
    };
    if node != other {
        return Vec::new();
    }
    let until_us = (first.at_us + for_us).max(second.at_us + other_for_us);
    let (for_us, by_us) = (until_us - first.at_us, by_us.max(other_by_us));
    let mut all = Vec::new();
    if first.who == second.who && first.who != Who::Node(node) {
        all.push(Step { what: What::Cut { for_us }, ..first });
        if by_us > 0 {
            all.push(Step { what: What::SlowRequests { by_us, for_us }, ..first });
            all.push(Step { what: What::SlowReplies { by_us, for_us }, ..first });
        }
    }
    all.push(Step { who: Who::Node(node), what: What::Stop { for_us }, ..first });
    all
}

/// The story without a client; those after it move up.
fn without_client(story: &Story, gone: usize) -> Story {
    let moved = |client: usize| match client.cmp(&gone) {
        core::cmp::Ordering::Less => Some(client),
        core::cmp::Ordering::Equal => None,
        core::cmp::Ordering::Greater => Some(client - 1),
    };
    let step = |step: &Step| {
        let who = match step.who {
            Who::Client(client) => Who::Client(moved(client)?),
            Who::Node(node) => Who::Node(node),
            Who::Link(client, node) => Who::Link(moved(client)?, node),
            Who::Store(client) => Who::Store(moved(client)?),
        };
        Some(Step { who, ..*step })
    };
    let steps = story.steps.iter().filter_map(step).collect();
    Story { clients: story.clients - 1, steps, ..story.clone() }
}

/// The story without a server; those after it move up. Nothing: a client would have none.
fn without_server(story: &Story, gone: usize) -> Option<Story> {
    let moved = |node: usize| match node.cmp(&gone) {
        core::cmp::Ordering::Less => Some(node),
        core::cmp::Ordering::Equal => None,
        core::cmp::Ordering::Greater => Some(node - 1),
    };
    let mut steps = Vec::new();
    for step in &story.steps {
        let who = match step.who {
            Who::Node(node) => moved(node).map(Who::Node),
            Who::Link(client, node) => moved(node).map(|node| Who::Link(client, node)),
            Who::Client(_) | Who::Store(_) => Some(step.who),
        };
        let what = match step.what {
            What::Use { nodes } => {
                let below = (1 << gone) - 1;
                let nodes = nodes & below | nodes >> 1 & !below;
                if nodes == 0 {
                    return None;
                }
                What::Use { nodes }
            }
            what => what,
        };
        steps.extend(who.map(|who| Step { who, what, ..*step }));
    }
    Some(Story { nodes: story.nodes - 1, steps, ..story.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locks::read;

    #[test]
    fn simpler_numbers_have_fewer_digits_or_are_smaller() {
        assert_eq!(simpler(0), Vec::<u64>::new());
        assert_eq!(simpler(7), [0, 3]);
        assert_eq!(simpler(10_000), [0, 5_000]);
        assert_eq!(simpler(40_000), [0, 20_000]);
        assert_eq!(simpler(1_234), [0, 600, 1_000, 2_000, 610, 1_200, 1_300, 617, 1_230, 1_240]);
        assert_eq!((digits(0), digits(1_200), digits(999)), (0, 2, 3));
    }

    #[test]
    fn who_is_left_moves_up() {
        let text =
            "nodes 3\nclients 3\n0 B uses n1 n3\n0 C uses n2 n3\n1 B-n3 cut 5\n2 n3 forgets\n";
        let story = read(text, &[]).expect("a story");
        let less = without_client(&story, 0);
        assert_eq!((less.clients, less.steps[2].who), (2, Who::Link(0, 2)));
        let less = without_server(&story, 1).expect("a story");
        assert_eq!((less.nodes, less.steps[3].who), (2, Who::Node(1)));
        assert_eq!(less.steps[0].what, What::Use { nodes: 0b11 });
        assert_eq!(less.steps[1].what, What::Use { nodes: 0b10 });
        assert_eq!(without_server(&less, 1), None, "C would have no server");
    }
}

//! The search: level by level, each state once.
//!
//! Of a state that was seen only 128 bits are kept, and how it was reached; the states themselves
//! are kept for two levels.
//!
//! Invariant: the first path to what is broken is a shortest one.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use super::moves::{Move, World};
use super::scope::{CLIENTS, NODES_MAX, Scope};
use super::state::{Naming, State};
use super::story;
use super::{Broken, Invariant};

/// How it is searched.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// No more states than so many; about 75 bytes each, those of two levels included.
    pub states_max: usize,
    /// Enough is found when all of these are broken; none of them: never.
    pub enough: Broken,
    /// What states are hashed with.
    pub key: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { states_max: 100_000_000, enough: Broken::default(), key: 0 }
    }
}

/// How far it is, after each level and every now and then between.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps from the beginning.
    pub level: usize,
    /// States that were found.
    pub states: usize,
    /// Those of them whose next steps are not known yet.
    pub open: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// States, each of which stands for all that differ from it in names.
    pub states: usize,
    /// Steps from one to another, or to itself.
    pub steps: u64,
    /// The most steps that it takes to reach a state.
    pub levels: usize,
    /// Different states of one client.
    pub client_states: usize,
    /// Whether all was searched.
    pub is_complete: bool,
    /// Whether it ended because there were too many states.
    pub is_too_large: bool,
    /// What is broken, with the shortest way to do so.
    pub broken: Vec<Found>,
}

/// Something broken.
#[derive(Clone, Debug)]
pub struct Found {
    /// What.
    pub invariant: Invariant,
    /// In so many steps, of which ticks are some.
    pub steps: usize,
    /// The steps, in words.
    pub story: Vec<String>,
}

impl Findings {
    /// How an invariant is broken; none: it is not, as far as was searched.
    #[must_use]
    pub fn how(&self, invariant: Invariant) -> Option<&Found> {
        self.broken.iter().find(|found| found.invariant == invariant)
    }
}

/// Searches a scope; `watch` is told how far it is.
///
/// # Panics
/// If the scope has a [`problem`](Scope::problem), or a path that was found is none.
#[must_use]
pub fn search(scope: &Scope, options: Options, watch: &dyn Fn(Progress)) -> Findings {
    assert_eq!(scope.problem(), None, "scopes are checked before they are searched");
    let mut search = Search::new(scope, options);
    while !search.open.is_empty() && !search.is_enough() {
        search.level(watch);
    }
    search.findings(scope)
}

/// The hash of a fingerprint is its lower half.
#[derive(Default)]
struct LowerHalf(u64);

impl Hasher for LowerHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let fold = |sum: u64, byte: &u8| sum.rotate_left(8) ^ u64::from(*byte);
        self.0 = bytes.iter().fold(self.0, fold);
    }

    fn write_u128(&mut self, bits: u128) {
        self.0 = bits as u64;
    }
}

struct Search {
    world: World,
    options: Options,
    first: State,
    seen: HashSet<u128, BuildHasherDefault<LowerHalf>>,
    /// From which state each was reached, and by which step.
    parents: Vec<u32>,
    moves: Vec<u8>,
    /// The states of the last level, and the number of each.
    open: Vec<(u32, State)>,
    level: usize,
    steps: u64,
    broken: Broken,
    /// What was broken first, from which state by which step.
    found: Vec<(Invariant, u32, Move)>,
    is_too_large: bool,
}

/// Progress is told after so many states.
const WATCHED_STATES: usize = 1 << 14;

impl Search {
    fn new(scope: &Scope, options: Options) -> Self {
        let (mut world, first) = World::new(scope);
        let alike = world.alike();
        let (state, _) = first.canonical(&mut world.machines, alike);
        let mut search = Self {
            world,
            options,
            first,
            seen: HashSet::default(),
            parents: vec![0],
            moves: vec![0],
            open: vec![(0, state)],
            level: 0,
            steps: 0,
            broken: Broken::default(),
            found: Vec::new(),
            is_too_large: false,
        };
        search.seen.insert(state.fingerprint(options.key));
        search
    }

    fn is_enough(&self) -> bool {
        let enough = self.options.enough;
        let is_found = !enough.is_empty() && enough.without(self.broken).is_empty();
        is_found || self.is_too_large
    }

    fn level(&mut self, watch: &dyn Fn(Progress)) {
        let open = core::mem::take(&mut self.open);
        let (mut next, mut moves) = (Vec::new(), Vec::new());
        let alike = self.world.alike();
        for (at, (number, state)) in open.iter().enumerate() {
            if at % WATCHED_STATES == 0 {
                let open = open.len() - at + next.len();
                watch(Progress { level: self.level, states: self.parents.len(), open });
            }
            moves.clear();
            self.world.moves(state, &mut moves);
            self.steps += moves.len() as u64;
            for &step in &moves {
                let (after, broken) = self.world.after(state, step);
                self.note(broken, *number, step);
                let (after, _) = after.canonical(&mut self.world.machines, alike);
                if self.seen.insert(after.fingerprint(self.options.key)) {
                    next.push((self.parents.len() as u32, after));
                    self.parents.push(*number);
                    self.moves.push(step.pack());
                }
            }
            // Their numbers have 32 bits.
            if self.parents.len() > self.options.states_max.min(u32::MAX as usize / 2) {
                self.is_too_large = true;
                break;
            }
        }
        self.level += usize::from(!next.is_empty());
        self.open = next;
    }

    fn note(&mut self, broken: Broken, number: u32, step: Move) {
        let new = broken.without(self.broken);
        if new.is_empty() {
            return;
        }
        self.broken = self.broken.with(new);
        let all = Invariant::ALL.into_iter().filter(|&invariant| new.has(invariant));
        self.found.extend(all.map(|invariant| (invariant, number, step)));
    }

    fn findings(mut self, scope: &Scope) -> Findings {
        let found = core::mem::take(&mut self.found);
        let mut broken: Vec<Found> = found
            .into_iter()
            .map(|(invariant, number, step)| {
                let path = self.path(number, step);
                let story = story::tell(scope, &path, invariant);
                Found { invariant, steps: path.len(), story }
            })
            .collect();
        broken.sort_by_key(|found| found.invariant);
        Findings {
            states: self.parents.len(),
            steps: self.steps,
            levels: self.level,
            client_states: self.world.machines.len(),
            is_complete: self.open.is_empty() && !self.is_too_large,
            is_too_large: self.is_too_large,
            broken,
        }
    }

    /// The steps to a state and one more, with clients and servers called as at the beginning.
    fn path(&mut self, number: u32, last: Move) -> Vec<Move> {
        let (mut steps, mut at) = (vec![last], number);
        while at != 0 {
            steps.push(Move::unpack(self.moves[at as usize]));
            at = self.parents[at as usize];
        }
        steps.reverse();
        let alike = self.world.alike();
        let (mut state, naming) = self.first.canonical(&mut self.world.machines, alike);
        let mut names = Names::first();
        names.rename(naming);
        for step in &mut steps {
            let (after, _) = self.world.after(&state, *step);
            *step = step.renamed(|client| names.clients[client], |node| names.nodes[node]);
            let (canonical, naming) = after.canonical(&mut self.world.machines, alike);
            state = canonical;
            names.rename(naming);
        }
        steps
    }
}

/// What the clients and servers of a state were called at the beginning.
struct Names {
    clients: [usize; CLIENTS],
    nodes: [usize; NODES_MAX],
}

impl Names {
    fn first() -> Self {
        Self { clients: [0, 1], nodes: [0, 1, 2] }
    }

    fn rename(&mut self, naming: Naming) {
        let old = self.nodes;
        for (name, &new) in old.iter().zip(&naming.nodes) {
            self.nodes[usize::from(new)] = *name;
        }
        if naming.swaps {
            self.clients.swap(0, 1);
        }
    }
}

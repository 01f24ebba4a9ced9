//! The clients as numbers: each state that a real [`Client`] can be in is kept once, with what it
//! does for each input, which is tried on the real machine the first time.
//!
//! Invariant: a number stands for one [`Essence`]; what a client of that number does is what the
//! machine did.

use orrery_engine::lock::{
    Action, Client, Essence, Node, NodeEssence, Phase, RequestId, Scale, Settings,
};
use orrery_engine::time::{Instant, Micros, UnixMicros};
use orrery_engine::{Now, Seed};
use rustc_hash::FxHashMap;

use super::scope::{NODES_MAX, Scope, TICK, WALL_STEP_TICKS};
use super::word::{Answered, Asked, TAGS};

/// The identity of every client here: who is who is known to those who carry its messages.
const IDENTITY: u128 = 1;
/// Clocks begin here, so that one that is set back has somewhere to go.
const BEGIN_US: u64 = 3_600_000_000;

/// A state of a client.
pub(super) type MachineId = u32;

/// Who has had all turns is in this state for ever, and answers nothing.
pub(super) const SPENT: MachineId = 0;

/// What may happen to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// It is told to acquire the lock.
    Acquire,
    /// It is told to give it back.
    Release,
    /// A tick has passed: its clocks go on, it does nothing.
    Passes,
    /// It looks at its clock.
    Looks,
    /// Somebody sets its clock back.
    SetBack,
    /// A server answers.
    Answer {
        /// Which.
        node: u8,
        /// What, and to which of the requests that it waits for.
        answered: Answered,
    },
}

/// What it does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It asks a server.
    Asks(u8, Asked),
    /// It has the lock, with this number.
    Granted(Option<u64>),
    /// It has it no more, or has not got it.
    Ended,
}

/// What came of an input.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) next: MachineId,
    pub(super) deeds: Vec<Deed>,
    /// How requests that it still waits for are called now, by server and by how they were called;
    /// 0: it waits for them no more.
    pub(super) tags: [[u8; TAGS]; NODES_MAX],
    /// Whether any is called otherwise.
    pub(super) renames: bool,
}

/// A state.
struct Machine {
    client: Option<Client>,
    now: Now,
    is_idle: bool,
    is_due: bool,
    believes: bool,
    fence: Option<u64>,
    parts: [u16; NODES_MAX],
    /// The same with servers numbered otherwise, where that was asked for.
    renumbered: [Option<MachineId>; ORDERS.len()],
}

/// In how many ways servers can be numbered: the first is as they are, the first two concern only
/// the first two servers.
pub(super) const ORDERS: [[u8; NODES_MAX]; 6] =
    [[0, 1, 2], [1, 0, 2], [0, 2, 1], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// All states that were seen.
pub(super) struct Machines {
    settings: Settings,
    horizon_ticks: i64,
    machines: Vec<Machine>,
    known: FxHashMap<Essence, MachineId>,
    parts: FxHashMap<NodeEssence, u16>,
    outcomes: Vec<Outcome>,
    tried: FxHashMap<(MachineId, Input), u32>,
}

impl Machines {
    /// Two of them: one that is spent and one that has not begun, which comes back with it.
    pub(super) fn new(scope: &Scope) -> (Self, MachineId) {
        let mut all = Self {
            settings: scope.settings,
            horizon_ticks: scope.horizon_ticks(),
            machines: Vec::new(),
            known: FxHashMap::default(),
            parts: FxHashMap::default(),
            outcomes: Vec::new(),
            tried: FxHashMap::default(),
        };
        all.parts.insert(NodeEssence::default(), 0);
        all.machines.push(Machine {
            client: None,
            now: first_moment(),
            is_idle: true,
            is_due: false,
            believes: false,
            fence: None,
            parts: [0; NODES_MAX],
            renumbered: [Some(SPENT); ORDERS.len()],
        });
        let client = Client::new(scope.settings, IDENTITY, Seed(1));
        let first = all.intern(client, first_moment());
        (all, first)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether it is about nothing.
    pub(super) fn is_idle(&self, id: MachineId) -> bool {
        self.machines[id as usize].is_idle
    }

    /// Whether it has to look at its clock.
    pub(super) fn is_due(&self, id: MachineId) -> bool {
        self.machines[id as usize].is_due
    }

    /// Whether it takes the lock for its own.
    pub(super) fn believes(&self, id: MachineId) -> bool {
        self.machines[id as usize].believes
    }

    /// The number of what it holds.
    pub(super) fn fence(&self, id: MachineId) -> Option<u64> {
        self.machines[id as usize].fence
    }

    /// What it knows of each server, as numbers.
    pub(super) fn parts(&self, id: MachineId) -> [u16; NODES_MAX] {
        self.machines[id as usize].parts
    }

    /// What it does for an input.
    pub(super) fn step(&mut self, id: MachineId, input: Input) -> &Outcome {
        let at = match self.tried.get(&(id, input)) {
            Some(&at) => at,
            None => {
                let outcome = self.attempt(id, input);
                self.outcomes.push(outcome);
                let at = (self.outcomes.len() - 1) as u32;
                self.tried.insert((id, input), at);
                at
            }
        };
        &self.outcomes[at as usize]
    }

    /// The same client with its servers numbered in another of the [`ORDERS`].
    pub(super) fn renumbered(&mut self, id: MachineId, order: usize) -> MachineId {
        if let Some(other) = self.machines[id as usize].renumbered[order] {
            return other;
        }
        let Machine { client, now, .. } = &self.machines[id as usize];
        let now = *now;
        let numbers = ORDERS[order].map(u16::from);
        let used = &numbers[..usize::from(self.settings.nodes)];
        let client = client.as_ref().expect("who is spent is known").renumbered(used);
        let other = self.intern(client, now);
        self.machines[id as usize].renumbered[order] = Some(other);
        other
    }

    /// Tries it on the machine.
    fn attempt(&mut self, id: MachineId, input: Input) -> Outcome {
        let Machine { client, now, .. } = &self.machines[id as usize];
        let Some(client) = client else {
            assert!(input == Input::Passes || input == Input::SetBack, "it is spent: {input:?}");
            return Outcome { next: SPENT, deeds: Vec::new(), tags: kept_tags(), renames: false };
        };
        let (mut client, mut now) = (client.clone(), *now);
        let nodes = self.settings.nodes;
        let before: Vec<Vec<RequestId>> = (0..nodes).map(|at| client.awaited(Node(at))).collect();
        let mut out = Vec::new();
        match input {
            Input::Acquire => client.acquire(now, &mut out),
            Input::Release => {
                client.release(now, &mut out);
            }
            Input::Passes => now = passed(now),
            Input::SetBack => now = set_back(now),
            Input::Looks => client.tick(now, &mut out),
            Input::Answer { node, answered } => {
                let request = before[usize::from(node)][usize::from(answered.tag) - 1];
                client.answer(now, request, answered.reply(), &mut out);
            }
        }
        let after: Vec<Vec<RequestId>> = (0..nodes).map(|at| client.awaited(Node(at))).collect();
        let tag = |node: usize, id: RequestId| {
            after[node].iter().position(|&it| it == id).map_or(0, |at| at as u8 + 1)
        };
        let mut tags = kept_tags();
        for (node, ids) in before.iter().enumerate() {
            tags[node] = [0; TAGS];
            for (at, &id) in ids.iter().enumerate() {
                tags[node][at + 1] = tag(node, id);
            }
        }
        let is_kept = |(node, ids): (usize, &Vec<RequestId>)| {
            (1..=ids.len()).all(|old| usize::from(tags[node][old]) == old)
        };
        let renames = !before.iter().enumerate().all(is_kept);
        let deeds = out.into_iter().filter_map(|action| deed(action, &tag)).collect();
        Outcome { next: self.intern(client, now), deeds, tags, renames }
    }

    fn intern(&mut self, client: Client, now: Now) -> MachineId {
        let scale = Scale { now, tick: TICK, horizon_ticks: self.horizon_ticks };
        let essence = client.essence(scale);
        if let Some(&known) = self.known.get(&essence) {
            return known;
        }
        let mut parts = [0; NODES_MAX];
        for (node, part) in (0..self.settings.nodes).zip(&mut parts) {
            let next = self.parts.len() as u16;
            *part = *self.parts.entry(essence.node(Node(node))).or_insert(next);
        }
        let id = self.machines.len() as MachineId;
        self.known.insert(essence, id);
        let mut renumbered = [None; ORDERS.len()];
        renumbered[0] = Some(id);
        self.machines.push(Machine {
            is_idle: client.phase() == Phase::Idle,
            is_due: client.due().is_some_and(|due| due <= now.mono),
            believes: client.believes(now),
            fence: client.grant().and_then(|grant| grant.fence),
            client: Some(client),
            now,
            parts,
            renumbered,
        });
        id
    }
}

/// The clocks of a client at the beginning.
pub(super) fn first_moment() -> Now {
    Now { mono: Instant(BEGIN_US), wall: UnixMicros(BEGIN_US) }
}

/// The same a tick later.
pub(super) fn passed(now: Now) -> Now {
    Now { mono: now.mono + TICK, wall: UnixMicros(now.wall.0 + TICK.0) }
}

/// The same when somebody has set the time of day back.
pub(super) fn set_back(now: Now) -> Now {
    let Micros(tick_us) = TICK;
    Now { wall: UnixMicros(now.wall.0 - WALL_STEP_TICKS * tick_us), ..now }
}

fn deed(action: Action, tag: &impl Fn(usize, RequestId) -> u8) -> Option<Deed> {
    match action {
        Action::Send { node: Node(node), id, request } => {
            Some(Deed::Asks(node as u8, Asked::new(&request, tag(usize::from(node), id))))
        }
        Action::Granted(grant) => Some(Deed::Granted(grant.fence)),
        Action::Extended(_) => None,
        Action::Ended(_) => Some(Deed::Ended),
    }
}

fn kept_tags() -> [[u8; TAGS]; NODES_MAX] {
    [core::array::from_fn(|tag| tag as u8); NODES_MAX]
}

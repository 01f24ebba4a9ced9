//! A state of the whole world, small enough to be kept by the million.
//!
//! Time is not in it: what a key or a request has left is. What two states differ in has a future:
//! which server is which, and which client, has none, so one of all namings stands for the others.
//!
//! Invariant: states of one [`canonical`](State::canonical) form can do the same from then on.

use super::machine::{MachineId, Machines, ORDERS, SPENT};
use super::scope::{CLIENTS, GRANTS_MAX, NODES_MAX, Scope};
use super::word::Row;

/// How far a client is with its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It may begin.
    Ready,
    /// It has asked for the lock.
    Asking,
    /// It has the lock and has asked what is in the store.
    Reading,
    /// It has asked the store to write what it has made of that.
    Writing,
    /// It has given the lock back.
    Ending,
    /// It has had all its turns.
    Spent,
}

/// What the store has told a client that has not heard it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    Nothing,
    Refused,
    Written,
    /// What it has read, and whether that is still there.
    Read {
        is_fresh: bool,
    },
}

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    pub(super) machine: MachineId,
    pub(super) stage: Stage,
    pub(super) turns: u8,
    pub(super) is_paused: bool,
    /// Its grant, counted as they were told; 0: it has none.
    pub(super) grant: u8,
    /// Grants that had been told when it began to ask for the lock.
    pub(super) before: u8,
    pub(super) heard: Heard,
    /// What it has asked of the store.
    pub(super) accesses: Row,
}

/// A server, and what is under way between it and each client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Column {
    /// Whose key it has; 0: nobody's.
    pub(super) holder: u8,
    /// For so many ticks.
    pub(super) left: u8,
    pub(super) counter: u8,
    pub(super) asked: [Row; CLIENTS],
    pub(super) answered: [Row; CLIENTS],
}

/// What else there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rest {
    /// Grants that were told.
    pub(super) grants: u8,
    /// The number of each.
    pub(super) numbers: [u8; GRANTS_MAX],
    /// How many had been told when each was asked for: those are earlier than it.
    pub(super) before: [u8; GRANTS_MAX],
    /// So many are earlier than one that has got through to the store.
    pub(super) seen: u8,
    /// The store's register: the highest number and whose it is.
    pub(super) number: u8,
    pub(super) owner: u8,
    pub(super) pauses: u8,
    pub(super) clock_steps: u8,
    pub(super) wall_steps: u8,
    pub(super) crashes: u8,
    pub(super) ticks: u8,
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    pub(super) seats: [Seat; CLIENTS],
    pub(super) columns: [Column; NODES_MAX],
    pub(super) rest: Rest,
}

/// How a state was renamed into its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    /// The new number of each server.
    pub(super) nodes: [u8; NODES_MAX],
    /// Whether the clients have changed places.
    pub(super) swaps: bool,
}

/// The holder of a key: a client, by its place, and one of its attempts.
pub(super) fn holder(client: usize, attempt: u8) -> u8 {
    2 * attempt + client as u8
}

impl Row {
    fn word(self) -> u64 {
        self.0
    }
}

impl State {
    /// The beginning.
    pub(super) fn first(scope: &Scope, machine: MachineId) -> Self {
        let seat = |turns: u8| {
            let has_turns = turns > 0;
            Seat {
                machine: if has_turns { machine } else { SPENT },
                stage: if has_turns { Stage::Ready } else { Stage::Spent },
                turns,
                is_paused: false,
                grant: 0,
                before: 0,
                heard: Heard::Nothing,
                accesses: Row::default(),
            }
        };
        let mut columns = [Column::default(); NODES_MAX];
        let used = usize::from(scope.settings.nodes);
        for (column, counter) in columns[..used].iter_mut().zip(scope.counters) {
            column.counter = counter;
        }
        let rest = Rest {
            pauses: scope.pauses,
            clock_steps: scope.clock_steps,
            wall_steps: scope.wall_steps,
            crashes: scope.crashes,
            ticks: scope.ticks.unwrap_or(0),
            ..Rest::default()
        };
        Self { seats: scope.turns.map(seat), columns, rest }
    }

    /// Whether nothing that matters can happen any more: nobody will hold or change anything.
    pub(super) fn is_over(&self) -> bool {
        let is_over = |seat: &Seat| seat.stage == Stage::Spent && seat.accesses.is_empty();
        self.seats.iter().all(is_over)
    }

    /// The form that stands for all namings of clients and, if they are alike, of servers.
    pub(super) fn canonical(
        &self,
        machines: &mut Machines,
        nodes: Option<usize>,
    ) -> (Self, Naming) {
        let (straight, order) = self.named(machines, nodes, false);
        let (swapped, other) = self.named(machines, nodes, true);
        if swapped < straight {
            (swapped, Naming { nodes: ORDERS[other], swaps: true })
        } else {
            (straight, Naming { nodes: ORDERS[order], swaps: false })
        }
    }

    /// With the clients in one order, and the servers in the order of what is known of them.
    fn named(&self, machines: &mut Machines, nodes: Option<usize>, swaps: bool) -> (Self, usize) {
        let mut state = if swaps { self.swapped() } else { *self };
        let parts = state.seats.map(|seat| machines.parts(seat.machine));
        let mut places = [0, 1, 2];
        if let Some(used) = nodes {
            let key = |&at: &usize| (&state.columns[at], parts[0][at], parts[1][at]);
            places[..used].sort_by(|one, other| key(one).cmp(&key(other)));
        }
        let mut numbers = [0; NODES_MAX];
        for (new, &old) in places.iter().enumerate() {
            numbers[old] = new as u8;
        }
        let order = ORDERS.iter().position(|order| *order == numbers);
        let order = order.expect("all orders are there");
        if order > 0 {
            let columns = state.columns;
            state.columns = places.map(|old| columns[old]);
            for seat in &mut state.seats {
                seat.machine = machines.renumbered(seat.machine, order);
            }
        }
        (state, order)
    }

    fn swapped(&self) -> Self {
        let mut state = *self;
        state.seats.swap(0, 1);
        for column in &mut state.columns {
            column.asked.swap(0, 1);
            column.answered.swap(0, 1);
            if column.holder != 0 {
                column.holder ^= 1;
            }
        }
        state
    }

    /// 128 bits that no two states share, unless by a chance of one in 2^127 for each pair.
    pub(super) fn fingerprint(&self, key: u64) -> u128 {
        let mut mix = Mix::new(key);
        for seat in &self.seats {
            let small = [
                seat.stage as u8,
                seat.turns,
                seat.is_paused.into(),
                seat.grant,
                seat.before,
                match seat.heard {
                    Heard::Nothing => 0,
                    Heard::Refused => 1,
                    Heard::Written => 2,
                    Heard::Read { is_fresh } => 3 + u8::from(is_fresh),
                },
            ];
            mix.bytes(&small);
            mix.word(u64::from(seat.machine) | seat.accesses.word() << 32);
            mix.word(seat.accesses.word() >> 32);
        }
        for column in &self.columns {
            mix.bytes(&[column.holder, column.left, column.counter]);
            for client in 0..CLIENTS {
                mix.word(column.asked[client].word());
                mix.word(column.answered[client].word());
            }
        }
        let Rest { grants, numbers, before, seen, number, owner, .. } = self.rest;
        let Rest { pauses, clock_steps, wall_steps, crashes, ticks, .. } = self.rest;
        mix.bytes(&[grants, seen, number, owner]);
        mix.bytes(&numbers);
        mix.bytes(&before);
        mix.bytes(&[pauses, clock_steps, wall_steps, crashes, ticks]);
        mix.finish()
    }
}

/// Two independent 64-bit hashes: products of 128 bits, folded, as in wyhash.
struct Mix {
    halves: [u64; 2],
}

const MULTIPLIERS: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];
const OFFSETS: [u64; 2] = [0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3];

impl Mix {
    fn new(key: u64) -> Self {
        Self { halves: [key ^ OFFSETS[0], key.rotate_left(32) ^ OFFSETS[1]] }
    }

    fn word(&mut self, word: u64) {
        for (half, multiplier) in self.halves.iter_mut().zip(MULTIPLIERS) {
            let product = u128::from(*half ^ word) * u128::from(multiplier);
            // The word once more: a product with zero must not forget it.
            *half = (product as u64 ^ (product >> 64) as u64).rotate_left(23).wrapping_add(word);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let shifted = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
        self.word(bytes.iter().fold(0, shifted));
    }

    fn finish(mut self) -> u128 {
        self.word(OFFSETS[1]);
        self.word(OFFSETS[0]);
        let [high, low] = self.halves;
        u128::from(high) << 64 | u128::from(low)
    }
}

//! Redis strings with time to live.
//!
//! The state of a key is its value and what is known of its deadline; `deadline` has the reasoning
//! about time. A step can have several outcomes (an INCRBY whose answer does not tell whether the
//! key had expired), so this model is nondeterministic. A partition in which no command can set a
//! time to live is judged without any notion of time, which is much cheaper.

use super::{Model, NEVER_US, Values, Window};

mod apply;
mod compile;
mod deadline;

pub use compile::{RedisOp, sets_deadlines};
pub use deadline::{Clock, Deadline};

use apply::Branch;
use compile::Action;
use deadline::Moment;

/// The model of the keys of one partition.
#[derive(Clone, Debug)]
pub struct Redis {
    values: Values,
    keys: usize,
    /// `None` when no command in the partition sets a deadline.
    clock: Option<Clock>,
    vanishing: Vanishing,
}

/// Which keys the server may delete on its own, whenever it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vanishing {
    /// None.
    #[default]
    Never,
    /// Those with a time to live, as under the policies called `volatile-`.
    WithTtl,
    /// All.
    Always,
}

/// What is known of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Not there.
    Absent,
    /// There, until the deadline if it has one.
    Present {
        /// The value, a number from [`Values`].
        value: u32,
        /// When it dies.
        deadline: Option<Deadline>,
    },
}

/// What is known of all keys of the partition, and of time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedisState {
    /// The least instant of the last operation.
    low_us: i64,
    keys: Box<[KeyState]>,
}

impl Redis {
    /// A model of `keys` keys; the clock is needed if [`sets_deadlines`] holds of any command.
    #[must_use]
    pub fn new(keys: usize, clock: Option<Clock>) -> Self {
        Self { values: Values::default(), keys, clock, vanishing: Vanishing::Never }
    }

    /// The same model for a server that evicts.
    #[must_use]
    pub fn with_vanishing(self, vanishing: Vanishing) -> Self {
        Self { vanishing, ..self }
    }

    /// The same model for a server whose clock may err by so much.
    #[must_use]
    pub fn with_clock_error(&self, error_ms: u64) -> Self {
        let slack_us = i64::try_from(error_ms.saturating_mul(1_000)).unwrap_or(NEVER_US);
        let slack_us = slack_us.min(NEVER_US / 4);
        Self { clock: self.clock.map(|clock| Clock { slack_us, ..clock }), ..self.clone() }
    }
}

impl Redis {
    /// Whether an action can make a key show `seen` whatever it held before.
    fn part_provides(&self, action: Action, seen: Option<u32>) -> bool {
        match (action, seen) {
            (
                Action::Get
                | Action::Cached
                | Action::Exists
                | Action::Pttl
                | Action::Ttl
                | Action::Persist,
                _,
            ) => false,
            (Action::Set(set), None) => set.ttl_us.is_some(),
            (Action::Del | Action::GetDel | Action::Expire(_), seen) => seen.is_none(),
            (Action::Append(_) | Action::IncrBy(_), None) => false,
            // An APPEND to a key that is gone starts the value.
            (Action::Append(value), Some(seen)) => self.values.is_prefix(value, seen),
            // What is appended to a value that is set is told by the values themselves.
            (Action::Set(set), Some(seen)) => self.values.is_prefix(set.value, seen),
            (Action::IncrBy(_), Some(_)) => true,
        }
    }
}

impl Model for Redis {
    type Op = RedisOp;
    type State = RedisState;

    fn initial(&mut self) -> RedisState {
        RedisState { low_us: 0, keys: vec![KeyState::Absent; self.keys].into() }
    }

    fn step(
        &mut self,
        state: &RedisState,
        op: &RedisOp,
        window: Window,
        next: &mut Vec<RedisState>,
    ) {
        let moment = if self.clock.is_some() {
            Moment { earliest_us: state.low_us.max(window.call_us), latest_us: window.return_us }
        } else {
            Moment { earliest_us: 0, latest_us: NEVER_US }
        };
        if op.is_impossible() || moment.earliest_us > moment.latest_us {
            return;
        }
        let first = next.len();
        let mut branches = vec![Branch { moment, keys: state.keys.clone(), count: 0 }];
        for part in op.parts() {
            let mut after = Vec::with_capacity(branches.len());
            for branch in branches {
                self.apply(part, branch, &mut after);
            }
            branches = after;
        }
        for branch in branches {
            let state = branch.settle();
            if !next[first..].contains(&state) {
                next.push(state);
            }
        }
    }

    fn only_observes(&self, op: &RedisOp) -> bool {
        // Where keys vanish, one that is missed stays gone.
        let keeps = self.vanishing != Vanishing::Always || op.saw_it_there();
        self.clock.is_none() && op.only_observes() && keeps
    }

    fn is_timed(&self) -> bool {
        self.clock.is_some()
    }

    fn is_telling(&self, op: &RedisOp) -> bool {
        op.seen().is_some()
    }

    fn may_reach(&self, state: &RedisState, telling: &RedisOp) -> bool {
        let Some((key, seen)) = telling.seen() else {
            return true;
        };
        // Without anything that provides the value, it can only have grown or died.
        match (state.keys[key as usize], seen) {
            (KeyState::Present { value, .. }, Some(seen)) => self.values.is_prefix(value, seen),
            (KeyState::Present { deadline, .. }, None) => {
                deadline.is_some() || self.vanishing == Vanishing::Always
            }
            (KeyState::Absent, seen) => seen.is_none(),
        }
    }

    fn provides(&self, op: &RedisOp, telling: &RedisOp) -> bool {
        telling.seen().is_none_or(|(key, seen)| {
            op.parts()
                .iter()
                .filter(|part| part.key == key)
                .any(|part| self.part_provides(part.action, seen))
        })
    }

    fn forget_answer(&self, op: &RedisOp) -> Option<RedisOp> {
        (!op.only_observes() && !op.is_impossible()).then(|| op.without_answer())
    }

    fn describe(&self, state: &RedisState) -> String {
        let words: Vec<String> = state
            .keys
            .iter()
            .map(|key| match *key {
                KeyState::Absent => "absent".to_owned(),
                KeyState::Present { value, deadline: None } => self.values.describe(value),
                KeyState::Present { value, deadline: Some(deadline) } => {
                    format!("{} ({})", self.values.describe(value), deadline.describe())
                }
            })
            .collect();
        if words.len() == 1 { words.concat() } else { format!("({})", words.join(", ")) }
    }
}

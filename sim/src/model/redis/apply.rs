//! What one part of a command does to one key.
//!
//! A key with a deadline splits an operation into the case where it is still there and the case
//! where it is gone; each case narrows the instant and must give the recorded answer. So does a key
//! that may be evicted, at any instant: that it has gone needs to be settled only by an operation
//! that looks.

use super::compile::{Action, Expected, Only, Part, SetAction};
use super::deadline::{Clock, Deadline, Moment};
use super::{KeyState, Redis, RedisState, Vanishing};
use crate::model::NEVER_US;

/// One way in which the parts so far can have gone.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) moment: Moment,
    pub(super) keys: Box<[KeyState]>,
    /// Keys counted by the command at hand.
    pub(super) count: i64,
}

impl Branch {
    pub(super) fn settle(mut self) -> RedisState {
        for key in &mut self.keys {
            if let KeyState::Present { deadline: Some(deadline), .. } = key {
                *deadline = deadline.settle(self.moment);
            }
        }
        RedisState { low_us: self.moment.earliest_us, keys: self.keys }
    }

    fn with(&self, key: usize, state: KeyState, moment: Moment) -> Self {
        let mut keys = self.keys.clone();
        keys[key] = state;
        Self { moment, keys, count: self.count }
    }
}

/// The reply and the new state of the key.
type Effect = (Expected, KeyState);

fn fits(expected: Expected, produced: Expected) -> bool {
    expected == Expected::Anything || expected == produced
}

impl Redis {
    fn clock(&self) -> Clock {
        // Without a clock there are no deadlines, so the figures are never used.
        self.clock.unwrap_or(Clock { slack_us: 0, resolution_us: 0 })
    }

    pub(super) fn apply(&mut self, part: &Part, mut branch: Branch, after: &mut Vec<Branch>) {
        if part.starts_count {
            branch.count = 0;
        }
        let index = part.key as usize;
        let state = branch.keys[index];
        if let Action::Set(set) = part.action
            && set.overrides()
        {
            // Whether the old value had expired makes no difference, so do not split.
            if fits(part.expected, Expected::Done) {
                let state = self.stored(set, None, branch.moment);
                after.push(branch.with(index, state, branch.moment));
            }
            return;
        }
        if part.action == Action::Cached {
            self.apply_to_copy(part, branch, after);
            return;
        }
        if part.is_first_of_key && self.may_vanish(state) {
            self.apply_seen(part, &branch, KeyState::Absent, branch.moment, after);
        }
        let KeyState::Present { deadline: Some(deadline), .. } = state else {
            self.apply_seen(part, &branch, state, branch.moment, after);
            return;
        };
        let (least_us, most_us) = self.remaining_bounds(part);
        if let Some((deadline, moment)) = deadline.remaining(branch.moment, least_us, most_us) {
            let state = match state {
                KeyState::Present { value, .. } => {
                    KeyState::Present { value, deadline: Some(deadline) }
                }
                KeyState::Absent => KeyState::Absent,
            };
            self.apply_seen(part, &branch, state, moment, after);
        }
        if part.is_first_of_key
            && !self.may_vanish(state)
            && let Some(moment) = deadline.dead(branch.moment)
        {
            self.apply_seen(part, &branch, KeyState::Absent, moment, after);
        }
    }

    /// Whether the key may be gone at any instant.
    fn may_vanish(&self, state: KeyState) -> bool {
        match (self.vanishing, state) {
            (Vanishing::Never, _) | (_, KeyState::Absent) => false,
            (Vanishing::WithTtl, KeyState::Present { deadline, .. }) => deadline.is_some(),
            (Vanishing::Always, KeyState::Present { .. }) => true,
        }
    }

    /// A copy is what the server has, or would have if it did not look at the time: that a key has
    /// expired is told when somebody finds it so. Who keeps that there is nothing has asked, so
    /// that the key's end is found by then; asking here as well lets the search drop reads of
    /// nothing.
    fn apply_to_copy(&self, part: &Part, branch: Branch, after: &mut Vec<Branch>) {
        let index = part.key as usize;
        let state = branch.keys[index];
        let end = match state {
            KeyState::Present { .. } if self.may_vanish(state) => Some(branch.moment),
            KeyState::Present { deadline: Some(deadline), .. } => deadline.dead(branch.moment),
            _ => None,
        };
        if let Some(moment) = end
            && fits(part.expected, Expected::Nil)
        {
            after.push(branch.with(index, KeyState::Absent, moment));
        }
        let produced = match state {
            KeyState::Present { value, .. } => Expected::Bulk(value),
            KeyState::Absent => Expected::Nil,
        };
        if fits(part.expected, produced) {
            after.push(branch);
        }
    }

    /// What PTTL and TTL say about the time that a living key has left.
    fn remaining_bounds(&self, part: &Part) -> (i64, i64) {
        let clock = self.clock();
        let above_us = clock.resolution_us + clock.slack_us;
        let us = |ms: i64| ms.saturating_mul(1_000).clamp(0, NEVER_US);
        match (part.action, part.expected) {
            (Action::Pttl, Expected::Int(ms)) if ms >= 0 => {
                (us(ms) - clock.slack_us, us(ms) + above_us)
            }
            // TTL rounds to the nearest second, a half up.
            (Action::Ttl, Expected::Int(seconds)) if seconds >= 0 => {
                let ms = seconds.saturating_mul(1_000);
                (us(ms.saturating_sub(500)) - clock.slack_us, us(ms.saturating_add(499)) + above_us)
            }
            _ => (0, NEVER_US),
        }
    }

    /// The key is as `state` says at the moment (its deadline, if any, not yet reached).
    fn apply_seen(
        &mut self,
        part: &Part,
        branch: &Branch,
        state: KeyState,
        moment: Moment,
        after: &mut Vec<Branch>,
    ) {
        let (reply, new) = self.effect(part, state, moment);
        if !fits(part.expected, reply) {
            return;
        }
        let mut branch = branch.with(part.key as usize, new, moment);
        if let (Action::Del | Action::Exists, KeyState::Present { .. }) = (part.action, state) {
            branch.count += 1;
        }
        if part.count.is_none_or(|count| count == branch.count) {
            after.push(branch);
        }
    }

    fn effect(&mut self, part: &Part, state: KeyState, moment: Moment) -> Effect {
        let KeyState::Present { value, deadline } = state else {
            return self.effect_on_absent(part.action, moment);
        };
        match part.action {
            Action::Get | Action::Cached => (Expected::Bulk(value), state),
            Action::GetDel => (Expected::Bulk(value), KeyState::Absent),
            Action::Set(set) => self.effect_of_set(set, Some((value, deadline)), moment),
            Action::Append(tail) => {
                let value = self.values.concatenate(value, tail);
                let len = self.values.bytes(value).len();
                (int(len), KeyState::Present { value, deadline })
            }
            Action::IncrBy(by) => {
                let sum = integer(self.values.bytes(value)).and_then(|old| old.checked_add(by));
                match sum {
                    None => (Expected::Error, state),
                    Some(sum) => {
                        let value = self.values.intern(sum.to_string().as_bytes());
                        (Expected::Int(sum), KeyState::Present { value, deadline })
                    }
                }
            }
            Action::Expire(ttl_us) if ttl_us <= 0 => (Expected::Int(1), KeyState::Absent),
            Action::Expire(ttl_us) => {
                let deadline = Some(Deadline::new(moment, ttl_us, self.clock()));
                (Expected::Int(1), KeyState::Present { value, deadline })
            }
            Action::Persist => {
                let state = KeyState::Present { value, deadline: None };
                (Expected::Int(i64::from(deadline.is_some())), state)
            }
            // The bounds were applied already, so any answer that is not negative fits.
            Action::Pttl | Action::Ttl => match (deadline, part.expected) {
                (Some(_), Expected::Int(left)) if left >= 0 => (part.expected, state),
                (Some(_), _) => (Expected::Int(0), state),
                (None, _) => (Expected::Int(-1), state),
            },
            Action::Del => (part.expected, KeyState::Absent),
            Action::Exists => (part.expected, state),
        }
    }

    fn effect_on_absent(&mut self, action: Action, moment: Moment) -> Effect {
        let absent = KeyState::Absent;
        match action {
            Action::Get | Action::Cached | Action::GetDel => (Expected::Nil, absent),
            Action::Set(set) => self.effect_of_set(set, None, moment),
            Action::Append(value) => {
                let len = self.values.bytes(value).len();
                // Appending nothing to nothing creates an empty string, as in Redis.
                (int(len), KeyState::Present { value, deadline: None })
            }
            Action::IncrBy(by) => {
                let value = self.values.intern(by.to_string().as_bytes());
                (Expected::Int(by), KeyState::Present { value, deadline: None })
            }
            Action::Expire(_) | Action::Persist => (Expected::Int(0), absent),
            Action::Pttl | Action::Ttl => (Expected::Int(-2), absent),
            Action::Del | Action::Exists => (Expected::Anything, absent),
        }
    }

    fn effect_of_set(
        &self,
        set: SetAction,
        old: Option<(u32, Option<Deadline>)>,
        moment: Moment,
    ) -> Effect {
        let unchanged =
            old.map_or(KeyState::Absent, |(value, deadline)| KeyState::Present { value, deadline });
        if set.ttl_us.is_some_and(|ttl_us| ttl_us <= 0) {
            return (Expected::Error, unchanged);
        }
        let writes = match (set.condition, old) {
            (Only::Always, _) | (Only::IfAbsent, None) | (Only::IfPresent, Some(_)) => true,
            (Only::IfEqual(wanted), Some((value, _))) => value == wanted,
            _ => false,
        };
        let reply = match (set.get, old) {
            (true, Some((value, _))) => Expected::Bulk(value),
            (true, None) => Expected::Nil,
            (false, _) if writes => Expected::Done,
            (false, _) => Expected::Nil,
        };
        let state = if writes {
            self.stored(set, old.and_then(|(_, deadline)| deadline), moment)
        } else {
            unchanged
        };
        (reply, state)
    }

    fn stored(&self, set: SetAction, old: Option<Deadline>, moment: Moment) -> KeyState {
        let deadline = match set.ttl_us {
            Some(ttl_us) => Some(Deadline::new(moment, ttl_us, self.clock())),
            None if set.keep_ttl => old,
            None => None,
        };
        KeyState::Present { value: set.value, deadline }
    }
}

impl SetAction {
    /// Whether the new state and the answer do not depend on the old state.
    fn overrides(self) -> bool {
        self.condition == Only::Always
            && !self.get
            && !self.keep_ttl
            && self.ttl_us.is_none_or(|ttl_us| ttl_us > 0)
    }
}

fn int(len: usize) -> Expected {
    Expected::Int(i64::try_from(len).unwrap_or(i64::MAX))
}

/// A number as Redis accepts one: what the number itself would print as, nothing else.
fn integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

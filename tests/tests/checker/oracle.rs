//! The verdict by trying everything.

use orrery_sim::history::{History, Operation, Outcome, Reply};

use super::commands::{Clock, Keys, run};

/// `x[later] - x[earlier] <= bound_us + errors * error_us`, where `x[0]` is time zero.
#[derive(Clone, Copy, Debug)]
struct Constraint {
    later: usize,
    earlier: usize,
    bound_us: i64,
    errors: i64,
}

#[derive(Clone, Debug)]
struct Path {
    keys: Keys,
    constraints: Vec<Constraint>,
    variables: usize,
    last_instant: usize,
}

struct Hypothesis<'a> {
    path: &'a mut Path,
    instant: usize,
    resolution_us: i64,
    /// Bit by bit: was the key alive?
    choices: u32,
    asked: u32,
    /// Deadlines known to be ahead: time stands still during one operation.
    alive: Vec<usize>,
}

impl Hypothesis<'_> {
    /// `least <= x[one] - x[other] <= most`, give or take the clock error.
    fn between(&mut self, one: usize, other: usize, least_us: i64, most_us: i64) {
        self.path.constraints.extend([
            Constraint { later: one, earlier: other, bound_us: most_us, errors: 1 },
            Constraint { later: other, earlier: one, bound_us: -least_us, errors: 1 },
        ]);
    }

    fn variable(&mut self) -> usize {
        self.path.variables += 1;
        self.path.variables - 1
    }
}

impl Clock for Hypothesis<'_> {
    fn set(&mut self, ttl_ms: i64) -> usize {
        let deadline = self.variable();
        let ttl_us = ttl_ms * 1_000;
        self.between(deadline, self.instant, ttl_us, ttl_us + self.resolution_us);
        self.alive.push(deadline);
        deadline
    }

    fn is_alive(&mut self, deadline: usize) -> bool {
        if self.alive.contains(&deadline) {
            return true;
        }
        let alive = self.choices >> self.asked & 1 == 0;
        self.asked += 1;
        self.alive.extend(alive.then_some(deadline));
        let (later, earlier) =
            if alive { (self.instant, deadline) } else { (deadline, self.instant) };
        self.path.constraints.push(Constraint { later, earlier, bound_us: 0, errors: 0 });
        alive
    }

    fn remaining_ms(&mut self, deadline: usize, expected: Option<i64>) -> i64 {
        let Some(ms) = expected.filter(|&ms| ms >= 0) else { return 0 };
        self.between(deadline, self.instant, ms * 1_000, ms * 1_000 + self.resolution_us);
        ms
    }

    fn remaining_s(&mut self, deadline: usize, expected: Option<i64>) -> i64 {
        let Some(s) = expected.filter(|&s| s >= 0) else { return 0 };
        let (least_ms, most_ms) = ((s * 1_000 - 500).max(0), s * 1_000 + 499);
        let most_us = most_ms * 1_000 + self.resolution_us;
        self.between(deadline, self.instant, least_ms * 1_000, most_us);
        s
    }
}

struct Oracle<'a> {
    history: &'a History,
    resolution_us: i64,
    /// The smallest error found so far, exclusive bound for the rest.
    best_ms: u64,
}

/// The smallest clock error up to `max_ms` that makes a tiny history legal.
pub(crate) fn smallest_error_ms(history: &History, resolution_us: i64, max_ms: u64) -> Option<u64> {
    let mut oracle = Oracle { history, resolution_us, best_ms: max_ms + 1 };
    let start =
        Path { keys: Keys::default(), constraints: Vec::new(), variables: 1, last_instant: 0 };
    let all = history.operations.iter().filter(|operation| operation.outcome != Outcome::Fail);
    oracle.extend(&start, &all.collect::<Vec<_>>());
    (oracle.best_ms <= max_ms).then_some(oracle.best_ms)
}

fn must_return_us(operation: &Operation) -> Option<u64> {
    matches!(operation.outcome, Outcome::Ok(_)).then_some(operation.return_us).flatten()
}

fn fits(expected: Option<&Reply>, reply: &Reply) -> bool {
    match (expected, reply) {
        (None, _) | (Some(Reply::Error(_)), Reply::Error(_)) => true,
        (Some(Reply::Array(all)), Reply::Array(replies)) => {
            all.len() == replies.len()
                && all.iter().zip(replies).all(|(one, reply)| fits(Some(one), reply))
        }
        (Some(expected), reply) => expected == reply,
    }
}

impl Oracle<'_> {
    fn extend(&mut self, path: &Path, rest: &[&Operation]) {
        if self.best_ms == 0 {
            return;
        }
        if rest.iter().all(|operation| must_return_us(operation).is_none()) {
            while self.best_ms > 0 && path.is_feasible(self.best_ms - 1) {
                self.best_ms -= 1;
            }
        }
        let first_return_us = rest.iter().filter_map(|operation| must_return_us(operation)).min();
        for (at, operation) in rest.iter().enumerate() {
            if first_return_us.is_some_and(|us| us < operation.call_us) {
                continue;
            }
            let mut others = rest.to_vec();
            others.remove(at);
            let mut choices = 0;
            let mut most_asked = 0;
            loop {
                let mut next = path.clone();
                let (possible, asked) = self.apply(&mut next, operation, choices);
                if possible {
                    self.extend(&next, &others);
                }
                choices += 1;
                most_asked = asked.max(most_asked);
                if choices >= 1 << most_asked {
                    break;
                }
            }
        }
    }

    /// Whether the operation can come next under the choices, and how many choices it has.
    fn apply(&self, path: &mut Path, operation: &Operation, choices: u32) -> (bool, u32) {
        let instant = path.variables;
        path.variables += 1;
        let us = |us: u64| i64::try_from(us).unwrap();
        let mut bound = |later, earlier, bound_us| {
            path.constraints.push(Constraint { later, earlier, bound_us, errors: 0 });
        };
        bound(path.last_instant, instant, 0);
        bound(0, instant, -us(operation.call_us));
        if let Some(return_us) = must_return_us(operation) {
            bound(instant, 0, us(return_us));
        }
        path.last_instant = instant;
        let expected = match &operation.outcome {
            Outcome::Ok(reply) => Some(reply),
            _ => None,
        };
        let mut keys = path.keys.clone();
        let resolution_us = self.resolution_us;
        let mut clock =
            Hypothesis { path, instant, resolution_us, choices, asked: 0, alive: Vec::new() };
        let specification = self.history.specification;
        let reply = run(specification, &operation.command, expected, &mut keys, &mut clock);
        let asked = clock.asked;
        path.keys = keys;
        // Longer choices than questions would only repeat shorter ones.
        let is_new = choices < 1 << asked;
        let feasible = self.best_ms > 0 && path.is_feasible(self.best_ms - 1);
        (is_new && fits(expected, &reply) && feasible, asked)
    }
}

impl Path {
    /// Bellman-Ford: the constraints can be met if they have no negative cycle.
    fn is_feasible(&self, error_ms: u64) -> bool {
        let error_us = i64::try_from(error_ms).unwrap() * 1_000;
        let mut distance = vec![0i64; self.variables];
        for _ in 0..=self.variables {
            let mut changed = false;
            for constraint in &self.constraints {
                let bound = distance[constraint.earlier]
                    + constraint.bound_us
                    + constraint.errors * error_us;
                if bound < distance[constraint.later] {
                    distance[constraint.later] = bound;
                    changed = true;
                }
            }
            if !changed {
                return true;
            }
        }
        false
    }
}

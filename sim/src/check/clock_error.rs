//! The smallest clock error that makes a history legal.
//!
//! A greater error only widens what a server may do, so legality is monotone: first without error,
//! then with the greatest that is considered, then doubling and bisection to a millisecond.

use serde::Serialize;

use super::UnknownReason;
use super::judge::Judgement;

/// The clock error that a legal history needs, in milliseconds: between these two. They are equal
/// unless a search in between was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClockError {
    /// With less, the history is certainly illegal.
    pub at_least_ms: u64,
    /// With this, the history is certainly legal.
    pub at_most_ms: u64,
}

impl ClockError {
    /// What both of two parts of a history need together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            at_least_ms: self.at_least_ms.max(other.at_least_ms),
            at_most_ms: self.at_most_ms.max(other.at_most_ms),
        }
    }
}

/// Whether a history is legal with some clock error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Legal {
    Yes,
    No,
    /// Not known, and why.
    Unknown(UnknownReason),
}

/// Finds the smallest error up to `max_ms` for which `legal` says yes.
pub(super) fn smallest(max_ms: u64, mut legal: impl FnMut(u64) -> Legal) -> Judgement {
    let without_error = legal(0);
    if without_error == Legal::Yes {
        return Judgement::Linearizable(ClockError::default());
    }
    let with_greatest = if max_ms == 0 { without_error } else { legal(max_ms) };
    match (with_greatest, without_error) {
        (Legal::No, _) => return Judgement::NotLinearizable,
        (_, Legal::Unknown(reason)) | (Legal::Unknown(reason), _) => {
            // An answer for some error in between would have to be qualified twice.
            return Judgement::Unknown(reason);
        }
        (Legal::Yes, _) => {}
    }
    let mut error = ClockError { at_least_ms: 1, at_most_ms: max_ms };
    let mut tried_below_ms = 1;
    let mut step_ms: u64 = 1;
    // What lies between `tried_below_ms` and `at_most_ms` has not been tried.
    while tried_below_ms < error.at_most_ms {
        let middle_ms = tried_below_ms.midpoint(error.at_most_ms);
        let try_ms = if step_ms < error.at_most_ms { step_ms } else { middle_ms };
        match legal(try_ms) {
            Legal::Yes => {
                error.at_most_ms = try_ms;
                step_ms = u64::MAX;
            }
            answer => {
                tried_below_ms = try_ms + 1;
                step_ms = step_ms.saturating_mul(2);
                if answer == Legal::No {
                    error.at_least_ms = tried_below_ms;
                }
            }
        }
    }
    Judgement::Linearizable(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_error_is_found_exactly() {
        for needed_ms in [0, 1, 2, 3, 7, 8, 9, 500, 999, 1_000] {
            let judgement =
                smallest(
                    1_000,
                    |error_ms| {
                        if error_ms >= needed_ms { Legal::Yes } else { Legal::No }
                    },
                );
            let exact = ClockError { at_least_ms: needed_ms, at_most_ms: needed_ms };
            assert_eq!(judgement, Judgement::Linearizable(exact));
        }
        assert_eq!(smallest(1_000, |_| Legal::No), Judgement::NotLinearizable);
        assert_eq!(smallest(0, |_| Legal::No), Judgement::NotLinearizable);
    }

    #[test]
    fn what_was_given_up_is_told_as_a_range() {
        let judgement = smallest(1_000, |error_ms| match error_ms {
            0..100 => Legal::No,
            100..400 => Legal::Unknown(UnknownReason::Nodes),
            _ => Legal::Yes,
        });
        let Judgement::Linearizable(error) = judgement else { panic!("{judgement:?}") };
        assert_eq!(error.at_most_ms, 400);
        assert!(error.at_least_ms <= 100, "{error:?}");
    }
}

//! The simulated world of Orrery and its checkers.

//! Black-box runs.

//! Scenarios of applications that use redis-rs; all of this crate is tests.

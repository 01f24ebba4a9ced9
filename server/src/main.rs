//! The `orrery-server` program.

fn main() {}

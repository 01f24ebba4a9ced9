//! The memory that scripts may take.
//!
//! Invariant: the limit is in force whenever code of a script runs. Between, while the server makes
//! values for it, it is not: under a limit every step of making one is a protected call, at many
//! times its cost. What the server makes counts all the same, and the script's own next allocation
//! fails when it is too much.

use mlua::Lua;

/// Steps of the collector, each of some kilobytes, between two pauses: about as much work as the
/// instructions that a pause counts for.
const STEPS_AT_ONCE: usize = 5;

/// A limit that is put in force and suspended.
#[derive(Debug)]
pub(super) struct Memory {
    bytes_max: usize,
}

impl Memory {
    /// A limit of so many bytes, not in force.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max }
    }

    /// How many bytes it is.
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Runs code of a script, under the limit.
    pub(super) fn limited<T>(&self, lua: &Lua, run: impl FnOnce() -> T) -> T {
        set_limit(lua, self.bytes_max);
        let result = run();
        set_limit(lua, 0);
        result
    }

    /// Makes values for a script that runs.
    pub(super) fn suspended<T>(&self, lua: &Lua, make: impl FnOnce() -> T) -> T {
        set_limit(lua, 0);
        let result = make();
        set_limit(lua, self.bytes_max);
        result
    }

    /// Whether so much is in use that what a script left could keep the next one from running.
    pub(super) fn is_crowded(&self, lua: &Lua) -> bool {
        lua.used_memory() > self.bytes_max / 2
    }

    /// Collects all of what scripts left.
    pub(super) fn tidy(&self, lua: &Lua) {
        if self.is_crowded(lua) {
            lua.gc_collect().expect("collectors of scripts raise nothing");
        }
    }

    /// Collects a bounded part of what scripts left; whether that ended a cycle.
    pub(super) fn tidy_some(&self, lua: &Lua) -> bool {
        (0..STEPS_AT_ONCE).any(|_| lua.gc_step().expect("collectors of scripts raise nothing"))
    }
}

fn set_limit(lua: &Lua, bytes_max: usize) {
    lua.set_memory_limit(bytes_max).expect("the interpreter has its own allocator");
}

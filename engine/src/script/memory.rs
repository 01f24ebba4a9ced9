//! The memory that scripts may take.
//!
//! Invariant: the limit is in force whenever code of a script runs. Between, while the server makes
//! values for it, it is not: under a limit every step of making one is a protected call, at many
//! times its cost. What the server makes counts all the same, and the script's own next allocation
//! fails when it is too much.

use mlua::Lua;

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

    /// Lets nothing that a script left keep the next ones from running.
    pub(super) fn tidy(&self, lua: &Lua) {
        if lua.used_memory() > self.bytes_max / 2 {
            lua.gc_collect().expect("collectors of scripts raise nothing");
        }
    }
}

fn set_limit(lua: &Lua, bytes_max: usize) {
    lua.set_memory_limit(bytes_max).expect("the interpreter has its own allocator");
}

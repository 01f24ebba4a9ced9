//! What functions of libraries may do in one call: they run outside of Lua's count of
//! instructions and of its memory.
//!
//! Invariant: a function that tells of its work is left and ended like a script's own loop, and
//! writes no more than the memory of scripts has room for.

use mlua::Lua;

use super::arguments::throw;
use super::interpreter::look;

/// Work between two pauses, in units of about an instruction of Lua.
const PAUSE_INTERVAL: usize = 10_000;
/// Bytes whose copying is one unit of work.
const BYTES_PER_UNIT: usize = 32;

/// The work of one call.
pub(super) struct Work<'a> {
    lua: &'a Lua,
    since_pause: usize,
    memory_bytes_max: usize,
}

impl<'a> Work<'a> {
    /// Work of which nothing is done.
    pub(super) fn new(lua: &'a Lua, memory_bytes_max: usize) -> Self {
        Self { lua, since_pause: 0, memory_bytes_max }
    }

    /// Counts work that is done; an error when the script must end.
    pub(super) fn spend(&mut self, units: usize) -> mlua::Result<()> {
        self.since_pause += units;
        if self.since_pause < PAUSE_INTERVAL {
            return Ok(());
        }
        self.since_pause = 0;
        look(self.lua)
    }

    /// Counts bytes that are read.
    pub(super) fn read(&mut self, bytes: usize) -> mlua::Result<()> {
        self.spend(1 + bytes / BYTES_PER_UNIT)
    }

    /// Counts bytes that will be written behind `written` others; an error when there is no room.
    pub(super) fn write(&mut self, written: usize, bytes: usize) -> mlua::Result<()> {
        // The result will be copied into a string of Lua.
        let needed = written.saturating_add(bytes);
        if needed > 4096 && needed.saturating_add(self.lua.used_memory()) > self.memory_bytes_max {
            return throw(self.lua, "not enough memory");
        }
        self.read(bytes)
    }
}

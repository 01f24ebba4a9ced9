//! What functions of libraries may do in one call: they run outside of Lua's count of
//! instructions and of its memory.
//!
//! Invariant: a function that tells of its work is left and ended like a script's own loop, and
//! writes no more than the memory of scripts has room for.

use mlua::{Function, Lua};

use super::arguments::throw;

/// Work that is told of at once, in units of about an instruction of Lua.
const TOLD_UNITS: usize = 4_000;
/// Bytes whose copying is one unit of work.
const BYTES_PER_UNIT: usize = 32;
/// Units that a value counts for which is made or read across the border of Lua.
const UNITS_PER_VALUE: usize = 16;

/// What takes units of work from Lua's count is in the registry under this name.
const SPEND: &str = "spend";

/// From here on `Work` tells of units by calling `spend`, which is a function of Lua: its last
/// instruction pauses when the count has come to its end.
pub(super) fn tell_of_work_by(lua: &Lua, spend: &Function) -> mlua::Result<()> {
    lua.set_named_registry_value(SPEND, spend)
}

/// The work of one call.
pub(super) struct Work<'a> {
    lua: &'a Lua,
    untold: usize,
    memory_bytes_max: usize,
}

impl<'a> Work<'a> {
    /// Work of which nothing is done.
    pub(super) fn new(lua: &'a Lua, memory_bytes_max: usize) -> Self {
        Self { lua, untold: 0, memory_bytes_max }
    }

    /// Where it is done.
    pub(super) fn lua(&self) -> &'a Lua {
        self.lua
    }

    /// Counts work that is done; an error when the script must end.
    #[inline]
    pub(super) fn spend(&mut self, units: usize) -> mlua::Result<()> {
        self.untold += units;
        if self.untold < TOLD_UNITS { Ok(()) } else { self.tell() }
    }

    /// Tells of what is untold.
    #[cold]
    fn tell(&mut self) -> mlua::Result<()> {
        let units = core::mem::take(&mut self.untold);
        self.lua.named_registry_value::<Function>(SPEND)?.call(units)
    }

    /// Counts bytes that are read.
    #[inline]
    pub(super) fn read(&mut self, bytes: usize) -> mlua::Result<()> {
        self.spend(1 + bytes / BYTES_PER_UNIT)
    }

    /// Counts a value of so many bytes that is made for a script or read from one; Lua counts the
    /// strings themselves.
    #[inline]
    pub(super) fn make(&mut self, bytes: usize) -> mlua::Result<()> {
        self.spend(UNITS_PER_VALUE + bytes / (2 * BYTES_PER_UNIT))
    }

    /// Counts bytes that will be written behind `written` others; an error when there is no room.
    #[inline]
    pub(super) fn write(&mut self, written: usize, bytes: usize) -> mlua::Result<()> {
        // The result will be copied into a string of Lua.
        let needed = written.saturating_add(bytes);
        if needed > 4096 && needed.saturating_add(self.lua.used_memory()) > self.memory_bytes_max {
            return throw(self.lua, "not enough memory");
        }
        self.read(bytes)
    }
}

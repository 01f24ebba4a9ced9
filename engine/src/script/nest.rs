//! Values that wait until what is inside of them has been read.
//!
//! Invariant: only Lua's memory bounds how many they are: they are in a table, where references
//! from Rust would use up a stack.

use mlua::{Lua, Table, Value};

/// Values, of which the last one comes out first.
pub(super) struct Nest<'a> {
    lua: &'a Lua,
    values: Option<Table>,
    len: usize,
}

impl<'a> Nest<'a> {
    /// None.
    pub(super) fn new(lua: &'a Lua) -> Self {
        Self { lua, values: None, len: 0 }
    }

    pub(super) fn push(&mut self, value: impl mlua::IntoLua) -> mlua::Result<()> {
        let values = match self.values.take() {
            Some(values) => values,
            None => self.lua.create_table()?,
        };
        self.len += 1;
        values.raw_set(self.len, value)?;
        self.values = Some(values);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> mlua::Result<Value> {
        let Some(values) = &self.values else { return Ok(Value::Nil) };
        let value = values.raw_get(self.len)?;
        self.len = self.len.saturating_sub(1);
        Ok(value)
    }
}

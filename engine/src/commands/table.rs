//! The table of all commands and the search in it.
//!
//! Invariant: names are unique; a row's index is stable for the life of the process.

use std::sync::LazyLock;

use super::spec::{Command, Flags};
use crate::args::Args;

/// Every row of every family, with an index by name.
pub struct Table {
    rows: Vec<Row>,
    /// Open addressing over top-level names: index of a row plus one.
    slots: Vec<u16>,
}

/// A row and what the table knows about it.
pub struct Row {
    /// The command.
    pub command: &'static Command,
    /// Its index in the table.
    pub index: usize,
    /// The name in lower case, `config|get` for a subcommand.
    pub full_name: &'static str,
    /// Indexes of the rows of its subcommands.
    pub subcommands: Vec<usize>,
    /// The index of its container.
    pub container: Option<usize>,
    /// Whether it takes next to no time with few words.
    pub is_quick: bool,
}

/// Why a command was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No such command.
    Command,
    /// The container is there, the subcommand is not.
    Subcommand,
}

/// The one table; it depends on nothing but the rows.
pub fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(super::FAMILIES));
    &TABLE
}

impl Table {
    fn new(families: &[&'static [Command]]) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for (index, command) in families.iter().copied().flatten().enumerate() {
            let full_name = command.name.to_ascii_lowercase().replace(' ', "|");
            rows.push(Row {
                command,
                index,
                full_name: full_name.leak(),
                subcommands: Vec::new(),
                container: None,
                is_quick: command.flags.has(Flags::FAST) || command.complexity == "O(1)",
            });
        }
        let slots = (rows.len() * 4).next_power_of_two();
        let mut table = Self { rows, slots: vec![0; slots] };
        table.link_subcommands();
        for index in 0..table.rows.len() {
            if table.rows[index].container.is_none() {
                table.file(index);
            }
        }
        table
    }

    /// All rows, in the order of the families.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a command from its words: a subcommand's where there is one.
    #[inline]
    pub fn find(&self, args: Args<'_>) -> Result<&Row, Unknown> {
        self.below(self.find_top(args.at(0)).ok_or(Unknown::Command)?, args)
    }

    /// The row of the subcommand that the words name, or `row` itself where it has none.
    #[inline]
    pub(super) fn below<'a>(&'a self, row: &'a Row, args: Args<'_>) -> Result<&'a Row, Unknown> {
        if row.subcommands.is_empty() || args.len() < 2 {
            return Ok(row);
        }
        self.find_sub(row, args.at(1)).ok_or(Unknown::Subcommand)
    }

    /// The row of a full name such as `config|get` or `GET`.
    pub fn find_full(&self, name: &[u8]) -> Option<&Row> {
        match name.iter().position(|&byte| byte == b'|') {
            None => self.find_top(name),
            Some(bar) => self.find_sub(self.find_top(&name[..bar])?, &name[bar + 1..]),
        }
    }

    fn find_top(&self, name: &[u8]) -> Option<&Row> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(name) as usize & mask;
        loop {
            let row = &self.rows[usize::from(self.slots[slot].checked_sub(1)?)];
            if row.command.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(row);
            }
            slot = (slot + 1) & mask;
        }
    }

    pub(super) fn find_sub(&self, container: &Row, name: &[u8]) -> Option<&Row> {
        let skip = container.command.name.len() + 1;
        container
            .subcommands
            .iter()
            .map(|&index| &self.rows[index])
            .find(|row| row.command.name.as_bytes()[skip..].eq_ignore_ascii_case(name))
    }

    fn link_subcommands(&mut self) {
        for index in 0..self.rows.len() {
            let Some((container, _)) = self.rows[index].command.name.split_once(' ') else {
                continue;
            };
            let found = self.rows.iter().position(|row| row.command.name == container);
            let container = found.expect("a subcommand's container has a row");
            self.rows[index].container = Some(container);
            self.rows[container].subcommands.push(index);
        }
    }

    fn file(&mut self, index: usize) {
        let name = self.rows[index].command.name;
        assert!(self.find_top(name.as_bytes()).is_none(), "two rows are called {name}");
        let mask = self.slots.len() - 1;
        let mut slot = hash(name.as_bytes()) as usize & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = index as u16 + 1;
    }
}

/// A hash of a name in any case. Letters differ from their other case in one bit, which is masked
/// out.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let mut hash = name.len() as u64;
    for &byte in &name[..name.len().min(24)] {
        hash = (hash ^ u64::from(byte & 0xdf)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    hash
}

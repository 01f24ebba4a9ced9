//! From a name that somebody calls to a row, past what `rename-command` has changed.
//!
//! Invariant: whoever looks up a name that a client gave asks here, not the table.

use super::acl_gate::catalogue;
use super::table::{Row, Unknown, table};
use crate::args::Args;
use crate::config::Config;
use crate::names::{CommandNames, Meaning};
use crate::state::State;

/// Whether `rename-command` directives can be obeyed. The error is Redis's text.
pub fn check_renamed_commands(config: &Config) -> Result<(), &'static str> {
    CommandNames::new(&config.renamed_commands, &catalogue()).map(drop)
}

impl State {
    /// The row of a command from its words: a subcommand's where there is one.
    #[inline]
    pub(crate) fn command(&self, args: Args<'_>) -> Result<&'static Row, Unknown> {
        if self.names.are_as_ever() { table().find(args) } else { self.renamed_command(args) }
    }

    #[cold]
    fn renamed_command(&self, args: Args<'_>) -> Result<&'static Row, Unknown> {
        match self.names.meaning(args.at(0)) {
            Meaning::AsEver => table().find(args),
            Meaning::Command(index) => table().below(&table().rows()[index], args),
            Meaning::Nothing => Err(Unknown::Command),
        }
    }

    /// The row of a full name such as `config|get` or `GET`.
    pub(crate) fn command_named(&self, name: &[u8]) -> Option<&'static Row> {
        let (top, sub) = match name.iter().position(|&byte| byte == b'|') {
            None => (name, None),
            Some(bar) => (&name[..bar], Some(&name[bar + 1..])),
        };
        match (self.names.meaning(top), sub) {
            (Meaning::AsEver, _) => table().find_full(name),
            (Meaning::Nothing, _) => None,
            (Meaning::Command(index), None) => Some(&table().rows()[index]),
            (Meaning::Command(index), Some(sub)) => table().find_sub(&table().rows()[index], sub),
        }
    }

    /// The rows that can be called, in the order of the table.
    pub(crate) fn callable_rows(&self) -> impl Iterator<Item = &'static Row> + Clone {
        let rows = table().rows();
        rows.iter().filter(move |row| {
            let top = row.container.map_or(*row, |container| &rows[container]);
            self.names.are_as_ever() || self.names.can_call(top.index, top.full_name)
        })
    }
}

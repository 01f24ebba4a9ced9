//! The command that another one carries among its words and runs, as FENCE does.
//!
//! Invariant: nobody gets anything done by wrapping it that would be refused if it came alone. A
//! row that carries says where (`carries`); the gates ask here what that is, before anything runs:
//! whether there is such a command, its words, its user's rights, its flags.
//!
//! What may be carried is what scripts may call, and scripts themselves. Like a command of a
//! transaction it never waits.

use super::Cx;
use super::dispatch::{run, unknown_command};
use super::keys::FoundKey;
use super::spec::{Flags, Group};
use super::table::{Row, table};
use crate::args::Args;
use crate::error::Error;
use crate::state::State;

/// A command and its row.
pub(super) type Carried<'a> = (&'static Row, Args<'a>);

impl Row {
    /// Whether another command may carry one of this row.
    pub(super) fn may_be_carried(&self) -> bool {
        let command = self.command;
        let is_program = command.group == Group::Scripting && command.flags_with.is_some();
        let may_be_called = !command.flags.has(Flags::NOSCRIPT);
        (is_program || may_be_called) && !command.flags.has(Flags::NOT_CARRIED)
    }

    /// How a command of this row behaves with these words.
    pub(super) fn flags_with(&self, state: &State, args: Args<'_>) -> Flags {
        let command = self.command;
        command.flags_with.map_or(command.flags, |flags_with| flags_with(state, self, args))
    }
}

impl State {
    /// What a command of `row` carries, if its kind does. The error says why it cannot be run.
    pub(super) fn carried<'a>(
        &self,
        row: &Row,
        args: Args<'a>,
    ) -> Result<Option<Carried<'a>>, Error> {
        match row.command.carries {
            Some(at) if at < args.len() => self.find_carried(row, args.skip(at)).map(Some),
            _ => Ok(None),
        }
    }

    fn find_carried<'a>(&self, carrier: &Row, args: Args<'a>) -> Result<Carried<'a>, Error> {
        let row = self.command(args).map_err(|unknown| {
            let text = unknown_command(unknown, args);
            Error::text(String::from_utf8_lossy(&text).into_owned())
        })?;
        if !row.may_be_carried() {
            let (carried, carrier) = (row.full_name, carrier.full_name);
            return Err(Error::text(format!("ERR '{carried}' cannot be run by '{carrier}'")));
        }
        if !row.command.takes(args.len()) {
            return Err(Error::WrongArity(row.full_name));
        }
        Ok((row, args))
    }
}

/// The column `flags_with` of a row that carries: it does what it does itself, and what the other
/// one does.
pub(super) fn flags_of_both(state: &State, row: &Row, args: Args<'_>) -> Flags {
    let own = row.command.flags;
    match state.carried(row, args) {
        Ok(Some((carried, args))) => own.and(carried.flags_with(state, args)),
        _ => own,
    }
}

/// The keys of the command that begins at word `at`, as words of the whole. Names are those that
/// commands have where nobody has renamed them.
pub(super) fn keys_from(args: Args<'_>, at: usize) -> Vec<FoundKey> {
    let carried = args.skip(at);
    let row = table().find(carried).ok();
    let row = row.filter(|row| row.may_be_carried() && row.command.takes(carried.len()));
    let keys = row.and_then(|row| row.keys(carried).ok()).unwrap_or_default();
    keys.into_iter().map(|key| FoundKey { index: key.index + at, ..key }).collect()
}

/// Runs what the command of `cx` carries; what it replies, errors included, is the reply.
pub(super) fn run_carried(cx: &mut Cx<'_>, (row, args): Carried<'_>) {
    let carrier = core::mem::replace(&mut cx.row, row);
    let may_block = core::mem::replace(&mut cx.may_block, false);
    let is_carried = core::mem::replace(&mut cx.is_carried, true);
    let start = cx.reply.out.len();
    run(cx, args, start);
    (cx.row, cx.may_block, cx.is_carried) = (carrier, may_block, is_carried);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_carried_needs_no_gate_that_looks_at_the_carrier_only() {
        // These are asked of the row that a client names.
        let gates = [
            Flags::PROTECTED,
            Flags::NO_MULTI,
            Flags::RUNS_QUEUED,
            Flags::NEVER_QUEUED,
            Flags::ENDS_TRANSACTION,
        ];
        for row in table().rows().iter().filter(|row| row.may_be_carried()) {
            let flags = row.command.flags;
            assert!(gates.iter().all(|&gate| !flags.has(gate)), "{}", row.full_name);
            assert_eq!(row.command.carries, None, "{}", row.full_name);
        }
    }

    #[test]
    fn nothing_that_is_carried_holds_a_secret() {
        // Logs and MONITOR would show it: they look at the row of the carrier.
        for name in ["auth", "acl|setuser", "hello", "migrate", "config|set"] {
            let row = table().find_full(name.as_bytes());
            assert!(row.is_none_or(|row| !row.may_be_carried()), "{name}");
        }
    }
}

//! What commands put into the log of effects.
//!
//! A command that has changed something is logged with its own words unless it says otherwise; see
//! [`crate::log`]. Whatever depends on time, on luck or on what was deleted meanwhile must say
//! otherwise.

use super::Cx;
use super::spec::Flags;
use crate::args::Args;
use crate::log::{Frame, Readers};
use crate::state::removal;

impl Cx<'_> {
    /// Whether anybody reads the log: whoever has to make words for it asks before.
    #[inline]
    pub fn logs(&self) -> bool {
        self.state.log.is_on()
    }

    /// Whether the command comes from a log that is fed in: key time stands at the epoch then.
    pub(super) fn is_fed(&self) -> bool {
        self.key_now().0 == 0
    }

    /// If the command changes something, this is logged in place of its own words.
    pub fn log_as<'a, I>(&mut self, words: I)
    where
        I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
    {
        if self.logs() {
            self.state.log.log_instead(words);
        }
    }

    /// This is logged, before what is logged of the command itself.
    pub fn log_also<'a, I>(&mut self, words: I)
    where
        I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
    {
        if self.logs() {
            // What has expired has gone before.
            self.state.tell_lapsed();
            self.state.log.push(self.session.db, words, Readers::ALL);
        }
    }

    /// This is for replicas, whether or not something has changed.
    pub fn log_for_replicas(&mut self, args: Args<'_>) {
        if self.logs() {
            self.state.log.push(self.session.db, args.from(0), Readers::REPLICAS);
        }
    }

    /// Nothing is logged of the command, but what it logs itself.
    pub fn log_nothing(&mut self) {
        if self.logs() {
            self.state.log.log_nothing();
        }
    }

    /// If the command changes something, it is logged as the end of a key. This parameter decides
    /// how that is spelled.
    pub fn log_as_removal(&mut self, key: &[u8], parameter: &str) {
        if self.logs() {
            let word = removal(self.state.config.frees_lazily(parameter));
            self.state.log.log_instead([word, key]);
        }
    }

    /// A command begins: to be called while the log is on. Nothing else may be left in the unit if
    /// it is a client's own.
    #[inline(never)]
    pub(super) fn begin_effects(&mut self) -> Frame {
        if self.is_a_clients_own() && self.state.running_script.is_none() {
            self.state.end_unit(false);
        }
        self.state.log.begin_command(self.state.dirty)
    }

    /// It has ended. With a client's own command its unit ends, unless a script goes on.
    #[inline(never)]
    pub(super) fn end_effects(&mut self, args: Args<'_>, frame: Frame) {
        self.state.tell_lapsed();
        let flags = self.row.command.flags;
        if !flags.has(Flags::WRITE) && !flags.has(Flags::MAY_REPLICATE) {
            self.state.log.log_nothing();
        }
        let dirty = self.state.dirty;
        self.state.log.end_command(frame, dirty, self.session.db, args.from(0));
        if self.is_a_clients_own() && self.state.running_script.is_none() {
            self.state.log.commit(!flags.has(Flags::TOUCHES_ARBITRARY_KEYS));
        }
    }

    /// Whether no transaction and no script runs the command.
    fn is_a_clients_own(&self) -> bool {
        self.may_block
    }
}

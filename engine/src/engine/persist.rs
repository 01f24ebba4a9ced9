//! Turns the crank of snapshots and of loading, and tells those who wait for them.
//!
//! Invariant: whoever waits for a file is told exactly once how it went.

use super::Engine;
use crate::disk::{DiskResult, Ticket};
use crate::effects::{Effect, Effects, LogLevel};
use crate::input::ConnId;
use crate::persistence::{Loaded, Reason, Reload, Saved, What};
use crate::time::Instant;

/// What a client reads whose SAVE failed; the log says why.
const SAVE_FAILED: &str = "ERR Error trying to save the DB, check server logs";
/// What a client reads whose SHUTDOWN failed.
const SHUTDOWN_FAILED: &str = "ERR Errors trying to SHUTDOWN. Check logs.";
const RELOAD_FAILED: &str = "ERR Error trying to load the RDB dump, check server logs";

fn log(fx: &mut Effects, level: LogLevel, text: impl Into<String>) {
    fx.push(Effect::Log(level, text.into()));
}

impl Engine {
    /// When something is to be done about files.
    pub(super) fn files_due(&self) -> Option<Instant> {
        let persistence = &self.state.persistence;
        if let Some(saving) = &persistence.saving {
            return saving.due();
        }
        if self.state.keyspace.is_capturing() || persistence.is_scheduled || persistence.must_end {
            return Some(self.now.mono);
        }
        match &persistence.loading {
            Some(loading) => loading.due(),
            None => persistence.save_due(self.state.dirty),
        }
    }

    /// Does a bounded part of what is to be done.
    pub(super) fn go_on_with_files(&mut self, fx: &mut Effects) {
        if let Some(loaded) = self.state.go_on_loading(self.now, fx) {
            self.end_loading(loaded, fx);
        }
        self.state.go_on_saving(self.now, fx);
        let persistence = &mut self.state.persistence;
        if persistence.saving.is_some() {
            return;
        }
        if core::mem::take(&mut persistence.must_end) {
            self.end_server(None, false, fx);
        } else if core::mem::take(&mut persistence.is_scheduled) {
            log(fx, LogLevel::Notice, "Background saving started");
            self.state.begin_save(Reason::Background, self.now, fx);
        } else if persistence.save_due(self.state.dirty).is_some_and(|due| due <= self.now.mono) {
            let changes = self.state.dirty;
            log(fx, LogLevel::Notice, format!("{changes} changes. Saving..."));
            self.state.begin_save(Reason::Background, self.now, fx);
        }
    }

    /// The disk has carried an order out, or not.
    pub(super) fn disk_answered(&mut self, ticket: Ticket, result: &DiskResult, fx: &mut Effects) {
        if let Some(saved) = self.state.save_answered(ticket, result, self.now, fx) {
            self.end_save(saved, fx);
        } else if let Some(loaded) = self.state.load_answered(ticket, result, fx) {
            self.end_loading(loaded, fx);
        }
    }

    /// Whoever runs the process wants it to end. A script that runs is not interrupted for it if
    /// there is something to save.
    pub(super) fn terminate(&mut self, by_interrupt: bool, fx: &mut Effects) {
        log(fx, LogLevel::Warning, "User requested shutdown...");
        let settings = &self.state.persistence.settings;
        let at = if by_interrupt { settings.at_interrupt } else { settings.at_terminate };
        let saves = at.saves || !at.saves_not && !settings.save_points.is_empty();
        if !saves || self.state.persistence.is_loading() {
            self.cancel_and_shut_down(fx);
        } else if self.state.running_script.is_some() {
            self.state.persistence.must_end = true;
        } else {
            self.end_server(None, at.forces, fx);
        }
    }

    /// Saves all keys and ends.
    fn end_server(&mut self, conn: Option<ConnId>, forces: bool, fx: &mut Effects) {
        if self.state.persistence.holds_everybody() {
            return;
        }
        if let Some(saving) = &self.state.persistence.saving
            && saving.reason != Reason::Background
        {
            // Whoever waits for that one is told first.
            self.state.persistence.must_end = true;
            return;
        }
        log(fx, LogLevel::Notice, "Saving the final RDB snapshot before exiting.");
        self.state.begin_save(Reason::Shutdown { conn, forces }, self.now, fx);
    }

    fn cancel_and_shut_down(&mut self, fx: &mut Effects) {
        self.state.cancel_save(fx);
        fx.push(Effect::Shutdown { exit_code: 0 });
    }

    fn end_save(&mut self, saved: Saved, fx: &mut Effects) {
        let Saved { reason, result } = saved;
        match reason {
            Reason::Background if result.is_ok() => {
                log(fx, LogLevel::Notice, "Background saving terminated with success");
            }
            Reason::Background => log(fx, LogLevel::Warning, "Background saving error"),
            Reason::Client(conn) => {
                if result.is_ok() {
                    log(fx, LogLevel::Notice, "DB saved on disk");
                }
                let refusal = result.err().map(|_| SAVE_FAILED.to_owned());
                self.end_wait_for_driver(conn, refusal, fx);
            }
            Reason::Shutdown { conn, forces } => self.end_shutdown(conn, forces, &result, fx),
            Reason::Reload(reload) => {
                if result.is_err() {
                    self.end_wait_for_driver(reload.conn, Some(SAVE_FAILED.to_owned()), fx);
                } else {
                    self.state.load_again(reload, self.now, fx);
                }
            }
        }
        if !self.state.persistence.holds_everybody() {
            for conn in core::mem::take(&mut self.state.persistence.held) {
                fx.push(Effect::Resume(conn));
            }
        }
    }

    fn end_shutdown(
        &mut self,
        conn: Option<ConnId>,
        forces: bool,
        result: &Result<(), String>,
        fx: &mut Effects,
    ) {
        if result.is_ok() {
            log(fx, LogLevel::Notice, "DB saved on disk");
        } else if forces {
            log(fx, LogLevel::Warning, "Ignoring errors trying to save the DB. Exiting anyway.");
        } else {
            log(fx, LogLevel::Warning, "Error trying to save the DB, can't exit.");
            match conn {
                Some(conn) => {
                    self.end_wait_for_driver(conn, Some(SHUTDOWN_FAILED.to_owned()), fx);
                }
                None => {
                    let text = "SIGTERM received but errors trying to shut down the server, check \
                                the logs for more information";
                    log(fx, LogLevel::Warning, text);
                }
            }
            return;
        }
        if let Some(session) = conn.and_then(|conn| self.state.sessions.find_mut(conn)) {
            session.closing = true;
        }
        fx.push(Effect::Shutdown { exit_code: 0 });
    }

    fn end_loading(&mut self, loaded: Loaded, fx: &mut Effects) {
        let count = self.state.keyspace.count();
        (0..count).for_each(|index| self.state.waits.touch_all(index));
        match (loaded.what, loaded.result) {
            (What::AtStart, Ok(())) => {
                self.state.dirty = 0;
                fx.push(Effect::Ready);
            }
            (What::AtStart, Err(why)) => {
                log(fx, LogLevel::Warning, format!("Fatal error loading the DB: {why}. Exiting."));
                fx.push(Effect::Shutdown { exit_code: 1 });
            }
            (What::Again(Reload { conn, .. }), result) => {
                let refusal = result.map_err(|why| {
                    log(fx, LogLevel::Warning, why);
                    RELOAD_FAILED.to_owned()
                });
                self.end_wait_for_driver(conn, refusal.err(), fx);
            }
        }
    }
}

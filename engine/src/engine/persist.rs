//! Turns the crank of snapshots and of loading, and tells those who wait for them.
//!
//! Invariant: whoever waits for a file is told exactly once how it went.

use super::Engine;
use crate::args::Args;
use crate::commands::Cx;
use crate::commands::dispatch::{fail, run};
use crate::commands::eval;
use crate::commands::spec::Flags;
use crate::disk::{DiskResult, Ticket};
use crate::effects::{Effect, Effects, LogLevel};
use crate::input::ConnId;
use crate::persistence::{Loaded, LoneBase, Reason, Reload, Saved, Stage, Turn, What};
use crate::resp::Reply;
use crate::script::Running;
use crate::session::Session;
use crate::state::State;
use crate::time::{Instant, UnixMillis};

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
        let position = self.state.log.position();
        let log = persistence.aof.as_ref().and_then(|aof| aof.due(position));
        let grace = persistence.grace.as_ref().and_then(|grace| grace.due(self.now.mono));
        let turn = self.state.has_log_turn().then_some(self.now.mono);
        let log = log.into_iter().chain(turn).chain(grace);
        if let Some(loading) = &persistence.loading {
            // A snapshot waits until what DEBUG LOADAOF asks for is loaded.
            return log.chain(loading.due()).min();
        }
        if let Some(saving) = &persistence.saving {
            let must_change = persistence.must_switch_off() || persistence.fails_snapshot;
            let reloads = persistence.reloads_log.is_some_and(|_| self.may_reload_log());
            let ends = persistence.end_put_off.is_some() && !self.state.pauses_cron;
            let now = (must_change || reloads || ends).then_some(self.now.mono);
            return log.chain(saving.due()).chain(now).min();
        }
        let is_waiting = self.state.keyspace.is_capturing()
            || persistence.is_scheduled
            || persistence.lone.as_ref().is_some_and(LoneBase::is_asked)
            || persistence.aof.as_ref().is_some_and(|aof| aof.may_remove())
            || persistence.end_put_off.is_some() && !self.state.pauses_cron
            || persistence.must_end
            || persistence.put_off.is_some()
            || persistence.feeds.is_waited_for()
            || persistence.reloads_log.is_some_and(|_| self.may_reload_log())
            || persistence.must_switch_off();
        let rewrite = persistence.aof.as_ref().and_then(|aof| aof.rewrite_due());
        let log = log.chain(rewrite).chain(persistence.switch_on_due());
        let now = is_waiting.then_some(self.now.mono);
        log.chain(now).chain(persistence.save_due(self.state.dirty)).min()
    }

    fn may_reload_log(&self) -> bool {
        let position = self.state.log.position();
        let aof = self.state.persistence.aof.as_deref();
        aof.is_none_or(|aof| aof.stage == Stage::On && aof.is_written(position))
    }

    /// Rewrites the log or switches it on, if that is due; tells whether it was.
    fn change_log(&mut self, fx: &mut Effects) -> bool {
        let persistence = &self.state.persistence;
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= self.now.mono);
        if is_due(persistence.switch_on_due()) {
            self.state.switch_log_on(self.now, fx);
        } else if is_due(persistence.aof.as_ref().and_then(|aof| aof.rewrite_due())) {
            self.state.begin_rewrite(fx);
        } else if persistence.lone.as_ref().is_some_and(LoneBase::is_asked) {
            self.state.begin_lone_base(self.now, fx);
        } else {
            return false;
        }
        true
    }

    /// Key time: while a log is loaded it stands still before all deadlines, because what had not
    /// expired when a command was logged must be there when it is run again.
    pub(super) fn key_time(&self) -> UnixMillis {
        let loading = self.state.persistence.loading.as_ref();
        if loading.is_some_and(|loading| loading.is_of_log()) {
            return UnixMillis(0);
        }
        self.state.clock.now()
    }

    /// Does a bounded part of what is to be done.
    pub(super) fn go_on_with_files(&mut self, fx: &mut Effects) {
        self.state.go_on_with_grace(self.now.mono, fx);
        if let Some(loaded) = self.go_on_loading(fx) {
            self.end_loading(loaded, fx);
        }
        if self.state.persistence.is_loading() {
            return;
        }
        if !self.state.pauses_cron
            && let Some(by_interrupt) = self.state.persistence.end_put_off.take()
        {
            self.terminate(by_interrupt, fx);
        }
        if self.state.persistence.fails_snapshot
            && let Some(saved) = self.state.fail_snapshot(self.now, fx)
        {
            self.end_save(saved, fx);
        }
        if self.state.persistence.must_switch_off() {
            self.state.switch_log_off(fx);
        }
        self.state.delete_history(fx);
        self.state.go_on_saving(self.now, fx);
        if self.state.persistence.saving.is_none()
            && let Some(change) = self.state.persistence.put_off.take()
        {
            self.end_log_turn(Turn::Changed(change), fx);
        }
        self.state.release_writers(self.now.mono, fx);
        self.reload_log(fx);
        let persistence = &mut self.state.persistence;
        if persistence.saving.is_some() {
            return;
        }
        if self.change_log(fx) {
            return;
        }
        let persistence = &mut self.state.persistence;
        if persistence.feeds.is_waited_for() {
            self.state.begin_copy(self.now, fx);
        } else if core::mem::take(&mut persistence.must_end) {
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
    pub(super) fn disk_answered(&mut self, ticket: Ticket, result: DiskResult, fx: &mut Effects) {
        if self.state.cleaned_up(ticket, fx)
            || self.state.grace_answered(ticket, &result, self.now.mono, fx)
        {
            return;
        }
        if let Some(turn) = self.state.log_answered(ticket, &result, self.now, fx) {
            self.end_log_turn(turn, fx);
        } else if let Some(saved) = self.state.save_answered(ticket, &result, self.now, fx) {
            self.end_save(saved, fx);
        } else if let Some(is_good) = self.state.lone_base_answered(ticket, &result, fx) {
            if !is_good {
                self.state.rewrite_failed(self.now, fx);
            }
        } else if let Some(loaded) = self.state.load_answered(ticket, result, fx) {
            self.end_loading(loaded, fx);
        }
    }

    /// The log has come further, or cannot.
    fn end_log_turn(&mut self, turn: Turn, fx: &mut Effects) {
        match turn {
            Turn::Going => {}
            Turn::RewriteFailed => self.state.rewrite_failed(self.now, fx),
            // A script may have changed half of what it changes, and logged nothing of it; and
            // there is one walk at a time.
            Turn::Changed(change)
                if self.state.running_script.is_some()
                    || self.state.persistence.saving.is_some() =>
            {
                self.state.persistence.put_off = Some(change);
            }
            Turn::Changed(change) => {
                if self.state.log_changed(change, self.now, fx) {
                    fx.push(Effect::Ready);
                    self.release_held(fx);
                }
            }
            Turn::Fatal(why) => {
                log(fx, LogLevel::Warning, format!("{why}. Exiting..."));
                fx.push(Effect::Shutdown { exit_code: 1 });
            }
        }
        self.state.end_sync_waits(self.now.mono, fx);
        self.state.release_writers(self.now.mono, fx);
    }

    /// DEBUG LOADAOF: begins when all that was logged is written.
    fn reload_log(&mut self, fx: &mut Effects) {
        if self.may_reload_log()
            && let Some(conn) = self.state.persistence.reloads_log.take()
        {
            self.state.load_log_again(conn, self.now, fx);
            self.release_held(fx);
        }
    }

    /// Those who were held up go on.
    fn release_held(&mut self, fx: &mut Effects) {
        if !self.state.persistence.holds_everybody() {
            for conn in core::mem::take(&mut self.state.persistence.held) {
                fx.push(Effect::Resume(conn));
            }
        }
    }

    /// Loads a bounded part. Commands of a log are run as they are: whether they are allowed was
    /// asked when they ran first.
    fn go_on_loading(&mut self, fx: &mut Effects) -> Option<Loaded> {
        let now = self.now;
        let mut reply = Reply::default();
        let mut nothing = Effects::new();
        let mut apply = |state: &mut State, session: &mut Session, words: Args<'_>| {
            let row = state.command(words).map_err(|_| {
                let name = words.at(0).escape_ascii();
                format!("Unknown command '{name}'")
            })?;
            if !row.command.takes(words.len()) {
                return Err(format!("'{}' with a wrong number of arguments", row.full_name));
            }
            let flags = row.command.flags;
            if !flags.has(Flags::WRITE) && !flags.has(Flags::MAY_REPLICATE) {
                return Err(format!("'{}' does not belong into a log", row.full_name));
            }
            let mut cx = Cx {
                state,
                session,
                reply: &mut reply,
                fx: &mut nothing,
                now,
                row,
                retry: false,
                may_block: false,
                is_carried: false,
            };
            run(&mut cx, words, 0);
            // What stands behind it in the log must find what it does.
            while let Some(mut running) = cx.state.running_script.take() {
                if let Some(result) = eval::go_on(&mut cx, &mut running) {
                    let Running { program, stage, row, .. } = *running;
                    cx.state.put_back_stage(&program, stage);
                    if let Err(error) = result {
                        fail(&mut cx, row, &error);
                    }
                    cx.session.blocked = None;
                } else {
                    cx.state.running_script = Some(running);
                }
            }
            reply.out.clear();
            Ok(())
        };
        self.state.go_on_loading(now, &mut apply, fx)
    }

    /// Whoever runs the process wants it to end. A script that runs is not interrupted for it if
    /// there is something to save.
    pub(super) fn terminate(&mut self, by_interrupt: bool, fx: &mut Effects) {
        if by_interrupt && self.state.is_ending_already() {
            log(fx, LogLevel::Warning, "You insist... exiting now.");
            return self.state.end_at_once(fx);
        }
        if self.state.pauses_cron {
            // SHUTDOWN ABORT can still take it back.
            self.state.persistence.end_put_off = Some(by_interrupt);
            return;
        }
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
            && !saving.gives_way()
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
        self.state.shut_down(fx);
    }

    fn end_save(&mut self, saved: Saved, fx: &mut Effects) {
        let Saved { reason, result, began } = saved;
        match reason {
            Reason::Copy => {}
            Reason::Rewrite => self.state.end_rewrite_walk(&result, self.now, began, fx),
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
        self.release_held(fx);
    }

    fn end_shutdown(
        &mut self,
        conn: Option<ConnId>,
        forces: bool,
        result: &Result<u64, String>,
        fx: &mut Effects,
    ) {
        if result.is_ok() {
            log(fx, LogLevel::Notice, "DB saved on disk");
            self.state.persistence.is_saved_for_end = true;
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
            (What::AtStart, Ok(found)) => {
                self.state.dirty = 0;
                self.state.persistence.has_started = true;
                self.state.watch_locks();
                self.state.keyspace.set_now(self.state.clock.now());
                if self.state.persistence.settings.log.is_on {
                    self.state.open_log(found, self.now, fx);
                } else {
                    fx.push(Effect::Ready);
                }
            }
            (What::AtStart, Err(why)) => {
                log(fx, LogLevel::Warning, format!("Fatal error loading the DB: {why}. Exiting."));
                fx.push(Effect::Shutdown { exit_code: 1 });
            }
            (What::LogAgain(conn), result) => {
                if self.state.persistence.aof.is_some() {
                    self.state.log.start();
                } else if let Ok(found) = &result {
                    let manifest = found.manifest.clone();
                    self.state.persistence.last_manifest = manifest.unwrap_or_default();
                }
                self.state.dirty = 0;
                let text = "Append Only File loaded by DEBUG LOADAOF";
                log(fx, LogLevel::Warning, text);
                let refusal = result.map_err(|why| {
                    log(fx, LogLevel::Warning, why);
                    "ERR Error trying to load the AOF files, check server logs".to_owned()
                });
                self.end_wait_for_driver(conn, refusal.err(), fx);
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

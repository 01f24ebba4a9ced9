//! The crank: one input in, its effects out.
//!
//! Invariants: a step does a bounded amount of work; effects are complete when it returns; at most
//! one session is taken out of the set, and it is back when the step ends.

mod clients;
mod gate;
mod output;
mod persist;
mod planted;
mod script;
mod serve;
mod users;

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};
use gate::Gated;

use crate::args::{Args, Span};
use crate::commands::Cx;
use crate::commands::acl_gate::catalogue;
use crate::commands::dispatch::{Ran, dispatch};
use crate::commands::table::table;
use crate::config::Config;
use crate::digest::{Digest, digest};
use crate::effects::{Effect, Effects, LogLevel};
use crate::input::{ConnId, Facts, Input, Origin, Outcome};
use crate::log::Log;
use crate::notify::Audience;
use crate::persistence::What;
use crate::resp::{Limits, Parsed, Parser, Reply};
use crate::rng::Seed;
use crate::session::{Blocked, Session};
use crate::state::{ExpiryLog, State};
use crate::time::{Instant, Micros, Now};

/// Output buffers that grew beyond this are given back instead of kept for the next command.
const SPARE_BYTES_MAX: usize = 1 << 20;
/// Waiting clients whose patience ends in one step.
const WAITS_ENDED_PER_STEP: usize = 512;
/// Idle clients are looked for at this interval.
const IDLE_CHECK_INTERVAL: Micros = Micros::from_secs(1);
/// Clients whose output is over the soft limit are looked at this often.
const OUTPUT_CHECK_INTERVAL: Micros = Micros::from_secs(1);
/// A step also ends when it has written this much, messages to all receivers included.
const STEP_OUTPUT_BYTES_MAX: u64 = 4 << 20;

/// Who asked to be woken by `Tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// A key expires.
    Expiry,
    /// Deleted things wait to be freed.
    Free,
    /// Clients that wait for keys are tried again.
    Serve,
    /// Memory is over its limit.
    Evict,
    /// A script goes on.
    Script,
    /// CLIENT PAUSE ends.
    Pause,
    /// The patience of a waiting client ends.
    Wait,
    /// Idle clients are looked for.
    IdleClients,
    /// Clients whose output is over the soft limit are looked at.
    OutputLimits,
    /// A snapshot goes on or is due, or what was on disk is loaded.
    Files,
    /// Tracked keys over the limit are forgotten, memory of forgotten ones is given back.
    Tracking,
}

/// One server: its whole behaviour and state.
pub struct Engine {
    state: State,
    /// The reply buffer of the running command; between steps it is empty and lends its
    /// allocation.
    reply: Reply,
    spare_spans: Vec<Span>,
    /// Commands that the present step has run.
    ran: usize,
    /// Clients tried again and keys looked at for them in the present step.
    looks: usize,
    /// Bytes of replies to clients tried again in the present step.
    served_bytes: usize,
    next_idle_check: Instant,
    /// When to look at clients whose output is over the soft limit, if there are any.
    output_check: Option<Instant>,
    /// What tells clients something that is not safe on the disk.
    gated: VecDeque<Gated>,
    /// How far the log was when it was last asked whether it goes to the disk.
    log_seen: u64,
    /// How many steps had output that had to wait.
    held_steps: u64,
    now: Now,
}

impl Engine {
    /// An empty server. The same `config`, `seed` and inputs give the same outputs.
    pub fn new(config: Config, seed: Seed, now: Now) -> Self {
        Self {
            state: State::new(config, seed, now, catalogue()),
            reply: Reply::default(),
            spare_spans: Vec::new(),
            ran: 0,
            looks: 0,
            served_bytes: 0,
            next_idle_check: now.mono + IDLE_CHECK_INTERVAL,
            output_check: None,
            gated: VecDeque::new(),
            log_seen: 0,
            held_steps: 0,
            now,
        }
    }

    /// Takes one input and pushes what must be done about it into `fx`.
    ///
    /// # Panics
    /// If `now.mono` is before that of an earlier step, or the driver names connections wrongly.
    pub fn step(&mut self, now: Now, input: Input<'_>, fx: &mut Effects) {
        self.now = now;
        self.state.clock.advance(now);
        // A script sees one moment, however many steps it takes.
        if self.state.running_script.is_none() {
            self.state.keyspace.set_now(self.key_time());
        }
        self.state.stats.steps += 1;
        if self.state.rates.is_due(now.mono) {
            self.state.rates.sample(now.mono, self.state.counters());
        }
        self.ran = 0;
        let tracks = self.state.config.observation.latency_tracking;
        self.state.observer.begin_step(now.mono, &mut self.state.stats, tracks);
        (self.looks, self.served_bytes) = (0, 0);
        let persistence = &self.state.persistence;
        self.state.sessions.is_gated = persistence.aof.is_some() || persistence.grace.is_some();
        if self.state.harm.is_some() {
            self.mend(fx);
        }
        if self.state.sessions.is_counting() {
            self.evict_clients(&input, fx);
        }
        // What clients ask for comes in crowds, and answers of the disk come with them: all of it
        // goes to the disk together, in a tick that is due when they have all had their turn.
        let is_of_crowd = matches!(input, Input::Received { .. } | Input::Disk { .. });
        match input {
            Input::Opened { conn, origin } => self.opened(conn, origin, fx),
            Input::Received { conn, bytes } => self.received(conn, bytes, fx),
            Input::Sent { conn, len } => self.sent(conn, len),
            Input::Closed { conn } => self.closed(conn),
            Input::Done { conn, outcome } => self.done(conn, &outcome, fx),
            Input::Disk { ticket, result } => self.disk_answered(ticket, result, fx),
            Input::Start => {
                self.state.begin_grace(fx);
                self.state.begin_loading(What::AtStart, now, fx);
            }
            Input::Terminate { by_interrupt } => self.terminate(by_interrupt, fx),
            Input::Vitals(vitals) => {
                self.state.vitals = vitals;
                self.state.note_memory();
            }
            Input::Tick => self.tick(fx),
        }
        if self.state.tracking.has_news() {
            self.state.tell_news();
        }
        // What no command has done: keys that were looked at for those who wait, and had expired.
        if self.state.log.is_on() && self.state.running_script.is_none() {
            self.state.end_unit(false);
        }
        self.state.feed();
        if self.state.sessions.has_posted() {
            self.end_post(fx);
        }
        self.end_step(!is_of_crowd, fx);
    }

    /// When to call `step` with `Tick` at the latest, and who asked; the moment may have passed.
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        let state = &self.state;
        let expires = self.expires();
        let expiry = expires.then(|| state.keyspace.next_deadline()).flatten();
        let is_periodic = !state.pauses_cron;
        let wants_idle_check = state.config.timeout_secs > 0 && !state.sessions.is_empty();
        if state.running_script.is_some() {
            return Some((self.now.mono, Timer::Script));
        }
        let candidates = [
            expiry.map(|deadline| (state.clock.when(deadline), Timer::Expiry)),
            state.keyspace.has_trash().then_some((self.now.mono, Timer::Free)),
            self.must_serve().then_some((self.now.mono, Timer::Serve)),
            self.must_evict().then_some((self.now.mono, Timer::Evict)),
            state.pause.map(|pause| (pause.until, Timer::Pause)),
            state.torn_until().map(|at| (at, Timer::Serve)),
            state.waits.first_deadline().map(|at| (at, Timer::Wait)),
            (wants_idle_check && is_periodic).then_some((self.next_idle_check, Timer::IdleClients)),
            self.output_check.filter(|_| is_periodic).map(|at| (at, Timer::OutputLimits)),
            self.files_due().map(|at| (at, Timer::Files)),
            (is_periodic && state.tracking.has_work(state.config.tracking_table_max_keys))
                .then_some((self.now.mono, Timer::Tracking)),
        ];
        candidates.into_iter().flatten().min_by_key(|&(at, _)| at)
    }

    /// Appends the output that may leave for `conn` to `into`. The driver reports it with `Sent`
    /// when it has left. An empty `into` costs no copy.
    pub fn take_output(&mut self, conn: ConnId, into: &mut Vec<u8>) {
        let Some(session) = self.state.sessions.find_mut(conn) else { return };
        let len = session.free_output_len();
        session.in_flight += len;
        session.bytes_out += len as u64;
        self.state.stats.bytes_out += len as u64;
        self.state.stats.outputs += 1;
        if len < session.outbox.len() {
            into.extend(session.outbox.drain(..len));
            session.output_taken(len);
            return;
        }
        if into.is_empty() {
            core::mem::swap(into, &mut session.outbox);
        } else {
            into.extend_from_slice(&session.outbox);
            session.outbox.clear();
        }
        let spare = core::mem::take(&mut session.outbox);
        if self.reply.out.capacity() == 0 && spare.capacity() <= SPARE_BYTES_MAX {
            self.reply.out = spare;
        }
    }

    /// Tells how long the last step took, as the driver measured it. It is part of what a recording
    /// has to hand in again.
    pub fn note_elapsed(&mut self, elapsed: Micros) {
        let stats = &mut self.state.stats;
        stats.longest_step = stats.longest_step.max(elapsed);
        if let Some(running) = &mut self.state.running_script
            && core::mem::take(&mut running.had_its_share)
        {
            running.pace.note(elapsed);
        }
        let tracks = self.state.config.observation.latency_tracking;
        self.state.observer.end_step(elapsed, stats, tracks);
    }

    /// Units of work that the last step gave to a script which goes on, if it did: where time is
    /// made up, it is to take some.
    pub fn script_units(&self) -> Option<u32> {
        let running = self.state.running_script.as_ref().filter(|running| running.had_its_share);
        running.map(|running| running.pace.units())
    }

    /// How many more bytes of the word that `conn` is sending are known to come, when `received`
    /// bytes lie in its input: a driver can make room for them at once.
    pub fn bytes_wanted(&self, conn: ConnId, received: usize) -> usize {
        self.state.sessions.find(conn).map_or(0, |session| session.parser.bytes_wanted(received))
    }

    /// Gives the engine a secret to make passwords from (ACL GENPASS); once, at start. Without it
    /// they can be foretold by who knows the seed.
    pub fn set_secret(&mut self, secret: [u8; 32]) {
        self.state.acl.set_secret(secret);
    }

    /// Tells what the driver knows about the process; once, at start.
    pub fn set_facts(&mut self, facts: Facts) {
        self.state.facts = facts;
    }

    /// Lets nothing expire, or lets it expire again: while a log is fed in, every end of a key must
    /// come from the log, and no sooner. Key time stands at the epoch meanwhile.
    pub fn hold_expiry(&mut self, holds: bool) {
        self.state.clock.hold(holds);
        self.state.keyspace.set_now(self.state.clock.now());
    }

    /// The log of effects, for who reads it.
    pub fn log(&mut self) -> &mut Log {
        &mut self.state.log
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.state.config
    }

    /// Whether what was on disk is not all there yet.
    pub fn is_loading(&self) -> bool {
        self.state.persistence.is_loading()
    }

    /// The state, to look at.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// An order-independent hash of the data.
    pub fn digest(&self) -> Digest {
        let keys = digest(&self.state.keyspace);
        Digest(keys.0.wrapping_add(self.state.libraries.digest()))
    }

    /// Checks every structure; for tests.
    pub fn check_invariants(&self) {
        self.state.keyspace.check_invariants();
        self.state.check_waits();
        self.state.acl.check_invariants();
        self.state.pubsub.check_invariants(&self.state.sessions);
        self.state.watches.check_invariants();
        self.state.check_counted();
        self.state.tracking.check_invariants(&self.state.sessions);
    }

    fn opened(&mut self, conn: ConnId, origin: Origin, fx: &mut Effects) {
        let refusal = self.refusal(&origin);
        let state = &mut self.state;
        let authenticated = state.acl.is_open();
        let mut session = Box::new(Session::new(conn, origin, self.now.mono, authenticated));
        if let Some(user) = state.acl.certified(&session.origin) {
            session.user = user;
            session.authenticated = true;
        }
        if let Some(text) = refusal {
            state.stats.rejected_connections += 1;
            session.closing = true;
            session.outbox = format!("-{text}\r\n").into_bytes();
            fx.push(Effect::Close(conn));
        } else {
            state.stats.connections += 1;
        }
        state.sessions.insert(session);
        state.count_client(conn);
    }

    fn refusal(&self, origin: &Origin) -> Option<&'static str> {
        let state = &self.state;
        if state.sessions.len() >= state.config.maxclients {
            return Some("ERR max number of clients reached");
        }
        let is_open = state.acl.default_user().needs_no_password();
        if !origin.is_local() && state.config.protected_mode && is_open {
            return Some(DENIED);
        }
        None
    }

    fn received(&mut self, conn: ConnId, bytes: &mut BytesMut, fx: &mut Effects) {
        let Some(mut session) = self.state.sessions.take(conn) else {
            bytes.clear();
            return;
        };
        // What was not taken last time is handed in again and was counted then.
        let arrived = bytes.len().saturating_sub(session.input_pending) as u64;
        session.bytes_in += arrived;
        session.input_pending = bytes.len();
        self.state.stats.bytes_in += arrived;
        self.state.stats.inputs += 1;
        if session.closing {
            bytes.clear();
        } else if session.blocked.is_none() {
            self.serve(fx);
            if self.state.persistence.holds_everybody() {
                self.state.persistence.held.insert(conn);
            } else if self.must_serve() {
                fx.push(Effect::Resume(conn));
            } else {
                self.run_commands(&mut session, bytes, fx);
            }
        }
        session.input_pending = bytes.len();
        // What is queued came as input too.
        let held = (bytes.len() + session.transaction_bytes()) as u64;
        if held > self.state.config.client_query_buffer_limit && !session.closing {
            self.state.stats.query_buffer_closed += 1;
            self.state.waits.end(&mut session);
            session.closing = true;
            session.outbox.clear();
            bytes.clear();
            fx.push(Effect::Abort(conn));
        }
        self.state.sessions.put_back(session);
        self.state.count_client(conn);
        self.serve(fx);
    }

    fn run_commands(&mut self, session: &mut Session, bytes: &mut BytesMut, fx: &mut Effects) {
        session.last_active = self.now.mono;
        let mut parser = core::mem::take(&mut session.parser);
        parser.lend(&mut self.spare_spans);
        if !session.outbox.is_empty() {
            core::mem::swap(&mut session.outbox, &mut self.reply.out);
        }
        self.reply.protocol = session.protocol;
        let taken = self.drain(session, &mut parser, bytes, fx);
        bytes.advance(taken);
        parser.give_back(&mut self.spare_spans);
        session.parser = parser;
        if session.closing {
            bytes.clear();
            fx.push(Effect::Close(session.id));
        } else if self.exceeds_output_limit(session, self.reply.out.len()) {
            self.reply.out = Vec::new();
            self.abort_for_output(session, fx);
            bytes.clear();
        } else if !self.reply.out.is_empty() {
            fx.push(Effect::Flush(session.id));
        }
        core::mem::swap(&mut session.outbox, &mut self.reply.out);
    }

    /// Runs commands off the front of `bytes`; returns how many bytes they took.
    fn drain(
        &mut self,
        session: &mut Session,
        parser: &mut Parser,
        bytes: &mut BytesMut,
        fx: &mut Effects,
    ) -> usize {
        let (mut taken, row) = (0, &table().rows()[0]);
        let posted = self.state.sessions.posted_bytes();
        loop {
            let limits = Limits {
                bulk_bytes_max: self.state.config.proto_max_bulk_len,
                unauthenticated: self.state.must_authenticate(session),
            };
            match parser.parse(&mut bytes[taken..], limits) {
                Parsed::Incomplete => return taken,
                Parsed::Empty { consumed } => {
                    // For CLIENT REPLY SKIP an empty request counts as one, as in Redis.
                    let end = self.reply.out.len();
                    session.end_command(&mut self.reply.out, end);
                    taken += consumed;
                }
                Parsed::Error(error) => {
                    if !session.is_muted() {
                        self.reply.error_bytes(&error.message());
                    }
                    self.state.count_error("ERR");
                    session.closing = true;
                    return taken;
                }
                Parsed::Command { consumed } => {
                    let args = Args::new(&bytes[taken..], parser.words());
                    let mut cx = Cx {
                        state: &mut self.state,
                        session,
                        reply: &mut self.reply,
                        fx,
                        now: self.now,
                        row,
                        retry: false,
                        may_block: true,
                        is_carried: false,
                    };
                    let ran = dispatch(&mut cx, args);
                    self.ran += 1;
                    parser.reset();
                    let sessions = &mut self.state.sessions;
                    sessions.collect_mail(session.id, session.protocol, &mut self.reply.out);
                    if self.state.tracking.has_deferred() {
                        self.state.tell_deferred(session, &mut self.reply.out);
                    }
                    if ran == Ran::Postponed {
                        return taken;
                    }
                    taken += consumed;
                    if session.closing || session.blocked.is_some() {
                        return taken;
                    }
                    self.serve(fx);
                    let posted = self.state.sessions.posted_bytes() - posted;
                    let full = self.reply.out.len() as u64 + posted >= STEP_OUTPUT_BYTES_MAX;
                    let many = self.ran >= self.state.config.step_commands_max;
                    if (full || many || self.must_serve()) && taken < bytes.len() {
                        fx.push(Effect::Resume(session.id));
                        return taken;
                    }
                }
            }
        }
    }

    fn sent(&mut self, conn: ConnId, len: usize) {
        if let Some(session) = self.state.sessions.find_mut(conn) {
            session.in_flight = session.in_flight.saturating_sub(len);
            let soft_bytes = session.output_limit(&self.state.config.output_limits).soft_bytes;
            if session.over_soft_limit.is_some() && (session.output_pending() as u64) < soft_bytes {
                session.over_soft_limit = None;
            }
        }
        self.state.count_client(conn);
    }

    fn closed(&mut self, conn: ConnId) {
        if let Some(mut session) = self.state.sessions.remove(conn) {
            self.state.waits.end(&mut session);
            self.state.pubsub.end(&mut session);
            self.state.watches.forget(conn);
            self.state.end_monitor(conn);
            self.state.tracking.leave(conn);
            self.state.persistence.sync_waits.remove(&conn);
            if session.is_replica {
                self.state.end_feed(conn);
            }
        }
    }

    /// The driver has carried out an effect: the client that waited gets its reply and goes on.
    fn done(&mut self, conn: ConnId, outcome: &Outcome, fx: &mut Effects) {
        let refusal = match outcome {
            Outcome::ConfigApplied(result) => self.end_config_change(conn, result),
            Outcome::ConfigRewritten(Err(why)) => Some(format!("ERR Rewriting config file: {why}")),
            Outcome::UsersRead(result) => self.end_users_read(conn, result, fx),
            Outcome::UsersWritten(Err(_)) => Some(SAVE_FAILED.to_owned()),
            Outcome::ConfigRewritten(Ok(())) | Outcome::UsersWritten(Ok(())) => None,
        };
        self.end_wait_for_driver(conn, refusal, fx);
    }

    /// The client that waited gets its reply, OK or this error, and goes on.
    fn end_wait_for_driver(&mut self, conn: ConnId, refusal: Option<String>, fx: &mut Effects) {
        let session = self.state.sessions.find_mut(conn);
        let Some(session) = session.filter(|session| session.blocked == Some(Blocked::Driver))
        else {
            if let Some(why) = refusal {
                fx.push(Effect::Log(LogLevel::Warning, why));
            }
            return;
        };
        session.blocked = None;
        let mut reply =
            Reply { out: core::mem::take(&mut session.outbox), protocol: session.protocol };
        let start = reply.out.len();
        match &refusal {
            None => reply.ok(),
            Some(text) => reply.error_text(text),
        }
        session.end_command(&mut reply.out, start);
        session.outbox = reply.out;
        if session.closing {
            fx.push(Effect::Close(conn));
        } else {
            fx.push(Effect::Flush(conn));
            fx.push(Effect::Resume(conn));
        }
        if refusal.is_some() {
            self.state.count_error("ERR");
        }
        self.state.count_client(conn);
    }

    /// The driver has tried to carry a change out. One that it could not is taken back, and the
    /// client's error is returned.
    fn end_config_change(&mut self, conn: ConnId, result: &Result<(), String>) -> Option<String> {
        let change = self.state.config_change.take_if(|change| change.conn == conn)?;
        let why = result.as_ref().err()?;
        let mut config = self.state.config.clone();
        config.take_back(&change.before, &change.after);
        self.state.configure(config);
        // What the driver does first it can do, whatever else was changed with it.
        let listens = |name: &&&str| ["bind", "port", "tls-port"].contains(*name);
        let listening = change.names.iter().find(listens).filter(|_| why.contains("listen"));
        let name = listening.or_else(|| change.names.first()).copied().unwrap_or_default();
        Some(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
    }

    fn tick(&mut self, fx: &mut Effects) {
        if self.state.running_script.is_some() {
            self.run_script(fx);
            self.state.keyspace.free_some();
            return;
        }
        if self.state.pause.is_some_and(|pause| pause.until <= self.now.mono) {
            self.state.end_pause(fx);
        }
        if self.expires() {
            self.expire(fx);
        }
        if self.must_evict() {
            self.state.go_on_evicting(self.now.mono);
        }
        self.state.waits.touch_due(self.now.mono, WAITS_ENDED_PER_STEP);
        self.serve(fx);
        // Who can be served is served, however late it is.
        if !self.must_serve() {
            self.state.end_waits(self.now.mono, WAITS_ENDED_PER_STEP, fx);
        }
        self.state.keyspace.free_some();
        self.go_on_with_files(fx);
        if !self.state.pauses_cron {
            self.do_periodic_work(fx);
        }
    }

    /// Whether keys are deleted when their time has come. A pause promises that the data does not
    /// change.
    fn expires(&self) -> bool {
        let state = &self.state;
        let rests = state.pause.is_some() || state.pauses_cron || state.persistence.is_loading();
        state.active_expire && !state.clock.stands() && !rests
    }

    /// Deletes keys whose time has come.
    fn expire(&mut self, fx: &mut Effects) {
        let budget = self.state.config.step_expirations_max;
        let began = self.state.wants_latency().then(|| fx.stopwatch.read()).flatten();
        let state = &mut self.state;
        let mut expired = 0;
        let (waits, watches) = (&mut state.waits, &mut state.watches);
        let (tracking, harm) = (&mut state.tracking, &mut state.harm);
        let mut log = state.log.is_on().then(|| ExpiryLog::new(&state.config, &mut state.log));
        let wants_names = state.config.notify_events.speaks_of_fields() || log.is_some();
        let mut audience = Audience {
            config: &state.config,
            pubsub: &mut state.pubsub,
            sessions: &mut state.sessions,
        };
        state.keyspace.expire_some(budget, wants_names, |db, key, event, fields| {
            expired += 1;
            waits.touch(db, key);
            watches.touch(db, key);
            let tells = harm.as_mut().is_none_or(|harm| harm.tells_of_expiry());
            if tracking.is_active() && tells {
                let limits = &audience.config.output_limits;
                tracking.touch(key, None, audience.sessions, limits);
            }
            audience.tell(db, key, event);
            audience.tell_of_fields(db, key, event, fields);
            if let Some(log) = &mut log {
                log.note(db, key, event, fields);
            }
        });
        state.log.commit(false);
        state.dirty += expired;
        if let Some(began) = began
            && let Some(ended) = fx.stopwatch.read()
        {
            let unix_secs = self.now.wall.0 / 1_000_000;
            let millis = ended.since(began).as_millis();
            state.note_latency("expire-cycle", millis, unix_secs);
        }
    }

    /// What Redis does in its periodic job.
    fn do_periodic_work(&mut self, fx: &mut Effects) {
        if self.state.tracking.has_work(self.state.config.tracking_table_max_keys) {
            self.state.tidy_tracking();
        }
        if self.state.config.timeout_secs > 0 && self.next_idle_check <= self.now.mono {
            self.next_idle_check = self.now.mono + IDLE_CHECK_INTERVAL;
            self.close_idle(fx);
        }
        if self.output_check.is_some_and(|at| at <= self.now.mono) {
            self.check_output_limits(fx);
        }
    }

    fn close_idle(&mut self, fx: &mut Effects) {
        let limit = Micros::from_secs(self.state.config.timeout_secs);
        for conn in self.state.sessions.ids() {
            if let Some(session) = self.state.sessions.find_mut(conn)
                && session.blocked.is_none()
                && !session.closing
                && !session.is_subscriber()
                && !session.is_monitor
                && self.now.mono.since(session.last_active) > limit
            {
                session.closing = true;
                fx.push(Effect::Abort(conn));
            }
        }
    }
}

/// What ACL SAVE answers when the driver could not write the file.
const SAVE_FAILED: &str = "ERR There was an error trying to save the ACLs. Please check the server \
    logs for more information";

/// What a client from another machine reads in protected mode.
const DENIED: &str = "DENIED Orrery is running in protected mode because protected mode is \
    enabled and no password is set for the default user. In this mode connections are only \
    accepted from the loopback interface. To connect from other machines, set a password with \
    'requirepass', or switch protected mode off with '--protected-mode no' or, from this machine, \
    with 'CONFIG SET protected-mode no'; do neither on a server that the internet can reach.";

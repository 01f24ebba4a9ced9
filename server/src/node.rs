//! One engine and what surrounds it: samples the clocks, turns the crank, carries out the effects.
//!
//! Invariants: a step's effects are carried out before the next step begins; no step begins while
//! the node is stalled; buffers that live here are empty between the turns of connections.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use orrery_engine::config::Extent;
use orrery_engine::record::End;
use orrery_engine::{
    ConnId, DiskResult, Effect, Effects, Engine, Input, Instant, LogLevel, Micros, Now, Origin,
    Outcome, Stopwatch, Ticket,
};
use tokio::sync::Notify;

use crate::config_file;
use crate::mailbox::{Mailbox, Notes};
use crate::platform::Platform;
use crate::recorder::{self, RecorderRef};
use crate::tls::Tls;
use crate::users_file;

/// How old the figures of the process may be while clients are connected.
const VITALS_INTERVAL: Micros = Micros::from_secs(1);
/// The data's digest ends a recording if the data is no more than this.
const DIGEST_BYTES_MAX: usize = 256 << 20;
/// An output buffer that grew beyond this is not kept for the next connection.
const OUTPUT_KEPT_BYTES_MAX: usize = 1 << 20;

/// How tasks share a node.
pub(crate) type NodeRef<P> = Rc<RefCell<Node<P>>>;

/// Something that only the task which started the server can do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Put changed settings into force and answer.
    Apply { conn: ConnId, names: Vec<&'static str> },
    /// Say that the server is ready.
    Announce,
    /// End the server.
    Shutdown { exit_code: i32 },
}

/// What the clock task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There is more to do, after others had a turn.
    Again,
    /// Nothing before this moment.
    At(Instant),
    /// Nothing until the bell rings.
    Never,
}

/// One server's engine, its connections' mailboxes and its shared buffers.
pub(crate) struct Node<P> {
    pub(crate) platform: Rc<P>,
    engine: Engine,
    recorder: Option<RecorderRef>,
    /// What connections read into; see `connection`.
    pub(crate) input: BytesMut,
    /// What connections write from.
    pub(crate) output: Vec<u8>,
    /// Rings when the clock task must look again.
    pub(crate) clock_bell: Rc<Notify>,
    /// Rings when there are orders.
    pub(crate) order_bell: Rc<Notify>,
    pub(crate) orders: Vec<Order>,
    /// Connections write what they have and end.
    pub(crate) stopping: bool,
    /// How often to probe silent peers of new connections.
    pub(crate) keepalive: Option<Duration>,
    pub(crate) tls: Rc<Tls>,
    config_file: Option<PathBuf>,
    effects: Effects,
    mailboxes: BTreeMap<ConnId, Rc<Mailbox>>,
    last_conn: ConnId,
    /// The sample of the last step.
    now: Now,
    /// How long the last step took.
    elapsed: Micros,
    /// Whether it gave other connections something to do.
    woke_others: bool,
    /// When the clock task wakes by itself.
    armed: Instant,
    stalled_until: Option<Instant>,
    next_vitals: Instant,
}

impl<P: Platform> Node<P> {
    pub(crate) fn new(platform: Rc<P>, engine: Engine, config_file: Option<PathBuf>) -> Self {
        let now = platform.now();
        let mut effects = Effects::new();
        let clock = Rc::clone(&platform);
        effects.stopwatch = Stopwatch::new(Box::new(move || clock.mono()));
        Self {
            platform,
            engine,
            recorder: None,
            input: BytesMut::new(),
            output: Vec::new(),
            clock_bell: Rc::default(),
            order_bell: Rc::default(),
            orders: Vec::new(),
            stopping: false,
            keepalive: None,
            tls: Rc::default(),
            config_file,
            effects,
            mailboxes: BTreeMap::new(),
            last_conn: ConnId(0),
            now,
            elapsed: Micros(0),
            woke_others: false,
            armed: Instant(0),
            stalled_until: None,
            next_vitals: now.mono,
        }
    }

    /// Lets a connection in.
    pub(crate) fn open(&mut self, origin: Origin) -> Rc<Mailbox> {
        self.last_conn = ConnId(self.last_conn.0 + 1);
        let conn = self.last_conn;
        let mailbox = Rc::new(Mailbox::new(conn));
        self.mailboxes.insert(conn, Rc::clone(&mailbox));
        self.step(Input::Opened { conn, origin }, Some(&mailbox));
        // The figures of the process were not kept up while nobody was there to ask.
        self.ring_clock_at(self.next_vitals);
        mailbox
    }

    /// Forgets a connection.
    pub(crate) fn close(&mut self, conn: ConnId) {
        self.mailboxes.remove(&conn);
        self.step(Input::Closed { conn }, None);
        if self.stopping && self.mailboxes.is_empty() {
            self.order_bell.notify_one();
        }
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.mailboxes.len()
    }

    /// Runs one step. `running` is the mailbox of the connection whose task is running.
    #[inline]
    pub(crate) fn step(&mut self, input: Input<'_>, running: Option<&Mailbox>) {
        self.now = self.platform.now();
        self.woke_others = false;
        if self.recorder.is_some() {
            self.record_step(&input, running);
        }
        self.engine.step(self.now, input, &mut self.effects);
        let elapsed = self.platform.mono().since(self.now.mono);
        self.engine.note_elapsed(elapsed);
        self.elapsed = elapsed;
        if let Some(recorder) = &self.recorder {
            recorder.borrow_mut().elapsed(elapsed, self.effects.stopwatch.readings());
        }
        self.effects.stopwatch.forget();
        if !self.effects.is_empty() {
            self.carry_out(running);
        }
        if let Some((deadline, _)) = self.engine.deadline() {
            self.ring_clock_at(deadline);
        }
    }

    /// Tells the engine what became of its orders for files.
    pub(crate) fn answered(&mut self, answers: Vec<(Ticket, DiskResult)>) {
        for (ticket, result) in answers {
            self.step(Input::Disk { ticket, result }, None);
        }
    }

    /// Hands the engine what a connection has received and not had taken; what it leaves is left.
    #[inline]
    pub(crate) fn received(&mut self, bytes: &mut BytesMut, running: &Mailbox) {
        let conn = running.conn;
        self.step(Input::Received { conn, bytes: &mut *bytes }, Some(running));
        running.left.set(bytes.len());
    }

    /// Takes a connection's output into the shared buffer.
    #[inline]
    pub(crate) fn take_output(&mut self, conn: ConnId) {
        let mut output = core::mem::take(&mut self.output);
        self.take_output_into(conn, &mut output);
        self.output = output;
    }

    /// Takes a connection's output behind what `into` has.
    #[inline]
    pub(crate) fn take_output_into(&mut self, conn: ConnId, into: &mut Vec<u8>) {
        let (start, capacity) = (into.len(), into.capacity());
        self.engine.take_output(conn, into);
        if let Some(recorder) = &self.recorder {
            let before = (start == 0).then_some(capacity);
            recorder.borrow_mut().taken(conn, before, &into[start..], into.capacity());
        }
    }

    /// The engine, to look at: what changes it goes through this node, which records it.
    #[inline]
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Records everything from now on; the engine must not have made a step yet.
    pub(crate) fn record(&mut self, recorder: RecorderRef) {
        self.recorder = Some(recorder);
    }

    /// Ends the recording, if there is one, and waits for the disk.
    pub(crate) fn end_recording(&mut self) {
        let Some(recorder) = self.recorder.take() else { return };
        // Of very much data the digest would take too long.
        let is_quick = self.engine.state().memory_used() <= DIGEST_BYTES_MAX;
        let digest = is_quick.then(|| self.engine.digest().0);
        let end = End { why: "the server ended in order".to_owned(), digest };
        let result = recorder.borrow_mut().finish(&end);
        if let Err(why) = result {
            recorder::tell_of_end(&*self.platform, &why);
        }
    }

    fn record_step(&mut self, input: &Input<'_>, running: Option<&Mailbox>) {
        let Some(recorder) = &self.recorder else { return };
        let mut recorder = recorder.borrow_mut();
        recorder.step(self.now, input, running.map_or(0, |mailbox| mailbox.left.get()));
        let due = recorder.due();
        if let Some(why) = recorder.ended() {
            recorder::tell_of_end(&*self.platform, why);
            drop(recorder);
            self.recorder = None;
        } else if let Some(due) = due {
            drop(recorder);
            self.ring_clock_at(due);
        }
    }

    /// Hands over what was recorded if it is time; says when it will be.
    fn record_turn(&self, mono: Instant) -> Option<Instant> {
        let mut recorder = self.recorder.as_ref()?.borrow_mut();
        if recorder.due()? <= mono {
            recorder.hand_over();
        }
        recorder.due()
    }

    /// Tells the engine that output has left. No time passes for it.
    #[inline]
    pub(crate) fn sent(&mut self, conn: ConnId, len: usize) {
        let input = Input::Sent { conn, len };
        if self.recorder.is_some() {
            self.record_step(&input, None);
        }
        self.engine.step(self.now, input, &mut self.effects);
        if !self.effects.is_empty() {
            self.carry_out(None);
        }
    }

    /// How long the last step took.
    #[inline]
    pub(crate) fn last_step(&self) -> Micros {
        self.elapsed
    }

    /// Whether the last step gave other connections something to do.
    #[inline]
    pub(crate) fn woke_others(&self) -> bool {
        self.woke_others
    }

    /// Until when steps must wait, if they must.
    pub(crate) fn stalled_until(&self) -> Option<Instant> {
        self.stalled_until
    }

    /// Makes the connections write what they have and end.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        self.tls.stop();
        self.wake_all();
    }

    /// Gives the shared output buffer back after use.
    pub(crate) fn recycle_output(&mut self) {
        self.output.clear();
        if self.output.capacity() > OUTPUT_KEPT_BYTES_MAX {
            self.output = Vec::new();
        }
    }

    /// Does what is due by the clock, in a bounded step, and says what comes next.
    pub(crate) fn clock_turn(&mut self) -> Next {
        let mono = self.platform.mono();
        if let Some(until) = self.stalled_until {
            if mono < until {
                self.armed = until;
                return Next::At(until);
            }
            self.stalled_until = None;
            self.wake_all();
        }
        // While this task is busy, nobody needs to ring for it.
        self.armed = Instant(0);
        let watched = !self.mailboxes.is_empty();
        if watched && self.next_vitals <= mono {
            self.next_vitals = mono + VITALS_INTERVAL;
            if let Some(mut vitals) = self.platform.vitals() {
                vitals.handshakes = self.tls.figures();
                self.step(Input::Vitals(vitals), None);
            }
        }
        if self.engine.deadline().is_some_and(|(deadline, _)| deadline <= mono) {
            self.step(Input::Tick, None);
            return Next::Again;
        }
        let deadline = self.engine.deadline().map(|(deadline, _)| deadline);
        let record = self.record_turn(mono);
        let vitals = watched.then_some(self.next_vitals);
        let next = [deadline, vitals, record].into_iter().flatten().min();
        self.armed = next.unwrap_or(Instant(u64::MAX));
        next.map_or(Next::Never, Next::At)
    }

    /// Writes to the log.
    pub(crate) fn log(&self, level: LogLevel, text: &str) {
        self.platform.log(level, text);
    }

    fn ring_clock_at(&mut self, deadline: Instant) {
        if deadline < self.armed {
            self.armed = deadline;
            self.clock_bell.notify_one();
        }
    }

    fn wake_all(&self) {
        self.mailboxes.values().for_each(|mailbox| mailbox.wake());
    }

    fn post(&mut self, conn: ConnId, note: Notes, running: Option<&Mailbox>) {
        match running {
            Some(mailbox) if mailbox.conn == conn => mailbox.post(note),
            _ => {
                self.woke_others = true;
                if let Some(mailbox) = self.mailboxes.get(&conn) {
                    mailbox.post(note);
                    mailbox.wake();
                }
            }
        }
    }

    fn carry_out(&mut self, running: Option<&Mailbox>) {
        let mut effects = core::mem::take(&mut self.effects);
        let mut done = Vec::new();
        for effect in effects.drain() {
            match effect {
                Effect::Flush(conn) => self.post(conn, Notes::OUTPUT, running),
                Effect::Resume(conn) => self.post(conn, Notes::RESUME, running),
                Effect::Pause(conn) => self.post(conn, Notes::PAUSE, running),
                Effect::Close(conn) => self.post(conn, Notes::CLOSE, running),
                Effect::Abort(conn) => self.post(conn, Notes::ABORT, running),
                Effect::Stall(span) => self.stall(span),
                Effect::Log(level, text) => self.log(level, &text),
                Effect::RewriteConfig { conn, everything, .. } => {
                    let outcome = self.rewrite_config(everything);
                    done.push((conn, Outcome::ConfigRewritten(outcome)));
                }
                Effect::ReadUsers { conn } => {
                    let result = users_file::read(self.engine.config());
                    let result = result.unwrap_or_else(|| Err("no file is configured".to_owned()));
                    done.push((conn, Outcome::UsersRead(result)));
                }
                Effect::WriteUsers { conn, text } => {
                    done.push((conn, Outcome::UsersWritten(self.write_users(&text))));
                }
                Effect::Disk(order) => self.platform.order(order),
                Effect::Ready => self.order(Order::Announce),
                Effect::ApplyConfig { conn, names } => self.order(Order::Apply { conn, names }),
                Effect::Shutdown { exit_code } => self.order(Order::Shutdown { exit_code }),
            }
        }
        self.effects = effects;
        for (conn, outcome) in done {
            self.step(Input::Done { conn, outcome }, running);
        }
    }

    fn stall(&mut self, span: Micros) {
        let until = self.now.mono + span;
        self.stalled_until = self.stalled_until.max(Some(until));
        self.clock_bell.notify_one();
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.orders.push(order);
        self.order_bell.notify_one();
    }

    fn write_users(&self, text: &[u8]) -> Result<(), String> {
        let result = users_file::write(self.engine.config(), text);
        if let Err(why) = &result {
            self.log(LogLevel::Warning, &format!("Writing ACL file for ACL SAVE: {why}"));
        }
        result
    }

    fn rewrite_config(&self, everything: bool) -> Result<(), String> {
        let path = self.config_file.as_deref().ok_or("the server runs without a config file")?;
        let extent = if everything { Extent::Everything } else { Extent::Changed };
        config_file::rewrite(path, self.engine.config(), extent).map_err(|error| {
            self.log(LogLevel::Warning, &format!("CONFIG REWRITE failed: {error}"));
            error.to_string()
        })?;
        self.log(LogLevel::Notice, "CONFIG REWRITE executed with success.");
        Ok(())
    }
}

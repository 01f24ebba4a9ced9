//! One engine on one simulated disk, and nothing else: for short stories whose every operation on
//! files is written down, and for looking at what an engine makes of a disk.
//!
//! Invariant: orders are carried out one after the other in the order in which they were given,
//! without troubles; what [`Machine::events`] tells is what happened to the disk since the start.

use std::collections::VecDeque;

use bytes::BytesMut;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use orrery_engine::disk::{DiskAnswer, DiskOp, DiskOrder};
use orrery_engine::{
    Config, ConnId, Effect, Effects, Engine, Input, Instant, LogLevel, Now, Origin, Seed, Timer,
    UnixMicros,
};

use super::Disk;
use super::enumerate::Event;

/// The first second of 2026.
const EPOCH_US: u64 = 1_767_225_600_000_000;
/// What an operation takes, in microseconds.
const OPERATION_US: u64 = 100;
/// Steps that a story may take.
const STEPS_MAX: usize = 1 << 20;
/// The one client.
const CLIENT: ConnId = ConnId(1);

/// The engine and its disk.
pub struct Machine {
    /// The engine.
    pub engine: Engine,
    /// Its disk.
    pub disk: Disk,
    now: Now,
    effects: Effects,
    orders: VecDeque<DiskOrder>,
    events: Vec<Event>,
    reply: Vec<u8>,
    steps: usize,
    warning: String,
    ended: bool,
}

impl Machine {
    /// Starts an engine, which loads what is on the disk.
    ///
    /// # Errors
    /// Why it does not begin, in the engine's words.
    pub fn start(config: Config, disk: Disk) -> Result<Self, String> {
        let now = Now { mono: Instant(1), wall: UnixMicros(EPOCH_US) };
        let mut machine = Self {
            engine: Engine::new(config, Seed(1), now),
            disk,
            now,
            effects: Effects::new(),
            orders: VecDeque::new(),
            events: Vec::new(),
            reply: Vec::new(),
            steps: 0,
            warning: String::new(),
            ended: false,
        };
        machine.step(Input::Start);
        machine.settle();
        if machine.ended {
            return Err(machine.warning);
        }
        let address = |port| SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let origin = Origin::Tcp { peer: address(20_000), local: address(6_379) };
        machine.step(Input::Opened { conn: CLIENT, origin });
        Ok(machine)
    }

    /// What happened to the disk so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Sends a command, without waiting for the disk. What has been answered by then.
    pub fn send(&mut self, words: &[&str]) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.step(Input::Received { conn: CLIENT, bytes: &mut bytes });
        core::mem::take(&mut self.reply)
    }

    /// What was answered since the last answer was taken.
    pub fn said(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.reply)
    }

    /// Sends a command and lets the disk do all that is to be done. What was answered.
    pub fn ask(&mut self, words: &[&str]) -> Vec<u8> {
        let early = self.send(words);
        self.settle();
        [early, core::mem::take(&mut self.reply)].concat()
    }

    /// The disk does one operation, or the engine the next piece of its work on files; false: there
    /// is nothing to do. What is answered meanwhile comes with the next answer.
    pub fn turn(&mut self) -> bool {
        let Some(order) = self.orders.front_mut() else { return self.tick() };
        let ticket = order.ticket;
        let op = (!order.ops.is_empty()).then(|| order.ops.remove(0));
        let done = match &op {
            Some(op) => self.disk.carry_out(op),
            None => Ok(DiskAnswer::default()),
        };
        let is_last = order.ops.is_empty();
        // What was only looked at, or failed, is nothing that happened to the disk.
        let has_happened = done.is_ok() && !matches!(op, Some(DiskOp::Read { .. }));
        self.events.extend(op.filter(|_| has_happened).map(Event::Op));
        self.now.mono.0 += OPERATION_US;
        self.now.wall.0 += OPERATION_US;
        let result = match done {
            Ok(_) if !is_last => return true,
            Ok(answer) => Ok(answer),
            // Only reading what is not there fails here.
            Err(failure) => Err(failure.at(0)),
        };
        self.orders.pop_front();
        self.events.push(Event::Answered(ticket));
        self.step(Input::Disk { ticket, result });
        true
    }

    /// Lets everything be done.
    ///
    /// # Panics
    /// If that never ends.
    pub fn settle(&mut self) {
        while self.turn() {
            self.steps += 1;
            assert!(self.steps < STEPS_MAX, "a story ends");
        }
    }

    /// Lets the time come at which the engine goes on with files.
    fn tick(&mut self) -> bool {
        let Some((at, Timer::Files)) = self.engine.deadline() else { return false };
        let wait_us = at.0.saturating_sub(self.now.mono.0);
        self.now.mono.0 += wait_us;
        self.now.wall.0 += wait_us;
        self.step(Input::Tick);
        true
    }

    fn step(&mut self, input: Input<'_>) {
        self.engine.step(self.now, input, &mut self.effects);
        let effects: Vec<Effect> = self.effects.drain().collect();
        for effect in effects {
            match effect {
                Effect::Disk(order) => self.orders.push_back(order),
                Effect::Flush(conn) => self.engine.take_output(conn, &mut self.reply),
                Effect::Log(LogLevel::Warning, text) => self.warning = text,
                Effect::Shutdown { .. } => self.ended = true,
                _ => {}
            }
        }
    }
}

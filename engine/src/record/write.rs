//! Writes events into blocks.
//!
//! Invariant: an event costs no allocation but when a block grows beyond what its buffer holds.

use super::block::{BLOCK_HEADER_LEN, BlockHeader, Kind};
use super::event::{NO_CAPACITY, tag};
use super::roll;
use super::spelling::{fold, put_bytes, put_number};
use super::start::{End, Start, block};
use crate::disk::{DiskAnswer, DiskError, DiskErrorKind, DiskResult};
use crate::input::{ConnId, Handshakes, Input, Origin, Outcome, Vitals};
use crate::time::{Instant, Micros, Now};

/// Writes what goes into an engine and what it gives out.
#[derive(Debug)]
pub struct Writer {
    block: Vec<u8>,
    steps: u32,
    steps_before: u64,
    /// The clocks before the block.
    base: Now,
    /// The clocks of the last step.
    now: Now,
    conn: ConnId,
    /// How much was given out last.
    taken: usize,
    /// The capacity that a driver's buffer has if it does nothing unusual.
    capacity: u64,
    digest: u64,
}

impl Writer {
    /// A writer for an engine that was made at `now`; `buffer` becomes the first block.
    pub fn new(now: Now, buffer: Vec<u8>) -> Self {
        let mut writer = Self {
            block: Vec::new(),
            steps: 0,
            steps_before: 0,
            base: now,
            now,
            conn: ConnId(0),
            taken: 0,
            capacity: NO_CAPACITY,
            digest: 0,
        };
        writer.begin(buffer);
        writer
    }

    /// How long the block has become.
    #[inline]
    pub fn len(&self) -> usize {
        self.block.len()
    }

    /// Whether the block holds no events.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.block.len() == BLOCK_HEADER_LEN
    }

    /// The hash of all output so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// A step, before it is made. Of what was received, the first `known` bytes were handed in
    /// before and left.
    #[inline]
    pub fn step(&mut self, now: Now, input: &Input<'_>, known: usize) {
        self.steps += 1;
        match input {
            Input::Received { conn, bytes } => {
                let fresh = bytes.get(known..).unwrap_or_default();
                self.head(tag::RECEIVED, Some(*conn), Some(now), 0);
                put_bytes(&mut self.block, fresh);
            }
            Input::Sent { conn, len } => {
                let all = *len == self.taken;
                self.head(
                    tag::SENT,
                    Some(*conn),
                    Some(now),
                    if all { tag::AS_EXPECTED } else { 0 },
                );
                if !all {
                    put_number(&mut self.block, *len as u64);
                }
            }
            Input::Tick => self.head(tag::TICK, None, Some(now), 0),
            other => self.rare(now, other),
        }
    }

    #[cold]
    fn rare(&mut self, now: Now, input: &Input<'_>) {
        match input {
            Input::Opened { conn, origin } => {
                self.head(tag::OPENED, Some(*conn), Some(now), 0);
                put_origin(&mut self.block, origin);
            }
            Input::Closed { conn } => self.head(tag::CLOSED, Some(*conn), Some(now), 0),
            Input::Done { conn, outcome } => {
                self.head(tag::DONE, Some(*conn), Some(now), 0);
                put_outcome(&mut self.block, outcome);
            }
            Input::Vitals(vitals) => {
                self.head(tag::VITALS, None, Some(now), 0);
                put_vitals(&mut self.block, vitals);
            }
            Input::Disk { ticket, result } => {
                self.head(tag::DISK, None, Some(now), 0);
                put_number(&mut self.block, ticket.0);
                put_disk_result(&mut self.block, result);
            }
            Input::Start => self.head(tag::START, None, Some(now), 0),
            Input::Terminate { by_interrupt } => {
                self.head(tag::TERMINATE, None, Some(now), 0);
                self.block.push(u8::from(*by_interrupt));
            }
            Input::Received { .. } | Input::Sent { .. } | Input::Tick => {
                unreachable!("the common ones are written elsewhere")
            }
        }
    }

    /// What `note_elapsed` was told about the last step, and what its stopwatch read.
    #[inline]
    pub fn elapsed(&mut self, elapsed: Micros, readings: &[Instant]) {
        if readings.is_empty() {
            self.head(tag::ELAPSED, None, None, tag::AS_EXPECTED);
            put_number(&mut self.block, elapsed.0);
            return;
        }
        self.head(tag::ELAPSED, None, None, 0);
        put_number(&mut self.block, elapsed.0);
        put_number(&mut self.block, readings.len() as u64);
        let mut before = self.now.mono;
        for &reading in readings {
            put_number(&mut self.block, reading.0.wrapping_sub(before.0));
            before = reading;
        }
    }

    /// What `take_output` gave. `before` is the capacity of the buffer that was handed in if it was
    /// empty, `after` that of the buffer that came out.
    #[inline]
    pub fn taken(&mut self, conn: ConnId, before: Option<usize>, output: &[u8], after: usize) {
        let capacity = before.map_or(NO_CAPACITY, |capacity| capacity as u64);
        let expected = capacity == self.capacity;
        self.head(tag::TAKEN, Some(conn), None, if expected { tag::AS_EXPECTED } else { 0 });
        if !expected {
            put_number(&mut self.block, capacity.wrapping_add(1));
        }
        self.capacity = if before.is_some() { after as u64 } else { self.capacity };
        self.taken = output.len();
        put_number(&mut self.block, output.len() as u64);
        self.digest = roll(self.digest, conn, output);
        self.block.extend_from_slice(&(self.digest as u16).to_le_bytes());
    }

    /// Ends the block and goes on in `next`; gives the whole block.
    pub fn seal(&mut self, next: Vec<u8>) -> Vec<u8> {
        let header = self.header();
        let mut block = core::mem::take(&mut self.block);
        header.seal(&mut block);
        self.steps_before += u64::from(self.steps);
        self.steps = 0;
        self.begin(next);
        block
    }

    /// Gives a block that holds no events yet another buffer.
    pub fn lend(&mut self, buffer: Vec<u8>) {
        if self.is_empty() && buffer.capacity() > self.block.capacity() {
            self.begin(buffer);
        }
    }

    /// The block that ends a recording; what was written before must have been sealed.
    pub fn end(&self, end: &End) -> Vec<u8> {
        block(self.header(), Kind::End, |out| end.encode(out))
    }

    fn header(&self) -> BlockHeader {
        BlockHeader::events(self.steps, self.steps_before, self.base, self.digest)
    }

    fn begin(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.resize(BLOCK_HEADER_LEN, 0);
        self.block = buffer;
        self.base = self.now;
        self.conn = ConnId(0);
        self.taken = 0;
        self.capacity = NO_CAPACITY;
    }

    /// The tag with its flags, the connection and the time as far as they are not those of before.
    #[inline]
    fn head(&mut self, kind: u8, conn: Option<ConnId>, now: Option<Now>, flags: u8) {
        let place = self.block.len();
        let mut tag = kind | flags;
        self.block.push(tag);
        if let Some(conn) = conn {
            if conn == self.conn {
                tag |= tag::SAME_CONN;
            } else {
                put_number(&mut self.block, conn.0);
                self.conn = conn;
            }
        }
        if let Some(now) = now {
            if now == self.now {
                tag |= tag::SAME_TIME;
            } else {
                self.put_time(now);
            }
        }
        self.block[place] = tag;
    }

    #[inline]
    fn put_time(&mut self, now: Now) {
        let passed_us = now.mono.0.wrapping_sub(self.now.mono.0);
        let wall_us = now.wall.0.wrapping_sub(self.now.wall.0);
        put_number(&mut self.block, passed_us);
        put_number(&mut self.block, fold(wall_us.wrapping_sub(passed_us).cast_signed()));
        self.now = now;
    }
}

/// The whole first block of a recording.
pub fn sealed(start: &Start) -> Vec<u8> {
    let header = BlockHeader::events(0, 0, start.now, 0);
    block(header, Kind::Start, |out| start.encode(out))
}

fn put_origin(out: &mut Vec<u8>, origin: &Origin) {
    match origin {
        Origin::Tcp { peer, local } => {
            out.push(tag::TCP);
            put_bytes(out, peer.to_string().as_bytes());
            put_bytes(out, local.to_string().as_bytes());
        }
        Origin::Tls { peer, local, user } => {
            out.push(tag::TLS);
            put_bytes(out, peer.to_string().as_bytes());
            put_bytes(out, local.to_string().as_bytes());
            out.push(u8::from(user.is_some()));
            put_bytes(out, user.as_deref().unwrap_or_default().as_bytes());
        }
        Origin::Unix { path } => {
            out.push(tag::UNIX);
            put_bytes(out, path.as_bytes());
        }
    }
}

fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome) {
    let nothing = |result: &Result<(), String>| result.clone().map(|()| Vec::new());
    let (kind, result) = match outcome {
        Outcome::ConfigRewritten(result) => (tag::CONFIG_REWRITTEN, nothing(result)),
        Outcome::ConfigApplied(result) => (tag::CONFIG_APPLIED, nothing(result)),
        Outcome::UsersRead(result) => (tag::USERS_READ, result.clone()),
        Outcome::UsersWritten(result) => (tag::USERS_WRITTEN, nothing(result)),
    };
    out.push(kind);
    out.push(u8::from(result.is_err()));
    put_bytes(out, &result.unwrap_or_else(String::into_bytes));
}

fn put_disk_result(out: &mut Vec<u8>, result: &DiskResult) {
    match result {
        Ok(DiskAnswer { bytes, file_len }) => {
            out.push(tag::DISK_DONE);
            put_number(out, *file_len);
            put_bytes(out, bytes);
        }
        Err(DiskError { at, kind, text }) => {
            out.push(match kind {
                DiskErrorKind::NotFound => tag::DISK_NOT_FOUND,
                DiskErrorKind::NoSpace => tag::DISK_NO_SPACE,
                DiskErrorKind::Other => tag::DISK_OTHER,
            });
            put_number(out, *at as u64);
            put_bytes(out, text.as_bytes());
        }
    }
}

fn put_vitals(out: &mut Vec<u8>, vitals: &Vitals) {
    let Vitals { resident_bytes, machine_bytes, cpu_user_us, cpu_system_us, handshakes } = *vitals;
    let Handshakes { done, resumed, failed, pending } = handshakes;
    for number in
        [resident_bytes, machine_bytes, cpu_user_us, cpu_system_us, done, resumed, failed, pending]
    {
        put_number(out, number);
    }
}

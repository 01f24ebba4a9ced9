//! Reads the events of a block.
//!
//! Invariant: an event that is given out was whole; after an error there are no more.

use super::block::BlockHeader;
use super::spelling::{Cursor, Malformed, unfold};
use crate::disk::{DiskAnswer, DiskError, DiskErrorKind, DiskResult, Ticket};
use crate::input::{ConnId, Handshakes, Origin, Outcome, Vitals};
use crate::time::{Instant, Micros, Now, UnixMicros};

/// What an event's first byte says: its kind in the low four bits, and flags.
pub(super) mod tag {
    pub(in super::super) const OPENED: u8 = 1;
    pub(in super::super) const RECEIVED: u8 = 2;
    pub(in super::super) const SENT: u8 = 3;
    pub(in super::super) const CLOSED: u8 = 4;
    pub(in super::super) const DONE: u8 = 5;
    pub(in super::super) const VITALS: u8 = 6;
    pub(in super::super) const TICK: u8 = 7;
    pub(in super::super) const ELAPSED: u8 = 8;
    pub(in super::super) const TAKEN: u8 = 9;
    pub(in super::super) const DISK: u8 = 10;
    pub(in super::super) const START: u8 = 11;
    pub(in super::super) const TERMINATE: u8 = 12;
    /// The connection is that of the event before.
    pub(in super::super) const SAME_CONN: u8 = 0x10;
    /// Both clocks are those of the step before.
    pub(in super::super) const SAME_TIME: u8 = 0x20;
    /// `SENT`: all that was taken last. `TAKEN`: the buffer has the capacity that the last one had.
    /// `ELAPSED`: the stopwatch was not read.
    pub(in super::super) const AS_EXPECTED: u8 = 0x40;

    pub(in super::super) const TCP: u8 = 0;
    pub(in super::super) const TLS: u8 = 1;
    pub(in super::super) const UNIX: u8 = 2;

    pub(in super::super) const CONFIG_REWRITTEN: u8 = 0;
    pub(in super::super) const CONFIG_APPLIED: u8 = 1;
    pub(in super::super) const USERS_READ: u8 = 2;
    pub(in super::super) const USERS_WRITTEN: u8 = 3;

    pub(in super::super) const DISK_DONE: u8 = 0;
    pub(in super::super) const DISK_NOT_FOUND: u8 = 1;
    pub(in super::super) const DISK_NO_SPACE: u8 = 2;
    pub(in super::super) const DISK_OTHER: u8 = 3;
}

/// The buffer was not empty, or it is not known what it should be.
pub(super) const NO_CAPACITY: u64 = u64::MAX;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The engine made a step.
    Step {
        /// With this time.
        now: Now,
        /// With this input.
        input: Recorded<'a>,
    },
    /// The driver told how long the step before took.
    Elapsed {
        /// How long.
        elapsed: Micros,
        /// What the stopwatch read in it.
        readings: Vec<Instant>,
    },
    /// The driver took output.
    Taken {
        /// For whom.
        conn: ConnId,
        /// Into which buffer.
        capacity: Capacity,
        /// How much there was.
        len: usize,
        /// The low bits of the hash of all output, this one included.
        check: u16,
    },
}

/// An input as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded<'a> {
    /// See [`crate::Input::Opened`].
    Opened {
        /// Who.
        conn: ConnId,
        /// From where.
        origin: Origin,
    },
    /// See [`crate::Input::Received`]; only what came since the last time.
    Received {
        /// From whom.
        conn: ConnId,
        /// What is to be appended to what was left.
        fresh: &'a [u8],
    },
    /// See [`crate::Input::Sent`].
    Sent {
        /// To whom.
        conn: ConnId,
        /// How much.
        len: usize,
    },
    /// See [`crate::Input::Closed`].
    Closed {
        /// Who.
        conn: ConnId,
    },
    /// See [`crate::Input::Done`].
    Done {
        /// For whom.
        conn: ConnId,
        /// How it went.
        outcome: Outcome,
    },
    /// See [`crate::Input::Disk`].
    Disk {
        /// Which order.
        ticket: Ticket,
        /// How it went.
        result: DiskResult,
    },
    /// See [`crate::Input::Start`].
    Start,
    /// See [`crate::Input::Terminate`].
    Terminate {
        /// Whether by SIGINT.
        by_interrupt: bool,
    },
    /// See [`crate::Input::Vitals`].
    Vitals(Vitals),
    /// See [`crate::Input::Tick`].
    Tick,
}

/// The buffer that `take_output` was given: its capacity becomes the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// The buffer that came out the last time an empty one was handed in, emptied.
    Same,
    /// An empty one with this much room.
    Bytes(usize),
    /// One with something in it, which the engine only appends to.
    InUse,
}

/// The events of a block, one after the other.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    cursor: Cursor<'a>,
    now: Now,
    conn: ConnId,
    taken: usize,
    knows_capacity: bool,
    failed: bool,
}

impl<'a> Events<'a> {
    /// The events in the payload of a block with this header.
    pub fn new(header: &BlockHeader, payload: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(payload),
            now: header.now,
            conn: ConnId(0),
            taken: 0,
            knows_capacity: false,
            failed: false,
        }
    }

    fn event(&mut self) -> Result<Event<'a>, Malformed> {
        let tag = self.cursor.byte()?;
        let event = match tag & 0x0f {
            tag::ELAPSED => self.elapsed(tag)?,
            tag::TAKEN => self.taken(tag)?,
            _ => {
                let input = self.input(tag)?;
                Event::Step { now: self.now, input }
            }
        };
        Ok(event)
    }

    fn input(&mut self, tag: u8) -> Result<Recorded<'a>, Malformed> {
        Ok(match tag & 0x0f {
            tag::OPENED => {
                let conn = self.conn_and_time(tag)?;
                Recorded::Opened { conn, origin: origin(&mut self.cursor)? }
            }
            tag::RECEIVED => {
                let conn = self.conn_and_time(tag)?;
                Recorded::Received { conn, fresh: self.cursor.bytes()? }
            }
            tag::SENT => {
                let conn = self.conn_and_time(tag)?;
                let all = tag & tag::AS_EXPECTED != 0;
                let len = if all { self.taken } else { self.cursor.size()? };
                Recorded::Sent { conn, len }
            }
            tag::CLOSED => Recorded::Closed { conn: self.conn_and_time(tag)? },
            tag::DONE => {
                let conn = self.conn_and_time(tag)?;
                Recorded::Done { conn, outcome: outcome(&mut self.cursor)? }
            }
            tag::VITALS => {
                self.time(tag)?;
                Recorded::Vitals(vitals(&mut self.cursor)?)
            }
            tag::TICK => {
                self.time(tag)?;
                Recorded::Tick
            }
            tag::DISK => {
                self.time(tag)?;
                let ticket = Ticket(self.cursor.number()?);
                Recorded::Disk { ticket, result: disk_result(&mut self.cursor)? }
            }
            tag::START => {
                self.time(tag)?;
                Recorded::Start
            }
            tag::TERMINATE => {
                self.time(tag)?;
                Recorded::Terminate { by_interrupt: self.cursor.byte()? != 0 }
            }
            _ => return Err(Malformed("an event is of no known kind")),
        })
    }

    fn elapsed(&mut self, tag: u8) -> Result<Event<'a>, Malformed> {
        let elapsed = Micros(self.cursor.number()?);
        let mut readings = Vec::new();
        if tag & tag::AS_EXPECTED == 0 {
            let mut mono = self.now.mono.0;
            for _ in 0..self.cursor.size()? {
                mono = mono.wrapping_add(self.cursor.number()?);
                readings.push(Instant(mono));
            }
        }
        Ok(Event::Elapsed { elapsed, readings })
    }

    fn taken(&mut self, tag: u8) -> Result<Event<'a>, Malformed> {
        let conn = self.connection(tag)?;
        let capacity = if tag & tag::AS_EXPECTED == 0 {
            match self.cursor.number()?.wrapping_sub(1) {
                NO_CAPACITY => Capacity::InUse,
                bytes => Capacity::Bytes(
                    usize::try_from(bytes).map_err(|_| Malformed("a size is too large"))?,
                ),
            }
        } else if self.knows_capacity {
            Capacity::Same
        } else {
            Capacity::InUse
        };
        self.knows_capacity |= capacity != Capacity::InUse;
        self.taken = self.cursor.size()?;
        Ok(Event::Taken { conn, capacity, len: self.taken, check: self.cursor.u16()? })
    }

    fn connection(&mut self, tag: u8) -> Result<ConnId, Malformed> {
        if tag & tag::SAME_CONN == 0 {
            self.conn = ConnId(self.cursor.number()?);
        }
        Ok(self.conn)
    }

    fn time(&mut self, tag: u8) -> Result<(), Malformed> {
        if tag & tag::SAME_TIME == 0 {
            let passed_us = self.cursor.number()?;
            let drift_us = unfold(self.cursor.number()?);
            let mono = self.now.mono.0.checked_add(passed_us);
            let mono = mono.ok_or(Malformed("the clock goes back"))?;
            let wall_us = passed_us.wrapping_add_signed(drift_us);
            let wall = self.now.wall.0.wrapping_add(wall_us);
            self.now = Now { mono: Instant(mono), wall: UnixMicros(wall) };
        }
        Ok(())
    }

    fn conn_and_time(&mut self, tag: u8) -> Result<ConnId, Malformed> {
        let conn = self.connection(tag)?;
        self.time(tag)?;
        Ok(conn)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.is_at_end() {
            return None;
        }
        let event = self.event();
        self.failed = event.is_err();
        Some(event)
    }
}

fn origin(cursor: &mut Cursor<'_>) -> Result<Origin, Malformed> {
    let address = |cursor: &mut Cursor<'_>| {
        cursor.text()?.parse().map_err(|_| Malformed("an address cannot be read"))
    };
    Ok(match cursor.byte()? {
        tag::TCP => Origin::Tcp { peer: address(cursor)?, local: address(cursor)? },
        tag::TLS => {
            let (peer, local) = (address(cursor)?, address(cursor)?);
            let has_user = cursor.byte()? != 0;
            let user = Some(cursor.text()?.into_boxed_str()).filter(|_| has_user);
            Origin::Tls { peer, local, user }
        }
        tag::UNIX => Origin::Unix { path: cursor.text()? },
        _ => return Err(Malformed("a connection is of no known kind")),
    })
}

fn outcome(cursor: &mut Cursor<'_>) -> Result<Outcome, Malformed> {
    let (kind, failed) = (cursor.byte()?, cursor.byte()? != 0);
    if kind == tag::USERS_READ && !failed {
        return Ok(Outcome::UsersRead(Ok(cursor.bytes()?.to_vec())));
    }
    let why = cursor.text()?;
    let result = if failed { Err(why.clone()) } else { Ok(()) };
    match kind {
        tag::USERS_READ => Ok(Outcome::UsersRead(Err(why))),
        tag::USERS_WRITTEN => Ok(Outcome::UsersWritten(result)),
        tag::CONFIG_REWRITTEN => Ok(Outcome::ConfigRewritten(result)),
        tag::CONFIG_APPLIED => Ok(Outcome::ConfigApplied(result)),
        _ => Err(Malformed("an outcome is of no known kind")),
    }
}

fn disk_result(cursor: &mut Cursor<'_>) -> Result<DiskResult, Malformed> {
    let kind = match cursor.byte()? {
        tag::DISK_DONE => {
            let file_len = cursor.number()?;
            return Ok(Ok(DiskAnswer { file_len, bytes: cursor.bytes()?.to_vec() }));
        }
        tag::DISK_NOT_FOUND => DiskErrorKind::NotFound,
        tag::DISK_NO_SPACE => DiskErrorKind::NoSpace,
        tag::DISK_OTHER => DiskErrorKind::Other,
        _ => return Err(Malformed("an answer about a file is of no known kind")),
    };
    Ok(Err(DiskError { at: cursor.size()?, kind, text: cursor.text()? }))
}

fn vitals(cursor: &mut Cursor<'_>) -> Result<Vitals, Malformed> {
    Ok(Vitals {
        resident_bytes: cursor.number()?,
        machine_bytes: cursor.number()?,
        cpu_user_us: cursor.number()?,
        cpu_system_us: cursor.number()?,
        handshakes: Handshakes {
            done: cursor.number()?,
            resumed: cursor.number()?,
            failed: cursor.number()?,
            pending: cursor.number()?,
        },
    })
}

//! The task of one server's connection: makes it, reads from it, makes it again when it broke.
//!
//! Invariants: a server is tried again after pauses that grow up to a bound; a server that is not
//! the one that it was taken for, or the same as another, is left alone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use orrery_base::encode::command;
use orrery_base::time::Micros;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::address::Address;
use crate::facts::{Facts, Roster};
use crate::hub::Hub;
use crate::link::GiveUp;
use crate::news;
use crate::primary::Whereabouts;
use crate::reply::{self, Value};
use crate::stream::{Dialer, Reader, Stream, Writer};

/// The first pause before a server is tried again, and the longest.
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(20);
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often a connection is looked at whose server says nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Round trips that are measured when a server is greeted.
const ROUND_TRIPS: usize = 3;
pub(crate) const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// A connection that has been greeted.
pub(crate) struct Greeted {
    pub(crate) address: Address,
    pub(crate) stream: Stream,
    pub(crate) facts: Facts,
}

/// Connects and finds out who is there.
pub(crate) async fn greet(address: &Address, dialer: &Dialer) -> io::Result<Greeted> {
    let greeting = async {
        let mut stream = connect(address, dialer).await?;
        let info = |section: &'static str| [b"INFO".to_vec(), section.as_bytes().to_vec()];
        let questions = [
            [b"COMMAND".to_vec(), b"INFO".to_vec(), b"DELEX".to_vec()].to_vec(),
            info("server").to_vec(),
            info("replication").to_vec(),
            info("memory").to_vec(),
        ];
        let mut out = Vec::new();
        for words in &questions {
            command(&mut out, words.iter().map(Vec::as_slice));
        }
        let mut speaker = Speaker { stream: &mut stream, pending: Vec::new() };
        speaker.say(&out).await?;
        let delex = speaker.hear().await?;
        let mut infos = Vec::new();
        for _ in 1..questions.len() {
            infos.push(speaker.hear().await?);
        }
        let mut round_trip = Duration::MAX;
        for _ in 0..ROUND_TRIPS {
            let start = Instant::now();
            speaker.say(PING).await?;
            speaker.hear().await?;
            round_trip = round_trip.min(start.elapsed());
        }
        let facts = Facts::read(&infos, &delex, round_trip);
        Ok(Greeted { address: address.clone(), stream, facts })
    };
    timeout(dialer.patience, greeting).await.unwrap_or_else(|_| Err(late()))
}

/// Asks one thing, over a connection of its own.
pub(crate) async fn ask(address: &Address, dialer: &Dialer, words: &[&[u8]]) -> io::Result<Value> {
    let asking = async {
        let mut stream = connect(address, dialer).await?;
        let mut out = Vec::new();
        command(&mut out, words.iter().copied());
        let mut speaker = Speaker { stream: &mut stream, pending: Vec::new() };
        speaker.say(&out).await?;
        speaker.hear().await
    };
    timeout(dialer.patience, asking).await.unwrap_or_else(|_| Err(late()))
}

/// Connects as whom the address says, to the database that it says; waits while the server loads.
pub(crate) async fn connect(address: &Address, dialer: &Dialer) -> io::Result<Stream> {
    let mut stream = dialer.connect(address.place()).await?;
    let mut out = Vec::new();
    let mut words: Vec<&[u8]> = address.credentials().collect();
    if !words.is_empty() {
        words.insert(0, b"AUTH");
        command(&mut out, words.iter().copied());
    }
    let database = address.database().to_string();
    if address.database() > 0 {
        command(&mut out, [b"SELECT".as_slice(), database.as_bytes()]);
    }
    let replies = usize::from(!words.is_empty()) + usize::from(address.database() > 0);
    let mut speaker = Speaker { stream: &mut stream, pending: Vec::new() };
    speaker.say(&out).await?;
    for _ in 0..replies {
        refused(speaker.hear().await?)?;
    }
    loop {
        speaker.say(PING).await?;
        match speaker.hear().await? {
            Value::Error(said) if said.starts_with(b"LOADING") => sleep(PAUSE_MIN).await,
            said => return refused(said).map(|()| stream),
        }
    }
}

pub(crate) fn refused(said: Value) -> io::Result<()> {
    let Value::Error(said) = said else { return Ok(()) };
    let said = String::from_utf8_lossy(&said).into_owned();
    Err(io::Error::new(io::ErrorKind::PermissionDenied, said))
}

/// Asks one thing after another, while nobody else does.
pub(crate) struct Speaker<'a> {
    pub(crate) stream: &'a mut Stream,
    /// What has come and was not heard yet.
    pub(crate) pending: Vec<u8>,
}

impl Speaker<'_> {
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Nothing is lost if nobody waits for it to the end.
    pub(crate) async fn hear(&mut self) -> io::Result<Value> {
        loop {
            match reply::read(&self.pending) {
                Ok(Some((value, len))) => {
                    self.pending.drain(..len);
                    return Ok(value);
                }
                Ok(None) => {}
                Err(reply::Odd) => return Err(odd()),
            }
            if self.stream.read_buf(&mut self.pending).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A connection that requests are written to.
pub(crate) struct Attached {
    address: Address,
    reader: Reader,
    writer: Arc<Writer>,
}

/// A server that is to be kept connected.
pub(crate) struct Keeper {
    pub(crate) hub: Arc<Hub>,
    pub(crate) node: usize,
    pub(crate) server: Arc<Whereabouts>,
    pub(crate) dialer: Dialer,
    /// How long it may owe an answer.
    pub(crate) stall: Duration,
    pub(crate) roster: Arc<Roster>,
    /// Whether the server is to tell that locks are gone.
    pub(crate) hears_of_losses: bool,
}

impl Keeper {
    /// Keeps the connection for ever, beginning with one that is there already.
    pub(crate) async fn keep(self, mut first: Option<Attached>) {
        let mut pause = PAUSE_MIN;
        loop {
            let attached = match first.take() {
                Some(attached) => Ok(attached),
                None => self.connect().await,
            };
            let why = match attached {
                Ok(attached) => {
                    pause = PAUSE_MIN;
                    let why = self.serve(attached).await;
                    self.hub.detach(self.node);
                    why.to_string()
                }
                Err(why) => why,
            };
            tracing::warn!(server = %self.server, why, "not connected");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Hands a connection to those who ask.
    pub(crate) fn attach(&self, greeted: Greeted) -> Attached {
        let Facts { dialect, round_trip, .. } = greeted.facts;
        let ttl = Duration::from_millis(self.hub.ttl_ms());
        if ttl < round_trip * 2 {
            let server = &greeted.address;
            tracing::warn!(%server, ?round_trip, ?ttl, "locks are over when they are there");
        }
        let (reader, writer) = greeted.stream.into_split();
        let writer = Arc::new(writer);
        self.hub.attach(self.node, Arc::clone(&writer), dialect, round_trip);
        // Who listens goes there, too, and finds everything in place.
        self.server.note(&greeted.address);
        tracing::debug!(server = %greeted.address, ?dialect, "connected");
        Attached { address: greeted.address, reader, writer }
    }

    async fn connect(&self) -> Result<Attached, String> {
        let greeted = self.server.source.greet(&self.dialer).await;
        let greeted = greeted.map_err(|error| error.to_string())?;
        let fit = self.roster.admit(self.node, &greeted.facts);
        fit.map_err(|unfit| unfit.to_string())?;
        Ok(self.attach(greeted))
    }

    /// Reads what the server says until the connection breaks.
    async fn serve(&self, Attached { address, mut reader, writer }: Attached) -> io::Error {
        let moved = self.server.source.moved(&address, &self.dialer);
        let news = news::hear(&self.hub, self.node, &address, &self.dialer);
        tokio::pin!(moved, news);
        let wake = self.hub.wake(self.node);
        let mut looks = interval(LOOK_EVERY.min(self.stall));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut bytes = Vec::with_capacity(READ_BYTES);
        let stall = Micros(self.stall.as_micros() as u64);
        let stall = stall.max(Micros::from_millis(self.hub.node_timeout_ms() * 4));
        let mut is_full = false;
        loop {
            tokio::select! {
                biased;
                read = reader.read_buf(&mut bytes) => match read {
                    Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                    Ok(_) => match self.hub.received(self.node, &bytes) {
                        Ok(len) => drop(bytes.drain(..len)),
                        Err(GiveUp::Odd) => return odd(),
                        Err(GiveUp::Demoted) => return demoted(),
                    },
                    Err(error) => return error,
                },
                () = wake.notified() => match self.hub.write_out(self.node) {
                    Ok(is_left) => is_full = is_left,
                    Err(error) => return error,
                },
                room = writer.writable(), if is_full => {
                    match room.and_then(|()| self.hub.write_out(self.node)) {
                        Ok(is_left) => is_full = is_left,
                        Err(error) => return error,
                    }
                }
                () = &mut moved => return io::Error::other("sentinels name another primary"),
                () = &mut news, if self.hears_of_losses => {}
                _ = looks.tick() => if self.hub.is_silent(self.node, stall) {
                    return io::Error::new(io::ErrorKind::TimedOut, "it owes answers for too long");
                },
            }
        }
    }
}

fn demoted() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "it is a primary no more")
}

pub(crate) fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer in time")
}

pub(crate) fn odd() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what it says is no answer of a Redis")
}

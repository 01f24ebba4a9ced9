//! Runs a recording of a server through an engine and compares what comes out, byte for byte.
//!
//! Invariants: the engine gets exactly the recorded inputs, in their order, with their clocks, and
//! buffers of the recorded sizes, so that even the memory that it accounts for is the same; files
//! that are damaged give an error or a shorter replay, never a panic of the replayer.

mod parts;
mod player;
mod show;
mod stop;

use orrery_engine::Now;
use orrery_engine::record::{BLOCK_HEADER_LEN, End, Event, Events, Kind, Start};

pub use parts::{Parts, Place, Unreadable};
pub use player::{Difference, Player, Trouble, step_now};
pub use show::{Shown, show};
pub use stop::Until;

/// When and what for a replay is to stop.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to stop.
    pub until: Option<Until>,
    /// Stop before the first command whose line matches this pattern.
    pub command: Option<String>,
}

/// What came of a replay.
#[derive(Debug)]
pub struct Report {
    /// What the recording began with.
    pub start: Start,
    /// The verdict.
    pub verdict: Verdict,
    /// Steps that were made.
    pub steps: u64,
    /// How often output was taken.
    pub outputs: u64,
    /// How much output there was.
    pub output_bytes: u64,
    /// How long the recording was as far as it was replayed.
    pub bytes: u64,
    /// The clocks of the last step.
    pub now: Now,
    /// Why it stopped before the end, if it did.
    pub stopped: Option<String>,
    /// How the recording ended: its own words, or what its files look like.
    pub end: Option<String>,
    /// Whether the digest of the data was compared.
    pub digest_compared: bool,
}

/// Whether the replay was the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In every byte, as far as it went.
    Same,
    /// Something else came out.
    Differs(Box<Difference>),
    /// The same up to here, but the recording is damaged in the middle.
    Damaged(String),
}

/// A replay that can be looked at when it has stopped.
pub struct Replay {
    parts: Parts,
    player: Player,
    start: Start,
    options: Options,
    end: Option<String>,
    digest_compared: bool,
}

/// How one block went.
enum Went {
    On,
    Over(Verdict),
    Stopped(String),
}

impl Replay {
    /// Reads the beginning of a recording.
    pub fn open(mut parts: Parts, options: Options) -> Result<Self, String> {
        let mut block = Vec::new();
        let header = match parts.next(&mut block) {
            Ok(Some(header)) if header.kind == Kind::Start => header,
            Ok(_) => return Err("it does not begin with what its engine was made from".to_owned()),
            Err(unreadable) => return Err(unreadable.to_string()),
        };
        debug_assert_eq!(header.payload_len as usize, block.len() - BLOCK_HEADER_LEN);
        let start = Start::decode(&block[BLOCK_HEADER_LEN..]).map_err(|why| why.to_string())?;
        let player = Player::new(&start)?;
        Ok(Self { parts, player, start, options, end: None, digest_compared: false })
    }

    /// What the recording began with.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// How long the recording's files are, in bytes.
    pub fn bytes_total(&self) -> u64 {
        self.parts.bytes_total()
    }

    /// The engine, to look at.
    pub fn engine(&self) -> &orrery_engine::Engine {
        self.player.engine()
    }

    /// Replays until the end or the stop; `progress` hears of the bytes and steps so far.
    pub fn run(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Report {
        let mut block = Vec::new();
        let mut stopped = None;
        let verdict = loop {
            progress(self.parts.bytes_read(), self.player.steps());
            let header = match self.parts.next(&mut block) {
                Ok(Some(header)) => header,
                Ok(None) => {
                    self.end.get_or_insert_with(|| {
                        "without a word: the server was killed or its files were full".to_owned()
                    });
                    break Verdict::Same;
                }
                Err(Unreadable { place, why, torn: true }) => {
                    self.end = Some(format!("torn at {place}: {why}; replayed up to there"));
                    break Verdict::Same;
                }
                Err(unreadable) => break Verdict::Damaged(unreadable.to_string()),
            };
            let went = match header.kind {
                Kind::Start => Went::Over(self.damaged("a second beginning")),
                Kind::End => self.end(&block[BLOCK_HEADER_LEN..]),
                Kind::Events if header.steps_before != self.player.steps() => {
                    Went::Over(self.damaged("a block is missing"))
                }
                Kind::Events => match self.player.may_follow(&header) {
                    Ok(()) => self.events(&mut Events::new(&header, &block[BLOCK_HEADER_LEN..])),
                    Err(why) => Went::Over(self.damaged(why)),
                },
            };
            match went {
                Went::On if header.kind != Kind::End && header.digest != self.player.digest() => {
                    let what = "the hash of all replies is another at the end of a block";
                    break Verdict::Differs(Box::new(self.player.difference(what)));
                }
                Went::On => {}
                Went::Over(verdict) => break verdict,
                Went::Stopped(why) => {
                    stopped = Some(why);
                    break Verdict::Same;
                }
            }
        };
        self.report(verdict, stopped)
    }

    fn report(&self, verdict: Verdict, stopped: Option<String>) -> Report {
        let (outputs, output_bytes) = self.player.outputs();
        Report {
            start: self.start.clone(),
            verdict,
            steps: self.player.steps(),
            outputs,
            output_bytes,
            bytes: self.parts.bytes_read(),
            now: self.player.now(),
            stopped,
            end: self.end.clone(),
            digest_compared: self.digest_compared,
        }
    }

    fn damaged(&self, why: &str) -> Verdict {
        Verdict::Damaged(format!("{}: {why}", self.parts.place()))
    }

    fn events(&mut self, events: &mut Events<'_>) -> Went {
        let mut events = events.peekable();
        while let Some(event) = events.next() {
            // What the stopwatch read in a step was written when the step was over.
            let next = events.peek().and_then(|next| next.as_ref().ok());
            if let (Ok(Event::Step { .. }), next) = (&event, next) {
                match next {
                    Some(Event::Elapsed { readings, .. }) => self.player.expect(readings),
                    _ => self.player.expect(&[]),
                }
            }
            let event = match event {
                Ok(event) => event,
                Err(why) => return Went::Over(self.damaged(why.0)),
            };
            if let Some(why) = stop::before(&self.options, &self.start, &mut self.player, &event) {
                return Went::Stopped(why);
            }
            match self.player.play(event) {
                Ok(()) => {}
                Err(Trouble::Nonsense(why)) => return Went::Over(self.damaged(why)),
                Err(Trouble::Differs(difference)) => {
                    return Went::Over(Verdict::Differs(difference));
                }
            }
        }
        Went::On
    }

    fn end(&mut self, payload: &[u8]) -> Went {
        let end = match End::decode(payload) {
            Ok(end) => end,
            Err(why) => return Went::Over(self.damaged(why.0)),
        };
        self.end = Some(end.why);
        if let Some(digest) = end.digest {
            self.digest_compared = true;
            if self.player.engine().digest().0 != digest {
                let what = "the data is another at the end";
                return Went::Over(Verdict::Differs(Box::new(self.player.difference(what))));
            }
        }
        Went::On
    }
}

//! The flight recorder: writes everything that goes into the engine to a sink, and a hash of what
//! comes out, so that the run can be made again.
//!
//! Invariants: a step never waits for the sink; an event is written before its step is made, so
//! that the recording of a server that dies has the input it died of; when the sink can take no
//! more the recording ends and the server goes on.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use orrery_engine::record::{End, Start, Writer, sealed};
use orrery_engine::{ConnId, Input, Instant, LogLevel, Micros, Now};

use crate::platform::Platform;

/// A block is handed over when it has become this long.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;
/// And at the latest this long after its first event.
const BLOCK_AGE: Micros = Micros::from_secs(1);

/// Where a recording goes.
pub trait RecordSink {
    /// Takes a whole block without waiting and gives an empty buffer back, or says why the
    /// recording has to end.
    fn put(&mut self, block: Vec<u8>) -> Result<Vec<u8>, String>;

    /// Takes the last block and waits until everything is where it belongs.
    fn finish(&mut self, block: Vec<u8>) -> Result<(), String>;
}

/// A recording that is being made.
pub(crate) struct Recorder {
    writer: Writer,
    sink: Box<dyn RecordSink>,
    /// When the block is to be handed over at the latest; none while it is empty.
    due: Option<Instant>,
    /// Why there is nothing more to record, if the sink took no more.
    ended: Option<String>,
}

/// How a node and who rescues a recording share it.
pub(crate) type RecorderRef = Rc<RefCell<Recorder>>;

thread_local! {
    /// The recording of this thread's server, to be rescued when it panics.
    static RECORDING: RefCell<Weak<RefCell<Recorder>>> = RefCell::default();
}

impl Recorder {
    /// Begins a recording of an engine that has just been made.
    pub(crate) fn begin(
        mut sink: Box<dyn RecordSink>,
        start: &Start,
    ) -> Result<RecorderRef, String> {
        let buffer = sink.put(sealed(start))?;
        let writer = Writer::new(start.now, buffer);
        let recorder = Rc::new(RefCell::new(Self { writer, sink, due: None, ended: None }));
        RECORDING.with(|known| known.replace(Rc::downgrade(&recorder)));
        Ok(recorder)
    }

    /// A step that is about to be made; of what was received, `known` bytes are known.
    #[inline]
    pub(crate) fn step(&mut self, now: Now, input: &Input<'_>, known: usize) {
        if self.writer.len() >= BLOCK_BYTES {
            self.hand_over();
        }
        if self.due.is_none() {
            self.due = Some(now.mono + BLOCK_AGE);
        }
        self.writer.step(now, input, known);
    }

    /// How long the step took, and what its stopwatch read.
    #[inline]
    pub(crate) fn elapsed(&mut self, elapsed: Micros, readings: &[Instant]) {
        self.writer.elapsed(elapsed, readings);
    }

    /// What was taken out; see [`Writer::taken`].
    #[inline]
    pub(crate) fn taken(&mut self, conn: ConnId, before: Option<usize>, out: &[u8], after: usize) {
        self.writer.taken(conn, before, out, after);
    }

    /// When to call `hand_over` at the latest.
    #[inline]
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Gives the sink what there is.
    pub(crate) fn hand_over(&mut self) {
        self.due = None;
        if self.writer.is_empty() {
            return;
        }
        // The buffer that comes back is only known after the one that leaves was given.
        let block = self.writer.seal(Vec::new());
        match self.sink.put(block) {
            Ok(buffer) => self.writer.lend(buffer),
            Err(why) => self.ended = Some(why),
        }
    }

    /// Whether and why the sink took no more.
    #[inline]
    pub(crate) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Ends the recording and waits for the sink.
    pub(crate) fn finish(&mut self, end: &End) -> Result<(), String> {
        self.hand_over();
        match self.ended.take() {
            Some(why) => Err(why),
            None => self.sink.finish(self.writer.end(end)),
        }
    }
}

/// Saves what a server of this thread has recorded up to its panic: for a panic hook. A panic
/// of the recorder itself leaves nothing to save.
pub fn rescue() {
    let recorder = RECORDING.try_with(|known| known.try_borrow().ok()?.upgrade());
    if let Some(recorder) = recorder.ok().flatten()
        && let Ok(mut recorder) = recorder.try_borrow_mut()
    {
        let end = End { why: "the server panicked".to_owned(), digest: None };
        // The panic itself is what matters.
        drop(recorder.finish(&end));
    }
}

/// Tells that a recording has ended before its server.
pub(crate) fn tell_of_end<P: Platform>(platform: &P, why: &str) {
    let text = format!("The recording has ended, the server goes on: {why}");
    platform.log(LogLevel::Warning, &text);
}

#[cfg(test)]
mod tests {
    use orrery_engine::record::{BLOCK_HEADER_LEN, BlockHeader, Kind};
    use orrery_engine::{Facts, Seed};

    use super::*;

    #[derive(Clone, Default)]
    struct Blocks {
        taken: Rc<RefCell<Vec<Vec<u8>>>>,
        room: Option<usize>,
    }

    impl RecordSink for Blocks {
        fn put(&mut self, block: Vec<u8>) -> Result<Vec<u8>, String> {
            let mut taken = self.taken.borrow_mut();
            if self.room.is_some_and(|room| taken.len() >= room) {
                return Err("no room".to_owned());
            }
            taken.push(block);
            Ok(Vec::new())
        }

        fn finish(&mut self, block: Vec<u8>) -> Result<(), String> {
            self.put(block).map(drop)
        }
    }

    fn begin(sink: Blocks) -> RecorderRef {
        let start = Start {
            version: "1".to_owned(),
            seed: Seed(1),
            now: Now::default(),
            directives: Vec::new(),
            facts: Facts::default(),
            secret: None,
            users: None,
        };
        Recorder::begin(Box::new(sink), &start).unwrap()
    }

    #[test]
    fn a_panic_saves_the_step_that_it_came_from() {
        let sink = Blocks::default();
        let recorder = begin(sink.clone());
        recorder.borrow_mut().step(Now::default(), &Input::Tick, 0);
        rescue();
        let taken = sink.taken.borrow();
        let headers = taken.iter().map(|block| BlockHeader::decode(block).unwrap());
        let kinds: Vec<_> = headers.map(|header| (header.kind, header.steps)).collect();
        assert_eq!(kinds, [(Kind::Start, 0), (Kind::Events, 1), (Kind::End, 0)]);
        let end = End::decode(&taken[2][BLOCK_HEADER_LEN..]).unwrap();
        assert_eq!(end.why, "the server panicked");
        drop(recorder);
        rescue();
        assert_eq!(taken.len(), 3, "there is nothing left to save");
    }

    #[test]
    fn a_sink_that_is_full_ends_the_recording() {
        let recorder = begin(Blocks { room: Some(2), ..Blocks::default() });
        let mut recorder = recorder.borrow_mut();
        recorder.hand_over();
        assert_eq!((recorder.due(), recorder.ended()), (None, None), "there was nothing");
        for ended in [None, Some("no room")] {
            recorder.step(Now::default(), &Input::Tick, 0);
            assert_eq!(recorder.due(), Some(Instant(0) + BLOCK_AGE));
            recorder.hand_over();
            assert_eq!(recorder.ended(), ended);
        }
        let end = End { why: String::new(), digest: None };
        assert_eq!(recorder.finish(&end), Err("no room".to_owned()));
    }
}

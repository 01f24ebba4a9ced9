//! Where a replay stops before its end: at a step, at a time, before a command.

use bytes::BytesMut;
use jiff::Timestamp;
use orrery_engine::args::Args;
use orrery_engine::record::{Event, Recorded, Start};
use orrery_engine::resp::{Limits, Parsed, Parser};
use orrery_engine::value::glob;
use orrery_engine::{ConnId, Micros, Now, UnixMicros};

use super::Options;
use super::player::Player;

/// Where to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many steps.
    Step(u64),
    /// So long after the start.
    Elapsed(Micros),
    /// At this time of day.
    Wall(UnixMicros),
}

impl Until {
    /// Reads a number of steps, a span such as `1.5s`, or a time such as `2026-11-20T17:00:00Z`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(step) = text.parse() {
            return Ok(Self::Step(step));
        }
        let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6), ("h", 3600e6)];
        for (unit, micros) in units {
            if let Some(number) = text.strip_suffix(unit)
                && let Ok(number) = number.parse::<f64>()
                && number >= 0.0
            {
                return Ok(Self::Elapsed(Micros((number * micros) as u64)));
            }
        }
        let wall = text.parse::<Timestamp>().ok();
        let wall = wall.and_then(|time| u64::try_from(time.as_microsecond()).ok());
        wall.map(|micros| Self::Wall(UnixMicros(micros))).ok_or_else(|| {
            "give a number of steps (1000), a span since the start (1.5s, 20ms, 3m) or a time \
             (2026-11-20T17:00:00Z)"
                .to_owned()
        })
    }

    fn is_reached(self, start: &Start, steps: u64, now: Now) -> bool {
        match self {
            Self::Step(last) => steps >= last,
            Self::Elapsed(span) => now.mono.since(start.now.mono) > span,
            Self::Wall(time) => now.wall > time,
        }
    }
}

/// Whether the replay stops before an event, and why. Before a command that stands behind others in
/// what was received at once, those others are run first.
pub(super) fn before(
    options: &Options,
    start: &Start,
    player: &mut Player,
    event: &Event<'_>,
) -> Option<String> {
    let Event::Step { now, input } = event else { return None };
    if options.until.is_some_and(|until| until.is_reached(start, player.steps(), *now)) {
        return Some(format!("after step {}", player.steps()));
    }
    let Recorded::Received { conn, fresh } = input else { return None };
    let pattern = options.command.as_deref()?;
    let found = find(player, *conn, fresh, pattern.as_bytes())?;
    let next = player.steps() + 1;
    let mut stop = format!("in step {next}, before {} from client {}", found.line, conn.0);
    if found.offset > 0 {
        let fresh = &fresh[..found.offset.min(fresh.len())];
        let input = Recorded::Received { conn: *conn, fresh };
        if player.step(*now, input).is_err() || !player.left(*conn).is_empty() {
            stop.push_str("; some commands of the same client before it wait as well");
        }
    }
    Some(stop)
}

/// A command that matches, in what a client has sent.
struct Found {
    line: String,
    /// Where it begins, counted from the fresh bytes; before them counts as 0.
    offset: usize,
}

fn find(player: &Player, conn: ConnId, fresh: &[u8], pattern: &[u8]) -> Option<Found> {
    let session = player.engine().state().sessions.find(conn)?;
    if session.blocked.is_some() || session.closing {
        return None;
    }
    let left = player.left(conn);
    let mut bytes = BytesMut::from(left);
    bytes.extend_from_slice(fresh);
    let bulk_bytes_max = player.engine().config().proto_max_bulk_len;
    let limits = Limits { bulk_bytes_max, unauthenticated: false };
    let mut parser = Parser::default();
    let mut taken = 0;
    loop {
        match parser.parse(&mut bytes[taken..], limits) {
            Parsed::Incomplete | Parsed::Error(_) => return None,
            Parsed::Empty { consumed } => taken += consumed,
            Parsed::Command { consumed } => {
                let args = Args::new(&bytes[taken..], parser.words());
                let line: Vec<u8> = args.from(0).collect::<Vec<_>>().join(&b' ');
                if glob::matches_ignoring_case(pattern, &line) {
                    let shown = &line[..line.len().min(200)];
                    let line = shown.escape_ascii().to_string();
                    return Some(Found { line, offset: taken.saturating_sub(left.len()) });
                }
                parser.reset();
                taken += consumed;
            }
        }
    }
}

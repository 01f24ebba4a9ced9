//! What happens before and after every command, for all who observe it.
//!
//! Invariant: a quick, small command that nobody watches is only counted; its duration is its share
//! of what the step took. A command that another one carries is counted and measured, and shown
//! only as a part of that one.

use super::redact::shortened;
use super::spec::{Flags, Group};
use super::table::Row;
use super::{Cx, hotkeys_count, monitor_line};
use crate::args::Args;
use crate::config::LogLimits;
use crate::observe::{CommandLog, Entry, Observer};
use crate::session::{Blocked, Session};
use crate::state::State;
use crate::time::{Instant, Micros, Now};

/// A command that is said to be quick may not be with more words than this.
const QUICK_WORDS_MAX: usize = 16;

/// A command that is measured and has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// What the stopwatch said.
    reading: Option<Instant>,
    stalled: Micros,
    /// How many quick commands had run.
    untimed: usize,
    /// How much time had been given to commands.
    given: Micros,
    /// It is one of those that are looked at for hot keys.
    is_sampled: bool,
}

/// What became of a command that was measured.
struct Ended {
    row: &'static Row,
    /// How long it took, pauses that it asked for included.
    duration: Micros,
    /// Whether that is known.
    is_known: bool,
    /// It waits, and has not replied.
    is_waiting: bool,
    reply_bytes: usize,
}

/// To be called before a command; what it returns goes to [`end`].
#[inline]
pub(crate) fn begin(cx: &mut Cx<'_>, args: Args<'_>) -> Option<Begun> {
    let is_quick = cx.row.is_quick && args.len() <= QUICK_WORDS_MAX;
    let is_sampled = cx.state.observer.hot_keys.is_turn();
    if is_quick && !is_sampled && !cx.state.observer.is_watchful {
        return None;
    }
    Some(begin_measured(cx, args, is_sampled))
}

fn begin_measured(cx: &mut Cx<'_>, args: Args<'_>, is_sampled: bool) -> Begun {
    // What a script calls is shown behind it.
    let flags = cx.row.command.flags;
    if flags.has(Flags::SKIP_MONITOR) && !cx.is_carried && !cx.state.observer.monitors.is_empty() {
        monitor_line::feed(cx, args);
    }
    let reading = cx.fx.stopwatch.read();
    let timing = &mut cx.state.observer.timing;
    timing.mark = reading.unwrap_or(timing.mark);
    let (untimed, given) = (timing.untimed.len(), timing.given);
    Begun { reading, stalled: cx.fx.stalled(), untimed, given, is_sampled }
}

/// To be called after a command of `row` whose reply begins at `start`.
#[inline]
pub(crate) fn end(
    cx: &mut Cx<'_>,
    row: &'static Row,
    args: Args<'_>,
    start: usize,
    begun: Option<Begun>,
) {
    let observer = &mut cx.state.observer;
    let reply_bytes = cx.reply.out.len().saturating_sub(start);
    let is_small =
        reply_bytes < observer.notice_reply_bytes && args.extent() < observer.notice_request_bytes;
    if begun.is_none() && is_small {
        // What Lua took between the commands of a script cannot be told from them.
        if !cx.session.is_script {
            observer.timing.untimed.push(row.index);
        }
        return;
    }
    let ended = end_measured(cx, row, reply_bytes, begun);
    if cx.is_carried {
        return;
    }
    log(cx, args, &ended);
    let is_sampled = begun.is_some_and(|begun| begun.is_sampled);
    if is_sampled || cx.state.observer.hot_keys.is_collecting() {
        hotkeys_count::note(cx, row, args, ended.duration, reply_bytes, is_sampled);
    }
}

/// Measures the command and gives it its time.
fn end_measured(
    cx: &mut Cx<'_>,
    row: &'static Row,
    reply_bytes: usize,
    begun: Option<Begun>,
) -> Ended {
    let observer = &mut cx.state.observer;
    let timing = &mut observer.timing;
    let quick = Begun {
        // An upper bound: what ran since then counts with it.
        reading: Some(timing.mark),
        stalled: cx.fx.stalled(),
        untimed: timing.untimed.len(),
        given: timing.given,
        is_sampled: false,
    };
    let is_large = reply_bytes >= observer.notice_reply_bytes;
    let begun = begun.or_else(|| is_large.then_some(quick));
    let reading = begun.and_then(|_| cx.fx.stopwatch.read());
    let begun = begun.unwrap_or(quick);
    let elapsed = match (begun.reading, reading) {
        (Some(before), Some(after)) => after.since(before),
        _ => Micros(0),
    };
    timing.mark = reading.unwrap_or(timing.mark);
    let stalled = Micros(cx.fx.stalled().0.saturating_sub(begun.stalled.0));
    let duration = Micros(elapsed.0.saturating_add(stalled.0));
    let is_known = reading.is_some() || stalled.0 > 0;
    let is_waiting = matches!(cx.session.blocked, Some(Blocked::Command(_) | Blocked::Script));
    let tracks = cx.state.config.observation.latency_tracking;
    let stats = &mut cx.state.stats;
    if is_known {
        // Quick commands that it ran share its time: those of a transaction.
        let nested = timing.given.0.saturating_sub(begun.given.0);
        let inner = Micros(elapsed.0.saturating_sub(nested));
        timing.given = Micros(begun.given.0 + elapsed.0);
        observer.share(inner, begun.untimed, stats, tracks);
        stats.by_command[row.index].micros += duration.0;
        if tracks && !is_waiting {
            let nanos = duration.0.saturating_mul(1000);
            observer.durations.add(row.index, nanos);
        }
    } else if !is_waiting && !cx.session.is_script {
        timing.untimed.push(row.index);
    }
    Ended { row, duration, is_known, is_waiting, reply_bytes }
}

/// Enters the command where it belongs.
fn log(cx: &mut Cx<'_>, args: Args<'_>, ended: &Ended) {
    let flags = ended.row.command.flags;
    let unix_secs = cx.now.wall.0 / 1_000_000;
    if ended.is_known {
        let event = if flags.has(Flags::FAST) { "fast-command" } else { "command" };
        cx.state.note_latency(event, ended.duration.as_millis(), unix_secs);
    }
    let command = ended.row.command;
    let runs_script = command.group == Group::Scripting || command.carries.is_some();
    if runs_script && cx.session.blocked == Some(Blocked::Script) {
        let entry = entry(cx.session, ended.row, args, cx.now);
        cx.state.observer.script = Some((ended.row.index, entry));
    }
    if !ended.is_waiting && !flags.has(Flags::SKIP_SLOWLOG) {
        log_amounts(cx, args, ended);
    }
    let is_shown = !flags.has(Flags::SKIP_MONITOR) && !flags.has(Flags::ADMIN);
    if is_shown && !cx.retry && !cx.state.observer.monitors.is_empty() {
        let row = core::mem::replace(&mut cx.row, ended.row);
        monitor_line::feed(cx, args);
        cx.row = row;
    }
}

fn log_amounts(cx: &mut Cx<'_>, args: Args<'_>, ended: &Ended) {
    let settings = &cx.state.config.observation;
    let (slow, large_request) = (settings.slow, settings.large_request);
    let large_reply = settings.large_reply;
    let may_be_large = args.extent() >= cx.state.observer.notice_request_bytes;
    let request_bytes = if may_be_large { request_bytes(args) } else { 0 };
    let observer = &mut cx.state.observer;
    let logs: [(&mut CommandLog, LogLimits, u64); 3] = [
        (&mut observer.slow, slow, ended.duration.0),
        (&mut observer.large_requests, large_request, request_bytes),
        (&mut observer.large_replies, large_reply, ended.reply_bytes as u64),
    ];
    for (log, limits, amount) in logs {
        if u64::try_from(limits.threshold).is_ok_and(|threshold| amount >= threshold) {
            let entry = Entry { amount, ..entry(cx.session, ended.row, args, cx.now) };
            log.add(entry, limits);
        }
    }
}

fn entry(session: &Session, row: &Row, args: Args<'_>, now: Now) -> Entry {
    let address = if session.is_script { "?:0".to_owned() } else { session.address() };
    Entry {
        id: 0,
        unix_secs: now.wall.0 / 1_000_000,
        amount: 0,
        words: shortened(row, args),
        address,
        name: session.name.clone(),
    }
}

/// The length of a request as arrays of bulk strings.
pub(super) fn request_bytes(args: Args<'_>) -> u64 {
    let header = |count: usize| 4 + u64::from(count.checked_ilog10().unwrap_or(0));
    let words = args.from(0).map(|word| header(word.len()) + word.len() as u64 + 2);
    header(args.len()) + words.sum::<u64>()
}

impl Cx<'_> {
    /// Something begins that may become an event of LATENCY, see [`Self::end_event`]. `None`:
    /// nobody wants to know.
    #[inline]
    pub(crate) fn begin_event(&mut self) -> Option<Instant> {
        self.state.wants_latency().then(|| self.fx.stopwatch.read()).flatten()
    }

    /// It has ended: it is an event if it took long.
    #[inline]
    pub(crate) fn end_event(&mut self, began: Option<Instant>, event: &'static str) {
        if let Some(began) = began
            && let Some(ended) = self.fx.stopwatch.read()
        {
            let millis = ended.since(began).as_millis();
            self.state.note_latency(event, millis, self.now.wall.0 / 1_000_000);
        }
    }
}

impl State {
    /// A script that took several steps has ended: all that time was its command's.
    pub(crate) fn note_script_end(&mut self, since: Instant, now: Now) {
        let Some((row, entry)) = self.observer.script.take() else { return };
        let duration = now.mono.since(since);
        self.stats.by_command[row].micros += duration.0;
        let settings = &self.config.observation;
        let Observer { durations, slow, .. } = &mut self.observer;
        if settings.latency_tracking {
            let nanos = duration.0.saturating_mul(1000);
            durations.add(row, nanos);
        }
        let threshold = u64::try_from(settings.slow.threshold);
        if threshold.is_ok_and(|threshold| duration.0 >= threshold) {
            let unix_secs = now.wall.0 / 1_000_000;
            slow.add(Entry { amount: duration.0, unix_secs, ..entry }, settings.slow);
        }
        self.note_latency("command", duration.as_millis(), now.wall.0 / 1_000_000);
    }
}

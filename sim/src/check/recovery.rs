//! Whether what a server has after a death is what it had at one moment before.
//!
//! Keys are written with distinct values and read all at once. What a read shows of a key that was
//! written before the last death is what the server had when it came back: together that must be
//! the state of one moment, and of a moment that was promised to be there. With snapshots such a
//! moment is within the call of the command that began one: the last that was acknowledged, or any
//! later one, for it may have been done when nobody was told any more. With a log it is the time of
//! the death, or as much before it as may be lost.
//!
//! Invariant: what a server can have done is never called wrong: a write whose answer did not come
//! may have happened or not, and one whose answer did come happened at some moment in between. The
//! converse does not hold: keys whose writes overlap say less than they could.

use std::collections::BTreeMap;
use std::fmt;

/// What a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It wrote a value, which nobody else writes.
    Write {
        /// To this key.
        key: u16,
        /// The value.
        value: u64,
        /// Whether it was told so.
        known: bool,
    },
    /// It read all keys at one moment; what is not in the list was not there.
    Read(Vec<(u16, u64)>),
    /// It asked for a snapshot of this moment.
    Save {
        /// Whether it was told that the snapshot is safe.
        known: bool,
    },
    /// It was told that a snapshot is safe that began at this moment or later.
    Saved {
        /// When it had asked for it.
        since_ns: u64,
    },
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub act: Act,
    /// When it was asked.
    pub call_ns: u64,
    /// When the answer came; the largest number: never.
    pub return_ns: u64,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// When.
    pub at_ns: u64,
    /// What was promised to be there afterwards.
    pub promise: Promise,
}

/// What a server has after a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The last snapshot that was acknowledged, or a later one.
    Snapshot,
    /// Everything up to this long before the death.
    Log {
        /// How much may be lost.
        loses_ns: u64,
    },
    /// Nothing: somebody has emptied its disk.
    Nothing,
}

/// A time, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from_ns: u64,
    to_ns: u64,
}

/// A write.
#[derive(Clone, Copy, Debug)]
struct Write {
    value: u64,
    known: bool,
    call_ns: u64,
    return_ns: u64,
}

/// What keys had when a process began: `None` is none.
type State = BTreeMap<u16, Option<Write>>;

/// One life of a process.
#[derive(Default)]
struct Life<'a> {
    writes: BTreeMap<u16, Vec<Write>>,
    reads: Vec<&'a Operation>,
    /// When snapshots may have been of.
    saves: Vec<Span>,
    /// No snapshot that was acknowledged is older than this.
    safe_from_ns: Option<u64>,
    /// What it began with, as far as anybody saw.
    began_with: State,
}

/// Judges the operations on one server; `deaths` in the order of time. After how many of them
/// something was seen to be there again.
///
/// # Errors
/// What is wrong, in words.
pub fn check(operations: &[Operation], deaths: &[Death]) -> Result<usize, String> {
    let mut lives = lives(operations, deaths);
    for place in 0..lives.len() {
        let began_with = began_with(&lives, place)?;
        lives[place].began_with = began_with;
    }
    for (place, death) in deaths.iter().enumerate() {
        is_kept(&lives, deaths, place + 1)
            .map_err(|why| format!("after the death at {}: {why}", Seconds(death.at_ns)))?;
    }
    let has_any = |life: &&Life<'_>| life.began_with.values().any(Option::is_some);
    Ok(lives[1..].iter().filter(has_any).count())
}

/// A time as people read it.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09} s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// Sorts operations by the life of the process that they were asked of: no process answers what was
/// asked of another.
fn lives<'a>(operations: &'a [Operation], deaths: &[Death]) -> Vec<Life<'a>> {
    let mut lives: Vec<Life<'a>> = (0..=deaths.len()).map(|_| Life::default()).collect();
    for operation in operations {
        let Operation { act, call_ns, return_ns } = operation;
        let place = deaths.partition_point(|death| death.at_ns <= *call_ns);
        let end_ns = deaths.get(place).map_or(u64::MAX, |death| death.at_ns);
        let life = &mut lives[place];
        let span = Span { from_ns: *call_ns, to_ns: (*return_ns).min(end_ns) };
        match act {
            Act::Write { key, value, known } => {
                let (value, known) = (*value, *known);
                let write = Write { value, known, call_ns: *call_ns, return_ns: span.to_ns };
                life.writes.entry(*key).or_default().push(write);
            }
            Act::Read(_) => life.reads.push(operation),
            Act::Save { known } => {
                life.saves.push(span);
                if *known {
                    life.safe_from_ns = life.safe_from_ns.max(Some(*call_ns));
                }
            }
            Act::Saved { since_ns } => {
                life.safe_from_ns = life.safe_from_ns.max(Some(*since_ns));
            }
        }
    }
    lives
}

/// What a process had at its beginning, as far as its reads show it.
fn began_with(lives: &[Life<'_>], place: usize) -> Result<State, String> {
    let mut state = State::new();
    let no_writes = Vec::new();
    for read in &lives[place].reads {
        let Act::Read(shown) = &read.act else { continue };
        let shown: BTreeMap<u16, u64> = shown.iter().copied().collect();
        let keys = lives[..=place].iter().flat_map(|life| life.writes.keys().copied());
        let keys: std::collections::BTreeSet<u16> = keys.chain(shown.keys().copied()).collect();
        for key in keys {
            let writes = lives[place].writes.get(&key).unwrap_or(&no_writes);
            let value = shown.get(&key).copied();
            if value.is_some_and(|value| writes.iter().any(|write| write.value == value)) {
                continue;
            }
            let old = value.map(|value| {
                let mut earlier = lives[..place].iter().filter_map(|life| life.writes.get(&key));
                let found =
                    earlier.find_map(|writes| writes.iter().find(|write| write.value == value));
                found.copied().ok_or_else(|| {
                    format!("key {key} has value {value}, which nobody had written to it")
                })
            });
            let old = old.transpose()?;
            if let Some(write) = writes.iter().find(|it| it.known && it.return_ns < read.call_ns) {
                return Err(format!(
                    "at {} key {key} shows nothing of value {}, written at {}",
                    Seconds(read.call_ns),
                    write.value,
                    Seconds(write.call_ns)
                ));
            }
            let before = state.insert(key, old);
            if before.is_some_and(|before| value_of(before) != value_of(old)) {
                return Err(format!("key {key} had two values when its server came back"));
            }
        }
    }
    Ok(state)
}

fn value_of(write: Option<Write>) -> Option<u64> {
    write.map(|write| write.value)
}

/// Whether life number `place` began with what was promised.
fn is_kept(lives: &[Life<'_>], deaths: &[Death], place: usize) -> Result<(), String> {
    let state = &lives[place].began_with;
    if state.is_empty() {
        return Ok(());
    }
    // What was before its disk was emptied does not count.
    let promises = deaths[..place].iter();
    let emptied = promises.clone().rposition(|death| death.promise == Promise::Nothing);
    let first = emptied.map_or(0, |emptied| emptied + 1);
    let safe_from_ns = lives[first..place].iter().filter_map(|life| life.safe_from_ns).max();
    let mut reasons = Vec::new();
    let mut try_moment = |(life, span): (usize, Span)| match fits(lives, first, life, span, state) {
        Ok(()) => true,
        Err(why) => {
            reasons.push(why);
            false
        }
    };
    let death = deaths[place - 1];
    let fine = match death.promise {
        Promise::Nothing => state.values().all(Option::is_none),
        Promise::Log { .. } => at_end(lives, deaths, (first, place)).any(&mut try_moment),
        Promise::Snapshot => {
            let from_ns = safe_from_ns.unwrap_or(0);
            let mut moments = (first..place)
                .rev()
                .flat_map(|life| lives[life].saves.iter().rev().map(move |span| (life, *span)));
            (safe_from_ns.is_none() && state.values().all(Option::is_none))
                || moments.any(|(life, span)| {
                    let from_ns = span.from_ns.max(from_ns);
                    from_ns <= span.to_ns && try_moment((life, Span { from_ns, ..span }))
                })
        }
    };
    if fine {
        return Ok(());
    }
    let shown = state.values().filter(|write| write.is_some()).count();
    let what = format!("{shown} of {} keys that were looked at are there", state.len());
    let safe = match safe_from_ns {
        Some(from_ns) => {
            format!("the last snapshot that was acknowledged is of {} or later", Seconds(from_ns))
        }
        None => "no snapshot was acknowledged".to_owned(),
    };
    reasons.sort_unstable();
    reasons.dedup();
    reasons.truncate(3);
    Err(format!("{what}, as at no moment that was promised; {safe}; {}", reasons.join("; ")))
}

/// The moments of whose state a log may be, before life number `place`: the end of the life before,
/// and as much before it as may be lost. That may be of a life before that one: what it wrote may
/// not have been safe yet, or nobody saw or wrote anything since.
fn at_end(
    lives: &[Life<'_>],
    deaths: &[Death],
    (first, place): (usize, usize),
) -> impl Iterator<Item = (usize, Span)> {
    let reach = |place: usize| match deaths[place].promise {
        Promise::Log { loses_ns } => deaths[place].at_ns.saturating_sub(loses_ns),
        Promise::Snapshot | Promise::Nothing => deaths[place].at_ns,
    };
    let mut moments = Vec::new();
    let mut from_ns = reach(place - 1);
    for life in (first..place).rev() {
        let is_silent = lives[life].writes.is_empty() && lives[life].began_with.is_empty();
        let to_ns = deaths[life].at_ns;
        if !is_silent && to_ns < from_ns && !moments.is_empty() {
            break;
        }
        // What came back after that life may be as much older as its death may have taken.
        from_ns = from_ns.min(reach(life));
        if !is_silent || life == first {
            moments.push((life, Span { from_ns: from_ns.min(to_ns), to_ns }));
        }
    }
    moments.into_iter()
}

/// Whether `state` is that of a moment within `span`, which is a part of life number `life`. Life
/// number `first` began with nothing.
fn fits(
    lives: &[Life<'_>],
    first: usize,
    life: usize,
    span: Span,
    state: &State,
) -> Result<(), String> {
    let Span { mut from_ns, mut to_ns } = span;
    // Which keys the bounds are from.
    let (mut after, mut before) = (None, None);
    let no_writes = Vec::new();
    for (&key, &found) in state {
        let writes = lives[life].writes.get(&key).unwrap_or(&no_writes);
        let own = found.filter(|found| writes.iter().any(|write| write.value == found.value));
        let is_old = own.is_none();
        if is_old {
            let base = match lives[life].began_with.get(&key) {
                _ if life == first => Some(None),
                base => base.copied(),
            };
            if base.is_some_and(|base| value_of(base) != value_of(found)) {
                return Err(format!("key {key} is neither old nor written then"));
            }
        }
        if let Some(own) = own
            && own.call_ns > from_ns
        {
            (from_ns, after) = (own.call_ns, Some((key, own.value)));
        }
        let returned_ns = own.map_or(0, |own| own.return_ns);
        for write in writes.iter().filter(|write| write.known) {
            // What certainly came behind what is there had not happened.
            if (is_old || write.call_ns > returned_ns) && write.return_ns < to_ns {
                (to_ns, before) = (write.return_ns, Some((key, write.value)));
            }
        }
    }
    if from_ns <= to_ns {
        return Ok(());
    }
    let named = |what: Option<(u16, u64)>, else_| match what {
        Some((key, value)) => format!("value {value} of key {key}"),
        None => String::from(else_),
    };
    Err(format!(
        "{} is there, of {} or later, and {} is not, of {} or before",
        named(after, "the moment of a snapshot"),
        Seconds(from_ns),
        named(before, "what came behind it"),
        Seconds(to_ns)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: u16, value: u64, call_ns: u64) -> Operation {
        let act = Act::Write { key, value, known: true };
        Operation { act, call_ns, return_ns: call_ns + 5 }
    }

    fn lost(key: u16, value: u64, call_ns: u64) -> Operation {
        let act = Act::Write { key, value, known: false };
        Operation { act, call_ns, return_ns: u64::MAX }
    }

    fn save(call_ns: u64, return_ns: u64, known: bool) -> Operation {
        Operation { act: Act::Save { known }, call_ns, return_ns }
    }

    fn read(call_ns: u64, shown: &[(u16, u64)]) -> Operation {
        Operation { act: Act::Read(shown.to_vec()), call_ns, return_ns: call_ns + 5 }
    }

    fn snapshot(at_ns: u64) -> Death {
        Death { at_ns, promise: Promise::Snapshot }
    }

    /// Two keys, written in turns; a snapshot at 40 that is acknowledged.
    fn story() -> Vec<Operation> {
        vec![
            write(1, 11, 10),
            write(2, 22, 20),
            write(1, 13, 30),
            save(40, 45, true),
            write(2, 24, 50),
            write(1, 15, 60),
        ]
    }

    #[track_caller]
    fn judge(more: &[Operation], deaths: &[Death], wrong: Option<&str>) {
        let operations = [story(), more.to_vec()].concat();
        match (check(&operations, deaths), wrong) {
            (Ok(_), None) => {}
            (Err(why), Some(part)) if why.contains(part) => {}
            (verdict, _) => panic!("{verdict:?}, expected {wrong:?}"),
        }
    }

    #[test]
    fn the_state_of_the_snapshot_is_what_must_be_there() {
        let deaths = [snapshot(100)];
        judge(&[read(110, &[(1, 13), (2, 22)])], &deaths, None);
        judge(&[read(110, &[])], &deaths, Some("as at no moment"));
        judge(&[read(110, &[(1, 11), (2, 22)])], &deaths, Some("as at no moment"));
        // A mixture: the second key is of later.
        judge(&[read(110, &[(1, 13), (2, 24)])], &deaths, Some("as at no moment"));
        judge(&[read(110, &[(1, 13)])], &deaths, Some("as at no moment"));
        judge(&[read(110, &[(1, 99)])], &deaths, Some("nobody had written"));
        let two = [read(110, &[(1, 13), (2, 22)]), read(120, &[(1, 11), (2, 22)])];
        judge(&two, &deaths, Some("two values"));
    }

    #[test]
    fn a_later_snapshot_may_be_there_though_nobody_was_told() {
        let deaths = [snapshot(100)];
        let begun = save(57, u64::MAX, false);
        judge(&[begun.clone(), read(110, &[(1, 13), (2, 22)])], &deaths, None);
        judge(&[begun.clone(), read(110, &[(1, 13), (2, 24)])], &deaths, None);
        judge(&[begun.clone(), read(110, &[(1, 15), (2, 24)])], &deaths, None);
        judge(&[begun.clone(), read(110, &[(1, 15), (2, 22)])], &deaths, Some("no moment"));
        // Once it is acknowledged, the one before is too old.
        let told = Operation { act: Act::Saved { since_ns: 57 }, call_ns: 70, return_ns: 75 };
        let all = [begun, told, read(110, &[(1, 13), (2, 22)])];
        judge(&all, &deaths, Some("no moment"));
    }

    #[test]
    fn what_was_written_after_the_death_says_nothing() {
        let deaths = [snapshot(100)];
        let late = write(1, 17, 105);
        judge(&[late.clone(), read(111, &[(1, 17), (2, 22)])], &deaths, None);
        judge(&[late.clone(), read(111, &[(1, 17), (2, 24)])], &deaths, Some("no moment"));
        judge(&[late, read(111, &[(1, 13), (2, 22)])], &deaths, Some("shows nothing of"));
    }

    #[test]
    fn unknown_writes_are_there_or_not() {
        let deaths = [snapshot(100)];
        let open = [lost(3, 33, 35), lost(3, 34, 36)];
        for shown in [vec![], vec![(3, 33)], vec![(3, 34)]] {
            let shown = [vec![(1, 13), (2, 22)], shown].concat();
            judge(&[&open[..], &[read(110, &shown)]].concat(), &deaths, None);
        }
        let shown = [(1, 13), (2, 22), (3, 33)];
        judge(&[lost(3, 33, 46), read(110, &shown)], &deaths, Some("no moment"));
    }

    #[test]
    fn the_second_death_knows_what_came_back_at_the_first() {
        let deaths = [snapshot(100), snapshot(200)];
        let back = read(110, &[(1, 13), (2, 22)]);
        let more = [back.clone(), write(1, 17, 120), save(130, 135, true)];
        let all = |shown: &[(u16, u64)]| [&more[..], &[read(210, shown)]].concat();
        judge(&all(&[(1, 17), (2, 22)]), &deaths, None);
        judge(&all(&[(1, 17), (2, 24)]), &deaths, Some("neither old nor written"));
        judge(&all(&[(1, 13), (2, 22)]), &deaths, Some("no moment"));
        // Without another snapshot the first one is still there.
        let all = [back, write(1, 17, 120), read(210, &[(1, 13), (2, 22)])];
        judge(&all, &deaths, None);
    }

    #[test]
    fn a_disk_that_was_emptied_has_nothing_and_owes_nothing() {
        let deaths = [Death { at_ns: 100, promise: Promise::Nothing }, snapshot(200)];
        judge(&[read(110, &[]), read(210, &[])], &deaths, None);
        judge(&[read(110, &[(1, 13), (2, 22)])], &deaths, Some("no moment"));
        judge(&[read(210, &[(1, 13), (2, 22)])], &deaths, Some("no moment"));
    }

    #[test]
    fn a_log_loses_only_its_end() {
        let log = |loses_ns| [Death { at_ns: 100, promise: Promise::Log { loses_ns } }];
        let all = read(110, &[(1, 15), (2, 24)]);
        judge(std::slice::from_ref(&all), &log(0), None);
        judge(&[read(110, &[(1, 13), (2, 24)])], &log(0), Some("no moment"));
        judge(&[read(110, &[(1, 13), (2, 24)])], &log(40), None);
        judge(&[read(110, &[(1, 13), (2, 22)])], &log(40), Some("no moment"));
        judge(&[read(110, &[(1, 15), (2, 22)])], &log(90), Some("no moment"));
        // A death in between, before anybody did anything, changes nothing.
        let twice = [Death { at_ns: 90, ..log(0)[0] }, log(0)[0]];
        judge(&[read(110, &[(1, 15), (2, 24)])], &twice, None);
        judge(&[read(110, &[(1, 13), (2, 24)])], &twice, Some("no moment"));
        // What was written before it may be lost at the second, if that may lose so much.
        let late = [write(3, 36, 92), read(110, &[(1, 13), (2, 24)])];
        let twice = |loses_ns| [Death { at_ns: 90, ..log(0)[0] }, log(loses_ns)[0]];
        judge(&late, &twice(40), None);
        let seen = [&late[..], &[read(91, &[(1, 15), (2, 24)])]].concat();
        judge(&seen, &twice(40), None);
        judge(&seen, &twice(9), Some("no moment"));
        // What a loss of power took is not back after another death that takes nothing.
        let silent = |first| [log(first)[0], Death { at_ns: 105, ..log(0)[0] }];
        let back = read(110, &[(1, 13), (2, 24)]);
        judge(std::slice::from_ref(&back), &silent(40), None);
        judge(&[back], &silent(0), Some("no moment"));
        // An unanswered write may be lost or not.
        judge(&[lost(2, 26, 98), all], &log(0), None);
        judge(&[lost(2, 26, 98), read(110, &[(1, 15), (2, 26)])], &log(0), None);
    }
}

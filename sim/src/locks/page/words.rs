//! What happened, in words.
//!
//! Invariant: who is meant is named as the story names them.

use orrery_engine::lock::{Ended, Reply, Request};

use crate::locks::judge::{Invariant, Violation};
use crate::locks::spelling::letter;
use crate::locks::store::Access;
use crate::locks::story::Who;
use crate::locks::trace::{Happening, Spoken, Told, Work};

/// Microseconds as milliseconds with up to three decimals.
pub(super) fn millis(us: u64) -> String {
    let text = format!("{}.{:03}", us / 1000, us % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A span of time as people say it.
pub(super) fn span(us: u64) -> String {
    if us < 10_000_000 {
        return format!("{} ms", millis(us));
    }
    format!("{} s", millis(us / 1000))
}

pub(super) fn spoken(spoken: Spoken) -> String {
    let number =
        |fence: Option<u64>| fence.map_or(String::new(), |it| format!(" with number {it}"));
    match spoken {
        Spoken::Asked(Request::Acquire { token, .. } | Request::AcquireUntil { token, .. }) => {
            format!("give me the lock (attempt {})", token.attempt)
        }
        Spoken::Asked(Request::Extend { recreates, .. }) => {
            format!("extend it{}", if recreates { ", or set it again" } else { "" })
        }
        Spoken::Asked(Request::Limit { .. }) => "give it a time to live".to_owned(),
        Spoken::Asked(Request::Look { .. }) => "is it mine?".to_owned(),
        Spoken::Asked(Request::Commit { number, .. }) => format!("the number is {number}"),
        Spoken::Asked(Request::Release { token: Some(token) }) => {
            format!("take it back (attempt {})", token.attempt)
        }
        Spoken::Asked(Request::Release { token: None }) => "delete it".to_owned(),
        Spoken::Answered(Reply::Done { .. }) => "done".to_owned(),
        Spoken::Answered(Reply::Refused { .. }) => "no".to_owned(),
        Spoken::Answered(Reply::Failed) => "an error".to_owned(),
        Spoken::Accessed(Access::Read, fence) => format!("read{}", number(fence)),
        Spoken::Accessed(Access::Write { base, value }, fence) => {
            format!("write {value}, made of {base}{}", number(fence))
        }
        Spoken::Worked(Work::Read(value)) => format!("it is {value}"),
        Spoken::Worked(Work::Written) => "written".to_owned(),
        Spoken::Worked(Work::Refused) => "the number is too old".to_owned(),
    }
}

/// Who sends, and who receives.
pub(super) fn ends(link: Who, is_request: bool) -> (String, String) {
    let (client, other) = match link {
        Who::Link(client, node) => (letter(client).to_string(), format!("n{}", node + 1)),
        Who::Store(client) => (letter(client).to_string(), "the store".to_owned()),
        who => (who.to_string(), who.to_string()),
    };
    if is_request { (client, other) } else { (other, client) }
}

/// What happened; nothing: other words say it already.
pub(super) fn happening(happening: &Happening) -> Option<String> {
    Some(match *happening {
        Happening::Step(step) => format!("{} {}", step.who, step.what),
        Happening::Sent { link, is_request, spoken: said, arrives_us } => {
            let (from, to) = ends(link, is_request);
            let arrival = arrives_us.map_or_else(
                || "lost on the way".to_owned(),
                |at| format!("arrives at {}", millis(at)),
            );
            format!("{from} to {to}: {}; {arrival}", spoken(said))
        }
        Happening::Arrived { .. } => return None,
        Happening::Told(client, told) => format!("{} {}", letter(client), told_in_words(told)),
        Happening::Key { node, holder: Some((client, until_us)) } => {
            format!("n{}: {} has the key until {}", node + 1, letter(client), millis(until_us))
        }
        Happening::Key { node, holder: None } => format!("n{}: nobody has the key", node + 1),
        Happening::GoesOn(client) => format!("{} goes on", letter(client)),
        Happening::Changed { client, before, base, value } => {
            let over = if before == base { "" } else { ", which it had not read" };
            format!("the store takes {value} of {} over {before}{over}", letter(client))
        }
        Happening::Broken(violation) => broken(&violation),
    })
}

fn told_in_words(told: Told) -> String {
    let number = |fence: Option<u64>| fence.map_or(String::new(), |it| format!(", number {it}"));
    match told {
        Told::Granted(grant) => {
            let until = millis(grant.until.0);
            format!("has the lock until {until} of its clock{}", number(grant.fence))
        }
        Told::Extended(grant) => {
            format!("has the lock for longer, until {} of its clock", millis(grant.until.0))
        }
        Told::Ended(Ended::NotAcquired) => "does not get the lock".to_owned(),
        Told::Ended(Ended::Released) => "has given the lock back".to_owned(),
        Told::Ended(Ended::DeadlinePassed) => "has lost the lock: its time is over".to_owned(),
        Told::Ended(Ended::ExtensionFailed) => {
            "has lost the lock: too few servers extend it".to_owned()
        }
    }
}

/// What must not have happened, with who is concerned.
pub(super) fn broken(violation: &Violation) -> String {
    let Violation { invariant, client, other, extent, .. } = *violation;
    let who = letter(client);
    let whose = other.map_or_else(|| "another".to_owned(), |other| letter(other).to_string());
    let long = span(extent);
    let detail = match invariant {
        Invariant::Belief if extent == 0 => format!("{who} and {whose}, who is not told otherwise"),
        Invariant::Belief => format!("{who} and {whose}, for {long} unless one gives it back"),
        Invariant::Grants => format!("{who} has it, and {whose} had {long} left"),
        Invariant::StaleWrite => format!("{who} writes after {whose}, who has a later grant"),
        Invariant::LostUpdate => format!("{who} writes over what it has not read"),
        Invariant::Foreign => format!("{who} changes that of {whose}"),
        Invariant::Continuity => format!("{who} goes on, and {whose} had it meanwhile"),
        Invariant::Numbers => format!("{who} has a number not above that of {whose}"),
        Invariant::Recovery => format!("keys of {who} are still there after {long}"),
        Invariant::Availability => format!("{who} has tried for {long}"),
        Invariant::TimelyLoss => format!("{who}, {long} after another could have it"),
        Invariant::Fairness => format!("{who} was passed over {extent} times"),
    };
    format!("{invariant}: {}: {detail}", invariant.words())
}

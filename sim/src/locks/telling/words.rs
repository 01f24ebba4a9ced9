//! What everything that happens in a lab is called: by those who tell it and by those who draw it.
//!
//! Invariant: who is meant is named as the story names them; no text here ends with a full stop.

use orrery_engine::lock::Ended;

use crate::locks::judge::{Invariant, Violation};
use crate::locks::spelling::{Millis, letter};
use crate::locks::story::{Step, What, Who};
use crate::locks::trace::Told;

/// Microseconds as milliseconds with up to three decimals.
pub(in crate::locks) fn millis(us: u64) -> String {
    Millis(us).to_string()
}

/// A span of time as people say it.
pub(in crate::locks) fn span(us: u64) -> String {
    if us < 10_000_000 {
        return format!("{} ms", millis(us));
    }
    format!("{} s", millis(us / 1000))
}

/// Servers by their names.
pub(super) fn listed(nodes: &[usize]) -> String {
    let names: Vec<String> = nodes.iter().map(|&node| Who::Node(node).to_string()).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A step of the story.
pub(in crate::locks) fn step(Step { who, what, .. }: Step) -> String {
    match what {
        What::Acquire => format!("{who} asks for the lock"),
        What::Work { for_us } => format!("{who} asks for the lock, to work for {}", span(for_us)),
        What::Read => format!("{who} reads the value"),
        What::Write => format!("{who} writes what it has made of the value"),
        What::Release => format!("{who} gives the lock back"),
        What::Use { nodes } => {
            let nodes: Vec<usize> = (0..64).filter(|node| nodes >> node & 1 == 1).collect();
            format!("{who} goes by {} only", listed(&nodes))
        }
        What::Pause { for_us } => format!("{who} is paused for {}", span(for_us)),
        What::Crash => format!("{who} is gone"),
        What::Clock { by_ms } => {
            let which_way = if by_ms < 0 { "back" } else { "forward" };
            let by = span(by_ms.unsigned_abs() * 1000);
            format!("{who}'s clock is set {which_way} by {by}")
        }
        What::Rate { by_ppm } => {
            let which_way = if by_ppm < 0 { "slower" } else { "faster" };
            format!("{who}'s clocks go {} ppm {which_way} from now on", by_ppm.unsigned_abs())
        }
        What::Stop { for_us } => format!("{who} answers nobody for {}", span(for_us)),
        What::Forget => format!("{who} loses everything that it knew"),
        What::Delete => format!("{who} loses the lock's key"),
        What::Fill { for_us } => format!("{who} sets no keys for {}", span(for_us)),
        What::Grace { for_us } => {
            let long = span(for_us);
            format!("{who} loses everything, and grants nothing for {long} by its keys' clock")
        }
        What::Cut { for_us } => format!("What is sent on {who} is lost for {}", span(for_us)),
        What::SlowRequests { by_us, for_us } => {
            format!("Requests on {who} take {}, for {}", span(by_us), span(for_us))
        }
        What::SlowReplies { by_us, for_us } => {
            format!("Answers on {who} take {}, for {}", span(by_us), span(for_us))
        }
    }
}

/// A server waits for its replicas.
pub(in crate::locks) fn alone(node: usize) -> String {
    format!("{} waits for its replicas: too few have it", Who::Node(node))
}

/// What a client is told.
pub(super) fn news(client: usize, told: Told) -> String {
    let client = letter(client);
    let number =
        |fence: Option<u64>| fence.map_or_else(String::new, |it| format!(", with number {it}"));
    match told {
        Told::Granted(grant) => {
            let until = millis(grant.until.0);
            format!("{client} HAS THE LOCK until {until} by its clock{}", number(grant.fence))
        }
        Told::Extended(grant) => {
            format!("{client}'s lock goes on until {} by its clock", millis(grant.until.0))
        }
        Told::Ended(Ended::NotAcquired) => format!("{client} gives up: it did not get the lock"),
        Told::Ended(Ended::Released) => format!("{client} is done giving the lock back"),
        Told::Ended(Ended::DeadlinePassed) => {
            format!("{client} knows by its clock that it has the lock no more")
        }
        Told::Ended(Ended::ExtensionFailed) => {
            format!("{client} is told that it has lost the lock: it could not be extended")
        }
    }
}

/// The store takes a write: what was there, what its writer had read, and what is there now.
pub(in crate::locks) fn changed(client: usize, before: u64, base: u64, value: u64) -> String {
    let lost = if before == base { "" } else { ": an update is lost" };
    let writer = letter(client);
    format!("The store takes {writer}'s write: {value} in place of {before}, made of {base}{lost}")
}

/// An invariant that is broken, and how.
pub(in crate::locks) fn broken(invariant: Invariant, how: &str) -> String {
    format!("{invariant} BROKEN: {}: {how}", invariant.words())
}

/// What must not have happened, with who is concerned.
pub(in crate::locks) fn violation(violation: &Violation) -> String {
    let Violation { invariant, client, other, extent, .. } = *violation;
    let who = letter(client);
    let whose = other.map_or_else(|| "another".to_owned(), |other| letter(other).to_string());
    let long = span(extent);
    let how = match invariant {
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
    broken(invariant, &how)
}

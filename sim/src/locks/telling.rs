//! A trace in plain prose, one line for what happens at one moment in the same way.
//!
//! Invariant: lines are in the order of the trace, and every violation has one of its own.

use orrery_engine::lock::{Ended, Reply, Request};

use super::judge::{Invariant, Violation};
use super::spelling::letter;
use super::story::{Step, What, Who};
use super::trace::{Happening, Spoken, Told, Trace, Work};

/// Something that happened, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, in microseconds of true time.
    pub at_us: u64,
    /// What.
    pub text: String,
    /// The invariant that was broken, if the line is about that.
    pub broken: Option<Invariant>,
}

/// What is told: the same of several servers at one moment is told once.
struct Telling {
    before: String,
    nodes: Vec<usize>,
    after: String,
}

/// A message that takes longer than this is worth a line.
const SLOW_US: u64 = 5000;

/// Tells what happened.
#[must_use]
pub fn tell(trace: &Trace) -> Vec<Line> {
    let mut lines: Vec<(u64, Telling, Option<Invariant>)> = Vec::new();
    let mut asked: Vec<(Who, Request)> = Vec::new();
    for (at_us, happening) in &trace.entries {
        let broken = match happening {
            Happening::Broken(violation) => Some(violation.invariant),
            _ => None,
        };
        let Some(telling) = told(*at_us, happening, &mut asked) else { continue };
        if let Some((last_us, last, None)) = lines.last_mut()
            && *last_us == *at_us
            && !telling.nodes.is_empty()
            && (&last.before, &last.after) == (&telling.before, &telling.after)
        {
            last.nodes.extend(telling.nodes);
        } else {
            lines.push((*at_us, telling, broken));
        }
    }
    let line = |(at_us, Telling { before, nodes, after }, broken)| {
        let text = format!("{before}{}{after}", listed(&nodes));
        Line { at_us, text, broken }
    };
    lines.into_iter().map(line).collect()
}

fn listed(nodes: &[usize]) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("n{}", node + 1)).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn plain(text: String) -> Telling {
    Telling { before: text, nodes: Vec::new(), after: String::new() }
}

/// Milliseconds with up to three decimals.
fn ms(us: u64) -> String {
    let text = format!("{}.{:03}", us / 1000, us % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn told(at_us: u64, happening: &Happening, asked: &mut Vec<(Who, Request)>) -> Option<Telling> {
    Some(match *happening {
        Happening::Step(step) => plain(stepped(step)),
        Happening::Sent { link, is_request, spoken, arrives_us } => {
            return sent(at_us, (link, is_request, spoken, arrives_us), asked);
        }
        Happening::Arrived { link, is_request: true, spoken: Spoken::Asked(request) } => {
            asked.push((link, request));
            return None;
        }
        Happening::Arrived { link: Who::Link(client, node), is_request: false, .. } => Telling {
            before: "What is answered by ".to_owned(),
            nodes: vec![node],
            after: format!(" reaches {}.", letter(client)),
        },
        Happening::Arrived { .. } | Happening::Key { .. } => return None,
        Happening::Told(client, told) => plain(news(letter(client), told)),
        Happening::GoesOn(client) => plain(format!("{} goes on.", letter(client))),
        Happening::Changed { client, before, base, value } => {
            let lost = if before == base { "" } else { ": an update is lost" };
            plain(format!(
                "The store takes {}'s write: {value} in place of {before}, made of {base}{lost}.",
                letter(client)
            ))
        }
        Happening::Broken(violation) => plain(verdict(violation)),
    })
}

fn stepped(Step { who, what, .. }: Step) -> String {
    match what {
        What::Acquire => format!("{who} asks for the lock."),
        What::Work { for_us } => {
            format!("{who} asks for the lock, to work for {} ms.", ms(for_us))
        }
        What::Read => format!("{who} reads the value."),
        What::Write => format!("{who} writes what it has made of the value."),
        What::Release => format!("{who} gives the lock back."),
        What::Use { nodes } => {
            let nodes: Vec<usize> = (0..64).filter(|node| nodes >> node & 1 == 1).collect();
            format!("{who} goes by {} only.", listed(&nodes))
        }
        What::Pause { for_us } => format!("{who} is paused for {} ms.", ms(for_us)),
        What::Crash => format!("{who} is gone."),
        What::Clock { by_ms } => {
            let which_way = if by_ms < 0 { "back" } else { "forward" };
            format!("{who}'s clock is set {} ms {which_way}.", by_ms.unsigned_abs())
        }
        What::Rate { by_ppm } => {
            let which_way = if by_ppm < 0 { "slower" } else { "faster" };
            format!("{who}'s clocks go {} ppm {which_way} from now on.", by_ppm.unsigned_abs())
        }
        What::Stop { for_us } => format!("{who} answers nobody for {} ms.", ms(for_us)),
        What::Forget => format!("{who} loses everything that it knew."),
        What::Delete => format!("{who} loses the lock's key."),
        What::Fill { for_us } => format!("{who} sets no keys for {} ms.", ms(for_us)),
        What::Grace { for_us } => format!(
            "{who} loses everything, and grants nothing for {} ms by its keys' clock.",
            ms(for_us)
        ),
        What::Cut { for_us } => {
            format!("What is sent on {who} is lost for {} ms.", ms(for_us))
        }
        What::SlowRequests { by_us, for_us } => {
            format!("Requests on {who} take {} ms, for {} ms.", ms(by_us), ms(for_us))
        }
        What::SlowReplies { by_us, for_us } => {
            format!("Answers on {who} take {} ms, for {} ms.", ms(by_us), ms(for_us))
        }
    }
}

fn sent(
    at_us: u64,
    (link, is_request, spoken, arrives_us): (Who, bool, Spoken, Option<u64>),
    asked: &mut Vec<(Who, Request)>,
) -> Option<Telling> {
    let (client, node) = match link {
        Who::Link(client, node) => (letter(client), Some(node)),
        Who::Store(client) => (letter(client), None),
        Who::Client(_) | Who::Node(_) => return None,
    };
    let nodes: Vec<usize> = node.into_iter().collect();
    let late = match arrives_us {
        None => ", which is lost".to_owned(),
        Some(at) if at - at_us > SLOW_US => format!(", which arrives at {}", ms(at)),
        Some(_) => String::new(),
    };
    match spoken {
        Spoken::Asked(request) => Some(Telling {
            before: format!("{client} {} ", wish(request).0),
            nodes,
            after: format!("{}{late}.", wish(request).1),
        }),
        Spoken::Answered(reply) => {
            let at = asked.iter().rposition(|(of, _)| *of == link)?;
            let (_, request) = asked.remove(at);
            let (before, after) = done(client, request, reply);
            let late = if late.is_empty() { late } else { format!("; the answer{late}") };
            Some(Telling {
                before: format!("{before} on "),
                nodes,
                after: format!("{after}{}.", late.replace("answer, which", "answer")),
            })
        }
        Spoken::Accessed(_, number) if is_request && !late.is_empty() => {
            let with = number.map_or_else(String::new, |number| format!(" with number {number}"));
            Some(plain(format!("{client} asks the store{with}{late}.")))
        }
        Spoken::Worked(Work::Read(value)) => {
            Some(plain(format!("The store tells {client} the value: {value}.")))
        }
        Spoken::Worked(Work::Refused) => {
            Some(plain(format!("The store refuses {client}: its number is too old.")))
        }
        Spoken::Accessed(..) | Spoken::Worked(Work::Written) => None,
    }
}

/// What a client asks for: before and after whom it asks.
fn wish(request: Request) -> (&'static str, &'static str) {
    match request {
        Request::Acquire { .. } | Request::AcquireUntil { .. } => ("asks", " for the key"),
        Request::Limit { .. } => ("asks", " to set the time of the key"),
        Request::Look { .. } => ("asks", " whose the key is"),
        Request::Extend { .. } => ("asks", " to extend its key"),
        Request::Commit { .. } => ("sends its number to", ""),
        Request::Release { .. } => ("gives the key back to", ""),
    }
}

/// What a server did with a request: before and after where.
fn done(client: char, request: Request, reply: Reply) -> (String, &'static str) {
    if reply == Reply::Failed {
        return (format!("{client} is answered with an error"), "");
    }
    let is_done = !matches!(reply, Reply::Refused { .. });
    let before = match request {
        Request::Acquire { .. } | Request::AcquireUntil { .. } if is_done => {
            format!("{client} gets the key")
        }
        Request::Acquire { .. } | Request::AcquireUntil { .. } => {
            return (format!("{client} is refused"), ": the key is taken");
        }
        Request::Extend { .. } if is_done => format!("{client}'s key is extended"),
        Request::Extend { .. } => format!("{client}'s extension is refused"),
        Request::Commit { number, .. } if is_done => {
            format!("{client}'s number {number} is written down")
        }
        Request::Commit { .. } => format!("{client}'s number is refused"),
        Request::Limit { ttl_ms } if is_done => {
            return (format!("The key's end is set to {ttl_ms} ms"), ", whoever has it");
        }
        Request::Look { .. } if is_done => format!("The key is still {client}'s"),
        Request::Limit { .. } | Request::Look { .. } => "There is no such key".to_owned(),
        Request::Release { token: None } if is_done => {
            return (format!("{client} deletes the key"), ", whoever has it");
        }
        Request::Release { .. } if is_done => format!("{client}'s key is deleted"),
        Request::Release { .. } => format!("{client} has no key to give back"),
    };
    (before, "")
}

fn news(client: char, told: Told) -> String {
    match told {
        Told::Granted(grant) => {
            let number =
                grant.fence.map_or_else(String::new, |number| format!(", with number {number}"));
            let until = ms(grant.until.0);
            format!("{client} HAS THE LOCK until {until} by its clock{number}.")
        }
        Told::Extended(grant) => {
            format!("{client}'s lock goes on until {} by its clock.", ms(grant.until.0))
        }
        Told::Ended(Ended::NotAcquired) => format!("{client} gives up: it did not get the lock."),
        Told::Ended(Ended::Released) => format!("{client} is done giving the lock back."),
        Told::Ended(Ended::DeadlinePassed) => {
            format!("{client} knows by its clock that it has the lock no more.")
        }
        Told::Ended(Ended::ExtensionFailed) => {
            format!("{client} is told that it has lost the lock: it could not be extended.")
        }
    }
}

fn verdict(violation: Violation) -> String {
    let Violation { invariant, client, other, extent, .. } = violation;
    let with = other.map_or_else(String::new, |other| format!(" and {}", letter(other)));
    let extent = match invariant {
        Invariant::Belief | Invariant::Grants if extent > 0 => format!(", for {} ms", ms(extent)),
        Invariant::TimelyLoss => format!(", by {} ms", ms(extent)),
        Invariant::Recovery | Invariant::Availability => format!(", for {} ms", ms(extent)),
        _ => String::new(),
    };
    format!("{invariant} BROKEN: {} ({}{with}{extent}).", invariant.words(), letter(client))
}

//! A trace in plain prose, one line for what happens at one moment in the same way.
//!
//! Invariant: lines are in the order of the trace, and every violation has one of its own.

use super::judge::Invariant;
use super::spelling::letter;
use super::story::Who;
use super::trace::{Happening, Spoken, Trace, Work};
use talk::{Said, Talk};

pub(super) mod talk;
pub(super) mod words;

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

/// A message that takes longer than this is worth a line.
const SLOW_US: u64 = 5000;

/// Tells what happened.
#[must_use]
pub fn tell(trace: &Trace) -> Vec<Line> {
    let mut all: Vec<(u64, Said, Option<Invariant>)> = Vec::new();
    let mut talk = Talk::default();
    for (at_us, happening) in &trace.entries {
        let broken = match happening {
            Happening::Broken(violation) => Some(violation.invariant),
            _ => None,
        };
        let Some(said) = told(*at_us, happening, &mut talk) else { continue };
        if let Some((last_us, last, None)) = all.last_mut()
            && *last_us == *at_us
            && said.nodes.iter().any(|node| !last.nodes.contains(node))
            && (&last.before, &last.after) == (&said.before, &said.after)
        {
            // The same of several servers at one moment is told once.
            last.nodes.extend(said.nodes);
        } else {
            all.push((*at_us, said, broken));
        }
    }
    let line = |(at_us, said, broken): (u64, Said, _)| {
        let text = format!("{}.", said.text());
        Line { at_us, text, broken }
    };
    all.into_iter().map(line).collect()
}

fn told(at_us: u64, happening: &Happening, talk: &mut Talk) -> Option<Said> {
    let said = talk.said(happening);
    Some(Said::plain(match *happening {
        Happening::Sent { is_request, spoken, arrives_us, .. } => {
            let is_usual = arrives_us.is_some_and(|at| at - at_us <= SLOW_US);
            let said = match spoken {
                // What the store does is told when it does it.
                Spoken::Accessed(..) | Spoken::Worked(Work::Written) if is_usual => return None,
                _ => said?,
            };
            return Some(if is_usual { said } else { said.with_arrival(is_request, arrives_us) });
        }
        Happening::Arrived { link: Who::Link(client, node), is_request: false, .. } => {
            return Some(Said {
                before: "What is answered by ".to_owned(),
                nodes: vec![node],
                after: format!(" reaches {}", letter(client)),
            });
        }
        Happening::Arrived { .. } | Happening::Key { .. } => return None,
        Happening::Step(step) => words::step(step),
        Happening::Told(client, told) => words::news(client, told),
        Happening::IsAlone(node) => words::alone(node),
        Happening::GoesOn(client) => format!("{} goes on", letter(client)),
        Happening::Changed { client, before, base, value } => {
            words::changed(client, before, base, value)
        }
        Happening::Broken(violation) => words::violation(&violation),
    }))
}

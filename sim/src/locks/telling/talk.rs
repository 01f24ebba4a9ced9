//! Messages in words: what is asked, and what became of it.
//!
//! Invariant: an answer is told as one to the last request that its server has had from its client
//! and has not answered.

use orrery_engine::lock::{Reply, Request, Token};

use super::words::{listed, millis};
use crate::locks::spelling::letter;
use crate::locks::store::Access;
use crate::locks::story::Who;
use crate::locks::trace::{Happening, Spoken, Work};

/// Something that is the same for several servers: what is said before and after their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::locks) struct Said {
    pub(super) before: String,
    pub(super) nodes: Vec<usize>,
    pub(super) after: String,
}

impl Said {
    /// Something that is not about servers.
    pub(super) fn plain(text: String) -> Self {
        Self { before: text, nodes: Vec::new(), after: String::new() }
    }

    /// With the servers' names.
    pub(in crate::locks) fn text(&self) -> String {
        format!("{}{}{}", self.before, listed(&self.nodes), self.after)
    }

    /// The same, with what becomes of the message.
    pub(in crate::locks) fn with_arrival(mut self, is_request: bool, at: Option<u64>) -> Self {
        let what = if is_request { "request" } else { "answer" };
        self.after += &match at {
            Some(at_us) => format!("; the {what} arrives at {}", millis(at_us)),
            None => format!("; the {what} is lost"),
        };
        self
    }
}

/// Who talks about what.
#[derive(Clone, Debug, Default)]
pub(in crate::locks) struct Talk {
    /// What servers have heard and not answered, and on which way.
    asked: Vec<(Who, Request)>,
}

impl Talk {
    /// What a message says, if something was sent. All that happens must come by here in order.
    pub(in crate::locks) fn said(&mut self, happening: &Happening) -> Option<Said> {
        match *happening {
            Happening::Sent { link, spoken, .. } => self.sent(link, spoken),
            Happening::Arrived { link, spoken: Spoken::Asked(request), .. } => {
                self.asked.push((link, request));
                None
            }
            _ => None,
        }
    }

    fn sent(&mut self, link: Who, spoken: Spoken) -> Option<Said> {
        let (client, nodes) = match link {
            Who::Link(client, node) => (letter(client), vec![node]),
            Who::Store(client) => (letter(client), Vec::new()),
            Who::Client(_) | Who::Node(_) => return None,
        };
        let (before, after) = match spoken {
            Spoken::Asked(request) => {
                let (verb, wish) = wish(request);
                (format!("{client} {verb} "), wish)
            }
            Spoken::Answered(reply) => {
                let at = self.asked.iter().rposition(|(of, _)| *of == link)?;
                let (_, request) = self.asked.remove(at);
                let (done, why) = done(client, request, reply);
                (format!("{done} on "), why)
            }
            Spoken::Accessed(access, fence) => (accessed(client, access, fence), String::new()),
            Spoken::Worked(work) => (worked(client, work), String::new()),
        };
        Some(Said { before, nodes, after })
    }
}

/// What a client does to a server, and what for.
fn wish(request: Request) -> (String, String) {
    let asks = |what: &str| ("asks".to_owned(), format!(" {what}"));
    match request {
        Request::Acquire { token, .. } | Request::AcquireUntil { token, .. } => {
            let attempt = attempt(token).map_or_else(String::new, |it| format!(" ({it})"));
            asks(&format!("for the key{attempt}"))
        }
        Request::Limit { ttl_ms } => asks(&format!("to set the key's end to {ttl_ms} ms")),
        Request::Look { .. } => asks("whose the key is"),
        Request::Extend { recreates: true, .. } => asks("to extend its key, or to set it again"),
        Request::Extend { .. } => asks("to extend its key"),
        Request::Commit { number, .. } => asks(&format!("to write down its number {number}")),
        Request::Release { token: Some(token) } => {
            let attempt = attempt(token).map_or_else(String::new, |it| format!(" of {it}"));
            (format!("gives the key{attempt} back to"), String::new())
        }
        Request::Release { token: None } => asks("to delete the key, whoever has it"),
    }
}

/// Which attempt it is; of the first nothing is said.
fn attempt(token: Token) -> Option<String> {
    (token.attempt > 1).then(|| format!("attempt {}", token.attempt))
}

/// What a server did with a request: before and after where.
fn done(client: char, request: Request, reply: Reply) -> (String, String) {
    let (is_done, counter) = match reply {
        Reply::Done { counter } => (true, counter),
        Reply::Failed => return (format!("{client} is answered with an error"), String::new()),
        Reply::Refused { counter } => (false, counter),
    };
    let before = match request {
        Request::Acquire { .. } | Request::AcquireUntil { .. } if is_done => {
            format!("{client} gets the key")
        }
        Request::Acquire { .. } | Request::AcquireUntil { .. } => {
            let known =
                if counter == 0 { String::new() } else { format!(", with number {counter}") };
            return (format!("{client} is refused"), format!(": the key is taken{known}"));
        }
        Request::Extend { .. } if is_done => format!("{client}'s key is extended"),
        Request::Extend { .. } => format!("{client}'s extension is refused"),
        Request::Commit { number, .. } if is_done => {
            format!("{client}'s number {number} is written down")
        }
        Request::Commit { .. } => format!("{client}'s number is refused"),
        Request::Limit { ttl_ms } if is_done => {
            return (format!("The key's end is set to {ttl_ms} ms"), ", whoever has it".to_owned());
        }
        Request::Look { .. } if is_done => format!("The key is still {client}'s"),
        Request::Limit { .. } | Request::Look { .. } => "There is no such key".to_owned(),
        Request::Release { token: None } if is_done => {
            return (format!("{client} deletes the key"), ", whoever has it".to_owned());
        }
        Request::Release { .. } if is_done => format!("{client}'s key is deleted"),
        Request::Release { .. } => format!("{client} has no key to give back"),
    };
    (before, String::new())
}

/// What a client wants of the store.
fn accessed(client: char, access: Access, fence: Option<u64>) -> String {
    let number = fence.map_or_else(String::new, |number| format!(", with number {number}"));
    match access {
        Access::Read => format!("{client} asks the store for the value{number}"),
        Access::Write { base, value } => {
            format!("{client} sends the store {value}, made of {base}{number}")
        }
    }
}

/// What the store says to a client.
fn worked(client: char, work: Work) -> String {
    match work {
        Work::Read(value) => format!("The store tells {client} the value: {value}"),
        Work::Written => format!("The store tells {client} that its write is taken"),
        Work::Refused => format!("The store refuses {client}: its number is too old"),
    }
}

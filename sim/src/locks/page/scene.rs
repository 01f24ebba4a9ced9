//! What there is to be drawn: lanes with spans and marks, and messages between them.
//!
//! Invariant: it says no more than the trace does; where a span begins or ends is a moment of true
//! time.

use std::collections::BTreeMap;

use orrery_engine::lock::{Ended, LossSignal, Request};

use super::clocks::Clocks;
use crate::locks::algorithm::Algorithm;
use crate::locks::judge::Violation;
use crate::locks::lab::Servers;
use crate::locks::spelling::letter;
use crate::locks::store::Access;
use crate::locks::story::{Step, Story, What, Who};
use crate::locks::telling::talk::{Said, Talk};
use crate::locks::telling::words;
use crate::locks::trace::{Happening, Spoken, Told, Trace, Work};

/// What a span shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shade {
    /// A client asks for the lock.
    Asking,
    /// A client takes it for its own.
    Held(usize),
    /// A client has the key of a server.
    Key(usize),
    /// Something is wrong with the lane.
    Fault,
}

/// For how long something is so.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) from_us: u64,
    pub(super) until_us: u64,
    pub(super) shade: Shade,
    pub(super) words: String,
}

/// Something that happens at a moment.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) at_us: u64,
    /// What there is room for: of a step what the story says.
    pub(super) label: String,
    pub(super) words: String,
    pub(super) is_fault: bool,
}

/// A client, a server, the store, or a way with trouble on it.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) who: Who,
    pub(super) name: String,
    pub(super) spans: Vec<Span>,
    pub(super) marks: Vec<Mark>,
    pub(super) clocks: Clocks,
}

/// A message from one lane to another.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) sent_us: u64,
    pub(super) arrives_us: Option<u64>,
    /// It takes much longer than usual.
    pub(super) is_late: bool,
    /// It does not get there, or nobody is there.
    pub(super) is_lost: bool,
    pub(super) words: String,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    pub(super) lanes: Vec<Lane>,
    pub(super) messages: Vec<Message>,
    pub(super) violations: Vec<Violation>,
    /// When the drawing ends.
    pub(super) until_us: u64,
}

/// What is known of a client so far.
#[derive(Clone, Debug, Default)]
struct Client {
    asks_since: Option<u64>,
    holds_since: Option<u64>,
    /// Its deadline in true time, if that ends what it has.
    deadline_us: Option<u64>,
    last_release_us: Option<u64>,
    paused_since: Option<u64>,
    is_gone: bool,
}

struct Painter<'a> {
    story: &'a Story,
    loss: LossSignal,
    scene: Scene,
    clients: Vec<Client>,
    /// Where each party's lane is.
    places: BTreeMap<Who, usize>,
    /// The key of each server: since when, who, until when.
    keys: Vec<Option<(u64, usize, u64)>>,
    /// Servers that answer nobody: which, from when until when.
    stops: Vec<(usize, (u64, u64))>,
    talk: Talk,
}

/// The place of the store among all who there are.
const STORE: Who = Who::Store(0);

impl Scene {
    pub(super) fn of(story: &Story, algorithm: &Algorithm, trace: &Trace) -> Self {
        let loss = (algorithm.settings)(story.nodes, story.ttl_ms).loss;
        let mut painter = Painter {
            story,
            loss,
            scene: Self::default(),
            clients: vec![Client::default(); story.clients],
            places: BTreeMap::new(),
            keys: vec![None; story.nodes.into()],
            stops: Vec::new(),
            talk: Talk::default(),
        };
        painter.lay_out(trace);
        for (at_us, happening) in &trace.entries {
            painter.scene.until_us = painter.scene.until_us.max(*at_us);
            painter.take(*at_us, happening);
        }
        painter.finish();
        painter.scene
    }

    /// The moments at which something begins, ends or happens.
    pub(super) fn moments(&self) -> Vec<u64> {
        let mut all = vec![self.until_us];
        for lane in &self.lanes {
            all.extend(lane.spans.iter().flat_map(|span| [span.from_us, span.until_us]));
            all.extend(lane.marks.iter().map(|mark| mark.at_us));
            all.extend(lane.clocks.changes());
        }
        for message in &self.messages {
            all.push(message.sent_us);
            all.extend(message.arrives_us);
        }
        all.extend(self.violations.iter().map(|violation| violation.at_us));
        all.retain(|&at_us| at_us <= self.until_us);
        all
    }
}

impl Painter<'_> {
    /// The lanes: the store if somebody uses it, clients, servers, and ways with trouble.
    fn lay_out(&mut self, trace: &Trace) {
        let uses_store = |entry: &(u64, Happening)| {
            matches!(entry.1, Happening::Sent { link: Who::Store(_), .. })
        };
        if trace.entries.iter().any(uses_store) {
            self.lane(STORE, "store".to_owned());
        }
        for client in 0..self.story.clients {
            self.lane(Who::Client(client), letter(client).to_string());
        }
        for node in 0..self.story.nodes.into() {
            self.lane(Who::Node(node), format!("n{}", node + 1));
        }
        for step in &self.story.steps {
            // The lane of the store is everybody's; its ways come after it.
            if matches!(step.who, Who::Link(..)) && !self.places.contains_key(&step.who) {
                self.lane(step.who, step.who.to_string());
            }
        }
    }

    fn lane(&mut self, who: Who, name: String) {
        self.places.insert(who, self.scene.lanes.len());
        let clocks = Clocks::of(self.story, who);
        let lane = Lane { who, name, spans: Vec::new(), marks: Vec::new(), clocks };
        self.scene.lanes.push(lane);
    }

    fn mark(&mut self, who: Who, mark: Mark) {
        if let Some(&place) = self.places.get(&who) {
            self.scene.lanes[place].marks.push(mark);
        }
    }

    fn span(&mut self, who: Who, (from_us, until_us): (u64, u64), shade: Shade, words: String) {
        if let Some(&place) = self.places.get(&who)
            && until_us > from_us
        {
            self.scene.lanes[place].spans.push(Span { from_us, until_us, shade, words });
        }
    }

    fn take(&mut self, at_us: u64, happening: &Happening) {
        let said = self.talk.said(happening);
        match *happening {
            Happening::Step(step) => self.step(at_us, step),
            Happening::Sent { link, is_request, spoken, arrives_us } => {
                if let (Who::Store(client), Spoken::Worked(Work::Refused)) = (link, spoken) {
                    let label = format!("{} is refused", letter(client));
                    let words = said.as_ref().map(Said::text).unwrap_or_default();
                    self.mark(STORE, Mark { at_us, label, words, is_fault: true });
                }
                if let (Who::Link(client, _), Spoken::Asked(request)) = (link, spoken) {
                    self.asked(at_us, client, request);
                }
                let said = said.map(|said| said.with_arrival(is_request, arrives_us));
                let words = said.as_ref().map(Said::text).unwrap_or_default();
                self.message((at_us, arrives_us), link, is_request, words);
            }
            Happening::Arrived {
                link: Who::Store(client),
                spoken: Spoken::Accessed(Access::Read, _),
                ..
            } => {
                let step = Step { at_us, who: Who::Client(client), what: What::Read };
                let label = format!("{} {}", step.who, step.what);
                self.mark(STORE, Mark { at_us, label, words: words::step(step), is_fault: false });
            }
            Happening::Arrived { .. } => {}
            Happening::Told(client, told) => self.told(at_us, client, told),
            Happening::Key { node, holder } => self.key(at_us, node, holder),
            Happening::IsAlone(node) => {
                let (label, words) = (format!("{} is alone", Who::Node(node)), words::alone(node));
                self.mark(Who::Node(node), Mark { at_us, label, words, is_fault: true });
            }
            Happening::GoesOn(client) => self.goes_on(at_us, client),
            Happening::Changed { client, before, base, value } => {
                let label = format!("{} writes {value}", letter(client));
                let words = words::changed(client, before, base, value);
                self.mark(STORE, Mark { at_us, label, words, is_fault: before != base });
            }
            Happening::Broken(violation) => self.scene.violations.push(violation),
        }
    }

    fn step(&mut self, at_us: u64, step: Step) {
        let words = words::step(step);
        let lasts = |for_us: u64| (at_us, at_us.saturating_add(for_us));
        // The lane of the store is everybody's, and says whose way it is.
        let (who, label) = match step.who {
            Who::Store(_) => (STORE, format!("{} {}", step.who, step.what)),
            who @ Who::Link(..) => (who, format!("{who} {}", step.what)),
            who => (who, step.what.to_string()),
        };
        let mark = Mark { at_us, label, words: words.clone(), is_fault: step.what.is_fault() };
        match step.what {
            What::Stop { for_us } | What::Fill { for_us } | What::Grace { for_us } => {
                if let (Who::Node(node), What::Stop { .. }) = (who, step.what) {
                    self.stops.push((node, lasts(for_us)));
                }
                self.span(who, lasts(for_us), Shade::Fault, words);
            }
            What::Cut { for_us }
            | What::SlowRequests { for_us, .. }
            | What::SlowReplies { for_us, .. } => {
                self.span(who, lasts(for_us), Shade::Fault, words);
            }
            What::Pause { .. } => {
                if let Who::Client(client) = who {
                    self.clients[client].paused_since.get_or_insert(at_us);
                }
            }
            What::Crash => {
                if let Who::Client(client) = who {
                    self.stops_to_hold(at_us, client);
                    self.clients[client].is_gone = true;
                    self.span(who, (at_us, u64::MAX), Shade::Fault, words);
                }
            }
            What::Clock { by_ms } => {
                if let Who::Node(node) = who
                    && self.story.servers == Servers::IdealWall
                    && let Some(Some((.., until_us))) = self.keys.get_mut(node)
                {
                    *until_us = until_us.saturating_add_signed(-by_ms * 1000).max(at_us);
                }
            }
            _ => {}
        }
        self.mark(who, mark);
    }

    fn message(
        &mut self,
        (sent_us, arrives_us): (u64, Option<u64>),
        link: Who,
        is_request: bool,
        words: String,
    ) {
        let (client, other) = match link {
            Who::Link(client, node) => (client, Who::Node(node)),
            Who::Store(client) | Who::Client(client) => (client, STORE),
            Who::Node(_) => return,
        };
        let is_stopped = |at: u64| {
            let mut stops = self.stops.iter().filter(|stop| Who::Node(stop.0) == other);
            stops.any(|&(_, (from_us, until_us))| from_us <= at && at < until_us)
        };
        let is_lost = arrives_us.is_none_or(|at| is_request && is_stopped(at));
        let ends = [self.places.get(&Who::Client(client)), self.places.get(&other)];
        let [Some(&client), Some(&other)] = ends else { return };
        let (from, to) = if is_request { (client, other) } else { (other, client) };
        let usual_us = 2 * self.story.network.most_us;
        let is_late = arrives_us.is_some_and(|at| at - sent_us > usual_us);
        let message = Message { from, to, sent_us, arrives_us, is_late, is_lost, words };
        self.scene.messages.push(message);
    }

    fn asked(&mut self, at_us: u64, client: usize, request: Request) {
        let known = &mut self.clients[client];
        match request {
            Request::Acquire { .. } if known.holds_since.is_none() => {
                known.asks_since.get_or_insert(at_us);
            }
            Request::Release { .. } => known.last_release_us = Some(at_us),
            _ => {}
        }
    }

    fn told(&mut self, at_us: u64, client: usize, told: Told) {
        match told {
            Told::Granted(grant) | Told::Extended(grant) => {
                let clocks = Clocks::of(self.story, Who::Client(client));
                let deadline_us = clocks.when(grant.until.0, at_us);
                let known = &mut self.clients[client];
                known.deadline_us = (self.loss == LossSignal::AtDeadline).then_some(deadline_us);
                if let Told::Granted(_) = told {
                    known.holds_since = Some(at_us);
                    known.last_release_us = None;
                    let since = known.asks_since.take().unwrap_or(at_us);
                    let words = format!("{} asks for the lock", letter(client));
                    self.span(Who::Client(client), (since, at_us), Shade::Asking, words);
                }
            }
            Told::Ended(why) => {
                if let Some(since) = self.clients[client].asks_since.take() {
                    let words = format!("{} asks for the lock in vain", letter(client));
                    self.span(Who::Client(client), (since, at_us), Shade::Asking, words);
                }
                let released = self.clients[client].last_release_us;
                let is_release = why == Ended::Released;
                let end_us = released.filter(|_| is_release).unwrap_or(at_us);
                self.stops_to_hold(end_us, client);
            }
        }
    }

    /// A client takes the lock for its own no more.
    fn stops_to_hold(&mut self, at_us: u64, client: usize) {
        let known = &mut self.clients[client];
        let Some(since) = known.holds_since.take() else { return };
        let until_us = known.deadline_us.map_or(at_us, |deadline| deadline.min(at_us));
        let words = format!(
            "{} takes the lock for its own from {} to {}",
            letter(client),
            words::millis(since),
            words::millis(until_us)
        );
        self.span(Who::Client(client), (since, until_us), Shade::Held(client), words);
    }

    fn key(&mut self, at_us: u64, node: usize, holder: Option<(usize, u64)>) {
        if let Some((since, client, until_us)) = self.keys[node].take() {
            let until_us = until_us.min(at_us);
            let words = format!(
                "{} has the key of n{} from {} to {}",
                letter(client),
                node + 1,
                words::millis(since),
                words::millis(until_us)
            );
            self.span(Who::Node(node), (since, until_us), Shade::Key(client), words);
        }
        self.keys[node] = holder.map(|(client, until_us)| (at_us, client, until_us));
    }

    fn goes_on(&mut self, at_us: u64, client: usize) {
        if let Some(since) = self.clients[client].paused_since.take() {
            let words = format!("{} is paused", letter(client));
            self.span(Who::Client(client), (since, at_us), Shade::Fault, words);
        }
    }

    /// What is still so when the story ends.
    fn finish(&mut self) {
        let mut end_us = self.scene.until_us;
        let ends = self.keys.iter().flatten().map(|&(.., until)| until);
        let deadlines = self.clients.iter().filter_map(|client| client.deadline_us);
        // Not further than the story goes, and not for what lasts for ever.
        if let Some(last) = ends.chain(deadlines).filter(|&at| at <= self.story.until_us).max() {
            end_us = end_us.max(last);
        }
        end_us = (end_us + end_us / 50).clamp(1_000, self.story.until_us.max(1_000));
        self.scene.until_us = end_us.max(self.scene.until_us);
        let end_us = self.scene.until_us;
        for client in 0..self.clients.len() {
            if let Some(since) = self.clients[client].asks_since.take() {
                let words = format!("{} asks for the lock", letter(client));
                self.span(Who::Client(client), (since, end_us), Shade::Asking, words);
            }
            if !self.clients[client].is_gone {
                self.goes_on(end_us, client);
            }
            self.stops_to_hold(end_us, client);
        }
        for node in 0..self.keys.len() {
            self.key(end_us, node, None);
        }
        for lane in &mut self.scene.lanes {
            for span in &mut lane.spans {
                span.until_us = span.until_us.min(end_us);
            }
        }
    }
}

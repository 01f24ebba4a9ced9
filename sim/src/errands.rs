//! What a client does next, whatever carries its bytes: which server, which commands, how long it
//! thinks, and what it learns from answers.
//!
//! The world's clients and those over sockets share this; only waiting differs between them.
//!
//! Invariants: a client has at most one batch of commands open; a command is in the journal before
//! its bytes leave; a client never learns more than its connection told it.

mod copies;

use std::collections::VecDeque;

use crate::chance::{Chance, Draw, Key, Stream};
use crate::check::messages::Event;
use crate::journal::{Heard, Journal, NEVER_NS, Op, Seen};
use crate::setup::{Knobs, Setup};
use crate::workload::{
    Ask, Id, KeyName, Known, LOCK_TTL_MOST_MS, Leases, Plan, Said, Step, Values, Workload,
    first_key, parse_reply,
};
use copies::{Copies, Rules};

/// A bulk client that has written and read all its keys goes on this much slower.
const BULK_REST: u64 = 16;
/// Questions of the last round of a client that only listens.
const LISTENER_ROUND: u16 = 3;
/// Looks at all keys that are saved, in the last round.
const SAVES_ROUND: u16 = 3;
/// A watched transaction that did not happen is tried again so often.
const RETRIES_MAX: u8 = 3;
/// A client remembers so many entries that it has not acknowledged.
const HELD_MAX: usize = 64;
/// So many bulk clients of one server have keys of their own; numbers of keys have sixteen bits.
const BULK_RANGES_MAX: u16 = 40;

/// What the clients of a run choose from.
#[derive(Debug)]
pub(crate) struct Menu {
    pub(crate) knobs: Knobs,
    pub(crate) values: Values,
    /// What clients do, bulk work and that of those with copies excepted.
    pub(crate) workloads: Vec<Workload>,
    pub(crate) servers: u16,
    /// Keys with a time to live, on each server.
    pub(crate) timed_keys: u16,
    /// How long the faults last.
    seconds: u64,
    /// Clients from here on only listen to messages.
    first_listener: u16,
    /// Whether the servers know SET IFEQ.
    pub(crate) has_ifeq: bool,
    /// What clients with copies have to know, if there are any.
    pub(crate) copying: Option<Rules>,
}

impl Menu {
    pub(crate) fn new(setup: &Setup, knobs: Knobs) -> Self {
        let own = [Workload::Bulk, Workload::Caches];
        let workloads = setup.workloads.iter().copied();
        let copies = setup.workloads.contains(&Workload::Caches);
        let alone = setup.workloads.len() == 1;
        Self {
            timed_keys: knobs.keys,
            copying: copies.then(|| Rules::new(&knobs, alone)),
            knobs,
            values: Values::new(setup.chance()),
            workloads: workloads.filter(|workload| !own.contains(workload)).collect(),
            servers: setup.servers as u16,
            seconds: setup.seconds,
            first_listener: first_listener(setup),
            has_ifeq: true,
        }
    }

    /// Keys of a workload, on each server.
    fn keys(&self, workload: Workload) -> u16 {
        match workload {
            Workload::Bulk => self.knobs.bulk_keys,
            Workload::Ttl => self.timed_keys,
            // Each look is at all of them.
            Workload::Saves => SAVES_ROUND,
            _ => self.knobs.keys,
        }
    }

    /// A key for the next command of a workload.
    fn draw_key(&self, workload: Workload, draw: &mut Draw) -> KeyName {
        let keys = match workload {
            Workload::Saves => self.knobs.saved_keys,
            _ => self.keys(workload),
        };
        KeyName { workload, index: draw.below(u64::from(keys)) as u16 }
    }

    /// The longest time to live that clients ask for.
    pub(crate) fn longest_ttl_ms(&self) -> u64 {
        let has_locks = self.workloads.contains(&Workload::Locks);
        let of_locks_ms = if has_locks { LOCK_TTL_MOST_MS } else { 0 };
        self.knobs.ttl_most_ms.max(of_locks_ms)
    }

    /// The menu of clients that have one connection and cannot have another.
    pub(crate) fn with_one_connection(mut self) -> Self {
        if let Some(rules) = &mut self.copying {
            rules.has_second = false;
        }
        self
    }

    /// Whether a client keeps copies: every other one, or all where there is nothing else to do.
    fn copies(&self, index: u16) -> bool {
        self.copying.is_some() && (self.workloads.is_empty() || index % 2 == 1)
    }

    /// The key at this place among all that are not bulk.
    fn key_at(&self, mut place: u16) -> KeyName {
        let mut at = 0;
        while place >= self.keys(self.workloads[at]) && at + 1 < self.workloads.len() {
            place -= self.keys(self.workloads[at]);
            at += 1;
        }
        KeyName { workload: self.workloads[at], index: place }
    }
}

/// A third of the clients listen, if there are messages and somebody is left to publish.
fn first_listener(setup: &Setup) -> u16 {
    let listens = setup.workloads.contains(&Workload::Messages) && setup.clients > 1;
    let listeners = if listens { (setup.clients / 3).max(1) } else { 0 };
    (setup.clients - listeners) as u16
}

/// Which of a client's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The one that it works with.
    Main,
    /// The one to which news about its copies come, if they do not come over the first.
    Aside,
}

/// An answer came to which there was no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// One client's way through the menu. `closing` says everywhere whether the faults are over, so
/// that it reads every key of its home once more and stops.
#[derive(Debug)]
pub(crate) struct Errands {
    pub(crate) index: u16,
    pub(crate) server: u16,
    /// The server that it mostly uses, and reads in the end.
    home: u16,
    /// Places in the journal of the commands that it waits for.
    open: VecDeque<usize>,
    /// Replies to the first of them that have come, and do not end it.
    replies: u16,
    /// Batches that it has sent, for drawing the next.
    batches: u64,
    pub(crate) connects: u64,
    commands: Key,
    thoughts: Key,
    connecting: Key,
    bulk: bool,
    /// It only listens to messages.
    listens: bool,
    /// Whether it has asked for them over this connection.
    has_subscribed: bool,
    /// The bulk client's next key; the next key of the last round of reads.
    next_key: u16,
    /// Where a bulk client's own range of keys begins: a write that is lost stays lost if nobody
    /// else writes the key.
    first_key: u16,
    /// How often a bulk client has written and read all its keys.
    rounds: u64,
    /// Values that it saw last, by key of the server that it talks to.
    seen: Vec<(KeyName, u64)>,
    /// Entries of streams that were handed to it there, the oldest first.
    held: VecDeque<(KeyName, Id)>,
    /// What it believes that it holds there.
    leases: Leases,
    /// A stream there that has no group yet.
    wants_group: Option<KeyName>,
    /// The other half of a watched transaction, or the next attempt at one.
    wants_half: Option<(KeyName, Ask)>,
    /// Attempts at the present watched transaction that failed.
    retries: u8,
    /// A script there keeps others from working.
    wants_kill: bool,
    /// What it keeps, if it is a client that does.
    copies: Option<Box<Copies>>,
}

impl Errands {
    pub(crate) fn new(chance: Chance, menu: &Menu, index: u16, bulk: bool) -> Self {
        let who = u64::from(index);
        let range = (index / menu.servers).min(BULK_RANGES_MAX);
        let listens = !bulk && index >= menu.first_listener;
        let connecting = chance.key(Stream::Connect, who);
        let copying = menu.copying.filter(|_| !bulk && !listens && menu.copies(index));
        let keys = menu.keys(Workload::Caches);
        let copies = copying.map(|rules| Copies::new(&mut connecting.at(1 << 48), rules, keys));
        Self {
            index,
            server: index % menu.servers,
            home: index % menu.servers,
            open: VecDeque::new(),
            replies: 0,
            batches: 0,
            connects: 0,
            commands: chance.key(Stream::Command, who),
            thoughts: chance.key(Stream::Think, who),
            connecting,
            bulk: bulk || (menu.workloads.is_empty() && copies.is_none()),
            listens,
            has_subscribed: false,
            next_key: 0,
            first_key: range * menu.knobs.bulk_keys,
            rounds: 0,
            seen: Vec::new(),
            held: VecDeque::new(),
            leases: Leases::default(),
            wants_group: None,
            wants_half: None,
            retries: 0,
            wants_kill: false,
            copies: copies.map(Box::new),
        }
    }

    /// Decides where to connect next.
    pub(crate) fn choose_server(&mut self, menu: &Menu, closing: bool) {
        let mut draw = self.connecting.at(self.connects);
        self.connects += 1;
        self.has_subscribed = false;
        self.wants_half = None;
        self.wants_kill &= self.listens;
        if let (Some(copies), Some(rules)) = (&mut self.copies, menu.copying) {
            // Whoever has lost its connection knows nothing any more.
            let mut draw = self.connecting.at(self.connects << 16 | 0xfffe);
            **copies = Copies::new(&mut draw, rules, menu.keys(Workload::Caches));
        }
        let strays = !self.bulk && !closing && draw.chance(1, 4);
        let server = if strays { draw.below(u64::from(menu.servers)) as u16 } else { self.home };
        // Whoever has lost its connection may have ended with it, and be another now.
        if server != self.server || draw.chance(1, 2) {
            self.leases.clear();
        }
        if server != self.server {
            self.server = server;
            self.seen.clear();
            self.held.clear();
            self.wants_group = None;
        }
    }

    /// Whether it needs a second connection beside the one that it works with.
    pub(crate) fn wants_second(&self) -> bool {
        self.copies.as_ref().is_some_and(|copies| copies.has_second())
    }

    /// Draws how it leaves, and how long it waits before it connects again.
    pub(crate) fn leaving(&self) -> Draw {
        self.connecting.at(self.connects << 16 | 0xffff)
    }

    /// Draws what it looks at first when several things are due.
    pub(crate) fn looking(&self) -> Draw {
        self.connecting.at(self.connects << 32 | self.batches)
    }

    /// How long it thinks before the next batch.
    pub(crate) fn think_ns(&self, menu: &Menu, closing: bool) -> u64 {
        let mut draw = self.thoughts.at(self.batches);
        let Knobs { think_ns, hasty, .. } = menu.knobs;
        if closing || (!self.bulk && draw.chance(hasty, 16)) {
            return 0;
        }
        let wait_ns = draw.between(think_ns / 4, think_ns * 7 / 4);
        if self.bulk && self.rounds > 0 { wait_ns * BULK_REST } else { wait_ns }
    }

    /// Whether it talks to the server that it reads in the end.
    pub(crate) fn is_home(&self) -> bool {
        self.server == self.home
    }

    /// The last round begins: every key is read once more.
    pub(crate) fn begin_last_round(&mut self) {
        self.next_key = 0;
    }

    /// Whether it has read every key in the last round.
    pub(crate) fn has_read_all(&self, menu: &Menu) -> bool {
        self.next_key >= self.keys(menu)
    }

    /// Whether it waits for no answer.
    pub(crate) fn has_nothing_open(&self) -> bool {
        self.open.is_empty()
    }

    /// A bulk client does what was open again.
    pub(crate) fn rewind(&mut self) {
        if self.bulk {
            self.next_key = self.next_key.saturating_sub(self.open.len() as u16);
        }
    }

    /// The connection is gone: what is open stays unknown.
    pub(crate) fn give_up(&mut self, journal: &mut Journal) {
        for at in self.open.drain(..) {
            journal.give_up(at);
        }
        self.replies = 0;
    }

    /// Puts the next batch into the journal and the outbox. `now` is true time in nanoseconds and
    /// the client's own wall clock in microseconds. Returns which connection it goes over.
    pub(crate) fn write_batch(
        &mut self,
        menu: &Menu,
        journal: &mut Journal,
        outbox: &mut Vec<u8>,
        now: (u64, u64),
        closing: bool,
    ) -> Line {
        outbox.clear();
        let mut draw = self.commands.at(self.batches);
        self.batches += 1;
        if core::mem::take(&mut self.wants_kill) && draw.chance(1, 2) {
            let key = KeyName { workload: Workload::Scripts, index: 0 };
            self.put(menu, journal, outbox, now, (0, key, Ask::Kill));
            return Line::Main;
        }
        if let Some(copies) = &mut self.copies {
            let who = (self.index, self.server);
            let (index, ask) = if closing {
                copies.last(journal, self.next_key, who, now.0)
            } else {
                copies.next(journal, &mut draw, &menu.knobs, who, now.0)
            };
            let key = KeyName { workload: Workload::Caches, index };
            self.put(menu, journal, outbox, now, (0, key, ask));
            return if ask.is_aside() { Line::Aside } else { Line::Main };
        }
        let round = if closing { self.keys(menu) } else { self.keys(menu) * 2 };
        let left = round.saturating_sub(self.next_key);
        let count = if self.bulk { menu.knobs.pipeline.min(left).max(1) } else { 1 };
        for slot in 0..count {
            let value = journal.next_value();
            let (key, ask) = self.next_command(menu, value, &mut draw, now.0, closing);
            self.put(menu, journal, outbox, now, (slot, key, ask));
        }
        Line::Main
    }

    /// Puts one command into the journal and the outbox.
    fn put(
        &mut self,
        menu: &Menu,
        journal: &mut Journal,
        outbox: &mut Vec<u8>,
        now: (u64, u64),
        (slot, key, ask): (u16, KeyName, Ask),
    ) {
        self.open.push_back(journal.ops.len());
        ask.write(key, self.index, &menu.values, outbox);
        journal.ops.push(Op {
            client: self.index,
            slot,
            server: self.server,
            key,
            ask,
            seen: Seen::Open,
            call_ns: now.0,
            return_ns: NEVER_NS,
            call_local_us: now.1,
            return_local_us: 0,
        });
    }

    /// Takes the answers that are complete off the inbox of a connection. `is_last_round` tells
    /// which commands are of the last round of reads.
    pub(crate) fn read(
        &mut self,
        menu: &Menu,
        journal: &mut Journal,
        (line, inbox): (Line, &mut Vec<u8>),
        now: (u64, u64),
        is_last_round: impl Fn(&Op) -> bool,
    ) -> Result<(), Nonsense> {
        let mut taken = 0;
        while let Some((said, len)) = parse_reply(&inbox[taken..]) {
            taken += len;
            if self.listens
                && journal.hear(self.heard(now.0, Event::Subscribed), said, &menu.values)
            {
                continue;
            }
            if self.copies.as_mut().is_some_and(|copies| copies.hears(said)) {
                continue;
            }
            let at = *self.open.front().ok_or(Nonsense)?;
            let ask = journal.ops[at].ask;
            if ask.is_aside() != (line == Line::Aside) {
                return Err(Nonsense);
            }
            self.replies += 1;
            let is_error = matches!(said, Said::Error(_));
            // A subscription that is refused is refused as a whole.
            let is_whole = is_error && matches!(ask, Ask::Subscribe { .. });
            if self.replies < ask.replies() && !is_whole {
                if let Some(copies) = self.copies.as_mut().filter(|_| is_error) {
                    copies.keep_nothing_of_this();
                }
                continue;
            }
            self.replies = 0;
            self.open.pop_front();
            let seen = journal.answer(at, said, &menu.values, now);
            self.learn(journal, at, seen, now.0)?;
            let is_refused = matches!(seen, Seen::Refused(_));
            if !self.bulk && !is_refused && is_last_round(&journal.ops[at]) && counts(ask) {
                self.next_key += 1;
            }
        }
        inbox.drain(..taken);
        Ok(())
    }

    /// What an answer tells the client for later.
    fn learn(
        &mut self,
        journal: &mut Journal,
        at: usize,
        seen: Seen,
        now_ns: u64,
    ) -> Result<(), Nonsense> {
        let op = &journal.ops[at];
        let (key, ask, call_ns) = (op.key, op.ask, op.call_ns);
        if let Some(copies) = &mut self.copies
            && !copies.answered(op.ask, key.index, seen, call_ns)
        {
            return Err(Nonsense);
        }
        match (op.ask, seen) {
            (Ask::Subscribe { .. }, Seen::Done) => {
                journal.heard.push(self.heard(now_ns, Event::Subscribed));
            }
            (Ask::Ping, Seen::Done) if self.listens => {
                journal.heard.push(self.heard(now_ns, Event::Answered { call_ns }));
            }
            (_, Seen::Value(value)) => self.remember(key, value),
            (Ask::ReadGroup { .. } | Ask::Claim { .. }, Seen::List(list)) => {
                let entries = &journal.lists[list as usize];
                self.held.extend(entries.iter().map(|&(id, _)| (key, id)));
                let surplus = self.held.len().saturating_sub(HELD_MAX);
                self.held.drain(..surplus);
            }
            (_, Seen::Error(text)) if journal.texts[text as usize].starts_with(b"NOGROUP") => {
                self.wants_group = Some(key);
            }
            (Ask::Watch(plan), Seen::List(_)) => {
                self.wants_half = Some((key, Ask::Commit(plan)));
            }
            // What it watches it watches, so the next transaction has to be of this kind.
            (Ask::Watch(_), Seen::Refused(text)) => {
                self.wants_half = Some((key, ask));
                self.wants_kill = journal.texts[text as usize].starts_with(b"BUSY");
            }
            (Ask::Commit(plan), Seen::Nil) if self.retries < RETRIES_MAX => {
                self.retries += 1;
                self.wants_half = Some((key, Ask::Watch(plan)));
            }
            (Ask::Commit(_), _) => self.retries = 0,
            (Ask::Acquire { .. }, Seen::Done) => self.leases.done(key.index, ask),
            (Ask::SaveInBackground, Seen::Done) => {
                self.wants_half = Some((key, Ask::HasSaved { since_ns: call_ns }));
            }
            (Ask::HasSaved { .. }, Seen::Nil) => self.wants_half = Some((key, ask)),
            (ask, Seen::Refused(text)) if ask != Ask::Kill => {
                self.wants_kill = journal.texts[text as usize].starts_with(b"BUSY");
                // Who has subscribed may not kill scripts: it has to connect again.
                return if self.wants_kill && self.listens { Err(Nonsense) } else { Ok(()) };
            }
            _ => {}
        }
        Ok(())
    }

    /// How many keys it can read on its server.
    fn keys(&self, menu: &Menu) -> u16 {
        match self.bulk {
            true => menu.keys(Workload::Bulk),
            false if self.listens => LISTENER_ROUND,
            false if let Some(copies) = &self.copies => copies.rounds(),
            false => menu.workloads.iter().map(|&workload| menu.keys(workload)).sum(),
        }
    }

    fn next_command(
        &mut self,
        menu: &Menu,
        value: u64,
        draw: &mut Draw,
        now_ns: u64,
        closing: bool,
    ) -> (KeyName, Ask) {
        let knobs = &menu.knobs;
        if self.bulk {
            // Rounds of writing every key, reading every key.
            let round = self.next_key / knobs.bulk_keys;
            let index = self.first_key + self.next_key % knobs.bulk_keys;
            self.next_key += 1;
            if !closing && self.next_key >= 2 * knobs.bulk_keys {
                self.next_key = 0;
                self.rounds += 1;
            }
            let reads = closing || round % 2 == 1;
            let ask = if reads { Ask::Get } else { Ask::Set { value } };
            return (KeyName { workload: Workload::Bulk, index }, ask);
        }
        if self.listens {
            return self.listen(menu);
        }
        if closing {
            let key = menu.key_at(self.next_key);
            let mut ask = Ask::last(key.workload, self.index, knobs);
            return (in_window(menu, key, &mut ask, u64::MAX), ask);
        }
        if let Some((key, half)) = self.wants_half.take() {
            let half = match half {
                Ask::Watch(plan) => Ask::Watch(Plan { value, ..plan }),
                half => half,
            };
            return (key, half);
        }
        if let Some(key) = self.wants_group.take() {
            return (key, Ask::CreateGroup);
        }
        let workload = draw.pick(&menu.workloads);
        let key = menu.draw_key(workload, draw);
        let seen = if menu.has_ifeq { self.last_seen(key) } else { 0 };
        let held = self.held.iter().position(|(name, _)| *name == key);
        let lease = self.leases.of(key.index).filter(|_| workload == Workload::Locks);
        let known = Known { value: seen, id: held.map(|at| self.held[at].1), lease };
        let mut ask = Ask::draw(draw, workload, value, known, knobs);
        self.leases.ask(key.index, ask);
        if let (Ask::Ack { .. }, Some(at)) = (ask, held) {
            self.held.remove(at);
        }
        if workload != Workload::Transactions {
            return (key, ask);
        }
        // Some use the lists of the second before.
        let late_ns = if draw.chance(1, 4) { 1_000_000_000 } else { 0 };
        (in_window(menu, key, &mut ask, now_ns.saturating_sub(late_ns)), ask)
    }

    /// What a client does that only listens: it subscribes, and asks whether the server is there.
    fn listen(&mut self, menu: &Menu) -> (KeyName, Ask) {
        let key = KeyName { workload: Workload::Messages, index: 0 };
        let channels = menu.keys(Workload::Messages);
        let is_first = !core::mem::replace(&mut self.has_subscribed, true);
        (key, if is_first { Ask::Subscribe { channels } } else { Ask::Ping })
    }

    fn heard(&self, at_ns: u64, event: Event) -> Heard {
        let Self { index: client, server, connects: connection, .. } = *self;
        Heard { client, server, connection, at_ns, event }
    }

    fn last_seen(&self, key: KeyName) -> u64 {
        self.seen.iter().find(|(name, _)| *name == key).map_or(0, |&(_, value)| value)
    }

    fn remember(&mut self, key: KeyName, value: u64) {
        match self.seen.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None if key.workload == Workload::Registers => self.seen.push((key, value)),
            None => {}
        }
    }
}

/// Whether a command of the last round is one of those that the round consists of.
fn counts(ask: Ask) -> bool {
    match ask {
        Ask::Kill => false,
        Ask::Cached(step) => step == Step::Probe,
        _ => true,
    }
}

/// Makes a command on lists one on those that are used at this time.
fn in_window(menu: &Menu, key: KeyName, ask: &mut Ask, at_ns: u64) -> KeyName {
    if key.workload != Workload::Transactions {
        return key;
    }
    let first = first_key(at_ns, menu.seconds, menu.keys(key.workload));
    if let Ask::Transact(plan) | Ask::Watch(plan) = ask {
        plan.first_key = first;
    }
    KeyName { index: key.index + first, ..key }
}

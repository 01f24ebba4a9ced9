//! A client's copies of what it has read, and what it does to keep them fresh.
//!
//! The client follows the rules for clients that cache: it asks to be told of changes before it
//! keeps anything; it drops a copy when it hears of its key, and all of them when it loses one of
//! its connections; a value that was asked for before such news came over another connection, and
//! that arrives after it, is not kept; and who has asked not to be told of its own changes drops
//! what it changes itself.
//!
//! Each look at a copy is written down with the moment since when the copy is certainly good: when
//! the last question that has been answered over the connection of the news was asked. Everything
//! that the server did before is known here, if it still knew whom to tell: of that only an answer
//! over the connection that reads is proof. When that one has ended at the server, the other
//! goes on without news, in Redis as here.
//!
//! Invariant: only keys of the caches' own database are kept, and only those that are tracked.

use crate::chance::Draw;
use crate::journal::{Journal, Recall, Seen};
use crate::setup::Knobs;
use crate::workload::{Ask, CHANNEL, Manner, Mode, Said, Scope, Step, Via, number};

/// Looks at copies before the next command goes out, at most.
const LOOKS_MAX: usize = 3;

/// What every client with copies has to know of the world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The database of those with copies.
    db: u16,
    /// Whether the database may be flushed.
    may_flush: bool,
    /// Whether all databases may be.
    may_flush_all: bool,
    /// Whether there is an empty one to exchange it for.
    may_swap: bool,
    /// Whether clients can have a second connection.
    pub(crate) has_second: bool,
}

/// What a client keeps.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// `None`: there was nothing.
    value: Option<u64>,
    /// When it was asked for.
    asked_ns: u64,
}

/// The copies of one client over one connection, or over two that belong together.
#[derive(Debug)]
pub(crate) struct Copies {
    /// `None`: it keeps nothing, and only writes.
    mode: Option<Mode>,
    rules: Rules,
    /// Steps of its greeting that are done.
    greeted: usize,
    /// The second connection's id.
    second: Option<u64>,
    kept: Vec<Option<Kept>>,
    /// The key of a read under way whose answer it means to keep.
    awaited: Option<u16>,
    /// When the last question was asked that has been answered over the connection that reads, and
    /// over that of the news.
    answered_ns: [u64; 2],
}

impl Rules {
    /// What is possible in a world with so many databases, where there is nothing else if the
    /// clients with copies are `alone`.
    pub(crate) fn new(knobs: &Knobs, alone: bool) -> Self {
        let has_own = knobs.databases >= 3;
        Self {
            db: u16::from(has_own),
            may_flush: has_own || alone,
            may_flush_all: alone,
            may_swap: has_own,
            has_second: true,
        }
    }
}

impl Copies {
    /// Nothing yet, over a connection that is about to be made.
    pub(crate) fn new(draw: &mut Draw, rules: Rules, keys: u16) -> Self {
        Self {
            mode: Mode::draw(draw, keys, rules.has_second),
            rules,
            greeted: 0,
            second: None,
            kept: vec![None; usize::from(keys)],
            awaited: None,
            answered_ns: [0; 2],
        }
    }

    /// Whether it needs a second connection.
    pub(crate) fn has_second(&self) -> bool {
        self.mode.is_some_and(|mode| mode.via == Via::Redirect)
    }

    /// What comes before everything else, if it is not done.
    fn greeting(&self) -> Option<Step> {
        let select = Step::Select { db: self.rules.db };
        let track = self.mode.map(|mode| Step::Track { mode, redirect: self.second });
        let steps = match self.mode.map(|mode| mode.via) {
            None => [Some(select), None, None, None],
            Some(Via::Push) => [Some(Step::Hello), Some(select), track, None],
            Some(Via::Redirect) => [Some(Step::WhoAmI), Some(Step::Listen), Some(select), track],
        };
        steps.get(self.greeted).copied().flatten()
    }

    /// The next command and its key. What is read from copies before is written down.
    pub(crate) fn next(
        &mut self,
        journal: &mut Journal,
        draw: &mut Draw,
        knobs: &Knobs,
        who: (u16, u16),
        now_ns: u64,
    ) -> (u16, Ask) {
        if let Some(step) = self.greeting() {
            return (0, Ask::Cached(step));
        }
        let value = journal.next_value();
        let keys = self.kept.len() as u64;
        for _ in 0..LOOKS_MAX {
            let key = draw.below(keys) as u16;
            let die = draw.below(128);
            match die {
                0..84 if self.mode.is_some() => {
                    if self.look(journal, key, who, now_ns) && !draw.chance(1, 8) {
                        continue;
                    }
                    return (key, self.fetch(draw, key));
                }
                84..92 => return (key, self.probe()),
                92..98 if keys > 1 => {
                    let other = (u64::from(key) + 1 + draw.below(keys - 1)) % keys;
                    let manner = draw.pick(&[Manner::Exec, Manner::Script]);
                    let pair = Step::Pair { value, other: other as u16, manner };
                    return (key, self.changes(Some(&[key, other as u16]), Ask::Cached(pair)));
                }
                98 if self.rules.may_flush => {
                    let all = draw.chance(1, 2) && self.rules.may_flush_all;
                    return (key, self.changes(None, Ask::Cached(Step::Flush { all })));
                }
                99 if self.rules.may_swap => {
                    let db = self.rules.db;
                    return (key, self.changes(None, Ask::Cached(Step::Swap { db })));
                }
                _ => {
                    let known = crate::workload::Known::default();
                    let workload = crate::workload::Workload::Caches;
                    let ask = Ask::draw(draw, workload, value, known, knobs);
                    let is_read = ask == Ask::Get;
                    return (key, if is_read { ask } else { self.changes(Some(&[key]), ask) });
                }
            }
        }
        (0, self.probe())
    }

    /// The last round: everything that is left is looked at, again and again, while the keys are
    /// read.
    pub(crate) fn last(
        &self,
        journal: &mut Journal,
        round: u16,
        who: (u16, u16),
        now_ns: u64,
    ) -> (u16, Ask) {
        if let Some(step) = self.greeting() {
            return (0, Ask::Cached(step));
        }
        for key in 0..self.kept.len() as u16 {
            self.look(journal, key, who, now_ns);
        }
        match round.checked_sub(1) {
            None => (0, self.probe()),
            Some(key) => (key, Ask::Get),
        }
    }

    /// Questions of the last round.
    pub(crate) fn rounds(&self) -> u16 {
        self.kept.len() as u16 + 1
    }

    /// Looks at the copy of a key; whether there is one.
    fn look(
        &self,
        journal: &mut Journal,
        key: u16,
        (client, server): (u16, u16),
        at_ns: u64,
    ) -> bool {
        let Some(kept) = self.kept[usize::from(key)] else { return false };
        let since_ns = self.known_ns().max(kept.asked_ns);
        journal.recalls.push(Recall { client, server, key, value: kept.value, since_ns, at_ns });
        true
    }

    /// Everything that the server did before this is known here.
    fn known_ns(&self) -> u64 {
        let [reads, news] = self.answered_ns;
        if self.has_second() { reads.min(news) } else { reads }
    }

    fn fetch(&mut self, draw: &mut Draw, key: u16) -> Ask {
        let manner = draw.pick(&[Manner::Plain, Manner::Plain, Manner::Exec, Manner::Script]);
        let scope = self.mode.map(|mode| mode.scope);
        let caching = match scope {
            Some(Scope::OptIn) if draw.chance(3, 4) => Some(true),
            Some(Scope::OptOut) if draw.chance(1, 4) => Some(false),
            _ => None,
        };
        let keeps = self.mode.is_some_and(|mode| mode.keeps(key, caching));
        self.awaited = keeps.then_some(key);
        Ask::Cached(Step::Fetch { manner, caching })
    }

    fn probe(&self) -> Ask {
        if self.has_second() { Ask::Cached(Step::Probe) } else { Ask::Ping }
    }

    /// Drops what it is about to change itself, if it is not told of that; `None`: everything.
    fn changes(&mut self, keys: Option<&[u16]>, ask: Ask) -> Ask {
        if self.mode.is_some_and(|mode| mode.no_loop) {
            match keys {
                None => self.kept.fill(None),
                Some(keys) => keys.iter().for_each(|&key| self.kept[usize::from(key)] = None),
            }
        }
        ask
    }

    /// An answer has come: whether it makes sense.
    pub(crate) fn answered(&mut self, ask: Ask, key: u16, seen: Seen, call_ns: u64) -> bool {
        let answered_ns = &mut self.answered_ns[usize::from(ask.is_aside())];
        *answered_ns = call_ns.max(*answered_ns);
        let awaited = self.awaited.take();
        match (ask, seen) {
            // Who cannot hear of changes keeps nothing.
            (Ask::Cached(Step::Listen), Seen::Refused(_)) => (self.mode, self.greeted) = (None, 0),
            (_, Seen::Refused(_)) => {}
            (Ask::Cached(Step::Fetch { .. }), Seen::Value(_) | Seen::Nil) => {
                let value = if let Seen::Value(value) = seen { Some(value) } else { None };
                if awaited == Some(key) {
                    self.kept[usize::from(key)] = Some(Kept { value, asked_ns: call_ns });
                }
            }
            (Ask::Cached(Step::WhoAmI), Seen::Integer(id)) => {
                self.second = u64::try_from(id).ok();
                self.greeted += 1;
            }
            (
                Ask::Cached(Step::Hello | Step::Select { .. } | Step::Listen | Step::Track { .. }),
                Seen::Done,
            ) => self.greeted += 1,
            (Ask::Cached(Step::Track { .. }), _) => return false,
            _ => {}
        }
        true
    }

    /// A command before the read was refused: CLIENT CACHING, perhaps, and then nobody will tell of
    /// what is read.
    pub(crate) fn keep_nothing_of_this(&mut self) {
        self.awaited = None;
    }

    /// Takes news about keys; false: it is something else.
    pub(crate) fn hears(&mut self, said: Said<'_>) -> bool {
        let keys = match said {
            Said::Push(mut items) => {
                if items.next().and_then(Said::bulk) != Some(b"invalidate") {
                    return false;
                }
                items.next()
            }
            Said::Array(mut items) => {
                let is_news = items.next().and_then(Said::bulk) == Some(b"message")
                    && items.next().and_then(Said::bulk) == Some(CHANNEL);
                if !is_news {
                    return false;
                }
                items.next()
            }
            _ => return false,
        };
        let Some(Said::Array(keys)) = keys else {
            self.forget(None);
            return true;
        };
        for key in keys {
            let index = key.bulk().and_then(|name| name.strip_prefix(b"k")).and_then(number);
            if let Some(index) = index.and_then(|index| u16::try_from(index).ok()) {
                self.forget(Some(index));
            }
        }
        true
    }

    /// Drops the copy of a key, or all; and what is on its way over another connection than the
    /// news, since it may be older.
    fn forget(&mut self, key: Option<u16>) {
        match key {
            None => self.kept.fill(None),
            Some(key) => {
                if let Some(kept) = self.kept.get_mut(usize::from(key)) {
                    *kept = None;
                }
            }
        }
        if self.has_second() && key.is_none_or(|key| self.awaited == Some(key)) {
            self.awaited = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Chance, Stream};
    use crate::workload::parse_reply;

    const FETCH: Ask = Ask::Cached(Step::Fetch { manner: Manner::Plain, caching: None });

    /// One that is told of what it reads and may keep the first key, which it has asked for.
    fn asking(via: Via, no_loop: bool) -> Copies {
        let knobs = Knobs::draw(Chance::new(1));
        let rules = Rules::new(&knobs, true);
        let mut draw = Chance::new(1).key(Stream::Connect, 0).at(0);
        let mut copies = Copies::new(&mut draw, rules, 2);
        copies.mode = Some(Mode { via, scope: Scope::All, no_loop });
        copies.awaited = Some(0);
        copies
    }

    fn hear(copies: &mut Copies, text: &str) {
        let (said, len) = parse_reply(text.as_bytes()).expect("whole");
        assert!(copies.hears(said) && len == text.len(), "{text}");
    }

    /// What the copy of the first key is said to be, and since when it is certainly good.
    fn recalled(copies: &Copies) -> Option<(Option<u64>, u64)> {
        let mut journal = Journal::default();
        copies.look(&mut journal, 0, (1, 2), 90).then(|| {
            let Recall { value, since_ns, at_ns: 90, .. } = journal.recalls[0] else {
                panic!("it was looked at now")
            };
            (value, since_ns)
        })
    }

    const MESSAGE: &str = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";

    #[test]
    fn news_over_another_connection_spoil_what_is_on_its_way() {
        let mut copies = asking(Via::Redirect, false);
        hear(&mut copies, &format!("{MESSAGE}*1\r\n$2\r\nk0\r\n"));
        assert!(copies.answered(FETCH, 0, Seen::Value(7), 30));
        assert_eq!(recalled(&copies), None);
        copies.awaited = Some(0);
        hear(&mut copies, &format!("{MESSAGE}*1\r\n$2\r\nk1\r\n"));
        assert!(copies.answered(FETCH, 0, Seen::Value(7), 30));
        // Answers over the connection that reads say nothing about news.
        assert!(copies.answered(Ask::Get, 1, Seen::Nil, 40));
        assert_eq!(recalled(&copies), Some((Some(7), 30)));
        // Those over the other say nothing about whether there is still somebody to be told.
        assert!(copies.answered(Ask::Cached(Step::Probe), 0, Seen::Done, 50));
        assert_eq!(recalled(&copies), Some((Some(7), 40)));
        assert!(copies.answered(Ask::Get, 1, Seen::Nil, 60));
        assert_eq!(recalled(&copies), Some((Some(7), 50)));
        hear(&mut copies, &format!("{MESSAGE}*-1\r\n"));
        assert_eq!(recalled(&copies), None);
    }

    #[test]
    fn pushes_come_in_order_with_replies() {
        let mut copies = asking(Via::Push, false);
        hear(&mut copies, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\nk0\r\n");
        assert!(copies.answered(FETCH, 0, Seen::Nil, 30));
        assert!(copies.answered(Ask::Get, 1, Seen::Nil, 40));
        assert_eq!(recalled(&copies), Some((None, 40)));
        hear(&mut copies, ">2\r\n$10\r\ninvalidate\r\n_\r\n");
        assert_eq!(recalled(&copies), None);
    }

    #[test]
    fn who_is_not_told_of_its_own_changes_drops_what_it_changes() {
        for no_loop in [false, true] {
            let mut copies = asking(Via::Push, no_loop);
            assert!(copies.answered(FETCH, 0, Seen::Value(7), 30));
            copies.changes(Some(&[1]), Ask::Del);
            assert!(recalled(&copies).is_some());
            copies.changes(Some(&[0]), Ask::Del);
            assert_eq!(recalled(&copies).is_none(), no_loop);
        }
    }

    #[test]
    fn nothing_is_kept_of_a_read_that_was_refused_or_was_not_to_be_told_of() {
        let mut copies = asking(Via::Push, false);
        copies.keep_nothing_of_this();
        assert!(copies.answered(FETCH, 0, Seen::Value(7), 30));
        assert_eq!(recalled(&copies), None);
        copies.awaited = Some(0);
        assert!(copies.answered(FETCH, 0, Seen::Refused(0), 30));
        assert_eq!(recalled(&copies), None);
    }
}

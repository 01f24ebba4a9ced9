//! From what clients saw to a verdict.
//!
//! Each server has its own data and so its own history. The death of a server without persistence
//! is an event of the history: at that moment every key is deleted. With these events a history
//! must be linearizable. Without them it is judged a second time: if it is not linearizable then,
//! clients have seen the loss.
//!
//! Queues, streams with consumer groups, transactions, messages and locks are judged apart, by the
//! rules of their own checkers; a field of a hash is a key like any other.
//!
//! Invariant: what is judged is what clients knew; the world adds only the deaths, and how wrong
//! the servers' clocks can have been.

mod caching;
mod locks;
mod messages;
mod saves;
mod transactions;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::check::{Counterexample, Options, UnknownReason, Verdict, check, groups, queues};
use crate::history::{
    Command, Condition, History, Operation, Outcome, Reply, SetCommand, Specification, Value,
};
use crate::journal::{Journal, Op, Seen};
use crate::setup::{Keeping, Knobs, Memory, Setup};
use crate::workload::{Ask, KeyName, Values, Workload};
use crate::world::{self, Death, Outcome as Run};

/// Longest search of one history.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Memory of one search.
const MEMORY_BYTES: usize = 512 << 20;
/// Operations of the world itself have numbers from here on.
const WORLD_PROCESS: u64 = 1 << 32;

/// What the histories say about one server.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The server.
    pub server: u16,
    /// Operations on it, unknown ones included.
    pub operations: usize,
    /// What is wrong.
    pub wrong: Option<Wrong>,
    /// How wrong its clock must have been, in milliseconds.
    pub clock_error_ms: u64,
    /// How wrong it may have been.
    pub clock_error_max_ms: u64,
    /// Whether clients saw that its data was gone, if it died and keeps nothing.
    pub loss: Loss,
    /// After how many deaths clients saw that something was there again.
    pub recovered: usize,
}

/// What a history can have against it.
#[derive(Clone, Debug)]
pub enum Wrong {
    /// No order of the operations explains the answers.
    NotLinearizable(Option<Box<Counterexample>>),
    /// A queue or a stream was not what it should be; in words.
    NotKept(String),
    /// The checker could not tell.
    Unknown(UnknownReason),
}

/// What clients saw of a server's deaths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It did not die, or has kept what it should.
    None,
    /// It died, and no answer depends on it.
    Unseen,
    /// It died, and answers show it.
    Seen,
}

/// Judges a run; with `explain`, violations come with what makes them one.
#[must_use]
pub fn judge(setup: &Setup, run: &Run, explain: bool) -> Vec<Judged> {
    let mut by_server: Vec<Vec<usize>> = vec![Vec::new(); setup.servers];
    for (at, op) in run.journal.ops.iter().enumerate() {
        by_server[usize::from(op.server)].push(at);
    }
    let judge_one =
        |(server, ops): (usize, &Vec<usize>)| judge_server(setup, run, server as u16, ops, explain);
    by_server.iter().enumerate().map(judge_one).collect()
}

fn judge_server(setup: &Setup, run: &Run, server: u16, ops: &[usize], explain: bool) -> Judged {
    let history = history(setup, &run.journal, (server, ops));
    let clock_error_max_ms = run.clock_error_ms[usize::from(server)];
    let options = Options {
        timeout: Some(TIMEOUT),
        memory_bytes: MEMORY_BYTES,
        max_clock_error_ms: clock_error_max_ms,
        explain,
        vanishing: setup.memory.map(Memory::vanishing).unwrap_or_default(),
        lasting: world::lasting(setup),
        ..Options::default()
    };
    let deaths: Vec<&Death> = run.deaths.iter().filter(|death| death.server == server).collect();
    let refuses = caching::Refuses {
        is_limited: setup.memory.is_some(),
        has_scripts: setup.workloads.contains(&Workload::Scripts),
        loads: setup.keeping != Keeping::Nothing,
    };
    let unfair = |&at: &usize| !caching::is_fair(&run.journal, &run.journal.ops[at], refuses);
    let not_kept = match ops.iter().copied().find(unfair) {
        None => caching::judge(&run.journal, ops),
        Some(at) => Err(odd(&run.journal, &run.journal.ops[at])),
    };
    // A death that takes nothing is none, for all that was said; one after which somebody had to
    // empty the disk takes everything.
    let takes = |death: &&Death| {
        !setup.keeping.loses_nothing() || run.files.emptied.contains(&(server, death.at_ns))
    };
    let deaths: Vec<&Death> = deaths.into_iter().filter(takes).collect();
    let not_kept = not_kept.and_then(|()| by_rules(setup, run, (server, ops), &deaths));
    let (not_kept, recovered) = match not_kept {
        Ok(recovered) => (Ok(()), recovered),
        Err(why) => (Err(why), 0),
    };
    let blind = Options { explain: false, ..options.clone() };
    let seen_loss = !deaths.is_empty()
        && (matches!(check(&history, &blind).verdict, Verdict::NotLinearizable(_))
            || transactions::judge(&run.journal, ops, &[]).is_err()
            || locks::judge(setup, run, (server, ops), false).is_err());
    let loses = !deaths.is_empty() && setup.keeping == Keeping::Nothing;
    let loss = match (!loses, seen_loss) {
        (true, _) => Loss::None,
        (false, true) => Loss::Seen,
        (false, false) => Loss::Unseen,
    };
    let mut judged = Judged {
        server,
        operations: ops.len(),
        wrong: None,
        clock_error_ms: 0,
        clock_error_max_ms,
        loss,
        recovered,
    };
    // A history that is legal without the losses needs no second look: a loss that nobody saw can
    // only be left out.
    let history = if seen_loss { with_deaths(history, &deaths) } else { history };
    match check(&history, &options).verdict {
        Verdict::Linearizable(error) => judged.clock_error_ms = error.at_least_ms,
        Verdict::NotLinearizable(why) => judged.wrong = Some(Wrong::NotLinearizable(why)),
        Verdict::Unknown(reason) => judged.wrong = Some(Wrong::Unknown(reason)),
    }
    if let Err(why) = not_kept {
        judged.wrong = Some(Wrong::NotKept(why));
    }
    judged
}

/// Judges what has a checker of its own among the operations on one server: after how many deaths
/// something was there again.
fn by_rules(
    setup: &Setup,
    run: &Run,
    (server, ops): (u16, &[usize]),
    deaths: &[&Death],
) -> Result<usize, String> {
    collections(&run.journal, ops, deaths)?;
    transactions::judge(&run.journal, ops, deaths)?;
    messages::judge(&run.journal, server, ops)?;
    locks::judge(setup, run, (server, ops), true)?;
    saves::judge(setup, run, server, ops)
}

/// Judges the queues and streams among the operations on one server.
fn collections(journal: &Journal, places: &[usize], deaths: &[&Death]) -> Result<(), String> {
    let mut by_key: BTreeMap<KeyName, Vec<&Op>> = BTreeMap::new();
    let one_key = |op: &&Op| matches!(op.key.workload, Workload::Queues | Workload::Groups);
    for op in places.iter().map(|&at| &journal.ops[at]).filter(one_key) {
        by_key.entry(op.key).or_default().push(op);
    }
    let mut deaths: Vec<u64> = deaths.iter().map(|death| death.at_ns).collect();
    deaths.sort_unstable();
    for (key, ops) in by_key {
        let verdict = match key.workload {
            Workload::Queues => {
                let acts = ops.iter().map(|op| queue_operation(journal, op));
                let operations: Result<Vec<_>, String> =
                    acts.filter_map(Result::transpose).collect();
                operations.and_then(|operations| queues::check(&operations, &deaths))
            }
            _ => {
                let acts = ops.iter().map(|op| group_operation(journal, op));
                let operations: Result<Vec<_>, String> =
                    acts.filter_map(Result::transpose).collect();
                operations.and_then(|operations| groups::check(&operations, &deaths))
            }
        };
        let mut name = Vec::new();
        key.write(&mut name);
        verdict.map_err(|why| format!("key {}: {why}", String::from_utf8_lossy(&name)))?;
    }
    Ok(())
}

/// Whether operations on this key are judged by rules instead of a search.
#[must_use]
pub fn has_own_checker(key: KeyName) -> bool {
    matches!(
        key.workload,
        Workload::Queues
            | Workload::Groups
            | Workload::Transactions
            | Workload::Messages
            | Workload::Locks
            | Workload::Saves
    )
}

/// What an answer says that no server should have given.
fn odd(journal: &Journal, op: &Op) -> String {
    let text = match op.seen {
        Seen::Error(at) | Seen::Odd(at) | Seen::Refused(at) => {
            String::from_utf8_lossy(&journal.texts[at as usize])
        }
        _ => "something else".into(),
    };
    format!("{:?} was answered with {:?}: {text}", op.ask, op.seen)
}

/// An operation on a queue as its checker knows it; `None` if it tells nothing.
fn queue_operation(journal: &Journal, op: &Op) -> Result<Option<queues::Operation>, String> {
    let unanswered = matches!(op.seen, Seen::Open | Seen::Unknown);
    let act = match (op.ask, op.seen) {
        (Ask::Push { value }, Seen::Integer(_)) => queues::Act::Push { value, known: true },
        (Ask::Push { value }, _) if unanswered => queues::Act::Push { value, known: false },
        (Ask::Pop | Ask::BlockingPop { .. }, Seen::Value(value)) => queues::Act::Popped(value),
        (Ask::Pop | Ask::BlockingPop { .. }, Seen::Nil) => queues::Act::Empty,
        (Ask::Pop | Ask::BlockingPop { .. }, _) if unanswered => queues::Act::Unknown,
        (Ask::Look, Seen::List(at)) => {
            let values = journal.lists[at as usize].iter().map(|&(_, value)| value);
            queues::Act::Saw(values.collect())
        }
        (Ask::Look, _) if unanswered => return Ok(None),
        (_, Seen::Refused(_)) => return Ok(None),
        _ => return Err(odd(journal, op)),
    };
    Ok(Some(queues::Operation { act, call_ns: op.call_ns, return_ns: op.return_ns }))
}

/// An operation on a stream as its checker knows it; `None` if it tells nothing.
fn group_operation(journal: &Journal, op: &Op) -> Result<Option<groups::Operation>, String> {
    use groups::Act;
    let unanswered = matches!(op.seen, Seen::Open | Seen::Unknown);
    let list = |at: u32| journal.lists[at as usize].clone();
    let act = match (op.ask, op.seen) {
        (Ask::Add { value }, Seen::List(at)) => {
            Act::Add { value, id: list(at).first().map(|&(id, _)| id) }
        }
        (Ask::Add { value }, _) if unanswered => Act::Add { value, id: None },
        (Ask::ReadGroup { .. }, Seen::List(at)) => Act::Read(list(at)),
        (Ask::ReadGroup { .. }, _) if unanswered => Act::UnknownRead,
        (Ask::Claim { .. }, Seen::List(at)) => Act::Claimed(list(at)),
        (Ask::Ack { id }, Seen::Integer(count)) => Act::Ack { id, was_pending: Some(count == 1) },
        (Ask::Ack { id }, _) if unanswered => Act::Ack { id, was_pending: None },
        (Ask::Pending, Seen::List(at)) => {
            Act::Pending(list(at).into_iter().map(|(id, _)| id).collect())
        }
        (Ask::Range, Seen::List(at)) => Act::Range(list(at)),
        (Ask::CreateGroup, Seen::Done) | (_, Seen::Refused(_)) => return Ok(None),
        (_, Seen::Error(at)) if is_about_groups(&journal.texts[at as usize]) => return Ok(None),
        _ if unanswered => return Ok(None),
        _ => return Err(odd(journal, op)),
    };
    Ok(Some(groups::Operation { act, call_ns: op.call_ns, return_ns: op.return_ns }))
}

/// Whether an error says that somebody has killed the script.
fn is_killed(ask: Ask, text: &[u8]) -> bool {
    matches!(ask, Ask::SlowSet { .. }) && text.starts_with(b"ERR Script killed by user")
}

/// Whether an error says that a group is not there yet, or is there already.
fn is_about_groups(text: &[u8]) -> bool {
    text.starts_with(b"NOGROUP") || text.starts_with(b"BUSYGROUP")
}

/// The history of one server, deaths included.
#[must_use]
pub fn server_history(setup: &Setup, run: &Run, server: u16) -> History {
    let places = (0..run.journal.ops.len()).filter(|&at| run.journal.ops[at].server == server);
    let history = history(setup, &run.journal, (server, &places.collect::<Vec<_>>()));
    let counts = |death: &&Death| death.server == server && !setup.keeping.loses_nothing();
    let deaths: Vec<&Death> = run.deaths.iter().filter(counts).collect();
    with_deaths(history, &deaths)
}

fn history(setup: &Setup, journal: &Journal, (server, places): (u16, &[usize])) -> History {
    let values = Values::new(setup.chance());
    let keys = Knobs::draw(setup.chance()).keys;
    let mut writer = Writer { values, journal, scratch: Vec::new() };
    let mut operations = Vec::with_capacity(places.len());
    for &at in places {
        let op = &journal.ops[at];
        match op.key.workload {
            Workload::Caches => operations.extend(caching::operations(&mut writer, at, keys)),
            _ if op.ask == Ask::Kill || has_own_checker(op.key) => {}
            _ => operations.push(writer.operation(at)),
        }
    }
    for (at, recall) in journal.recalls.iter().enumerate() {
        if recall.server == server {
            operations.push(caching::recall(&mut writer, at, *recall));
        }
    }
    History { specification: Specification::Redis, operations }
}

/// Adds the deletion of every key at the moment of each death.
fn with_deaths(mut history: History, deaths: &[&Death]) -> History {
    let mut keys: Vec<Value> = Vec::new();
    for operation in &history.operations {
        operation.command.for_each_key(&mut |key| keys.push(key.clone()));
    }
    keys.sort();
    keys.dedup();
    let mut id = WORLD_PROCESS;
    for death in deaths {
        for key in &keys {
            let deletion = Operation {
                id,
                process: WORLD_PROCESS + id,
                command: Command::Get { key: key.clone() },
                call_us: death.at_ns / 1000,
                return_us: Some(death.at_ns.div_ceil(1000)),
                outcome: Outcome::Ok(Reply::Nil),
            };
            history.operations.push(caching::gone(deletion, key.clone()));
            id += 1;
        }
    }
    history
}

struct Writer<'a> {
    values: Values,
    journal: &'a Journal,
    scratch: Vec<u8>,
}

impl Writer<'_> {
    fn operation(&mut self, at: usize) -> Operation {
        let command = self.command(&self.journal.ops[at]);
        self.operation_of(at, command)
    }

    fn operation_of(&mut self, at: usize, command: Command) -> Operation {
        let op = &self.journal.ops[at];
        let outcome = self.outcome(op);
        Operation {
            id: at as u64,
            process: u64::from(op.client) << 8 | u64::from(op.slot),
            command,
            // Rounded outwards: a microsecond may only make operations overlap.
            call_us: op.call_ns / 1000,
            return_us: (outcome != Outcome::Info).then(|| op.return_ns.div_ceil(1000)),
            outcome,
        }
    }

    fn key(&mut self, key: KeyName) -> Value {
        self.scratch.clear();
        key.write(&mut self.scratch);
        Value::from(self.scratch.as_slice())
    }

    fn value(&mut self, value: u64) -> Value {
        self.scratch.clear();
        self.values.write(value, &mut self.scratch);
        Value::from(self.scratch.as_slice())
    }

    fn command(&mut self, op: &Op) -> Command {
        let key = self.key(op.key);
        let (value, ttl_ms, condition) = match op.ask {
            Ask::Get => return Command::Get { key },
            Ask::GetDel => return Command::GetDel { key },
            Ask::Del => return Command::Del { keys: vec![key] },
            Ask::Pttl => return Command::Pttl { key },
            Ask::IncrBy { by } => return Command::IncrBy { key, by },
            Ask::Pexpire { ttl_ms } => return Command::Expire { key, ttl_ms: ttl_ms as i64 },
            Ask::Set { value } | Ask::SlowSet { value, .. } => (value, None, None),
            Ask::SetNx { value } => (value, None, Some(Condition::Nx)),
            Ask::SetXx { value } => (value, None, Some(Condition::Xx)),
            Ask::SetPx { value, ttl_ms } => (value, Some(ttl_ms as i64), None),
            Ask::Cas { from, value } => {
                let from = self.value(from);
                (value, None, Some(Condition::IfEq(from)))
            }
            other => unreachable!("{other:?} is judged by a checker of its own"),
        };
        let value = self.value(value);
        Command::Set(SetCommand { key, value, ttl_ms, condition, keep_ttl: false, get: false })
    }

    fn outcome(&mut self, op: &Op) -> Outcome {
        let text = |at: u32| String::from_utf8_lossy(&self.journal.texts[at as usize]).into_owned();
        Outcome::Ok(match op.seen {
            Seen::Open | Seen::Unknown => return Outcome::Info,
            Seen::Done => Reply::Done,
            Seen::Nil => Reply::Nil,
            Seen::Integer(value) => Reply::Int(value),
            Seen::Count(count) => Reply::Bulk(Value::from(count.to_string().as_str())),
            Seen::Value(value) => Reply::Bulk(self.value(value)),
            Seen::Refused(_) => return Outcome::Fail,
            // What a script has written that was killed is undone.
            Seen::Error(at) if is_killed(op.ask, &self.journal.texts[at as usize]) => {
                return Outcome::Fail;
            }
            Seen::Error(at) => Reply::Error(text(at)),
            Seen::Odd(at) => Reply::Bulk(Value::from(self.journal.texts[at as usize].as_slice())),
            Seen::List(_) => unreachable!("no command on one string is answered with a list"),
        })
    }
}

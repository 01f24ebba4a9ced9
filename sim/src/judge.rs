//! From what clients saw to a verdict.
//!
//! Each server has its own data and so its own history. The death of a server without persistence
//! is an event of the history: at that moment every key is deleted. With these events a history
//! must be linearizable. Without them it is judged a second time: if it is not linearizable then,
//! clients have seen the loss.
//!
//! Invariant: what is judged is what clients knew; the world adds only the deaths, and how wrong
//! the servers' clocks can have been.

use std::time::Duration;

use crate::check::{Counterexample, Options, UnknownReason, Verdict, check};
use crate::history::{
    Command, Condition, History, Operation, Outcome, Reply, SetCommand, Specification, Value,
};
use crate::journal::{Journal, Op, Seen};
use crate::setup::Setup;
use crate::workload::{Ask, KeyName, Values};
use crate::world::{Death, Outcome as Run};

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
    /// Whether clients saw that its data was gone, if it died.
    pub loss: Loss,
}

/// What a history can have against it.
#[derive(Clone, Debug)]
pub enum Wrong {
    /// No order of the operations explains the answers.
    NotLinearizable(Option<Box<Counterexample>>),
    /// The checker could not tell.
    Unknown(UnknownReason),
}

/// What clients saw of a server's deaths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It did not die.
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
    let history = history(setup, &run.journal, ops);
    let clock_error_max_ms = run.clock_error_ms[usize::from(server)];
    let options = Options {
        timeout: Some(TIMEOUT),
        memory_bytes: MEMORY_BYTES,
        max_clock_error_ms: clock_error_max_ms,
        explain,
        ..Options::default()
    };
    let deaths: Vec<&Death> = run.deaths.iter().filter(|death| death.server == server).collect();
    let blind = Options { explain: false, ..options };
    let seen_loss = !deaths.is_empty()
        && matches!(check(&history, &blind).verdict, Verdict::NotLinearizable(_));
    let loss = match (deaths.is_empty(), seen_loss) {
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
    };
    // A history that is legal without the losses needs no second look: a loss that nobody saw can
    // only be left out.
    let history = if seen_loss { with_deaths(history, &deaths) } else { history };
    match check(&history, &options).verdict {
        Verdict::Linearizable(error) => judged.clock_error_ms = error.at_least_ms,
        Verdict::NotLinearizable(why) => judged.wrong = Some(Wrong::NotLinearizable(why)),
        Verdict::Unknown(reason) => judged.wrong = Some(Wrong::Unknown(reason)),
    }
    judged
}

/// The history of one server, deaths included.
#[must_use]
pub fn server_history(setup: &Setup, run: &Run, server: u16) -> History {
    let places = (0..run.journal.ops.len()).filter(|&at| run.journal.ops[at].server == server);
    let history = history(setup, &run.journal, &places.collect::<Vec<_>>());
    let deaths: Vec<&Death> = run.deaths.iter().filter(|death| death.server == server).collect();
    with_deaths(history, &deaths)
}

fn history(setup: &Setup, journal: &Journal, places: &[usize]) -> History {
    let values = Values::new(setup.chance());
    let mut writer = Writer { values, journal, scratch: Vec::new() };
    let operations = places.iter().map(|&at| writer.operation(at)).collect();
    History { specification: Specification::Redis, operations }
}

/// Adds the deletion of every key at the moment of each death. A SET and a DEL in one transaction
/// delete a key whether it is there or not, with one answer.
fn with_deaths(mut history: History, deaths: &[&Death]) -> History {
    let mut keys: Vec<Value> = Vec::new();
    for operation in &history.operations {
        operation.command.for_each_key(&mut |key| keys.push(key.clone()));
    }
    keys.sort();
    keys.dedup();
    let mut id = history.operations.last().map_or(0, |last| last.id + 1);
    for death in deaths {
        for key in &keys {
            let set = SetCommand { key: key.clone(), ..SetCommand::default() };
            let del = Command::Del { keys: vec![key.clone()] };
            history.operations.push(Operation {
                id,
                process: WORLD_PROCESS + id,
                command: Command::Multi { commands: vec![Command::Set(set), del] },
                call_us: death.at_ns / 1000,
                return_us: Some(death.at_ns.div_ceil(1000)),
                outcome: Outcome::Ok(Reply::Array(vec![Reply::Done, Reply::Int(1)])),
            });
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
        let op = &self.journal.ops[at];
        let outcome = self.outcome(op);
        Operation {
            id: at as u64,
            process: u64::from(op.client) << 8 | u64::from(op.slot),
            command: self.command(op),
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
            Ask::Set { value } => (value, None, None),
            Ask::SetNx { value } => (value, None, Some(Condition::Nx)),
            Ask::SetXx { value } => (value, None, Some(Condition::Xx)),
            Ask::SetPx { value, ttl_ms } => (value, Some(ttl_ms as i64), None),
            Ask::Cas { from, value } => {
                let from = self.value(from);
                (value, None, Some(Condition::IfEq(from)))
            }
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
            Seen::Error(at) => Reply::Error(text(at)),
            Seen::Odd(at) => Reply::Bulk(Value::from(self.journal.texts[at as usize].as_slice())),
        })
    }
}

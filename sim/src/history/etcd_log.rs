//! Reads the log of Jepsen's etcd test: one compare-and-set register, initially absent.
//!
//! A line is `INFO  jepsen.util - PROCESS :TYPE :F VALUE`. The log has no times that can be used,
//! so the number of the line stands for the time; that keeps exactly the order of the events.
//! Reads that timed out say nothing and are kept as [`Outcome::Info`], which the checker drops.

use rustc_hash::FxHashMap;

use super::{
    Command, History, MAX_OPERATIONS, Operation, Outcome, ReadError, Reply, SetCommand,
    Specification, Value,
};

const KEY: &str = "register";

/// Reads the log.
///
/// # Errors
/// At the first line of the test's log that is not understood or contradicts an earlier one.
pub fn read(text: &str) -> Result<History, ReadError> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut open: FxHashMap<u64, usize> = FxHashMap::default();
    for (index, line) in text.lines().enumerate() {
        let mut fields = line.split_whitespace();
        let prefix = (fields.next(), fields.next(), fields.next());
        if prefix != (Some("INFO"), Some("jepsen.util"), Some("-")) {
            if line.trim().is_empty() {
                continue;
            }
            return Err(ReadError::new(index + 1, "expected `INFO jepsen.util - ...`"));
        }
        let words: Vec<&str> = fields.collect();
        event(index as u64, &words, &mut operations, &mut open)
            .map_err(|reason| ReadError::new(index + 1, reason))?;
    }
    if operations.is_empty() {
        return Err(ReadError::new(0, "the log has no operation"));
    }
    Ok(History { specification: Specification::Register, operations })
}

fn event(
    time_us: u64,
    words: &[&str],
    operations: &mut Vec<Operation>,
    open: &mut FxHashMap<u64, usize>,
) -> Result<(), String> {
    let [process, kind, function, values @ ..] = words else {
        return Err("expected `PROCESS :TYPE :F VALUE`".into());
    };
    // Lines of the nemesis carry a keyword instead of a number and concern no client.
    if process.starts_with(':') {
        return Ok(());
    }
    let process: u64 = process.parse().map_err(|_| format!("{process:?} is no process"))?;
    if *kind == ":invoke" {
        if open.contains_key(&process) {
            return Err(format!("process {process} already has an operation open"));
        }
        if operations.len() == MAX_OPERATIONS {
            return Err("too many operations".into());
        }
        open.insert(process, operations.len());
        operations.push(Operation {
            id: operations.len() as u64,
            process,
            command: command(function, values)?,
            call_us: time_us,
            return_us: None,
            outcome: Outcome::Info,
        });
        return Ok(());
    }
    let at =
        open.remove(&process).ok_or_else(|| format!("process {process} has no operation open"))?;
    let operation = &mut operations[at];
    if name(&operation.command) != *function {
        return Err(format!("{function} ends an operation that began as another one"));
    }
    operation.outcome = match (*kind, &operation.command) {
        (":info", _) => Outcome::Info,
        (":fail", _) if values == [":timed-out"] => Outcome::Fail,
        (":fail", Command::Cas { .. }) => Outcome::Ok(Reply::Int(0)),
        (":fail", _) => Outcome::Fail,
        (":ok", Command::Get { .. }) => match values {
            ["nil"] => Outcome::Ok(Reply::Nil),
            [value] => Outcome::Ok(Reply::Bulk(number(value)?)),
            _ => return Err("a read answers with one value".into()),
        },
        (":ok", Command::Cas { .. }) => Outcome::Ok(Reply::Int(1)),
        (":ok", _) => Outcome::Ok(Reply::Done),
        _ => return Err(format!("{kind:?} is no type of event")),
    };
    if operation.outcome != Outcome::Info {
        operation.return_us = Some(time_us);
    }
    Ok(())
}

fn command(function: &str, values: &[&str]) -> Result<Command, String> {
    let key = Value::from(KEY);
    match (function, values) {
        (":read", _) => Ok(Command::Get { key }),
        (":write", [value]) => {
            Ok(Command::Set(SetCommand { key, value: number(value)?, ..SetCommand::default() }))
        }
        (":cas", [from, to]) => {
            let from = from.strip_prefix('[').ok_or("expected `[from to]`")?;
            let to = to.strip_suffix(']').ok_or("expected `[from to]`")?;
            Ok(Command::Cas { key, from: number(from)?, to: number(to)? })
        }
        _ => Err(format!("{function} with these values is no operation")),
    }
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Get { .. } => ":read",
        Command::Cas { .. } => ":cas",
        _ => ":write",
    }
}

fn number(text: &str) -> Result<Value, String> {
    let number: i64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Ok(Value::from(number.to_string().as_str()))
}

//! Reads a key-value log of EDN maps, one event a line:
//! `{:process 0, :type :invoke, :f :append, :key "1", :value "x"}`.
//!
//! Only the part of EDN that such logs use is understood: a flat map from keywords to integers,
//! keywords, strings and nil. The number of the line stands for the time.

use rustc_hash::FxHashMap;

use super::{
    Command, History, MAX_OPERATIONS, Operation, Outcome, ReadError, Reply, SetCommand,
    Specification, Value,
};

/// Reads the log.
///
/// # Errors
/// At the first line that is not understood or contradicts an earlier one.
pub fn read(text: &str) -> Result<History, ReadError> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut open: FxHashMap<u64, usize> = FxHashMap::default();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        Event::parse(line)
            .and_then(|event| event.apply(index as u64, &mut operations, &mut open))
            .map_err(|reason| ReadError::new(index + 1, reason))?;
    }
    if operations.is_empty() {
        return Err(ReadError::new(0, "the log has no operation"));
    }
    Ok(History { specification: Specification::Kv, operations })
}

#[derive(Debug, PartialEq)]
enum Edn {
    Nil,
    Int(u64),
    Keyword(String),
    Text(String),
}

#[derive(Default)]
struct Event {
    process: Option<u64>,
    kind: String,
    function: String,
    key: Option<Value>,
    value: Option<Value>,
}

impl Event {
    fn parse(line: &str) -> Result<Self, String> {
        let mut rest = line.trim().strip_prefix('{').ok_or("expected a map")?;
        let mut event = Self::default();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if let Some(after) = rest.strip_prefix('}') {
                return if after.trim().is_empty() {
                    Ok(event)
                } else {
                    Err("text after the map".into())
                };
            }
            let (name, after) = atom(rest)?;
            let (value, after) = atom(after.trim_start())?;
            rest = after;
            let Edn::Keyword(name) = name else {
                return Err(format!("{name:?} is no keyword"));
            };
            match (name.as_str(), value) {
                ("process", Edn::Int(process)) => event.process = Some(process),
                ("type", Edn::Keyword(kind)) => event.kind = kind,
                ("f", Edn::Keyword(function)) => event.function = function,
                ("key", Edn::Text(text)) => event.key = Some(Value::from(text.as_str())),
                ("value", Edn::Text(text)) => event.value = Some(Value::from(text.as_str())),
                ("value", Edn::Nil) => event.value = None,
                (name, value) => return Err(format!(":{name} cannot be {value:?}")),
            }
        }
    }

    fn apply(
        self,
        time_us: u64,
        operations: &mut Vec<Operation>,
        open: &mut FxHashMap<u64, usize>,
    ) -> Result<(), String> {
        let process = self.process.ok_or("no :process")?;
        if self.kind == "invoke" {
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
                command: self.command()?,
                call_us: time_us,
                return_us: None,
                outcome: Outcome::Info,
            });
            return Ok(());
        }
        let at =
            open.remove(&process).ok_or_else(|| format!("process {process} has nothing open"))?;
        let operation = &mut operations[at];
        let is_read = matches!(operation.command, Command::Get { .. });
        operation.outcome = match self.kind.as_str() {
            "ok" if is_read => {
                Outcome::Ok(Reply::Bulk(self.value.ok_or("a read answers with a string")?))
            }
            "ok" => Outcome::Ok(Reply::Done),
            "fail" => Outcome::Fail,
            "info" => return Ok(()),
            kind => return Err(format!(":{kind} is no type of event")),
        };
        operation.return_us = Some(time_us);
        Ok(())
    }

    fn command(self) -> Result<Command, String> {
        let key = self.key.ok_or("no :key")?;
        match (self.function.as_str(), self.value) {
            ("get", _) => Ok(Command::Get { key }),
            ("put", Some(value)) => {
                Ok(Command::Set(SetCommand { key, value, ..SetCommand::default() }))
            }
            ("append", Some(value)) => Ok(Command::Append { key, value }),
            (function, _) => Err(format!(":{function} with this value is no operation")),
        }
    }
}

fn atom(text: &str) -> Result<(Edn, &str), String> {
    if let Some(body) = text.strip_prefix('"') {
        return quoted(body);
    }
    let end = text.find([' ', '\t', ',', '}']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = match word.strip_prefix(':') {
        Some(keyword) => Edn::Keyword(keyword.to_owned()),
        None if word == "nil" => Edn::Nil,
        None => Edn::Int(word.parse().map_err(|_| format!("{word:?} is not understood"))?),
    };
    Ok((value, rest))
}

fn quoted(body: &str) -> Result<(Edn, &str), String> {
    let mut text = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((Edn::Text(text), &body[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, character @ ('"' | '\\'))) => text.push(character),
                _ => return Err("a backslash with nothing known after it".into()),
            },
            character => text.push(character),
        }
    }
    Err("a string without its end".into())
}

//! Orrery's own history format: a header line, then one operation a line, all JSON.
//!
//! ```text
//! {"format":"orrery-history","version":1,"specification":"redis"}
//! {"id":0,"process":0,"command":{"set":{"key":"a","value":"1","ttl_ms":50}},"call_us":10,
//!  "return_us":90,"outcome":{"ok":"done"}}          (one line in the file)
//! ```
//!
//! What is read back equals what was written, byte values that are not UTF-8 included.

use std::io::{self, Write};

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::{Command, History, MAX_OPERATIONS, Operation, Outcome, ReadError, Specification};

const NAME: &str = "orrery-history";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    specification: Specification,
}

/// Writes a history.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write(history: &History, out: &mut impl Write) -> io::Result<()> {
    let header =
        Header { format: NAME.to_owned(), version: VERSION, specification: history.specification };
    serde_json::to_writer(&mut *out, &header)?;
    out.write_all(b"\n")?;
    for operation in &history.operations {
        serde_json::to_writer(&mut *out, operation)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads a history.
///
/// # Errors
/// When a line is not what the format says, or an operation contradicts itself.
pub fn read(text: &str) -> Result<History, ReadError> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((at, line)) = lines.next() else {
        return Err(ReadError::new(0, "the file is empty"));
    };
    let header: Header = serde_json::from_str(line)
        .map_err(|error| ReadError::new(at + 1, format!("not a history header: {error}")))?;
    if header.format != NAME || header.version != VERSION {
        let Header { format, version, .. } = header;
        let reason = format!("format {format:?} version {version}, expected {NAME:?} {VERSION}");
        return Err(ReadError::new(at + 1, reason));
    }
    let mut operations: Vec<Operation> = Vec::new();
    let mut ids = FxHashSet::default();
    for (at, line) in lines {
        let operation: Operation = serde_json::from_str(line)
            .map_err(|error| ReadError::new(at + 1, format!("not an operation: {error}")))?;
        validate(&operation, header.specification)
            .map_err(|reason| ReadError::new(at + 1, reason))?;
        if !ids.insert(operation.id) {
            return Err(ReadError::new(at + 1, format!("id {} is used twice", operation.id)));
        }
        if operations.len() == MAX_OPERATIONS {
            return Err(ReadError::new(at + 1, "too many operations"));
        }
        operations.push(operation);
    }
    Ok(History { specification: header.specification, operations })
}

fn validate(operation: &Operation, specification: Specification) -> Result<(), String> {
    match (&operation.outcome, operation.return_us) {
        (Outcome::Ok(_), None) => return Err("an answered operation needs return_us".into()),
        (_, Some(return_us)) if return_us < operation.call_us => {
            return Err("return_us lies before call_us".into());
        }
        _ => {}
    }
    let known = match specification {
        Specification::Register => {
            matches!(operation.command, Command::Get { .. } | Command::Set(_) | Command::Cas { .. })
        }
        Specification::Kv => matches!(
            operation.command,
            Command::Get { .. } | Command::Set(_) | Command::Append { .. }
        ),
        Specification::Redis => match &operation.command {
            Command::Cas { .. } => false,
            Command::Multi { commands } => !commands
                .iter()
                .any(|inner| matches!(inner, Command::Multi { .. } | Command::Cas { .. })),
            _ => true,
        },
    };
    if !known {
        let name = format!("{specification:?}").to_lowercase();
        return Err(format!("the {name} specification has no {}", operation.command));
    }
    if specification != Specification::Redis
        && let Command::Set(set) = &operation.command
        && (set.ttl_ms.is_some() || set.condition.is_some() || set.keep_ttl || set.get)
    {
        return Err("options of SET belong to the redis specification".into());
    }
    Ok(())
}

//! Lua scripts: the interpreter on its fiber, and the scripts that are known.
//!
//! Invariant: the interpreter is taken out while a script runs, so no script runs inside another.

mod bits;
mod convert;
mod fiber;
mod interpreter;
mod random;
mod running;

use std::collections::BTreeMap;

pub(crate) use fiber::{Ask, Fiber, Run, Tell};
pub use running::Running;

/// All scripts of a server.
#[derive(Debug, Default)]
pub struct Scripts {
    by_sha: BTreeMap<String, Script>,
    text_bytes: usize,
    interpreter: Option<Fiber>,
}

/// A script that was compiled.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Its text.
    pub(crate) text: Vec<u8>,
    /// What it promises in its first line.
    pub(crate) promises: Promises,
}

/// What a script promises (`#!lua flags=no-writes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promises {
    /// It has such a line: without, some rules are relaxed, as before Redis 7.
    pub(crate) given: bool,
    /// It changes nothing.
    pub(crate) no_writes: bool,
    /// It may run when memory is over its limit.
    pub(crate) allow_oom: bool,
}

impl Scripts {
    /// A script by the SHA-1 of its text in lower-case hexadecimal digits.
    pub(crate) fn find(&self, sha: &str) -> Option<&Script> {
        self.by_sha.get(sha)
    }

    /// Compiles a script, if it is new. The error is what the compiler says.
    pub(crate) fn load(
        &mut self,
        sha: &str,
        text: &[u8],
        memory_bytes_max: usize,
    ) -> Result<Promises, String> {
        if let Some(script) = self.by_sha.get(sha) {
            return Ok(script.promises);
        }
        let (promises, code) = first_line(text)?;
        let interpreter = self.interpreter.get_or_insert_with(|| Fiber::new(memory_bytes_max));
        match interpreter.tell(Tell::Compile { sha: sha.to_owned(), text: code }) {
            Ask::Compiled(result) => {
                result.map_err(|why| format!("ERR Error compiling script (new function): {why}"))?
            }
            ask => unreachable!("a compiler asks for nothing: {ask:?}"),
        }
        self.text_bytes += text.len();
        self.by_sha.insert(sha.to_owned(), Script { text: text.to_vec(), promises });
        Ok(promises)
    }

    /// Takes the interpreter out, to run a script that was loaded.
    pub(crate) fn take_interpreter(&mut self) -> Option<Fiber> {
        self.interpreter.take()
    }

    /// Ends what `take_interpreter` began.
    pub(crate) fn put_back(&mut self, interpreter: Fiber) {
        self.interpreter = Some(interpreter);
    }

    /// Forgets all scripts, and all that the interpreter holds.
    pub(crate) fn flush(&mut self) {
        *self = Self::default();
    }

    /// How many scripts are known, and how long their texts are.
    pub fn totals(&self) -> (usize, usize) {
        (self.by_sha.len(), self.text_bytes)
    }
}

/// The name of a script: the SHA-1 of its text in hexadecimal digits.
pub(crate) fn sha1_of(text: &[u8]) -> String {
    sha1_smol::Sha1::from(text).digest().to_string()
}

/// The promises in a script's first line, and the code for the compiler: with an empty line where
/// the promises were, so that numbers of lines stay.
fn first_line(text: &[u8]) -> Result<(Promises, Vec<u8>), String> {
    let mut promises = Promises::default();
    if !text.starts_with(b"#!") {
        return Ok((promises, text.to_vec()));
    }
    let Some(end) = text.iter().position(|&byte| byte == b'\n') else {
        return Err("ERR Invalid script shebang".to_owned());
    };
    let line = String::from_utf8_lossy(&text[..end]).into_owned();
    let mut words = line.split_ascii_whitespace();
    let engine = words.next().unwrap_or_default();
    if engine != "#!lua" {
        return Err(format!("ERR Unexpected engine in script shebang: {engine}"));
    }
    promises.given = true;
    for word in words {
        let Some(flags) = word.strip_prefix("flags=") else {
            return Err(format!("ERR Unknown lua shebang option: {word}"));
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => promises.no_writes = true,
                "allow-oom" => promises.allow_oom = true,
                "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                _ => return Err(format!("ERR Unexpected flag in script shebang: {flag}")),
            }
        }
    }
    Ok((promises, text[end..].to_vec()))
}

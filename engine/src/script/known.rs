//! The scripts that are known, by name and by text.
//!
//! Invariants: every script that is known was compiled, under its number; at most
//! `EVALUATED_MAX` of those that only EVAL brought stay, as in Redis since 7.4.

use std::collections::BTreeMap;

use super::fiber::{Ask, Tell};
use super::promises::{Promises, first_line};
use super::sha::Sha;
use super::stage::Stage;

/// Scripts that only EVAL made known.
const EVALUATED_MAX: usize = 500;
/// Pauses of the compiler, which works in one step.
const PAUSES_MAX: u32 = 1000;
/// Texts that are found without their SHA-1; a power of two.
const RECENT: usize = 64;

/// The number of a script, in the order in which they came; numbers are used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScriptId(pub(crate) u32);

/// A script that was compiled.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Its name.
    pub(crate) sha: Sha,
    /// Its text.
    pub(crate) text: Vec<u8>,
    /// What it promises in its first line.
    pub(crate) promises: Promises,
    /// SCRIPT LOAD brought it: it stays.
    is_loaded: bool,
    /// When it was last run, in runs of scripts.
    last_run: u64,
}

/// Who brings a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// EVAL.
    ToRun,
    /// SCRIPT LOAD.
    ToStay,
}

/// All scripts of a server.
#[derive(Debug)]
pub struct Scripts {
    scripts: Vec<Option<Script>>,
    free: Vec<ScriptId>,
    by_sha: BTreeMap<Sha, ScriptId>,
    /// Where a text was found the last time, by a hash of it.
    recent: [Option<ScriptId>; RECENT],
    text_bytes: usize,
    evaluated: usize,
    runs: u64,
    stage: Option<Box<Stage>>,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            scripts: Vec::new(),
            free: Vec::new(),
            by_sha: BTreeMap::new(),
            recent: [None; RECENT],
            text_bytes: 0,
            evaluated: 0,
            runs: 0,
            stage: None,
        }
    }
}

impl Scripts {
    /// A script by its name.
    pub(crate) fn find(&self, sha: Sha) -> Option<ScriptId> {
        self.by_sha.get(&sha).copied()
    }

    /// A script that is known.
    pub(crate) fn script(&self, id: ScriptId) -> &Script {
        self.scripts[id.0 as usize].as_ref().expect("a number of a script that is known")
    }

    /// What a text promises, known or not; nothing if it would be refused.
    pub(crate) fn promises_of(&self, text: &[u8]) -> Promises {
        if !text.starts_with(b"#!") {
            return Promises::default();
        }
        match self.find(Sha::of(text)) {
            Some(id) => self.script(id).promises,
            None => first_line(text).map(|(promises, _)| promises).unwrap_or_default(),
        }
    }

    /// Compiles a script, if it is new. The error is what the compiler says.
    pub(crate) fn load(
        &mut self,
        text: &[u8],
        brought: Brought,
        memory_bytes_max: usize,
    ) -> Result<ScriptId, String> {
        let slot = hash(text) as usize % RECENT;
        let recent = self.recent[slot].filter(|&id| {
            self.scripts[id.0 as usize].as_ref().is_some_and(|script| script.text == text)
        });
        let known = recent.or_else(|| self.find(Sha::of(text)));
        let id = match known {
            Some(id) => id,
            None => self.compile(text, memory_bytes_max)?,
        };
        self.recent[slot] = Some(id);
        let script = self.scripts[id.0 as usize].as_mut().expect("it is known");
        if brought == Brought::ToStay && !script.is_loaded {
            script.is_loaded = true;
            self.evaluated -= 1;
        }
        Ok(id)
    }

    fn compile(&mut self, text: &[u8], memory_bytes_max: usize) -> Result<ScriptId, String> {
        let (promises, code) = first_line(text)?;
        if self.evaluated >= EVALUATED_MAX {
            self.forget_oldest();
        }
        let next = u32::try_from(self.scripts.len()).expect("there is no memory for so many");
        let id = self.free.last().copied().unwrap_or(ScriptId(next));
        let stage = self.stage.get_or_insert_with(|| Stage::new(memory_bytes_max));
        let mut tell = Tell::Compile { id, text: code };
        let mut pauses = 0;
        loop {
            match stage.fiber.tell(tell) {
                Ask::Pause => {
                    pauses += 1;
                    tell = match pauses > PAUSES_MAX {
                        true => Tell::End("the script takes too long to compile".to_owned()),
                        false => Tell::GoOn,
                    };
                }
                Ask::Compiled(Ok(())) => break,
                Ask::Compiled(Err(why)) => {
                    return Err(format!("ERR Error compiling script (new function): {why}"));
                }
                ask => unreachable!("a compiler asks for nothing else: {ask:?}"),
            }
        }
        if self.free.pop().is_none() {
            self.scripts.push(None);
        }
        let sha = Sha::of(text);
        let text = text.to_vec();
        self.text_bytes += text.len();
        self.evaluated += 1;
        self.scripts[id.0 as usize] =
            Some(Script { sha, text, promises, is_loaded: false, last_run: self.runs });
        self.by_sha.insert(sha, id);
        Ok(id)
    }

    /// Forgets what was not run for the longest time of those that only EVAL brought.
    fn forget_oldest(&mut self) {
        let evaluated = self.scripts.iter().enumerate().filter_map(|(index, script)| {
            let script = script.as_ref().filter(|script| !script.is_loaded)?;
            Some((script.last_run, index))
        });
        let (_, index) = evaluated.min().expect("there are many");
        let script = self.scripts[index].take().expect("it was just found");
        self.free.extend(self.by_sha.remove(&script.sha));
        self.text_bytes -= script.text.len();
        self.evaluated -= 1;
    }

    /// Takes the stage to run a script that is known.
    pub(crate) fn take_stage(&mut self, id: ScriptId) -> Option<Box<Stage>> {
        self.runs += 1;
        let runs = self.runs;
        if let Some(script) = &mut self.scripts[id.0 as usize] {
            script.last_run = runs;
        }
        self.stage.take()
    }

    /// Ends what `take_stage` began.
    pub(crate) fn put_back(&mut self, stage: Box<Stage>) {
        self.stage = Some(stage);
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

/// A hash of a text: quick, and no more; whoever makes texts collide only makes their own slower.
fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = text.len() as u64;
    let mut chunks = text.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        hash = (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
    for &byte in chunks.remainder() {
        hash = (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(FACTOR);
    }
    hash >> 32
}

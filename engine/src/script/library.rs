//! Libraries of functions: FUNCTION's side of scripts.
//!
//! Invariants: every function that can be found is in the interpreter; a library that cannot be
//! loaded whole changes nothing; the interpreter keeps no library that is gone.

use core::hash::Hasher;
use std::collections::BTreeMap;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::fiber::{Ask, Tell};
use super::register::{bad_name, is_name};
use super::shelf::{Library, Registered, Shelf};
use super::stage::Stage;
use crate::resp::split_words_in_place;

/// Pauses of a library's own code, which is run in one step.
const PAUSES_MAX: u32 = 1000;

/// Lines that libraries write to the log while they are loaded, at most.
const SAID_MAX: usize = 100;

/// What RESTORE does with libraries that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// They stay; one of the same name is an error.
    Append,
    /// Those of the same name are replaced.
    Replace,
    /// They go.
    Flush,
}

/// All libraries of a server.
#[derive(Debug, Default)]
pub struct Libraries {
    shelf: Shelf,
    /// The number of the next library.
    next: u32,
    stage: Option<Box<Stage>>,
    /// What they wrote to the log while they were loaded: levels and texts.
    said: Vec<(i64, Vec<u8>)>,
}

impl Libraries {
    /// A function by its name, in any case of letters.
    pub(crate) fn function(&self, name: &[u8]) -> Option<&Registered> {
        self.shelf.function(name)
    }

    /// The libraries, by name.
    pub(crate) fn libraries(&self) -> &BTreeMap<String, Library> {
        self.shelf.libraries()
    }

    /// How many libraries there are, how many functions, and how long the texts are.
    pub fn totals(&self) -> (usize, usize, usize) {
        let shelf = &self.shelf;
        (shelf.libraries().len(), shelf.function_count(), shelf.text_bytes)
    }

    /// What libraries wrote to the log since the last time.
    pub(crate) fn take_said(&mut self) -> Vec<(i64, Vec<u8>)> {
        core::mem::take(&mut self.said)
    }

    /// Takes the stage to run a function.
    pub(crate) fn take_stage(&mut self) -> Option<Box<Stage>> {
        self.stage.take()
    }

    /// Ends what `take_stage` began.
    pub(crate) fn put_back(&mut self, stage: Box<Stage>) {
        self.stage = Some(stage);
    }

    /// Loads a library; returns its name. Errors are texts without their code.
    pub(crate) fn load(
        &mut self,
        text: &[u8],
        replaces: bool,
        memory_bytes_max: usize,
    ) -> Result<String, String> {
        let header = Header::read(text)?;
        let name = header.name.clone();
        if !replaces && self.shelf.libraries().contains_key(&name) {
            return Err(format!("Library '{name}' already exists"));
        }
        self.check_room(text.len(), memory_bytes_max)?;
        let library = self.make(text, &header, memory_bytes_max)?;
        if let Some(taken) = self.shelf.collision(&library, |owner| owner == name) {
            let problem = format!("Function {taken} already exists");
            self.forget([library]);
            return Err(problem);
        }
        let old = self.shelf.unlink(&name);
        self.forget(old);
        self.shelf.link(name.clone(), library);
        Ok(name)
    }

    /// Loads libraries, all or none.
    pub(crate) fn restore(
        &mut self,
        texts: &[Vec<u8>],
        policy: Policy,
        memory_bytes_max: usize,
    ) -> Result<(), String> {
        self.check_room(texts.iter().map(Vec::len).sum(), memory_bytes_max)?;
        let mut new = Shelf::default();
        for text in texts {
            if let Err(problem) = self.restore_one(&mut new, text, memory_bytes_max) {
                self.forget(new.into_libraries().into_values());
                return Err(problem);
            }
        }
        if let Some(problem) = self.obstacle(&new, policy) {
            self.forget(new.into_libraries().into_values());
            return Err(problem);
        }
        if policy == Policy::Flush {
            let old = core::mem::take(&mut self.shelf);
            self.forget(old.into_libraries().into_values());
        }
        for (name, library) in new.into_libraries() {
            let old = self.shelf.unlink(&name);
            self.forget(old);
            self.shelf.link(name, library);
        }
        Ok(())
    }

    fn restore_one(
        &mut self,
        new: &mut Shelf,
        text: &[u8],
        memory_bytes_max: usize,
    ) -> Result<(), String> {
        let header = Header::read(text)?;
        if new.libraries().contains_key(&header.name) {
            return Err(format!("Library '{}' already exists", header.name));
        }
        let library = self.make(text, &header, memory_bytes_max)?;
        if let Some(taken) = new.collision(&library, |_| false) {
            let problem = format!("Function {taken} already exists");
            self.forget([library]);
            return Err(problem);
        }
        new.link(header.name, library);
        Ok(())
    }

    /// Why new libraries cannot join those that are there.
    fn obstacle(&self, new: &Shelf, policy: Policy) -> Option<String> {
        if policy == Policy::Flush {
            return None;
        }
        let known = self.shelf.libraries();
        let twice = new.libraries().keys().find(|name| known.contains_key(*name));
        if let Some(name) = twice
            && policy == Policy::Append
        {
            return Some(format!("Library {name} already exists"));
        }
        new.libraries().values().find_map(|library| {
            let taken =
                self.shelf.collision(library, |owner| new.libraries().contains_key(owner))?;
            Some(format!("Function {taken} already exists"))
        })
    }

    /// The interpreter holds what the texts make, within its own limit; the texts have the same.
    fn check_room(&self, text_bytes: usize, memory_bytes_max: usize) -> Result<(), String> {
        if self.shelf.text_bytes.saturating_add(text_bytes) > memory_bytes_max {
            return Err("the libraries are longer than scripts may take memory".to_owned());
        }
        Ok(())
    }

    /// Has the interpreter run a library's text.
    fn make(
        &mut self,
        text: &[u8],
        header: &Header,
        memory_bytes_max: usize,
    ) -> Result<Library, String> {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let stage = self.stage.get_or_insert_with(|| Stage::new(memory_bytes_max));
        let mut tell = Tell::Load { library: number, text: text[header.len..].to_vec() };
        let mut pauses = 0;
        let mut functions = loop {
            match stage.fiber.tell(tell) {
                Ask::Loaded(loaded) => break loaded?,
                Ask::Pause => {
                    pauses += 1;
                    tell = if pauses > PAUSES_MAX {
                        Tell::End("FUNCTION LOAD timeout".to_owned())
                    } else {
                        Tell::GoOn
                    };
                }
                Ask::Log(level, text) => {
                    if self.said.len() < SAID_MAX {
                        self.said.push((level, text));
                    }
                    tell = Tell::GoOn;
                }
                ask => unreachable!("a library that is loaded asks for nothing else: {ask:?}"),
            }
        };
        functions.sort_by(|a, b| a.name.cmp(&b.name));
        let library = Library { number, text: text.to_vec(), functions };
        if library.functions.is_empty() {
            self.forget([library]);
            return Err("No functions registered".to_owned());
        }
        Ok(library)
    }

    /// The interpreter drops what libraries have made.
    fn forget(&mut self, libraries: impl IntoIterator<Item = Library>) {
        let Some(stage) = &mut self.stage else { return };
        for library in libraries {
            let ask = stage.fiber.tell(Tell::Forget(library.number));
            debug_assert!(matches!(ask, Ask::Job), "there is nothing to ask");
        }
    }

    /// Removes a library; whether there was one.
    pub(crate) fn delete(&mut self, name: &[u8]) -> bool {
        let library = core::str::from_utf8(name).ok().and_then(|name| self.shelf.unlink(name));
        let was_there = library.is_some();
        self.forget(library);
        was_there
    }

    /// Removes all libraries, and all that the interpreter holds.
    pub(crate) fn flush(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// Adds what the libraries are to a digest; nothing if there are none.
    pub(crate) fn digest(&self) -> u128 {
        let mut sum = 0_u128;
        for (name, library) in self.shelf.libraries() {
            let mut hasher = SipHasher13::new();
            hasher.write(name.as_bytes());
            hasher.write(&library.text);
            let hash = hasher.finish128();
            sum = sum.wrapping_add(u128::from(hash.h1) << 64 | u128::from(hash.h2));
        }
        sum
    }
}

/// The first line of a library's text: `#!lua name=...`.
struct Header {
    name: String,
    /// Its length, without the end of the line.
    len: usize,
}

impl Header {
    fn read(text: &[u8]) -> Result<Self, String> {
        if !text.starts_with(b"#!") {
            return Err("Missing library metadata".to_owned());
        }
        let invalid = || "Invalid library metadata".to_owned();
        let len = text.iter().position(|&byte| byte == b'\n').ok_or_else(invalid)?;
        let mut line = text[..len].to_vec();
        let mut spans = Vec::new();
        split_words_in_place(&mut line, &mut spans).map_err(|_| invalid())?;
        let mut words = spans.iter().map(|span| &line[span.start..span.start + span.len]);
        let engine = words.next().ok_or_else(invalid)?.get(2..).unwrap_or_default();
        let mut name: Option<&[u8]> = None;
        for word in words {
            let is_name = word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"name="));
            if !is_name {
                let word = String::from_utf8_lossy(word);
                return Err(format!("Invalid metadata value given: {word}"));
            }
            if name.replace(&word[5..]).is_some() {
                let problem = "Invalid metadata value, name argument was given multiple times";
                return Err(problem.to_owned());
            }
        }
        let name = name.ok_or_else(|| "Library name was not given".to_owned())?;
        if !is_name(name) {
            return Err(bad_name());
        }
        if !engine.eq_ignore_ascii_case(b"lua") {
            let engine = String::from_utf8_lossy(engine);
            return Err(format!("Engine '{engine}' not found"));
        }
        Ok(Self { name: String::from_utf8_lossy(name).into_owned(), len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: usize = 16 << 20;

    fn text(library: &str, functions: &[&str]) -> Vec<u8> {
        let body: String = functions
            .iter()
            .map(|name| format!("redis.register_function('{name}', function() end)\n"))
            .collect();
        format!("#!lua name={library}\n{body}").into_bytes()
    }

    #[test]
    fn a_library_is_replaced_whole_or_not_at_all() {
        let mut libraries = Libraries::default();
        let mut load =
            |library, functions: &[&str]| libraries.load(&text(library, functions), true, MEMORY);
        assert_eq!(load("a", &["f", "g"]), Ok("a".to_owned()));
        assert_eq!(load("b", &["h"]), Ok("b".to_owned()));
        assert_eq!(load("a", &["x", "H"]), Err("Function H already exists".to_owned()));
        assert_eq!(load("a", &[]), Err("No functions registered".to_owned()));
        assert_eq!(load("a", &["F", "i"]), Ok("a".to_owned()));
        assert_eq!(libraries.totals().0, 2);
        assert_eq!(libraries.totals().1, 3);
        assert!(libraries.function(b"g").is_none());
        assert_eq!(libraries.function(b"f").map(|function| function.name.as_str()), Some("F"));
        assert!(libraries.delete(b"a"));
        assert!(!libraries.delete(b"a"));
        assert!(libraries.function(b"f").is_none());
        assert!(libraries.function(b"H").is_some());
        assert_eq!(libraries.totals().2, text("b", &["h"]).len());
    }

    #[test]
    fn what_is_restored_joins_or_changes_nothing() {
        let mut libraries = Libraries::default();
        libraries.load(&text("a", &["f"]), false, MEMORY).expect("it is new");
        let digest = libraries.digest();
        let mut restore = |texts: &[Vec<u8>], policy| libraries.restore(texts, policy, MEMORY);
        let again = [text("b", &["g"]), text("a", &["h"])];
        assert_eq!(restore(&again, Policy::Append), Err("Library a already exists".to_owned()));
        let taken = [text("b", &["F"])];
        for policy in [Policy::Append, Policy::Replace] {
            assert_eq!(restore(&taken, policy), Err("Function F already exists".to_owned()));
        }
        let broken = [text("b", &["g"]), b"#!lua name=c\nx x".to_vec()];
        assert!(restore(&broken, Policy::Flush).is_err());
        assert_eq!(libraries.digest(), digest);
        let mut restore = |texts: &[Vec<u8>], policy| libraries.restore(texts, policy, MEMORY);
        assert_eq!(restore(&again, Policy::Replace), Ok(()));
        assert_eq!(libraries.totals().1, 2);
        assert!(libraries.function(b"f").is_none());
        libraries.restore(&taken, Policy::Flush, MEMORY).expect("there is nothing in the way");
        assert_eq!(libraries.totals().1, 1);
    }

    #[test]
    fn a_library_without_end_is_stopped_and_the_next_is_loaded() {
        let mut libraries = Libraries::default();
        for code in ["while true do end", "local function f() f() f() end f()"] {
            let text = format!("#!lua name=a\n{code}").into_bytes();
            let problem = libraries.load(&text, false, MEMORY).expect_err("it has no end");
            assert!(problem.starts_with("Error registering functions: ERR "), "{problem}");
            libraries.load(&text_of_one(), true, MEMORY).expect("it is short");
        }
    }

    fn text_of_one() -> Vec<u8> {
        text("one", &["f"])
    }
}

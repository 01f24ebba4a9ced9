//! The names that clients call commands by: those of their rows, but for `rename-command`.
//!
//! Invariants: a name means one command or none; a command that lost its name and got no other
//! cannot be called. Rules of ACL, statistics and documentation go by the names of the rows.

use crate::acl::Catalogue;

/// What `rename-command` directives have made of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandNames {
    /// Every name that does not mean what the rows say, in lower case, and the index of the command
    /// that it means now, if any.
    changed: Vec<(String, Option<usize>)>,
}

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The row of this name, if there is one.
    AsEver,
    /// The command of this index.
    Command(usize),
    /// Nothing any more.
    Nothing,
}

impl CommandNames {
    /// The names after each pair (old name, new name) in turn; an empty new name leaves none. The
    /// error is Redis's text.
    pub fn new(renamed: &[(String, String)], catalogue: &Catalogue) -> Result<Self, &'static str> {
        let mut names = Self::default();
        for (old, new) in renamed {
            names.rename(old, new, catalogue)?;
        }
        Ok(names)
    }

    fn rename(&mut self, old: &str, new: &str, catalogue: &Catalogue) -> Result<(), &'static str> {
        let command = self.find(old, catalogue).ok_or("No such command in rename-command")?;
        self.put(old, None);
        if new.is_empty() {
            return Ok(());
        }
        if self.find(new, catalogue).is_some() {
            return Err("Target command name already exists");
        }
        self.put(new, Some(command));
        Ok(())
    }

    /// The index of the command that a name means.
    fn find(&self, name: &str, catalogue: &Catalogue) -> Option<usize> {
        match self.meaning(name.as_bytes()) {
            // A subcommand has no name of its own to change.
            Meaning::AsEver if name.contains('|') => None,
            Meaning::AsEver => catalogue.find(name.as_bytes()),
            Meaning::Command(index) => Some(index),
            Meaning::Nothing => None,
        }
    }

    fn put(&mut self, name: &str, command: Option<usize>) {
        let name = name.to_ascii_lowercase();
        match self.changed.iter_mut().find(|(known, _)| *known == name) {
            Some((_, means)) => *means = command,
            None => self.changed.push((name, command)),
        }
    }

    /// Whether every name means what its row says.
    #[inline]
    pub fn are_as_ever(&self) -> bool {
        self.changed.is_empty()
    }

    /// What a name in any case means.
    pub fn meaning(&self, name: &[u8]) -> Meaning {
        let is_it = |(known, _): &&(String, _)| known.as_bytes().eq_ignore_ascii_case(name);
        match self.changed.iter().find(is_it) {
            None => Meaning::AsEver,
            Some((_, Some(index))) => Meaning::Command(*index),
            Some((_, None)) => Meaning::Nothing,
        }
    }

    /// Whether a command whose row says `name` goes by any name.
    pub fn can_call(&self, index: usize, name: &str) -> bool {
        self.meaning(name.as_bytes()) == Meaning::AsEver
            || self.changed.iter().any(|&(_, command)| command == Some(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(renamed: &[(&str, &str)]) -> Result<CommandNames, &'static str> {
        let renamed: Vec<(String, String)> =
            renamed.iter().map(|&(old, new)| (old.to_owned(), new.to_owned())).collect();
        let commands = ["get", "set", "config", "config|get"].map(|name| (name, Vec::new()));
        CommandNames::new(&renamed, &Catalogue::new(&[], commands))
    }

    #[track_caller]
    fn check(renamed: &[(&str, &str)], name: &str, expected: Meaning) {
        assert_eq!(names(renamed).unwrap().meaning(name.as_bytes()), expected);
    }

    #[test]
    fn a_name_moves_from_command_to_command() {
        check(&[], "get", Meaning::AsEver);
        check(&[("GET", "Fetch")], "gEt", Meaning::Nothing);
        check(&[("GET", "Fetch")], "fetch", Meaning::Command(0));
        check(&[("get", "x"), ("set", "get")], "get", Meaning::Command(1));
        check(&[("get", "x"), ("x", "y")], "x", Meaning::Nothing);
        check(&[("get", "x"), ("x", "y")], "y", Meaning::Command(0));
        check(&[("get", "x"), ("x", "get")], "get", Meaning::Command(0));
        check(&[("get", "")], "get", Meaning::Nothing);
        let names = names(&[("get", ""), ("set", "put")]).unwrap();
        let callable = ["get", "set", "config"].iter().enumerate();
        let callable: Vec<bool> =
            callable.map(|(index, name)| names.can_call(index, name)).collect();
        assert_eq!(callable, [false, true, true]);
    }

    #[test]
    fn what_is_wrong_is_said_as_redis_does() {
        const UNKNOWN: Result<CommandNames, &str> = Err("No such command in rename-command");
        assert_eq!(names(&[("nosuch", "x")]), UNKNOWN);
        assert_eq!(names(&[("get", "x"), ("get", "y")]), UNKNOWN);
        assert_eq!(names(&[("config|get", "x")]), UNKNOWN);
        assert_eq!(names(&[("get", "SET")]), Err("Target command name already exists"));
        assert!(names(&[("get", "GET")]).is_ok(), "its own name is free by then");
    }
}

//! CONFIG SET and CONFIG GET over the table.
//!
//! Invariant: a change is all or nothing: it is made on a copy.

use super::parameter::{Actor, Flags, Parameter, Source};
use super::{Access, Config, PARAMETERS, find};
use crate::value::glob;

const IMMUTABLE: &str = "can't set immutable config";

/// Why a change was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No parameter has this name.
    Unknown(String),
    /// The parameter does not take this value, or no value now.
    Value {
        /// The name as it was given.
        name: String,
        /// Redis's text.
        why: String,
    },
}

impl Config {
    /// The configuration with these parameters changed, or why that cannot be. `local` says whether
    /// the one who asks is on this machine.
    pub fn changed(&self, pairs: &[(&str, &str)], local: bool) -> Result<Self, Refusal> {
        let mut parameters: Vec<&Parameter> = Vec::with_capacity(pairs.len());
        for (index, (name, _)) in pairs.iter().enumerate() {
            let parameter = find(name).filter(|found| !found.flags.has(Flags::DIRECTIVE));
            let parameter = parameter.ok_or_else(|| Refusal::Unknown((*name).to_owned()))?;
            self.admit(parameter, local).map_err(|why| refused(name, why))?;
            // As in Redis an alias counts as another name, and the last one given wins.
            if pairs[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(refused(name, "duplicate parameter"));
            }
            parameters.push(parameter);
        }
        let mut next = self.clone();
        for (parameter, (name, value)) in parameters.into_iter().zip(pairs) {
            let set = next.set_value(parameter);
            let value = parameter.parse(set.as_ref(), &[value], Source::Command);
            let value = value.map_err(|why| refused(name, &why))?;
            if parameter.flags.has(Flags::FIXED) && value != self.read(parameter) {
                return Err(refused(name, IMMUTABLE));
            }
            next.put(parameter, value);
        }
        Ok(next)
    }

    /// The names of the parameters that `actor` acts on and that differ from `before`.
    pub fn changed_for(&self, actor: Actor, before: &Self) -> Vec<&'static str> {
        let differs = |parameter: &&Parameter| {
            parameter.actor == actor && self.read(parameter) != before.read(parameter)
        };
        PARAMETERS.iter().filter(differs).map(|parameter| parameter.name).collect()
    }

    /// The names among `names` of parameters that `actor` acts on whenever they are set.
    pub fn volatile_for(&self, actor: Actor, names: &[&str]) -> Vec<&'static str> {
        let acts = |parameter: &&Parameter| {
            parameter.actor == actor && parameter.flags.has(Flags::VOLATILE)
        };
        let set = |parameter: &&Parameter| names.iter().any(|name| parameter.is_called(name));
        PARAMETERS.iter().filter(acts).filter(set).map(|parameter| parameter.name).collect()
    }

    /// Takes back what a change from `before` to `after` did, except where a later one has been.
    pub fn take_back(&mut self, before: &Self, after: &Self) {
        for parameter in PARAMETERS {
            let (old, new) = (before.read(parameter), after.read(parameter));
            if old != new && self.read(parameter) == new {
                self.put(parameter, old);
            }
        }
    }

    /// The names and values that CONFIG GET shows for these patterns, in the order of the table; a
    /// name that was given exactly comes first and as it was spelled.
    pub fn matching(&self, patterns: &[&str]) -> Vec<(String, String)> {
        let mut shown: Vec<(String, String)> = Vec::new();
        let mut show = |name: &str, parameter: &Parameter| {
            if !shown.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                shown.push((name.to_owned(), parameter.kind.spell(&self.read(parameter))));
            }
        };
        let public = |parameter: &&Parameter| !parameter.flags.has(Flags::DIRECTIVE);
        for pattern in patterns.iter().filter(|pattern| !glob::is_pattern(pattern.as_bytes())) {
            if let Some(parameter) = find(pattern).filter(public) {
                show(pattern, parameter);
            }
        }
        let matches = |name: &str| {
            let takes = |pattern: &&str| {
                glob::is_pattern(pattern.as_bytes())
                    && glob::matches_ignoring_case(pattern.as_bytes(), name.as_bytes())
            };
            !name.is_empty() && patterns.iter().any(takes)
        };
        let visible = |parameter: &&Parameter| !parameter.flags.has(Flags::HIDDEN);
        for parameter in PARAMETERS.iter().filter(public).filter(visible) {
            for name in [parameter.name, parameter.alias] {
                if matches(name) {
                    show(name, parameter);
                }
            }
        }
        shown
    }

    fn admit(&self, parameter: &Parameter, local: bool) -> Result<(), &'static str> {
        let protected = match self.protected_configs {
            Access::Yes => false,
            Access::Local => !local,
            Access::No => true,
        };
        if parameter.flags.has(Flags::IMMUTABLE) {
            Err(IMMUTABLE)
        } else if parameter.flags.has(Flags::PROTECTED) && protected {
            Err("can't set protected config")
        } else {
            Ok(())
        }
    }
}

fn refused(name: &str, why: &str) -> Refusal {
    Refusal::Value { name: name.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refusal(pairs: &[(&str, &str)]) -> (String, String) {
        match Config::default().changed(pairs, true).unwrap_err() {
            Refusal::Unknown(name) => (name, String::new()),
            Refusal::Value { name, why } => (name, why),
        }
    }

    #[test]
    fn the_first_thing_wrong_is_named_as_it_was_given() {
        let of = |name: &str, why: &str| (name.to_owned(), why.to_owned());
        assert_eq!(refusal(&[("HZ", "5"), ("foo", "1")]), of("foo", ""));
        assert_eq!(refusal(&[("rename-command", "5")]), of("rename-command", ""));
        assert_eq!(refusal(&[("DataBases", "3")]), of("DataBases", "can't set immutable config"));
        assert_eq!(refusal(&[("dir", "/")]), of("dir", "can't set protected config"));
        let pairs = [("slave-priority", "1"), ("Slave-priority", "x")];
        assert_eq!(refusal(&pairs), of("Slave-priority", "duplicate parameter"));
        let pairs = [("hz", "5"), ("appendonly", "maybe"), ("timeout", "x")];
        assert_eq!(refusal(&pairs), of("appendonly", "argument must be 'yes' or 'no'"));
    }

    #[test]
    fn patterns_show_names_and_aliases_once_and_hidden_ones_only_by_name() {
        let config = Config::default();
        let names = |patterns: &[&str]| -> Vec<String> {
            config.matching(patterns).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&["SLAVEOF", "slaveof", "nosuch"]), ["SLAVEOF"]);
        assert_eq!(
            names(&["*-max-ziplist-value", "hash-max-??stpack-value"]),
            ["hash-max-listpack-value", "hash-max-ziplist-value", "zset-max-ziplist-value"]
        );
        assert_eq!(names(&["watchdog*"]), [""; 0]);
        assert_eq!(names(&["watchdog-period", "port", "p?rt"]), ["watchdog-period", "port"]);
        assert_eq!(names(&["rename-command", "user"]), [""; 0]);
        // 192 of Redis 7.0, twelve of later ones and twenty-one of ours.
        assert_eq!(names(&["*"]).len(), 227);
    }
}

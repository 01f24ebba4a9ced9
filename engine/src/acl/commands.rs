//! Which commands a selector allows, and the rules that change it.
//!
//! Invariant: a first word is kept only for commands that have no subcommands; a rule about a
//! command forgets the first words that were allowed of it.

use std::collections::BTreeMap;

use super::bits::Bits;
use super::catalogue::Catalogue;
use super::rules::{RuleError, has_space};

/// First words that may be allowed of one command.
const FIRST_WORDS_MAX: usize = 1_000;
/// Bytes of one first word.
const FIRST_WORD_BYTES_MAX: usize = 4 << 10;

/// The commands that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commands {
    allowed: Bits,
    /// Everything was allowed to begin with, so that commands which come with a later version are
    /// too.
    from_all: bool,
    /// First words with which commands may be run that are not allowed otherwise.
    first_words: BTreeMap<usize, Vec<Box<[u8]>>>,
}

impl Commands {
    /// None.
    pub(super) fn none(catalogue: &Catalogue) -> Self {
        let allowed = Bits::none(catalogue.len());
        Self { allowed, from_all: false, first_words: BTreeMap::new() }
    }

    /// Every one.
    pub(super) fn all(catalogue: &Catalogue) -> Self {
        let allowed = Bits::all(catalogue.len());
        Self { allowed, from_all: true, first_words: BTreeMap::new() }
    }

    /// Whether there is nothing that is not allowed, now or later.
    pub(super) fn is_all(&self) -> bool {
        self.from_all && self.allowed.is_all()
    }

    /// Whether a command may be run whose first word behind its name is `first_word`.
    #[inline]
    pub(super) fn allows(&self, command: usize, first_word: Option<&[u8]>) -> bool {
        self.allowed.has(command) || self.allows_by_first_word(command, first_word)
    }

    fn allows_by_first_word(&self, command: usize, first_word: Option<&[u8]>) -> bool {
        let (Some(words), Some(given)) = (self.first_words.get(&command), first_word) else {
            return false;
        };
        words.iter().any(|word| word.eq_ignore_ascii_case(given))
    }

    /// `+name`, `+name|first-word`, `+@category` and their opposites; `rule` has its sign.
    pub(super) fn apply(&mut self, rule: &[u8], catalogue: &Catalogue) -> Result<(), RuleError> {
        let (allow, name) = (rule[0] == b'+', &rule[1..]);
        if let Some(category) = name.strip_prefix(b"@") {
            let category = catalogue.category(category).ok_or(RuleError::Unknown)?;
            self.allowed.put_all(&category.reach, allow);
            self.first_words.retain(|&command, _| !category.reach.has(command));
            return Ok(());
        }
        match name.iter().rposition(|&byte| byte == b'|') {
            Some(bar) if allow => self.allow_part(name, bar, catalogue),
            _ => {
                let command = catalogue.find(name).ok_or(RuleError::Unknown)?;
                self.put(command, allow, catalogue);
                Ok(())
            }
        }
    }

    /// `+name|part`: a subcommand, or a first word of a command that has no subcommands.
    fn allow_part(
        &mut self,
        name: &[u8],
        bar: usize,
        catalogue: &Catalogue,
    ) -> Result<(), RuleError> {
        let (whole, part) = (&name[..bar], &name[bar + 1..]);
        let command = catalogue.find(whole).ok_or(RuleError::Unknown)?;
        if catalogue.entry(command).is_subcommand {
            return Err(RuleError::FirstWordOfSubcommand);
        }
        if part.is_empty() || has_space(part) {
            return Err(RuleError::Syntax);
        }
        if part.len() > FIRST_WORD_BYTES_MAX {
            return Err(RuleError::TooLong);
        }
        if !catalogue.entry(command).subcommands.is_empty() {
            let subcommand = catalogue.find(name).ok_or(RuleError::Unknown)?;
            self.put(subcommand, true, catalogue);
            return Ok(());
        }
        let words = self.first_words.entry(command).or_default();
        if words.iter().all(|word| !word.eq_ignore_ascii_case(part)) {
            if words.len() == FIRST_WORDS_MAX {
                return Err(RuleError::TooMany);
            }
            words.push(part.into());
        }
        Ok(())
    }

    /// Allows or forbids a command and its subcommands.
    fn put(&mut self, command: usize, allow: bool, catalogue: &Catalogue) {
        self.allowed.put(command, allow);
        self.first_words.remove(&command);
        for &subcommand in &catalogue.entry(command).subcommands {
            self.allowed.put(subcommand, allow);
        }
    }

    /// The rules that lead to this set from nothing or from everything, as Redis spells them: the
    /// categories that fit best, one after the other, then single commands.
    pub(super) fn describe(&self, catalogue: &Catalogue) -> Vec<Vec<u8>> {
        let mut spelled = if self.from_all { Self::all(catalogue) } else { Self::none(catalogue) };
        let (sign, opposite) = if self.from_all { ('-', "+@all") } else { ('+', "-@all") };
        let mut rules = vec![opposite.as_bytes().to_vec()];
        let mut left = self.allowed.clone();
        let mut is_used = vec![false; catalogue.categories().len()];
        while let Some(best) = self.best_category(&left, &is_used, catalogue) {
            let category = &catalogue.categories()[best];
            rules.push(format!("{sign}@{}", category.name).into_bytes());
            spelled.allowed.put_all(&category.reach, !self.from_all);
            left.put_all(&category.reach, self.from_all);
            is_used[best] = true;
        }
        for top in catalogue.tops() {
            self.describe_command(top, &mut spelled, catalogue, &mut rules);
        }
        assert_eq!(spelled.allowed, self.allowed, "a description says what is allowed");
        rules
    }

    /// The category that has more in common with what is left than not, and differs least.
    fn best_category(&self, left: &Bits, is_used: &[bool], catalogue: &Catalogue) -> Option<usize> {
        let mut best: Option<(usize, u32, u32)> = None;
        for (index, category) in catalogue.categories().iter().enumerate() {
            if is_used[index] {
                continue;
            }
            let (allowed, forbidden) = left.count_of(&category.members);
            let (same, different) =
                if self.from_all { (forbidden, allowed) } else { (allowed, forbidden) };
            let is_better = best.is_none_or(|(_, least, most)| {
                different < least || (different == least && same > most)
            });
            if same > different && is_better {
                best = Some((index, different, same));
            }
        }
        best.map(|(index, ..)| index)
    }

    fn describe_command(
        &self,
        command: usize,
        spelled: &mut Self,
        catalogue: &Catalogue,
        rules: &mut Vec<Vec<u8>>,
    ) {
        let entry = catalogue.entry(command);
        let is_allowed = self.allowed.has(command);
        if is_allowed != spelled.allowed.has(command) {
            let sign = if is_allowed { '+' } else { '-' };
            rules.push(format!("{sign}{}", entry.name).into_bytes());
            spelled.put(command, is_allowed, catalogue);
        }
        for &subcommand in &entry.subcommands {
            self.describe_command(subcommand, spelled, catalogue, rules);
        }
        if !is_allowed && let Some(words) = self.first_words.get(&command) {
            for word in words {
                let start = format!("+{}|", entry.name);
                rules.push([start.as_bytes(), word].concat());
            }
        }
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let words = self.first_words.values().flatten();
        self.allowed.memory_bytes() + words.map(|word| word.len() + 16).sum::<usize>()
    }

    /// Checks what must hold.
    pub(super) fn check_invariants(&self, catalogue: &Catalogue) {
        for (&command, words) in &self.first_words {
            let entry = catalogue.entry(command);
            assert!(!entry.is_subcommand && entry.subcommands.is_empty(), "of {}", entry.name);
            assert!(!words.is_empty() && words.len() <= FIRST_WORDS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::tests::sample;
    use super::*;

    #[track_caller]
    fn check(rules: &str, expected: &str) {
        let catalogue = sample();
        let mut commands = Commands::none(&catalogue);
        for rule in rules.split_whitespace() {
            match rule {
                "+@all" => commands = Commands::all(&catalogue),
                "-@all" => commands = Commands::none(&catalogue),
                _ => commands.apply(rule.as_bytes(), &catalogue).unwrap(),
            }
            commands.check_invariants(&catalogue);
        }
        let text = String::from_utf8(commands.describe(&catalogue).join(&b' ')).unwrap();
        assert_eq!(text, expected, "{rules}");
    }

    #[test]
    fn rules_are_spelled_by_the_categories_that_fit_best() {
        check("", "-@all");
        check("+get", "-@all +get");
        check("+@set", "-@all +@set");
        check("+@string -incr", "-@all +@string -incr");
        check("+@all -@set", "+@all -@set");
        check("+@all -@string +get", "+@all -@write +sadd");
        check("+config", "-@all +@admin +config");
        check("+config|get", "-@all +config|get");
        check("+@all -config|get", "+@all -config|get");
        check("+@all -config +config|get", "+@all -config +config|get");
        check("+select|0 +SELECT|1 +select|0", "-@all +select|0 +select|1");
        check("+select|0 -select", "-@all");
        check("+select|0 +@connection", "-@all +@connection");
    }

    #[track_caller]
    fn check_refused(rule: &str, expected: RuleError) {
        let catalogue = sample();
        let mut commands = Commands::none(&catalogue);
        assert_eq!(commands.apply(rule.as_bytes(), &catalogue), Err(expected), "{rule}");
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said_as_in_redis() {
        check_refused("+none", RuleError::Unknown);
        check_refused("-none", RuleError::Unknown);
        check_refused("+", RuleError::Unknown);
        check_refused("+@", RuleError::Unknown);
        check_refused("+@none", RuleError::Unknown);
        check_refused("-get|x", RuleError::Unknown);
        check_refused("+get|a|b", RuleError::Unknown);
        check_refused("+config|none", RuleError::Unknown);
        check_refused("+config|get|x", RuleError::FirstWordOfSubcommand);
        check_refused("+get|", RuleError::Syntax);
        check_refused("+config|", RuleError::Syntax);
    }
}

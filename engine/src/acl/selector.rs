//! One set of permissions: keys, channels, databases, commands.
//!
//! Invariants: patterns of one list are distinct; a key pattern allows reading, writing or both.

use std::collections::BTreeSet;

use super::catalogue::Catalogue;
use super::check::{Access, Denied, Reason, Request, Seen};
use super::commands::Commands;
use super::rules::{RuleError, Terms, has_space};
use crate::value::glob;
use crate::value::number::parse_integer;

/// Patterns of one kind in one selector.
const PATTERNS_MAX: usize = 10_000;
/// Bytes of one pattern.
const PATTERN_BYTES_MAX: usize = 64 << 10;

/// What one user may do, or one selector of a user lets it do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    /// `None`: all.
    keys: Option<Vec<KeyPattern>>,
    /// `None`: all.
    channels: Option<Vec<Box<[u8]>>>,
    /// `None`: all.
    databases: Option<BTreeSet<usize>>,
    commands: Commands,
}

/// Keys, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    access: Access,
    pattern: Box<[u8]>,
}

impl Selector {
    /// No permissions but those that the terms give everybody.
    pub(super) fn new(terms: Terms<'_>) -> Self {
        Self {
            keys: Some(Vec::new()),
            channels: (!terms.all_channels).then(Vec::new),
            databases: None,
            commands: Commands::none(terms.catalogue),
        }
    }

    /// Every permission.
    pub(super) fn everything(catalogue: &Catalogue) -> Self {
        Self { keys: None, channels: None, databases: None, commands: Commands::all(catalogue) }
    }

    /// Whether nothing is forbidden.
    pub(super) fn allows_everything(&self) -> bool {
        self.has_all_keys()
            && self.has_all_channels()
            && self.databases.is_none()
            && self.commands.is_all()
    }

    /// Whether every channel is allowed.
    pub(super) fn has_all_channels(&self) -> bool {
        self.channels.is_none()
    }

    /// The patterns of the channels that are allowed, if not all are.
    pub(super) fn channel_patterns(&self) -> &[Box<[u8]>] {
        self.channels.as_deref().unwrap_or_default()
    }

    fn has_all_keys(&self) -> bool {
        self.keys.is_none()
    }

    /// Takes one rule.
    pub(super) fn apply(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if is("allkeys") || rule == b"~*" {
            self.keys = None;
        } else if is("resetkeys") {
            self.keys = Some(Vec::new());
        } else if is("allchannels") || rule == b"&*" {
            self.channels = None;
        } else if is("resetchannels") {
            self.channels = Some(Vec::new());
        } else if is("alldbs") {
            self.databases = None;
        } else if is("resetdbs") {
            self.databases = Some(BTreeSet::new());
        } else if is("allcommands") || is("+@all") {
            self.commands = Commands::all(terms.catalogue);
        } else if is("nocommands") || is("-@all") {
            self.commands = Commands::none(terms.catalogue);
        } else {
            return self.apply_prefixed(rule, terms);
        }
        Ok(())
    }

    fn apply_prefixed(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), RuleError> {
        if let Some(ids) = strip_word(rule, b"db=") {
            self.databases = Some(database_ids(ids, terms.databases)?);
            return Ok(());
        }
        match rule {
            [b'~' | b'%', ..] => self.add_keys(rule),
            [b'&', pattern @ ..] => self.add_channels(pattern),
            [b'+' | b'-', ..] => self.commands.apply(rule, terms.catalogue),
            _ => Err(RuleError::Syntax),
        }
    }

    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let patterns = self.keys.as_mut().ok_or(RuleError::HasAllKeys)?;
        let (access, pattern) = match rule {
            [b'~', pattern @ ..] => (Access::BOTH, pattern),
            _ => access_and_pattern(&rule[1..])?,
        };
        check_pattern(pattern)?;
        if let Some(known) = patterns.iter_mut().find(|known| *known.pattern == *pattern) {
            known.access = known.access.and(access);
        } else if patterns.len() == PATTERNS_MAX {
            return Err(RuleError::TooMany);
        } else {
            patterns.push(KeyPattern { access, pattern: pattern.into() });
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        let patterns = self.channels.as_mut().ok_or(RuleError::HasAllChannels)?;
        check_pattern(pattern)?;
        if patterns.iter().all(|known| **known != *pattern) {
            if patterns.len() == PATTERNS_MAX {
                return Err(RuleError::TooMany);
            }
            patterns.push(pattern.into());
        }
        Ok(())
    }

    /// Whether a command is allowed, or why not.
    pub(super) fn check(&self, request: &dyn Request, seen: &Seen) -> Result<(), Denied> {
        let denied = |reason, index| Err(Denied { reason, index });
        if let Some(databases) = &self.databases {
            for (index, database) in seen.databases(request) {
                if database.is_none_or(|database| !databases.contains(&database)) {
                    return denied(Reason::Database, *index);
                }
            }
        }
        if !request.is_free() && !self.commands.allows(request.command(), request.first_word()) {
            return denied(Reason::Command, 0);
        }
        if !self.has_all_keys() {
            for &(index, access) in seen.keys(request) {
                if !self.allows_key(request.word(index), access) {
                    return denied(Reason::Key, index);
                }
            }
        }
        if !self.has_all_channels() {
            for &(index, is_pattern) in seen.channels(request) {
                let channel = request.word(index);
                if !is_channel_among(self.channel_patterns(), channel, is_pattern) {
                    return denied(Reason::Channel, index);
                }
            }
        }
        Ok(())
    }

    fn allows_key(&self, key: &[u8], access: Access) -> bool {
        let matches =
            |known: &KeyPattern| known.access.has(access) && glob::matches(&known.pattern, key);
        self.keys.as_ref().is_none_or(|patterns| patterns.iter().any(matches))
    }

    /// Whether all keys may be accessed in this way, whatever they are called.
    pub(super) fn allows_every_key(&self, access: Access) -> bool {
        let is_every = |known: &KeyPattern| known.access.has(access) && *known.pattern == *b"*";
        self.keys.as_ref().is_none_or(|patterns| patterns.iter().any(is_every))
    }

    /// The rules about commands that lead here.
    pub(super) fn describe_commands(&self, catalogue: &Catalogue) -> Vec<Vec<u8>> {
        self.commands.describe(catalogue)
    }

    /// The rules about keys that lead here.
    pub(super) fn describe_keys(&self) -> Vec<Vec<u8>> {
        let Some(patterns) = &self.keys else { return vec![b"~*".to_vec()] };
        let spell = |known: &KeyPattern| {
            // `~*` would be read as all keys, behind which no pattern may stand.
            let is_every = known.access == Access::BOTH && *known.pattern == *b"*";
            let prefix = if is_every { b"%RW~" } else { known.access.prefix() };
            [prefix, &*known.pattern].concat()
        };
        patterns.iter().map(spell).collect()
    }

    /// The rules about channels that lead here.
    pub(super) fn describe_channels(&self) -> Vec<Vec<u8>> {
        let Some(patterns) = &self.channels else { return vec![b"&*".to_vec()] };
        patterns.iter().map(|pattern| [b"&", &**pattern].concat()).collect()
    }

    /// The rules about databases that lead here; `None`: all are allowed, which goes without
    /// saying.
    pub(super) fn describe_databases(&self) -> Option<String> {
        let databases = self.databases.as_ref()?;
        if databases.is_empty() {
            return Some(String::new());
        }
        let ids: Vec<String> = databases.iter().map(usize::to_string).collect();
        Some(format!("db={}", ids.join(",")))
    }

    /// All rules that lead here.
    pub(super) fn describe(&self, catalogue: &Catalogue) -> Vec<Vec<u8>> {
        let mut rules = self.describe_keys();
        if !self.has_all_channels() {
            rules.push(b"resetchannels".to_vec());
        }
        rules.extend(self.describe_channels());
        if let Some(databases) = self.describe_databases() {
            let is_none = databases.is_empty();
            rules.push(if is_none { b"resetdbs".to_vec() } else { databases.into_bytes() });
        }
        rules.extend(self.describe_commands(catalogue));
        rules
    }

    /// Heap bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let keys = self.keys.iter().flatten().map(|known| size_of_val(known) + known.pattern.len());
        let channels = self.channel_patterns().iter().map(|pattern| 16 + pattern.len());
        let databases = self.databases.iter().flatten().map(size_of_val);
        self.commands.memory_bytes() + keys.chain(channels).chain(databases).sum::<usize>()
    }

    /// Checks what must hold.
    pub(super) fn check_invariants(&self, catalogue: &Catalogue) {
        self.commands.check_invariants(catalogue);
        let keys: Vec<&[u8]> = self.keys.iter().flatten().map(|known| &*known.pattern).collect();
        let channels: Vec<&[u8]> =
            self.channel_patterns().iter().map(|pattern| &**pattern).collect();
        for list in [keys, channels] {
            let distinct: BTreeSet<&[u8]> = list.iter().copied().collect();
            assert_eq!(distinct.len(), list.len(), "a pattern is there twice");
            assert!(list.iter().all(|pattern| !has_space(pattern)) && list.len() <= PATTERNS_MAX);
        }
        assert!(self.keys.iter().flatten().all(|known| known.access != Access::NONE));
    }
}

/// Whether one of `patterns` lets a channel be used. A pattern of channels must be among them
/// letter by letter.
pub(super) fn is_channel_among(patterns: &[Box<[u8]>], channel: &[u8], is_pattern: bool) -> bool {
    patterns.iter().any(|pattern| match is_pattern {
        true => **pattern == *channel,
        false => glob::matches(pattern, channel),
    })
}

fn check_pattern(pattern: &[u8]) -> Result<(), RuleError> {
    match pattern {
        _ if pattern.len() > PATTERN_BYTES_MAX => Err(RuleError::TooLong),
        _ if has_space(pattern) => Err(RuleError::Syntax),
        _ => Ok(()),
    }
}

/// `R~pattern`, `rw~pattern` and so on; without `~` the pattern is empty, as in Redis.
fn access_and_pattern(text: &[u8]) -> Result<(Access, &[u8]), RuleError> {
    let mut access = Access::NONE;
    for (index, letter) in text.iter().enumerate() {
        let next = match letter.to_ascii_uppercase() {
            b'R' => Access::READ,
            b'W' => Access::WRITE,
            b'~' if access != Access::NONE => return Ok((access, &text[index + 1..])),
            _ => return Err(RuleError::Syntax),
        };
        if access.has(next) {
            return Err(RuleError::Syntax);
        }
        access = access.and(next);
    }
    if access == Access::NONE { Err(RuleError::Syntax) } else { Ok((access, &[])) }
}

fn database_ids(text: &[u8], databases: usize) -> Result<BTreeSet<usize>, RuleError> {
    let mut ids = BTreeSet::new();
    for id in text.split(|&byte| byte == b',') {
        let id = parse_integer(id).ok_or(RuleError::Syntax)?;
        let id = usize::try_from(id).ok().filter(|&id| id < databases);
        ids.insert(id.ok_or(RuleError::DatabaseOutOfRange)?);
    }
    Ok(ids)
}

/// What follows a word that is spelled in any case.
fn strip_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

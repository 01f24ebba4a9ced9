//! A user: who it is, how it logs in, what it may do.
//!
//! Invariant: what a user's description says gives the same user again.

use super::catalogue::Catalogue;
use super::check::{Access, Denied, Reason, Request, Seen};
use super::password::Hash;
use super::rules::{RuleError, Terms};
use super::selector::Selector;
use crate::args::Span;
use crate::resp::split_words_in_place;

/// Passwords of one user.
const PASSWORDS_MAX: usize = 1_000;
/// Selectors of one user beside its own permissions.
const SELECTORS_MAX: usize = 1_000;

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: Box<[u8]>,
    enabled: bool,
    /// Any password will do.
    nopass: bool,
    /// Whether payloads of RESTORE are to be checked deeply; `None`: nobody has said.
    sanitize: Option<bool>,
    passwords: Vec<Hash>,
    /// The user's own permissions.
    root: Selector,
    /// Others, each of which is enough for a command.
    selectors: Vec<Selector>,
    /// Whether the user may do everything; what follows from the selectors.
    unrestricted: bool,
}

impl User {
    /// A user that may do nothing and cannot log in.
    pub(super) fn new(name: &[u8], terms: Terms<'_>) -> Self {
        Self {
            name: name.into(),
            enabled: false,
            nopass: false,
            sanitize: None,
            passwords: Vec::new(),
            root: Selector::new(terms),
            selectors: Vec::new(),
            unrestricted: false,
        }
    }

    /// A user that may do everything and needs no password.
    pub(super) fn almighty(name: &[u8], catalogue: &Catalogue) -> Self {
        Self {
            name: name.into(),
            enabled: true,
            nopass: true,
            sanitize: None,
            passwords: Vec::new(),
            root: Selector::everything(catalogue),
            selectors: Vec::new(),
            unrestricted: true,
        }
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether one may log in as this user.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether any password will do.
    pub fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// Whether the user may do everything.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// Takes one rule. A rule that is wrong may have been taken in part.
    pub(super) fn apply(&mut self, rule: &[u8], terms: Terms<'_>) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            _ if is("on") => self.enabled = true,
            _ if is("off") => self.enabled = false,
            _ if is("skip-sanitize-payload") => self.sanitize = Some(false),
            _ if is("sanitize-payload") => self.sanitize = Some(true),
            _ if is("nopass") => self.set_password(None),
            _ if is("resetpass") => self.reset_passwords(),
            _ if is("clearselectors") => self.selectors.clear(),
            _ if is("reset") => {
                let name = core::mem::take(&mut self.name);
                *self = Self { sanitize: Some(true), ..Self::new(&name, terms) };
            }
            [b'>' | b'#' | b'<' | b'!', ..] => self.apply_password(rule)?,
            [b'(', inner @ .., b')'] => self.add_selector(inner, terms)?,
            _ => self.root.apply(rule, terms)?,
        }
        let mut selectors = self.selectors.iter();
        self.unrestricted =
            self.root.allows_everything() || selectors.any(Selector::allows_everything);
        Ok(())
    }

    /// Takes all of `rules`, or says which is wrong and why.
    pub(super) fn apply_all(
        &mut self,
        rules: &[Vec<u8>],
        terms: Terms<'_>,
    ) -> Result<(), (usize, RuleError)> {
        for (index, rule) in rules.iter().enumerate() {
            self.apply(rule, terms).map_err(|error| (index, error))?;
        }
        Ok(())
    }

    fn reset_passwords(&mut self) {
        self.passwords.clear();
        self.nopass = false;
    }

    /// Makes this the only password; `None`: any will do.
    pub(super) fn set_password(&mut self, password: Option<&[u8]>) {
        self.passwords.clear();
        self.passwords.extend(password.map(Hash::of));
        self.nopass = password.is_none();
    }

    fn apply_password(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let (sign, text) = (rule[0], &rule[1..]);
        let hash = match sign {
            b'>' | b'<' => Hash::of(text),
            _ => Hash::parse(text).ok_or(RuleError::BadHash)?,
        };
        let place = self.passwords.iter().position(|known| *known == hash);
        if sign == b'<' || sign == b'!' {
            self.passwords.remove(place.ok_or(RuleError::NoSuchPassword)?);
            return Ok(());
        }
        if place.is_none() {
            if self.passwords.len() == PASSWORDS_MAX {
                return Err(RuleError::TooMany);
            }
            self.passwords.push(hash);
        }
        self.nopass = false;
        Ok(())
    }

    fn add_selector(&mut self, inner: &[u8], terms: Terms<'_>) -> Result<(), RuleError> {
        let mut selector = Selector::new(terms);
        let mut text = inner.to_vec();
        let mut spans = Vec::new();
        // What has an open quote is no rules at all, as in Redis.
        if split_words_in_place(&mut text, &mut spans).is_err() {
            spans.clear();
        }
        for Span { start, len } in spans {
            selector.apply(&text[start..start + len], terms)?;
        }
        if self.selectors.len() == SELECTORS_MAX {
            return Err(RuleError::TooMany);
        }
        self.selectors.push(selector);
        Ok(())
    }

    /// Whether one may log in with `password`. How long it takes says nothing about the password.
    pub(super) fn accepts(&self, password: &[u8]) -> bool {
        let matches = Hash::of(password).is_among(&self.passwords);
        self.enabled && (self.nopass || matches)
    }

    /// The user's own permissions, and then the others.
    fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        core::iter::once(&self.root).chain(&self.selectors)
    }

    /// Whether a command is allowed, or what kept the selector back that came closest.
    pub fn check(&self, request: &dyn Request) -> Result<(), Denied> {
        let seen = Seen::default();
        let mut worst = Denied { reason: Reason::Database, index: 0 };
        for selector in self.all_selectors() {
            match selector.check(request, &seen) {
                Ok(()) => return Ok(()),
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// Whether one selector allows both a command and such access to every key.
    pub fn may_access_every_key(&self, request: &dyn Request, access: Access) -> bool {
        let seen = Seen::default();
        let mut selectors = self.all_selectors();
        selectors.any(|selector| {
            selector.allows_every_key(access) && selector.check(request, &seen).is_ok()
        })
    }

    /// The patterns of all channels that the user may use; `None`: all channels.
    pub(super) fn channel_patterns(&self) -> Option<Vec<Box<[u8]>>> {
        if self.all_selectors().any(Selector::has_all_channels) {
            return None;
        }
        Some(self.all_selectors().flat_map(Selector::channel_patterns).cloned().collect())
    }

    /// The flags that are shown, in Redis's order.
    pub fn flags(&self) -> Vec<&'static str> {
        let flags = [
            ("on", self.enabled),
            ("off", !self.enabled),
            ("nopass", self.nopass),
            ("skip-sanitize-payload", self.sanitize == Some(false)),
            ("sanitize-payload", self.sanitize == Some(true)),
        ];
        flags.iter().filter(|(_, is_set)| *is_set).map(|&(flag, _)| flag).collect()
    }

    /// The hashes of the passwords in hexadecimal digits.
    pub fn password_hashes(&self) -> Vec<String> {
        self.passwords.iter().map(|hash| hash.hex()).collect()
    }

    /// What each selector allows, the user's own permissions first.
    pub fn permissions(&self, catalogue: &Catalogue) -> Vec<Permissions> {
        let describe = |selector: &Selector| Permissions {
            commands: selector.describe_commands(catalogue).join(&b' '),
            keys: selector.describe_keys().join(&b' '),
            channels: selector.describe_channels().join(&b' '),
            databases: selector.describe_databases(),
        };
        self.all_selectors().map(describe).collect()
    }

    /// The rules that make this user of a new one, in one line.
    pub fn describe(&self, catalogue: &Catalogue) -> Vec<u8> {
        let mut text = Vec::new();
        for flag in self.flags() {
            text.extend_from_slice(flag.as_bytes());
            text.push(b' ');
        }
        for hash in self.password_hashes() {
            text.extend_from_slice(format!("#{hash} ").as_bytes());
        }
        text.extend_from_slice(&self.root.describe(catalogue).join(&b' '));
        for selector in &self.selectors {
            let rules = selector.describe(catalogue);
            let rules: Vec<Vec<u8>> = rules.into_iter().map(quoted_inside).collect();
            text.extend_from_slice(b" (");
            text.extend_from_slice(&rules.join(&b' '));
            text.push(b')');
        }
        text
    }

    /// Heap bytes, itself included.
    pub(super) fn memory_bytes(&self) -> usize {
        let selectors = self.selectors.len() * size_of::<Selector>();
        size_of::<Self>()
            + self.name.len()
            + self.passwords.len() * size_of::<Hash>()
            + selectors
            + self.all_selectors().map(Selector::memory_bytes).sum::<usize>()
    }

    /// Checks what must hold.
    pub(super) fn check_invariants(&self, catalogue: &Catalogue) {
        self.all_selectors().for_each(|selector| selector.check_invariants(catalogue));
        let unrestricted = self.all_selectors().any(Selector::allows_everything);
        assert_eq!(self.unrestricted, unrestricted, "what the user may do is known");
        assert!(self.passwords.len() <= PASSWORDS_MAX && self.selectors.len() <= SELECTORS_MAX);
        assert!(!self.nopass || self.passwords.is_empty(), "a password that is not asked for");
    }
}

/// A rule as it must be spelled between parentheses: there quotes have a meaning, and a parenthesis
/// at the end of a word is the last.
fn quoted_inside(rule: Vec<u8>) -> Vec<u8> {
    if !rule.ends_with(b")") && !rule.contains(&b'"') && !rule.contains(&b'\'') {
        return rule;
    }
    let mut text = vec![b'"'];
    for byte in rule {
        if byte == b'"' || byte == b'\\' {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
    text
}

/// What one selector allows, in the words of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Rules about commands.
    pub commands: Vec<u8>,
    /// Rules about keys.
    pub keys: Vec<u8>,
    /// Rules about channels.
    pub channels: Vec<u8>,
    /// Rules about databases; `None`: all are allowed.
    pub databases: Option<String>,
}

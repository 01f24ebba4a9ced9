//! Access control: users, what they may do, and the log of what was refused.
//!
//! Commands are known here only as a [`Catalogue`]; whoever runs one describes it as a [`Request`].
//!
//! Invariants: there is always a user called `default`, and its id is [`UserId::DEFAULT`]; a change
//! of a user or of all users is made whole or not at all.

mod bits;
mod catalogue;
mod check;
mod clients;
mod commands;
mod file;
mod log;
mod password;
mod rules;
mod selector;
#[cfg(test)]
mod tests;
mod user;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use catalogue::Catalogue;
pub use check::{Access, Denied, Reason, Request};
pub use log::{Entry, Log};
use password::{Hash, Passwords};
pub use rules::{RuleError, Terms};
use sha2::{Digest, Sha256};
pub use user::{Permissions, User};

use crate::input::Origin;
use crate::rng::Seed;
use crate::session::UserId;

/// Users that there may be.
const USERS_MAX: usize = 100_000;
/// Bytes of a user's name.
const NAME_BYTES_MAX: usize = 4 << 10;
/// The name of the user that a new client is.
pub const DEFAULT_USER: &[u8] = b"default";

/// Whether a user may be called so: a space would end the name in a file.
pub fn is_user_name(name: &[u8]) -> bool {
    !rules::has_space(name) && name.len() <= NAME_BYTES_MAX
}

/// All users.
#[derive(Debug)]
pub struct Acl {
    catalogue: Arc<Catalogue>,
    /// By id; the default user is the first.
    users: Vec<Option<User>>,
    /// Ids that nobody has.
    free: Vec<u32>,
    by_name: BTreeMap<Box<[u8]>, UserId>,
    passwords: Passwords,
    /// What was refused.
    pub log: Log,
}

/// What became of a user that was there when it was changed.
#[derive(Debug)]
pub struct Revoked {
    /// Whose permissions have changed.
    pub user: UserId,
    /// The patterns of the channels that it may use now.
    patterns: Vec<Box<[u8]>>,
}

impl Revoked {
    /// Whether a channel, or if `is_pattern` a pattern of channels, may still be used.
    pub fn allows(&self, channel: &[u8], is_pattern: bool) -> bool {
        selector::is_channel_among(&self.patterns, channel, is_pattern)
    }
}

impl Acl {
    /// The default user alone, with this password; empty: it needs none.
    pub fn new(catalogue: Arc<Catalogue>, password: &str, seed: Seed) -> Self {
        let default = User::almighty(DEFAULT_USER, &catalogue);
        let secret = Sha256::new().chain_update(b"passwords").chain_update(seed.0.to_le_bytes());
        let mut acl = Self {
            catalogue,
            users: vec![Some(default)],
            free: Vec::new(),
            by_name: BTreeMap::from([(DEFAULT_USER.into(), UserId::DEFAULT)]),
            passwords: Passwords::new(secret.finalize().into()),
            log: Log::default(),
        };
        acl.set_default_password(password);
        acl
    }

    /// The commands that rules speak of.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Makes random passwords from this secret from now on.
    pub fn set_secret(&mut self, secret: [u8; 32]) {
        self.passwords = Passwords::new(secret);
    }

    /// A random password of so many hexadecimal digits.
    pub fn random_password(&mut self, digits: usize) -> String {
        self.passwords.next(digits)
    }

    /// A user.
    ///
    /// # Panics
    /// If nobody has the id: clients of a user that goes become the default user at once.
    #[inline]
    pub fn user(&self, id: UserId) -> &User {
        self.users[id.0 as usize].as_ref().expect("a client's user is there")
    }

    /// The default user.
    #[inline]
    pub fn default_user(&self) -> &User {
        self.user(UserId::DEFAULT)
    }

    /// Whether a new client has logged in without doing anything.
    #[inline]
    pub fn is_open(&self) -> bool {
        let default = self.default_user();
        default.needs_no_password() && default.is_enabled()
    }

    /// The user of this name.
    pub fn find(&self, name: &[u8]) -> Option<UserId> {
        self.by_name.get(name).copied()
    }

    /// All users in the order of their names.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &User> {
        self.by_name.values().map(|&id| self.user(id))
    }

    /// Who logs in with this name and password, if they are right and the user is enabled.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<UserId> {
        let Some(id) = self.find(name) else {
            // As much work as for a user that there is.
            core::hint::black_box(Hash::of(password));
            return None;
        };
        self.user(id).accepts(password).then_some(id)
    }

    /// Who a client is that its certificate names, if there is such a user and it is enabled.
    pub fn certified(&self, origin: &Origin) -> Option<UserId> {
        let id = self.find(origin.certified_user()?.as_bytes())?;
        self.user(id).is_enabled().then_some(id)
    }

    /// Gives the default user one password, or with an empty one lets it in without.
    pub fn set_default_password(&mut self, password: &str) {
        let password = Some(password.as_bytes()).filter(|password| !password.is_empty());
        self.slot_mut(UserId::DEFAULT).set_password(password);
    }

    /// Lets the default user do everything, with this password; empty: it needs none.
    pub fn open(&mut self, password: &str) {
        *self.slot_mut(UserId::DEFAULT) = User::almighty(DEFAULT_USER, &self.catalogue.clone());
        self.set_default_password(password);
    }

    /// Shuts everybody out: for a server that has not been told its users.
    pub fn shut(&mut self) {
        let catalogue = Arc::clone(&self.catalogue);
        let terms = Terms { catalogue: &catalogue, databases: 0, all_channels: false };
        *self.slot_mut(UserId::DEFAULT) = User::new(DEFAULT_USER, terms);
    }

    /// Makes a user, or changes one, by rules in the words of ACL SETUSER. Returns what an older
    /// client of the user may have lost.
    pub fn change(
        &mut self,
        name: &[u8],
        words: &[&[u8]],
        terms: Terms<'_>,
    ) -> Result<Option<Revoked>, String> {
        let rules = rules::merge(words).map_err(rules::unmatched)?;
        let id = self.find(name);
        let mut user = match id {
            Some(id) => self.user(id).clone(),
            None => User::new(name, terms),
        };
        user.apply_all(&rules, terms).map_err(|(index, error)| {
            let rule = String::from_utf8_lossy(&rules[index]);
            format!("Error in ACL SETUSER modifier '{rule}': {}", error.text())
        })?;
        let Some(id) = id else {
            if self.by_name.len() == USERS_MAX {
                return Err(format!("there are {USERS_MAX} users already"));
            }
            self.insert(user);
            return Ok(None);
        };
        let before = core::mem::replace(self.slot_mut(id), user);
        Ok(revoked(&before, self.user(id)).map(|patterns| Revoked { user: id, patterns }))
    }

    /// Removes a user. Its clients must become the default user before anything else happens.
    ///
    /// # Panics
    /// If it is the default user.
    pub fn remove(&mut self, name: &[u8]) -> Option<UserId> {
        let id = self.by_name.remove(name)?;
        assert!(id != UserId::DEFAULT, "the default user stays");
        self.users[id.0 as usize] = None;
        self.free.push(id.0);
        Some(id)
    }

    /// Every user as a line of a file: `user name rules`.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = Vec<u8>> {
        self.users().map(|user| {
            let description = user.describe(&self.catalogue);
            [b"user ", user.name(), b" ", &description].concat()
        })
    }

    /// Whether there is nobody but the default user, as it is with this password.
    pub fn is_initial(&self, password: &str) -> bool {
        let mut initial = User::almighty(DEFAULT_USER, &self.catalogue);
        if !password.is_empty() {
            initial.set_password(Some(password.as_bytes()));
        }
        self.by_name.len() == 1 && *self.default_user() == initial
    }

    /// Heap bytes.
    pub fn memory_bytes(&self) -> usize {
        self.users().map(User::memory_bytes).sum::<usize>() + self.log.memory_bytes()
    }

    /// Checks what must hold.
    ///
    /// # Panics
    /// If something is wrong.
    pub fn check_invariants(&self) {
        assert_eq!(self.find(DEFAULT_USER), Some(UserId::DEFAULT));
        assert!(self.by_name.len() <= USERS_MAX);
        assert_eq!(self.users.iter().flatten().count(), self.by_name.len());
        assert_eq!(self.users.len(), self.by_name.len() + self.free.len());
        for (name, &id) in &self.by_name {
            assert_eq!(self.user(id).name(), &**name);
            self.user(id).check_invariants(&self.catalogue);
        }
        for &id in &self.free {
            assert!(self.users[id as usize].is_none(), "a free id has no user");
        }
    }

    fn slot_mut(&mut self, id: UserId) -> &mut User {
        self.users[id.0 as usize].as_mut().expect("there is such a user")
    }

    fn insert(&mut self, user: User) -> UserId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.users.push(None);
            self.users.len() as u32 - 1
        });
        self.by_name.insert(user.name().into(), UserId(slot));
        self.users[slot as usize] = Some(user);
        UserId(slot)
    }
}

/// The patterns of the channels that are left to a user, unless it has lost none that it had.
fn revoked(before: &User, after: &User) -> Option<Vec<Box<[u8]>>> {
    let left = after.channel_patterns()?;
    let had = before.channel_patterns();
    let has_all = had.is_some_and(|had| had.iter().all(|pattern| left.contains(pattern)));
    (!has_all).then_some(left)
}

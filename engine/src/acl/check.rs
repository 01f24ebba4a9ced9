//! A command that somebody wants to run, as selectors see it, and what they say about it.

use std::cell::OnceCell;

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Nothing that shows or changes its value.
    pub const NONE: Self = Self(0);
    /// Its value is read.
    pub const READ: Self = Self(1);
    /// It is changed.
    pub const WRITE: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);

    /// Both of two.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What stands before a pattern of keys that may be accessed in this way.
    pub(super) fn prefix(self) -> &'static [u8] {
        match self {
            Self::READ => b"%R~",
            Self::WRITE => b"%W~",
            _ => b"~",
        }
    }
}

/// A command. Words are counted from its name, which is word 0.
pub trait Request {
    /// Its index in the catalogue.
    fn command(&self) -> usize;
    /// Whether everybody may run it, logged in or not.
    fn is_free(&self) -> bool;
    /// The word behind the name, where there is one.
    fn first_word(&self) -> Option<&[u8]>;
    /// Word `index`.
    fn word(&self, index: usize) -> &[u8];
    /// Which words are keys, and what becomes of them.
    fn keys(&self) -> Vec<(usize, Access)>;
    /// Which words are channels, or patterns of channels.
    fn channels(&self) -> Vec<(usize, bool)>;
    /// The databases that it reaches, each with the word that names it; word 0 where none does.
    /// `None`: it reaches all.
    fn databases(&self) -> Vec<(usize, Option<usize>)>;
}

/// What was found out about a request, so that it is found out once for all selectors.
#[derive(Default)]
pub(super) struct Seen {
    keys: OnceCell<Vec<(usize, Access)>>,
    channels: OnceCell<Vec<(usize, bool)>>,
    databases: OnceCell<Vec<(usize, Option<usize>)>>,
}

impl Seen {
    pub(super) fn keys(&self, request: &dyn Request) -> &[(usize, Access)] {
        self.keys.get_or_init(|| request.keys())
    }

    pub(super) fn channels(&self, request: &dyn Request) -> &[(usize, bool)] {
        self.channels.get_or_init(|| request.channels())
    }

    pub(super) fn databases(&self, request: &dyn Request) -> &[(usize, Option<usize>)] {
        self.databases.get_or_init(|| request.databases())
    }
}

/// Why a command is not allowed, from the least telling to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A database.
    Database,
    /// The command itself.
    Command,
    /// A key.
    Key,
    /// The user could not log in. No check gives this; the log has it.
    Login,
    /// A channel.
    Channel,
}

impl Reason {
    /// The word in ACL LOG.
    pub fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Command => "command",
            Self::Key => "key",
            Self::Login => "auth",
            Self::Channel => "channel",
        }
    }
}

/// A command is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// Why.
    pub reason: Reason,
    /// Which word of the command is to blame; 0: its name.
    pub index: usize,
}

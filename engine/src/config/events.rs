//! Classes of keyspace events, as `notify-keyspace-events` names them by letters.
//!
//! Invariant: what `spell` writes is read back as the same classes.

/// A set of classes, and of the channels that events are published in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventClasses(u32);

impl EventClasses {
    /// Any type: `del`, `expire`, `rename_from`...
    pub const GENERIC: Self = Self(1);
    /// Strings.
    pub const STRING: Self = Self(1 << 1);
    /// Lists.
    pub const LIST: Self = Self(1 << 2);
    /// Sets.
    pub const SET: Self = Self(1 << 3);
    /// Hashes.
    pub const HASH: Self = Self(1 << 4);
    /// Sorted sets.
    pub const SORTED_SET: Self = Self(1 << 5);
    /// A key's time has come.
    pub const EXPIRED: Self = Self(1 << 6);
    /// A key was given up for memory.
    pub const EVICTED: Self = Self(1 << 7);
    /// Streams.
    pub const STREAM: Self = Self(1 << 8);
    /// Types of modules.
    pub const MODULE: Self = Self(1 << 9);
    /// A key was added.
    pub const NEW: Self = Self(1 << 10);
    /// Events are published in the channels of keys.
    pub const KEYSPACE: Self = Self(1 << 11);
    /// Events are published in the channels of events.
    pub const KEYEVENT: Self = Self(1 << 12);
    /// A key that was to be read is not there.
    pub const MISS: Self = Self(1 << 13);

    /// Events of fields are published in the channels of keys.
    pub const SUBKEYSPACE: Self = Self(1 << 14);
    /// Events of fields are published in the channels of events.
    pub const SUBKEYEVENT: Self = Self(1 << 15);
    /// Events of fields are published in the channels of fields.
    pub const SUBKEYSPACE_ITEM: Self = Self(1 << 16);
    /// Events of fields are published in the channels of an event at a key.
    pub const SUBKEYSPACE_EVENT: Self = Self(1 << 17);

    /// A key was given another value, whatever it held.
    pub const OVERWRITTEN: Self = Self(1 << 18);
    /// And that is of another type.
    pub const TYPE_CHANGED: Self = Self(1 << 19);

    /// What the letter `A` means: all classes that speak of changes, but for the later ones.
    const ALL: Self = Self((1 << 10) - 1);

    /// In the order in which they are spelled.
    const LETTERS: [(Self, char); 20] = [
        (Self::GENERIC, 'g'),
        (Self::STRING, '$'),
        (Self::LIST, 'l'),
        (Self::SET, 's'),
        (Self::HASH, 'h'),
        (Self::SORTED_SET, 'z'),
        (Self::EXPIRED, 'x'),
        (Self::EVICTED, 'e'),
        (Self::STREAM, 't'),
        (Self::MODULE, 'd'),
        (Self::NEW, 'n'),
        (Self::OVERWRITTEN, 'o'),
        (Self::TYPE_CHANGED, 'c'),
        (Self::KEYSPACE, 'K'),
        (Self::KEYEVENT, 'E'),
        (Self::MISS, 'm'),
        (Self::SUBKEYSPACE, 'S'),
        (Self::SUBKEYEVENT, 'T'),
        (Self::SUBKEYSPACE_ITEM, 'I'),
        (Self::SUBKEYSPACE_EVENT, 'V'),
    ];

    /// Reads letters; `None`: one of them means nothing.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::default(), |classes, letter| {
            if letter == 'A' {
                return Some(classes.and(Self::ALL));
            }
            let known = Self::LETTERS.iter().find(|&&(_, known)| known == letter);
            known.map(|&(class, _)| classes.and(class))
        })
    }

    /// The letters. Redis does not show `n` beside `A` and so forgets it in CONFIG REWRITE; here
    /// nothing is forgotten.
    pub fn spell(self) -> String {
        let all = self.has(Self::ALL);
        let is_shown = |class: Self| self.has(class) && !(all && Self::ALL.has(class));
        let rest = Self::LETTERS.iter().filter(|&&(class, _)| is_shown(class));
        all.then_some('A').into_iter().chain(rest.map(|&(_, letter)| letter)).collect()
    }

    /// Both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no event of a key is published.
    #[inline]
    pub const fn is_silent(self) -> bool {
        self.0 & (Self::KEYSPACE.0 | Self::KEYEVENT.0) == 0
    }

    /// Whether events of fields are published. Their classes are not asked for, as in Redis 8.8.
    #[inline]
    pub const fn speaks_of_fields(self) -> bool {
        let keys = Self::SUBKEYSPACE.0 | Self::SUBKEYEVENT.0;
        self.0 & (keys | Self::SUBKEYSPACE_ITEM.0 | Self::SUBKEYSPACE_EVENT.0) != 0
    }
}

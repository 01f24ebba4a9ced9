//! Who reads the log.

/// One who does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The append-only file.
    File,
    /// The replicas, all of which read the same.
    Replicas,
}

/// Some of them. Their numbers are those that scripts use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readers(u8);

impl Readers {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// The append-only file.
    pub const FILE: Self = Self(1);
    /// The replicas.
    pub const REPLICAS: Self = Self(2);
    /// All of them.
    pub const ALL: Self = Self(3);

    /// Whether all of `other` are among them.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that a number of a script means.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Those who are in both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Default for Readers {
    fn default() -> Self {
        Self::ALL
    }
}

impl From<Reader> for Readers {
    fn from(reader: Reader) -> Self {
        match reader {
            Reader::File => Self::FILE,
            Reader::Replicas => Self::REPLICAS,
        }
    }
}

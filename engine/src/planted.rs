//! Bugs that a test can plant in an engine, to see whether those who look for bugs find them.
//!
//! Invariant: only [`crate::Config::planted`] plants one, and no configuration file, command or
//! Cargo feature sets that field.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// A time to live ends after 99 % of its time.
    ShortTtl,
    /// An acknowledged SET is lost when the table of keys grows for it.
    LostInsert,
    /// Some GETs of a key that was just overwritten answer what it held before.
    StaleRead,
    /// Some acknowledged changes of a collection are not kept.
    LostChange,
    /// Some transactions are left in the middle and ended later.
    TornExec,
    /// Some commands that only read answer what they answered before.
    StaleReply,
    /// Some messages reach nobody.
    LostMessage,
    /// Some messages come behind the next one.
    LateMessage,
    /// Some keys expire of themselves, and those who keep copies are not told.
    MissedNews,
    /// Some keys are evicted that may not be.
    WrongVictim,
    /// WATCH does not see what scripts change.
    BlindWatch,
    /// Snapshots have some values that came after their moment.
    MixedSnapshot,
}

impl PlantedBug {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ShortTtl,
        Self::LostInsert,
        Self::StaleRead,
        Self::LostChange,
        Self::TornExec,
        Self::StaleReply,
        Self::LostMessage,
        Self::LateMessage,
        Self::MissedNews,
        Self::WrongVictim,
        Self::BlindWatch,
        Self::MixedSnapshot,
    ];

    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ShortTtl => "ttl",
            Self::LostInsert => "split",
            Self::StaleRead => "stale",
            Self::LostChange => "change",
            Self::TornExec => "torn",
            Self::StaleReply => "reply",
            Self::LostMessage => "message",
            Self::LateMessage => "late",
            Self::MissedNews => "missed",
            Self::WrongVictim => "victim",
            Self::BlindWatch => "watch",
            Self::MixedSnapshot => "mixed",
        }
    }

    /// The bug of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }
}

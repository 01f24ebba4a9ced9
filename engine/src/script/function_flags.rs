//! What a function or a script promises, or is allowed.

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FunctionFlags(u8);

/// The flags by name, in Redis's order.
const NAMES: [(&str, FunctionFlags); 5] = [
    ("no-writes", FunctionFlags::NO_WRITES),
    ("allow-oom", FunctionFlags::ALLOW_OOM),
    ("allow-stale", FunctionFlags(4)),
    ("no-cluster", FunctionFlags(8)),
    ("allow-cross-slot-keys", FunctionFlags(16)),
];

impl FunctionFlags {
    /// It changes nothing.
    pub(crate) const NO_WRITES: Self = Self(1);
    /// It may run when memory is over its limit.
    pub(crate) const ALLOW_OOM: Self = Self(2);

    /// Whether all of `other` is in this set.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds the flag of a name, in any case of letters; whether there is one.
    pub(super) fn add(&mut self, name: &[u8]) -> bool {
        let known = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        let Some((_, flag)) = known else { return false };
        self.0 |= flag.0;
        true
    }

    /// The names of the flags.
    pub(crate) fn names(self) -> Vec<&'static str> {
        NAMES.iter().filter(|(_, flag)| self.has(*flag)).map(|&(name, _)| name).collect()
    }
}

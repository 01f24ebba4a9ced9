//! The ACL categories of a command, derived from its row.
//!
//! Most follow from flags and group; a row names only what does not. A name behind a minus sign
//! takes a category away (`-keyspace` for SORT).

use super::spec::Flags;
use super::table::Row;

/// All categories, in the order in which COMMAND shows them.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

impl Row {
    /// The ACL categories, without `@`, in the order of [`CATEGORIES`].
    pub fn categories(&self) -> Vec<&'static str> {
        CATEGORIES.into_iter().filter(|category| self.is_in(category)).collect()
    }

    /// Whether the command is in `category`, which is written without `@`.
    pub fn is_in(&self, category: &str) -> bool {
        let named = self.command.categories;
        if named.iter().any(|name| name.strip_prefix('-') == Some(category)) {
            return false;
        }
        let flags = self.command.flags;
        let by_flags = match category {
            "write" => flags.has(Flags::WRITE),
            "read" => flags.has(Flags::READONLY) && !named.contains(&"scripting"),
            "admin" | "dangerous" => flags.has(Flags::ADMIN),
            "pubsub" => flags.has(Flags::PUBSUB),
            "blocking" => flags.has(Flags::BLOCKING),
            "fast" => flags.has(Flags::FAST),
            "slow" => !flags.has(Flags::FAST),
            _ => false,
        };
        // A container does nothing itself; its subcommands are in the group's category.
        let by_group = self.subcommands.is_empty()
            && self.command.group.category().is_some_and(|group| group == category);
        by_flags || by_group || named.contains(&category)
    }
}

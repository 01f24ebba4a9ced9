//! The commands that rules speak of, as plain values: names, categories, subcommands.
//!
//! Invariants: a command's index here is the index that requests name it by; a subcommand's name is
//! its container's, `|` and its own, and the container is in the catalogue too.

use std::collections::BTreeMap;

use super::bits::Bits;

/// All commands and categories.
#[derive(Debug, PartialEq, Eq)]
pub struct Catalogue {
    entries: Vec<Entry>,
    by_name: BTreeMap<String, usize>,
    categories: Vec<Category>,
}

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Lower-case name, `config|get` for a subcommand.
    pub(super) name: String,
    /// Whether it is a subcommand.
    pub(super) is_subcommand: bool,
    /// Its subcommands.
    pub(super) subcommands: Vec<usize>,
}

/// One category.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Category {
    /// Lower-case name without `@`.
    pub(super) name: String,
    /// The commands in it.
    pub(super) members: Bits,
    /// What a rule about it concerns: its members and all their subcommands.
    pub(super) reach: Bits,
}

impl Catalogue {
    /// A catalogue of `commands`, each a name and its categories, in the order of their indexes.
    ///
    /// # Panics
    /// If a subcommand has no container, a name is there twice or a category is not in
    /// `categories`.
    pub fn new<'a>(
        categories: &[&str],
        commands: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>,
    ) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut by_name = BTreeMap::new();
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); categories.len()];
        for (index, (name, of)) in commands.into_iter().enumerate() {
            let name = name.to_ascii_lowercase();
            let before = by_name.insert(name.clone(), index);
            assert!(before.is_none(), "two commands are called {name}");
            for category in of {
                let place = categories.iter().position(|known| *known == category);
                members[place.expect("the category is known")].push(index);
            }
            let is_subcommand = name.contains('|');
            entries.push(Entry { name, is_subcommand, subcommands: Vec::new() });
        }
        for index in 0..entries.len() {
            if let Some((container, _)) = entries[index].name.split_once('|') {
                let container = by_name[container];
                entries[container].subcommands.push(index);
            }
        }
        let category = |(name, members): (&&str, Vec<usize>)| {
            let (mut own, mut reach) = (Bits::none(entries.len()), Bits::none(entries.len()));
            for index in members {
                own.put(index, true);
                reach.put(index, true);
                entries[index].subcommands.iter().for_each(|&index| reach.put(index, true));
            }
            Category { name: (*name).to_owned(), members: own, reach }
        };
        let categories = categories.iter().zip(members).map(category).collect();
        Self { entries, by_name, categories }
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The index of a command by its full name in any case.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        let name = str::from_utf8(name).ok()?.to_ascii_lowercase();
        self.by_name.get(&name).copied()
    }

    /// The names of the categories, in order.
    pub fn category_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.categories.iter().map(|category| category.name.as_str())
    }

    /// The names of the commands in a category, which is named in any case without `@`.
    pub fn names_in(&self, category: &[u8]) -> Option<Vec<&str>> {
        let category = self.category(category)?;
        Some(category.members.iter().map(|index| self.entries[index].name.as_str()).collect())
    }

    pub(super) fn category(&self, name: &[u8]) -> Option<&Category> {
        self.categories.iter().find(|category| category.name.as_bytes().eq_ignore_ascii_case(name))
    }

    pub(super) fn categories(&self) -> &[Category] {
        &self.categories
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// The commands that are no subcommands, in order.
    pub(super) fn tops(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.entries.len()).filter(|&index| !self.entries[index].is_subcommand)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A small catalogue for tests of this module.
    pub(in crate::acl) fn sample() -> Catalogue {
        Catalogue::new(
            &["read", "write", "string", "set", "connection", "fast", "slow", "admin"],
            [
                ("get", vec!["read", "string", "fast"]),
                ("set", vec!["write", "string", "slow"]),
                ("incr", vec!["write", "string", "fast"]),
                ("sadd", vec!["write", "set", "fast"]),
                ("smembers", vec!["read", "set", "slow"]),
                ("select", vec!["connection", "fast"]),
                ("ping", vec!["connection", "fast"]),
                ("config", vec!["slow"]),
                ("config|get", vec!["admin", "slow"]),
                ("config|set", vec!["admin", "slow"]),
                ("config|help", vec!["fast"]),
            ],
        )
    }

    #[test]
    fn names_and_categories_are_found_in_any_case() {
        let catalogue = sample();
        assert_eq!(catalogue.find(b"Config|GET"), Some(8));
        assert_eq!(catalogue.find(b"config|none"), None);
        assert_eq!(catalogue.find(b"\xff"), None);
        assert_eq!(catalogue.names_in(b"SET").unwrap(), ["sadd", "smembers"]);
        assert_eq!(catalogue.names_in(b"all"), None);
        let slow = catalogue.category(b"slow").unwrap();
        assert!(!slow.members.has(10) && slow.reach.has(10), "a container brings its subcommands");
        assert_eq!(catalogue.tops().count(), 8);
    }
}

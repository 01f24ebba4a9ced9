//! Which words of a command are keys, from the key specifications of its row.
//!
//! Invariant: every index that is found lies inside the command.

use super::spec::{Begin, Find, KeySpec};
use super::table::Row;
use crate::args::Args;
use crate::value::number::parse_integer;

/// One key of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundKey {
    /// Which word it is.
    pub index: usize,
    /// What becomes of it, in the words of the row.
    pub flags: &'static [&'static str],
}

/// The words do not fit the row's specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKeys;

/// First key, last key and step as COMMAND tells them to clients that know no specifications; the
/// last may be negative, from the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The word that is the first key; 0: there is none.
    pub first: i64,
    /// The word that is the last key.
    pub last: i64,
    /// The distance from key to key.
    pub step: i64,
    /// Clients cannot find all keys by the range alone.
    pub movable: bool,
}

impl Row {
    /// The keys of a command of this row, in the order of the specifications.
    pub fn keys(&self, args: Args<'_>) -> Result<Vec<FoundKey>, BadKeys> {
        if let Some(find_keys) = self.command.find_keys {
            return find_keys(args);
        }
        let mut found = Vec::new();
        let is_only = self.command.keys.len() == 1;
        for spec in self.command.keys {
            let is_variable = spec.flags.contains(&"VARIABLE_FLAGS");
            let flags = match self.command.key_flags {
                Some(key_flags) if is_variable => key_flags(args),
                _ => spec.flags,
            };
            let Some(begin) = spec.begin(args) else {
                // An option that is not there has no keys; without the only keyword nothing has.
                if is_only {
                    return Err(BadKeys);
                }
                continue;
            };
            let (first, last, step) = spec.range(begin, args)?;
            for index in (first..=last).step_by(step) {
                found.push(FoundKey { index, flags });
            }
        }
        Ok(found)
    }

    /// The words that are keys where that is one range at a fixed place, as first, last and step:
    /// for who must not allocate.
    pub(crate) fn plain_range(&self, args: Args<'_>) -> Option<(usize, usize, usize)> {
        match self.command.keys {
            [spec] if self.command.find_keys.is_none() => match (spec.begin, spec.find) {
                (Begin::Index(begin), Find::Range { .. }) => spec.range(begin, args).ok(),
                _ => None,
            },
            _ => None,
        }
    }

    /// The one range that old clients are told.
    pub fn key_range(&self) -> KeyRange {
        let mut range = KeyRange::default();
        let is_only = self.command.keys.len() == 1;
        for spec in self.command.keys {
            range.movable |= spec.flags.contains(&"INCOMPLETE");
            let (Begin::Index(begin), Find::Range { last, step }) = (spec.begin, spec.find) else {
                range.movable = true;
                continue;
            };
            let begin = begin as i64;
            let follows = range.last == 0 || range.last == begin - 1;
            if !is_only && (step != 1 || !follows) {
                range.movable = true;
                continue;
            }
            range.first = if range.first == 0 { begin } else { range.first.min(begin) };
            range.last = if last >= 0 { begin + i64::from(last) } else { i64::from(last) };
            range.step = step as i64;
        }
        range.movable |= range.first == 0 && !self.command.keys.is_empty();
        range
    }
}

impl KeySpec {
    /// The word at which the keys begin; `None` if its keyword is not there.
    fn begin(&self, args: Args<'_>) -> Option<usize> {
        match self.begin {
            Begin::Index(index) => Some(index),
            Begin::Keyword { word, from } if from >= 0 => {
                let place = (from as usize..args.len()).find(|&index| args.is(index, word))?;
                Some(place + 1)
            }
            Begin::Keyword { word, from } => {
                let last = args.len().checked_sub(from.unsigned_abs() as usize)?;
                let place = (1..=last).rev().find(|&index| args.is(index, word))?;
                Some(place + 1)
            }
            Begin::Unknown => None,
        }
    }

    /// First and last key of a command, both included, and the step; `first > last`: no keys.
    fn range(&self, begin: usize, args: Args<'_>) -> Result<(usize, usize, usize), BadKeys> {
        let words = args.len();
        match self.find {
            Find::Range { last, step } => {
                let last = match usize::try_from(last) {
                    Ok(last) => begin + last,
                    Err(_) => words.checked_sub(last.unsigned_abs() as usize).ok_or(BadKeys)?,
                };
                let fits = begin <= last && last < words;
                fits.then_some((begin, last, step)).ok_or(BadKeys)
            }
            Find::FirstHalf => {
                let half = words.saturating_sub(begin) / 2;
                (half > 0).then_some((begin, begin + half - 1, 1)).ok_or(BadKeys)
            }
            Find::Unknown => Err(BadKeys),
            Find::KeyNum { first, step } => {
                let number = args.opt(begin).and_then(parse_integer).ok_or(BadKeys)?;
                let number = usize::try_from(number).map_err(|_| BadKeys)?;
                let first = begin + first;
                if number == 0 || number > words {
                    return Err(BadKeys);
                }
                let last = first + (number - 1) * step;
                (last < words).then_some((first, last, step)).ok_or(BadKeys)
            }
        }
    }
}

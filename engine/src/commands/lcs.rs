//! Strings: the longest common subsequence of two.
//!
//! The table of lengths is never kept whole: one row of lengths, and one bit per cell for the way
//! back. Redis needs four bytes per cell and refuses what would exceed `proto-max-bulk-len`; the
//! same inputs are refused here, so that both agree.

use super::Cx;
use super::arguments::integer;
use super::spec::{Begin, Command, Find, Flags, Group, KeySpec};
use crate::args::Args;
use crate::error::Error;
use crate::keyspace::Found;

/// The rows of this family.
pub(super) const COMMANDS: &[Command] = &[Command {
    name: "LCS",
    syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec {
        flags: &["RO", "ACCESS"],
        begin: Begin::Index(1),
        find: Find::Range { last: 1, step: 1 },
    }],
    group: Group::String,
    since: "7.0.0",
    complexity: "O(N*M) where N and M are the lengths of the strings.",
    summary: "Finds the longest common subsequence of two strings.",
    reply: "bulk | integer | map<bulk, integer | array<[[integer, integer], [integer, integer]] | \
        [[integer, integer], [integer, integer], integer]>>",
    run: lcs,
    ..Command::ROW
}];

#[derive(Debug, Default)]
struct Options {
    length_only: bool,
    indexes: bool,
    with_lengths: bool,
    /// Shorter matches are not listed.
    min_len: i64,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut index = 3;
        while index < args.len() {
            match args.opt(index + 1) {
                _ if args.is(index, "IDX") => options.indexes = true,
                _ if args.is(index, "LEN") => options.length_only = true,
                _ if args.is(index, "WITHMATCHLEN") => options.with_lengths = true,
                Some(word) if args.is(index, "MINMATCHLEN") => {
                    options.min_len = integer(word)?;
                    index += 1;
                }
                _ => return Err(Error::Syntax),
            }
            index += 1;
        }
        if options.indexes && options.length_only {
            return Err(Error::fixed(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// A run of bytes that both strings have: where it starts in each, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

/// `LCS key1 key2 ...`
fn lcs(cx: &mut Cx<'_>, args: Args<'_>) -> Result<(), Error> {
    let (a, b) = (cx.find_read(args.at(1)), cx.find_read(args.at(2)));
    let (mut a_buffer, mut b_buffer) = (itoa::Buffer::new(), itoa::Buffer::new());
    let a = string_at(cx, a, &mut a_buffer)?;
    let b = string_at(cx, b, &mut b_buffer)?;
    let options = Options::parse(args)?;
    let cells = (a.len() as u64 + 1).saturating_mul(b.len() as u64 + 1);
    if cells.saturating_mul(4) > cx.state.config.proto_max_bulk_len {
        return Err(Error::fixed(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let table = Table::fill(&a, &b, !options.length_only);
    if options.length_only {
        cx.reply.count(table.len);
    } else if options.indexes {
        let wanted: Vec<Match> = table
            .matches(&a, &b)
            .into_iter()
            .filter(|it| it.len as i64 >= options.min_len)
            .collect();
        reply_matches(cx, &wanted, table.len, options.with_lengths);
    } else {
        let runs = table.matches(&a, &b);
        let common: Vec<u8> =
            runs.iter().rev().flat_map(|it| &a[it.a..it.a + it.len]).copied().collect();
        cx.reply.bulk(&common);
    }
    Ok(())
}

/// A copy of the string at `found`; empty if there is none.
fn string_at(
    cx: &Cx<'_>,
    found: Option<Found>,
    buffer: &mut itoa::Buffer,
) -> Result<Vec<u8>, Error> {
    let Some(found) = found else { return Ok(Vec::new()) };
    match cx.value(found).string(buffer) {
        Ok(string) => Ok(string.to_vec()),
        Err(_) => Err(Error::fixed("ERR The specified keys must contain string values")),
    }
}

/// From the end of the strings to their start, as Redis finds them.
fn reply_matches(cx: &mut Cx<'_>, matches: &[Match], len: usize, with_lengths: bool) {
    cx.reply.map(2);
    cx.reply.text("matches");
    cx.reply.array(matches.len());
    for it in matches {
        cx.reply.array(2 + usize::from(with_lengths));
        for start in [it.a, it.b] {
            cx.reply.array(2);
            cx.reply.count(start);
            cx.reply.count(start + it.len - 1);
        }
        if with_lengths {
            cx.reply.count(it.len);
        }
    }
    cx.reply.text("len");
    cx.reply.count(len);
}

/// What is left of the table of lengths.
struct Table {
    /// Length of the longest common subsequence.
    len: usize,
    /// A bit per cell, rows of `a` by columns of `b`: from here the way back goes up.
    goes_up: Vec<u64>,
}

impl Table {
    fn fill(a: &[u8], b: &[u8], with_way_back: bool) -> Self {
        let cells = if with_way_back { a.len() * b.len() } else { 0 };
        let mut goes_up = vec![0_u64; cells.div_ceil(64)];
        let mut row = vec![0_u32; b.len() + 1];
        for (i, &in_a) in a.iter().enumerate() {
            let mut diagonal = 0;
            for (j, &in_b) in b.iter().enumerate() {
                let (up, left) = (row[j + 1], row[j]);
                row[j + 1] = if in_a == in_b { diagonal + 1 } else { up.max(left) };
                diagonal = up;
                if with_way_back && up > left {
                    let cell = i * b.len() + j;
                    goes_up[cell / 64] |= 1 << (cell % 64);
                }
            }
        }
        Self { len: row[b.len()] as usize, goes_up }
    }

    /// The runs of the subsequence, last first.
    fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        // Whether the step before was a match, so that the next one extends its run.
        let mut in_run = false;
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                match matches.last_mut() {
                    Some(run) if in_run => *run = Match { a: i, b: j, len: run.len + 1 },
                    _ => matches.push(Match { a: i, b: j, len: 1 }),
                }
                in_run = true;
                continue;
            }
            in_run = false;
            let cell = (i - 1) * b.len() + j - 1;
            if self.goes_up[cell / 64] >> (cell % 64) & 1 == 1 {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        matches
    }
}

//! The spelling of stories, one line a step.
//!
//! ```text
//! story S03
//! title A holder is paused beyond its lock's end, and writes
//! nodes 1
//! clients 2
//! ttl 10000
//! until 20000
//!
//! 0     A acquires
//! 10    A reads
//! 5000  A pauses 10000
//! 10001 B works 100
//! 15001 A writes
//! ```
//!
//! Times are milliseconds with up to three decimals. Clients are letters, servers `n1`, `n2`, ...;
//! `A-n3` is the way between them and `A-store` the one to the store.
//!
//! Invariant: what is spelled is read as the same story again.

use core::fmt::{self, Write as _};

use orrery_engine::time::TtlClock;

use super::lab::{Network, Servers};
use super::story::{Step, Story, What, Who};

/// Why a text is no story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misspelled {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Misspelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Client(client) => f.write_char(letter(client)),
            Self::Node(node) => write!(f, "n{}", node + 1),
            Self::Link(client, node) => write!(f, "{}-n{}", letter(client), node + 1),
            Self::Store(client) => write!(f, "{}-store", letter(client)),
        }
    }
}

/// The letter of a client.
#[must_use]
pub fn letter(client: usize) -> char {
    char::from(b'A' + (client % 26) as u8)
}

/// Microseconds as milliseconds with up to three decimals.
pub(super) struct Millis(pub(super) u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Acquire => f.write_str("acquires"),
            Self::Work { for_us } => write!(f, "works {}", Millis(for_us)),
            Self::Read => f.write_str("reads"),
            Self::Write => f.write_str("writes"),
            Self::Release => f.write_str("releases"),
            Self::Use { nodes } => {
                f.write_str("uses")?;
                (0..64)
                    .filter(|node| nodes >> node & 1 == 1)
                    .try_for_each(|node| write!(f, " n{}", node + 1))
            }
            Self::Pause { for_us } => write!(f, "pauses {}", Millis(for_us)),
            Self::Crash => f.write_str("crashes"),
            Self::Clock { by_ms } => write!(f, "clock {by_ms:+}"),
            Self::Rate { by_ppm } => write!(f, "rate {by_ppm:+}"),
            Self::Stop { for_us } => write!(f, "stops {}", Millis(for_us)),
            Self::Forget => f.write_str("forgets"),
            Self::Delete => f.write_str("deletes"),
            Self::Fill { for_us } => write!(f, "fills {}", Millis(for_us)),
            Self::Grace { for_us } => write!(f, "grace {}", Millis(for_us)),
            Self::Cut { for_us } => write!(f, "cut {}", Millis(for_us)),
            Self::SlowRequests { by_us, for_us } => {
                write!(f, "slow-requests {} {}", Millis(by_us), Millis(for_us))
            }
            Self::SlowReplies { by_us, for_us } => {
                write!(f, "slow-replies {} {}", Millis(by_us), Millis(for_us))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9} {} {}", Millis(self.at_us), self.who, self.what)
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "story {}\ntitle {}", self.name, self.title)?;
        writeln!(f, "nodes {}\nclients {}", self.nodes, self.clients)?;
        if self.replicas > 0 {
            writeln!(f, "replicas {}", self.replicas)?;
        }
        writeln!(f, "ttl {}\nuntil {}", self.ttl_ms, Millis(self.until_us))?;
        writeln!(f, "servers {}", spelled(self.servers))?;
        let Network { least_us, most_us, slow_one_in, lost_one_in } = self.network;
        write!(f, "network {} {}", Millis(least_us), Millis(most_us))?;
        writeln!(f, " {slow_one_in} {lost_one_in}\nseed {}\n", self.seed)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

fn spelled(servers: Servers) -> &'static str {
    match servers {
        Servers::Ideal => "ideal",
        Servers::IdealWall => "ideal-wall",
        Servers::Engines(TtlClock::Monotonic) => "engines",
        Servers::Engines(TtlClock::Wall) => "engines-wall",
    }
}

/// Reads a story. Lines that begin with `#` are not of it, nor are those whose first word is one of
/// `others`: the zoo has lines of its own.
///
/// # Errors
/// The first line that is wrong.
pub fn read(text: &str, others: &[&str]) -> Result<Story, Misspelled> {
    let mut story = Story::new(1, 1);
    for (at, line) in text.lines().enumerate() {
        let wrong = |why: String| Misspelled { line: at + 1, why };
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if first.starts_with('#') || others.contains(&first) {
            continue;
        }
        let rest: Vec<&str> = words.collect();
        if first.starts_with(|first: char| first.is_ascii_digit()) {
            let step = step(first, &rest).map_err(wrong)?;
            story.steps.push(step);
        } else {
            header(&mut story, first, &rest, line).map_err(wrong)?;
        }
    }
    match story.problem() {
        Some(why) => Err(Misspelled { line: text.lines().count(), why }),
        None => Ok(story),
    }
}

fn header(story: &mut Story, word: &str, rest: &[&str], line: &str) -> Result<(), String> {
    match (word, rest) {
        ("story", [name]) => story.name = (*name).to_owned(),
        ("title", _) => story.title = line["title".len()..].trim().to_owned(),
        ("nodes", [count]) => story.nodes = number(count)?,
        ("replicas", [count]) => story.replicas = number(count)?,
        ("clients", [count]) => story.clients = number(count)?,
        ("ttl", [ttl_ms]) => story.ttl_ms = number(ttl_ms)?,
        ("until", [time]) => story.until_us = micros(time)?,
        ("seed", [seed]) => story.seed = number(seed)?,
        ("servers", [kind]) => {
            let all = [
                Servers::Ideal,
                Servers::IdealWall,
                Servers::Engines(TtlClock::Monotonic),
                Servers::Engines(TtlClock::Wall),
            ];
            let found = all.into_iter().find(|servers| spelled(*servers) == *kind);
            story.servers = found.ok_or_else(|| {
                "servers are ideal, ideal-wall, engines or engines-wall".to_owned()
            })?;
        }
        ("network", [least, most, slow, lost]) => {
            story.network = Network {
                least_us: micros(least)?,
                most_us: micros(most)?,
                slow_one_in: number(slow)?,
                lost_one_in: number(lost)?,
            };
        }
        _ => return Err(format!("{word:?} with {} words after it says nothing", rest.len())),
    }
    Ok(())
}

fn step(time: &str, rest: &[&str]) -> Result<Step, String> {
    let [who, verb, rest @ ..] = rest else {
        return Err("after the time come who it happens to and what".to_owned());
    };
    Ok(Step { at_us: micros(time)?, who: party(who)?, what: happening(verb, rest)? })
}

fn party(word: &str) -> Result<Who, String> {
    let wrong = || format!("{word:?} is nobody: clients are A, B, ..., servers n1, n2, ...");
    let (first, second) = match word.split_once('-') {
        Some((first, second)) => (first, Some(second)),
        None => (word, None),
    };
    let client = match first.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        _ => None,
    };
    match (client, second) {
        (Some(client), None) => Ok(Who::Client(client)),
        (Some(client), Some("store")) => Ok(Who::Store(client)),
        (Some(client), Some(second)) => Ok(Who::Link(client, node(second).ok_or_else(wrong)?)),
        (None, None) => Ok(Who::Node(node(first).ok_or_else(wrong)?)),
        (None, Some(_)) => Err(wrong()),
    }
}

/// `n3` is 2.
fn node(word: &str) -> Option<usize> {
    word.strip_prefix('n')?.parse::<usize>().ok()?.checked_sub(1)
}

fn happening(verb: &str, rest: &[&str]) -> Result<What, String> {
    Ok(match (verb, rest) {
        ("acquires", []) => What::Acquire,
        ("works", [span]) => What::Work { for_us: micros(span)? },
        ("reads", []) => What::Read,
        ("writes", []) => What::Write,
        ("releases", []) => What::Release,
        ("uses", names) => {
            let bit = |name: &&str| node(name).filter(|&node| node < 64).map(|node| 1_u64 << node);
            let nodes = names.iter().map(bit).try_fold(0, |all, bit| Some(all | bit?));
            What::Use { nodes: nodes.ok_or("servers are n1, n2, ...")? }
        }
        ("pauses", [span]) => What::Pause { for_us: micros(span)? },
        ("crashes", []) => What::Crash,
        ("clock", [by]) => What::Clock { by_ms: number(by)? },
        ("rate", [by]) => What::Rate { by_ppm: number(by)? },
        ("stops", [span]) => What::Stop { for_us: micros(span)? },
        ("forgets", []) => What::Forget,
        ("deletes", []) => What::Delete,
        ("fills", [span]) => What::Fill { for_us: micros(span)? },
        ("grace", [span]) => What::Grace { for_us: micros(span)? },
        ("cut", [span]) => What::Cut { for_us: micros(span)? },
        ("slow-requests", [by, span]) => {
            What::SlowRequests { by_us: micros(by)?, for_us: micros(span)? }
        }
        ("slow-replies", [by, span]) => {
            What::SlowReplies { by_us: micros(by)?, for_us: micros(span)? }
        }
        _ => return Err(format!("{verb:?} with {} words after it does not happen", rest.len())),
    })
}

fn number<N: core::str::FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("{word:?} is not a number that fits here"))
}

/// Milliseconds with up to three decimals, in microseconds.
fn micros(word: &str) -> Result<u64, String> {
    let wrong = || format!("{word:?} is no time in milliseconds");
    let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) || part.len() > 3 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    let micros = whole.checked_mul(1000).and_then(|whole| whole.checked_add(part));
    // Sums of two of them must fit.
    micros.filter(|&micros| micros < 1 << 60).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelled_is_read_as_the_same_story() {
        let text = "\
story S99
title all that can happen
nodes 5
clients 2
ttl 400
until 1000.5
servers engines-wall
network 0.5 2 12 40
seed 7

0         A acquires
0.25      B uses n1 n2 n5
1         B works 30.125
2         A reads
3         A writes
4         A releases
5         A pauses 10
6         A crashes
7         A clock -50
7         n3 clock +60000
8         n2 rate -1000
9         n1 stops 5
9         n1 forgets
9         n1 deletes
9         n1 fills 10
9         n1 grace 100
10        A-n4 cut 10
10        A-store cut 10
11        A-store slow-requests 500 10
12        A-n4 slow-replies 500 10
13        A-store slow-replies 500 10
";
        let story = read(text, &[]).expect("a story");
        assert_eq!(story.to_string(), text);
        assert_eq!(read(&story.to_string(), &[]), Ok(story));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let check = |text: &str, expected: &str| {
            let why = read(text, &["expect"]).expect_err(text).to_string();
            assert!(why.contains(expected), "{why}");
        };
        check("nodes 3\n0 A acquire", "line 2: \"acquire\"");
        check("nodes 0", "1 to 64 servers");
        check("clients 27", "1 to 26 clients");
        check("0 B acquires", "only 1 clients");
        check("0 n2 forgets", "only 1 servers");
        check("0 n1 acquires", "does not happen to n1");
        check("0 A-n1 pauses 1", "does not happen to A-n1");
        check("5 A acquires\n4 A releases", "not in order");
        check("0 A pauses 1.2345", "no time");
        check("0 A pauses -1", "no time");
        check("0 A pauses 99999999999999999999", "no time");
        check("0 A uses", "one of the servers");
        check("0 A uses n2", "and no others");
        check("0 a acquires", "is nobody");
        check("0 A", "after the time");
        check("color red", "says nothing");
        check("until 86400001", "a day at most");
        assert!(read("expect redlock I1\n# nothing\n", &["expect"]).is_ok());
    }
}

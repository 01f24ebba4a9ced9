//! The zoo: the catalogue's stories as files, and which invariants each algorithm breaks in them.
//!
//! A file is a story in its spelling (`locks::spelling`) with lines of the zoo's own:
//!
//! ```text
//! about what happens, why, and what helps
//! catalogue I5 I1
//! nodes 1 5
//! expect naive I1 I10
//! expect single ok
//! ```
//!
//! With several numbers of `nodes` the story happens with each of them; an algorithm for one server
//! takes the first. `waits replication` says that its steps cannot be carried out yet: they are not
//! read. `remedy` says that the story shows what helps in another one. `differs` says why the
//! catalogue expects something else.
//!
//! Invariant: a verdict is a function of the file and the algorithm.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::algorithm::{Algorithm, algorithm};
use super::happen::happen;
use super::judge::Invariant;
use super::queue::queue;
use super::spelling::{Misspelled, read};
use super::story::Story;

/// First words of lines that are the zoo's own.
pub const WORDS: [&str; 6] = ["expect", "about", "waits", "catalogue", "remedy", "differs"];

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("stories/", $name, ".txt")))),*]
    };
}

/// All files by name, in order.
#[rustfmt::skip]
pub const FILES: &[(&str, &str)] = files![
    "S01" "S02" "S03" "S04" "S05" "S06" "S07" "S08" "S09" "S10" "S10b" "S11" "S11b" "S12"
    "S12b" "S13" "S14" "S15" "S16" "S17" "S18" "S18b" "S18c" "S19" "S20" "S20b" "S20c" "S21"
    "S21b" "S22" "S22b" "S23" "S23b" "S24" "S25" "S25b" "S26" "S26b" "S27" "S28" "S29" "S30"
    "S31" "S32" "S32b" "S33" "S34" "S35" "S36" "S37" "S38" "S38b" "S39" "S40" "S41" "S42" "S43"
];

/// A story of the catalogue, and what is expected of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name in the catalogue; with a letter if it is a variant.
    pub name: String,
    /// In one line.
    pub title: String,
    /// What the catalogue says that it breaks, as it says it.
    pub catalogue: Vec<String>,
    /// What happens, why, and what helps.
    pub about: String,
    /// Why the catalogue expects something else.
    pub differs: Option<String>,
    /// What must be there before it can happen.
    pub waits: Option<String>,
    /// It shows what helps in another story.
    pub is_remedy: bool,
    /// The story, once for each number of servers; none while it waits.
    pub stories: Vec<Story>,
    /// What each algorithm breaks, in the order of the file.
    pub expected: Vec<(String, BTreeSet<Invariant>)>,
}

/// What came of a scenario with an algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The scenario's name.
    pub scenario: String,
    /// The algorithm's.
    pub algorithm: String,
    /// What was to be broken, if the file says that.
    pub expected: Option<BTreeSet<Invariant>>,
    /// What was broken.
    pub broken: BTreeSet<Invariant>,
}

impl Verdict {
    /// Whether it is what was expected.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.expected.as_ref().is_none_or(|expected| *expected == self.broken)
    }
}

/// Invariants as the catalogue counts them, `ok` if there are none.
#[must_use]
pub fn counted(broken: &BTreeSet<Invariant>) -> String {
    if broken.is_empty() {
        return "ok".to_owned();
    }
    broken.iter().map(Invariant::to_string).collect::<Vec<_>>().join(" ")
}

/// All scenarios, in order.
///
/// # Panics
/// If a file is wrong: a test sees that none is.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let read = |&(name, text): &(&str, &str)| match scenario(text) {
        Ok(scenario) => scenario,
        Err(why) => panic!("stories/{name}.txt: {why}"),
    };
    FILES.iter().map(read).collect()
}

/// Reads a scenario.
///
/// # Errors
/// The first line that is wrong.
pub fn scenario(text: &str) -> Result<Scenario, Misspelled> {
    let mut found = Scenario {
        name: "story".to_owned(),
        title: String::new(),
        catalogue: Vec::new(),
        about: String::new(),
        differs: None,
        waits: None,
        is_remedy: false,
        stories: Vec::new(),
        expected: Vec::new(),
    };
    let mut counts = vec!["1"];
    for (at, line) in text.lines().enumerate() {
        let (word, rest) = split(line);
        match word {
            "story" => found.name = rest.to_owned(),
            "title" => found.title = rest.to_owned(),
            "nodes" if rest.is_empty() => {
                let why = "how many servers there are is missing".to_owned();
                return Err(Misspelled { line: at + 1, why });
            }
            "nodes" => counts = rest.split_whitespace().collect(),
            "catalogue" => found.catalogue = rest.split_whitespace().map(str::to_owned).collect(),
            "about" => append(&mut found.about, rest),
            "differs" => append(found.differs.get_or_insert_default(), rest),
            "waits" => found.waits = Some(rest.to_owned()),
            "remedy" => found.is_remedy = true,
            "expect" => {
                let wrong = |why| Misspelled { line: at + 1, why };
                found.expected.push(expectation(rest).map_err(wrong)?);
            }
            _ => {}
        }
    }
    if found.waits.is_none() {
        found.stories = counts
            .iter()
            .map(|count| read(&with_nodes(text, count), &WORDS))
            .collect::<Result<_, _>>()?;
    }
    Ok(found)
}

fn append(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(line);
}

/// The first word of a line, and what is behind it.
fn split(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim())
}

/// The same with one number of servers.
fn with_nodes(text: &str, count: &str) -> String {
    let line = |line: &str| match split(line).0 {
        "nodes" => format!("nodes {count}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn expectation(words: &str) -> Result<(String, BTreeSet<Invariant>), String> {
    let mut words = words.split_whitespace();
    let name = words.next().ok_or("an expectation names an algorithm")?;
    let rest: Vec<&str> = words.collect();
    if rest == ["ok"] {
        return Ok((name.to_owned(), BTreeSet::new()));
    }
    let invariant = |word: &&str| {
        let found = Invariant::ALL.into_iter().find(|invariant| invariant.to_string() == **word);
        found.ok_or_else(|| format!("{word:?} is neither ok nor one of I1 to I11"))
    };
    let broken: BTreeSet<Invariant> = rest.iter().map(invariant).collect::<Result<_, _>>()?;
    match broken.is_empty() {
        true => Err(format!("what {name} breaks is missing: ok, or I1 to I11")),
        false => Ok((name.to_owned(), broken)),
    }
}

impl Scenario {
    /// The story with the number of servers that the algorithm is for.
    #[must_use]
    pub fn story_for(&self, algorithm: &Algorithm) -> Option<&Story> {
        self.stories.iter().find(|story| (story.nodes == 1) == algorithm.is_single)
    }

    /// What comes of it with an algorithm; nothing if it waits, or is not for so many servers.
    #[must_use]
    pub fn verdict(&self, algorithm: &Algorithm) -> Option<Verdict> {
        let story = self.story_for(algorithm)?;
        let expected = self.expected.iter().find(|(name, _)| name == algorithm.name);
        Some(Verdict {
            scenario: self.name.clone(),
            algorithm: algorithm.name.to_owned(),
            expected: expected.map(|(_, broken)| broken.clone()),
            broken: happen(story, algorithm, false).broken(),
        })
    }
}

impl Scenario {
    /// What comes of it with the algorithm, the semaphore or the queue of this name.
    #[must_use]
    pub fn verdict_of(&self, name: &str) -> Option<Verdict> {
        if let Some(algorithm) = algorithm(name) {
            return self.verdict(algorithm);
        }
        let (broken, _) = queue(name)?.happen(self.stories.first()?);
        let expected = self.expected.iter().find(|(other, _)| other == name);
        Some(Verdict {
            scenario: self.name.clone(),
            algorithm: name.to_owned(),
            expected: expected.map(|(_, broken)| broken.clone()),
            broken,
        })
    }
}

/// Lets all scenarios happen with all algorithms of which something is expected and that `wanted`
/// lets through, on all processors; `done` hears of each that has ended.
///
/// # Panics
/// If a scenario that does not wait names an algorithm that does not exist, or one that is not for
/// its number of servers: a test sees that none does.
#[must_use]
pub fn run(
    scenarios: &[Scenario],
    wanted: impl Fn(&Scenario, &str) -> bool,
    done: impl Fn() + Sync,
) -> Vec<Verdict> {
    let mut runs: Vec<(&Scenario, &str)> = Vec::new();
    for scenario in scenarios.iter().filter(|scenario| scenario.waits.is_none()) {
        let names = scenario.expected.iter().map(|(name, _)| name.as_str());
        runs.extend(names.filter(|name| wanted(scenario, name)).map(|name| (scenario, name)));
    }
    let verdict = |&(scenario, name): &(&Scenario, &str)| {
        let verdict = scenario.verdict_of(name);
        done();
        let why = "there is no such algorithm, or it is for another number of servers";
        verdict.unwrap_or_else(|| panic!("{} with {name}: {why}", scenario.name))
    };
    runs.par_iter().map(verdict).collect()
}

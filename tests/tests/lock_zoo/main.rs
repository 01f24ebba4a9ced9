//! The zoo of locks: every story of the catalogue breaks what it is known to break, with every
//! algorithm, and the documentation says so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use orrery_engine::lock::{Replicas, Settings};
use orrery_sim::locks::zoo::{FILES, Scenario, Verdict, counted, run, scenario, scenarios};
use orrery_sim::locks::{Algorithm, Fences, Invariant, algorithm, happen, tell};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn named(name: &str) -> Scenario {
    scenarios().into_iter().find(|scenario| scenario.name == name).expect("a scenario")
}

fn ours(name: &str) -> Algorithm {
    *algorithm(name).expect("an algorithm")
}

#[test]
fn the_list_of_files_is_complete_and_in_order() {
    let folder = repository().join("sim/src/locks/stories");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let listed: Vec<String> = FILES.iter().map(|(name, _)| format!("{name}.txt")).collect();
    assert_eq!(names, listed);
    for number in 1..=43 {
        assert!(FILES.iter().any(|(name, _)| *name == format!("S{number:02}")), "S{number:02}");
    }
}

#[test]
fn every_file_says_what_it_is_about_and_what_is_expected_of_whom() {
    for ((name, text), scenario) in FILES.iter().zip(scenarios()) {
        assert_eq!(*name, scenario.name);
        assert!(!scenario.title.is_empty() && !scenario.about.is_empty(), "{name}");
        assert!(scenario.is_remedy == scenario.catalogue.is_empty(), "{name}");
        let wide = text.lines().find(|line| line.chars().count() > 110);
        assert_eq!(wide, None, "{name}: too wide");
        let names: BTreeSet<&String> = scenario.expected.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), scenario.expected.len(), "{name}: one line for each algorithm");
        if scenario.waits.is_none() {
            let own = ["single", "redlock", "fenced", "semaphore-one", "fair", "publish-and-ask"];
            assert!(own.iter().any(|own| names.iter().any(|name| name == own)), "{name}");
            assert_eq!(scenario.stories.len(), text.matches("\nnodes 1 5\n").count() + 1);
        }
    }
}

#[test]
fn the_whole_zoo_has_its_verdicts() {
    let verdicts = run(&scenarios(), |_, _| true, || ());
    let strange: Vec<&Verdict> =
        verdicts.iter().filter(|verdict| !verdict.is_as_expected()).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    assert!(verdicts.len() > 200, "{}", verdicts.len());
}

#[test]
fn an_algorithm_that_is_altered_has_other_verdicts() {
    let is_as_expected = |story: &str, algorithm: &Algorithm| {
        let verdict = named(story).verdict(algorithm).expect("it is for as many servers");
        assert!(verdict.expected.is_some(), "{story}: something is expected");
        verdict.is_as_expected()
    };
    let planted = [
        ("S03", Algorithm { fences: Fences::Nothing, ..ours("single") }),
        ("S27", Algorithm { fences: Fences::Writes, ..ours("fenced") }),
        ("S13", Algorithm { is_pooled: true, ..ours("redlock") }),
        (
            "S20c",
            Algorithm {
                settings: |nodes, ttl_ms| Settings {
                    checks_elapsed: false,
                    ..Settings::redlock(nodes, ttl_ms)
                },
                ..ours("redlock")
            },
        ),
        (
            "S01",
            Algorithm {
                settings: |_, ttl_ms| Settings {
                    checks_release: false,
                    loss: orrery_engine::lock::LossSignal::Never,
                    ..Settings::single(ttl_ms)
                },
                ..ours("single")
            },
        ),
        (
            "S12",
            Algorithm {
                settings: |nodes, ttl_ms| Settings {
                    extension: None,
                    ..Settings::fenced(nodes, ttl_ms)
                },
                ..ours("fenced")
            },
        ),
        (
            "S11b",
            Algorithm {
                settings: |_, ttl_ms| {
                    let replicas = Replicas { needed: 1, timeout_ms: 5, none_will_do: true };
                    Settings { replicas: Some(replicas), ..Settings::single(ttl_ms) }
                },
                ..ours("wait-one")
            },
        ),
        ("S32", Algorithm { names_owners: false, ..ours("single") }),
    ];
    for (story, planted) in planted {
        assert!(is_as_expected(story, &ours(planted.name)), "{story}");
        assert!(!is_as_expected(story, &planted), "{story} does not find what is planted");
    }
}

#[test]
fn every_story_shows_something_and_every_remedy_helps() {
    for scenario in scenarios().iter().filter(|scenario| scenario.waits.is_none()) {
        let breaks = scenario.expected.iter().any(|(_, broken)| !broken.is_empty());
        assert_eq!(breaks, !scenario.is_remedy, "{}", scenario.name);
    }
}

/// What the catalogue says is broken, as far as it says it in invariants.
fn of_catalogue(scenario: &Scenario) -> BTreeSet<Invariant> {
    let is_named = |invariant: &Invariant| scenario.catalogue.contains(&invariant.to_string());
    Invariant::ALL.into_iter().filter(is_named).collect()
}

#[test]
fn what_the_catalogue_says_is_broken_or_the_difference_is_explained() {
    for scenario in scenarios() {
        let catalogue = of_catalogue(&scenario);
        let is_shown = !catalogue.is_empty()
            && scenario.expected.iter().any(|(_, broken)| broken.is_superset(&catalogue));
        let is_explained = scenario.differs.is_some() || scenario.is_remedy;
        let waits_with_nothing = scenario.waits.is_some() && scenario.expected.is_empty();
        assert!(is_shown || is_explained || waits_with_nothing, "{}", scenario.name);
    }
}

#[test]
fn algorithms_of_our_own_break_only_what_is_known() {
    let broken = |name: &str| -> Vec<String> {
        let all = scenarios();
        let breaks = |scenario: &&Scenario| {
            let own = scenario.expected.iter().find(|(own, _)| own == name);
            scenario.waits.is_none() && own.is_some_and(|(_, broken)| !broken.is_empty())
        };
        all.iter().filter(breaks).map(|scenario| scenario.name.clone()).collect()
    };
    assert_eq!(broken("single"), ["S26", "S32"]);
    assert_eq!(
        broken("fenced"),
        ["S12b", "S18", "S18b", "S22", "S23", "S23b", "S24", "S25", "S25b", "S26b", "S32b"]
    );
    let text = std::fs::read_to_string(repository().join("docs/LOCKS.md")).expect("it is there");
    let (_, own) = text.split_once("### Our own algorithms").expect("a section");
    for name in broken("single").into_iter().chain(broken("fenced")) {
        assert!(own.contains(&name), "docs/LOCKS.md does not explain {name}");
    }
}

#[test]
fn what_is_no_scenario_is_refused_with_its_line() {
    let check = |text: &str, expected: &str| {
        let why = scenario(text).expect_err(text).to_string();
        assert!(why.contains(expected), "{why}");
    };
    check("nodes 1\nexpect naive", "line 2: what naive breaks is missing");
    check("expect naive I12", "line 1: \"I12\" is neither");
    check("expect naive ok I1", "\"ok\" is neither");
    check("expect", "line 1: an expectation names");
    check("nodes 1 x", "not a number");
    check("nodes\n0 A acquires", "line 1: how many servers");
    check("nodes 5 1\n0 n3 forgets", "only 1 servers");
    check("clients 2\n0 C acquires", "only 2 clients");
    check("ttl 0", "1 ms to a year");
    check("ttl 18446744073709551615", "1 ms to a year");
    check("seed 18446744073709551615", "the seed is at most");
    check("0 A clock -9223372036854775808", "a year at most");
    check("0 A rate 9223372036854775807", "a million millionths");
    check("0 A pauses 86400001", "longer than a day");
    check("network 0 86400001 0 0", "a day at most");
    assert!(scenario("waits paint\n0 whoever does what").is_ok(), "what waits is not read");
}

/// Compares a text with a file, or writes it if that is wanted.
fn check_file(path: &Path, expected: &str) {
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(path, expected).expect("it can be written");
    }
    let present = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        present == expected,
        "{} is not current; run UPDATE_DOCS=1 cargo test -p orrery-tests --test lock_zoo",
        path.display()
    );
}

#[test]
fn the_story_of_a_bare_majority_is_told_as_ever() {
    let scenario = named("S12");
    let redlock = ours("redlock");
    let story = scenario.story_for(&redlock).expect("five servers");
    let trace = happen(story, &redlock, true).trace.expect("it was to be written down");
    let mut text = String::new();
    for line in tell(&trace) {
        let mark = if line.broken.is_some() { "!" } else { " " };
        let at_ms = format!("{}.{:03}", line.at_us / 1000, line.at_us % 1000);
        writeln!(text, "{at_ms:>10} {mark} {}", line.text).expect("a String takes everything");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lock_zoo/S12-redlock.txt");
    check_file(&path, &text);
}

const BEGIN: &str = "<!-- the zoo; UPDATE_DOCS=1 cargo test -p orrery-tests --test lock_zoo -->\n";
const END: &str = "<!-- the end of the zoo -->\n";

/// The table of all stories, as docs/LOCKS.md has it.
fn table() -> String {
    let mut text = String::from(
        "| story | what happens | catalogue | broken | safe |\n|---|---|---|---|---|\n",
    );
    for scenario in scenarios() {
        let waits = scenario.waits.as_ref().map(|waits| format!(" (waits for {waits})"));
        let mut breaks: Vec<(String, Vec<&str>)> = Vec::new();
        let mut safe: Vec<&str> = Vec::new();
        for (name, broken) in &scenario.expected {
            if broken.is_empty() {
                safe.push(name);
                continue;
            }
            let words = counted(broken);
            match breaks.iter_mut().find(|(other, _)| *other == words) {
                Some((_, names)) => names.push(name),
                None => breaks.push((words, vec![name])),
            }
        }
        let breaks: Vec<String> = breaks
            .iter()
            .map(|(words, names)| format!("**{words}** {}", names.join(", ")))
            .collect();
        writeln!(
            text,
            "| {} | {}{} | {} | {} | {} |",
            scenario.name,
            scenario.title,
            waits.unwrap_or_default(),
            scenario.catalogue.join(" "),
            breaks.join("; "),
            safe.join(", "),
        )
        .expect("a String takes everything");
    }
    text.push_str("\nWhere the verdicts are not what the catalogue says:\n\n");
    for scenario in scenarios() {
        if let Some(differs) = &scenario.differs {
            writeln!(text, "- **{}**: {differs}", scenario.name).expect("a String");
        }
    }
    text
}

#[test]
fn the_documentation_has_all_verdicts() {
    let path = repository().join("docs/LOCKS.md");
    let present = std::fs::read_to_string(&path).expect("docs/LOCKS.md is there");
    let (before, rest) = present.split_once(BEGIN).expect("where the zoo begins");
    let (_, after) = rest.split_once(END).expect("where it ends");
    check_file(&path, &format!("{before}{BEGIN}{}{END}{after}", table()));
}

//! Style kept by machine: file and function lengths, headers, names, banned words, and the layers
//! of the engine.

use std::fs;
use std::path::{Path, PathBuf};

const COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Words that must not reach `main`, in pieces so that this file passes its own check.
const BANNED: [(&str, &str); 6] = [
    (concat!("to", "do!"), "finish it or leave it out"),
    (concat!("unimple", "mented!"), "finish it or leave it out"),
    (concat!("db", "g!"), "a trace left behind"),
    (concat!("FIX", "ME"), "mend it or write an issue"),
    (concat!("XX", "X:"), "mend it or write an issue"),
    (concat!("#[ign", "ore"), "a test that does not run is not a test"),
];

/// What the engine must not know.
const BANNED_IN_ENGINE: [&str; 11] = [
    "std::net::Tcp",
    "std::fs",
    "std::thread",
    "std::env",
    "std::process",
    "Instant::now",
    "SystemTime",
    "tokio",
    "thread_rng",
    "getrandom",
    "RandomState",
];

const NAMES_WITHOUT_MEANING: [&str; 6] = ["util", "utils", "common", "misc", "manager", "helper"];

/// Where the engine is, and what of it is in crates of its own so that others can have it alone.
const ENGINE: [&str; 3] = ["engine/src/", "engine/base/src/", "engine/lock/src/"];

/// The engine's modules from the bottom up; one may import from its own row and from rows before
/// it. `time`, `rng` and `lock` are crates of their own, whose manifests are below.
const LAYERS: [&[&str]; 7] = [
    &[
        "time",
        "rng",
        "rates",
        "args",
        "resp",
        "error",
        "number",
        "input",
        "disk",
        "effects",
        "planted",
        "record",
        "stopwatch",
    ],
    &["value"],
    &["config"],
    &["keyspace", "session", "log"],
    &[
        "state",
        "digest",
        "pubsub",
        "notify",
        "block",
        "watch",
        "tracking",
        "acl",
        "script",
        "lock",
        "snapshot",
        "evict",
        "observe",
        "names",
        "persistence",
    ],
    &["commands"],
    &["engine"],
];

struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/")
    }

    /// The lines before the unit tests at the end of the file.
    fn production_lines(&self) -> Vec<&str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = lines.iter().position(|line| *line == "#[cfg(test)]").unwrap_or(lines.len());
        lines[..end].to_vec()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").into()
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["engine", "server", "sim", "jepsen-like", "fuzz", "tests"] {
        collect(&root().join(folder), &mut found);
    }
    found.sort();
    assert!(found.len() > 20, "the sources were not found");
    let to_source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).expect("a source file is readable UTF-8"),
        path: path.strip_prefix(root()).expect("it is below the root").display().to_string(),
    };
    found.into_iter().map(to_source).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if path.is_dir() {
            if !matches!(name.as_deref(), Some("target" | "corpus" | "artifacts")) {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Fails with the list of all complaints.
fn check(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent =
        |source: &Source| !source.text.starts_with("//!") && !source.text.starts_with("#!");
    let complaints: Vec<String> = sources()
        .iter()
        .filter(|source| silent(source))
        .map(|source| format!("{}: does not open with `//!`", source.path))
        .collect();
    check(&complaints);
}

#[test]
fn files_lines_and_functions_have_limits() {
    let mut complaints = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX && !line.contains("http") {
                complaints.push(format!("{}:{}: over 100 columns", source.path, number + 1));
            }
        }
        if source.is_test() {
            continue;
        }
        let lines = source.production_lines();
        if lines.len() > FILE_LINES_MAX {
            complaints.push(format!("{}: {} lines", source.path, lines.len()));
        }
        long_functions(&source.path, &lines, &mut complaints);
    }
    check(&complaints);
}

/// Finds functions by their shape after rustfmt: from the line with `fn` to a closing brace at the
/// same indentation.
fn long_functions(path: &str, lines: &[&str], complaints: &mut Vec<String>) {
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = code.starts_with("fn ")
            || code.starts_with("pub") && code.contains("fn ") && code.contains('(')
            || code.starts_with("async fn ")
            || code.starts_with("const fn ");
        if !is_function || code.ends_with(';') {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        let Some(len) = lines[start..].iter().position(|line| *line == close) else { continue };
        if len + 1 > FUNCTION_LINES_MAX {
            complaints.push(format!("{path}:{}: a function of {} lines", start + 1, len + 1));
        }
    }
}

#[test]
fn banned_words_and_names_are_absent() {
    let mut complaints = Vec::new();
    for source in sources() {
        if source.path.ends_with("tests/tidy.rs") {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            for (word, why) in BANNED {
                if line.contains(word) {
                    complaints.push(format!("{}:{}: `{word}`: {why}", source.path, number + 1));
                }
            }
            if line.trim_start().starts_with("pub fn get_") || line.contains(" fn get_") {
                complaints.push(format!("{}:{}: no `get_`", source.path, number + 1));
            }
        }
        let stem = Path::new(&source.path).file_stem().map(|stem| stem.to_string_lossy());
        if stem.is_some_and(|stem| NAMES_WITHOUT_MEANING.contains(&&*stem)) {
            complaints.push(format!("{}: a name without meaning", source.path));
        }
    }
    check(&complaints);
}

#[test]
fn the_engine_knows_no_clock_socket_file_thread_or_entropy() {
    let mut complaints = Vec::new();
    let is_engine = |source: &&Source| ENGINE.iter().any(|folder| source.path.starts_with(folder));
    for source in sources().iter().filter(is_engine) {
        for (number, line) in source.production_lines().iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in BANNED_IN_ENGINE {
                if code.contains(word) {
                    complaints.push(format!("{}:{}: `{word}`", source.path, number + 1));
                }
            }
        }
    }
    check(&complaints);
}

#[test]
fn only_drivers_know_tokio_and_only_sim_knows_turmoil() {
    let mut complaints = Vec::new();
    for (manifest, banned) in [
        ("engine/Cargo.toml", &["tokio", "turmoil", "rand", "orrery-server", "orrery-sim"][..]),
        (
            "engine/base/Cargo.toml",
            &["tokio", "turmoil", "rand", "orrery-engine", "orrery-lock-machine"],
        ),
        ("engine/lock/Cargo.toml", &["tokio", "turmoil", "rand", "orrery-engine"]),
        ("server/Cargo.toml", &["turmoil", "orrery-sim"]),
        ("server/lock/Cargo.toml", &["turmoil", "orrery-engine", "orrery-server", "orrery-sim"]),
    ] {
        let text = fs::read_to_string(root().join(manifest)).expect("the manifest is there");
        let normal = text.split("[dev-dependencies]").next().unwrap_or_default();
        for line in normal.lines() {
            let name = line.split(['=', ' ', '.']).next().unwrap_or_default();
            if banned.contains(&name) {
                complaints.push(format!("{manifest}: depends on {name}"));
            }
        }
    }
    check(&complaints);
}

#[test]
fn the_layers_of_the_engine_hold() {
    let rank_of = |module: &str| LAYERS.iter().position(|row| row.contains(&module));
    let mut complaints = Vec::new();
    for source in sources() {
        let Some(inner) = source.path.strip_prefix("engine/src/") else { continue };
        let module = inner.split(['/', '.']).next().unwrap_or_default();
        if module == "lib" {
            continue;
        }
        let Some(rank) = rank_of(module) else {
            complaints.push(format!("{}: not in any layer", source.path));
            continue;
        };
        for (number, line) in source.production_lines().iter().enumerate() {
            for used in imported_modules(line) {
                if rank_of(used).is_some_and(|used_rank| used_rank > rank) {
                    let place = format!("{}:{}", source.path, number + 1);
                    complaints.push(format!("{place}: {module} must not know {used}"));
                }
            }
        }
    }
    check(&complaints);
}

/// The modules named after `crate::` in a line of code; `value::number` counts as `number`.
fn imported_modules(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).map(|rest| {
        // Reading and writing numbers is below everything, wherever its file is.
        let rest = rest.strip_prefix("value::number").map_or(rest, |_| "number");
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

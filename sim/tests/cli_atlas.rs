//! `orrery-sim locks atlas` from the outside: files, going on, wrong words.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn atlas(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-sim"));
    command.args(["locks", "atlas"]).args(words).output().expect("the program runs")
}

/// A folder that is not there yet.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    folder
}

const SMALL: [&str; 8] = [
    "--x",
    "clock-step=0,1000",
    "--y",
    "pause=0,1500",
    "--acquisitions",
    "200",
    "--algorithms",
    "redlock,fenced",
];

#[test]
fn a_sweep_writes_its_files_and_goes_on_where_it_was_stopped() {
    let folder = folder("atlas");
    let out = folder.to_str().expect("a path in UTF-8");
    let words = [&SMALL[..], &["--out", out]].concat();
    let first = atlas(&words);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let said = String::from_utf8(first.stdout).expect("UTF-8");
    assert!(said.contains("redlock") && said.contains("atlas.html"), "{said}");
    let table = fs::read_to_string(folder.join("atlas.csv")).expect("a table");
    assert_eq!(table.lines().count(), 2 + 8);
    assert!(folder.join("fenced-belief.svg").exists() && folder.join("atlas.html").exists());
    // It was stopped while it wrote a line.
    let cut = table.len() - 100;
    fs::write(folder.join("atlas.csv"), &table[..cut]).expect("it can be written");
    assert!(atlas(&words).status.success());
    assert_eq!(fs::read_to_string(folder.join("atlas.csv")).expect("a table"), table);
    // Another sweep does not take the place of this one.
    let other = atlas(&[&words[..], &["--seed", "2"]].concat());
    assert_eq!(other.status.code(), Some(1));
    let why = String::from_utf8(other.stderr).expect("UTF-8");
    assert!(why.contains("atlas.csv") && why.contains("--out"), "{why}");
    assert_eq!(fs::read_to_string(folder.join("atlas.csv")).expect("a table"), table);
}

#[test]
fn wrong_words_are_refused_with_what_would_be_right() {
    for (words, expected) in [
        (&["--x", "color=1"][..], "there is no parameter"),
        (&["--x", "pause=1", "--y", "pause=2"], "both directions"),
        (&["--algorithms", "paxos"], "there are naive, single"),
        (&["--set", "pause=5"], "one of the axes"),
        (&["--set", "work=1,2"], "one value"),
        (&["--acquisitions", "0"], "0"),
        (&["--servers", "raft"], "engines-wall"),
    ] {
        let output = atlas(words);
        let why = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {why}");
        assert!(why.contains(expected), "{words:?}: {why}");
    }
    let names = String::from_utf8(atlas(&["--parameters"]).stdout).expect("UTF-8");
    assert!(names.contains("clock-step") && names.contains("redlock-margin"), "{names}");
}

//! The command line of `locks zoo` and `locks run`: what they print, and the status that they exit
//! with.

use std::process::Command;

/// The status, and what was printed to both outputs.
fn sim(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_orrery-sim"))
        .arg("locks")
        .args(arguments)
        .output()
        .expect("the program was built");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str]) -> (Option<i32>, serde_json::Value) {
    let (status, text, _) = sim(&[arguments, &["--json"]].concat());
    (status, serde_json::from_str(&text).expect("one JSON object"))
}

#[test]
fn the_zoo_is_a_table_and_an_object() {
    let (status, text, _) = sim(&["zoo", "--only", "S12,S07,S03", "--algorithm", "redlock,single"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("S12") && text.contains("I1 I2 I3 I4 I10"), "{text}");
    assert!(text.contains("S07    waits for replication"), "{text}");
    assert!(text.ends_with("3 verdicts, all as expected\n"), "{text}");
    assert!(!text.contains('\x1b'), "no colours where nobody sees them");
    let (status, value) = json(&["zoo", "--only", "S12", "--algorithm", "redlock"]);
    assert_eq!((status, &value["as_expected"]), (Some(0), &true.into()));
    assert_eq!(value["verdicts"][0]["broken"][0], "I1");
}

#[test]
fn a_story_is_told_with_its_violations() {
    let (status, text, _) = sim(&["run", "S12", "--algorithm", "redlock"]);
    assert_eq!(status, Some(0), "what was expected: {text}");
    assert!(text.contains("  5000.000   n3 loses the lock's key."), "{text}");
    assert!(text.contains("! I1 BROKEN: two clients take the lock for theirs"), "{text}");
    assert!(text.ends_with("verdict   I1 I2 I3 I4 I10\n"), "{text}");
    let (_, value) = json(&["run", "S12", "--algorithm", "redlock"]);
    assert_eq!(value["algorithm"], "redlock");
    assert!(value["events"].as_array().is_some_and(|events| events.len() > 20));
}

#[test]
fn what_is_broken_in_a_file_without_expectations_has_status_one() {
    let path = std::env::temp_dir().join(format!("orrery-story-{}.txt", std::process::id()));
    let name = path.display().to_string();
    let write = |text: &str| std::fs::write(&path, text).expect("a file can be written");
    write("nodes 1\nclients 2\n0 A acquires\n1000 n1 deletes\n1001 B acquires\n");
    assert_eq!(sim(&["run", &name, "--algorithm", "naive"]).0, Some(1));
    let (status, _, why) = sim(&["run", &name]);
    assert!(status == Some(2) && why.contains("choose one with --algorithm"), "{why}");
    write("nodes 1\nclients 2\nexpect naive ok\n0 A acquires\n1000 n1 deletes\n1001 B acquires\n");
    let (status, text, _) = sim(&["run", &name]);
    assert!(status == Some(1) && text.ends_with("expected  ok\n"), "{text}");
    write("nodes 1\n0 A jumps\n");
    let (status, _, why) = sim(&["run", &name, "--algorithm", "naive"]);
    assert!(status == Some(2) && why.contains("line 2: \"jumps\""), "{why}");
    write("nodes 5\nttl 2\n");
    let (status, _, why) = sim(&["run", &name, "--algorithm", "redlock"]);
    assert!(status == Some(2) && why.contains("the drift takes up"), "{why}");
    std::fs::remove_file(&path).expect("it was there");
}

#[test]
fn what_cannot_be_done_is_said_with_what_can() {
    for (arguments, expected) in [
        (&["zoo", "--only", "S99"][..], "no story \"S99\"; there are S01, S02"),
        (&["zoo", "--algorithm", "magic"], "no algorithm \"magic\"; there are naive, single"),
        (&["zoo", "--only", "S12", "--algorithm", "naive"], "nothing is expected"),
        (&["run", "S99"], "no story of the catalogue"),
        (&["run", "S07"], "S07 cannot happen yet: it waits for replication"),
        (&["run", "S12", "--algorithm", "magic"], "no algorithm \"magic\""),
        (&["run", "S12", "--algorithm", "naive"], "choose one of redlock, redlock-margin"),
        (&["run"], "required"),
        (&["walk"], "unrecognized subcommand"),
    ] {
        let (status, _, why) = sim(arguments);
        assert_eq!(status, Some(2), "{arguments:?}");
        assert!(why.contains(expected), "{arguments:?}: {why}");
    }
    let (status, help, _) = sim(&["run", "--help"]);
    assert!(status == Some(0) && help.contains("Examples:"), "{help}");
}

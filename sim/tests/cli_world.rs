//! The command line of `run` and `swarm`: what they print, and the status that they exit with.

use std::process::Command;

/// The status and what was printed.
fn sim(arguments: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_orrery-sim"))
        .args(arguments.split_whitespace())
        .output()
        .expect("the program was built");
    (output.status.code(), String::from_utf8(output.stdout).expect("it prints UTF-8"))
}

fn json(arguments: &str) -> (Option<i32>, serde_json::Value) {
    let (status, text) = sim(&format!("{arguments} --json"));
    (status, serde_json::from_str(&text).expect("one JSON object"))
}

/// The value behind a name at the beginning of a line.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(name)).expect("the line is there");
    line[name.len()..].trim()
}

#[test]
fn the_printed_command_repeats_the_run() {
    let (status, first) = sim("run --seed 9 --seconds 5 --servers 2 --faults pause,isolate");
    assert_eq!(status, Some(0), "{first}");
    let command = field(&first, "repeat").strip_prefix("orrery-sim ").expect("a command");
    let (_, second) = sim(command);
    assert_eq!(field(&first, "digest"), field(&second, "digest"));
    assert_eq!(field(&second, "verdict"), "fine");
    let (_, other) = sim(&command.replace("--seed 9", "--seed 10"));
    assert_ne!(field(&first, "digest"), field(&other, "digest"));
}

#[test]
fn a_violation_is_explained_and_has_status_one() {
    let run = "run --seed 1 --seconds 5 --faults none --workload registers --planted stale";
    let (status, text) = sim(run);
    assert_eq!(status, Some(1));
    assert!(text.contains("is not linearizable") && text.contains("contradict each other"));
    assert!(field(&text, "repeat").ends_with("--planted stale"));
}

#[test]
fn twice_compares_and_finds_the_first_difference() {
    let (status, same) = json("run --seed 2 --seconds 5 --twice");
    assert_eq!((status, &same["same"]), (Some(0), &true.into()));
    let (status, differs) = json("run --seed 2 --seconds 5 --twice --disturb 123");
    assert_eq!((status, &differs["first_difference"]), (Some(1), &123.into()));
}

#[test]
fn a_printed_plan_can_be_carried_out() {
    let run = "run --seed 4 --seconds 5 --faults kill,latency";
    let (status, plan) = sim(&format!("{run} --print-plan"));
    assert_eq!(status, Some(0));
    let file = std::env::temp_dir().join(format!("orrery-plan-{}.json", std::process::id()));
    std::fs::write(&file, plan).expect("a temporary file");
    let (_, drawn) = json(run);
    let (_, given) = json(&format!("{run} --plan {}", file.display()));
    std::fs::remove_file(&file).expect("it was written");
    assert_eq!(drawn["digest"], given["digest"]);
    let (_, without) = json(&format!("{run} --without 0"));
    assert_ne!(drawn["digest"], without["digest"]);
}

#[test]
fn histories_can_be_judged_apart() {
    let folder = std::env::temp_dir().join(format!("orrery-histories-{}", std::process::id()));
    let run = "run --seed 5 --seconds 5 --faults kill --workload registers --servers 1";
    let (status, _) = sim(&format!("{run} --histories {}", folder.display()));
    assert_eq!(status, Some(0));
    let (status, text) = sim(&format!("check {}", folder.join("server-0.jsonl").display()));
    std::fs::remove_dir_all(&folder).expect("it was written");
    assert_eq!(status, Some(0), "{text}");
}

#[test]
fn a_swarm_counts_and_finds_what_is_planted() {
    let (status, fine) = json("swarm --seed 1 --seeds 6 --jobs 2 --twice-one-in 2");
    assert_eq!(status, Some(0), "{fine}");
    assert_eq!((&fine["seeds"], &fine["runs_made_twice"]), (&6.into(), &3.into()));
    let (status, found) = json("swarm --seed 1 --seeds 20 --planted split");
    assert_eq!(status, Some(1));
    let command = found["reports"][0]["command"].as_str().expect("a command");
    let (status, _) = sim(command.strip_prefix("orrery-sim ").expect("a command"));
    assert_eq!(status, Some(1), "{command}");
}

#[test]
fn wrong_usage_has_status_two() {
    for arguments in [
        "run --faults no-such",
        "run --workload no-such",
        "run --servers 0",
        "run --seconds 601",
        "run --planted no-such",
        "run --plan /no/such/file",
        "swarm --seed minus-one",
    ] {
        assert_eq!(sim(arguments).0, Some(2), "{arguments}");
    }
}

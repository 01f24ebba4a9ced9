//! The public histories that other checkers use, with their known verdicts.
//!
//! They are not part of the repository. They are looked for in `$ORRERY_DATA`, then beside the
//! repository; where they are absent these tests say so and judge nothing.

use std::path::{Path, PathBuf};

use orrery_sim::check::{Options, Verdict, check};
use orrery_sim::history::{self, History, json_lines};

fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/porcupine");
    let found = std::env::var_os("ORRERY_DATA")
        .map(PathBuf::from)
        .into_iter()
        .chain([beside.clone()])
        .find(|path| path.join("jepsen/verdicts.txt").is_file());
    if found.is_none() {
        // Not captured by the test harness, unlike `eprintln!`.
        let line =
            format!("SKIPPED: no public histories in $ORRERY_DATA nor in {}\n", beside.display());
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }
    found
}

fn load(path: &Path) -> History {
    let text = std::fs::read_to_string(path).unwrap();
    history::read(&text, None).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_linearizable(history: &History, options: &Options) -> bool {
    match check(history, options).verdict {
        Verdict::Linearizable(error) => {
            assert_eq!(error.at_most_ms, 0, "no key here has a time to live");
            true
        }
        Verdict::NotLinearizable(explained) => {
            assert!(explained.is_some() == options.explain);
            false
        }
        Verdict::Unknown(reason) => panic!("unknown: {reason}"),
    }
}

#[test]
fn the_seventy_etcd_logs() {
    let Some(data) = data() else { return };
    let verdicts = std::fs::read_to_string(data.join("jepsen/verdicts.txt")).unwrap();
    let (mut logs, mut linearizable) = (0, 0);
    for line in verdicts.lines() {
        let (name, expected) = line.split_once(' ').unwrap();
        let history = load(&data.join(format!("jepsen/{name}.log")));
        let verdict = is_linearizable(&history, &Options::default());
        assert_eq!(verdict, expected.trim() == "true", "{name}");
        logs += 1;
        linearizable += usize::from(verdict);
    }
    assert_eq!((logs, linearizable), (70, 14));
}

#[test]
fn the_key_value_logs_by_key_and_as_one_object() {
    let Some(data) = data() else { return };
    for name in ["c01-bad", "c01-ok", "c10-bad", "c10-ok", "c50-bad", "c50-ok"] {
        let history = load(&data.join(format!("kv/{name}.txt")));
        let expected = name.ends_with("ok");
        assert_eq!(is_linearizable(&history, &Options::default()), expected, "{name}");
        if !name.starts_with("c50") {
            let together = Options { no_partition: true, ..Options::default() };
            assert_eq!(is_linearizable(&history, &together), expected, "{name} as one object");
        }
    }
}

#[test]
fn a_public_history_survives_the_own_format() {
    let Some(data) = data() else { return };
    for name in ["jepsen/etcd_002.log", "kv/c10-ok.txt"] {
        let history = load(&data.join(name));
        let mut written = Vec::new();
        json_lines::write(&history, &mut written).unwrap();
        let again = history::read(std::str::from_utf8(&written).unwrap(), None).unwrap();
        assert_eq!(history, again);
    }
}

#[test]
fn little_memory_gives_the_same_verdicts_or_none() {
    let Some(data) = data() else { return };
    let history = load(&data.join("kv/c10-bad.txt"));
    let mut decided = 0;
    for memory_bytes in [1 << 10, 1 << 16, 1 << 18, 1 << 19, 1 << 24] {
        let options =
            Options { no_partition: true, memory_bytes, explain: false, ..Options::default() };
        match check(&history, &options).verdict {
            Verdict::Linearizable(_) => panic!("wrong with {memory_bytes} bytes"),
            Verdict::NotLinearizable(_) => decided += 1,
            Verdict::Unknown(_) => {}
        }
    }
    assert!((1..5).contains(&decided), "{decided} of 5 decided");
}

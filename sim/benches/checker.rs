//! Times the linearizability checker on the public histories that other checkers use.
//!
//! `cargo bench -p orrery-sim --bench checker [-- PART OF A LABEL]`. The data is looked for in
//! `$ORRERY_DATA`, then in `../shared/data/porcupine` beside the repository. Parsing is not timed;
//! a wrong verdict panics.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orrery_sim::check::{Options, Verdict, check};
use orrery_sim::history::{self, History};

fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/porcupine");
    std::env::var_os("ORRERY_DATA")
        .map(PathBuf::from)
        .into_iter()
        .chain([beside])
        .find(|path| path.join("jepsen/verdicts.txt").is_file())
}

fn load(path: &Path) -> History {
    let text = std::fs::read_to_string(path).expect("a history file");
    history::read(&text, None).expect("a history")
}

fn judge(history: &History, options: &Options, expected: bool) {
    match check(history, options).verdict {
        Verdict::Linearizable(_) => assert!(expected, "called linearizable"),
        Verdict::NotLinearizable(_) => assert!(!expected, "called not linearizable"),
        Verdict::Unknown(reason) => panic!("unknown: {reason}"),
    }
}

/// Best and median time of runs repeated for about a second, three at least.
fn time(label: &str, mut run: impl FnMut()) {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if wanted.next().is_some_and(|wanted| !label.contains(&wanted)) {
        return;
    }
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || (start.elapsed() < Duration::from_secs(1) && times.len() < 2_000) {
        let one = Instant::now();
        run();
        times.push(one.elapsed());
    }
    times.sort_unstable();
    println!("{label:<28} best {:>10.1?}  median {:>10.1?}", times[0], times[times.len() / 2]);
}

fn main() {
    let Some(data) = data() else {
        println!("skipped: no public histories here (set ORRERY_DATA)");
        return;
    };
    let options = Options { explain: false, ..Options::default() };
    let together = Options { no_partition: true, explain: false, ..Options::default() };
    let verdicts = std::fs::read_to_string(data.join("jepsen/verdicts.txt")).expect("verdicts");
    let etcd: Vec<(History, bool)> = verdicts
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, verdict)| (load(&data.join(format!("jepsen/{name}.log"))), verdict == "true"))
        .collect();
    time(&format!("etcd, {} logs", etcd.len()), || {
        etcd.iter().for_each(|(history, expected)| judge(history, &options, *expected));
    });
    for name in ["c01-bad", "c01-ok", "c10-bad", "c10-ok", "c50-bad", "c50-ok"] {
        let history = load(&data.join(format!("kv/{name}.txt")));
        let expected = name.ends_with("ok");
        time(&format!("kv {name} by key"), || judge(&history, &options, expected));
    }
    for name in ["c01-bad", "c01-ok", "c10-bad", "c10-ok"] {
        let history = load(&data.join(format!("kv/{name}.txt")));
        let expected = name.ends_with("ok");
        time(&format!("kv {name} as one object"), || judge(&history, &together, expected));
    }
}

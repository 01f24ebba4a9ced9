//! Real processes under SIGKILL and SIGSTOP: what is right is called right, what is wrong is found.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_jepsen::{Kind, Options, Status, Summary, Target, run};
use orrery_sim::fault::FaultKind;
use orrery_sim::setup::Setup;
use orrery_sim::workload::Workload;
use orrery_tests::program;

const WORKLOADS: [Workload; 3] = [Workload::Registers, Workload::Counters, Workload::Ttl];

/// A folder of its own for one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("orrery-blackbox-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Debian's server; without it there is nothing to test, which must not look like success.
fn redis_server() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("redis-server"));
    found
        .find(|path| path.exists())
        .expect("these tests need redis-server: apt-get install redis-server")
}

fn test(program: &Path, name: &str, faults: &[FaultKind]) -> (Target, Summary) {
    let folder = Folder::new(name);
    let target = Target::recognise(program).expect("it is a server");
    let options = Options {
        setup: Setup {
            seed: 3,
            servers: 1,
            seconds: 4,
            workloads: WORKLOADS.to_vec(),
            faults: faults.to_vec(),
            ..Setup::default()
        },
        think: Duration::from_micros(500),
        clock_error_max_ms: 5,
        directory: folder.0.clone(),
    };
    let mut calls = 0;
    let summary = run(&target, &options, &mut |_| calls += 1).expect("the machine works");
    assert!(calls > 5, "progress is told");
    for row in &summary.rows {
        let text = fs::read_to_string(&row.history).expect("the history was stored");
        let history = orrery_sim::history::read(&text, None).expect("it can be read back");
        let operations: u64 = row.operations.iter().sum();
        assert!(history.operations.len() as u64 >= operations);
    }
    (target, summary)
}

#[track_caller]
fn assert_expected_with_loss(summary: &Summary) {
    assert_eq!(summary.status(), Status::AsExpected, "{:?}", summary.problems);
    assert!(summary.operations()[0] > 1_000);
    for kind in [FaultKind::Kill, FaultKind::Pause] {
        assert!(summary.fired[kind.index()] > 0, "{kind}");
    }
    assert_eq!(summary.rows.len(), WORKLOADS.len());
}

#[test]
fn orrery_under_kill_and_pause_is_as_expected() {
    let (target, summary) = test(program::server(), "orrery", &[FaultKind::Kill, FaultKind::Pause]);
    assert_eq!(target.kind, Kind::Orrery);
    assert_expected_with_loss(&summary);
}

#[test]
fn redis_under_kill_and_pause_is_as_expected() {
    let (target, summary) = test(&redis_server(), "redis", &[FaultKind::Kill, FaultKind::Pause]);
    assert_eq!(target.kind, Kind::Redis);
    assert_expected_with_loss(&summary);
}

#[test]
fn a_server_that_forgets_is_found_out() {
    // A real redis-server whose keys somebody deletes: without a kill, nothing explains the loss.
    let folder = Folder::new("script");
    let script = folder.0.join("forgetful-server");
    let program = redis_server();
    let program = program.display();
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then exec {program} --version; fi\n\
         for word; do [ \"$before\" = --port ] && port=$word; before=$word; done\n\
         while sleep 0.2 && kill -0 $$; do redis-cli -p $port FLUSHALL; done >/dev/null 2>&1 &\n\
         exec {program} \"$@\"\n"
    );
    fs::write(&script, text).expect("a temporary file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a temporary file");
    let (_, summary) = test(&script, "forgetful", &[FaultKind::Pause]);
    assert_eq!(summary.status(), Status::Violation, "{:?}", summary.problems);
    assert!(summary.problems[0].1.contains("not linearizable"), "{:?}", summary.problems);
}

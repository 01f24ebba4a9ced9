//! Worlds in which something was found, each with what it was. They must be fine for ever; a change
//! of what worlds draw makes others of them, so each find has a test of its own elsewhere too.

use std::process::Command;

/// What was found, and the world as the command line says it.
const WORLDS: &[(&str, &str)] = &[
    (
        "the cache of the system shows what a failed sync threw away, to the next process too: \
         failed_sync.rs",
        "--seed 354588012681 --servers 2 --clients 4 --seconds 9 \
         --workload queues,bulk,transactions,saves --faults power-loss,pause,vm-freeze,clock-step,\
         clock-drift,partition-one-way,isolate-primary,reset,latency,loss,slow,disk-full,\
         sync-failure --keep always",
    ),
    (
        "the same: a queue gave a value twice",
        "--seed 354588000186 --servers 5 --clients 15 --seconds 25 \
         --workload counters,queues,saves --faults power-loss,pause,half-open,sync-failure \
         --keep always",
    ),
    (
        "half a snapshot in the place of a whole one: persistence.rs",
        "--seed 89440000509 --servers 1 --clients 7 --seconds 21 --workload saves \
         --faults kill,disk-error --keep snapshots",
    ),
    (
        "the judge: a read of nothing dropped where a copy of nothing needs it",
        "--seed 354588005721 --servers 2 --clients 16 --seconds 19 \
         --workload counters,queues,groups,bulk,caches \
         --faults clock-drift,clock-strobe,partition-halves,loss,slow",
    ),
    (
        "the judge: what one death took was expected after the next",
        "--seed 354588001899 --servers 5 --clients 6 --seconds 13 --workload saves \
         --faults kill,power-loss,pause --keep everysec",
    ),
    (
        "a server that ended over a failed sync left a value with zeros in its middle: \
         append_only_file.rs",
        "--seed 640005009 --servers 5 --clients 9 --seconds 7 \
         --workload transactions,scripts,saves \
         --faults half-open,latency,disk-error,sync-failure --keep always",
    ),
    (
        "the client: a copy was taken for fresh because the connection of the news answered: \
         copies.rs",
        "--seed 640004555 --servers 1 --clients 6 --seconds 6 \
         --workload groups,bulk,transactions,caches --faults pause,isolate,reset",
    ),
    (
        "a reset waited to the end for a client that found no server",
        "--seed 640010645 --servers 2 --clients 3 --seconds 8 \
         --workload registers,counters,ttl,queues,groups,fields,bulk,caches \
         --faults kill,power-loss,isolate,reset,loss --memory volatile-lrm:9919",
    ),
    (
        "no connection was left to be broken, and that was called a failure",
        "--seed 800092025 --servers 1 --clients 4 --seconds 5 \
         --workload registers,counters,queues,fields,bulk,caches \
         --faults kill,power-loss,vm-freeze,clock-step,clock-slew,isolate,isolate-primary,\
         half-open,reset,loss",
    ),
];

#[test]
fn worlds_in_which_something_was_found_are_fine() {
    for (what, world) in WORLDS {
        let output = Command::new(env!("CARGO_BIN_EXE_orrery-sim"))
            .arg("run")
            .args(world.split_whitespace())
            .output()
            .expect("the program was built");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{what}\n{text}");
    }
}

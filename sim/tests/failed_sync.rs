//! A log whose sync has failed in one process, and what the next one makes of it: the kernel takes
//! what it threw away for written, so that the file looks whole until its power is lost.

use orrery_engine::Config;
use orrery_sim::chance::{Chance, Stream};
use orrery_sim::disk::choice::Oldest;
use orrery_sim::disk::machine::Machine;
use orrery_sim::disk::{Disk, Pace};

fn config() -> Config {
    let mut config = Config::default();
    for (name, word) in [("appendonly", "yes"), ("appendfsync", "always")] {
        config.set(name, &[word]).expect("there is this parameter");
    }
    config
}

/// Starts a server, and cuts its log where it says that it is broken, as whoever runs it would.
fn start(disk: Disk) -> Machine {
    let name = "appendonlydir/appendonly.aof.1.incr.aof";
    Machine::start(config(), disk.clone()).unwrap_or_else(|why| {
        let (_, place) = why.split_once(" is broken at byte ").expect("it says where");
        let digits: String = place.chars().take_while(char::is_ascii_digit).collect();
        let mut disk = disk;
        assert!(disk.cut(name, digits.parse().expect("a number")), "{why}");
        Machine::start(config(), disk).expect("it is whole now")
    })
}

/// Whether what was acknowledged is there after all of it, by the seed of the disk's chances.
fn check(seed: u64) {
    let disk = Disk::new(Chance::new(seed).key(Stream::Disk, 0), Pace::default());
    let mut first = start(disk.in_order());
    assert_eq!(first.ask(&["SET", "early", "1"]), b"+OK\r\n");
    first.disk.trouble.failing_syncs = 1;
    let long = "x".repeat(700);
    let mut failed = false;
    for round in 0..64 {
        let key = format!("round {round}");
        if first.ask(&["SET", &key, &long]).is_empty() {
            failed = true;
            break;
        }
    }
    assert!(failed, "one of many syncs fails, and then nobody is told anything");
    let mut disk = first.disk;
    disk.trouble.failing_syncs = 0;
    disk.kill();

    let mut second = start(disk);
    assert_eq!(second.ask(&["SET", "late", "2"]), b"+OK\r\n");
    let mut disk = second.disk;
    disk.lose_power(&mut Oldest);

    let mut third = start(disk);
    assert_eq!(third.ask(&["MGET", "early", "late"]), b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "{seed}");
}

#[test]
fn what_an_earlier_process_could_not_sync_does_not_cost_what_a_later_one_acknowledges() {
    (1..=64).for_each(check);
}

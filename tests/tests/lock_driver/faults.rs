//! Servers that die or stand still while a lock is held, and a holder that stands still.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use orrery_lock::Lost;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::servers::{Kind, Server};
use crate::{LATE_MAX, builder, built, locks, run, with_patience};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_holder_whose_server_dies_is_told_at_the_deadline_and_locks_work_when_it_is_back() {
    for kind in Kind::all("lock_driver") {
        let mut server = Server::start(kind);
        run(async {
            let ours = locks(&server).await;
            let guard = ours.lock("stock").await.expect("it is free");
            server.kill();
            let (deadline, start) = (guard.deadline(), Instant::now());
            assert_eq!(guard.check(), Ok(()), "it is good for its time");
            let lost = guard.run(sleep(60_000 * MS)).await;
            assert_eq!(lost, Err(Lost::DeadlinePassed));
            assert!(deadline.has_passed() && start.elapsed() < 1000 * MS + LATE_MAX);
            server.restart();
            let next = ours.lock("stock").await.expect("it is connected again");
            assert_eq!(next.check(), Ok(()));
            let metrics = ours.metrics();
            assert!(metrics.connected >= 2 && metrics.disconnected >= 1 && metrics.lost == 1);
        });
    }
}

#[test]
fn a_holder_whose_server_stands_still_is_told_at_the_deadline() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let ours = built(builder(std::slice::from_ref(&server)).wait(30_000 * MS)).await;
            let guard = ours.lock("stock").await.expect("it is free");
            sleep(500 * MS).await;
            server.pause();
            let (deadline, start) = (guard.deadline(), Instant::now());
            assert_eq!(guard.lost().await, Lost::DeadlinePassed);
            assert!(deadline.has_passed(), "not before its time");
            assert!(start.elapsed() < 1000 * MS + LATE_MAX);
            assert!(guard.check().is_err());
            server.go_on();
            let next = ours.lock("stock").await.expect("it is there again");
            assert!(next.token() > guard.token());
            drop(guard);
            assert_eq!(next.run(sleep(1500 * MS)).await, Ok(()), "what came late changes nothing");
        });
    }
}

/// Not a test by itself: what `a_holder_that_stands_still...` runs as a process of its own.
#[test]
fn holder_process() {
    let Ok(address) = std::env::var("ORRERY_LOCK_HOLDER") else { return };
    run(async {
        let builder = with_patience(orrery_lock::Locks::builder()).node(address);
        let guard = built(builder.ttl(1000 * MS)).await.lock("stock").await.expect("it is free");
        println!("\nheld {}", guard.token());
        let worked = guard.run(sleep(120_000 * MS)).await;
        println!("\nended {worked:?} {:?}", guard.check());
    });
}

#[test]
fn a_holder_that_stands_still_finds_its_lock_lost_when_it_goes_on() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        let program = std::env::current_exe().expect("a test knows its own program");
        let mut holder = Command::new(program)
            .args(["--exact", "faults::holder_process", "--nocapture"])
            .env("ORRERY_LOCK_HOLDER", server.address())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process starts");
        let process = Pid::from_raw(holder.id() as i32).expect("a process id is not zero");
        let mut said = BufReader::new(holder.stdout.take().expect("it was asked for")).lines();
        let mut hear = |begins: &str| {
            let mut lines = said.by_ref().map(|line| line.expect("it is text"));
            lines.find(|line| line.starts_with(begins)).expect("it says so")
        };
        assert_eq!(hear("held"), "held 1");
        // Longer than its time to live: it is extended.
        std::thread::sleep(1500 * MS);
        run(async {
            let ours = built(builder(std::slice::from_ref(&server))).await;
            assert!(ours.try_lock("stock").await.is_err(), "it is held");
            kill_process(process, Signal::STOP).expect("it runs");
            let guard = ours.lock("stock").await.expect("its time is over");
            assert_eq!(guard.token(), 2);
            kill_process(process, Signal::CONT).expect("it is there");
            let start = Instant::now();
            assert_eq!(hear("ended"), "ended Err(DeadlinePassed) Err(DeadlinePassed)");
            assert!(start.elapsed() < LATE_MAX);
            assert_eq!(guard.run(sleep(1500 * MS)).await, Ok(()), "it takes nothing back");
        });
        holder.wait().expect("it is our child");
    }
}

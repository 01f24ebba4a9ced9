//! Five servers, of which some are not there.

use std::time::{Duration, Instant};

use orrery_lock::{LockError, Lost, Refusal, Warning, What};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use crate::servers::{PATIENCE, Server};
use crate::{LATE_MAX, builder, built, run};

const MS: Duration = Duration::from_millis(1);

fn five() -> Vec<Server> {
    Server::several(5, "lock_driver")
}

#[test]
fn two_of_five_may_be_gone_and_three_may_not() {
    let mut servers = five();
    run(async {
        let ours = built(builder(&servers).wait(300 * MS)).await;
        let mut last = 0;
        for gone in [0, 1] {
            servers[gone].kill();
            let guard = ours.lock("stock").await.expect("three or four are enough");
            assert!(guard.token() > last, "numbers grow whoever grants");
            last = guard.token();
            guard.release().await.expect("it is held");
        }
        let theirs = built(builder(&servers)).await;
        let gone = |warning: &Warning| matches!(warning, Warning::Unreachable { .. });
        assert_eq!(theirs.warnings().iter().filter(|warning| gone(warning)).count(), 2);
        servers[2].kill();
        let refused = ours.lock("stock").await.expect_err("two are no majority");
        let LockError::NotAcquired { found, .. } = &refused else { panic!("{refused}") };
        let unknown = found.iter().filter(|found| found.what == What::Unknown).count();
        assert_eq!(unknown, 3, "{refused}");
        let refusal = builder(&servers).build().await.expect_err("two are no majority");
        assert!(matches!(refusal, Refusal::Unreachable { needed: 3, .. }), "{refusal}");
        // Who was there before has the numbers; those who come back have nothing.
        servers[2].restart();
        servers[0].restart();
        let start = Instant::now();
        // They are tried again after pauses of up to two seconds.
        let guard = loop {
            match ours.lock("stock").await {
                Ok(guard) => break guard,
                Err(refused) => assert!(start.elapsed() < PATIENCE, "{refused}"),
            }
        };
        assert!(guard.token() > last, "{} after {last}", guard.token());
    });
}

#[test]
fn numbers_grow_whoever_has_the_lock() {
    let servers = five();
    run(async {
        let (ours, theirs) = (built(builder(&servers)).await, built(builder(&servers)).await);
        let mut last = 0;
        for locks in [&ours, &theirs, &ours, &ours, &theirs, &theirs, &ours] {
            let guard = locks.lock("stock").await.expect("it is free");
            assert!(guard.token() > last, "{} after {last}", guard.token());
            last = guard.token();
            guard.release().await.expect("it is held");
        }
    });
}

#[test]
fn a_server_that_stands_still_is_waited_for_once_and_is_back_by_itself() {
    let servers = five();
    run(async {
        let ours = built(builder(&servers).node_timeout(300 * MS).ttl(3000 * MS)).await;
        servers[4].pause();
        ours.lock("stock").await.expect("four are enough").release().await.expect("it is held");
        let start = Instant::now();
        for _ in 0..20 {
            let guard = ours.lock("stock").await.expect("four are enough");
            guard.release().await.expect("it is held");
        }
        assert!(start.elapsed() < LATE_MAX, "not 300 ms each: {:?}", start.elapsed());
        servers[4].go_on();
        let mut found = Vec::new();
        let guard = ours.lock("stock").await.expect("five are there");
        let begun = Instant::now();
        while begun.elapsed() < LATE_MAX {
            found = ours.look("stock").await.expect("it is a name");
            if found.iter().all(|found| matches!(found.what, What::Held(_))) {
                break;
            }
            // Where it is missing it is set by the next extension.
            sleep(50 * MS).await;
        }
        assert!(found.iter().all(|found| matches!(found.what, What::Held(_))), "{found:?}");
        guard.release().await.expect("it is held");
    });
}

#[test]
fn many_who_want_one_lock_of_five_servers_have_it_one_at_a_time() {
    let servers = five();
    run(LocalSet::new().run_until(async {
        let several = [built(builder(&servers)).await, built(builder(&servers)).await];
        let value = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
        let mut tasks = JoinSet::new();
        for worker in 0..8 {
            let (locks, value) = (several[worker % 2].clone(), std::rc::Rc::clone(&value));
            tasks.spawn_local(async move {
                for _ in 0..3 {
                    let guard = locks.lock("counter").await.expect("in time");
                    let (read, number) = value.get();
                    assert!(guard.token() > number, "{} after {number}", guard.token());
                    sleep(MS).await;
                    value.set((read + 1, guard.token()));
                    guard.release().await.expect("it was held");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no worker fails");
        }
        assert_eq!(value.get().0, 24);
    }));
}

#[test]
fn a_lock_of_five_is_kept_while_a_majority_is_there_and_lost_when_none_is() {
    let mut servers = five();
    run(async {
        let ours = built(builder(&servers)).await;
        let guard = ours.lock("stock").await.expect("it is free");
        servers[0].kill();
        servers[1].pause();
        assert_eq!(guard.run(sleep(1500 * MS)).await, Ok(()), "three extend it");
        servers[2].kill();
        let deadline = guard.deadline();
        let start = Instant::now();
        assert_eq!(guard.lost().await, Lost::DeadlinePassed);
        assert!(deadline.has_passed(), "not before its time");
        assert!(start.elapsed() < 1000 * MS + LATE_MAX);
        servers[1].go_on();
    });
}

#[test]
fn what_a_majority_has_forgotten_is_lost_though_it_would_be_granted_anew() {
    let servers = five();
    run(async {
        let ours = built(builder(&servers)).await;
        let guard = ours.lock("stock").await.expect("it is free");
        for server in &servers[..2] {
            server.line("DEL stock");
        }
        assert_eq!(guard.run(sleep(1200 * MS)).await, Ok(()), "three still have it");
        // And by now the two have it again.
        for server in &servers[2..4] {
            server.line("DEL stock");
        }
        assert_eq!(guard.run(sleep(1200 * MS)).await, Ok(()), "they had it since");
        for server in &servers[..3] {
            server.line("DEL stock");
        }
        assert_eq!(guard.lost().await, Lost::GoneFromServers);
    });
}

//! Fair locks, read-write locks and semaphores.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use orrery_lock::{LockError, Locks, PERMITS_MAX};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use crate::servers::{Kind, Server};
use crate::{LATE_MAX, builder, built, locks, run, with_patience};

const MS: Duration = Duration::from_millis(1);
const CONTENDERS: usize = 50;

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(LocalSet::new().run_until(async {
            let several = [locks(&server).await, locks(&server).await];
            let first = several[0].fair("stock").expect("one server").lock().await;
            let first = first.expect("it is free");
            let served = Rc::new(RefCell::new(Vec::new()));
            let mut tasks = JoinSet::new();
            for number in 0..10 {
                let lock = several[number % 2].fair("stock").expect("one server");
                let served = Rc::clone(&served);
                tasks.spawn_local(async move {
                    let guard = lock.lock().await.expect("its turn comes");
                    served.borrow_mut().push((number, guard.token()));
                    guard.release().await.expect("it is held");
                });
                // It has come before the next does.
                let length = format!("(integer) {}", number + 1);
                crate::until("it queues", || server.line("ZCARD {stock}:queue") == length).await;
            }
            assert!(several[0].fair("stock").expect("one server").try_lock().await.is_err());
            first.release().await.expect("it is held");
            while let Some(done) = tasks.join_next().await {
                done.expect("no waiter fails");
            }
            let expected: Vec<(usize, u64)> = (0..10).map(|it| (it, it as u64 + 2)).collect();
            assert_eq!(*served.borrow(), expected);
            assert_eq!(server.line("KEYS *"), "1) \"{stock}:fence\"", "nothing else is left");
        }));
    }
}

/// 1 if all have the same, 1/n if one has everything.
fn jain_index(shares: &[u64]) -> f64 {
    let sum: u64 = shares.iter().sum();
    let squares: u64 = shares.iter().map(|share| share * share).sum();
    (sum * sum) as f64 / (shares.len() as u64 * squares) as f64
}

/// How often each of many had the lock in some seconds.
async fn shares(several: &[Locks], seconds: u64) -> Vec<u64> {
    let had = Rc::new(RefCell::new(vec![0; CONTENDERS]));
    let is_held = Rc::new(Cell::new(false));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for number in 0..CONTENDERS {
        let lock = several[number % several.len()].fair("stock").expect("one server");
        let (had, is_held) = (Rc::clone(&had), Rc::clone(&is_held));
        tasks.spawn_local(async move {
            while Instant::now() < end {
                let guard = lock.lock().await.expect("nobody starves");
                assert!(!is_held.replace(true), "two at once");
                tokio::task::yield_now().await;
                is_held.set(false);
                had.borrow_mut()[number] += 1;
                drop(guard);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no contender fails");
    }
    had.take()
}

#[test]
fn none_of_fifty_contenders_starves() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(LocalSet::new().run_until(async {
            let mut several = Vec::new();
            for _ in 0..5 {
                several.push(locks(&server).await);
            }
            let had = shares(&several, 3).await;
            let (least, most) = (had.iter().min().copied(), had.iter().max().copied());
            let (least, most) = (least.unwrap_or_default(), most.unwrap_or_default());
            let index = jain_index(&had);
            println!("{kind:?}: {} turns, Jain index {index:.5}", had.iter().sum::<u64>());
            assert!(least > 0 && most - least <= 2, "{had:?}");
            assert!(index > 0.95, "{index}: {had:?}");
        }));
    }
}

#[test]
fn readers_share_and_writers_do_not_and_neither_waits_for_ever() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(LocalSet::new().run_until(async {
            let lock = locks(&server).await.read_write("stock").expect("one server");
            let (one, other) = (lock.read().await, lock.try_read().await);
            let (one, other) = (one.expect("it is free"), other.expect("readers share"));
            assert!(other.token() > one.token());
            assert!(lock.try_write().await.is_err());
            let order = Rc::new(RefCell::new(Vec::new()));
            let mut tasks = JoinSet::new();
            for (number, name) in ["writer", "reader", "reader", "writer"].into_iter().enumerate() {
                let (lock, order) = (lock.clone(), Rc::clone(&order));
                tasks.spawn_local(async move {
                    let guard =
                        if name == "writer" { lock.write().await } else { lock.read().await };
                    let guard = guard.expect("its turn comes");
                    order.borrow_mut().push(name);
                    sleep(20 * MS).await;
                    order.borrow_mut().push("done");
                    drop(guard);
                });
                let length = format!("(integer) {}", number + 1);
                crate::until("it queues", || server.line("ZCARD {stock}:queue") == length).await;
            }
            assert!(lock.try_read().await.is_err(), "a writer waits");
            drop((one, other));
            while let Some(done) = tasks.join_next().await {
                done.expect("no waiter fails");
            }
            let order = order.borrow().join(" ");
            assert_eq!(order, "writer done reader reader done done writer done");
        }));
    }
}

#[test]
fn a_semaphore_has_its_permits_and_no_more_and_one_size() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(LocalSet::new().run_until(async {
            let ours = built(builder(std::slice::from_ref(&server)).wait(20_000 * MS)).await;
            let inside = Rc::new(Cell::new((0, 0)));
            let mut tasks = JoinSet::new();
            for _ in 0..12 {
                let semaphore = ours.semaphore("pool", 3).expect("one server");
                let inside = Rc::clone(&inside);
                tasks.spawn_local(async move {
                    for _ in 0..3 {
                        let permit = semaphore.acquire().await.expect("its turn comes");
                        let (now, most) = inside.get();
                        inside.set((now + 1, most.max(now + 1)));
                        sleep(5 * MS).await;
                        let (now, most) = inside.get();
                        inside.set((now - 1, most));
                        permit.release().await.expect("it is held");
                    }
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.expect("no user fails");
            }
            assert_eq!(inside.get(), (0, 3));
            let pool = ours.semaphore("pool", 3).expect("one server");
            let permit = pool.try_acquire().await.expect("it is free");
            let refused = ours.semaphore("pool", 4).expect("one server").acquire().await;
            let refused = refused.expect_err("it has another size");
            assert!(matches!(refused, LockError::Foreign { .. }), "{refused}");
            assert!(refused.to_string().contains("semaphore of 3"), "{refused}");
            permit.release().await.expect("it is held");
            let other = ours.semaphore("pool", 4).expect("one server").acquire().await;
            drop(other.expect("nobody uses it"));
            for permits in [0, PERMITS_MAX + 1] {
                assert!(ours.semaphore("pool", permits).is_err());
            }
            assert!(ours.semaphore("pool", PERMITS_MAX).is_ok());
        }));
    }
}

#[test]
fn queues_need_one_server_and_say_why() {
    let servers = Server::several(3, "lock_driver");
    run(async {
        let ours = built(builder(&servers)).await;
        let refused = ours.fair("stock").expect_err("three keep no order");
        assert!(matches!(refused, LockError::NeedsOneServer(_)));
        assert!(refused.to_string().contains("S34"), "{refused}");
        assert!(ours.read_write("stock").is_err() && ours.semaphore("stock", 2).is_err());
    });
}

#[test]
fn a_holder_and_a_waiter_that_die_are_passed_over() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(LocalSet::new().run_until(async {
            let ours = locks(&server).await.fair("stock").expect("one server");
            // Those who die: their runtime ends, and nothing is given back.
            let address = server.address();
            let dead = std::thread::spawn(move || {
                run(async {
                    let builder = with_patience(Locks::builder()).node(address);
                    let theirs = built(builder.ttl(1000 * MS)).await;
                    let lock = theirs.fair("stock").expect("one server");
                    let guard = lock.lock().await.expect("it is free");
                    let waiting = lock.clone();
                    let waits = timeout(100 * MS, async move {
                        std::mem::forget(Box::pin(waiting.lock()));
                        let mut waits = Box::pin(waiting.lock());
                        let polled = timeout(50 * MS, &mut waits).await;
                        std::mem::forget(waits);
                        polled.is_err()
                    });
                    assert_eq!(waits.await, Ok(true));
                    std::mem::forget((guard, theirs, lock));
                });
            });
            dead.join().expect("it dies in order");
            assert_eq!(server.line("ZCARD {stock}:queue"), "(integer) 1");
            let start = Instant::now();
            let guard = ours.lock().await.expect("the dead are passed over");
            assert!(start.elapsed() < 10_000 * MS + LATE_MAX, "{:?}", start.elapsed());
            assert_eq!(guard.run(sleep(1500 * MS)).await, Ok(()), "it is extended");
        }));
    }
}

#[test]
fn a_turn_that_is_waited_for_survives_a_server_that_goes_away() {
    for kind in Kind::all("lock_driver") {
        let mut server = Server::start(kind);
        run(LocalSet::new().run_until(async {
            let ours = locks(&server).await;
            let lock = ours.fair("stock").expect("one server");
            let guard = lock.lock().await.expect("it is free");
            let waiting = lock.clone();
            let waits = tokio::task::spawn_local(async move { waiting.lock().await });
            crate::until("it queues", || server.line("ZCARD {stock}:queue") == "(integer) 1").await;
            server.line("CLIENT KILL TYPE normal SKIPME yes");
            server.line("CLIENT KILL TYPE pubsub SKIPME yes");
            sleep(200 * MS).await;
            assert_eq!(guard.check(), Ok(()));
            drop(guard);
            let guard = waits.await.expect("it does not fail").expect("its turn comes");
            let waiting = lock.clone();
            let waits = tokio::task::spawn_local(async move { waiting.lock().await });
            sleep(100 * MS).await;
            // A server that forgets everything grants anew; the holder is told at its deadline.
            server.kill();
            server.restart();
            let next = waits.await.expect("it does not fail").expect("its turn comes");
            assert_eq!(next.check(), Ok(()));
            drop(guard);
        }));
    }
}

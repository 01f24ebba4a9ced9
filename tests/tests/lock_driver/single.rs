//! One server, nothing goes wrong but what applications do.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use orrery_lock::{EnterError, LockError, Lost, What};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

use crate::servers::{Kind, Server};
use crate::{LATE_MAX, builder, built, locks, run, until};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_lock_is_taken_and_given_back_and_its_tokens_grow() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let (ours, theirs) = (locks(&server).await, locks(&server).await);
            assert_eq!(ours.warnings(), []);
            let guard = ours.lock("stock").await.expect("it is free");
            assert_eq!((guard.name(), guard.token()), ("stock", 1));
            assert_eq!(guard.check(), Ok(()));
            // A hundredth of the time and 2 ms are taken off.
            assert!(guard.deadline().left() <= Duration::from_millis(988));
            let refused = theirs.try_lock("stock").await;
            assert!(matches!(refused, Err(LockError::NotAcquired { .. })), "{refused:?}");
            let found = theirs.look("stock").await.expect("it is a name");
            assert!(matches!(found[0].what, What::Held(_)), "{found:?}");
            guard.release().await.expect("it was held");
            assert_eq!(server.line("EXISTS stock"), "(integer) 0");
            let next = theirs.try_lock("stock").await.expect("it is free");
            assert_eq!(next.token(), 2);
            drop(next);
            until("a dropped guard gives back", || server.line("EXISTS stock") == "(integer) 0")
                .await;
            let (our, their) = (ours.metrics(), theirs.metrics());
            assert_eq!((our.wanted, our.acquired, our.released, our.lost), (1, 1, 1, 0));
            assert_eq!((their.wanted, their.acquired, their.not_acquired), (2, 1, 1));
        });
    }
}

#[test]
fn many_who_want_one_lock_have_it_one_at_a_time() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(LocalSet::new().run_until(async {
            let several = [locks(&server).await, locks(&server).await, locks(&server).await];
            let value = Rc::new(Cell::new(0));
            let mut tasks = JoinSet::new();
            for worker in 0..30 {
                let (locks, value) = (several[worker % 3].clone(), Rc::clone(&value));
                tasks.spawn_local(async move {
                    for _ in 0..5 {
                        let guard = locks.lock("counter").await.expect("in time");
                        let read = value.get();
                        sleep(MS).await;
                        value.set(read + 1);
                        guard.release().await.expect("it was held");
                    }
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.expect("no worker fails");
            }
            assert_eq!(value.get(), 150);
        }));
    }
}

#[test]
fn a_lock_is_extended_as_long_as_it_is_held_but_no_longer_than_was_said() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let short = builder(std::slice::from_ref(&server)).ttl(400 * MS);
            let ours = built(short.clone()).await;
            let guard = ours.lock("stock").await.expect("it is free");
            let first = guard.deadline();
            let worked = guard.run(sleep(1200 * MS)).await;
            assert_eq!(worked, Ok(()));
            assert!(first < guard.deadline() && ours.metrics().extended >= 2);
            assert!(locks(&server).await.try_lock("stock").await.is_err());
            guard.release().await.expect("it is held");

            let bounded = built(short.held_at_most(600 * MS)).await;
            let guard = bounded.lock("stock").await.expect("it is free");
            let start = Instant::now();
            assert_eq!(guard.run(sleep(60_000 * MS)).await, Err(Lost::DeadlinePassed));
            assert!(start.elapsed() < 1000 * MS + LATE_MAX);
            assert_eq!(bounded.metrics().lost, 1);
            assert_eq!(guard.release().await, Err(Lost::DeadlinePassed));
        });
    }
}

/// Sets a flag when it is dropped: work that was ended.
struct Tells(Rc<Cell<bool>>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn work_ends_at_the_deadline_and_a_loss_is_final() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let short = builder(std::slice::from_ref(&server)).ttl(300 * MS).without_extension();
            let ours = built(short).await;
            let before = Instant::now();
            let guard = ours.lock("stock").await.expect("it is free");
            let is_dropped = Rc::new(Cell::new(false));
            let tells = Tells(Rc::clone(&is_dropped));
            let work = async move {
                let _tells = tells;
                sleep(60_000 * MS).await;
            };
            assert_eq!(guard.run(work).await, Err(Lost::DeadlinePassed));
            // Before the servers may give it to the next, and not before there is need.
            let passed = before.elapsed();
            assert!(is_dropped.get() && passed >= 290 * MS && passed < LATE_MAX, "{passed:?}");
            assert_eq!(guard.check(), Err(Lost::DeadlinePassed));
            assert_eq!(guard.run(async {}).await, Err(Lost::DeadlinePassed));
            assert!(guard.deadline().has_passed());
            let next = ours.lock("stock").await.expect("its time is over");
            assert!(next.token() > guard.token());
            drop(guard);
            assert_eq!(next.check(), Ok(()), "who has lost it gives nothing back");
            sleep(20 * MS).await;
            assert_eq!(server.line("EXISTS stock"), "(integer) 1");
        });
    }
}

#[test]
fn work_that_ends_late_is_told_so_though_nobody_could_end_it() {
    let server = Server::start(Kind::Orrery);
    run(async {
        let ours = built(builder(std::slice::from_ref(&server)).ttl(200 * MS)).await;
        let guard = ours.lock("stock").await.expect("it is free");
        // The whole thread sleeps: no timer runs, no future is dropped.
        let work = async { std::thread::sleep(400 * MS) };
        assert_eq!(guard.run(work).await, Err(Lost::DeadlinePassed));
        assert_eq!(guard.check(), Err(Lost::DeadlinePassed));
    });
}

#[test]
fn what_others_have_put_under_the_name_is_shown() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let ours = built(builder(std::slice::from_ref(&server)).wait(200 * MS)).await;
            server.line("SET stock mine");
            let refused = ours.lock("stock").await.expect_err("something lies there");
            let text = refused.to_string();
            assert!(text.contains("\"mine\", without a time to live"), "{text}");
            server.line("RPUSH list a b");
            let refused = ours.lock("list").await.expect_err("something lies there");
            assert!(refused.to_string().contains("no lock but a list"), "{refused}");
            assert_eq!(server.line("GET stock"), "\"mine\"", "it is left alone");
            // A counter that is none.
            server.line("SET {other}:fence x");
            let refused = ours.lock("other").await.expect_err("there is no number");
            assert!(refused.to_string().contains("not an integer"), "{refused}");
            for name in ["", "a:fence"] {
                let refused = ours.lock(name).await;
                assert!(matches!(refused, Err(LockError::Invalid(_))), "{refused:?}");
            }
        });
    }
}

#[test]
fn a_lock_that_somebody_deletes_or_overwrites_is_lost_at_the_next_extension() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let ours = locks(&server).await;
            for command in ["DEL stock", "SET stock other", "FLUSHALL"] {
                let guard = ours.lock("stock").await.expect("it is free");
                server.line(command);
                assert_eq!(guard.lost().await, Lost::GoneFromServers, "{command}");
                assert_eq!(guard.check(), Err(Lost::GoneFromServers));
                server.line("DEL stock");
            }
            let guard = ours.lock("stock").await.expect("it is free");
            server.line("DEL stock");
            server.line("RPUSH stock a");
            // Of another type: the server answers with an error, and nothing is extended.
            assert_eq!(guard.lost().await, Lost::DeadlinePassed);
        });
    }
}

#[test]
fn who_stops_waiting_leaves_nothing_behind() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let (ours, theirs) = (locks(&server).await, locks(&server).await);
            let guard = ours.lock("stock").await.expect("it is free");
            for _ in 0..20 {
                let waits = timeout(3 * MS, theirs.lock("stock")).await;
                assert!(waits.is_err(), "it is taken");
            }
            // An answer that finds nobody waiting.
            let mut asked = Box::pin(theirs.lock("other"));
            let is_asked = poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx).is_pending())).await;
            assert!(is_asked, "nobody has answered yet");
            drop(asked);
            guard.release().await.expect("it is held");
            for name in ["stock", "other"] {
                let exists = format!("EXISTS {name}");
                until("nothing is left", || server.line(&exists) == "(integer) 0").await;
            }
            until("all is counted", || theirs.metrics().not_acquired == 21).await;
            assert_eq!((theirs.metrics().wanted, theirs.metrics().acquired), (21, 0));
        });
    }
}

#[test]
fn several_locks_are_all_had_or_none() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let ours = built(builder(std::slice::from_ref(&server)).wait(200 * MS)).await;
            let theirs = ours.clone();
            let all = ours.lock_many(["b", "a", "c", "a"]).await.expect("they are free");
            let names: Vec<&str> = all.guards().iter().map(|guard| guard.name()).collect();
            assert_eq!(names, ["a", "b", "c"]);
            assert_eq!((all.token("b"), all.token("d")), (Some(1), None));
            assert!(all.check().is_ok() && !all.deadline().has_passed());
            assert!(theirs.lock_many(["0", "b", "z"]).await.is_err());
            until("nothing is left", || server.line("EXISTS 0 z") == "(integer) 0").await;
            server.line("DEL b");
            assert_eq!(all.run(sleep(60_000 * MS)).await, Err(Lost::GoneFromServers));
            assert_eq!(all.release().await, Err(Lost::GoneFromServers));
            assert_eq!(server.line("EXISTS a b c"), "(integer) 0");
            let none = ours.lock_many(Vec::<String>::new()).await;
            assert!(matches!(none, Err(LockError::Invalid(_))));
            let numbers = 0..=orrery_lock::LOCKS_MAX;
            let too_many = ours.lock_many(numbers.map(|number| number.to_string())).await;
            assert!(matches!(too_many, Err(LockError::Invalid(_))));
        });
    }
}

#[test]
fn a_lock_may_be_entered_again_through_its_handle() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let ours = built(builder(std::slice::from_ref(&server)).wait(100 * MS)).await;
            let handle = ours.reentrant("stock");
            let outer = handle.enter().await.expect("it is free");
            let inner = handle.clone().enter().await.expect("it is the same holder");
            assert_eq!((outer.token(), handle.entries().await), (inner.token(), 2));
            let refused = ours.reentrant("stock").enter().await;
            assert!(matches!(refused, Err(EnterError::Lock(_))), "{refused:?}");
            drop(outer);
            assert_eq!(inner.check(), Ok(()));
            server.line("DEL stock");
            assert_eq!(inner.lost().await, Lost::GoneFromServers);
            let refused = handle.enter().await;
            assert!(matches!(refused, Err(EnterError::Lost(_))), "{refused:?}");
            drop(inner);
            let again = handle.enter().await.expect("it was left");
            assert_eq!(again.token(), 2);
        });
    }
}

#[test]
fn scripts_that_a_server_has_forgotten_and_connections_that_it_has_closed_are_made_anew() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        run(async {
            let ours = locks(&server).await;
            for command in ["SCRIPT FLUSH", "CLIENT KILL TYPE normal SKIPME yes"] {
                for _ in 0..3 {
                    let guard = ours.lock("stock").await.expect("it is free");
                    server.line(command);
                    // What cannot be given back over a connection that is no more is free when its
                    // time is over.
                    let _ = guard.release().await;
                    until("it is free", || server.line("EXISTS stock") == "(integer) 0").await;
                }
            }
            let guard = ours.lock("stock").await.expect("it is connected again");
            assert_eq!(guard.token(), 7);
        });
    }
}

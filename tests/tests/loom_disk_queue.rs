//! The queues between the engine's thread and a thread of the disk, in every order in which the
//! threads can run.

use std::future::poll_fn;
use std::sync::Arc;

use loom::thread;

/// What the queues are made of here.
mod sync {
    pub(super) use loom::sync::{Condvar, Mutex};
}

#[path = "../../server/src/disk/queue.rs"]
mod queue;

use queue::{Answers, Orders};

#[test]
fn every_order_comes_out_once_and_in_order() {
    loom::model(|| {
        let orders = Arc::new(Orders::new());
        let taken = Arc::clone(&orders);
        let worker = thread::spawn(move || {
            let mut seen = Vec::new();
            while let Some(order) = taken.pop() {
                seen.push(order);
            }
            seen
        });
        orders.push(1);
        orders.push(2);
        orders.close();
        assert_eq!(worker.join().unwrap(), [1, 2]);
    });
}

#[test]
fn whoever_waits_for_answers_gets_all_of_them() {
    loom::model(|| {
        let answers = Arc::new(Answers::new());
        let threads = [1, 2].map(|answer| {
            let answers = Arc::clone(&answers);
            thread::spawn(move || answers.push(answer))
        });
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.extend(loom::future::block_on(poll_fn(|cx| answers.poll_take(cx))));
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn an_order_goes_through_a_worker_and_its_answer_comes_back() {
    loom::model(|| {
        let (orders, answers) = (Arc::new(Orders::new()), Arc::new(Answers::new()));
        let (taken, given) = (Arc::clone(&orders), Arc::clone(&answers));
        let worker = thread::spawn(move || {
            while let Some(order) = taken.pop() {
                given.push(order + 10);
            }
        });
        orders.push(1);
        let seen: Vec<i32> = loom::future::block_on(poll_fn(|cx| answers.poll_take(cx)));
        assert_eq!(seen, [11]);
        orders.push(2);
        orders.close();
        worker.join().unwrap();
        assert_eq!(loom::future::block_on(poll_fn(|cx| answers.poll_take(cx))), [12]);
    });
}

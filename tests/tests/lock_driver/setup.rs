//! What is refused before there is a lock, and what is warned about.

use std::time::Duration;

use orrery_lock::{Doubt, Locks, Refusal, Warning};

use crate::servers::{Kind, Server, slow_wire};
use crate::{builder, locks, run};

const MS: Duration = Duration::from_millis(1);

async fn refused(builder: orrery_lock::Builder) -> Refusal {
    builder.build().await.expect_err("it must be refused")
}

#[test]
fn one_server_does_not_count_twice_whatever_it_is_called() {
    for kind in Kind::all("lock_driver") {
        let (one, other) = (Server::start(kind), Server::start(kind));
        run(async {
            let pair = [one, other];
            let same = format!("{}/3", pair[0].address());
            let refusal = refused(builder(&pair).node(same)).await;
            assert!(matches!(refusal, Refusal::SameServer { .. }), "{refusal}");
            // Names that tell nothing: it is the server itself that does.
            let by_name = format!("redis://localhost:{}", pair[0].port());
            let refusal = refused(builder(&pair).node(by_name)).await;
            assert!(refusal.to_string().contains("are one server"), "{refusal}");
        });
    }
}

#[test]
fn numbers_that_make_no_lock_are_refused_and_even_ones_warned_about() {
    let servers = Server::several(4, "lock_driver");
    run(async {
        let refusal = refused(builder(&servers[..3]).quorum(1)).await;
        assert!(matches!(refusal, Refusal::Unsafe(Doubt::QuorumBelowMajority)), "{refusal}");
        // Half of four is no majority.
        let refusal = refused(builder(&servers).quorum(2)).await;
        assert!(matches!(refusal, Refusal::Unsafe(Doubt::QuorumBelowMajority)), "{refusal}");
        for (quorum, nodes) in [(0, 3), (4, 3)] {
            let refusal = refused(builder(&servers[..nodes]).quorum(quorum)).await;
            assert!(matches!(refusal, Refusal::Settings(_)), "{refusal}");
        }
        let even = builder(&servers).build().await.expect("it is safe");
        assert_eq!(even.warnings(), [Warning::Doubt(Doubt::EvenNodes)]);
        let more = builder(&servers[..3]).quorum(3).build().await.expect("it is safe");
        assert_eq!(more.warnings(), []);
        assert!(matches!(refused(Locks::builder()).await, Refusal::Settings(_)));
        let wrong = refused(Locks::builder().node("localhost:6379")).await;
        assert!(wrong.to_string().contains("redis://"), "{wrong}");
    });
}

#[test]
fn times_that_the_way_to_the_servers_uses_up_are_refused() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start(kind);
        let far = slow_wire(&server, 40 * MS);
        run(async {
            let refusal = refused(Locks::builder().node(&far).ttl(100 * MS)).await;
            assert!(matches!(refusal, Refusal::ShortTtl { .. }), "{refusal}");
            assert!(refusal.to_string().contains("two round trips"), "{refusal}");
            let timeout = Locks::builder().node(&far).node_timeout(50 * MS);
            let late = timeout.build().await.expect("it is safe");
            assert!(matches!(late.warnings(), [Warning::ShortTimeout { .. }]));
            // Where nothing is said, servers have the time that they need.
            let slow = Locks::builder().node(&far).ttl(2000 * MS).build().await.expect("it works");
            assert_eq!(slow.warnings(), []);
            let guard = slow.lock("far").await.expect("it is free");
            // Counted from before the request, less 22 ms for clocks that do not run alike.
            assert!(guard.deadline().left() <= Duration::from_millis(2000 - 22 - 80));
            guard.release().await.expect("it is held");
            let refusal = refused(builder(std::slice::from_ref(&server)).ttl(2 * MS)).await;
            assert!(matches!(refusal, Refusal::Settings(_)), "{refusal}");
        });
    }
}

#[test]
fn passwords_and_databases_are_used_and_what_servers_say_of_them_is_passed_on() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start_with(kind, &["--requirepass", "p@ss"]);
        let port = server.port();
        run(async {
            let with = |login: &str, database: &str| {
                let place = format!("127.0.0.1:{port}");
                Locks::builder().node(format!("redis://{login}{place}/{database}")).build()
            };
            let ours = with("default:p%40ss@", "3").await.expect("they are right");
            let guard = ours.lock("stock").await.expect("it is free");
            let elsewhere = with(":p%40ss@", "4").await.expect("they are right");
            let other = elsewhere.try_lock("stock").await.expect("another database");
            drop((guard, other));
            for (login, database, said) in
                [(":wrong@", "0", "WRONGPASS"), ("", "0", "NOAUTH"), (":p%40ss@", "99", "DB index")]
            {
                let refusal = with(login, database).await.expect_err("they are wrong");
                let text = refusal.to_string();
                assert!(text.contains(said) && !text.contains("p@ss"), "{text}");
            }
        });
    }
}

#[test]
fn servers_that_forget_locks_by_themselves_and_replicas_are_told() {
    for kind in Kind::all("lock_driver") {
        let server = Server::start_with(kind, &["--maxmemory-policy", "allkeys-lru"]);
        run(async {
            let warnings = locks(&server).await.warnings().to_vec();
            assert!(matches!(&warnings[..], [Warning::Evicts { .. }]), "{warnings:?}");
        });
    }
    if Kind::all("lock_driver").contains(&Kind::Redis) {
        let server = Server::start_with(Kind::Redis, &["--replicaof", "127.0.0.1 1"]);
        let refusal = run(refused(builder(std::slice::from_ref(&server))));
        assert!(matches!(refusal, Refusal::Replica(_)), "{refusal}");
    }
}

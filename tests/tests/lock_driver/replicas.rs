//! A server with replicas that are waited for, and numbers that name their owners.

use std::time::Duration;

use orrery_lock::{Doubt, LockError, Lost, Refusal, Warning};

use crate::servers::{Kind, Server};
use crate::{builder, built, run, until};

const PATIENCE: Duration = Duration::from_secs(1);

/// A redis-server and a replica of it that has caught up; none, with a message, where there is no
/// redis-server.
async fn pair(test: &str) -> Option<(Server, Server)> {
    if !Kind::all(test).contains(&Kind::Redis) {
        return None;
    }
    let primary = Server::start_with(Kind::Redis, &["--repl-diskless-sync-delay", "0"]);
    let port = primary.port().to_string();
    let replica = Server::start_with(Kind::Redis, &["--replicaof", "127.0.0.1", &port]);
    until("the replica is there", || primary.line("WAIT 1 100") == "(integer) 1").await;
    Some((primary, replica))
}

#[test]
fn a_lock_is_one_when_its_servers_replica_has_it() {
    run(async {
        let Some((primary, mut replica)) = pair("lock_driver replicas").await else { return };
        let servers = [primary];
        // On a busy machine a replica takes its time.
        let builder = builder(&servers).ttl(4 * PATIENCE).node_timeout(2 * PATIENCE);
        let locks = built(builder.replicas(1, PATIENCE)).await;
        assert_eq!(locks.warnings(), [Warning::Doubt(Doubt::OtherReplicas)]);
        let [primary] = &servers;
        let guard = locks.lock("stock").await.expect("the replica has it");
        let here = primary.line("GET stock");
        assert_eq!(replica.line("GET stock"), here, "the key is there by then");
        let turn =
            locks.fair("turns").expect("one server").lock().await.expect("the replica has it");
        assert_eq!(replica.line("EXISTS {turns}:holders"), "(integer) 1");
        turn.release().await.expect("it was held");

        replica.kill();
        assert_eq!(guard.lost().await, Lost::DeadlinePassed, "no extension counts any more");
        let refused = locks.try_lock("other").await;
        assert!(matches!(refused, Err(LockError::NotAcquired { .. })), "{refused:?}");
        until("what was not granted is given back", || {
            primary.line("EXISTS other stock") == "(integer) 0"
        })
        .await;
    });
}

#[test]
fn replicas_are_waited_for_no_longer_than_their_server() {
    run(async {
        let server = [Server::start(Kind::Orrery)];
        let too_long = builder(&server).replicas(1, Duration::from_millis(251)).build().await;
        assert!(matches!(too_long, Err(Refusal::Settings(_))), "{too_long:?}");
        let for_ever = builder(&server).replicas(1, Duration::ZERO).build().await;
        assert!(matches!(for_ever, Err(Refusal::Settings(_))), "{for_ever:?}");
        let nobody = built(builder(&server).replicas(0, Duration::ZERO)).await;
        assert_eq!(nobody.warnings(), [Warning::Doubt(Doubt::Failover)]);
        nobody.lock("stock").await.expect("nobody is waited for").release().await.expect("held");
    });
}

#[test]
fn equal_numbers_of_a_server_that_forgot_are_told_apart_by_their_owners() {
    run(async {
        let (server, store) = ([Server::start(Kind::Orrery)], Server::start(Kind::Orrery));
        let (ours, theirs) = (built(builder(&server)).await, built(builder(&server)).await);
        let first = ours.lock("stock").await.expect("it is free");
        assert_eq!(server[0].line("FLUSHALL"), "OK");
        let second = theirs.lock("stock").await.expect("it is forgotten");
        assert_eq!((first.token(), second.token()), (1, 1), "the counter is forgotten, too");
        let write = |fence: String| store.line(&format!("FENCE stock {fence} SET value 1"));
        assert_eq!(write(first.fence()), "OK");
        assert_eq!(write(first.fence()), "OK", "it is still the same");
        let refused = write(second.fence());
        assert_eq!(refused, "(error) FENCED token 1 is another owner's");
    });
}

//! Servers that tell that a lock is gone, so that its holder need not wait for the next extension.

use std::time::{Duration, Instant};

use orrery_lock::{Guard, Locks, Lost, Refusal};
use tokio::time::{sleep, timeout};

use crate::servers::{Kind, PATIENCE, Server};
use crate::{built, run, until, with_patience};

/// The next extension is so far away that it explains nothing.
const TTL: Duration = Duration::from_secs(120);

async fn hearing(servers: &[Server]) -> Locks {
    let builder = with_patience(Locks::builder()).ttl(TTL).hears_of_losses();
    let locks = built(servers.iter().fold(builder, |it, server| it.node(server.address()))).await;
    for server in servers {
        tracked(server).await;
    }
    locks
}

/// Waits until a server follows what one client reads.
async fn tracked(server: &Server) {
    until("somebody listens", || server.line("INFO clients").contains("tracking_clients:1")).await;
}

async fn held(locks: &Locks, name: &str) -> Guard {
    locks.lock(name).await.expect("it is free")
}

#[track_caller]
fn line(server: &Server, line: &str, expected: &str) {
    assert_eq!(server.line(line), expected);
}

#[test]
fn a_holder_is_told_when_its_key_is_deleted_changed_or_flushed() {
    for kind in Kind::all("lock_driver") {
        let servers = [Server::start(kind)];
        run(async {
            let locks = hearing(&servers).await;
            for (command, reply) in
                [("DEL stock", "(integer) 1"), ("SET stock other", "OK"), ("FLUSHALL", "OK")]
            {
                let (guard, other) = (held(&locks, "stock").await, held(&locks, "other").await);
                line(&servers[0], command, reply);
                let lost = timeout(PATIENCE, guard.lost()).await.expect("it is told");
                assert_eq!(lost, Lost::GoneFromServers, "{command}");
                if command == "FLUSHALL" {
                    timeout(PATIENCE, other.lost()).await.expect("it is told as well");
                } else {
                    assert_eq!(other.check(), Ok(()), "{command}");
                    other.release().await.expect("it is held");
                }
                servers[0].line("DEL stock");
            }
            // What somebody else makes shorter is made longer again.
            let guard = held(&locks, "stock").await;
            line(&servers[0], "PEXPIRE stock 10000", "(integer) 1");
            let left = || servers[0].line("PTTL stock");
            let left_ms = || left().strip_prefix("(integer) ").and_then(|ms| ms.parse().ok());
            until("it is extended", || left_ms().is_some_and(|ms: u64| ms > 20_000)).await;
            guard.release().await.expect("it is held");
        });
    }
}

#[test]
fn what_most_servers_still_have_is_not_lost() {
    let servers = Server::several(3, "lock_driver");
    run(async {
        let locks = hearing(&servers).await;
        let guard = held(&locks, "stock").await;
        line(&servers[0], "DEL stock", "(integer) 1");
        // It is extended, and the key is set again where it is gone.
        until("it is repaired", || servers[0].line("EXISTS stock") == "(integer) 1").await;
        assert_eq!(guard.check(), Ok(()));
        for server in &servers[1..] {
            server.line("DEL stock");
        }
        // An eighth of the usual time after the one before, but not a third of the time to live.
        let lost = timeout(TTL / 4, guard.lost()).await.expect("it is told");
        assert_eq!(lost, Lost::GoneFromServers);
    });
}

#[test]
fn a_connection_for_news_that_breaks_is_made_again_and_what_was_missed_is_looked_for() {
    for kind in Kind::all("lock_driver") {
        let servers = [Server::start(kind)];
        run(async {
            let locks = hearing(&servers).await;
            let guard = held(&locks, "stock").await;
            line(&servers[0], "CLIENT KILL TYPE pubsub", "(integer) 1");
            line(&servers[0], "DEL stock", "(integer) 1");
            timeout(PATIENCE, guard.lost()).await.expect("it is looked for");
            let again = held(&locks, "stock").await;
            line(&servers[0], "DEL stock", "(integer) 1");
            timeout(PATIENCE, again.lost()).await.expect("it is told");
        });
    }
}

#[test]
fn news_without_extensions_would_help_nobody_and_are_refused() {
    run(async {
        let server = Server::start(Kind::Orrery);
        let builder = Locks::builder().node(server.address()).hears_of_losses();
        let refused = builder.without_extension().build().await;
        assert!(matches!(refused, Err(Refusal::Settings(_))), "{refused:?}");
    });
}

#[test]
fn false_news_make_few_extensions() {
    for kind in Kind::all("lock_driver") {
        // The server forgets what was read as soon as something else is, and tells of a change.
        let servers = [Server::start_with(kind, &["--tracking-table-max-keys", "1"])];
        run(async {
            let builder = with_patience(Locks::builder()).ttl(Duration::from_secs(3));
            let locks = built(builder.hears_of_losses().node(servers[0].address())).await;
            tracked(&servers[0]).await;
            let guards = [held(&locks, "one").await, held(&locks, "two").await];
            let start = Instant::now();
            sleep(Duration::from_secs(4)).await;
            assert!(guards.iter().all(|guard| guard.check().is_ok()));
            let metrics = locks.metrics();
            assert!(metrics.suspected > 0, "{metrics:?}");
            // At most one each eighth of a second for each of the two.
            let most = 2 * 8 * (2 + start.elapsed().as_secs());
            assert!(metrics.extended <= most, "{metrics:?}");
        });
    }
}

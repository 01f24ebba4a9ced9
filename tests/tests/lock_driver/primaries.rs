//! A server that is whoever is primary now: replicas that take over, by hand and by a sentinel, and
//! what a takeover costs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use orrery_lock::{Builder, Found, Locks, Refusal, Warning};
use tokio::time::sleep;

use crate::servers::{Kind, PATIENCE, Server, free_port, slow_wire};
use crate::{LATE_MAX, built, run, until, with_patience};

const MS: Duration = Duration::from_millis(1);

/// Whether there is a redis-server, which can copy from another.
fn is_redis_there() -> bool {
    Kind::all("lock_driver").contains(&Kind::Redis)
}

fn redis() -> Server {
    // Otherwise a replica waits five seconds for others that want to copy, too.
    Server::start_with(Kind::Redis, &["--repl-diskless-sync-delay", "0"])
}

/// Makes one copy from the other, and waits until it does.
fn follow(replica: &Server, primary: &Server) {
    let said = replica.line(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    assert_eq!(said, "OK");
    let start = Instant::now();
    while !replica.line("INFO replication").contains("master_link_status:up") {
        assert!(start.elapsed() < PATIENCE, "it does not follow");
        std::thread::sleep(10 * MS);
    }
}

/// A primary and its replica.
fn pair() -> [Server; 2] {
    let pair = [redis(), redis()];
    follow(&pair[1], &pair[0]);
    pair
}

/// Waits until a replica has what its primary has.
fn catch_up(replica: &Server, key: &str, value: &str) {
    let start = Instant::now();
    while replica.line(&format!("GET {key}")) != format!("\"{value}\"") {
        assert!(start.elapsed() < PATIENCE, "it does not copy");
        std::thread::sleep(5 * MS);
    }
}

fn among(addresses: &[String]) -> Builder {
    with_patience(Locks::builder()).ttl(1000 * MS).primary_among(addresses)
}

fn addresses(servers: &[Server]) -> Vec<String> {
    servers.iter().map(Server::address).collect()
}

fn is_at(found: &[Found], server: &Server) -> bool {
    found[0].server.starts_with(&format!("127.0.0.1:{}", server.port()))
}

#[test]
fn the_primary_is_found_in_whatever_order_they_are_named() {
    if !is_redis_there() {
        return;
    }
    for primary in Kind::all("lock_driver") {
        let primary = Server::start(primary);
        // It follows nobody who is there.
        let replica = Server::start_with(Kind::Redis, &["--replicaof", "127.0.0.1 1"]);
        let gone = format!("redis://127.0.0.1:{}", free_port());
        let named = [replica.address(), gone, primary.address()];
        run(async {
            for turn in 0..3 {
                let mut named = named.clone();
                named.rotate_left(turn);
                let ours = built(among(&named)).await;
                let [Warning::Failover { servers }] = ours.warnings() else {
                    panic!("it is warned of: {:?}", ours.warnings());
                };
                assert!(named.iter().all(|it| servers.contains(&it["redis://".len()..])));
                let guard = ours.lock("stock").await.expect("it is free");
                assert_eq!(primary.line("EXISTS stock"), "(integer) 1");
                assert!(is_at(&ours.look("stock").await.expect("it is a name"), &primary));
                guard.release().await.expect("it is held");
            }
        });
    }
}

#[test]
fn replicas_alone_are_refused_by_their_names() {
    if !is_redis_there() {
        return;
    }
    let alone = ["--replicaof", "127.0.0.1 1"];
    let replicas =
        [Server::start_with(Kind::Redis, &alone), Server::start_with(Kind::Redis, &alone)];
    run(async {
        let refusal = among(&addresses(&replicas)).build().await.expect_err("there is no primary");
        assert!(matches!(refusal, Refusal::Unreachable { needed: 1, .. }), "{refusal:?}");
        for replica in &replicas {
            let why = format!("127.0.0.1:{}: it is a replica", replica.port());
            assert!(refusal.to_string().contains(&why), "{refusal}");
        }
        // One server in two groups would vote twice.
        let twice = among(&addresses(&replicas)).node(replicas[1].address()).build().await;
        let twice = twice.expect_err("it is there twice");
        assert!(matches!(twice, Refusal::SameServer { .. }), "{twice}");
        let wrong = among(&[]).build().await.expect_err("there is none");
        assert!(matches!(wrong, Refusal::Address(_)), "{wrong}");
    });
}

#[test]
fn one_that_hangs_keeps_nobody_from_the_primary() {
    if !is_redis_there() {
        return;
    }
    let [primary, replica] = pair();
    replica.pause();
    run(async {
        let start = Instant::now();
        let named = [replica.address(), primary.address()];
        let ours = built(among(&named).connect_timeout(2 * PATIENCE)).await;
        assert!(start.elapsed() < PATIENCE, "it was not waited for");
        ours.lock("stock").await.expect("it is free").release().await.expect("it is held");
    });
    replica.go_on();
}

#[test]
fn of_two_primaries_the_one_with_replicas_is_used() {
    if !is_redis_there() {
        return;
    }
    let [alone, followed, replica] = [redis(), redis(), redis()];
    follow(&replica, &followed);
    let start = Instant::now();
    while !followed.line("INFO replication").contains("connected_slaves:1") {
        assert!(start.elapsed() < PATIENCE, "it has no replica");
        std::thread::sleep(10 * MS);
    }
    run(async {
        for named in [[&alone, &followed], [&followed, &alone]] {
            let ours = built(among(&named.map(Server::address))).await;
            let guard = ours.lock("stock").await.expect("it is free");
            assert!(is_at(&ours.look("stock").await.expect("it is a name"), &followed));
            guard.release().await.expect("it is held");
        }
    });
}

#[test]
fn a_replica_that_takes_over_is_followed_by_locks_and_by_queues() {
    if !is_redis_there() {
        return;
    }
    let [mut primary, replica] = pair();
    run(async {
        let named = [replica.address(), primary.address()];
        let [ours, theirs] = [built(among(&named)).await, built(among(&named)).await];
        let fair = ours.fair("queue").expect("one server");
        fair.lock().await.expect("it is free").release().await.expect("it is held");
        let guard = ours.lock("stock").await.expect("it is free");
        let token = guard.token();
        catch_up(&replica, "{stock}:fence", &token.to_string());
        primary.kill();
        drop(guard);
        until("the end is seen", || ours.metrics().disconnected > 0).await;
        assert_eq!(replica.line("REPLICAOF NO ONE"), "OK");
        let start = Instant::now();
        // Its time must be over on the server that took over.
        let next = ours.lock("stock").await.expect("there is a primary again");
        assert!(start.elapsed() < 3000 * MS + LATE_MAX);
        assert!(next.token() > token, "the count was copied");
        assert!(is_at(&ours.look("stock").await.expect("it is a name"), &replica));
        // Waiters are woken there, too: a turn comes sooner than they ask again.
        let woken = ours.metrics().woken;
        let first = theirs.fair("queue").expect("one server").lock().await.expect("it is free");
        let waiter = tokio::spawn(async move { fair.lock().await.map(|guard| guard.token()) });
        let is_queued = || replica.line("ZCARD {queue}:queue") == "(integer) 1";
        until("it waits", is_queued).await;
        first.release().await.expect("it is held");
        waiter.await.expect("it does not fail").expect("its turn comes");
        assert!(ours.metrics().woken > woken, "it was told, at the new place");
    });
}

#[test]
fn a_primary_that_was_made_a_replica_is_given_up_when_it_says_so() {
    if !is_redis_there() {
        return;
    }
    let [old, new] = pair();
    run(async {
        let ours = built(among(&[old.address(), new.address()])).await;
        ours.lock("stock").await.expect("it is free").release().await.expect("it is held");
        assert_eq!(new.line("REPLICAOF NO ONE"), "OK");
        follow(&old, &new);
        assert_eq!(ours.metrics().disconnected, 0, "nobody has told it");
        let guard = ours.lock("stock").await.expect("the other is found");
        let metrics = ours.metrics();
        assert!(metrics.failed >= 1 && metrics.disconnected >= 1, "{metrics:?}");
        assert_eq!(new.line("EXISTS stock"), "(integer) 1");
        assert!(is_at(&ours.look("stock").await.expect("it is a name"), &new));
        guard.release().await.expect("it is held");
        // A single server that became a replica is none any more.
        let fixed = built(with_patience(Locks::builder()).node(new.address())).await;
        assert_eq!(old.line("REPLICAOF NO ONE"), "OK");
        follow(&new, &old);
        fixed.try_lock("stock").await.expect_err("it is a replica");
        until("it is given up", || fixed.metrics().disconnected > 0).await;
    });
}

#[test]
fn a_primary_that_is_farther_away_has_more_time_to_answer() {
    if !is_redis_there() {
        return;
    }
    let [mut near, far] = pair();
    let wire = slow_wire(&far, 80 * MS);
    run(async {
        let named = [near.address(), wire];
        let builder = Locks::builder().ttl(4000 * MS).primary_among(named);
        let ours = built(builder).await;
        ours.lock("stock").await.expect("it is free").release().await.expect("it is held");
        near.kill();
        until("the end is seen", || ours.metrics().disconnected > 0).await;
        assert_eq!(far.line("REPLICAOF NO ONE"), "OK");
        // 80 ms, a fiftieth of the time to live, would never do: the way alone takes 160 ms.
        let guard = ours.lock("stock").await.expect("it is waited for");
        assert_eq!(ours.metrics().connected, 2);
        guard.release().await.expect("it is held");
    });
}

/// A real sentinel; killed when dropped.
struct Sentinel {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Sentinel {
    fn start(primary: &Server) -> Self {
        let port = free_port();
        let name = format!("orrery-lock-sentinel-{}-{port}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).expect("the folder for temporary files is writable");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 4000\n",
            primary.port()
        );
        let file = folder.join("sentinel.conf");
        fs::write(&file, settings).expect("a temporary file");
        let child = Command::new("redis-server")
            .arg(&file)
            .args(["--sentinel", "--dir"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the sentinel starts");
        Self { child, port, folder }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn the_primary_that_sentinels_name_is_followed() {
    if !is_redis_there() {
        return;
    }
    let [mut primary, replica] = pair();
    let sentinel = Sentinel::start(&primary);
    run(async {
        let gone = format!("redis://127.0.0.1:{}", free_port());
        let named = [gone.clone(), format!("redis://127.0.0.1:{}", sentinel.port)];
        let of = |name: &str| {
            let builder = with_patience(Locks::builder()).ttl(1000 * MS).wait(PATIENCE);
            builder.sentinels(name, &named)
        };
        let start = Instant::now();
        let ours = loop {
            match of("redis://shop/2").build().await {
                Ok(ours) => break ours,
                // The sentinel has just been started.
                Err(refusal) => assert!(start.elapsed() < PATIENCE, "{refusal}"),
            }
            sleep(50 * MS).await;
        };
        assert!(matches!(ours.warnings(), [Warning::Failover { .. }]));
        let unknown = of("shed").build().await.expect_err("nobody knows it").to_string();
        assert!(unknown.contains("it knows no primary of this name"), "{unknown}");
        let guard = ours.lock("stock").await.expect("it is free");
        assert!(is_at(&ours.look("stock").await.expect("it is a name"), &primary));
        assert!(primary.line("INFO keyspace").contains("db2:"), "it is the database that was said");
        guard.release().await.expect("it is held");
        // It must have heard of the replica before it can choose it.
        let heard = || {
            let said = sentinel_line(&sentinel, "SENTINEL REPLICAS shop");
            said.contains(&replica.port().to_string())
        };
        until("the sentinel knows the replica", heard).await;
        primary.kill();
        let next = ours.lock("stock").await.expect("the sentinel has chosen another");
        assert!(is_at(&ours.look("stock").await.expect("it is a name"), &replica));
        next.release().await.expect("it is held");
    });
}

/// Somebody who answers everything as a sentinel that names this port.
fn names(port: &Arc<AtomicU16>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = format!("redis://{}", listener.local_addr().expect("it is bound"));
    let port = Arc::clone(port);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 1024];
            // A ping first, and then the question.
            while let Ok(len @ 1..) = stream.read(&mut bytes) {
                let port = port.load(Ordering::Relaxed).to_string();
                let is_ping = bytes[..len].ends_with(b"PING\r\n");
                let named = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
                let said = if is_ping { "+PONG\r\n" } else { &named };
                if stream.write_all(said.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    address
}

#[test]
fn a_primary_that_answers_and_is_named_no_more_is_left() {
    for kind in Kind::all("lock_driver") {
        let (first, second) = (Server::start(kind), Server::start(kind));
        let named = Arc::new(AtomicU16::new(first.port()));
        run(async {
            let builder = with_patience(Locks::builder()).sentinels("shop", [names(&named)]);
            let ours = built(builder).await;
            let guard = ours.lock("stock").await.expect("it is free");
            assert_eq!(first.line("EXISTS stock"), "(integer) 1");
            named.store(second.port(), Ordering::Relaxed);
            let start = Instant::now();
            while !is_at(&ours.look("stock").await.expect("it is a name"), &second) {
                assert!(start.elapsed() < PATIENCE, "the other is not found");
                sleep(10 * MS).await;
            }
            drop(guard);
            let next = ours.lock("stock").await.expect("nobody has it there");
            assert_eq!(second.line("EXISTS stock"), "(integer) 1");
            next.release().await.expect("it is held");
            // One that is no primary is not gone to, whoever names it.
            named.store(free_port(), Ordering::Relaxed);
            sleep(Duration::from_secs(4)).await;
            let there = ours.lock("stock").await.expect("the last one still answers");
            assert_eq!(second.line("EXISTS stock"), "(integer) 1");
            there.release().await.expect("it is held");
        });
    }
}

fn sentinel_line(sentinel: &Sentinel, line: &str) -> String {
    crate::servers::line_to(sentinel.port, line)
}

/// What `Warning::Failover` says, shown. It is no fault of the client: nobody can know.
#[test]
fn a_takeover_that_lost_the_lock_grants_it_twice_with_one_token() {
    if !is_redis_there() {
        return;
    }
    let [mut primary, replica] = pair();
    run(async {
        let named = [primary.address(), replica.address()];
        let builder = || among(&named).ttl(20_000 * MS);
        let [a, b] = [built(builder()).await, built(builder()).await];
        let earlier = a.lock("stock").await.expect("it is free");
        earlier.release().await.expect("it is held");
        catch_up(&replica, "{stock}:fence", "1");
        // The replica is cut off: what the primary does from here on it never hears.
        assert_eq!(replica.line("REPLICAOF 127.0.0.1 1"), "OK");
        let held_by_a = a.lock("stock").await.expect("it is free");
        primary.kill();
        assert_eq!(replica.line("REPLICAOF NO ONE"), "OK");
        let held_by_b = b.lock("stock").await.expect("nobody there knows that it is taken");
        assert_eq!(held_by_a.check(), Ok(()), "A believes that it has it");
        assert_eq!(held_by_b.check(), Ok(()), "and so does B");
        assert_eq!((held_by_a.token(), held_by_b.token()), (2, 2), "no store can tell them apart");
        let [warning @ Warning::Failover { .. }] = a.warnings() else { panic!("it was not said") };
        let said = warning.to_string();
        assert!(said.contains("granted twice at once"), "{said}");
        assert!(said.contains("both holders may have the same token"), "{said}");
    });
}

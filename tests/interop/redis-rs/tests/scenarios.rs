//! What applications do with redis-rs: a connection manager that outlives its connections and the
//! server, transactions, scripts, messages, streams; in RESP2 and RESP3.

use std::collections::HashMap;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Client, Commands, RedisResult, Script, TypedCommands};
use tokio::runtime::Builder;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one pipeline gives.
type Replies = (HashMap<String, u8>, f64, Vec<(String, f64)>, bool);

/// A running server; killed when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let probe = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let port = probe.local_addr().expect("it is bound").port();
        drop(probe);
        Self { child: spawn(port), port }
    }

    /// Ends the server and starts another in its place, without its data.
    fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.port);
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }

    fn client(&self, protocol: &str) -> Client {
        let url = format!("redis://127.0.0.1:{}/0?protocol={protocol}", self.port);
        Client::open(url).expect("a good address")
    }

    async fn manager(&self, protocol: &str) -> ConnectionManager {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        let client = self.client(protocol);
        ConnectionManager::new_with_config(client, config).await.expect("the server listens")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(port: u16) -> Child {
    let program = std::env::var_os("ORRERY_SERVER")
        .map_or_else(|| PathBuf::from("../../../target/release/orrery-server"), PathBuf::from);
    let mut child = Command::new(program)
        .args(["--port", &port.to_string(), "--save", ""])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let log = BufReader::new(child.stdout.take().expect("it was asked for"));
    let mut lines = log.lines().map(|line| line.expect("the log is text"));
    assert!(lines.any(|line| line.contains("Ready to accept connections")), "it does not start");
    // Whoever writes a log wants it read.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn run<T>(scenario: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bounded = async { tokio::time::timeout(3 * PATIENCE, scenario).await };
    runtime.block_on(bounded).expect("the scenario ends")
}

/// Tries until it succeeds.
async fn insist<T, F: Future<Output = RedisResult<T>>>(mut attempt: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(why) => assert!(start.elapsed() < PATIENCE, "it never succeeds: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_manager_outlives_its_connections_and_the_server() {
    let mut server = Server::start();
    run(async {
        for protocol in ["resp2", "resp3"] {
            let mut manager = server.manager(protocol).await;
            let () = AsyncCommands::set(&mut manager, "k", 1).await.unwrap();
            let id: u64 = redis::cmd("CLIENT").arg("ID").query_async(&mut manager).await.unwrap();
            let mut other = server.client(protocol).get_connection().unwrap();
            let killed: u64 =
                redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query(&mut other).unwrap();
            assert_eq!(killed, 1);
            let value: u64 = insist(|| {
                let mut manager = manager.clone();
                async move { AsyncCommands::get(&mut manager, "k").await }
            })
            .await;
            assert_eq!(value, 1);
            server.restart();
            let value: Option<u64> = insist(|| {
                let mut manager = manager.clone();
                async move { AsyncCommands::get(&mut manager, "k").await }
            })
            .await;
            assert_eq!(value, None, "it is another server");
        }
    });
}

#[test]
fn clones_of_a_manager_share_one_connection_without_mixing_replies() {
    let server = Server::start();
    run(async {
        let manager = server.manager("resp3").await;
        let tasks = (0..50u64).map(|task| {
            let mut manager = manager.clone();
            async move {
                for round in 0..40 {
                    let key = format!("{task}:{round}");
                    let () = AsyncCommands::set(&mut manager, &key, task * 1000 + round).await?;
                    let value: u64 = AsyncCommands::get(&mut manager, &key).await?;
                    assert_eq!(value, task * 1000 + round);
                }
                RedisResult::Ok(())
            }
        });
        let mut all = tokio::task::JoinSet::new();
        for task in tasks {
            all.spawn(task);
        }
        while let Some(done) = all.join_next().await {
            done.expect("no panic").expect("no error");
        }
        let mut manager = manager.clone();
        let size: u64 = redis::cmd("DBSIZE").query_async(&mut manager).await.unwrap();
        assert_eq!(size, 2000);
    });
}

#[test]
fn optimistic_transactions_count_exactly() {
    let server = Server::start();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let client = server.client("resp2");
            std::thread::spawn(move || {
                let mut connection = client.get_connection().unwrap();
                for _ in 0..50 {
                    let key = "counter";
                    let (next,): (u64,) =
                        redis::transaction(&mut connection, &[key], |connection, pipe| {
                            let value: Option<u64> = Commands::get(connection, key)?;
                            pipe.set(key, value.unwrap_or(0) + 1).ignore();
                            pipe.get(key).query(connection)
                        })
                        .unwrap();
                    assert!(next > 0);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no thread fails"));
    let mut connection = server.client("resp2").get_connection().unwrap();
    assert_eq!(TypedCommands::get(&mut connection, "counter").unwrap().as_deref(), Some("200"));
}

#[test]
fn pipelines_and_typed_replies_in_both_protocols() {
    let server = Server::start();
    for protocol in ["resp2", "resp3"] {
        let mut connection = server.client(protocol).get_connection().unwrap();
        let (all, score, members, flag): Replies = redis::pipe()
            .atomic()
            .cmd("FLUSHALL")
            .ignore()
            .hset_multiple("h", &[("a", 1), ("b", 2)])
            .ignore()
            .zadd_multiple("z", &[(1.5, "x"), (f64::INFINITY, "y")])
            .ignore()
            .hgetall("h")
            .zscore("z", "y")
            .zrange_withscores("z", 0, -1)
            .hexists("h", "a")
            .query(&mut connection)
            .unwrap();
        assert_eq!(all, HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
        assert_eq!((score, flag), (f64::INFINITY, true));
        assert_eq!(members, [("x".to_owned(), 1.5), ("y".to_owned(), f64::INFINITY)]);
        let wrong: RedisResult<u64> = Commands::incr(&mut connection, "h", 1);
        assert_eq!(wrong.unwrap_err().code(), Some("WRONGTYPE"));
        let mut found: Vec<String> = Commands::scan_match::<_, String>(&mut connection, "*")
            .unwrap()
            .map(Result::unwrap)
            .collect();
        found.sort();
        assert_eq!(found, ["h", "z"]);
    }
}

#[test]
fn a_script_is_loaded_again_when_the_server_has_forgotten_it() {
    let mut server = Server::start();
    let take = Script::new(
        "local left = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
         if left == 0 then return {err = 'EMPTY nothing is left'} end
         redis.call('SET', KEYS[1], left - 1)
         return left - 1",
    );
    run(async {
        let mut manager = server.manager("resp3").await;
        let mut invocation = take.key("stock");
        invocation.arg(2);
        let left: u64 = invocation.invoke_async(&mut manager).await.unwrap();
        assert_eq!(left, 1);
        let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut manager).await.unwrap();
        let left: u64 = invocation.invoke_async(&mut manager).await.unwrap();
        assert_eq!(left, 0);
        let empty: RedisResult<u64> = invocation.invoke_async(&mut manager).await;
        assert_eq!(empty.unwrap_err().code(), Some("EMPTY"));
        server.restart();
        let left: u64 = insist(|| {
            let mut manager = manager.clone();
            let mut invocation = take.key("stock");
            invocation.arg(8);
            async move { invocation.invoke_async(&mut manager).await }
        })
        .await;
        // An attempt may have been made whose answer was lost, but the manager makes no second.
        assert_eq!(left, 7);
    });
}

#[test]
fn messages_arrive_in_their_order() {
    let server = Server::start();
    for protocol in ["resp2", "resp3"] {
        let mut subscriber = server.client(protocol).get_connection().unwrap();
        let mut subscriber = subscriber.as_pubsub();
        subscriber.set_read_timeout(Some(PATIENCE)).unwrap();
        subscriber.subscribe("news").unwrap();
        subscriber.psubscribe("n*").unwrap();
        let mut publisher = server.client(protocol).get_connection().unwrap();
        for number in 0..100u32 {
            let receivers: u32 = Commands::publish(&mut publisher, "news", number).unwrap();
            assert_eq!(receivers, 2);
        }
        let (mut by_name, mut by_pattern) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let message = subscriber.get_message().unwrap();
            assert_eq!(message.get_channel_name(), "news");
            let number: u32 = message.get_payload().unwrap();
            if message.from_pattern() { by_pattern.push(number) } else { by_name.push(number) }
        }
        let all: Vec<u32> = (0..100).collect();
        assert_eq!((&by_name, &by_pattern), (&all, &all));
        subscriber.unsubscribe("news").unwrap();
        subscriber.punsubscribe("n*").unwrap();
    }
}

#[test]
fn a_group_reads_a_stream() {
    let server = Server::start();
    for protocol in ["resp2", "resp3"] {
        let mut connection = server.client(protocol).get_connection().unwrap();
        let () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
        let () = Commands::xgroup_create_mkstream(&mut connection, "jobs", "group", "0").unwrap();
        for number in 0..10 {
            let id: String =
                Commands::xadd(&mut connection, "jobs", "*", &[("n", number)]).unwrap();
            assert!(id.contains('-'));
        }
        let options = StreamReadOptions::default().group("group", "me").count(7).block(100);
        let mut seen = Vec::new();
        loop {
            let read: Option<StreamReadReply> =
                Commands::xread_options(&mut connection, &["jobs"], &[">"], &options).unwrap();
            let Some(stream) = read.and_then(|read| read.keys.into_iter().next()) else { break };
            for entry in stream.ids {
                seen.push(entry.get::<u32>("n").expect("it was added"));
                let done: u32 =
                    Commands::xack(&mut connection, "jobs", "group", &[entry.id]).unwrap();
                assert_eq!(done, 1);
            }
        }
        assert_eq!(seen, (0..10).collect::<Vec<u32>>());
    }
}

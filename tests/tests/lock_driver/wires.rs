//! Locks over what is no plain TCP: everything that a client does with one server works the same.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use orrery_lock::{Builder, LockError, Locks, Refusal};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::servers::{Kind, Server};
use crate::{LATE_MAX, built, run, until, with_patience};

const MS: Duration = Duration::from_millis(1);
/// A socket's path has no more bytes than this.
const PATH_BYTES_MAX: usize = 107;
/// More locks at once than one write to a socket takes.
const CROWD: usize = 2000;

/// The path of a socket, as long as one can be; removed when dropped.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new(kind: Kind) -> Self {
        let folder = std::env::temp_dir();
        let name = format!("orrery-lock-{kind:?}-{}-", std::process::id());
        let missing = PATH_BYTES_MAX - folder.as_os_str().len() - 1 - name.len();
        Self(folder.join(name + &"s".repeat(missing)))
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("it is text")
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[test]
fn a_unix_socket_is_as_good_as_a_port() {
    for kind in Kind::all("lock_driver") {
        let path = SocketPath::new(kind);
        let arguments = ["--unixsocket", path.text(), "--requirepass", "p/ss"];
        let mut server = Server::start_with(kind, &arguments);
        run(async {
            let to = |scheme: &str, login: &str, more: &str| {
                Locks::builder().node(format!("{scheme}://{login}{}{more}", path.text()))
            };
            let one = to("redis+unix", ":p%2Fss@", "?db=2");
            let other = to("unix", "", "?db=2&password=p%2Fss");
            everything_works(&built(timed(one)).await, &built(timed(other)).await).await;
            let elsewhere = built(timed(to("unix", "default:p%2Fss@", ""))).await;
            assert_eq!(elsewhere.lock("stock").await.expect("another database").token(), 1);
            let wrong = timed(to("unix", ":wrong@", "")).build().await.expect_err("no password");
            assert!(wrong.to_string().contains("WRONGPASS"), "{wrong}");
            // It is the same server by another way.
            let port = format!("redis://:p%2Fss@127.0.0.1:{}", server.port());
            let twice = timed(to("unix", ":p%2Fss@", "").node(port)).build().await;
            let twice = twice.expect_err("it would vote twice");
            assert!(matches!(twice, Refusal::SameServer { .. }), "{twice}");
            comes_back(&mut server, &elsewhere).await;
        });
        server.kill();
        let gone = run(Locks::builder().node(format!("unix://{}", path.text())).build());
        let gone = gone.expect_err("nobody is there").to_string();
        assert!(gone.starts_with("1 servers must be there; ") && gone.contains(path.text()));
    }
}

fn timed(builder: Builder) -> Builder {
    with_patience(builder).ttl(1000 * MS)
}

/// What clients do with one server, as two of them see it.
async fn everything_works(ours: &Locks, theirs: &Locks) {
    let guard = ours.lock("stock").await.expect("it is free");
    let taken = theirs.try_lock("stock").await;
    assert!(matches!(taken, Err(LockError::NotAcquired { .. })), "{taken:?}");
    // Longer than its time to live: it is extended.
    assert_eq!(guard.run(sleep(1500 * MS)).await, Ok(()));
    let token = guard.token();
    guard.release().await.expect("it is held");
    let next = theirs.lock("stock").await.expect("it was given back");
    assert!(next.token() > token);
    drop(next);
    queue_is_woken(ours, theirs).await;
    a_crowd_is_served(ours).await;
}

/// Waiters in a queue are told when it is their turn, and not only when they ask again.
async fn queue_is_woken(ours: &Locks, theirs: &Locks) {
    let fair = ours.fair("queue").expect("one server");
    let first = fair.lock().await.expect("it is free");
    let mut tasks = JoinSet::new();
    for number in 0..4 {
        let locks = if number % 2 == 0 { ours } else { theirs };
        let lock = locks.fair("queue").expect("one server");
        tasks.spawn(async move {
            let guard = lock.lock().await.expect("its turn comes");
            let token = guard.token();
            guard.release().await.expect("it is held");
            (number, token)
        });
        // It has come before the next does.
        sleep(50 * MS).await;
    }
    let token = first.token();
    first.release().await.expect("it is held");
    let mut served = tasks.join_all().await;
    served.sort_unstable();
    let expected: Vec<(usize, u64)> = (0..4).map(|it| (it, it as u64 + 1 + token)).collect();
    assert_eq!(served, expected);
    assert!(ours.metrics().woken >= 1 && theirs.metrics().woken >= 1);
    let permit = ours.semaphore("pool", 1).expect("one server").acquire().await;
    let full = theirs.semaphore("pool", 1).expect("one server").try_acquire().await;
    assert!(permit.is_ok() && full.is_err());
}

/// Requests that no socket takes at once are written when it does.
async fn a_crowd_is_served(locks: &Locks) {
    let mut tasks = JoinSet::new();
    for number in 0..CROWD {
        let locks = locks.clone();
        tasks.spawn(async move {
            let guard = locks.lock(&format!("crowd:{number}:{}", "n".repeat(400))).await;
            guard.expect("nobody else wants it").release().await.expect("it is held");
        });
    }
    tasks.join_all().await;
}

/// A connection that broke is made anew.
async fn comes_back(server: &mut Server, locks: &Locks) {
    server.kill();
    until("it is seen", || locks.metrics().disconnected > 0).await;
    server.restart();
    let start = Instant::now();
    let guard = locks.lock("after").await.expect("it is connected again");
    assert!(start.elapsed() < LATE_MAX && guard.check().is_ok());
}

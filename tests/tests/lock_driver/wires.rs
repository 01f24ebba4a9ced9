//! Locks over what is no plain TCP: everything that a client does with one server works the same.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use orrery_lock::{Builder, LockError, Locks, Refusal};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::authority::{Authority, Identity};
use crate::servers::{Kind, Server, free_port};
use crate::{LATE_MAX, built, run, until, with_patience};

const MS: Duration = Duration::from_millis(1);
/// A socket's path has no more bytes than this.
const PATH_BYTES_MAX: usize = 107;
/// More locks at once than a socket takes whose server stands still.
const CROWD: usize = 4000;

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
            let [one, other] = [built(timed(one)).await, built(timed(other)).await];
            everything_works(&server, &one, &other).await;
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

/// A server that speaks TLS too, and who signed for it.
struct SecureServer {
    server: Server,
    port: u16,
    authority: Authority,
    folder: PathBuf,
}

impl SecureServer {
    /// With a certificate for this host; `asks` is whether clients must show one.
    fn start(kind: Kind, host: &str, asks: &str) -> Self {
        let authority = Authority::new("authority");
        let Identity { certificate, key } = authority.certify_for("server", host);
        let port = free_port();
        let folder = std::env::temp_dir();
        let folder = folder.join(format!("orrery-lock-tls-{}-{port}", std::process::id()));
        fs::create_dir(&folder).expect("the folder for temporary files is writable");
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).expect("a temporary file");
            path.to_str().expect("it is text").to_owned()
        };
        let files =
            [file("crt", certificate), file("key", key), file("authority", authority.pem())];
        let port_text = port.to_string();
        let [certificate, key, roots] = &files;
        let arguments = ["--tls-port", &port_text, "--tls-auth-clients", asks];
        let named = ["--tls-cert-file", certificate, "--tls-key-file", key];
        let all = [&arguments[..], &named, &["--tls-ca-cert-file", roots]].concat();
        Self { server: Server::start_with(kind, &all), port, authority, folder }
    }

    fn locks(&self, host: &str) -> Builder {
        timed(Locks::builder().node(format!("rediss://{host}:{}", self.port)))
    }

    fn trusted(&self, host: &str) -> Builder {
        self.locks(host).root_certificates(self.authority.pem())
    }
}

impl Drop for SecureServer {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn tls_is_as_good_as_a_plain_port() {
    for kind in Kind::all("lock_driver") {
        let mut secure = SecureServer::start(kind, "127.0.0.1", "no");
        run(async {
            let (ours, theirs) = (secure.trusted("127.0.0.1"), secure.trusted("127.0.0.1"));
            let (ours, theirs) = (built(ours).await, built(theirs).await);
            everything_works(&secure.server, &ours, &theirs).await;
            comes_back(&mut secure.server, &ours).await;
        });
    }
}

#[test]
fn servers_that_show_a_wrong_certificate_are_refused_with_the_reason() {
    for kind in Kind::all("lock_driver") {
        let secure = SecureServer::start(kind, "localhost", "no");
        run(async {
            let refused = async |builder: Builder| {
                let refusal = builder.build().await.expect_err("it must be refused");
                refusal.to_string()
            };
            let other = Authority::new("another").pem();
            let unknown = refused(secure.locks("localhost").root_certificates(other.clone())).await;
            assert!(unknown.contains("signed by none of the root certificates"), "{unknown}");
            // Nobody has told the system of our authority.
            let unknown = refused(secure.locks("localhost")).await;
            assert!(unknown.contains("root certificates"), "{unknown}");
            let wrong = refused(secure.trusted("127.0.0.1")).await;
            assert!(wrong.contains("is for another name"), "{wrong}");
            let none = refused(secure.locks("localhost").root_certificates("nothing")).await;
            assert_eq!(none, "there is no certificate in the PEM text");
            let odd = refused(secure.trusted("local_host..")).await;
            assert!(odd.contains("local_host.."), "{odd}");
            // A port without TLS.
            let plain = format!("rediss://localhost:{}", secure.server.port());
            let plain = Locks::builder().node(plain).root_certificates(other.clone());
            assert!(refused(timed(plain)).await.starts_with("1 servers must be there"));
            // Both authorities, one after the other.
            let both = other + &secure.authority.pem();
            let good = built(secure.locks("localhost").root_certificates(both)).await;
            assert!(good.lock("stock").await.is_ok());
        });
    }
}

#[test]
fn a_client_shows_its_certificate_where_it_must() {
    for kind in Kind::all("lock_driver") {
        let secure = SecureServer::start(kind, "localhost", "yes");
        let show = |builder: Builder, identity: &Identity| {
            builder.client_certificate(identity.certificate.as_str(), identity.key.as_str())
        };
        run(async {
            secure.trusted("localhost").build().await.expect_err("it shows none");
            let foreign = Authority::new("another").certify("client");
            let foreign = show(secure.trusted("localhost"), &foreign).build().await;
            foreign.expect_err("it is signed by somebody else");
            let good = secure.authority.certify("client");
            let ours = built(show(secure.trusted("localhost"), &good)).await;
            ours.lock("stock").await.expect("it is free").release().await.expect("it is held");
            let mixed = Identity { key: secure.authority.certify("client").key, ..good };
            let mixed = show(secure.trusted("localhost"), &mixed).build().await;
            let mixed = mixed.expect_err("the key of another certificate").to_string();
            assert!(mixed.contains("the client's certificate and key"), "{mixed}");
        });
    }
}

fn timed(builder: Builder) -> Builder {
    with_patience(builder).ttl(1000 * MS)
}

/// What clients do with one server, as two of them see it.
async fn everything_works(server: &Server, ours: &Locks, theirs: &Locks) {
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
    a_crowd_is_served(server, ours).await;
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
async fn a_crowd_is_served(server: &Server, locks: &Locks) {
    server.pause();
    let mut tasks = JoinSet::new();
    for number in 0..CROWD {
        let locks = locks.clone();
        tasks.spawn(async move {
            let guard = locks.lock(&format!("crowd:{number}:{}", "n".repeat(400))).await;
            guard.expect("nobody else wants it").release().await.expect("it is held");
        });
    }
    sleep(100 * MS).await;
    server.go_on();
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

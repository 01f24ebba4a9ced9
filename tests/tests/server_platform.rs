//! The server's generic part on a platform of this file's own: pipes for sockets, tokio's paused
//! clock for time, so that hours pass at once and every wait is exact.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use orrery_engine::{
    Config, DiskOrder, DiskResult, Instant, LogLevel, Now, Origin, Seed, Ticket, UnixMicros,
};
use orrery_server::{Endpoint, Launch, NoDisk, Platform, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::{JoinHandle, spawn_local};

/// A machine that is nothing but this.
#[derive(Clone)]
struct Pipes {
    start: tokio::time::Instant,
    accepted: Rc<Mutex<mpsc::UnboundedReceiver<DuplexStream>>>,
    connected: mpsc::UnboundedSender<DuplexStream>,
    term: Rc<Notify>,
    log: Rc<RefCell<Vec<String>>>,
    /// How often the server looked at the clock.
    looks: Rc<Cell<u64>>,
    /// So much time has passed each time that it looks.
    look_us: Rc<Cell<u64>>,
    disk: Rc<NoDisk>,
}

impl Pipes {
    fn new() -> Self {
        let (connected, accepted) = mpsc::unbounded_channel();
        Self {
            start: tokio::time::Instant::now(),
            accepted: Rc::new(Mutex::new(accepted)),
            connected,
            term: Rc::default(),
            log: Rc::default(),
            looks: Rc::default(),
            look_us: Rc::default(),
            disk: Rc::default(),
        }
    }

    /// A client whose two directions hold `bytes` each.
    fn client(&self, bytes: usize) -> DuplexStream {
        let (ours, theirs) = duplex(bytes);
        self.connected.send(theirs).expect("the server accepts");
        ours
    }

    async fn serve(&self, words: &[&str]) -> JoinHandle<i32> {
        let mut config = Config::default();
        for pair in words.chunks(2) {
            config.set(pair[0], &pair[1..]).expect("a good directive");
        }
        let launch = Launch { config, config_file: None };
        let server = Server::start(self.clone(), launch).await.expect("pipes are always to be had");
        let server = spawn_local(server.run());
        // It looks for files first.
        while !self.log.borrow().iter().any(|line| line.starts_with("Ready to accept")) {
            tokio::task::yield_now().await;
        }
        server
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Platform for Pipes {
    type Stream = DuplexStream;
    type Listener = ();

    fn now(&self) -> Now {
        self.looks.set(self.looks.get() + 1);
        let micros = self.start.elapsed().as_micros() as u64;
        let micros = micros + self.looks.get() * self.look_us.get();
        Now { mono: Instant(micros), wall: UnixMicros(1_700_000_000_000_000 + micros) }
    }

    fn seed(&self) -> Seed {
        Seed(7)
    }

    fn log(&self, _level: LogLevel, text: &str) {
        self.log.borrow_mut().push(text.to_owned());
    }

    fn order(&self, order: DiskOrder) {
        self.disk.order(&order);
    }

    fn answered(&self) -> impl Future<Output = Vec<(Ticket, DiskResult)>> {
        self.disk.answered()
    }

    async fn bind(&self, _at: &Endpoint) -> io::Result<()> {
        Ok(())
    }

    async fn accept(&self, (): &()) -> io::Result<(DuplexStream, Origin)> {
        match self.accepted.lock().await.recv().await {
            Some(stream) => Ok((stream, Origin::Unix { path: "pipe".into() })),
            None => std::future::pending().await,
        }
    }

    async fn connect(&self, _peer: &str) -> io::Result<DuplexStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep_until(self.start + Duration::from_micros(at.0)).await;
    }

    async fn terminated(&self) -> &'static str {
        self.term.notified().await;
        "SIGTERM"
    }
}

fn run(test: impl AsyncFnOnce()) {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test());
}

async fn expect(client: &mut DuplexStream, expected: &str) {
    let mut reply = vec![0; expected.len()];
    client.read_exact(&mut reply).await.expect("a reply");
    assert_eq!(String::from_utf8_lossy(&reply), expected);
}

async fn talk(client: &mut DuplexStream, request: &str, reply: &str) {
    client.write_all(request.as_bytes()).await.expect("the server reads");
    expect(client, reply).await;
}

#[test]
fn a_pipe_of_one_byte_carries_everything_in_order() {
    run(async || {
        let pipes = Pipes::new();
        pipes.serve(&[]).await;
        let mut client = pipes.client(1);
        let value = "x".repeat(5000);
        talk(&mut client, &format!("SET k {value}\r\n"), "+OK\r\n").await;
        for _ in 0..3 {
            talk(&mut client, "GET k\r\n", &format!("$5000\r\n{value}\r\n")).await;
        }
    });
}

#[test]
fn output_that_is_not_taken_waits_while_input_is_still_read() {
    run(async || {
        let pipes = Pipes::new();
        pipes.serve(&[]).await;
        let mut client = pipes.client(64);
        let mut expected = String::new();
        // The server reads all this although nobody takes a reply.
        for index in 0..2000 {
            client.write_all(format!("ECHO {index}\r\n").as_bytes()).await.unwrap();
            let word = index.to_string();
            expected.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        assert_eq!(pipes.elapsed(), Duration::ZERO);
        expect(&mut client, &expected).await;
    });
}

#[test]
fn who_publishes_is_answered_before_the_messages_leave_even_if_that_was_much_work() {
    // It goes on while they are written; the one thread has many of them to write.
    run(async || {
        let pipes = Pipes::new();
        pipes.serve(&[]).await;
        let mut subscriber = pipes.client(1024);
        talk(&mut subscriber, "SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
            .await;
        let mut publisher = pipes.client(1024);
        talk(&mut publisher, "PING\r\n", "+PONG\r\n").await;
        let order = Rc::new(RefCell::new(Vec::new()));
        let reader = |name: &'static str, mut client: DuplexStream, expected: &'static str| {
            let order = Rc::clone(&order);
            spawn_local(async move {
                expect(&mut client, expected).await;
                order.borrow_mut().push(name);
            })
        };
        pipes.look_us.set(1000);
        publisher.write_all(b"PUBLISH c x\r\n").await.unwrap();
        let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
        let readers =
            [reader("subscriber", subscriber, message), reader("publisher", publisher, ":1\r\n")];
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(*order.borrow(), ["publisher", "subscriber"]);
    });
}

#[test]
fn a_paused_client_goes_on_when_the_pause_ends_and_not_before() {
    run(async || {
        let pipes = Pipes::new();
        pipes.serve(&[]).await;
        let mut pauser = pipes.client(64);
        let mut paused = pipes.client(64);
        talk(&mut pauser, "CLIENT PAUSE 5000000 ALL\r\n", "+OK\r\n").await;
        talk(&mut paused, "SET k v\r\nGET k\r\n", "+OK\r\n$1\r\nv\r\n").await;
        assert_eq!(pipes.elapsed(), Duration::from_secs(5000));
    });
}

#[test]
fn a_pause_that_another_client_ends_ends_at_once() {
    run(async || {
        let pipes = Pipes::new();
        pipes.serve(&[]).await;
        let mut pauser = pipes.client(64);
        let mut paused = pipes.client(64);
        talk(&mut pauser, "CLIENT PAUSE 5000000 WRITE\r\n", "+OK\r\n").await;
        paused.write_all(b"SET k v\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        talk(&mut pauser, "CLIENT UNPAUSE\r\n", "+OK\r\n").await;
        expect(&mut paused, "+OK\r\n").await;
        assert_eq!(pipes.elapsed(), Duration::from_secs(3));
    });
}

#[test]
fn a_killed_client_that_never_reads_is_closed_all_the_same() {
    run(async || {
        let pipes = Pipes::new();
        pipes.serve(&[]).await;
        let mut killer = pipes.client(64);
        let mut deaf = pipes.client(64);
        talk(&mut killer, "PING\r\n", "+PONG\r\n").await;
        let value = "x".repeat(1000);
        deaf.write_all(format!("ECHO {value}\r\n").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        talk(&mut killer, "CLIENT KILL ID 2\r\n", ":1\r\n").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        deaf.write_all(b"PING\r\n").await.unwrap_err();
    });
}

#[test]
fn the_clock_task_wakes_when_a_key_expires_and_only_then() {
    run(async || {
        let pipes = Pipes::new();
        pipes.serve(&[]).await;
        let mut client = pipes.client(64);
        // The deadline of the second is earlier: the sleeping task must notice.
        talk(&mut client, "SET late v PX 9000\r\nSET soon v PX 1500\r\n", "+OK\r\n+OK\r\n").await;
        // With nobody connected there is nothing else to wake for.
        drop(client);
        let looks_until = async |millis| {
            let before = pipes.looks.get();
            tokio::time::sleep_until(pipes.start + Duration::from_millis(millis)).await;
            pipes.looks.get() - before
        };
        // A far deadline may be brought nearer in a few steps, never by polling.
        const FEW: u64 = 20;
        looks_until(1200).await;
        assert!(looks_until(1499).await < FEW);
        assert!(looks_until(1502).await > 0, "nothing happened when the first expired");
        assert!(looks_until(8999).await < FEW);
        assert!(looks_until(9002).await > 0, "nothing happened when the second expired");
        assert_eq!(looks_until(100_000).await, 0);
    });
}

#[test]
fn an_idle_server_sleeps() {
    run(async || {
        let pipes = Pipes::new();
        pipes.serve(&[]).await;
        let mut client = pipes.client(64);
        talk(&mut client, "SET k v\r\n", "+OK\r\n").await;
        drop(client);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let before = pipes.looks.get();
        tokio::time::sleep(Duration::from_secs(100_000)).await;
        assert_eq!(pipes.looks.get(), before, "it looked at the clock with nothing to do");
    });
}

#[test]
fn an_end_is_orderly_even_if_a_client_does_not_read() {
    run(async || {
        let pipes = Pipes::new();
        let server = pipes.serve(&[]).await;
        let mut slow = pipes.client(16);
        let mut deaf = pipes.client(16);
        let value = "x".repeat(500);
        for client in [&mut slow, &mut deaf] {
            client.write_all(format!("ECHO {value}\r\n").as_bytes()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        pipes.term.notify_one();
        expect(&mut slow, &format!("$500\r\n{value}\r\n")).await;
        assert_eq!(slow.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(server.await.unwrap(), 0);
        assert!(pipes.elapsed() < Duration::from_secs(3));
        let log = pipes.log.borrow().join("\n");
        assert!(
            log.contains("Received SIGTERM scheduling shutdown...\nUser requested shutdown...")
        );
    });
}

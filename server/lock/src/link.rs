//! The one connection to a server, as it is between two moments of I/O: what was asked and has no
//! answer yet, and what could not be written yet.
//!
//! Invariants: a server is asked over one connection at a time, in order, so that a release never
//! overtakes the acquisition that it takes back (S13); what was asked over a connection that broke
//! is never asked again (S39): the state machines decide what to do instead.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use orrery_base::encode::command;
use orrery_base::time::{Instant, Micros};
use orrery_lock_machine::{
    Dialect, Manner, Names, Replicas, Reply, Request, RequestId, Said, Sent, read as read_reply,
    write_after, write_wait,
};
use tokio::sync::{Notify, oneshot};

use crate::reply::{self, Value};
use crate::stream::Writer;
use crate::turn::Turn;

/// Most requests that wait for answers of one server.
pub(crate) const OPEN_MAX: usize = 16 * 1024;
/// Most bytes that wait to be written.
pub(crate) const OUT_BYTES_MAX: usize = 4 << 20;

/// What a server said to a command; `None`: it could not be asked, or its connection broke.
pub(crate) type Answer = Option<Value>;

/// A request without an answer.
struct Open {
    since: Instant,
    asked: Asked,
}

enum Asked {
    /// By a lock's state machine.
    Request { lock: u64, id: RequestId, request: Request, names: Arc<LockNames>, manner: Manner },
    /// By somebody who waits for it.
    Command(oneshot::Sender<Answer>),
}

/// The keys of a lock, or of a turn.
#[derive(Debug)]
pub(crate) struct LockNames {
    pub(crate) lock: Vec<u8>,
    pub(crate) counter: Vec<u8>,
    pub(crate) turn: Option<Turn>,
}

/// An answer to a lock's state machine.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) lock: u64,
    pub(crate) id: RequestId,
    pub(crate) reply: Reply,
    /// What the server said if that was an error.
    pub(crate) error: Option<String>,
}

/// Why nothing more is read from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// Whoever is there speaks something else.
    Odd,
    /// It copies from another server now.
    Demoted,
}

/// A server, connected or not.
pub(crate) struct Link {
    writer: Option<Arc<Writer>>,
    manner: Manner,
    sent: Sent,
    sent_turns: Sent,
    out: Vec<u8>,
    open: VecDeque<Open>,
    /// Wakes the connection's task: there is something to be written, or nothing to be hoped for.
    pub(crate) wake: Arc<Notify>,
    /// A server whose oldest request is older than this is asked for nothing more, but to release.
    pub(crate) silence: Micros,
}

impl Link {
    pub(crate) fn new(silence: Micros, replicas: Option<Replicas>) -> Self {
        Self {
            writer: None,
            manner: Manner { replicas, ..Manner::plain(Dialect::Scripts) },
            sent: Sent::default(),
            sent_turns: Sent::default(),
            out: Vec::new(),
            open: VecDeque::new(),
            wake: Arc::default(),
            silence,
        }
    }

    pub(crate) fn attach(&mut self, writer: Arc<Writer>, dialect: Dialect) {
        assert!(self.open.is_empty() && self.out.is_empty(), "it was detached before");
        self.writer = Some(writer);
        self.manner = Manner { dialect, is_tracked: false, ..self.manner };
        self.forget_scripts();
    }

    /// The server tells from now on when somebody else has changed a key that was read.
    pub(crate) fn track(&mut self) {
        self.manner.is_tracked = true;
    }

    /// The connection is no more: nothing that was asked will be answered.
    pub(crate) fn detach(&mut self, answers: &mut Vec<Answered>) {
        self.writer = None;
        self.out.clear();
        for Open { asked, .. } in self.open.drain(..) {
            match asked {
                Asked::Request { lock, id, .. } => {
                    answers.push(Answered { lock, id, reply: Reply::Failed, error: None });
                }
                // Who does not wait any more need not know.
                Asked::Command(answer) => drop(answer.send(None)),
            }
        }
    }

    /// Asks for something on behalf of a lock; false: it cannot be asked, or nobody should wait for
    /// the answer, since the server has said nothing for too long.
    pub(crate) fn request(
        &mut self,
        now: Instant,
        lock: u64,
        id: RequestId,
        request: Request,
        names: &Arc<LockNames>,
    ) -> bool {
        let is_release = matches!(request, Request::Release { .. });
        let is_silent = self.is_silent(now, self.silence);
        if !self.has_room() || !is_release && is_silent {
            return false;
        }
        let out = &mut self.out;
        let is_tracked = self.manner.is_tracked && names.turn.is_none();
        let manner = Manner { is_tracked, ..self.manner };
        if let Some(turn) = &names.turn {
            turn.write(&request, &names.counter, &mut self.sent_turns, out);
            write_wait(&request, manner.replicas, out);
        } else {
            let names = Names { lock: &names.lock, counter: &names.counter };
            write_after(&request, names, manner, &mut self.sent, out);
        }
        let asked = Asked::Request { lock, id, request, names: Arc::clone(names), manner };
        self.open.push_back(Open { since: now, asked });
        !is_silent
    }

    /// Asks for anything.
    pub(crate) fn command(&mut self, now: Instant, words: &[&[u8]]) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        if self.has_room() {
            command(&mut self.out, words.iter().copied());
            self.open.push_back(Open { since: now, asked: Asked::Command(answer) });
        } else {
            drop(answer.send(None));
        }
        receiver
    }

    /// Writes what the socket takes; the rest is written by the connection's task.
    pub(crate) fn flush(&mut self) {
        // Whether it is full or broken: the task that waits for the socket finds out.
        if !matches!(self.write_out(), Ok(false)) {
            self.wake.notify_one();
        }
    }

    /// Writes what the socket takes, for the connection's task, which must not wake itself: it
    /// would do so again and again, and nobody would ever look at the socket. Returns whether
    /// something is left.
    pub(crate) fn write_out(&mut self) -> io::Result<bool> {
        let Some(writer) = &self.writer else { return Ok(false) };
        let mut written = 0;
        let is_left = loop {
            if written == self.out.len() {
                break writer.try_flush();
            }
            match writer.try_write(&self.out[written..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(len) => written += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(true),
                Err(error) => break Err(error),
            }
        };
        self.out.drain(..written);
        is_left
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether the server owes an answer for longer than this.
    pub(crate) fn is_silent(&self, now: Instant, limit: Micros) -> bool {
        self.open.front().is_some_and(|open| now.since(open.since) > limit)
    }

    /// Takes whole replies off the front of what the server said; returns their bytes.
    pub(crate) fn take_replies(
        &mut self,
        bytes: &[u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<usize, GiveUp> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            // Nobody asked: a server that ends tells why, and closes the connection.
            let Some(open) = self.open.front() else { return Err(GiveUp::Odd) };
            let len = match &open.asked {
                Asked::Request { request, manner, .. } => {
                    match read_reply(request, *manner, rest) {
                        Said::Part => break,
                        Said::Odd => return Err(GiveUp::Odd),
                        Said::Reply(reply, len) => {
                            self.answered(reply, &rest[..len], now, answers);
                            if is_replicas(&rest[..len]) {
                                return Err(GiveUp::Demoted);
                            }
                            len
                        }
                    }
                }
                Asked::Command(_) => match reply::read(rest).map_err(|reply::Odd| GiveUp::Odd)? {
                    None => break,
                    Some((value, len)) => {
                        if let Some(Open { asked: Asked::Command(answer), .. }) =
                            self.open.pop_front()
                        {
                            drop(answer.send(Some(value)));
                        }
                        len
                    }
                },
            };
            at += len;
        }
        Ok(at)
    }

    fn answered(&mut self, reply: Reply, line: &[u8], now: Instant, answers: &mut Vec<Answered>) {
        let Some(Open { asked, .. }) = self.open.pop_front() else { return };
        let Asked::Request { lock, id, request, names, .. } = asked else { return };
        if line.starts_with(b"-NOSCRIPT") {
            self.forget_scripts();
            // Nothing was done. What is late may not be done any more, but a release always may:
            // no other attempt has its token.
            if matches!(request, Request::Release { .. }) {
                self.request(now, lock, id, request, &names);
                return;
            }
        }
        let error = line.strip_prefix(b"-").map(|said| {
            // What comes behind the first line is about replicas.
            let said = said.split(|&byte| byte == b'\r').next().unwrap_or_default();
            let said = String::from_utf8_lossy(said).into_owned();
            tracing::debug!(said, "a server answered with an error");
            said
        });
        answers.push(Answered { lock, id, reply, error });
    }

    fn forget_scripts(&mut self) {
        self.sent.forget();
        self.sent_turns.forget();
    }

    fn has_room(&self) -> bool {
        self.writer.is_some() && self.open.len() < OPEN_MAX && self.out.len() < OUT_BYTES_MAX
    }
}

/// Whether only a replica answers so: writing is refused, or it has lost its primary. Before Redis
/// 7 the error of a script had the reason behind other words.
fn is_replicas(line: &[u8]) -> bool {
    let is_old = line.starts_with(b"-ERR Error running script")
        && line.windows(OLD_REASON.len()).any(|words| words == OLD_REASON);
    is_old || line.starts_with(b"-READONLY ") || line.starts_with(b"-MASTERDOWN ")
}

const OLD_REASON: &[u8] = b": -READONLY ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;
    use orrery_base::rng::{Rng, Seed};
    use orrery_lock_machine::{CounterUse, Token};
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream, UnixStream};
    use tokio::time::timeout;

    const TOKEN: Token = Token { client: 1, attempt: 1 };
    const RELEASE: Request = Request::Release { token: Some(TOKEN) };
    const ACQUIRE: Request =
        Request::Acquire { token: TOKEN, ttl_ms: 5, counter: CounterUse::Increment };

    /// A link to somebody who never reads.
    async fn link(silence: Micros) -> (Link, Arc<Writer>, Arc<LockNames>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
        let address = listener.local_addr().expect("it is bound");
        let stream = TcpStream::connect(address).await.expect("it listens");
        let writer = Arc::new(Stream::Tcp(stream).into_split().1);
        let mut link = Link::new(silence, None);
        link.attach(Arc::clone(&writer), Dialect::Conditions);
        let names = LockNames { lock: b"n".to_vec(), counter: b"c".to_vec(), turn: None };
        (link, writer, Arc::new(names))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn there_is_room_for_so_many_requests_and_bytes_and_no_more() {
        let (mut link, writer, names) = link(Micros(u64::MAX)).await;
        for id in 0..OPEN_MAX {
            assert!(link.request(Instant(0), 1, RequestId(id as u64), RELEASE, &names), "{id}");
        }
        assert!(!link.request(Instant(0), 1, RequestId(0), RELEASE, &names));
        assert_eq!(link.command(Instant(0), &[b"PING"]).try_recv(), Ok(None));
        let mut answers = Vec::new();
        link.detach(&mut answers);
        assert_eq!(answers.len(), OPEN_MAX, "all have failed");
        assert!(!link.request(Instant(0), 1, RequestId(0), RELEASE, &names), "not connected");
        link.attach(writer, Dialect::Conditions);
        let half = vec![0; OUT_BYTES_MAX / 2];
        let mut first = link.command(Instant(0), &[b"ECHO", &half]);
        let mut second = link.command(Instant(0), &[b"ECHO", &half]);
        assert!(first.try_recv().is_err() && second.try_recv().is_err(), "both wait");
        assert_eq!(link.command(Instant(0), &[b"PING"]).try_recv(), Ok(None));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_finds_the_socket_full_wakes_the_task_and_the_task_does_not_wake_itself() {
        let (stream, _peer) = UnixStream::pair().expect("there are sockets");
        let mut link = Link::new(Micros(u64::MAX), None);
        link.attach(Arc::new(Stream::Unix(stream).into_split().1), Dialect::Scripts);
        let wake = Arc::clone(&link.wake);
        let is_woken = async || timeout(Duration::from_millis(1), wake.notified()).await.is_ok();
        let text = vec![0; OUT_BYTES_MAX / 2];
        while !link.has_output() {
            assert!(!is_woken().await, "everything was written");
            drop(link.command(Instant(0), &[b"ECHO", &text]));
            link.flush();
        }
        assert!(is_woken().await);
        assert_eq!(link.write_out().ok(), Some(true));
        assert!(!is_woken().await);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_server_that_says_nothing_is_only_told_what_to_release() {
        let (mut link, _writer, names) = link(Micros(10)).await;
        let mut ask = |at, request| link.request(Instant(at), 1, RequestId(at), request, &names);
        assert!(ask(0, ACQUIRE) && ask(10, ACQUIRE));
        assert!(!ask(11, ACQUIRE) && !ask(11, RELEASE));
        let mut answers = Vec::new();
        let len = link.take_replies(b":1\r\n$-1\r\n:", Instant(12), &mut answers);
        assert_eq!(len, Ok(9), "and a part");
        let replies: Vec<(u64, Reply)> = answers.iter().map(|it| (it.id.0, it.reply)).collect();
        assert_eq!(replies, [(0, Reply::Done { counter: 1 }), (10, Reply::Refused { counter: 0 })]);
        assert_eq!(link.open.len(), 1, "the release was sent");
        assert_eq!(link.take_replies(b":1\r\n:1\r\n", Instant(12), &mut answers), Err(GiveUp::Odd));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_server_that_has_become_a_replica_is_given_up() {
        let old =
            "-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't\r\n";
        for line in ["-READONLY You can't\r\n", "-MASTERDOWN Link\r\n", old] {
            let (mut link, _writer, names) = link(Micros(u64::MAX)).await;
            for id in 0..2 {
                assert!(link.request(Instant(0), 1, RequestId(id), ACQUIRE, &names));
            }
            let mut answers = Vec::new();
            let taken = link.take_replies(line.as_bytes(), Instant(0), &mut answers);
            assert_eq!(taken, Err(GiveUp::Demoted), "{line}");
            assert_eq!(answers.len(), 1, "the other is answered when it is detached");
            assert_eq!(answers[0].reply, Reply::Failed);
        }
        for other in ["-ERR x: -READONLY y\r\n", "-READONLYISH z\r\n"] {
            assert!(!is_replicas(other.as_bytes()), "{other}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn no_bytes_make_it_panic() {
        let (mut link, writer, names) = link(Micros(u64::MAX)).await;
        let mut draw = Rng::new(Seed(1), "bytes");
        let pieces: [&[u8]; 13] = [
            b"+",
            b"-",
            b":",
            b"$",
            b"*",
            b"\r\n",
            b"1",
            b"-1",
            b"99999999999999999999",
            b"NOSCRIPT x",
            b"FORM y",
            b"READONLY z",
            b"\xff\0",
        ];
        for _ in 0..20_000 {
            for id in 0..draw.below(4) {
                let request = if draw.chance(1, 2) { ACQUIRE } else { RELEASE };
                link.request(Instant(0), 1, RequestId(id), request, &names);
                drop(link.command(Instant(0), &[b"PING"]));
            }
            let mut bytes = Vec::new();
            for _ in 0..draw.below(12) {
                bytes.extend_from_slice(pieces[draw.below(13) as usize]);
            }
            let mut answers = Vec::new();
            match link.take_replies(&bytes, Instant(0), &mut answers) {
                Ok(len) => assert!(len <= bytes.len()),
                Err(_) => {
                    link.detach(&mut answers);
                    link.attach(Arc::clone(&writer), Dialect::Scripts);
                }
            }
        }
    }
}

//! The task of one connection: bytes in, a step, bytes out.
//!
//! Invariants: a connection that waits owns no buffer but a partial command and output that the
//! kernel did not take; one turn is a bounded number of steps; commands that are left in the input
//! are run before more is read.
//!
//! Everything happens in one poll without an `await`: read into the node's buffer, step, write from
//! the node's buffer. A stream's poll methods try the system call at once when they may.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use orrery_engine::Micros;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::task::yield_now;

use crate::mailbox::{Mailbox, Notes};
use crate::node::{Node, NodeRef};
use crate::platform::Platform;
use crate::tls::Wire;

/// Room for one read.
const READ_BYTES: usize = 64 << 10;
/// From this length on, a partial command is added to where it is instead of being copied to the
/// front of the node's buffer.
const DIRECT_BYTES: usize = 16 << 10;
/// A word is given room for at once up to this length; a longer one gets as much as has arrived of
/// it, so that a client cannot make the server reserve what it never sends.
const RESERVED_BYTES_MAX: usize = 1 << 20;
/// After a step that took so long, waking the peer is no longer what costs most.
const LONG_STEP: Micros = Micros(10);
/// Steps of one turn.
const STEPS_PER_TURN: usize = 4;

/// Why a turn ended.
enum Turn {
    /// Others are to have theirs.
    Yield,
    /// The connection is to be closed.
    Over,
}

/// A client's connection.
pub(crate) struct Connection<P: Platform> {
    node: NodeRef<P>,
    mailbox: Rc<Mailbox>,
    stream: Wire<P::Stream>,
    /// Received and not taken by the engine.
    input: BytesMut,
    /// Taken from the engine and not all written.
    output: Vec<u8>,
    /// How much of `output` was written.
    written: usize,
    /// What was written has not all left the stream.
    unflushed: bool,
    /// The engine takes nothing more for now.
    paused: bool,
    /// Nothing more is read; when the output has left, the connection ends.
    ending: bool,
}

impl<P: Platform> Connection<P> {
    pub(crate) fn new(node: NodeRef<P>, mailbox: Rc<Mailbox>, stream: Wire<P::Stream>) -> Self {
        Self {
            node,
            mailbox,
            stream,
            input: BytesMut::new(),
            output: Vec::new(),
            written: 0,
            unflushed: false,
            paused: false,
            ending: false,
        }
    }

    /// Serves the connection until it ends.
    pub(crate) async fn run(mut self) {
        while let Turn::Yield = std::future::poll_fn(|cx| self.turn(cx)).await {
            // Unlike a wake-up of our own, this lets the runtime look at the sockets first.
            yield_now().await;
        }
        // A word of goodbye, if the peer takes it at once.
        std::future::poll_fn(|cx| {
            let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
        self.node.borrow_mut().close(self.mailbox.conn);
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let node = Rc::clone(&self.node);
        let node = &mut *node.borrow_mut();
        self.mailbox.enrol(cx.waker());
        let mut steps = 0;
        loop {
            if node.stalled_until().is_some() && !node.stopping {
                return Poll::Pending;
            }
            let notes = self.mailbox.take();
            if notes.has(Notes::ABORT) {
                return Poll::Ready(Turn::Over);
            }
            self.paused = (self.paused || notes.has(Notes::PAUSE)) && !notes.has(Notes::RESUME);
            self.ending |= notes.has(Notes::CLOSE) || node.stopping;
            let unwritten = !self.output.is_empty() || self.unflushed;
            if unwritten || self.ending || notes.has(Notes::OUTPUT) {
                match self.write(node, cx) {
                    Poll::Ready(Err(_)) => return Poll::Ready(Turn::Over),
                    Poll::Pending if self.ending => return Poll::Pending,
                    Poll::Ready(Ok(())) if self.ending => return Poll::Ready(Turn::Over),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            let resume = notes.has(Notes::RESUME);
            if steps == STEPS_PER_TURN || (resume && steps > 0) {
                if resume {
                    self.mailbox.post(Notes::RESUME);
                }
                return Poll::Ready(Turn::Yield);
            }
            steps += 1;
            if resume {
                self.step_own(node);
            } else if self.paused {
                return Poll::Pending;
            } else {
                match ready!(self.read(node, cx)) {
                    Ok(0) => self.ending = true,
                    // Others have their turn before this one writes, so that replies leave in
                    // a row: a peer that sleeps is woken once, not by each of its connections.
                    // Who has published to many is answered before they get their messages, so
                    // that it goes on while those are written.
                    Ok(_) if node.last_step() >= LONG_STEP && !node.woke_others() => {
                        return Poll::Ready(Turn::Yield);
                    }
                    Ok(_) => {}
                    Err(_) => return Poll::Ready(Turn::Over),
                }
            }
        }
    }

    /// Reads what has arrived and hands it to the engine.
    #[inline]
    fn read(&mut self, node: &mut Node<P>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.len() >= DIRECT_BYTES {
            self.make_room(node);
            let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
            self.step_own(node);
            return Poll::Ready(Ok(read));
        }
        node.input.clear();
        node.input.reserve(READ_BYTES);
        node.input.extend_from_slice(&self.input);
        let read = ready!(pin!(self.stream.read_buf(&mut node.input)).poll(cx))?;
        if read > 0 {
            let mut bytes = core::mem::take(&mut node.input);
            node.received(&mut bytes, &self.mailbox);
            if !(bytes.is_empty() && self.input.is_empty()) {
                self.input = BytesMut::from(&bytes[..]);
            }
            node.input = bytes;
        }
        Poll::Ready(Ok(read))
    }

    /// Hands the engine what is left of the input.
    fn step_own(&mut self, node: &mut Node<P>) {
        node.received(&mut self.input, &self.mailbox);
        if self.input.len() < DIRECT_BYTES {
            self.input = BytesMut::from(&self.input[..]);
        }
    }

    /// Makes room for the rest of a long word.
    fn make_room(&mut self, node: &Node<P>) {
        let len = self.input.len();
        if self.input.capacity() == len {
            let wanted = node.engine().bytes_wanted(self.mailbox.conn, len);
            self.input.reserve(wanted.clamp(READ_BYTES, len.max(RESERVED_BYTES_MAX)));
        }
    }

    /// Writes all that the engine has for this client; pending: the kernel did not take it all.
    #[inline]
    fn write(&mut self, node: &mut Node<P>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let conn = self.mailbox.conn;
        if self.output.is_empty() {
            node.take_output(conn);
            let (written, result) = write_out(&mut self.stream, cx, &node.output);
            node.sent(conn, written);
            if result.is_pending() {
                self.output = core::mem::take(&mut node.output);
                self.written = written;
                return Poll::Pending;
            }
            node.recycle_output();
            ready!(result)?;
            return self.flush(cx);
        }
        node.take_output_into(conn, &mut self.output);
        let (written, result) = write_out(&mut self.stream, cx, &self.output[self.written..]);
        node.sent(conn, written);
        self.written += written;
        if result.is_ready() {
            self.output = Vec::new();
            self.written = 0;
        } else if self.written > self.output.len() / 2 {
            self.output.drain(..self.written);
            self.written = 0;
        }
        ready!(result)?;
        self.flush(cx)
    }

    /// Sends what the stream itself still holds.
    #[inline]
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.unflushed = result.is_pending();
        result
    }
}

/// Writes until all is written or the stream takes no more; tells how much that was.
#[inline]
fn write_out<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> (usize, Poll<io::Result<()>>) {
    let mut written = 0;
    while written < bytes.len() {
        match Pin::new(&mut *stream).poll_write(cx, &bytes[written..]) {
            Poll::Ready(Ok(0)) => {
                return (written, Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
            }
            Poll::Ready(Ok(len)) => written += len,
            Poll::Ready(Err(error)) => return (written, Poll::Ready(Err(error))),
            Poll::Pending => return (written, Poll::Pending),
        }
    }
    (written, Poll::Ready(Ok(())))
}

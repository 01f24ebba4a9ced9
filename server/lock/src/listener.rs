//! The connection on which waiters in queues are woken.
//!
//! Invariant: a wake-up that is lost, because the connection broke or none was there yet, delays a
//! waiter no longer than until it asks again by itself (S36); whenever the connection is made anew,
//! to the same server or to another, all who wait ask at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use orrery_base::encode::command;
use tokio::time::{sleep, timeout};

use crate::address::Address;
use crate::connection::{PAUSE_MAX, PAUSE_MIN, PING, connect};
use crate::hub::Hub;
use crate::primary::Whereabouts;
use crate::reply::{self, Value};
use crate::stream::Dialer;
use crate::turn::woken;

/// A server that says nothing for so long is asked whether it is there.
const QUIET: Duration = Duration::from_secs(5);

/// Listens for ever, wherever the server is.
pub(crate) async fn listen(hub: Arc<Hub>, server: Arc<Whereabouts>, dialer: Dialer) {
    let mut current = server.watch();
    let mut pause = PAUSE_MIN;
    loop {
        let address = current.borrow_and_update().clone();
        let heard = async {
            // Where nobody was found yet there is nothing to be heard until somebody is.
            let Some(address) = &address else { return std::future::pending().await };
            let why = match hear(&hub, address, &dialer, &mut pause).await {
                Ok(()) => io::ErrorKind::UnexpectedEof.into(),
                Err(error) => error,
            };
            tracing::debug!(server = %address, %why, "nobody is woken by the server for now");
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        };
        tokio::select! {
            () = heard => {}
            // The sender lives as long as the server's whereabouts.
            _ = current.changed() => {}
        }
    }
}

/// Listens until the connection is closed.
async fn hear(
    hub: &Hub,
    address: &Address,
    dialer: &Dialer,
    pause: &mut Duration,
) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut stream = timeout(dialer.patience, connect(address, dialer)).await.map_err(late)??;
    let mut out = Vec::new();
    command(&mut out, [b"SUBSCRIBE".as_slice(), hub.channel().as_bytes()]);
    stream.write_all(&out).await?;
    let mut bytes = Vec::new();
    let mut was_asked = false;
    loop {
        match timeout(QUIET, stream.read_buf(&mut bytes)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => drop(read?),
            Err(_) if was_asked => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {
                stream.write_all(PING).await?;
                was_asked = true;
                continue;
            }
        }
        was_asked = false;
        let odd = |reply::Odd| io::Error::from(io::ErrorKind::InvalidData);
        while let Some((said, len)) = reply::read(&bytes).map_err(odd)? {
            bytes.drain(..len);
            let Value::Array(words) = said else { continue };
            match words.iter().map(Value::text).collect::<Vec<_>>()[..] {
                [Some(b"subscribe"), ..] => {
                    *pause = PAUSE_MIN;
                    hub.hurry_all();
                }
                [Some(b"message"), _, Some(message)] => {
                    woken(message).map_or((), |id| hub.hurry(id))
                }
                _ => {}
            }
        }
    }
}

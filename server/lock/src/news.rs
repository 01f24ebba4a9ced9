//! A second connection to a server, on which it tells that the keys of locks are gone.
//!
//! The first connection is tracked: of every key that was read over it, and of no other, the server
//! tells once that somebody else has changed it (client-side caching, Redis 6 and later).
//!
//! Invariant: news is no proof. It only makes an extension early, whose answers say whether the
//! lock is lost; false news and news that is lost do no harm.

use std::io;
use std::time::Duration;

use orrery_base::encode::command;
use tokio::time::{sleep, timeout};

use crate::address::Address;
use crate::connection::{PAUSE_MAX, PAUSE_MIN, Speaker, connect, late, odd, refused};
use crate::hub::Hub;
use crate::reply::Value;
use crate::stream::{Dialer, Stream};

/// The channel on which servers tell it to clients of RESP2.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Listens for as long as the connection to the server is there.
pub(crate) async fn hear(hub: &Hub, node: usize, address: &Address, dialer: &Dialer) {
    let mut pause = PAUSE_MIN;
    loop {
        let why = match follow(hub, node, address, dialer, &mut pause).await {
            Ok(()) => io::ErrorKind::UnexpectedEof.into(),
            Err(error) => error,
        };
        // Each time would be too often: the pauses end at two seconds.
        if pause == PAUSE_MIN {
            tracing::warn!(server = %address, %why, "the server tells of no losses for now");
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Listens until the connection is closed.
async fn follow(
    hub: &Hub,
    node: usize,
    address: &Address,
    dialer: &Dialer,
    pause: &mut Duration,
) -> io::Result<()> {
    let beginning = async {
        let mut stream = connect(address, dialer).await?;
        let mut speaker = Speaker { stream: &mut stream, pending: Vec::new() };
        let mut out = Vec::new();
        command(&mut out, [b"CLIENT".as_slice(), b"ID"]);
        command(&mut out, [b"SUBSCRIBE".as_slice(), CHANNEL]);
        speaker.say(&out).await?;
        let id = speaker.hear().await?.number().ok_or_else(odd)?.to_string();
        refused(speaker.hear().await?)?;
        let words: [&[u8]; 6] =
            [b"CLIENT", b"TRACKING", b"ON", b"REDIRECT", id.as_bytes(), b"NOLOOP"];
        let answer = hub.command(node, &words).await.ok().flatten();
        refused(answer.ok_or(io::ErrorKind::NotConnected)?)?;
        Ok::<_, io::Error>((speaker.pending, stream))
    };
    let (pending, mut stream) = timeout(dialer.patience, beginning).await.map_err(|_| late())??;
    *pause = PAUSE_MIN;
    // What happened before nobody has told; their keys are read again as well.
    hub.track(node);
    hub.suspect(None);
    listen(hub, &mut stream, pending).await
}

async fn listen(hub: &Hub, stream: &mut Stream, pending: Vec<u8>) -> io::Result<()> {
    let mut speaker = Speaker { stream, pending };
    loop {
        let said = match speaker.hear().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            said => said?,
        };
        let Value::Array(words) = said else { continue };
        match &words[..] {
            [_, _, Value::Array(keys)] => {
                keys.iter().filter_map(Value::text).for_each(|key| hub.suspect(Some(key)));
            }
            // Everything was flushed.
            [Value::Text(kind), _, Value::Null] if kind == b"message" => hub.suspect(None),
            _ => {}
        }
    }
}

//! The bytes between this client and a server, whatever they go over.
//!
//! Invariant: a writer never waits, so that whoever asks for a lock writes the request itself, and
//! no task has to be woken for it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::address::Place;

/// A connection that one task asks over and reads from.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The half of a connection that is read from.
pub(crate) enum Reader {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// The half of a connection that is written to, by whoever has something to say.
pub(crate) enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

impl Stream {
    pub(crate) async fn connect(place: &Place) -> io::Result<Self> {
        match place {
            Place::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Place::Unix { path } => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }

    /// Appends what has arrived, at least a byte; 0: nothing will.
    pub(crate) async fn read_buf(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_buf(bytes).await,
            Self::Unix(stream) => stream.read_buf(bytes).await,
        }
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    pub(crate) fn into_split(self) -> (Reader, Writer) {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Tcp(reader), Writer::Tcp(writer))
            }
            Self::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Unix(reader), Writer::Unix(writer))
            }
        }
    }
}

impl Reader {
    /// Appends what has arrived, at least a byte; 0: nothing will. Nothing is lost if nobody waits
    /// for it to the end.
    pub(crate) async fn read_buf(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(reader) => reader.read_buf(bytes).await,
            Self::Unix(reader) => reader.read_buf(bytes).await,
        }
    }
}

impl Writer {
    /// Writes what there is room for; returns how much that is.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(writer) => writer.try_write(bytes),
            Self::Unix(writer) => writer.try_write(bytes),
        }
    }

    /// Waits until there may be room.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(writer) => writer.writable().await,
            Self::Unix(writer) => writer.writable().await,
        }
    }
}

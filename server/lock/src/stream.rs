//! The bytes between this client and a server, whatever they go over.
//!
//! Invariant: a writer never waits, so that whoever asks for a lock writes the request itself, and
//! no task has to be woken for it.

use std::io;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::address::Place;
#[cfg(feature = "tls")]
use crate::tls;

/// How all connections of a client are made.
#[derive(Clone)]
pub(crate) struct Dialer {
    /// How long it may take until a server is connected and greeted.
    pub(crate) patience: Duration,
    /// Where a server wants TLS.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<tokio_rustls::TlsConnector>,
}

/// A connection that one task asks over and reads from.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// The half of a connection that is read from.
pub(crate) enum Reader {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
    #[cfg(feature = "tls")]
    Tls(Arc<tls::Session>),
}

/// The half of a connection that is written to, by whoever has something to say.
pub(crate) enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
    #[cfg(feature = "tls")]
    Tls(Arc<tls::Session>),
}

impl Dialer {
    pub(crate) async fn connect(&self, place: &Place) -> io::Result<Stream> {
        match place {
            Place::Tcp { host, port, is_secure } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                if *is_secure { self.secure(host, stream).await } else { Ok(Stream::Tcp(stream)) }
            }
            Place::Unix { path } => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        }
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, host: &str, stream: TcpStream) -> io::Result<Stream> {
        let connector = self.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Stream::Tls(Box::new(tls::connect(connector, host, stream).await?)))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, _host: &str, _stream: TcpStream) -> io::Result<Stream> {
        // No address asks for it.
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Stream {
    /// Appends what has arrived, at least a byte; 0: nothing will.
    pub(crate) async fn read_buf(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_buf(bytes).await,
            Self::Unix(stream) => stream.read_buf(bytes).await,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read_buf(bytes).await.map_err(tls::in_words),
        }
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Unix(stream) => stream.write_all(bytes).await,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
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
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let session = Arc::new(tls::Session::new(*stream));
                (Reader::Tls(Arc::clone(&session)), Writer::Tls(session))
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
            #[cfg(feature = "tls")]
            Self::Tls(session) => session.read_buf(bytes).await,
        }
    }
}

impl Writer {
    /// Takes what there is room for; returns how much that is.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(writer) => writer.try_write(bytes),
            Self::Unix(writer) => writer.try_write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(session) => session.try_write(bytes),
        }
    }

    /// Writes what was taken and is not on its way yet; returns whether something is left of it.
    pub(crate) fn try_flush(&self) -> io::Result<bool> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(false),
            #[cfg(feature = "tls")]
            Self::Tls(session) => session.try_flush(),
        }
    }

    /// Waits until there may be room.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(writer) => writer.writable().await,
            Self::Unix(writer) => writer.writable().await,
            #[cfg(feature = "tls")]
            Self::Tls(session) => session.writable().await,
        }
    }
}

//! TLS by rustls: the certificates that a client goes by, and a connection whose halves two tasks
//! use.
//!
//! Invariants: a server's name is always verified; a writer never waits; nothing that was encrypted
//! is lost or sent twice, and there is never more of it than one write.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore,
};

/// Longer texts hold no certificates that anybody wants.
const PEM_BYTES_MAX: usize = 4 << 20;

/// Whom a client trusts, and how it shows who it is.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    /// Certificates of authorities as PEM; `None`: those of the system.
    pub(crate) roots: Option<Vec<u8>>,
    /// A chain of certificates and its key, as PEM.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certificates {
    /// Puts together what handshakes are made with, or says what is wrong with it.
    pub(crate) fn connector(&self) -> Result<TlsConnector, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots()?);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain)?;
                let key = sized(key).and_then(|pem| {
                    PrivateKeyDer::from_pem_slice(pem)
                        .map_err(|error| format!("the client's key cannot be read: {error}"))
                })?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| format!("the client's certificate and key: {error}"))?
            }
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.roots {
            for certificate in certificates(pem)? {
                let added = roots.add(certificate);
                added.map_err(|error| format!("a root certificate is none: {error}"))?;
            }
            return Ok(roots);
        }
        let found = rustls_native_certs::load_native_certs();
        // The system may have some that nobody can read; others are enough.
        if roots.add_parsable_certificates(found.certs).0 == 0 {
            return Err("the system has no root certificates: name some".to_owned());
        }
        Ok(roots)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

fn sized(pem: &[u8]) -> Result<&[u8], String> {
    let fits = pem.len() <= PEM_BYTES_MAX;
    fits.then_some(pem).ok_or_else(|| "certificates have at most 4 MiB".to_owned())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(sized(pem)?).collect();
    match certificates {
        Ok(none) if none.is_empty() => Err("there is no certificate in the PEM text".to_owned()),
        certificates => certificates.map_err(|error| format!("a certificate is none: {error}")),
    }
}

/// Shakes hands with the server that is called so.
pub(crate) async fn connect(
    connector: &TlsConnector,
    host: &str,
    socket: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        io::Error::new(ErrorKind::InvalidInput, "no certificate can be for this host's name")
    })?;
    connector.connect(name, socket).await.map_err(in_words)
}

/// What went wrong, in words that say what is to be done about it.
pub(crate) fn in_words(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let words = match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate is signed by none of the root certificates"
        }
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "its certificate is for another name",
        Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            "it wants a certificate of the client"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{words} ({error})"))
}

/// A connection whose halves two tasks use.
pub(crate) struct Session {
    socket: TcpStream,
    state: Mutex<ClientConnection>,
}

impl Session {
    pub(crate) fn new(stream: TlsStream<TcpStream>) -> Self {
        let (socket, state) = stream.into_inner();
        Self { socket, state: Mutex::new(state) }
    }

    /// Appends what has arrived, at least a byte; 0: nothing will.
    pub(crate) async fn read_buf(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            if let Some(len) = self.take_text(bytes)? {
                return Ok(len);
            }
            self.socket.readable().await?;
            self.receive().map_err(in_words)?;
        }
    }

    /// Takes what is decrypted already; `None`: nothing yet.
    fn take_text(&self, bytes: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let mut state = self.state();
        let mut reader = state.reader();
        match reader.fill_buf() {
            Ok(text) => {
                let len = text.len();
                bytes.extend_from_slice(text);
                reader.consume(len);
                Ok(Some(len))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn receive(&self) -> io::Result<()> {
        let mut state = self.state();
        match state.read_tls(&mut Socket(&self.socket)) {
            // What the end of the bytes means is for the reader to say.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        state.process_new_packets().map_err(|error| {
            // It is told what is wrong, if there is room.
            drop(self.push(&mut state));
            io::Error::new(ErrorKind::InvalidData, error)
        })?;
        Ok(())
    }

    /// Writes what there is room for; returns how much that is.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        self.push(&mut state)?;
        let len = state.writer().write(bytes)?;
        match self.push(&mut state) {
            // It is encrypted, and goes before whatever comes next.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(len),
            pushed => pushed.map(|()| len),
        }
    }

    /// Sends what was encrypted and found no room; returns whether something is left.
    pub(crate) fn try_flush(&self) -> io::Result<bool> {
        match self.push(&mut self.state()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            pushed => pushed.map(|()| false),
        }
    }

    /// Waits until there may be room.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    fn push(&self, state: &mut ClientConnection) -> io::Result<()> {
        while state.wants_write() {
            if state.write_tls(&mut Socket(&self.socket))? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, ClientConnection> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session {
    /// The server is told that this is the end, and nothing was cut off.
    fn drop(&mut self) {
        let mut state = self.state();
        state.send_close_notify();
        drop(self.push(&mut state));
    }
}

/// A socket as rustls reads and writes it: without waiting.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::timeout;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::server::TlsStream as ServerStream;

    /// Longer than anything takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A session through a small buffer, and who is at the other end.
    async fn session() -> (Session, ServerStream<TcpStream>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate can be made");
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("there are versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.expect("it was just made"))
            .expect("they belong together");
        let certificates =
            Certificates { roots: Some(made.cert.pem().into_bytes()), identity: None };
        let connector = certificates.connector().expect("it is good");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_send_buffer_size(4096).expect("it may be small");
        let address = listener.local_addr().expect("it is bound");
        let near = async {
            let socket = socket.connect(address).await.expect("it listens");
            connect(&connector, "localhost", socket).await.expect("it is trusted")
        };
        let far = async {
            let (socket, _) = listener.accept().await.expect("it comes");
            let acceptor = TlsAcceptor::from(Arc::new(config));
            acceptor.accept(socket).await.expect("it shakes hands")
        };
        let (near, far) = tokio::join!(near, far);
        (Session::new(near), far)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_finds_no_room_is_kept_and_sent_once_there_is() {
        let (session, mut far) = session().await;
        let mut sent = Vec::new();
        for number in 0_u32.. {
            let text = number.to_be_bytes().repeat(1000);
            match session.try_write(&text) {
                Ok(len) => sent.extend_from_slice(&text[..len]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert_eq!(session.try_flush().ok(), Some(true), "a part is encrypted and waits");
        let mut heard = vec![0; sent.len()];
        let flush = async {
            while session.try_flush()? {
                session.writable().await?;
            }
            io::Result::Ok(())
        };
        let both = timeout(PATIENCE, async { tokio::join!(flush, far.read_exact(&mut heard)) });
        let (flushed, read) = both.await.expect("nothing stays behind");
        assert!(flushed.is_ok() && read.is_ok() && heard == sent);
        far.write_all(b"heard").await.expect("there is room");
        let mut answer = Vec::new();
        while answer.len() < 5 {
            let read = timeout(PATIENCE, session.read_buf(&mut answer)).await;
            read.expect("it comes").expect("it is whole");
        }
        assert_eq!(answer, b"heard");
        // The end is said, not only made.
        drop(session);
        let end = timeout(PATIENCE, far.read(&mut heard)).await.expect("it ends");
        assert_eq!(end.expect("it was not cut off"), 0);
    }

    #[test]
    fn texts_without_certificates_are_refused_and_so_are_those_that_are_too_long() {
        let why = |pem: Vec<u8>| {
            let given = Certificates { roots: Some(pem), identity: None };
            given.connector().err().unwrap_or_default()
        };
        assert!(why(Vec::new()).contains("no certificate"), "nothing");
        let begin = b"-----BEGIN CERTIFICATE-----\n";
        let end = b"\n-----END CERTIFICATE-----\n";
        assert!(why([&begin[..], b"%", end].concat()).contains("is none"));
        assert!(why([&begin[..], b"AAAA", end].concat()).contains("is none"));
        assert!(why(vec![b' '; PEM_BYTES_MAX]).contains("no certificate"));
        assert!(why(vec![b' '; PEM_BYTES_MAX + 1]).contains("at most 4 MiB"));
        let shown = Certificates { roots: Some(b"root".to_vec()), identity: None };
        assert_eq!(format!("{shown:?}"), "Certificates", "keys are not shown");
    }
}

//! Clients that use certificates made for a test.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use crate::authority::{Authority, Identity};
use crate::process::PATIENCE;

/// Both versions that there are.
pub(crate) const ANY: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A client with TLS.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// How a client shakes hands; its sessions live with it.
#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    pub(crate) fn new(
        trusts: &Authority,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&trusts.pem())).expect("a good authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("supported versions")
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate: pem, key }) => builder
                .with_client_auth_cert(
                    vec![certificate(pem)],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a good key"),
                )
                .expect("the key of the certificate"),
        };
        Self(Arc::new(config))
    }

    /// Connects and gets a first reply; with TLS 1.3 that is when a client learns whether the
    /// server took its certificate.
    pub(crate) fn connect(&self, port: u16) -> io::Result<Stream> {
        let name = ServerName::try_from("localhost").expect("a good name");
        let connection = ClientConnection::new(Arc::clone(&self.0), name).expect("a good config");
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0; 7];
        stream.read_exact(&mut reply)?;
        assert_eq!(&reply, b"+PONG\r\n");
        Ok(stream)
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a good certificate")
}

/// Whether the client took up an earlier session.
pub(crate) fn is_resumed(stream: &Stream) -> bool {
    stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Whether the server showed this certificate.
pub(crate) fn shows(stream: &Stream, identity: &Identity) -> bool {
    let shown = stream.conn.peer_certificates().expect("the handshake is over");
    shown[0] == certificate(&identity.certificate)
}

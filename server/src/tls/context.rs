//! From the parameters to what handshakes are made with.
//!
//! Invariant: everything that can be wrong with the parameters or their files is found here, before
//! anything of it is in force.

use std::path::PathBuf;
use std::sync::Arc;

use orrery_engine::{Config, LogLevel, Micros};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};

use super::sessions::SessionCache;
use super::{ciphers, identity};
use crate::platform::Platform;

/// A session that is taken up again needs one ticket, and brings the next.
const TICKETS: usize = 1;

/// What the parameters say about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// The port; 0: none.
    pub(crate) port: u16,
    /// How long a handshake may take.
    pub(crate) handshake_timeout: Micros,
    /// Handshakes that may go on at a time.
    pub(crate) handshakes_max: usize,
    certificates: Option<PathBuf>,
    key: Option<PathBuf>,
    key_password: String,
    authorities: Option<PathBuf>,
    authorities_folder: Option<PathBuf>,
    client_certificate: ClientCertificate,
    names_user: bool,
    protocols: String,
    ciphers: String,
    suites: String,
    prefers_own_suites: bool,
    caches_sessions: bool,
    sessions_max: usize,
    session_lifetime: Micros,
}

/// What a client must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientCertificate {
    Required,
    Optional,
    Unasked,
}

/// What handshakes are made with; a change of the parameters makes another.
pub(crate) struct TlsContext {
    pub(super) acceptor: TlsAcceptor,
    pub(super) sessions: Option<Arc<SessionCache>>,
    /// Whether the user is the one that the client's certificate names.
    pub(super) names_user: bool,
}

impl TlsSettings {
    pub(crate) fn of(config: &Config) -> Self {
        let text = |name| config.value(name).unwrap_or_default();
        let path = |name| Some(text(name)).filter(|path| !path.is_empty()).map(PathBuf::from);
        let number = |name| text(name).parse::<u64>().unwrap_or(0);
        Self {
            port: text("tls-port").parse().unwrap_or(0),
            handshake_timeout: Micros::from_millis(number("tls-handshake-timeout-ms")),
            handshakes_max: number("tls-handshakes-max") as usize,
            certificates: path("tls-cert-file"),
            key: path("tls-key-file"),
            key_password: text("tls-key-file-pass"),
            authorities: path("tls-ca-cert-file"),
            authorities_folder: path("tls-ca-cert-dir"),
            client_certificate: match text("tls-auth-clients").as_str() {
                "no" => ClientCertificate::Unasked,
                "optional" => ClientCertificate::Optional,
                _ => ClientCertificate::Required,
            },
            names_user: text("tls-auth-clients-user") == "CN",
            protocols: text("tls-protocols"),
            ciphers: text("tls-ciphers"),
            suites: text("tls-ciphersuites"),
            prefers_own_suites: text("tls-prefer-server-ciphers") == "yes",
            caches_sessions: text("tls-session-caching") == "yes",
            sessions_max: number("tls-session-cache-size") as usize,
            session_lifetime: Micros::from_secs(number("tls-session-cache-timeout")),
        }
    }
}

/// Whether a change of this parameter needs another context.
pub(crate) fn shapes_context(name: &str) -> bool {
    const APART: [&str; 3] = ["tls-port", "tls-handshake-timeout-ms", "tls-handshakes-max"];
    name.starts_with("tls-") && !APART.contains(&name)
}

/// Reads the files and puts everything together, or says in the words of a log line why not.
pub(crate) fn load<P: Platform>(
    platform: &P,
    settings: &TlsSettings,
) -> Result<TlsContext, String> {
    let certificates = settings.certificates.as_deref().ok_or("No tls-cert-file configured!")?;
    let key = settings.key.as_deref().ok_or("No tls-key-file configured!")?;
    let (file, folder) = (settings.authorities.as_deref(), settings.authorities_folder.as_deref());
    let checks_clients = settings.client_certificate != ClientCertificate::Unasked;
    if checks_clients && file.is_none() && folder.is_none() {
        return Err("Either tls-ca-cert-file or tls-ca-cert-dir must be specified when \
                    tls-cluster, tls-replication or tls-auth-clients are enabled!"
            .to_owned());
    }
    let versions = versions(platform, &settings.protocols)?;
    let provider = Arc::new(provider(settings)?);
    let own = identity::own(platform, certificates, key, &settings.key_password, &provider)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| format!("Failed to configure TLS: {error}"))?;
    // The files must be good whether clients are checked or not.
    let roots = (file.is_some() || folder.is_some())
        .then(|| identity::authorities(platform, file, folder))
        .transpose()?;
    let builder = match roots.filter(|_| checks_clients) {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            if settings.client_certificate == ClientCertificate::Optional {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier.build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| format!("Failed to configure TLS: {error}"))?,
            )
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.ignore_client_order = settings.prefers_own_suites;
    let sessions = settings
        .caches_sessions
        .then(|| Arc::new(SessionCache::new(settings.sessions_max, settings.session_lifetime)));
    config.send_tls13_tickets = if sessions.is_some() { TICKETS } else { 0 };
    config.session_storage = match &sessions {
        Some(sessions) => Arc::clone(sessions) as Arc<_>,
        None => Arc::new(NoServerSessionStorage {}),
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Ok(TlsContext { acceptor, sessions, names_user: settings.names_user })
}

/// The versions that `tls-protocols` names; rustls has none before 1.2.
fn versions<P: Platform>(
    platform: &P,
    protocols: &str,
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    if protocols.is_empty() {
        return Ok(vec![&TLS13, &TLS12]);
    }
    let mut versions = Vec::new();
    for word in protocols.split(' ').filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.3" => versions.push(&TLS13),
            "tlsv1.2" => versions.push(&TLS12),
            "tlsv1" | "tlsv1.1" => {
                let text = format!("Warning: {word} is not supported: clients need TLSv1.2");
                platform.log(LogLevel::Warning, &text);
            }
            _ => {
                return Err("Invalid tls-protocols specified. Use a combination of 'TLSv1', \
                            'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'."
                    .to_owned());
            }
        }
    }
    if versions.is_empty() {
        return Err(format!("None of '{protocols}' is supported: use TLSv1.2 or TLSv1.3"));
    }
    Ok(versions)
}

/// The cryptography, with the suites that the parameters name.
fn provider(settings: &TlsSettings) -> Result<CryptoProvider, String> {
    let (ciphers, suites) = (settings.ciphers.as_str(), settings.suites.as_str());
    let tls12 = if ciphers.is_empty() { ciphers::all_tls12() } else { ciphers::tls12(ciphers) };
    let tls13 = if suites.is_empty() { ciphers::all_tls13() } else { ciphers::tls13(suites) };
    if tls12.is_empty() {
        return Err(format!("Failed to configure ciphers: none of '{ciphers}' is supported"));
    }
    if tls13.is_empty() {
        return Err(format!("Failed to configure ciphersuites: none of '{suites}' is supported"));
    }
    let mut provider = ring::default_provider();
    provider.cipher_suites = tls13;
    provider.cipher_suites.extend(tls12);
    Ok(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_redis_by_default() {
        let settings = TlsSettings::of(&Config::default());
        assert_eq!((settings.port, settings.caches_sessions), (0, true));
        assert_eq!(settings.client_certificate, ClientCertificate::Required);
        assert_eq!(settings.handshake_timeout, Micros::from_secs(10));
        assert_eq!(settings.sessions_max, 20_480);
        assert!(!settings.names_user);
        assert_eq!(settings.certificates, None);
    }
}

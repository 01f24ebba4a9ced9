//! Certificates and keys out of the files that the parameters name.
//!
//! Invariant: an error says which file and what is wrong with it, and never shows a secret.

use std::path::Path;
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::platform::{Platform, reason};

/// An encrypted key as OpenSSL writes it (PKCS #8).
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// The server's own certificates and key.
pub(super) fn own<P: Platform>(
    platform: &P,
    certificates: &Path,
    key: &Path,
    password: &str,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let failed = |what: &str, path: &Path, why: &str| {
        Err(format!("Failed to load {what}: {}: {why}", path.display()))
    };
    let chain = match certificates_of(platform, certificates) {
        Ok(chain) if chain.is_empty() => {
            return failed("certificate", certificates, "no certificate in PEM form in the file");
        }
        Ok(chain) => chain,
        Err(why) => return failed("certificate", certificates, &why),
    };
    // Certificates of version 1 are fine here, which rustls would not read.
    let Ok(leaf) = Certificate::from_der(&chain[0]) else {
        return failed("certificate", certificates, "not a certificate");
    };
    let der = match private_key(platform, key, password) {
        Ok(der) => der,
        Err(why) => return failed("private key", key, &why),
    };
    let signer = match provider.key_provider.load_private_key(der) {
        Ok(signer) => signer,
        Err(error) => return failed("private key", key, &error.to_string()),
    };
    let certified = leaf.tbs_certificate().subject_public_key_info().to_der();
    if let (Some(public), Ok(certified)) = (signer.public_key(), certified)
        && public.as_ref() != certified
    {
        return failed("private key", key, "it is not the key of the certificate");
    }
    Ok(CertifiedKey::new(chain, signer))
}

/// The certificates of those who may vouch for clients.
pub(super) fn authorities<P: Platform>(
    platform: &P,
    file: Option<&Path>,
    folder: Option<&Path>,
) -> Result<Arc<RootCertStore>, String> {
    let failed = |path: &Path, why: &str| {
        format!("Failed to configure CA certificate(s) file/directory: {}: {why}", path.display())
    };
    let mut roots = RootCertStore::empty();
    if let Some(path) = file {
        let found = certificates_of(platform, path).map_err(|why| failed(path, &why))?;
        if found.is_empty() {
            return Err(failed(path, "no certificate in PEM form in the file"));
        }
        for certificate in found {
            roots.add(certificate).map_err(|error| failed(path, &error.to_string()))?;
        }
    }
    if let Some(folder) = folder {
        let files = platform.list_folder(folder);
        for path in files.map_err(|error| failed(folder, &reason(&error)))? {
            // What else lies in the folder is none of our business, as for OpenSSL.
            roots.add_parsable_certificates(certificates_of(platform, &path).unwrap_or_default());
        }
        if roots.is_empty() {
            return Err(failed(folder, "no certificate in PEM form in the folder"));
        }
    }
    Ok(Arc::new(roots))
}

/// The common name of a certificate's subject, the first one if there are several.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let name = certificate.tbs_certificate().subject().common_name().ok()??;
    Some(name.value().into_owned()).filter(|name| !name.is_empty())
}

fn certificates_of<P: Platform>(
    platform: &P,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = platform.read_file(path).map_err(|error| reason(&error))?;
    let found: Result<_, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    found.map_err(|error| format!("not in PEM form: {error}"))
}

fn private_key<P: Platform>(
    platform: &P,
    path: &Path,
    password: &str,
) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = platform.read_file(path).map_err(|error| reason(&error))?;
    if let Some(section) = section(&bytes, ENCRYPTED) {
        return decrypt(section, password);
    }
    if section(&bytes, "RSA PRIVATE KEY").is_some_and(|text| text.contains("Proc-Type: 4")) {
        return Err(
            "encrypted in OpenSSL's old form; write it anew with 'openssl pkcs8 -topk8'".to_owned()
        );
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| format!("no private key: {error}"))
}

fn decrypt(pem: &str, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    if password.is_empty() {
        return Err("encrypted, and tls-key-file-pass is not set".to_owned());
    }
    let (_, document) =
        SecretDocument::from_pem(pem).map_err(|error| format!("not in PEM form: {error}"))?;
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
        .map_err(|error| format!("encrypted in a way that is not known: {error}"))?;
    let key = encrypted
        .decrypt(password)
        .map_err(|_| "cannot be decrypted with tls-key-file-pass".to_owned())?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// The first section of that label in a PEM file, with its first and last line.
fn section<'a>(bytes: &'a [u8], label: &str) -> Option<&'a str> {
    let text = str::from_utf8(bytes).ok()?;
    let start = text.find(&format!("-----BEGIN {label}-----"))?;
    let last = format!("-----END {label}-----");
    let end = start + text[start..].find(&last)? + last.len();
    Some(&text[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by openssl 3.0 for this test: a key, the same encrypted with "secret", a certificate of
    // it for "CN=first, O=Orrery, CN=zoë smith".
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8viE02PyNkgOgl3S
lyTCihLE5EEX+rW65dptmtI6m7ihRANCAATKNt+ZKjZ8MzFa2abdBj2XER7kDvSa
BWJzbyd9lq7PIhybcQHcGZl/In5vBpPBfJrnb/tmCE+cZUaSBqjc6xgV
-----END PRIVATE KEY-----
";
    const ENCRYPTED_KEY: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAirqQpBuDl2JgICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFJMHJV7axHn8DhcpK7TuKEEgZAe
nKmFEP8uT+41fRozKZOMUT/qbZUEmlAJ84XwxwW7Kwmw9HV5AVLRBIeTulG/hZTm
eo8qBDuni9HPlbRJkuc7mxQCypk/MJAIkSwsxAwlcVK93Of7QC0BtlIR+38+2Mlm
WTqRJJvHdsTbOBTUZHIAe61W+tmQl4VyhcYKpRWquWQKLOB2VYjyPx9fZEQPvec=
-----END ENCRYPTED PRIVATE KEY-----
";
    const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBxDCCAWmgAwIBAgIUT6mbvDhwTMb08s9pI1BDbRkaxqkwCgYIKoZIzj0EAwIw
NjEOMAwGA1UEAwwFZmlyc3QxDzANBgNVBAoMBk9ycmVyeTETMBEGA1UEAwwKem/D
qyBzbWl0aDAgFw0yNjExMjAxNjU1MjZaGA8yMTI2MTAyNzE2NTUyNlowNjEOMAwG
A1UEAwwFZmlyc3QxDzANBgNVBAoMBk9ycmVyeTETMBEGA1UEAwwKem/DqyBzbWl0
aDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMo235kqNnwzMVrZpt0GPZcRHuQO
9JoFYnNvJ32Wrs8iHJtxAdwZmX8ifm8Gk8F8mudv+2YIT5xlRpIGqNzrGBWjUzBR
MB0GA1UdDgQWBBSQgX0WodD1lhli4YwvKWstnIjJgTAfBgNVHSMEGDAWgBSQgX0W
odD1lhli4YwvKWstnIjJgTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kA
MEYCIQCpsnADWlUO5+/AgW01Kg5jSYhzJVhPP1Elm4yyCIH2LQIhAO8zWa4A1AsX
BgGpV9ekp+8MUYNGwbdqH1H1odc9fME9
-----END CERTIFICATE-----
";

    #[test]
    fn an_encrypted_key_is_read_with_its_password_and_not_without() {
        let plain = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
        let file = format!("something else\n{CERTIFICATE}{ENCRYPTED_KEY}");
        let pem = section(file.as_bytes(), ENCRYPTED).unwrap();
        assert_eq!(decrypt(pem, "secret").unwrap().secret_der(), plain.secret_der());
        let wrong = decrypt(pem, "secreT").unwrap_err();
        assert_eq!(wrong, "cannot be decrypted with tls-key-file-pass");
        assert_eq!(decrypt(pem, "").unwrap_err(), "encrypted, and tls-key-file-pass is not set");
        for damaged in [pem.replace("MIHs", "MIHt"), pem.replace("MIHs", "!!"), pem[..90].into()] {
            decrypt(&damaged, "secret").unwrap_err();
        }
        assert_eq!(section(KEY.as_bytes(), ENCRYPTED), None);
    }

    #[test]
    fn the_first_common_name_counts() {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        assert_eq!(common_name(&certificate).as_deref(), Some("first"));
        assert_eq!(common_name(&certificate[..100]), None);
        assert_eq!(common_name(b""), None);
    }
}

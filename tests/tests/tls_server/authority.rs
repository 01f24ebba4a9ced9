//! Authorities, and the certificates that they sign for a test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

/// Who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(name, "localhost");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("keys can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority signs itself"))
    }

    /// The authority's own certificate in PEM form.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate whose common name is `name`, for localhost.
    pub(crate) fn certify(&self, name: &str) -> Identity {
        self.certify_for(name, "localhost")
    }

    /// A certificate whose common name is `name`, for a host or an IP address.
    pub(crate) fn certify_for(&self, name: &str, host: &str) -> Identity {
        let key = KeyPair::generate().expect("keys can be made");
        let certificate = params(name, host).signed_by(&key, &self.0).expect("the authority signs");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn params(name: &str, host: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a good name");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

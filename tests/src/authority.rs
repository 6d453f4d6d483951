//! A certificate authority of a test, and certificates of servers on loopback.

use std::path::Path;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::place::replace;

/// An authority that no other test knows.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Makes one of this name.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    /// Its certificate (PEM).
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Writes the certificate of a server at 127.0.0.1 and its key to these files.
    pub fn certify(&self, certificate: &Path, key: &Path) -> Result<()> {
        let params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        let own = KeyPair::generate()?;
        replace(certificate, params.signed_by(&own, &self.issuer)?.pem())?;
        replace(key, own.serialize_pem())
    }
}

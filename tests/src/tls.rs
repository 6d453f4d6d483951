//! TLS servers of the rig, which show a certificate of its authority.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Accepts TLS with this certificate, whose key is the file beside it with the extension `key`; and its chain.
pub(crate) fn acceptor(certificate: &Path) -> Result<(TlsAcceptor, Vec<CertificateDer<'static>>)> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(certificate.with_extension("key"))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), chain))
}

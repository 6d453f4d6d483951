//! TLS of the rig's own servers and clients on loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Accepts TLS with this certificate, whose key is the file beside it with the extension `key`; and its chain.
pub(crate) fn acceptor(certificate: &Path) -> Result<(TlsAcceptor, Vec<CertificateDer<'static>>)> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(certificate.with_extension("key"))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), chain))
}

/// Connects to a NATS server on loopback, which has to show a certificate of this authority. Returns the line with which the
/// server greets, the only one in plain text, and the connection after it.
pub(crate) async fn connect_nats(port: u16, authority: &Path) -> Result<(String, TlsStream<TcpStream>)> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut plain = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
    let mut greeting = String::new();
    plain.read_line(&mut greeting).await?;
    let name = ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
    // The server says nothing more before the handshake.
    let connection = TlsConnector::from(Arc::new(config))
        .connect(name, plain.into_inner())
        .await;
    Ok((greeting, connection.context("no TLS with the server")?))
}

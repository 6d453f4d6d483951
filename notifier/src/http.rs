//! One request to a target, over a connection of its own: messages are rare, and a connection that was silent for hours
//! would be found dead by the message that needs it.
//!
//! It follows no redirect and reads no environment.

use std::sync::Arc;
use std::time::Duration;

use bellwether_chassis::chain;
use bellwether_notifier_core::settings::{Header, HeaderValue};
use bellwether_notifier_core::{Fault, Post, Target, Url};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderName, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::SendError;
use crate::secret;

/// How long a request may take, from its connection to the end of its answer: chat services answer within a second, and
/// the service has ten for its stop.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Of an answer no more is read: outcomes have a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const AGENT: &str = concat!("bellwether-notifier/", env!("CARGO_PKG_VERSION"));

/// The answer of a target.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Bytes,
}

/// Sends the request of a message.
pub(crate) async fn send(target: &Target, post: &Post) -> Result<Reply, SendError> {
    let url = secret::url(target, &post.address).await?;
    let request = request(&url, post).await?;
    let tls = if url.is_tls { Some(trust(target).await?) } else { None };
    // Boxed: the states of a handshake are large.
    let exchange = Box::pin(connect(&url, tls, request));
    tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| {
        let detail = format!("{url} has not answered within {} s", TIMEOUT.as_secs());
        Err(SendError::new(Fault::Timeout, detail))
    })
}

/// The authorities that a target's server is trusted by.
pub(crate) async fn trust(target: &Target) -> Result<Arc<ClientConfig>, SendError> {
    let mut roots = RootCertStore::empty();
    match &target.ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            let unusable = |what: &str| SendError::new(Fault::SecretUnusable, format!("{file}: {what}"));
            let pem = secret::read(file).await?;
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let added = certificate.ok().and_then(|it| roots.add(it).ok());
                added.ok_or_else(|| unusable("holds a certificate that cannot be read (PEM)"))?;
            }
            if roots.is_empty() {
                return Err(unusable("holds no certificate in PEM form"));
            }
        }
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn request(url: &Url, post: &Post) -> Result<Request<Full<Bytes>>, SendError> {
    let body = Full::new(Bytes::from(body(post).await?));
    let mut request = Request::post(url.path.as_str())
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, post.content_type.as_str())
        // One request, one connection.
        .header(CONNECTION, "close")
        .body(body)
        .map_err(|error| SendError::new(Fault::MessageRefused, format!("no request to {url}: {error}")))?;
    for Header { name, value } in &post.headers {
        let fault = |problem: &str| SendError::new(Fault::SecretUnusable, format!("the header {name} {problem}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault("is none"))?;
        let text = match value {
            HeaderValue::Plain(text) => text.clone(),
            HeaderValue::File { before, secret } => format!("{before}{}", secret::read(secret).await?),
        };
        let mut value = ::http::HeaderValue::from_str(&text).map_err(|_| fault("needs one line of ASCII"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// The body, with its secret if it has one.
async fn body(post: &Post) -> Result<String, SendError> {
    let Some((field, secret)) = &post.secret_field else {
        return Ok(post.body.clone());
    };
    let content = secret::read(secret).await?;
    let fault = |error: serde_json::Error| SendError::new(Fault::MessageRefused, error.to_string());
    let mut body: serde_json::Value = serde_json::from_str(&post.body).map_err(fault)?;
    if let Some(fields) = body.as_object_mut() {
        fields.insert((*field).to_owned(), content.into());
    }
    Ok(body.to_string())
}

async fn connect(url: &Url, tls: Option<Arc<ClientConfig>>, request: Request<Full<Bytes>>) -> Result<Reply, SendError> {
    let unreachable =
        |error: &dyn std::fmt::Display| SendError::new(Fault::Unreachable, format!("{url} cannot be reached: {error}"));
    let stream = TcpStream::connect((url.host.as_str(), url.port))
        .await
        .map_err(|error| unreachable(&error))?;
    match tls {
        None => exchange(url, stream, request).await,
        Some(config) => {
            let name = ServerName::try_from(url.host.clone()).map_err(|error| unreachable(&error))?;
            let stream = TlsConnector::from(config).connect(name, stream).await;
            exchange(url, stream.map_err(|error| unreachable(&error))?, request).await
        }
    }
}

async fn exchange<S>(url: &Url, stream: S, request: Request<Full<Bytes>>) -> Result<Reply, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: hyper::Error| {
        let detail = format!("{url} broke off: {}", chain(&error));
        SendError::new(Fault::Unreachable, detail)
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|it| it.to_str().ok()).map(str::to_owned);
        // What is too long or broken off is no outcome that could be read; the status counts.
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Ok(Reply {
            status,
            retry_after,
            body,
        })
    };
    // The exchange ends by itself when the connection does.
    let driven = async {
        connection.await.ok();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        reply = exchange => reply,
        () = driven => Err(SendError::new(Fault::Unreachable, format!("{url} broke off"))),
    }
}

//! A validating webhook on loopback, for the API server to ask: a real one, since the API server alone
//! decides how much of a webhook's answer reaches the client.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::listener::Listener;
use crate::tls;

/// Larger than any request of the API server about one object of a test.
const REQUEST_MAX: usize = 1 << 20;

/// The webhook. Dropped, it answers no more.
#[derive(Debug)]
pub struct Webhook {
    listener: Listener,
}

impl Webhook {
    /// Listens on a port of its own. `decide` has the `request` of an AdmissionReview and returns the `status` of a
    /// denial; none allows the request. The webhook shows this certificate, whose key is the file beside it with
    /// the extension `key`.
    pub fn start(certificate: &Path, decide: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> Result<Self> {
        let (acceptor, _) = tls::acceptor(certificate)?;
        let decide: Arc<Decide> = Arc::new(decide);
        let listener = Listener::start(move |connection| answer(connection, acceptor.clone(), Arc::clone(&decide)))?;
        Ok(Self { listener })
    }

    /// Where the API server reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:{}/", Ipv4Addr::LOCALHOST, self.listener.port())
    }
}

/// Decides about the `request` of an AdmissionReview.
type Decide = dyn Fn(&Value) -> Option<Value> + Send + Sync;

/// Answers one request, then closes the connection.
async fn answer(connection: TcpStream, tls: TlsAcceptor, decide: Arc<Decide>) -> Result<()> {
    let mut stream = tls.accept(connection).await?;
    let mut request = Vec::new();
    let body = loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await?;
        anyhow::ensure!(count > 0 && request.len() < REQUEST_MAX, "the request does not end");
        request.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(body) = whole_body(&request)? {
            break body;
        }
    };
    let review: Value = serde_json::from_slice(body)?;
    let request = review.get("request").context("a review without a request")?;
    let mut response = json!({ "uid": request.get("uid"), "allowed": true });
    if let (Some(status), Some(fields)) = (decide(request), response.as_object_mut()) {
        fields.insert("allowed".to_owned(), json!(false));
        fields.insert("status".to_owned(), status);
    }
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
    let review = review.to_string();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let text = format!("{head}Content-Length: {}\r\n\r\n{review}", review.len());
    stream.write_all(text.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// The body of an HTTP request; none while a part of the request is missing.
fn whole_body(request: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(request.get(..end).unwrap_or_default())?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("a request without a length")?.trim().parse()?;
    let body = request.get(end + 4..).unwrap_or_default();
    Ok((body.len() >= length).then_some(body))
}

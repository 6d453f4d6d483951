//! Asks a Prometheus server, or one that speaks its API, such as Thanos, Mimir or VictoriaMetrics.
//!
//! Reads files and the network; what an answer means is in `answer`.

mod answer;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwether_chassis::chain;
use bellwether_policy::{Credentials, PrometheusGate, Question};
use bellwether_scheduler_core::reading::Outcome;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::readings::secret;

/// How large an answer may be: some ten thousand alerts.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Asks the gate's question.
pub(super) async fn ask(gate: &PrometheusGate, secrets: &Path) -> Outcome {
    let time = Duration::try_from(gate.timeout).unwrap_or(Duration::from_secs(1));
    let answer = tokio::time::timeout(time, exchange(gate, secrets)).await;
    match answer {
        Ok(Ok(answer)) => answer::judge(gate, &answer),
        Ok(Err(problem)) => Outcome::Failed(problem),
        Err(_) => Outcome::Failed(format!("{} has not answered within {:#}", gate.url, gate.timeout)),
    }
}

async fn exchange(gate: &PrometheusGate, secrets: &Path) -> Result<answer::Answer, String> {
    let client = client(gate, secrets)?;
    let request = request(gate, secrets)?;
    let unreachable = |error: kube::Error| format!("{} cannot be reached: {}", gate.url, chain(&error));
    let response = client.send(request).await.map_err(unreachable)?;
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, content_type) = (response.status(), content_type.to_owned());
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| format!("{} broke off its answer: {}", gate.url, chain(error.as_ref())))?;
    Ok(answer::Answer {
        status,
        content_type,
        body: body.to_bytes(),
    })
}

/// A client for one query: the files may have changed since the last one.
fn client(gate: &PrometheusGate, secrets: &Path) -> Result<Client, String> {
    let url: Uri = gate.url.parse().map_err(|error| format!("{}: {error}", gate.url))?;
    let is_plain = url.scheme_str() == Some("http");
    let mut config = Config::new(url);
    config.default_retry = false;
    // The system's authorities are no part of the image, and without TLS none are needed: this skips their load.
    config.accept_invalid_certs = is_plain;
    if let Some(file) = &gate.ca_file {
        let pem = secret::read(secrets, file)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.map_err(|error| format!("caFile {file} has no certificates: {error}"))?;
        if certificates.is_empty() {
            return Err(format!("caFile {file} has no certificate in PEM"));
        }
        config.root_cert = Some(certificates.iter().map(|certificate| certificate.to_vec()).collect());
    }
    Client::try_from(config).map_err(|error| {
        let remedy = if gate.ca_file.is_none() && !is_plain {
            "; the image has no certificates of authorities: set caFile"
        } else {
            ""
        };
        format!("no client for {}: {}{remedy}", gate.url, chain(&error))
    })
}

fn request(gate: &PrometheusGate, secrets: &Path) -> Result<Request<Body>, String> {
    let query = match &gate.question {
        Question::Alerts(_) => "ALERTS",
        Question::Query(query) => query,
    };
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", query);
    form.append_pair("timeout", &format!("{}s", gate.timeout.as_secs().max(1)));
    let mut request = Request::get(format!("/api/v1/query?{}", form.finish())).header(ACCEPT, "application/json");
    if let Some(authorization) = authorization(&gate.credentials, secrets)? {
        request = request.header(AUTHORIZATION, authorization);
    }
    request
        .body(Body::empty())
        .map_err(|error| format!("no request to {}: {error}", gate.url))
}

fn authorization(credentials: &Credentials, secrets: &Path) -> Result<Option<HeaderValue>, String> {
    let value = match credentials {
        Credentials::None => return Ok(None),
        Credentials::Bearer { file } => format!("Bearer {}", secret::read_line(secrets, file)?),
        Credentials::Basic { username, password } => {
            let (username, password) = (
                secret::read_line(secrets, username)?,
                secret::read_line(secrets, password)?,
            );
            format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
        }
    };
    // The error of a header has no value in it.
    let mut value = HeaderValue::from_str(&value).map_err(|error| format!("the secret is no header: {error}"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests;

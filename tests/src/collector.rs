//! A real OpenTelemetry Collector behind TLS, built from its Go modules: OTLP over gRPC in, a file of JSON lines out.
//!
//! An export is acknowledged once its spans are in the file, so a kill of the collector loses none that it has taken.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::place::Place;
use crate::ports::free_port;
use crate::process::Process;
use crate::spans::{Span, SpanEvent, SpanLink};
use crate::tools::tool;

const START_DEADLINE: Duration = Duration::from_secs(30);

/// The running collector.
#[derive(Debug)]
pub struct Collector {
    /// The process, for kill and restart.
    pub process: Process,
    port: u16,
    file: PathBuf,
    authority: PathBuf,
}

impl Collector {
    /// Starts it on a free port.
    pub async fn start(place: &Place) -> Result<Self> {
        let folder = place.folder("collector")?;
        let file = folder.join("spans.jsonl");
        let authority = Authority::new("collector")?;
        let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
        authority.certify(&certificate, &key)?;
        let authority = place.file("collector/ca.crt", authority.certificate())?;
        let port = free_port()?;
        // Without `rotation` it would buffer what it writes, and empty the file at its next start.
        let config = serde_json::json!({
            "receivers": { "otlp": { "protocols": { "grpc": {
                "endpoint": format!("127.0.0.1:{port}"),
                "tls": { "cert_file": certificate, "key_file": key },
            } } } },
            "exporters": { "file": { "path": file, "rotation": { "max_megabytes": 100, "max_backups": 1 } } },
            "service": { "pipelines": { "traces": { "receivers": ["otlp"], "exporters": ["file"] } } },
        });
        let config = place.file("collector/config.yaml", config.to_string())?;
        let args = vec![format!("--config={}", config.display())];
        let process = place.start("collector", tool("collector")?, args, BTreeMap::new())?;
        let collector = Self {
            process,
            port,
            file,
            authority,
        };
        collector.wait_ready().await?;
        Ok(collector)
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The file with its certificate authority, for `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The file with the spans: each line is a batch, as OTLP in JSON.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Starts it again on the same port, with the spans that it had.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart()?;
        self.wait_ready().await
    }

    /// Everything that it has written so far, a span that came twice twice.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        // What follows the last newline is being written.
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        let mut spans = Vec::new();
        for line in whole.lines() {
            let batch: Batch = serde_json::from_str(line).with_context(|| format!("no OTLP in JSON: {line}"))?;
            spans.extend(batch.resource_spans.into_iter().flat_map(Group::spans));
        }
        Ok(spans)
    }

    async fn wait_ready(&self) -> Result<()> {
        self.process
            .while_running("the collector to listen", START_DEADLINE, async || {
                let connection = TcpStream::connect(("127.0.0.1", self.port)).await;
                connection.map(drop).context("refused")
            })
            .await
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    resource_spans: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    resource: Resource,
    scope_spans: Vec<Scope>,
}

#[derive(Deserialize)]
struct Resource {
    attributes: Vec<Pair>,
}

#[derive(Deserialize)]
struct Scope {
    spans: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    trace_id: String,
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    name: String,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    #[serde(default)]
    attributes: Vec<Pair>,
    #[serde(default)]
    events: Vec<WrittenEvent>,
    #[serde(default)]
    links: Vec<WrittenLink>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenEvent {
    name: String,
    time_unix_nano: String,
    #[serde(default)]
    attributes: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenLink {
    trace_id: String,
    span_id: String,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: BTreeMap<String, Value>,
}

impl Group {
    fn spans(self) -> Vec<Span> {
        let resource = texts(self.resource.attributes);
        let service = resource.get("service.name").cloned().unwrap_or_default();
        let written = self.scope_spans.into_iter().flat_map(|scope| scope.spans);
        let span = |span: Written| Span {
            service: service.clone(),
            resource: resource.clone(),
            name: span.name,
            trace: span.trace_id,
            id: span.span_id,
            parent: span.parent_span_id,
            links: span
                .links
                .into_iter()
                .map(|link| SpanLink {
                    trace: link.trace_id,
                    span: link.span_id,
                })
                .collect(),
            attributes: texts(span.attributes),
            events: span
                .events
                .into_iter()
                .map(|event| SpanEvent {
                    name: event.name,
                    at: nanoseconds(&event.time_unix_nano),
                    attributes: texts(event.attributes),
                })
                .collect(),
            start: nanoseconds(&span.start_time_unix_nano),
            end: nanoseconds(&span.end_time_unix_nano),
        };
        written.map(span).collect()
    }
}

/// Attributes as text: `{"stringValue": "x"}` is `x`, and what is no text as its JSON.
fn texts(pairs: Vec<Pair>) -> BTreeMap<String, String> {
    let text = |value: BTreeMap<String, Value>| match value.into_values().next() {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

/// 64-bit numbers are texts in OTLP's JSON. A text that is none is as if the time was missing.
fn nanoseconds(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

//! A small OTLP receiver for traces in the rig's own process: stories look at the spans as the services export them.
//! [`crate::collector`] is the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::spans::{self, Span, SpanEvent, SpanLink};

/// The running receiver.
#[derive(Debug)]
pub struct OtlpReceiver {
    url: String,
    spans: Spans,
    _task: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

impl OtlpReceiver {
    /// Starts to listen on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let spans = Spans::default();
        let server = Server::builder().add_service(TraceServiceServer::new(spans.clone()));
        let mut task = JoinSet::new();
        task.spawn(async move {
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.ok();
        });
        Ok(Self {
            url,
            spans,
            _task: task,
        })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything received so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The traces in which some span has this attribute with this value.
    #[must_use]
    pub fn traces_with(&self, attribute: &str, value: &str) -> BTreeSet<String> {
        let matches = |span: &Span| span.attributes.get(attribute).is_some_and(|it| it == value);
        self.spans()
            .into_iter()
            .filter(matches)
            .map(|span| span.trace)
            .collect()
    }

    /// The spans of one trace: [`spans::trace`].
    #[must_use]
    pub fn trace(&self, trace: &str) -> Vec<Span> {
        spans::trace(self.spans(), trace)
    }

    /// One trace as an indented tree: [`spans::tree`].
    #[must_use]
    pub fn tree(&self, trace: &str) -> String {
        spans::tree(&self.trace(trace))
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.spans.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let received = read(request.into_inner());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(received);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for group in request.resource_spans {
        let resource = attributes(group.resource.map(|it| it.attributes).unwrap_or_default());
        let service = resource.get("service.name").cloned().unwrap_or_default();
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                service: service.clone(),
                resource: resource.clone(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                links: span
                    .links
                    .iter()
                    .map(|link| SpanLink {
                        trace: hex(&link.trace_id),
                        span: hex(&link.span_id),
                    })
                    .collect(),
                attributes: attributes(span.attributes),
                events: span
                    .events
                    .into_iter()
                    .map(|event| SpanEvent {
                        name: event.name,
                        at: event.time_unix_nano,
                        attributes: attributes(event.attributes),
                    })
                    .collect(),
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
            });
        }
    }
    spans
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::BoolValue(truth)) => truth.to_string(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

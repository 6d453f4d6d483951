//! The trace context across the bus: in headers and in records.

use bellwether_proto::TraceParent;
use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::telemetry::remote;

/// The trace context of this span, for services that continue its trace; none if it is not traced.
#[must_use]
pub fn context_of(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| TraceParent {
        trace_id: ids.trace_id().to_bytes(),
        span_id: ids.span_id().to_bytes(),
    })
}

/// Makes this span part of a trace that began elsewhere.
pub fn set_parent(span: &Span, parent: TraceParent) {
    if let Err(error) = span.set_parent(remote(parent)) {
        tracing::debug!(%error, "The span stays out of its trace");
    }
}

//! The trace context of messages, in their header.

use std::sync::OnceLock;

use bellwether_proto::TraceParent;
use tracing::Span;

/// How a span's context is found.
pub(crate) type ContextOf = fn(&Span) -> Option<TraceParent>;

/// None in a service without traces.
static CONTEXT_OF: OnceLock<ContextOf> = OnceLock::new();

/// From now on spans have a context.
#[cfg(feature = "control")]
pub(crate) fn trace_by(context_of: ContextOf) {
    // A second start of the traces has the same one.
    CONTEXT_OF.get_or_init(|| context_of);
}

/// The trace context of the present span; none if it is not traced.
pub(crate) fn current() -> Option<TraceParent> {
    CONTEXT_OF.get().and_then(|context_of| context_of(&Span::current()))
}

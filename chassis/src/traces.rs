//! Traces of the control plane's services.
//!
//! They go to the collector that `--traces-endpoint` names, and nowhere without it; ids are made all the
//! same, so that what travels in headers and records is valid in either case. Agents have none of this: it would take more
//! of each node than all that they do.

mod export;
mod headers;
mod queue;
mod report;
mod settings;

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bellwether_proto::TraceParent;
use jiff::Timestamp;
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer as _;

use crate::args::TraceArgs;
use crate::propagate;
use crate::telemetry::TraceLayer;
use export::Exporter;
use queue::Queue;
use report::Report;
use settings::{SettingError, Settings};

/// The value of an attribute: a text, a number, or a list of texts.
pub use opentelemetry::Value as AttributeValue;

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// How long the export of the last spans may keep a service from its end. A collector that hangs costs no more.
const LAST_SPANS: Duration = Duration::from_secs(3);

thread_local! {
    static NEXT_TRACE: Cell<Option<[u8; 16]>> = const { Cell::new(None) };
    static NEXT_SPAN: Cell<Option<[u8; 8]>> = const { Cell::new(None) };
}

/// Random ids, except where the caller has set the next id.
///
/// An attempt outlives the processes that work on it, so the id of its span is stored in its
/// record and its span is written when it ends; the SDK has no other way to give a span an id.
#[derive(Debug, Default)]
struct PlannedIds(RandomIdGenerator);

impl IdGenerator for PlannedIds {
    fn new_trace_id(&self) -> TraceId {
        NEXT_TRACE
            .take()
            .map_or_else(|| self.0.new_trace_id(), TraceId::from_bytes)
    }

    fn new_span_id(&self) -> SpanId {
        NEXT_SPAN
            .take()
            .map_or_else(|| self.0.new_span_id(), SpanId::from_bytes)
    }
}

/// The traces of a service, as they start.
pub(crate) struct Started {
    /// Makes traces of spans.
    pub(crate) layer: TraceLayer,
    /// The count of what does not arrive; none without a collector.
    pub(crate) report: Option<Report>,
    /// The setting for which nothing is sent, or the file of one, which may become usable.
    pub(crate) fault: Option<SettingError>,
}

/// Starts the export of this service, if there is a collector.
///
/// With a setting or file that cannot be used a service does without traces, as with a collector that does not answer: neither a
/// Secret that is gone nor a variable that a webhook sets in all pods may keep a scheduler from starting again in the middle of
/// a reboot.
pub(crate) async fn start(name: &'static str, version: &'static str, args: Option<&TraceArgs>) -> Started {
    let mut provider = SdkTracerProvider::builder()
        .with_id_generator(PlannedIds::default())
        // Whatever OTEL_TRACES_SAMPLER states: the record of an attempt decides for all services, or halves of attempts
        // would arrive.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(
            Resource::builder()
                .with_service_name(name)
                .with_attribute(KeyValue::new("service.version", version))
                .with_attribute(KeyValue::new("service.namespace", "bellwether"))
                .with_attribute(KeyValue::new("service.instance.id", instance()))
                .build(),
        );
    let variable = |name| std::env::var(name).ok();
    let (settings, mut fault) = match args.map_or(Ok(None), |args| Settings::new(args, variable)) {
        Ok(settings) => (settings, None),
        Err(fault) => (None, Some(fault)),
    };
    let mut report = None;
    if let Some(settings) = settings {
        fault = settings.check_files().await.err();
        let waiting = Arc::default();
        let counts = report.insert(Report::default());
        let exporter = Exporter::new(settings, Arc::clone(&waiting), counts.clone());
        provider = provider.with_span_processor(Queue::new(exporter, waiting, counts.clone()));
    }
    let provider = PROVIDER.get_or_init(|| provider.build());
    propagate::trace_by(context_of);
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bellwether"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(tracing_subscriber::filter::filter_fn(|meta| {
            // Spans of ours only: libraries have spans for each request.
            meta.is_span() && meta.target().starts_with("bellwether")
        }));
    Started {
        layer: traces.boxed(),
        report,
        fault,
    }
}

/// Which of the replicas this is: the name of the host, which of a pod is the pod's.
fn instance() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Makes this span part of a trace that began elsewhere.
pub fn set_parent(span: &Span, parent: TraceParent) {
    if let Err(error) = span.set_parent(context(parent, true)) {
        tracing::debug!(%error, "The span stays out of its trace");
    }
}

/// The trace context of the present span; none if it is not traced.
#[must_use]
pub fn current() -> Option<TraceParent> {
    propagate::current()
}

/// The trace context of this span; none if it is not traced.
fn context_of(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| TraceParent {
        trace_id: ids.trace_id().to_bytes(),
        span_id: ids.span_id().to_bytes(),
        sampled: ids.is_sampled(),
    })
}

pub(crate) fn shut_down() {
    if let Some(provider) = PROVIDER.get()
        && let Err(error) = provider.shutdown_with_timeout(LAST_SPANS)
    {
        tracing::debug!(%error, "The last traces could not be sent");
    }
}

/// A span that is written when it is over, with ids that were settled before.
#[derive(Debug, Clone)]
pub struct FinishedSpan {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its trace.
    pub trace_id: [u8; 16],
    /// Its own id; random if none.
    pub span_id: Option<[u8; 8]>,
    /// The span that it is part of.
    pub parent: Option<[u8; 8]>,
    /// Another service writes that one.
    pub is_parent_remote: bool,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is known of it.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// What happened in it: a few.
    pub events: Vec<FinishedEvent>,
    /// Spans of other traces that belong to it: a few.
    pub links: Vec<TraceParent>,
    /// Set if it failed.
    pub error: Option<String>,
}

/// What happened in a span.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedEvent {
    /// Its name.
    pub name: &'static str,
    /// When.
    pub at: Timestamp,
    /// What is known of it.
    pub attributes: Vec<(&'static str, AttributeValue)>,
}

impl FinishedSpan {
    /// Hands the span to the exporter.
    pub fn write(self) {
        let Some(provider) = PROVIDER.get() else { return };
        let tracer = provider.tracer("bellwether");
        let links = self.links.into_iter().map(|link| Link::with_context(ids(link, true)));
        let builder = tracer
            .span_builder(self.name)
            .with_kind(SpanKind::Internal)
            .with_start_time(SystemTime::from(self.start))
            .with_links(links.collect())
            .with_attributes(pairs(self.attributes));
        let parent = self.parent.map_or_else(Context::new, |span_id| {
            let parent = TraceParent {
                trace_id: self.trace_id,
                span_id,
                sampled: true,
            };
            context(parent, self.is_parent_remote)
        });
        NEXT_TRACE.set(Some(self.trace_id));
        NEXT_SPAN.set(self.span_id);
        let mut span = tracer.build_with_context(builder, &parent);
        // With a parent the trace id was not asked for, and must not leak into the next span.
        NEXT_TRACE.set(None);
        NEXT_SPAN.set(None);
        for event in self.events {
            let at = SystemTime::from(event.at);
            span.add_event_with_timestamp(event.name, at, pairs(event.attributes));
        }
        if let Some(error) = self.error {
            span.set_status(Status::error(error));
        }
        span.end_with_timestamp(SystemTime::from(self.end));
    }
}

/// A list of texts as the value of an attribute.
#[must_use]
pub fn texts(texts: &[String]) -> AttributeValue {
    let texts = texts.iter().map(|text| text.clone().into());
    AttributeValue::Array(opentelemetry::Array::String(texts.collect()))
}

fn pairs(attributes: Vec<(&'static str, AttributeValue)>) -> Vec<KeyValue> {
    let pairs = attributes.into_iter();
    pairs.map(|(key, value)| KeyValue::new(key, value)).collect()
}

/// A context whose span is this one, which was or will be written elsewhere, perhaps by another service.
fn context(parent: TraceParent, is_remote: bool) -> Context {
    Context::new().with_remote_span_context(ids(parent, is_remote))
}

fn ids(span: TraceParent, is_remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(span.trace_id),
        SpanId::from_bytes(span.span_id),
        TraceFlags::default().with_sampled(span.sampled),
        is_remote,
        TraceState::default(),
    )
}

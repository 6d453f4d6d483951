//! The spans that wait for the collector: a bounded number, and what is beyond it is counted.
//!
//! The SDK's own queue has a limit too, and counts for itself only what it drops there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bellwether_proto::setting;
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor};

use super::export::Exporter;
use super::report::{Reason, Report};

/// The spans of some fifty reboots, and of a few megabytes.
pub(crate) const SPANS_MAX: usize = 2048;

/// Spans of one request: far below the four megabytes that a collector takes by default.
const BATCH_MAX: usize = 512;

/// How long a span waits for others at most.
const DELAY: Duration = Duration::from_secs(5);

/// [`DELAY`], or less by OpenTelemetry's variable for it. Not nothing, which would have the thread never rest.
fn delay() -> Duration {
    let millis = std::env::var(setting::OTLP_DELAY)
        .ok()
        .and_then(|text| text.parse().ok());
    millis.map_or(DELAY, |millis| {
        Duration::from_millis(millis).clamp(Duration::from_millis(100), DELAY)
    })
}

/// Hands spans to the exporter in batches, from a thread of its own.
#[derive(Debug)]
pub(crate) struct Queue {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    report: Report,
}

impl Queue {
    /// `waiting`: the spans that were handed over here, less those that the exporter has dealt with.
    pub(crate) fn new(exporter: Exporter, waiting: Arc<AtomicUsize>, report: Report) -> Self {
        let limits = BatchConfigBuilder::default()
            .with_max_queue_size(SPANS_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(delay())
            .build();
        Self {
            batches: BatchSpanProcessor::builder(exporter).with_batch_config(limits).build(),
            waiting,
            report,
        }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= SPANS_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.report.dropped(Reason::Queue, 1);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

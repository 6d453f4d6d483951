//! The export: batches of spans to the collector, by OTLP over gRPC.
//!
//! Nothing of a service ever waits for the collector. The SDK's thread waits for one batch; the spans that come meanwhile
//! wait in the queue, up to its limit. A batch is tried again for [`RETRY_TIME`] and then lost. The answer of the
//! collector is never logged, since it may repeat a token; its code is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::headers::Headers;
use super::report::{Reason, Report};
use super::settings::{Content, SettingError, Settings};
use crate::backoff::Backoff;
use crate::chain;

/// How long a batch is tried again: a collector that restarts is back by then, and the queue has room meanwhile.
const RETRY_TIME: Duration = Duration::from_secs(20);

/// The longest wait between two tries of a batch.
const WAIT_MAX: Duration = Duration::from_secs(4);

/// Sends batches, on the threads of the service's runtime.
#[derive(Debug)]
pub(crate) struct Exporter {
    sender: Arc<Sender>,
    resource: ResourceAttributesWithSchema,
    waiting: Arc<AtomicUsize>,
    runtime: Handle,
}

/// The way to the collector.
#[derive(Debug)]
struct Sender {
    settings: Settings,
    retry_time: Duration,
    report: Report,
    way: Mutex<Option<Way>>,
}

/// A connection, with the files by which it was made.
struct Way {
    content: Content,
    client: TraceServiceClient<Channel>,
    headers: Headers,
}

/// Why a batch did not arrive.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Setting(#[from] SettingError),
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("no answer in time: is the collector overloaded, or another server at this address?")]
    Silent,
    #[error("the collector refuses access ({0:?}): do the headers of --traces-headers hold a token that it takes?")]
    Refused(Code),
    #[error("the server takes no OTLP over gRPC: is it the collector's port for gRPC, by default 4317?")]
    NoCollector,
    #[error("the collector answers {0:?}: its own log has the cause")]
    Failed(Code),
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Way")
    }
}

impl Exporter {
    /// Within the runtime that carries the export.
    pub(crate) fn new(settings: Settings, waiting: Arc<AtomicUsize>, report: Report) -> Self {
        Self::with_retry_time(settings, waiting, report, RETRY_TIME)
    }

    fn with_retry_time(settings: Settings, waiting: Arc<AtomicUsize>, report: Report, retry_time: Duration) -> Self {
        let sender = Sender {
            settings,
            retry_time,
            report,
            way: Mutex::default(),
        };
        Self {
            sender: Arc::new(sender),
            resource: ResourceAttributesWithSchema::default(),
            waiting,
            runtime: Handle::current(),
        }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let sender = Arc::clone(&self.sender);
        // The thread that asks has no timers and no sockets.
        let mut task = JoinSet::new();
        task.spawn_on(async move { sender.send(request, spans).await }, &self.runtime);
        let arrived = matches!(task.join_next().await, Some(Ok(true)));
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        if arrived {
            Ok(())
        } else {
            Err(OTelSdkError::InternalFailure("the log names the cause".to_owned()))
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl Sender {
    /// True: the collector has taken the batch.
    async fn send(&self, request: ExportTraceServiceRequest, spans: usize) -> bool {
        let began = Instant::now();
        let mut backoff = Backoff::up_to(WAIT_MAX);
        let fault = loop {
            match self.send_once(request.clone()).await {
                Ok(rejected) => {
                    self.arrived(rejected);
                    return true;
                }
                Err(fault) if fault.may_pass() && began.elapsed() < self.retry_time => {
                    sleep(backoff.after_failure()).await;
                }
                Err(fault) => break fault,
            }
        };
        if self.report.fails() {
            let (error, collector) = (fault.to_string(), self.settings.address());
            tracing::warn!(
                error,
                collector,
                "Traces are lost, and this is not logged again until they arrive"
            );
        }
        self.report.dropped(Reason::Export, spans);
        false
    }

    fn arrived(&self, rejected: usize) {
        if rejected == 0
            && let Some(lost) = self.report.arrives()
        {
            tracing::info!(lost, "Traces arrive again");
        }
        if rejected > 0 {
            if self.report.fails() {
                tracing::warn!(
                    rejected,
                    collector = self.settings.address(),
                    "The collector rejects spans, and this is not logged again until it takes all of a batch"
                );
            }
            self.report.dropped(Reason::Export, rejected);
        }
    }

    /// The number of spans that the collector rejects.
    async fn send_once(&self, spans: ExportTraceServiceRequest) -> Result<usize, Fault> {
        let mut way = self.way.lock().await;
        let content = self.settings.read().await?;
        if way.as_ref().is_none_or(|way| way.content != content) {
            *way = Some(Way {
                client: TraceServiceClient::new(self.settings.channel(&content)?),
                headers: self.settings.headers(&content)?,
                content,
            });
        }
        let Some(Way { client, headers, .. }) = &mut *way else {
            return Err(Fault::Silent);
        };
        let mut request = Request::new(spans);
        *request.metadata_mut() = headers.metadata();
        // The client's own limits cover connection and answer, but not what lies between them.
        let answer = timeout(self.settings.answer_timeout * 2, client.export(request)).await;
        let fault = match answer {
            Ok(Ok(answer)) => {
                let rejected = answer.into_inner().partial_success.map_or(0, |it| it.rejected_spans);
                return Ok(usize::try_from(rejected).unwrap_or(0));
            }
            Ok(Err(status)) => Fault::of(&status),
            Err(_) => Fault::Silent,
        };
        // The next try connects again: this connection may be to a machine that is gone.
        *way = None;
        Err(fault)
    }
}

impl Fault {
    fn of(status: &Status) -> Self {
        let source = std::error::Error::source(status).map(chain);
        match status.code() {
            Code::Unavailable => source.map_or(Self::Failed(Code::Unavailable), Self::Unreachable),
            Code::Unauthenticated | Code::PermissionDenied => Self::Refused(status.code()),
            Code::Unimplemented => Self::NoCollector,
            Code::DeadlineExceeded | Code::Cancelled => Self::Silent,
            Code::Ok
            | Code::Unknown
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::DataLoss => Self::Failed(status.code()),
        }
    }

    /// False: another try soon would have the same end.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent => true,
            Self::Setting(_) | Self::Refused(_) | Self::NoCollector => false,
            // As the specification of OTLP lists them; a collector that is short of room has to ask for another try.
            Self::Failed(code) => matches!(
                code,
                Code::Unavailable | Code::Aborted | Code::OutOfRange | Code::DataLoss
            ),
        }
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;

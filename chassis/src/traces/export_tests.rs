//! The export against real servers: over TLS, one that refuses, one that never answers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex as Lock, PoisonError};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codegen::http::StatusCode;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Response, async_trait};

use super::*;
use crate::args::TraceArgs;
use crate::traces::queue::{Queue, SPANS_MAX};

/// Long enough for a server on this machine, short enough for a test of the limit.
const SHORT: Duration = Duration::from_millis(300);
/// For what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service with its traces.
struct Traced {
    provider: SdkTracerProvider,
    report: Report,
}

impl Traced {
    fn to(address: &str, ca: Option<&Path>, headers: Option<&Path>, limits: Duration) -> Self {
        let args = TraceArgs {
            traces_endpoint: Some(address.to_owned()),
            traces_ca: ca.map(Path::to_owned),
            traces_headers: headers.map(Path::to_owned),
        };
        let mut settings = Settings::new(&args, |_| None).unwrap().unwrap();
        settings.answer_timeout = limits;
        let (waiting, report) = (Arc::default(), Report::default());
        let exporter = Exporter::with_retry_time(settings, Arc::clone(&waiting), report.clone(), limits);
        let queue = Queue::new(exporter, waiting, report.clone());
        let provider = SdkTracerProvider::builder().with_span_processor(queue).build();
        Self { provider, report }
    }

    fn spans(&self, number: usize) {
        let tracer = self.provider.tracer("test");
        for _ in 0..number {
            tracer.start("span").end();
        }
    }

    /// Exports what there is, and waits for its end.
    async fn flush(&self) {
        let provider = self.provider.clone();
        // Fails if the export does, which the report shows.
        tokio::task::spawn_blocking(move || provider.force_flush().ok())
            .await
            .unwrap();
    }

    async fn lost(&self, reason: Reason, spans: u64) {
        let all = async {
            while self.report.count(reason) < spans {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let is_in_time = timeout(PATIENCE, all).await.is_ok();
        let lost = self.report.count(reason);
        assert!(
            is_in_time && lost == spans,
            "{lost} spans lost by {reason:?}, not {spans}"
        );
    }
}

/// A collector: the number of spans of each request, with its token; and how many spans of each it rejects.
#[derive(Debug, Clone, Default)]
struct Collector(Arc<Lock<Vec<(usize, String)>>>, i64);

impl Collector {
    fn received(&self) -> Vec<(usize, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let token = request.metadata().get("authorization");
        let token = token.map_or_else(String::new, |token| token.to_str().unwrap().to_owned());
        let groups = request.into_inner().resource_spans;
        let scopes = groups.iter().flat_map(|group| &group.scope_spans);
        let spans = scopes.map(|scope| scope.spans.len()).sum();
        self.0.lock().unwrap().push((spans, token));
        let partial_success = (self.1 > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: self.1,
            error_message: "s3cr3t".to_owned(),
        });
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

/// Answers every request with this HTTP status, as a proxy before a collector does.
#[derive(Debug, Clone)]
struct Proxy(StatusCode);

impl NamedService for Proxy {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<tonic::body::Body>> for Proxy {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future {
        let mut answer = http::Response::new(tonic::body::Body::default());
        *answer.status_mut() = self.0;
        Box::pin(std::future::ready(Ok(answer)))
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn use_ring() {
    // The first test of the process installs it.
    rustls::crypto::ring::default_provider().install_default().ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_arrive_over_tls_under_the_named_authority_with_the_token_of_that_moment() {
    use_ring();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (ca, headers) = (folder.path().join("ca.crt"), folder.path().join("headers"));
    std::fs::write(&ca, made.cert.pem()).unwrap();
    std::fs::write(&headers, "authorization: Bearer one\n").unwrap();
    let (listener, address) = listen().await;
    let collector = Collector::default();
    let identity = Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let mut server = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))
        .unwrap();
    let routes = server.add_service(TraceServiceServer::new(collector.clone()));
    let mut task = JoinSet::new();
    task.spawn(routes.serve_with_incoming(TcpListenerStream::new(listener)));

    let traced = Traced::to(&format!("https://{address}"), Some(&ca), Some(&headers), PATIENCE);
    traced.spans(3);
    traced.flush().await;
    std::fs::write(&headers, "authorization: Bearer two\n").unwrap();
    traced.spans(1);
    traced.flush().await;
    let one_and_two = [(3, "Bearer one".to_owned()), (1, "Bearer two".to_owned())];
    assert_eq!(collector.received(), one_and_two);

    // Another authority: nothing is sent to that server, the token least of all.
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&ca, other.cert.pem()).unwrap();
    let stranger = Traced::to(&format!("https://{address}"), Some(&ca), Some(&headers), SHORT);
    stranger.spans(2);
    stranger.flush().await;
    stranger.lost(Reason::Export, 2).await;
    assert_eq!(collector.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_and_a_wrong_server_lose_the_batch_at_once_and_are_named() {
    for (status, named) in [
        (StatusCode::UNAUTHORIZED, "--traces-headers"),
        (StatusCode::FORBIDDEN, "--traces-headers"),
        (StatusCode::NOT_FOUND, "port for gRPC"),
        (StatusCode::BAD_REQUEST, "answers Internal"),
    ] {
        let (listener, address) = listen().await;
        let mut task = JoinSet::new();
        let routes = Server::builder().add_service(Proxy(status));
        task.spawn(routes.serve_with_incoming(TcpListenerStream::new(listener)));
        let traced = Traced::to(&format!("http://{address}"), None, None, PATIENCE);
        traced.spans(4);
        // With another try it would take until the limit of the retries.
        timeout(PATIENCE / 2, traced.flush()).await.unwrap();
        traced.lost(Reason::Export, 4).await;
        assert!(!traced.report.fails(), "it has been reported");

        let args = TraceArgs {
            traces_endpoint: Some(format!("http://{address}")),
            ..TraceArgs::default()
        };
        let sender = Sender {
            settings: Settings::new(&args, |_| None).unwrap().unwrap(),
            retry_time: PATIENCE,
            report: Report::default(),
            way: Mutex::default(),
        };
        let fault = sender
            .send_once(ExportTraceServiceRequest::default())
            .await
            .unwrap_err();
        assert!(fault.to_string().contains(named), "{status}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_back_is_news_and_takes_the_next_batch() {
    let (listener, address) = listen().await;
    drop(listener);
    let traced = Traced::to(&format!("http://{address}"), None, None, SHORT);
    traced.spans(5);
    traced.flush().await;
    traced.lost(Reason::Export, 5).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let collector = Collector::default();
    let mut task = JoinSet::new();
    let routes = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
    task.spawn(routes.serve_with_incoming(TcpListenerStream::new(listener)));
    traced.spans(1);
    traced.flush().await;
    assert_eq!(collector.received(), [(1, String::new())]);
    assert!(traced.report.fails(), "the success has ended the failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_rejects_spans_is_a_fault_until_it_takes_a_whole_batch() {
    let (listener, address) = listen().await;
    let collector = Collector(Arc::default(), 2);
    let mut task = JoinSet::new();
    let routes = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
    task.spawn(routes.serve_with_incoming(TcpListenerStream::new(listener)));
    let traced = Traced::to(&format!("http://{address}"), None, None, PATIENCE);
    for lost in [2, 4] {
        traced.spans(3);
        traced.flush().await;
        traced.lost(Reason::Export, lost).await;
        assert!(!traced.report.fails(), "it has been reported");
    }
    assert_eq!(collector.received().len(), 2, "no batch is sent twice");
}

/// With TLS the handshake hangs, without it the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_accepts_and_never_answers_keeps_no_span_and_no_stop_waiting() {
    use_ring();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&ca, made.cert.pem()).unwrap();
    for (scheme, ca) in [("http", None), ("https", Some(ca.as_path()))] {
        let (listener, address) = listen().await;
        let mut task: JoinSet<()> = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut connection, _)) = listener.accept().await {
                open.spawn(async move { while connection.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {} });
            }
        });
        let slow = Traced::to(&format!("{scheme}://{address}"), ca, None, PATIENCE);
        let began = Instant::now();
        slow.spans(SPANS_MAX + 100);
        assert!(
            began.elapsed() < PATIENCE / 6,
            "spans do not wait: {:?}",
            began.elapsed()
        );
        slow.lost(Reason::Queue, 100).await;
        let stopped = tokio::task::spawn_blocking(move || slow.provider.shutdown_with_timeout(SHORT));
        assert!(
            timeout(PATIENCE / 3, stopped).await.unwrap().unwrap().is_err(),
            "it has not sent them"
        );

        let traced = Traced::to(&format!("{scheme}://{address}"), ca, None, SHORT);
        traced.spans(7);
        traced.flush().await;
        traced.lost(Reason::Export, 7).await;
    }
}

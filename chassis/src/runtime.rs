//! Start and stop of a service, and the owner of its tasks.

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Health};
use crate::args::ChassisArgs;
use crate::{shutdown, telemetry};

/// How long the service, and then its tasks, may take to end after the order to stop. Kubernetes
/// gives 30 s by default; both and the export of the last spans have to fit in.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Which service this is.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Its name, as in logs, traces and NATS connections.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// What differs between an agent and a service of the control plane.
struct Way<'a> {
    /// Makes the runtime.
    runtime: fn() -> std::io::Result<Runtime>,
    /// Starts the traces.
    traces: BoxFuture<'a, Traces>,
    /// Sends the last traces. Blocks the thread.
    last_traces: fn(),
}

/// What traces bring: their layer, the lowest of all if there is one, and their metrics.
#[derive(Default)]
struct Traces {
    layer: Option<telemetry::TraceLayer>,
    register: Option<Register>,
    /// Why none arrives.
    fault: Option<String>,
}

/// Registers metrics.
type Register = Box<dyn FnOnce(&mut Registry) + Send>;

/// Tasks by name, each with how it ended.
type Tasks = JoinSet<(&'static str, anyhow::Result<()>)>;

/// What a running service stands on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chassis {
    /// Which service this is.
    pub service: Service,
    /// Is cancelled when the service has to stop.
    pub stop: CancellationToken,
    /// The parts of the service that are not ready.
    pub health: Health,
    /// Without a prefix: the service's own metrics are below [`PREFIX`].
    metrics: Arc<Mutex<Registry>>,
    tasks: Arc<Mutex<Tasks>>,
}

/// Before the name of each metric that is ours.
const PREFIX: &str = "bellwether";

impl Chassis {
    /// Registers metrics under the prefix `bellwether_`.
    pub fn metrics<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        self.metrics_of_others(|registry| register(registry.sub_registry_with_prefix(PREFIX)))
    }

    /// Registers metrics under the names of another program, for operators who have alerts on those.
    pub fn metrics_of_others<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        let mut registry = self.metrics.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        register(&mut registry)
    }

    /// Starts a task that the service depends on: when one ends, by error or not, the service stops.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tasks.spawn(async move { (name, task.await) });
    }

    /// Waits for the time, but not past the order to stop. False: the service has to stop.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => true,
            () = self.stop.cancelled() => false,
        }
    }
}

/// Runs an agent, of which each node has one, from its first log line to its last. Errors are logged here, once, with their
/// causes.
///
/// It has one thread for its loop, and sends no traces: the scheduler writes the spans of agents from what they report.
pub fn run_agent<F>(service: Service, args: &ChassisArgs, body: impl FnOnce(Chassis) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let way = Way {
        runtime: || Builder::new_current_thread().enable_all().build(),
        traces: std::future::ready(Traces::default()).boxed(),
        last_traces: || (),
    };
    run(service, args, way, body)
}

/// Runs a service of the control plane from its first log line to its last, on a thread for each core, with traces. Errors
/// are logged here, once, with their causes.
///
/// `traces`: none for a service that has no spans of its own.
#[cfg(feature = "control")]
pub fn run_service<F>(
    service: Service,
    args: &ChassisArgs,
    traces: Option<&crate::TraceArgs>,
    body: impl FnOnce(Chassis) -> F,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let way = Way {
        runtime: || Builder::new_multi_thread().enable_all().build(),
        traces: async move {
            let started = crate::traces::start(service.name, service.version, traces).await;
            let register = started
                .report
                .map(|report| Box::new(move |registry: &mut Registry| report.register(registry)) as _);
            Traces {
                layer: Some(started.layer),
                register,
                fault: started.fault.map(|fault| fault.to_string()),
            }
        }
        .boxed(),
        last_traces: crate::traces::shut_down,
    };
    run(service, args, way, body)
}

fn run<F>(service: Service, args: &ChassisArgs, way: Way<'_>, body: impl FnOnce(Chassis) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    match start(service, args, way, body) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "Service stopped");
            ExitCode::FAILURE
        }
    }
}

fn start<F>(service: Service, args: &ChassisArgs, way: Way<'_>, body: impl FnOnce(Chassis) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    // One provider for the whole process, before anything opens a TLS connection.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let runtime = (way.runtime)().context("start the runtime")?;
    let outcome = runtime.block_on(async {
        let traces = way.traces.await;
        telemetry::init(args, traces.layer)?;
        if let Some(error) = traces.fault {
            tracing::warn!(
                error,
                "Traces are lost: a file is read again for each export, another setting at the next start"
            );
        }
        serve(service, args, traces.register, body).await
    });
    // While the runtime lives, which carries the export.
    (way.last_traces)();
    // All that has to end has ended. A thread that a file system of the host holds would keep the process for ever.
    runtime.shutdown_background();
    outcome
}

async fn serve<F>(
    service: Service,
    args: &ChassisArgs,
    register: Option<Register>,
    body: impl FnOnce(Chassis) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let chassis = Chassis {
        service,
        stop: CancellationToken::new(),
        health: Health::default(),
        metrics: Arc::new(Mutex::new(Registry::default())),
        tasks: Arc::new(Mutex::new(JoinSet::new())),
    };
    chassis.metrics(|registry| {
        let build = Info::new([("service", service.name), ("version", service.version)]);
        registry.register("build", "Which service this is, in which version", build);
        registry.register_collector(Box::new(chassis.health.clone()));
        if let Some(register) = register {
            register(registry);
        }
    });
    tracing::info!(version = service.version, "Service started");
    let admin = admin::bind(args.admin_address).await?;
    chassis.spawn(
        "admin",
        admin::serve(
            admin,
            chassis.health.clone(),
            Arc::clone(&chassis.metrics),
            chassis.stop.clone(),
        ),
    );

    let body = body(chassis.clone());
    tokio::pin!(body);
    let outcome = tokio::select! {
        outcome = &mut body => outcome,
        outcome = first_end(&chassis) => outcome,
        signal = shutdown::ordered() => {
            tracing::info!(signal = signal.context("listen for signals")?, "Service stops");
            chassis.stop.cancel();
            // It has to let go of what it holds. How it ends is of no interest any more.
            match tokio::time::timeout(STOP_TIMEOUT, body).await {
                Ok(Ok(())) => (),
                Ok(Err(error)) => tracing::debug!(error = format!("{error:#}"), "Service stopped in the middle"),
                Err(_) => tracing::warn!(seconds = STOP_TIMEOUT.as_secs(), "Service did not stop in time"),
            }
            Ok(())
        }
    };
    chassis.stop.cancel();
    let all_ended = async { while next_end(&chassis).await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, all_ended).await.is_err() {
        tracing::warn!(
            seconds = STOP_TIMEOUT.as_secs(),
            "Tasks did not end in time and are dropped"
        );
    }
    outcome
}

/// The end of the first task that ends.
async fn first_end(chassis: &Chassis) -> anyhow::Result<()> {
    match next_end(chassis).await {
        Some((name, Ok(()))) if chassis.stop.is_cancelled() => {
            tracing::debug!(task = name, "Task ended");
            Ok(())
        }
        Some((name, Ok(()))) => anyhow::bail!("task {name} ended by itself"),
        Some((name, Err(error))) => Err(error.context(format!("task {name}"))),
        None => Ok(()),
    }
}

async fn next_end(chassis: &Chassis) -> Option<(&'static str, anyhow::Result<()>)> {
    std::future::poll_fn(|context| {
        let mut tasks = chassis.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tasks.poll_join_next(context)
    })
    .await
    .map(|ended| ended.unwrap_or_else(|error| ("unknown", Err(anyhow::Error::new(error)))))
}

//! Logs, to standard error.

use anyhow::Context as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::args::{ChassisArgs, LogFormat};

/// What makes traces of the spans, for services that have them.
pub(crate) type TraceLayer = Box<dyn Layer<Registry> + Send + Sync>;

pub(crate) fn init(args: &ChassisArgs, traces: Option<TraceLayer>) -> anyhow::Result<()> {
    let filter = args.log.clone();
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match args.log_format {
        LogFormat::Json => logs
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_filter(filter)
            .boxed(),
        LogFormat::Text => logs.with_ansi(false).with_filter(filter).boxed(),
    };
    tracing_subscriber::registry()
        .with(traces)
        .with(logs)
        .try_init()
        .context("start logging")
}

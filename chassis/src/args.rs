//! Arguments that every service takes. Each has an environment variable; the command line wins.

mod retention;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bellwether_proto::limit::REFRESH_INTERVAL_MAX;
use bellwether_proto::{NodeName, setting};
use jiff::SignedDuration;
use tracing_subscriber::filter::Targets;

pub use self::retention::RetentionArgs;
use crate::host::HostArgs;

/// Flags of every service.
#[derive(Debug, Clone, clap::Args)]
pub struct ChassisArgs {
    /// NATS servers, separated by commas
    #[arg(long, env = setting::NATS_URL, default_value = "nats://127.0.0.1:4222", value_delimiter = ',', value_name = "URL", value_parser = server_address)]
    pub nats_url: Vec<String>,

    /// File with NATS credentials (JWT and seed), as written by `nsc` [default: none]
    #[arg(long, env = setting::NATS_CREDENTIALS, value_name = "FILE")]
    pub nats_credentials: Option<PathBuf>,

    /// User of NATS, if it knows its users by a password [default: none]
    #[arg(
        long,
        env = setting::NATS_USER,
        value_name = "NAME",
        requires = "nats_password",
        conflicts_with = "nats_credentials"
    )]
    pub nats_user: Option<String>,

    /// File with the password of that user
    #[arg(long, env = setting::NATS_PASSWORD, value_name = "FILE", requires = "nats_user")]
    pub nats_password: Option<PathBuf>,

    /// File with a token for NATS, such as a projected ServiceAccount token [default: none]
    #[arg(
        long,
        env = setting::NATS_TOKEN,
        value_name = "FILE",
        conflicts_with_all = ["nats_credentials", "nats_user"]
    )]
    pub nats_token: Option<PathBuf>,

    /// File with the certificate authority of the NATS servers (PEM) [default: the system's]
    #[arg(long, env = setting::NATS_CA, value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,

    /// Where to serve /livez, /readyz and /metrics
    #[arg(
        long,
        env = setting::ADMIN_ADDRESS,
        default_value = "0.0.0.0:8080",
        value_name = "HOST:PORT"
    )]
    pub admin_address: SocketAddr,

    /// Form of the log
    #[arg(long, env = setting::LOG_FORMAT, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a list of target=level
    #[arg(long, env = setting::LOG, default_value = "info", value_name = "FILTER", value_parser = log_filter)]
    pub log: Targets,
}

/// Checked with the flags: later there would be no log yet for the error.
fn log_filter(text: &str) -> Result<Targets, String> {
    text.parse()
        .map_err(|error| format!("{error}; write it as info or info,bellwether_chassis=debug"))
}

/// Flags of the services that set up JetStream.
#[derive(Debug, Clone, clap::Args)]
pub struct StreamArgs {
    /// Create streams, buckets and consumers that are missing; with false they are only verified
    #[arg(long, env = setting::MANAGE_STREAMS, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub manage_streams: bool,

    /// Replicas of streams that are created: 1 for one NATS server, 3 for a NATS cluster
    #[arg(long, env = setting::STREAM_REPLICAS, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub stream_replicas: u8,

    #[command(flatten)]
    /// How much of the audit trail is kept.
    pub retention: RetentionArgs,
}

/// Flags of the services that send traces to a collector.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TraceArgs {
    /// Collector of traces, by OTLP over gRPC: http://HOST:PORT or https://HOST:PORT [default: none, no traces]
    #[arg(long, env = setting::OTLP_ENDPOINT, value_name = "URL", hide_env_values = true)]
    pub traces_endpoint: Option<String>,

    /// File with the certificate authority of the collector (PEM) [default: the system's]
    #[arg(long, env = setting::OTLP_CERTIFICATE, value_name = "FILE")]
    pub traces_ca: Option<PathBuf>,

    /// File with headers for the collector, one `NAME: VALUE` a line, such as a token [default: none]
    #[arg(long, env = setting::TRACES_HEADERS, value_name = "FILE")]
    pub traces_headers: Option<PathBuf>,
}

/// Flags of the agents on the nodes.
#[derive(Debug, Clone, clap::Args)]
pub struct AgentArgs {
    /// Name of the Kubernetes node whose host this is (in a pod: from spec.nodeName)
    #[arg(long, env = setting::NODE_NAME, value_name = "NAME")]
    pub node_name: NodeName,

    /// How often a report is stored without a change; a report that misses a few of these is stale
    #[arg(long, env = setting::REFRESH_INTERVAL, default_value = "5m", value_name = "DURATION", value_parser = refresh_interval)]
    pub refresh_interval: Duration,

    #[command(flatten)]
    /// Where the host's files are.
    pub host: HostArgs,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For reading.
    Text,
}

/// Parses a duration as operators write it, such as `90s`, `5m` or `1h 30m`, for `value_parser`.
///
/// # Errors
/// Names the right form.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>();
    match parsed
        .map_err(|error| error.to_string())
        .and_then(|duration| Duration::try_from(duration).map_err(|_| "is below zero".to_owned()))
    {
        Ok(Duration::ZERO) => Err("is zero; write it as 30s, 5m or 1h".to_owned()),
        Ok(duration) => Ok(duration),
        Err(problem) => Err(format!("{problem}; write it as 30s, 5m or 1h")),
    }
}

/// A duration up to the limit at which readers would judge the report stale too early.
fn refresh_interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if SignedDuration::try_from(interval).is_ok_and(|interval| interval <= REFRESH_INTERVAL_MAX) {
        Ok(interval)
    } else {
        Err(format!(
            "is longer than {REFRESH_INTERVAL_MAX:#}, for which readers keep a report"
        ))
    }
}

fn server_address(text: &str) -> Result<String, String> {
    match text.parse::<async_nats::ServerAddr>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; write it as nats://HOST:PORT or tls://HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_interval_up_to_the_limit_of_the_contract_is_taken() {
        assert_eq!(refresh_interval("8h"), Ok(Duration::from_secs(8 * 3600)));
        let refused = refresh_interval("8h 1s").unwrap_err();
        assert!(refused.contains("longer than 8h"), "{refused}");
        assert!(refresh_interval("0s").is_err());
    }
}

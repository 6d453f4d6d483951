//! What every Bellwether service stands on: start, NATS, telemetry, health, shutdown.
//!
//! Written once, so that a reader of one service has read four. It knows that services run on hosts
//! and report, talk over NATS and ask Kubernetes; it decides nothing about nodes. Messages, drains and
//! attempts come in as subjects, bytes and closures.

pub mod admin;
pub mod args;
mod authority;
pub mod backoff;
pub mod batch;
pub mod bus;
pub mod clock;
pub mod consume;
pub mod core_message;
pub mod host;
mod http;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod lag;
mod named_file;
pub mod nats;
mod propagate;
mod pull;
pub mod record;
pub mod record_keys;
pub mod retry;
pub mod runtime;
mod shutdown;
pub mod stream;
mod telemetry;
#[cfg(feature = "control")]
pub mod traces;
pub mod verdict;

pub use args::{AgentArgs, ChassisArgs, RetentionArgs, StreamArgs, TraceArgs};
pub use backoff::Backoff;
pub use bus::{Bus, Expect, PublishError};
pub use host::{HostArgs, HostError};
pub use record::{Claim, Record, StreamState, Unusable, Watched};
pub use record_keys::{RecordKeyArgs, RecordKeyFile};
pub use retry::Retry;
#[cfg(feature = "control")]
pub use runtime::run_service;
pub use runtime::{Chassis, Service, run_agent};
pub use verdict::Verdict;

/// Spells out an error with all its causes, on one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

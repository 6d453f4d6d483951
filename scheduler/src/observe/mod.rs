//! Metrics and spans: what the scheduler publishes about its own work.

pub(crate) mod metrics;
pub(crate) mod recorder;
pub(crate) mod spans;

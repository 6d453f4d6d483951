//! Names of telemetry: span attributes, and the fields of log lines that name the same thing.
//!
//! Each thing has one name, so that a search for an attempt finds the spans and log lines of all
//! services. Where OpenTelemetry names a thing, this is its name.

/// The Kubernetes node (OpenTelemetry semantic conventions).
pub const NODE: &str = "k8s.node.name";

/// The attempt's id.
pub const ATTEMPT: &str = "bellwether.attempt.id";

/// The generation of the attempt's record.
pub const GENERATION: &str = "bellwether.attempt.generation";

/// The boot that was to end, or runs.
pub const BOOT_BEFORE: &str = "bellwether.boot_id.before";

/// The boot that replaced it.
pub const BOOT_AFTER: &str = "bellwether.boot_id.after";

/// The ended phase of an attempt, or how a command ended.
pub const OUTCOME: &str = "bellwether.outcome";

/// Why an attempt ended; see [`crate::Cause`].
pub const CAUSE: &str = "bellwether.cause";

/// How many pods are gone from the node.
pub const PODS_GONE: &str = "bellwether.pods.gone";

/// The method of rebooting.
pub const REBOOT_METHOD: &str = "bellwether.reboot.method";

/// The code of a problem; see [`crate::ProblemCode`].
pub const PROBLEM: &str = "bellwether.problem.code";

/// The agent on whose part the scheduler writes a span.
pub const AGENT: &str = "bellwether.agent";

/// What requires a reboot.
pub const REASONS: &str = "bellwether.reasons";

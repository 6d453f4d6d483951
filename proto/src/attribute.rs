//! Names of telemetry: span attributes, and the fields of log lines that name the same thing.
//!
//! Each thing has one name, so that a search for an attempt finds the spans and log lines of all
//! services. Where OpenTelemetry names a thing, this is its name.

names! {
    /// The Kubernetes node (OpenTelemetry semantic conventions).
    NODE = "k8s.node.name";
    /// The attempt's id.
    ATTEMPT = "bellwether.attempt.id";
    /// The generation of the attempt's record.
    GENERATION = "bellwether.attempt.generation";
    /// The boot that was to end, or runs.
    BOOT_BEFORE = "bellwether.boot_id.before";
    /// The boot that replaced it.
    BOOT_AFTER = "bellwether.boot_id.after";
    /// The ended phase of an attempt, or how a command ended.
    OUTCOME = "bellwether.outcome";
    /// Why an attempt ended; see [`crate::Cause`].
    CAUSE = "bellwether.cause";
    /// How many pods are gone from the node.
    PODS_GONE = "bellwether.pods.gone";
    /// The method of rebooting.
    REBOOT_METHOD = "bellwether.reboot.method";
    /// The code of a problem; see [`crate::ProblemCode`].
    PROBLEM = "bellwether.problem.code";
    /// The agent on whose part the scheduler writes a span.
    AGENT = "bellwether.agent";
    /// What requires a reboot.
    REASONS = "bellwether.reasons";
    /// The code of the gate that held the node, from the list of reason codes.
    GATE_CODE = "bellwether.gate.code";
    /// How often that gate held the node, from 1.
    GATE_TIMES = "bellwether.gate.times";
    /// Why that gate was shut, for operators.
    GATE_MESSAGE = "bellwether.gate.message";
    /// The namespace of a pod (OpenTelemetry semantic conventions).
    NAMESPACE = "k8s.namespace.name";
    /// The name of a pod (OpenTelemetry semantic conventions).
    POD = "k8s.pod.name";
    /// The wave in which pods go.
    WAVE = "bellwether.drain.wave";
    /// Why a pod was still there; see [`crate::BlockerKind`].
    BLOCKER = "bellwether.drain.blocker";
    /// The disruption budget that kept a pod.
    BUDGET = "bellwether.budget.name";
    /// How many pods of that budget were healthy.
    BUDGET_HEALTHY = "bellwether.budget.healthy";
    /// How many have to be.
    BUDGET_DESIRED = "bellwether.budget.desired";
    /// How many there should be.
    BUDGET_EXPECTED = "bellwether.budget.expected";
}

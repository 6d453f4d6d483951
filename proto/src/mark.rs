//! Names that we write to Kubernetes: part of the contract, since one part writes them and another reads them.

/// Annotation with the attempt whose cordon the node carries. Written and removed in the
/// same patch as `spec.unschedulable`, so that there is never one without the other.
/// A node that is unschedulable without it carries a foreign cordon.
pub const CORDONED_FOR: &str = "bellwether.dev/cordoned-for";

/// Label of nodes of the control plane, by its presence.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";

/// Name of the Lease by which the schedulers elect a leader, in the scheduler's namespace. Its
/// holder's name is the leader's pod.
pub const LEASE: &str = "bellwether-scheduler";

//! What we write on Node objects: part of the contract, since the drainer writes it and the scheduler reads it.

/// Annotation with the attempt whose cordon the node carries. Written and removed in the
/// same patch as `spec.unschedulable`, so that there is never one without the other.
/// A node that is unschedulable without it was cordoned by somebody else.
pub const CORDONED_FOR: &str = "bellwether.dev/cordoned-for";

/// Label of nodes of the control plane, by its presence.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";

//! Names that we write to Kubernetes: part of the contract, since one part writes them and another reads them.

/// Annotation with the attempt whose cordon the node carries. Written and removed in the
/// same patch as `spec.unschedulable`, so that there is never one without the other.
/// A node that is unschedulable without it carries a foreign cordon.
pub const CORDONED_FOR: &str = "bellwether.dev/cordoned-for";

/// Annotations by which the cluster autoscaler and Karpenter leave a node alone. A node that is drained and rebooted looks
/// empty and useless to both. Each is set to `true` with the cordon and removed with [`CORDONED_FOR`], unless the node
/// carried the annotation before.
pub const AUTOSCALER_GUARDS: [&str; 2] = [
    "cluster-autoscaler.kubernetes.io/scale-down-disabled",
    "karpenter.sh/do-not-disrupt",
];

/// Label by which cloud providers take a node out of their load balancers, whatever its value. Set with the cordon where the
/// terms of the drain demand that, and removed with [`CORDONED_FOR`], unless the node carried the label before.
pub const OUT_OF_LOAD_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Annotation with those of [`AUTOSCALER_GUARDS`] and [`OUT_OF_LOAD_BALANCERS`] that we set, separated by commas.
pub const GUARDED_BY: &str = "bellwether.dev/guarded-by";

/// Annotation with the labels and annotations of the settings of operators that our drainer set with [`CORDONED_FOR`], separated by
/// commas: the settings may be others when the cordon ends.
pub const MARKED_WITH: &str = "bellwether.dev/marked-with";

/// Annotation of kured with the time since which a node is in the hands of its reboot; set where operators want that.
pub const KURED_IN_PROGRESS: &str = "weave.works/kured-reboot-in-progress";

/// Key of the taint of nodes that wait for their reboot. The drainer writes it on command of the scheduler, with the effect
/// [`WAITS_FOR_REBOOT_EFFECT`] and no value.
pub const WAITS_FOR_REBOOT: &str = "bellwether.dev/waits-for-reboot";

/// Effect of the taint [`WAITS_FOR_REBOOT`]: a pod that fits nowhere else still gets on the node.
pub const WAITS_FOR_REBOOT_EFFECT: &str = "PreferNoSchedule";

/// Type of the Node condition by which the scheduler shows whether the node requires a reboot, and why that waits. Its reason is
/// a code of the scheduler, or the phase of the attempt.
pub const REBOOT_REQUIRED: &str = "bellwether.dev/RebootRequired";

/// Type of the Node condition of a node that is to be taken out of service. This one and the next three are of Kubernetes
/// (KEP-5683); ours carry [`LIFECYCLE_REASON`].
pub const MAINTENANCE_PLANNED: &str = "MaintenancePlanned";
/// Type of the Node condition of a node that is being drained.
pub const DRAIN_IN_PROGRESS: &str = "DrainInProgress";
/// Type of the Node condition of a node whose drain is over.
pub const DRAINED: &str = "Drained";
/// Type of the Node condition of a node that is out of service for its reboot.
pub const MAINTENANCE_IN_PROGRESS: &str = "MaintenanceInProgress";

/// The types of Kubernetes' own that the scheduler writes.
pub const LIFECYCLE_CONDITIONS: [&str; 4] = [MAINTENANCE_PLANNED, DRAIN_IN_PROGRESS, DRAINED, MAINTENANCE_IN_PROGRESS];

/// Reason of the conditions of [`LIFECYCLE_CONDITIONS`] that are ours. Another reason: another program's, which no part of Bellwether
/// changes while the status is True.
pub const LIFECYCLE_REASON: &str = "BellwetherReboot";

/// A condition of this type and reason is ours.
#[must_use]
pub fn is_our_condition(type_: &str, reason: &str) -> bool {
    type_ == REBOOT_REQUIRED || (LIFECYCLE_CONDITIONS.contains(&type_) && reason == LIFECYCLE_REASON)
}

/// Annotation by which an operator holds a node: no new attempt starts there. Its value is the reason.
pub const HOLD: &str = "bellwether.dev/hold";
/// Annotation with the time at which [`HOLD`] ends, as RFC 3339.
pub const HOLD_UNTIL: &str = "bellwether.dev/hold-until";
/// Annotation by which an operator leaves the present need of a node unserved. Its value is the reason.
pub const SKIP: &str = "bellwether.dev/skip";
/// Annotation with the time at which [`SKIP`] ends, as RFC 3339.
pub const SKIP_UNTIL: &str = "bellwether.dev/skip-until";
/// Annotation by which an operator approves the reboot of a node. Its value is the reason.
pub const APPROVE: &str = "bellwether.dev/approve";
/// Annotation with the time at which [`APPROVE`] ends, as RFC 3339.
pub const APPROVE_UNTIL: &str = "bellwether.dev/approve-until";

/// Labels of nodes of the control plane, by the presence of one of them: of today's and older versions of
/// kubeadm, and of RKE and k3s, where a node may run etcd alone.
pub const CONTROL_PLANE_LABELS: [&str; 4] = [
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/etcd",
    "node-role.kubernetes.io/controlplane",
];

/// Name of the Lease by which the schedulers elect a leader, in the scheduler's namespace. Its
/// holder's name is the leader's pod.
pub const LEASE: &str = "bellwether-scheduler";

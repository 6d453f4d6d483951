//! The fields below `brakes`: limits beyond which the reboots of a node, of similar nodes, or of all nodes of a policy stop.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::rules::DURATION;

/// The name by which `brakes.cohort.labels` lists the kernel that a node runs, `status.nodeInfo.kernelVersion`, beside
/// labels. Nodes with one kernel get one update.
pub const KERNEL_VERSION: &str = "bellwether.dev/kernel-version";

/// Most reboots of a node within 24 hours, unless a policy says otherwise.
pub(crate) const REBOOTS_PER_DAY: i32 = 3;

/// Limits beyond which reboots stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrakesSpec {
    /// The shortest time between two reboots of one node, such as 24h. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub min_interval: Option<String>,

    /// A node that was rebooted so many times within 24 hours and needs a reboot again is in a loop: the node is held
    /// until an operator cancels.
    #[serde(default = "reboots_per_day")]
    #[cfg_attr(feature = "schema", schemars(range(min = 2, max = 10)))]
    pub max_reboots_per_day: i32,

    /// After so many nodes of this policy whose reboot failed within 7 days, no node of it starts until an operator
    /// cancels. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub max_failures: Option<i32>,

    /// The same for nodes that have the same value of a label. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<CohortSpec>,
}

/// Nodes that are alike: after some failures among them no further one starts, and other nodes do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CohortSpec {
    /// Nodes with the same value of one of these labels are a cohort. The name bellwether.dev/kernel-version is that of the
    /// kernel that a node runs.
    #[serde(default = "labels")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = 1, max = 8), inner(length(min = 1, max = 317)))
    )]
    pub labels: Vec<String>,

    /// After so many nodes of a cohort whose reboot failed within 7 days, no node of that cohort starts until an operator
    /// cancels.
    #[serde(default = "failures_of_cohort")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub max_failures: i32,
}

fn reboots_per_day() -> i32 {
    REBOOTS_PER_DAY
}

fn labels() -> Vec<String> {
    [
        KERNEL_VERSION,
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone",
    ]
    .map(str::to_owned)
    .into()
}

fn failures_of_cohort() -> i32 {
    2
}

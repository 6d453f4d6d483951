//! The status of a `RebootPolicy`, which the scheduler writes.

use serde::{Deserialize, Serialize};

/// Written by the scheduler: whether the scheduler acts by the policy, and the nodes of the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RebootPolicyStatus {
    /// The generation of the spec that this status is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Whether the scheduler acts by this policy (Accepted), whether a node has another one of the same priority
    /// (Conflict), whether failed reboots keep all of its nodes from starting (Stopped), and whether the windows suffice
    /// for the nodes that wait (WindowSuffices).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))
    )]
    pub conditions: Vec<Condition>,

    /// Whether nodes may start now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowState>,

    /// The nodes that this policy governs, by what they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeNumbers>,

    /// How far the budget is used. Absent without maxUnavailable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetUsage>,

    /// The nodes that wait and do not fit into the present opening or, if none is open, the next one. Absent: all fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_over: Option<LeftOver>,
}

/// Nodes that do not fit into an opening.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeftOver {
    /// How many.
    pub count: i64,
    /// The first ten of them when the status was last written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// How far the budget of a policy is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BudgetUsage {
    /// Nodes of the policy that are disrupted, by Bellwether or otherwise.
    pub unavailable: i64,
    /// Nodes that may be: maxUnavailable as a number.
    pub max_unavailable: i64,
}

/// A condition, as Kubernetes has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Accepted, Conflict, Stopped or WindowSuffices.
    #[serde(rename = "type")]
    pub type_: String,
    /// True or False.
    pub status: String,
    /// The reason for programs, from a closed list, which a newer version may extend.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub reason: ConditionReason,
    /// The reason for operators, with the field and the remedy.
    pub message: String,
    /// When the status of the condition changed.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub last_transition_time: String,
    /// The generation of the spec that the condition is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Why a condition has its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ConditionReason {
    /// The spec has no mistake.
    Valid,
    /// The spec has mistakes.
    Invalid,
    /// Another policy of the same priority selects nodes of this one.
    SamePriority,
    /// No other policy of the same priority selects a node of this one.
    NoConflict,
    /// So many reboots failed that no node of the policy starts.
    TooManyFailures,
    /// The reboot of a canary failed.
    CanaryFailed,
    /// So many reboots failed among similar nodes that no further one of them starts.
    CohortStopped,
    /// No failed reboot keeps a node from starting.
    NotStopped,
    /// Each node that waits for its turn fits into the opening.
    AllFit,
    /// Nodes that wait for their turn do not fit into the opening.
    NodesLeftOver,
}

/// Whether nodes may start now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WindowState {
    /// Nodes may start now.
    pub open: bool,
    /// When that changes: the end of the present opening, or the start of the next one. Absent: never, or more than
    /// 60 days ahead for an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub until: Option<String>,
    /// The reason of the blackout, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blackout: Option<String>,
}

/// The nodes that a policy governs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeNumbers {
    /// All of them.
    pub governed: i64,
    /// Those that need a reboot and wait.
    pub waiting: i64,
    /// Those with a running attempt.
    pub in_progress: i64,
    /// Those whose last attempt failed and holds its slot.
    pub failed: i64,
}

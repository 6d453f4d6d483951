//! The fields `gates` of a `RebootPolicy` as users write them.

use serde::{Deserialize, Serialize};

/// The default status of a condition.
const TRUE: &str = "True";

/// What keeps a node from starting, and its reboot from being ordered, though a window is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatesSpec {
    /// Conditions of the Node object. A node that has one of them does not start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub conditions: Vec<ConditionSpec>,

    /// Taints of the Node object. A node that has one of them does not start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub taints: Vec<TaintSpec>,
}

/// A condition of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConditionSpec {
    /// The type, such as DiskPressure or KernelDeadlock.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 316)))]
    pub type_: String,

    /// The status that shuts the gate: True, False or Unknown.
    #[serde(default = "true_")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["True", "False", "Unknown"])))]
    pub status: String,
}

/// Taints of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaintSpec {
    /// The key.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 317)))]
    pub key: String,

    /// The effect. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["NoSchedule", "PreferNoSchedule", "NoExecute"])))]
    pub effect: Option<String>,
}

fn true_() -> String {
    TRUE.to_owned()
}

//! The fields `gates` of a `RebootPolicy` as users write them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::labels::LabelSelector;
#[cfg(feature = "schema")]
use crate::rules::{self, DURATION, SECRET_FILE};

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

    /// Questions to a Prometheus server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))
    )]
    pub prometheus: Vec<PrometheusSpec>,

    /// Pods on the node. A node with one of them that has not ended does not start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))
    )]
    pub pods: Vec<PodsSpec>,
}

/// Pods by their labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodsSpec {
    /// The name of the gate in reasons.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
    pub name: String,

    /// The labels of the pods; at least one condition.
    pub selector: LabelSelector,

    /// The namespaces of the pods. Absent or empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 16), inner(length(min = 1, max = 63))))]
    pub namespaces: Vec<String>,

    /// Whether pods that cannot be listed shut the gate: Block or Allow.
    #[serde(default = "block")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["Block", "Allow"])))]
    pub on_error: String,
}

/// A question to a Prometheus server, or to one that speaks its API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = rules::RULES_OF_PROMETHEUS))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrometheusSpec {
    /// The name of the gate in reasons.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
    pub name: String,

    /// The address of the server, such as `http://prometheus.monitoring:9090`; with the path before /api/v1 if there is one.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub url: String,

    /// The gate is shut while one of these alerts is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<AlertsSpec>,

    /// The gate is shut while this PromQL expression gives a result: write a comparison, such as
    /// sum(kube_pod_status_phase{phase="Pending"}) > 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 4096)))]
    pub query: Option<String>,

    /// The file with the bearer token, in the scheduler's folder of secrets for gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = SECRET_FILE), length(max = 256)))]
    pub bearer_token_file: Option<String>,

    /// The files with user name and password, in the same folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuthSpec>,

    /// The file with the certificates of the authorities that may have signed the server's certificate, in the same
    /// folder. Needed for https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = SECRET_FILE), length(max = 256)))]
    pub ca_file: Option<String>,

    /// How long an answer may take, from 1s to 30s.
    #[serde(default = "ten_seconds")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub timeout: String,

    /// Whether a server that cannot be asked shuts the gate: Block or Allow.
    #[serde(default = "block")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["Block", "Allow"])))]
    pub on_error: String,
}

/// Alerts of a Prometheus server, by name, labels and state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertsSpec {
    /// Alerts whose name matches this regular expression anywhere do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub ignore: Option<String>,

    /// Only alerts whose name matches this regular expression anywhere count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub only: Option<String>,

    /// Alerts that are pending do not count.
    #[serde(default)]
    pub firing_only: bool,

    /// Only alerts with these labels count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 16)))]
    pub match_labels: BTreeMap<String, String>,
}

/// A user of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuthSpec {
    /// The file with the user name.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = SECRET_FILE), length(max = 256)))]
    pub username_file: String,

    /// The file with the password.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = SECRET_FILE), length(max = 256)))]
    pub password_file: String,
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

fn ten_seconds() -> String {
    "10s".to_owned()
}

fn block() -> String {
    "Block".to_owned()
}

fn true_() -> String {
    TRUE.to_owned()
}

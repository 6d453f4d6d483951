//! When a node is back in service after its reboot, beyond that it is Ready.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::gates::{PrometheusGate, PrometheusSpec, questions_of};
use crate::labels::LabelSelector;
use crate::selector::Selector;

/// Taints by which programs keep pods away from a node that they have not set up yet. A policy may name more.
const STARTUP_TAINTS: [&str; 9] = [
    "node.cloudprovider.kubernetes.io/uninitialized",
    "node.kubernetes.io/network-unavailable",
    "node.cilium.io/agent-not-ready",
    "cni.istio.io/not-ready",
    "karpenter.sh/unregistered",
    "ebs.csi.aws.com/agent-not-ready",
    "efs.csi.aws.com/agent-not-ready",
    "fsx.csi.aws.com/agent-not-ready",
    // D40: an operator who declared the machine to be off has to take that back before pods get on the node.
    "node.kubernetes.io/out-of-service",
];

/// What has to be back before a node is uncordoned after its reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackInServiceSpec {
    /// Whether the pods of DaemonSets that were Ready before the reboot have to be Ready again: Ready or Ignore.
    #[serde(default = "ready")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["Ready", "Ignore"])))]
    pub daemon_pods: String,

    /// The pods of DaemonSets that count, by their labels. Absent or empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,

    /// Questions to a Prometheus server, as in gates: the soak after the reboot is over only once each of them is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))
    )]
    pub prometheus: Vec<PrometheusSpec>,

    /// What follows if a unit of the host's systemd has failed that had not before the reboot: Ignore, or Hold, by which the
    /// node is not back in service.
    #[serde(default = "ignore")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["Ignore", "Hold"])))]
    pub failed_units: String,

    /// Keys of further taints that have to be gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 16), inner(length(min = 1, max = 317))))]
    pub startup_taints: Vec<String>,
}

fn ready() -> String {
    "Ready".to_owned()
}

fn ignore() -> String {
    "Ignore".to_owned()
}

/// What has to be back before a node is uncordoned after its reboot. The default is that of a policy without the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackInService {
    /// The pods of DaemonSets that have to be Ready again; none: they do not count.
    pub daemon_pods: Option<Selector>,
    /// No unit of the host may have failed that had not before the reboot.
    pub holds_on_failed_units: bool,
    /// What has to be open at the end of the soak.
    pub prometheus: Vec<PrometheusGate>,
    /// Taints beside those that every policy knows.
    further_taints: Vec<String>,
}

impl Default for BackInService {
    fn default() -> Self {
        Self {
            daemon_pods: Some(Selector::default()),
            holds_on_failed_units: false,
            prometheus: Vec::new(),
            further_taints: Vec::new(),
        }
    }
}

impl BackInService {
    pub(crate) fn read(spec: Option<&BackInServiceSpec>, faults: &mut Vec<Fault>) -> Self {
        let Some(spec) = spec else {
            return Self::default();
        };
        let selector = spec.selector.as_ref();
        let selector = selector.map(|selector| Selector::new(selector, "spec.backInService.selector"));
        let selector = selector.transpose().unwrap_or_else(|mut found| {
            faults.append(&mut found);
            None
        });
        let daemon_pods = match spec.daemon_pods.as_str() {
            "Ready" => Some(selector.unwrap_or_default()),
            "Ignore" if selector.is_none() => None,
            "Ignore" => {
                let message = "without effect beside daemonPods: Ignore: remove one of the two";
                faults.push(Fault::new("spec.backInService.selector", message));
                None
            }
            other => {
                let message = format!("`{other}` is neither Ready nor Ignore: write one of them");
                faults.push(Fault::new("spec.backInService.daemonPods", message));
                None
            }
        };
        let holds_on_failed_units = match spec.failed_units.as_str() {
            "Ignore" => false,
            "Hold" => true,
            other => {
                let message = format!("`{other}` is neither Ignore nor Hold: write one of them");
                faults.push(Fault::new("spec.backInService.failedUnits", message));
                false
            }
        };
        Self {
            daemon_pods,
            holds_on_failed_units,
            prometheus: questions_of(&spec.prometheus, "spec.backInService.prometheus", faults),
            further_taints: spec.startup_taints.clone(),
        }
    }

    /// A taint with this key shows that the node is not set up yet.
    #[must_use]
    pub fn is_startup_taint(&self, key: &str) -> bool {
        STARTUP_TAINTS.contains(&key) || self.further_taints.iter().any(|further| further == key)
    }
}

impl std::fmt::Display for BackInService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.daemon_pods {
            None => f.write_str("once the node is Ready")?,
            Some(selector) if selector.is_empty() => {
                f.write_str("once the node and its pods of DaemonSets are Ready")?
            }
            Some(selector) => write!(f, "once the node and its pods of DaemonSets with {selector} are Ready")?,
        }
        f.write_str(", and no startup taint is left")?;
        if !self.further_taints.is_empty() {
            write!(f, ", also of {}", self.further_taints.join(", "))?;
        }
        if self.holds_on_failed_units {
            f.write_str(", and no unit of the host has failed that had not before")?;
        }
        for question in &self.prometheus {
            write!(f, "; at the end of the soak {question}")?;
        }
        Ok(())
    }
}

//! The gates of a policy: what keeps a node from starting, and its reboot from being ordered.
//!
//! Each kind has its own file or type here. This file asks no server and reads no object: the facts are arguments.

mod pods;
mod prometheus;
mod spec;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::gates::pods::pods_of;
use crate::gates::prometheus::prometheus_of;
pub use pods::PodGate;
pub use prometheus::{AlertFilter, Credentials, PrometheusGate, Question};
pub use spec::{AlertsSpec, BasicAuthSpec, ConditionSpec, GatesSpec, PodsSpec, PrometheusSpec, TaintSpec};

/// The prefix of Bellwether's own taints, which never shut a gate.
const OWN: &str = "bellwether.dev/";

/// The taint of a cordon: an own gate says of a cordon that is not ours.
const CORDON: &str = "node.kubernetes.io/unschedulable";

/// The gates of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    /// Conditions of the Node object, each of which shuts the gate.
    pub conditions: Vec<ConditionGate>,
    /// Taints of the Node object, each of which shuts the gate.
    pub taints: Vec<TaintGate>,
    /// Questions to Prometheus servers, each of which may shut the gate.
    pub prometheus: Vec<PrometheusGate>,
    /// Pods on a node, each of which shuts the node's gate.
    pub pods: Vec<PodGate>,
}

/// Whether a gate that cannot be read is shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OnError {
    /// The gate is shut.
    Block,
    /// The gate is open.
    Allow,
}

impl OnError {
    fn read(text: &str, field: &str) -> Result<Self, Fault> {
        match text {
            "Block" => Ok(Self::Block),
            "Allow" => Ok(Self::Allow),
            other => Err(Fault::new(
                field,
                format!("`{other}` is neither Block nor Allow: write one of them"),
            )),
        }
    }
}

/// A condition that shuts the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionGate {
    /// Its type.
    pub type_: String,
    /// Its status.
    pub status: String,
}

impl fmt::Display for ConditionGate {
    /// As `kubectl wait --for=condition` writes one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.type_, self.status)
    }
}

/// Taints that shut the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaintGate {
    /// Their key.
    pub key: String,
    /// Their effect; none: any.
    pub effect: Option<String>,
}

impl TaintGate {
    /// A taint with this key and effect shuts the gate.
    #[must_use]
    pub fn matches(&self, key: &str, effect: &str) -> bool {
        self.key == key && self.effect.as_deref().is_none_or(|wanted| wanted == effect)
    }
}

impl fmt::Display for TaintGate {
    /// As kubectl writes a taint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        self.effect.as_ref().map_or(Ok(()), |effect| write!(f, ":{effect}"))
    }
}

/// The meaning of the fields below `path`.
///
/// # Errors
/// Every mistake.
pub(crate) fn gates_of(spec: &GatesSpec, path: &str) -> Result<Gates, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut gates = Gates::default();
    for (index, condition) in spec.conditions.iter().enumerate() {
        let read = condition_of(condition, &format!("{path}.conditions[{index}]"));
        gates.conditions.extend(read.map_err(|fault| faults.push(fault)).ok());
    }
    for (index, taint) in spec.taints.iter().enumerate() {
        let read = taint_of(taint, &format!("{path}.taints[{index}]"));
        gates.taints.extend(read.map_err(|fault| faults.push(fault)).ok());
    }
    gates.prometheus = questions_of(&spec.prometheus, &format!("{path}.prometheus"), &mut faults);
    for (index, pods) in spec.pods.iter().enumerate() {
        match pods_of(pods, &format!("{path}.pods[{index}]")) {
            Ok(gate) => gates.pods.push(gate),
            Err(mut found) => faults.append(&mut found),
        }
    }
    let names = spec.pods.iter().map(|gate| gate.name.as_str());
    faults.extend(name_taken_twice(names, &format!("{path}.pods")));
    if faults.is_empty() { Ok(gates) } else { Err(faults) }
}

/// The questions to Prometheus servers in the list at `path`, without those that have a mistake.
pub(crate) fn questions_of(specs: &[PrometheusSpec], path: &str, faults: &mut Vec<Fault>) -> Vec<PrometheusGate> {
    let mut questions = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        match prometheus_of(spec, &format!("{path}[{index}]")) {
            Ok(gate) => questions.push(gate),
            Err(mut found) => faults.append(&mut found),
        }
    }
    let names = specs.iter().map(|spec| spec.name.as_str());
    faults.extend(name_taken_twice(names, path));
    questions
}

fn condition_of(spec: &ConditionSpec, path: &str) -> Result<ConditionGate, Fault> {
    let ConditionSpec { type_, status } = spec;
    if type_.is_empty() {
        return Err(Fault::new(format!("{path}.type"), "empty: name a condition"));
    }
    if type_ == "Ready" {
        return Err(Fault::new(
            format!("{path}.type"),
            "a node that is not Ready never starts: remove this condition",
        ));
    }
    if !matches!(status.as_str(), "True" | "False" | "Unknown") {
        return Err(Fault::new(
            format!("{path}.status"),
            format!("`{status}` is no status: write True, False or Unknown"),
        ));
    }
    Ok(ConditionGate {
        type_: type_.clone(),
        status: status.clone(),
    })
}

fn taint_of(spec: &TaintSpec, path: &str) -> Result<TaintGate, Fault> {
    let TaintSpec { key, effect } = spec;
    if key.is_empty() {
        return Err(Fault::new(format!("{path}.key"), "empty: name the key of a taint"));
    }
    if key == CORDON || key.starts_with(OWN) {
        return Err(Fault::new(
            format!("{path}.key"),
            format!(
                "`{key}` is set by a drain of Bellwether too, and cordons of others always count: remove this taint"
            ),
        ));
    }
    if let Some(effect) = effect.as_deref()
        && !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute")
    {
        return Err(Fault::new(
            format!("{path}.effect"),
            format!(
                "`{effect}` is no effect: write NoSchedule, PreferNoSchedule or NoExecute, or leave it out for any"
            ),
        ));
    }
    Ok(TaintGate {
        key: key.clone(),
        effect: effect.clone(),
    })
}

/// The first name that an earlier gate of the list has.
fn name_taken_twice<'a>(names: impl Iterator<Item = &'a str>, path: &str) -> Option<Fault> {
    let mut taken = BTreeSet::new();
    let mut names = names.enumerate();
    let (index, name) = names.find(|(_, name)| !taken.insert(*name))?;
    Some(Fault::new(
        format!("{path}[{index}].name"),
        format!("another gate of the list is called `{name}`: give each a name of its own"),
    ))
}

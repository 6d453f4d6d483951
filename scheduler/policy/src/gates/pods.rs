//! Pods on a node that keep the node from rebooting: the meaning of the fields.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::gates::OnError;
use crate::gates::spec::PodsSpec;
use crate::selector::Selector;

/// Pods that shut the gate of the node on which they run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodGate {
    /// The name of the gate in reasons.
    pub name: String,
    /// The labels of the pods.
    pub selector: Selector,
    /// Their namespaces; empty: all.
    pub namespaces: Vec<String>,
    /// Whether pods that cannot be listed shut the gate.
    pub on_error: OnError,
}

impl fmt::Display for PodGate {
    /// The state that shuts the gate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a pod {} is on the node", self.selector)?;
        if !self.namespaces.is_empty() {
            write!(f, ", of {}", self.namespaces.join(", "))?;
        }
        if self.on_error == OnError::Block {
            f.write_str(", or its pods cannot be listed")?;
        }
        write!(f, " ({})", self.name)
    }
}

/// The meaning of the fields below `path`.
///
/// # Errors
/// Every mistake.
pub(super) fn pods_of(spec: &PodsSpec, path: &str) -> Result<PodGate, Vec<Fault>> {
    let mut faults = Vec::new();
    if spec.name.is_empty() {
        faults.push(Fault::new(
            format!("{path}.name"),
            "empty: name the gate, such as batch",
        ));
    }
    let selector = Selector::new(&spec.selector, &format!("{path}.selector")).unwrap_or_else(|mut found| {
        faults.append(&mut found);
        Selector::default()
    });
    if selector.is_empty() && faults.is_empty() {
        let message = "empty, so every pod would shut the gate: write matchLabels or matchExpressions";
        faults.push(Fault::new(format!("{path}.selector"), message));
    }
    for (index, namespace) in spec.namespaces.iter().enumerate() {
        let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if namespace.is_empty() || !namespace.chars().all(is_letter) {
            let message = format!("`{namespace}` is no namespace: write a name such as shop");
            faults.push(Fault::new(format!("{path}.namespaces[{index}]"), message));
        }
    }
    let on_error = OnError::read(&spec.on_error, &format!("{path}.onError")).unwrap_or_else(|fault| {
        faults.push(fault);
        OnError::Block
    });
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(PodGate {
        name: spec.name.clone(),
        selector,
        namespaces: spec.namespaces.clone(),
        on_error,
    })
}

//! The canaries of each policy: nodes that reboot before the others, and so prove or disprove an update.
//!
//! Derived from views, reports and attempt records, so the next leader comes to the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bellwether_proto::{Cause, NodeName};
use jiff::Timestamp;

/// The state of one canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canary {
    /// Its last reboot failed.
    Failed(Cause),
    /// It needs a reboot.
    Needs,
    /// An operator leaves its need unserved, which began at this time at the latest.
    Skipped(Timestamp),
    /// It has an attempt that is running or keeps a slot.
    InAttempt,
    /// Whether it needs a reboot is not known.
    Unknown,
    /// It needs no reboot. With the time of its last one.
    Rebooted(Option<Timestamp>),
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(cause) => write!(f, "its reboot failed ({})", cause.as_str()),
            Self::Needs => f.write_str("it needs a reboot"),
            Self::Skipped(_) => f.write_str("an operator skips it"),
            Self::InAttempt => f.write_str("its attempt is running, or keeps its slot"),
            Self::Unknown => f.write_str("no report states whether it needs a reboot"),
            Self::Rebooted(_) => f.write_str("it needs no reboot"),
        }
    }
}

/// The state of all canaries of a policy together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trial {
    /// The reboot of this canary failed.
    Failed(NodeName, Cause),
    /// This canary is not rebooted yet, or not known to be.
    Running(NodeName, Canary),
    /// An operator skips this canary, and no other one has proved the update.
    Skipped(NodeName),
    /// No canary needs a reboot. With the time of the last one of all.
    Passed(Option<Timestamp>),
}

/// The canaries by policy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canaries {
    policies: BTreeMap<Arc<str>, OfPolicy>,
    /// The policy of each canary.
    policy_of: BTreeMap<NodeName, Arc<str>>,
}

#[derive(Debug, Clone)]
struct OfPolicy {
    nodes: BTreeMap<NodeName, Canary>,
    trial: Trial,
}

impl Canaries {
    /// States whether a node is a canary of a policy, and its state. True if nodes that wait have to be decided on again.
    pub(crate) fn set(&mut self, node: &NodeName, canary: Option<(Arc<str>, Canary)>) -> bool {
        let policy = canary.as_ref().map(|(policy, _)| policy);
        let left = self
            .policy_of
            .get(node)
            .filter(|before| Some(*before) != policy)
            .cloned();
        let mut has_changed = false;
        if let Some(left) = left {
            self.policy_of.remove(node);
            has_changed |= self.change(left, |nodes| {
                nodes.remove(node);
            });
        }
        if let Some((policy, canary)) = canary {
            self.policy_of.insert(node.clone(), Arc::clone(&policy));
            has_changed |= self.change(policy, |nodes| {
                nodes.insert(node.clone(), canary);
            });
        }
        has_changed
    }

    /// Changes the canaries of a policy. True if that changes their state as a whole.
    fn change(&mut self, policy: Arc<str>, change: impl FnOnce(&mut BTreeMap<NodeName, Canary>)) -> bool {
        let before = self.policies.remove(&policy);
        let (mut nodes, before) = before.map_or_else(Default::default, |before| (before.nodes, Some(before.trial)));
        change(&mut nodes);
        let trial = trial(&nodes);
        let has_changed = trial != before;
        if let Some(trial) = trial {
            self.policies.insert(policy, OfPolicy { nodes, trial });
        }
        has_changed
    }

    /// The state of a policy's canaries; none if the policy governs none.
    pub(crate) fn of_policy(&self, policy: &str) -> Option<&Trial> {
        self.policies.get(policy).map(|of_policy| &of_policy.trial)
    }

    /// How many canaries of a policy the other nodes wait for; none: for none.
    pub(crate) fn left(&self, policy: &str) -> Option<usize> {
        let of_policy = self.policies.get(policy)?;
        let is_left = |canary: &&Canary| matches!(canary, Canary::Needs | Canary::InAttempt | Canary::Unknown);
        match of_policy.trial {
            Trial::Running(..) => Some(of_policy.nodes.values().filter(is_left).count()),
            Trial::Failed(..) | Trial::Skipped(_) | Trial::Passed(_) => None,
        }
    }

    /// The canary of a policy whose reboot failed, and why.
    pub(crate) fn failed(&self, policy: &str) -> Option<(NodeName, Cause)> {
        match self.of_policy(policy)? {
            Trial::Failed(node, cause) => Some((node.clone(), *cause)),
            Trial::Running(..) | Trial::Skipped(_) | Trial::Passed(_) => None,
        }
    }
}

/// None without canaries. A canary that an operator skips counts only until another one has proved the update: was
/// rebooted since the need began that is skipped.
fn trial(nodes: &BTreeMap<NodeName, Canary>) -> Option<Trial> {
    let rebooted = nodes.values().filter_map(|canary| match canary {
        Canary::Rebooted(at) => *at,
        Canary::Failed(_) | Canary::Needs | Canary::Skipped(_) | Canary::InAttempt | Canary::Unknown => None,
    });
    let last = rebooted.max();
    let (mut running, mut skipped) = (None, None);
    for (node, canary) in nodes {
        match canary {
            Canary::Failed(cause) => return Some(Trial::Failed(node.clone(), *cause)),
            Canary::Needs | Canary::InAttempt | Canary::Unknown => {
                running.get_or_insert_with(|| Trial::Running(node.clone(), *canary));
            }
            Canary::Skipped(began) if last.is_none_or(|last| last <= *began) => {
                skipped.get_or_insert_with(|| Trial::Skipped(node.clone()));
            }
            Canary::Skipped(_) | Canary::Rebooted(_) => (),
        }
    }
    (!nodes.is_empty()).then(|| running.or(skipped).unwrap_or(Trial::Passed(last)))
}

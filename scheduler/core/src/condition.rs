//! The conditions by which a Node object shows where its reboot is: one of ours, which has the reason for a wait, and those that
//! Kubernetes has for the life of every node (KEP-5683).
//!
//! They follow from the standing and the attempt of the node alone, and nothing is decided by them.

use std::collections::BTreeMap;

use bellwether_proto::{Attempt, NodeName, NodeUid, Phase, mark};
use jiff::Timestamp;

use crate::attempt::is_for_reboot;
use crate::explain::{Basis, Stand, State};
use crate::observed::NodeView;

/// A message longer than this is cut: each is part of a Node object, which every kubelet and many controllers watch.
const MESSAGE_BYTES_MAX: usize = 512;

/// The message of a node that waits for its turn. Without slots and numbers, which change with every other node: each
/// change is a write of a Node object.
const IN_QUEUE: &str = "waits for a slot; `kubectl reboots explain` names the holders of the slots";

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// It does not; only while the reason is one that an operator has to know.
    False,
    /// Whether it holds is not known.
    Unknown,
}

impl ConditionStatus {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedCondition {
    /// Its status.
    pub status: ConditionStatus,
    /// A code.
    pub reason: &'static str,
    /// For operators.
    pub message: String,
    /// The node has the condition with another status, or does not have it: its time of transition is now.
    pub is_transition: bool,
    /// The same, or the reason is another one; false: only the message is.
    pub(crate) is_news: bool,
}

/// What has to change of the conditions of one Node object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// By type: to be written.
    pub set: BTreeMap<&'static str, WantedCondition>,
    /// Types of ours to be deleted.
    pub removed: Vec<&'static str>,
}

/// A request to change the conditions of a Node object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionChange {
    /// The node.
    pub node: NodeName,
    /// The UID of its object.
    pub node_uid: NodeUid,
    /// When the change was decided: the time of transitions.
    pub at: Timestamp,
    /// The change.
    pub conditions: Conditions,
}

impl Conditions {
    /// What is to be changed of a node: our condition and those of Kubernetes. None: the node is as wanted. `needed`: its
    /// host requires a reboot; none: not known.
    pub(crate) fn to_change(
        node: &NodeView,
        stand: &Stand,
        attempt: Option<&Attempt>,
        needed: Option<bool>,
    ) -> Option<Self> {
        let running = attempt.filter(|_| matches!(stand.state, State::InProgress(_)));
        let has_ours = node.our_conditions.contains_key(mark::REBOOT_REQUIRED);
        let required = required(stand, running, needed, has_ours);
        let wanted = required.into_iter().chain(lifecycle(stand, running, node)).collect();
        Self::between(node, wanted)
    }

    /// The same change but for the types that another program has taken since; none: nothing is left of it.
    #[must_use]
    pub fn without(mut self, is_foreign: impl Fn(&str) -> bool) -> Option<Self> {
        self.set.retain(|type_, _| !is_foreign(type_));
        self.removed.retain(|type_| !is_foreign(type_));
        (self != Self::default()).then_some(self)
    }

    /// Nothing but messages differs.
    pub(crate) fn is_of_messages(&self) -> bool {
        self.removed.is_empty() && self.set.values().all(|wanted| !wanted.is_news)
    }

    /// Removes all conditions of ours; none: there are none.
    pub(crate) fn all_removed(node: &NodeView) -> Option<Self> {
        Self::between(node, BTreeMap::new())
    }

    /// The same of a node whose view may be behind: whatever may have been written.
    pub(crate) fn removed_with(mut self, requested: Option<&Self>) -> Self {
        let set = requested.into_iter().flat_map(|requested| requested.set.keys());
        self.removed.extend(set);
        self.removed.sort_unstable();
        self.removed.dedup();
        self
    }

    fn between(node: &NodeView, mut wanted: BTreeMap<&'static str, WantedCondition>) -> Option<Self> {
        // A condition of another program is not ours to change, whatever its status: two writers would never come to an end.
        wanted.retain(|type_, _| !node.conditions.contains_key(*type_));
        let types = [mark::REBOOT_REQUIRED].into_iter().chain(mark::LIFECYCLE_CONDITIONS);
        let present = types.filter(|type_| node.our_conditions.contains_key(*type_));
        let removed: Vec<_> = present.filter(|type_| !wanted.contains_key(*type_)).collect();
        wanted.retain(|type_, wanted| {
            let Some(present) = node.our_conditions.get(*type_) else {
                return true;
            };
            wanted.is_transition = present.status != wanted.status.as_str();
            wanted.is_news = wanted.is_transition || present.reason != wanted.reason;
            wanted.is_news || present.message != wanted.message
        });
        let is_none = wanted.is_empty() && removed.is_empty();
        (!is_none).then_some(Self { set: wanted, removed })
    }
}

/// Our own condition.
fn required(
    stand: &Stand,
    running: Option<&Attempt>,
    needed: Option<bool>,
    has_ours: bool,
) -> Option<(&'static str, WantedCondition)> {
    let code = stand.basis.code();
    let message = match &stand.basis {
        Basis::None => String::new(),
        Basis::Reason(reason) => reason.message(),
        Basis::Queue => IN_QUEUE.to_owned(),
    };
    let (status, reason, message) = match stand.state {
        State::Waiting => (ConditionStatus::True, code?, message),
        // A node that never required a reboot shows nothing while its agents are away.
        State::Unknown if has_ours => (ConditionStatus::Unknown, code?, message),
        State::Failed => {
            let status = match needed {
                Some(true) => ConditionStatus::True,
                Some(false) => ConditionStatus::False,
                None => ConditionStatus::Unknown,
            };
            (status, code?, message)
        }
        State::InProgress(phase) if needed == Some(true) || running.is_some_and(is_for_reboot) => {
            let message = in_phase(phase)?.to_owned();
            (ConditionStatus::True, phase.as_str(), message)
        }
        State::Idle | State::Unknown | State::InProgress(_) => return None,
    };
    Some((mark::REBOOT_REQUIRED, wanted(status, reason, message)))
}

/// What a node does in a phase, for operators; none: its host requires no reboot any more.
fn in_phase(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Draining => Some("the node is cordoned and drained for its reboot"),
        Phase::Rebooting => Some("the reboot of the host is ordered"),
        Phase::Verifying => Some("the host was rebooted, and the node has to be Ready"),
        Phase::Uncordoning => Some("the host was rebooted, and the node is uncordoned"),
        Phase::RollingBack => Some("no reboot: our cordon is taken away"),
        Phase::Soaking | Phase::Done | Phase::Failed | Phase::Cancelled => None,
    }
}

/// The conditions of Kubernetes.
fn lifecycle(stand: &Stand, running: Option<&Attempt>, node: &NodeView) -> Vec<(&'static str, WantedCondition)> {
    let of = |type_, message: &str| {
        (
            type_,
            wanted(ConditionStatus::True, mark::LIFECYCLE_REASON, message.to_owned()),
        )
    };
    let is_lasting = || stand.reasons().any(|reason| reason.lasts());
    let planned = || {
        of(
            mark::MAINTENANCE_PLANNED,
            "Bellwether will reboot the host once its turn has come",
        )
    };
    let draining = || of(mark::DRAIN_IN_PROGRESS, "Bellwether drains the node for its reboot");
    let drained = || of(mark::DRAINED, "Bellwether has drained the node for its reboot");
    let in_progress = || {
        of(
            mark::MAINTENANCE_IN_PROGRESS,
            "Bellwether reboots the host and has the node cordoned",
        )
    };
    match stand.state {
        State::Waiting if !is_lasting() => vec![planned()],
        State::InProgress(Phase::Draining) if running.is_some_and(|running| running.drained_at.is_some()) => {
            vec![drained()]
        }
        State::InProgress(Phase::Draining) => vec![draining()],
        State::InProgress(Phase::Rebooting | Phase::Verifying) => vec![drained(), in_progress()],
        // Pods may come as soon as the cordon is gone.
        State::InProgress(Phase::Uncordoning) => vec![in_progress()],
        State::InProgress(Phase::RollingBack) if running.is_some_and(was_ordered) => vec![in_progress()],
        State::Failed if node.cordoned_for.is_some() => vec![in_progress()],
        State::Idle
        | State::Waiting
        | State::Failed
        | State::Unknown
        | State::InProgress(Phase::RollingBack | Phase::Soaking | Phase::Done | Phase::Failed | Phase::Cancelled) => {
            Vec::new()
        }
    }
}

/// The host's reboot was ordered.
fn was_ordered(attempt: &Attempt) -> bool {
    attempt.history.iter().any(|entered| entered.phase == Phase::Rebooting)
}

fn wanted(status: ConditionStatus, reason: &'static str, mut message: String) -> WantedCondition {
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    WantedCondition {
        status,
        reason,
        message,
        is_transition: true,
        is_news: true,
    }
}

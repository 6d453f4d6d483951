//! The conditions by which a Node object shows where its reboot is: one of ours, which has the reason for a wait, and those that
//! Kubernetes has for the life of every node (KEP-5683).
//!
//! They follow from the standing and the attempt of the node alone, and nothing is decided by them.

use std::collections::BTreeMap;

use bellwether_proto::{Attempt, NodeName, NodeUid, Phase, mark};
use jiff::Timestamp;

use crate::attempt::is_for_reboot;
use crate::explain::{Basis, Stand, State};
use crate::observed::{NodeView, OurCondition};

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
}

/// All conditions of ours that a Node object has to have, by type; it has to have no others of ours.
///
/// The whole of them, and not what differs from a view: a view may be behind, and what was requested before it may be on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions(BTreeMap<&'static str, WantedCondition>);

/// A request to change the conditions of a Node object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionChange {
    /// The node.
    pub node: NodeName,
    /// The UID of its object.
    pub node_uid: NodeUid,
    /// When the change was decided: the time of transitions.
    pub at: Timestamp,
    /// What the node has to have.
    pub conditions: Conditions,
}

/// What has to change of the conditions of one Node object, as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConditionDiff<'w> {
    /// To be written.
    pub set: Vec<SetCondition<'w>>,
    /// Types of ours to be deleted.
    pub removed: Vec<&'static str>,
}

/// A condition to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetCondition<'w> {
    /// Its type.
    pub type_: &'static str,
    /// As it has to be.
    pub wanted: &'w WantedCondition,
    /// The node has the condition with another status, or does not have it: its time of transition is that of the change.
    pub is_transition: bool,
    /// The same, or the reason is another one; false: only the message is.
    is_news: bool,
}

impl ConditionDiff<'_> {
    /// Nothing but messages differs.
    pub(crate) fn is_of_messages(&self) -> bool {
        self.removed.is_empty() && self.set.iter().all(|set| !set.is_news)
    }
}

impl Conditions {
    /// Our condition and those of Kubernetes. `needed`: the host requires a reboot; none: not known.
    pub(crate) fn of(node: &NodeView, stand: &Stand, attempt: Option<&Attempt>, needed: Option<bool>) -> Self {
        let running = attempt.filter(|_| matches!(stand.state, State::InProgress(_)));
        let has_ours = node.our_conditions.contains_key(mark::REBOOT_REQUIRED);
        let required = required(stand, running, needed, has_ours);
        Self(required.into_iter().chain(lifecycle(stand, running, node)).collect())
    }

    /// What differs from those of ours that a Node object has; none: it is as wanted. A condition of another program is not ours to
    /// change, whatever its status: two writers would never come to an end.
    #[must_use]
    pub fn diff<'w>(
        &'w self,
        ours: &BTreeMap<String, OurCondition>,
        is_foreign: impl Fn(&str) -> bool,
    ) -> Option<ConditionDiff<'w>> {
        let types = [mark::REBOOT_REQUIRED].into_iter().chain(mark::LIFECYCLE_CONDITIONS);
        let is_unwanted = |type_: &&str| ours.contains_key(*type_) && !self.0.contains_key(*type_);
        let removed = types.filter(is_unwanted).filter(|type_| !is_foreign(type_)).collect();
        let own = self.0.iter().filter(|(type_, _)| !is_foreign(type_));
        let set = own.filter_map(|(type_, wanted)| {
            let present = ours.get(*type_);
            let is_transition = present.is_none_or(|present| present.status != wanted.status.as_str());
            let is_news = is_transition || present.is_none_or(|present| present.reason != wanted.reason);
            let differs = is_news || present.is_none_or(|present| present.message != wanted.message);
            let set = SetCondition {
                type_,
                wanted,
                is_transition,
                is_news,
            };
            differs.then_some(set)
        });
        let diff = ConditionDiff {
            set: set.collect(),
            removed,
        };
        (diff != ConditionDiff::default()).then_some(diff)
    }

    /// The same by the view of a node.
    pub(crate) fn diff_from(&self, node: &NodeView) -> Option<ConditionDiff<'_>> {
        self.diff(&node.our_conditions, |type_| node.conditions.contains_key(type_))
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
    }
}

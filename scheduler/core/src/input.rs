//! Everything that the core is given, as one type, so that all of it can be recorded and played again.

use std::collections::BTreeSet;

use bellwether_proto::mark::CORDONED_FOR;
use bellwether_proto::{
    Attempt, AttemptId, FleetControl, FleetOrder, HostReport, KeyId, NodeEvent, NodeName, Phase, RebooterReport,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::admission::budget::Holder;
use crate::encoding::{as_boxed_message, as_message, as_text};
use crate::observed::{Memory, NodeView, PolicyView, StoredReport};
use crate::reading::{Outcome, Query};
use crate::rival::Rival;

/// One input. Reports, events and records are written as the contract's own bytes, so a recording
/// stays readable as long as the contract does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A stored record of an attempt; only while loading.
    Attempt(#[serde(with = "as_boxed_message")] Box<Attempt>),
    /// A stored record that cannot be read; only while loading. Its node is left alone, and keeps its slot.
    UnreadableAttempt {
        /// The node of the record's key.
        #[serde(with = "as_text")]
        node: NodeName,
        /// What is wrong with the record, for operators.
        problem: String,
    },
    /// The stored orders of operators; only while loading.
    Control(#[serde(with = "as_message")] FleetControl),
    /// The key that signs records; only while loading. Without it no node waits for its rebooter to know the key.
    SigningKey(#[serde(with = "as_text")] KeyId),
    /// A node was added or has changed.
    Node(NodeView),
    /// A node was deleted.
    NodeGone(#[serde(with = "as_text")] NodeName),
    /// A sentinel's report was stored.
    Sentinel(StoredReport<HostReport>),
    /// A rebooter's report was stored.
    Rebooter(StoredReport<RebooterReport>),
    /// What the core before remembered of a node; after the node's view and reports, and only while loading.
    Memory {
        /// The node.
        #[serde(with = "as_text")]
        node: NodeName,
        /// What that core remembered.
        memory: Memory,
    },
    /// These are all rivals that are in the cluster now.
    Rivals(BTreeSet<Rival>),
    /// These are all policies that are in the cluster now.
    Policies(Vec<PolicyView>),
    /// An event was published.
    Event(#[serde(with = "as_message")] NodeEvent),
    /// The driver looked for a command, as [`Effect::CheckCommand`](crate::Effect::CheckCommand) demands, and
    /// it is not queued.
    CommandLost {
        /// The node.
        #[serde(with = "as_text")]
        node: NodeName,
        /// The attempt of the command.
        #[serde(with = "as_text")]
        attempt: AttemptId,
        /// The generation of the command.
        generation: u64,
    },
    /// The outcome of a query, which [`Effect::Read`](crate::Effect::Read) has asked for.
    Reading {
        /// The question.
        query: Query,
        /// The instant of the effect.
        asked_at: Timestamp,
        /// The outcome.
        outcome: Outcome,
    },
    /// An operator requests that no new attempt starts.
    Pause {
        /// The operator.
        by: String,
        /// The reason; may be empty.
        reason: String,
    },
    /// An operator requests that attempts start again.
    Resume {
        /// The operator.
        by: String,
    },
    /// An operator gives a standing order, in place of the one before of its kind and subject.
    GiveOrder(#[serde(with = "as_message")] FleetOrder),
    /// An operator ends a standing order: `by` is that operator, and its kind and scope name the order.
    EndOrder(#[serde(with = "as_message")] FleetOrder),
    /// An operator requests that a node's attempt is cancelled or, if it has ended, that its slot is
    /// released and the node may be tried again at once.
    Cancel {
        /// The node.
        #[serde(with = "as_text")]
        node: NodeName,
        /// The operator.
        by: String,
        /// The reason; may be empty.
        reason: String,
    },
}

/// What the core did with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// The input is taken into account.
    Accepted,
    /// The event belongs to no present attempt that this core knows of, or to a generation that comes after
    /// the one it knows: another scheduler may lead. It changes nothing.
    OtherAttempt,
    /// The cancel is stored as soon as the effects are carried out.
    Cancelled(CancelEffect),
    /// The cancel is refused, and changes nothing.
    Refused(CancelRefusal),
    /// The order, or its end, is refused, and changes nothing.
    NotOrdered(OrderRefusal),
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// There is no such node.
    #[error("there is no node {0}")]
    UnknownNode(NodeName),
    /// There is no such policy.
    #[error("there is no RebootPolicy {0} in the cluster: `kubectl get rebootpolicies` lists all")]
    UnknownPolicy(String),
    /// The node needs no reboot.
    #[error("node {0} needs no reboot, so the order would have no effect: its sentinel reports no need")]
    NoNeed(NodeName),
    /// The need would count as later than the order.
    #[error(
        "the need of node {0} begins at {1:.0} by the clock of its host, which is in the future, so it would count as later than the order: correct that clock, or hold the node"
    )]
    NeedInFuture(NodeName, Timestamp),
    /// The order is an annotation of the Node.
    #[error(
        "the order for node {0} is no stored one, but the annotation {1} of the Node: kubectl annotate node {0} {1}-"
    )]
    ByAnnotation(NodeName, &'static str),
    /// There is no such order.
    #[error("there is no such order: `kubectl reboots status` lists all")]
    NoOrder,
    /// The list is full.
    #[error(
        "there are as many orders for nodes and policies as fit: end some (`kubectl reboots status` lists them), or pause or approve the policy of the nodes"
    )]
    TooMany,
}

/// What follows from a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelEffect {
    /// The attempt is rolled back.
    RolledBack,
    /// The attempt does not hold its slot any more.
    SlotReleased {
        /// Why the node takes a slot all the same.
        still: Option<Holder>,
    },
    /// The node does not wait for its next try any more.
    WaitEnded,
}

impl CancelEffect {
    /// What follows, for operators.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::RolledBack => {
                "no pod is evicted any more, and our cordon is taken away; pods that are already ending cannot be brought back".to_owned()
            }
            Self::SlotReleased { still: None } => {
                "its slot is free; the node is tried again if it still needs a reboot".to_owned()
            }
            Self::SlotReleased { still: Some(holder) } => {
                format!("the attempt holds no slot any more, but the node still takes one: {holder}")
            }
            Self::WaitEnded => "the node is tried again at once if it still needs a reboot".to_owned(),
        }
    }
}

/// Why a cancel is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CancelRefusal {
    /// There is no such node.
    #[error("there is no node {0}")]
    UnknownNode(NodeName),
    /// The node has nothing that could be cancelled.
    #[error("node {0} has no attempt that is running, holds a slot or waits for its next try")]
    NoAttempt(NodeName),
    /// The attempt is rolled back already.
    #[error(
        "the attempt of node {0} is rolled back already: its slot is free once our cordon is gone and no late request can take effect any more"
    )]
    RollingBack(NodeName),
    /// The reboot cannot be taken back.
    #[error("node {node} is {}: its reboot cannot be taken back; it is verified and uncordoned as usual", phase.as_str())]
    TooLate {
        /// The node.
        node: NodeName,
        /// Where its attempt is.
        phase: Phase,
    },
    /// The attempt failed, and the node carries our cordon, which takes a slot whatever is cancelled.
    #[error(
        "node {0} still carries our cordon, so it takes a slot: drainers are asked to remove the cordon; to do so by hand, kubectl uncordon {0} and kubectl annotate node {0} {mark}-, and the slot is free by itself",
        mark = CORDONED_FOR
    )]
    StillCordoned(NodeName),
}

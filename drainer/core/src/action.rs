//! The actions that a state machine asks of its driver.

pub use bellwether_proto::StayingPods as Staying;
use bellwether_proto::{DrainFailure, DrainProgress, DrainReport, Fact, Obstacle};
use jiff::Timestamp;
use serde_json::Value;

use crate::permit::Refusal;
use crate::plan::passage::Passage;
use crate::pod::NodePod;
use crate::request::RequestId;
use crate::stateful_set::SetTurn;

/// One action. The driver returns the result of each request exactly once, by the method named here.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Read the attempt's record from the stream's leader: [`crate::Machine::handle_record`].
    ReadRecord(RequestId),
    /// Read the Node object from the API server, not from a cache: [`crate::Machine::handle_node_read`].
    ReadNode(RequestId),
    /// Apply this merge patch to the Node object: [`crate::Machine::handle_node_patched`].
    PatchNode(RequestId, Value),
    /// Store this event, with as many tries as it takes: [`crate::Machine::handle_stored`].
    StoreFact(RequestId, Fact),
    /// Try once to store this event about the progress: [`crate::Machine::handle_progress_sent`].
    SendProgress(DrainProgress),
    /// Watch the Node object from now on: [`crate::Machine::handle_node`].
    WatchNode,
    /// Watch the node's pods from now on, beginning with a new list; drop the watch before, if there
    /// is one: [`crate::Machine::handle_pod`].
    WatchPods,
    /// List the node's pods with a consistent read: [`crate::Machine::handle_pods_listed`].
    ListPods(RequestId),
    /// Ask the API server to evict this pod, with its UID as a condition and its own grace:
    /// [`crate::Machine::handle_answer`].
    ///
    /// With the turn of a StatefulSet only if no drain of another node has taken that turn in this process, and only while
    /// there is a place ([`crate::Machine::handle_places`]): else [`crate::Machine::handle_held_back`]. Give the turn back
    /// if the pod was not evicted.
    Evict(NodePod, Option<SetTurn>),
    /// Delete this pod whatever its budgets say, with its UID as a condition and its own grace:
    /// [`crate::Machine::handle_answer`]. Without a place [`crate::Machine::handle_held_back`].
    Delete(NodePod),
    /// Let all drains of this process evict nothing until this instant.
    Throttle(Timestamp),
    /// Write this part of the drain, which is over, to the trace of the attempt.
    Trace(Passage),
    /// Write this to the log.
    Log(Notice),
    /// The command has ended: drop the state machine and everything under way for it.
    Finish(CommandEnd),
}

/// Why the driver has not sent an eviction or deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBack {
    /// The drain of another node has the turn of the pod's StatefulSet. States which, for operators.
    NoTurn(String),
    /// So many evictions of the process await their answer as may.
    NoPlace,
}

/// A turn in a drain that operators may look for in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The node changed between the read and the patch; the state machine reads it again.
    NodeChanged,
    /// The node lost its cordon during the drain; the drain cordons it again.
    CordonedAgain,
    /// Evictions are suspended, since the record does not authorise the command at present.
    EvictionsSuspended(String),
    /// No pod is left, but the record does not authorise the command at present.
    Unconfirmed(String),
    /// A cordon or uncordon failed and is tried again.
    NodeEditFailed(String),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEnd {
    /// The node carries our cordon and no pod that has to go.
    Drained {
        /// Pods that had to go and are gone.
        pods_gone: u32,
        /// Pods that stay on purpose.
        staying: Staying,
        /// The pods that came back and stay, and those that were deleted, for operators; empty if there are none.
        remarks: String,
        /// The volumes that are still attached, or why that is not known, for operators; empty if there are none.
        attached: String,
        /// What the drain has met.
        report: Box<DrainReport>,
    },
    /// The drain failed for good.
    DrainFailed {
        /// The reason's code.
        failure: DrainFailure,
        /// The reason, for operators.
        message: String,
        /// What kept the drain from its end, for comparison with other attempts.
        obstacle: Option<Obstacle>,
        /// What the drain has met; none if it ended before its evictions could begin.
        report: Option<Box<DrainReport>>,
    },
    /// The node does not carry our cordon.
    Uncordoned {
        /// The node stays unschedulable under a cordon that is not ours.
        left_unschedulable: bool,
    },
    /// The cordon could not be removed this time.
    UncordonFailed {
        /// The reason, for operators.
        message: String,
    },
    /// The record will never authorise the command again.
    PermitLost {
        /// The reason, for the log.
        reason: String,
    },
    /// The drainer stops: another one continues from the cluster and the record as they are.
    Interrupted,
    /// Whether the record authorises the command is not known, and the time for this try is over.
    Postponed {
        /// The reason, for the log.
        reason: Refusal,
    },
}

impl CommandEnd {
    /// The event that reports this end; none, if the command is not this drainer's any more.
    #[must_use]
    pub fn fact(&self) -> Option<Fact> {
        Some(match self {
            Self::Drained {
                pods_gone,
                staying,
                remarks,
                attached,
                report,
            } => Fact::Drained {
                pods_gone: *pods_gone,
                pods_left: staying.total(),
                pods_returning: staying.returning,
                message: joined(&[remarks, attached]),
                report: Some(report.clone()),
            },
            Self::DrainFailed {
                failure,
                message,
                obstacle,
                report,
            } => Fact::DrainFailed {
                failure: *failure,
                message: message.clone(),
                obstacle: obstacle.clone(),
                report: report.clone(),
            },
            Self::Uncordoned { left_unschedulable } => Fact::Uncordoned {
                left_unschedulable: *left_unschedulable,
            },
            Self::UncordonFailed { message } => Fact::UncordonFailed {
                message: message.clone(),
            },
            Self::PermitLost { .. } | Self::Interrupted | Self::Postponed { .. } => return None,
        })
    }
}

/// The sentences that are not empty, as one text.
fn joined(sentences: &[&String]) -> String {
    let mut text = String::new();
    for sentence in sentences.iter().filter(|sentence| !sentence.is_empty()) {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(sentence);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_about_a_drained_node_counts_each_pod_that_stays() {
        let end = |staying| CommandEnd::Drained {
            pods_gone: 7,
            staying,
            remarks: "1 of ReplicaSet/web".to_owned(),
            attached: "volumes are still attached: pv-1".to_owned(),
            report: Box::default(),
        };
        let counted = |staying| match end(staying).fact() {
            Some(Fact::Drained {
                pods_gone: 7,
                pods_left,
                pods_returning,
                message,
                ..
            }) if message == "1 of ReplicaSet/web; volumes are still attached: pv-1" => (pods_left, pods_returning),
            fact => unreachable!("{fact:?}"),
        };
        assert_eq!(counted(Staying::default()), (0, 0));
        let staying = Staying {
            daemon_set: 1,
            r#static: 10,
            finished: 100,
            annotated: 1000,
            returning: 10_000,
        };
        assert_eq!(counted(staying), (11_111, 10_000));
    }
}

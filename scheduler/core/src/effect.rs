//! The effects that the core asks its driver for, in this order and no other.

use bellwether_proto::{
    Attempt, AttemptRef, DrainNode, FleetControl, NodeEvent, NodeName, OrderChanged, Phase, TaintNode, UncordonNode,
};
use jiff::Timestamp;

use crate::condition::ConditionChange;
use crate::reading::Query;

/// One effect. If one fails, the driver carries out none after it: it drops the core and loads again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Store this record, on condition that no other writer has written since the core was loaded; then publish the event
    /// about it, if there is one. The event is stored with the record, so a leader that dies in between leaves no gap.
    StoreAttempt(Box<Attempt>, Option<Box<NodeEvent>>),
    /// Delete the record of a node that is gone, on the same condition.
    DeleteAttempt(NodeName),
    /// Store the operators' orders, on the same condition; then publish the event about their change, as for a record.
    StoreControl(Box<FleetControl>, Option<Box<OrderChanged>>),
    /// Send a command to the drainers.
    SendCommand(Command),
    /// Look whether this command, which has no answer yet, is still queued. If not, hand over
    /// [`Input::CommandLost`](crate::Input::CommandLost): the drainer that took it may be gone, or its
    /// answer may be on its way.
    CheckCommand(Command),
    /// Send a command to the drainers about the taint of a node that waits for its reboot, or does not any more.
    TaintNode(TaintNode),
    /// Change the conditions of a Node object. No other effect waits for the API server, and its answer is not asked for: the
    /// watch shows the result.
    SetConditions(Box<ConditionChange>),
    /// Ask another server, and hand over [`Input::Reading`](crate::Input::Reading) with this instant, whatever the
    /// outcome. No other effect waits for the answer.
    Read {
        /// The question.
        query: Query,
        /// When the core wanted it.
        asked_at: Timestamp,
    },
    /// Write the span of a phase that has ended, and of the attempt if that has ended.
    PhaseEnded {
        /// The attempt, in its new phase.
        attempt: Box<Attempt>,
        /// The phase that has ended.
        phase: Phase,
        /// When it began.
        began: Timestamp,
        /// When it ended.
        ended: Timestamp,
    },
}

/// A command to the drainers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Cordon and empty the node.
    Drain(DrainNode),
    /// Take our cordon away.
    Uncordon(UncordonNode),
}

impl Command {
    /// The command that belongs to an attempt's phase, if there is one.
    #[must_use]
    pub fn of(attempt: &Attempt) -> Option<Self> {
        match attempt.phase {
            Phase::Draining if attempt.drained_at.is_none() => Some(Self::Drain(DrainNode {
                attempt: attempt.into(),
                not_after: attempt.deadline?,
            })),
            Phase::Uncordoning | Phase::RollingBack => Some(Self::uncordon(attempt)),
            // Stuck: for as long as it carries our cordon and is not to be kept cordoned.
            Phase::Failed if crate::attempt::wants_uncordon(attempt) => Some(Self::uncordon(attempt)),
            Phase::Draining
            | Phase::Rebooting
            | Phase::Verifying
            | Phase::Soaking
            | Phase::Done
            | Phase::Failed
            | Phase::Cancelled => None,
        }
    }

    /// The attempt and the generation in which the command was ordered.
    #[must_use]
    pub fn attempt(&self) -> &AttemptRef {
        match self {
            Self::Drain(drain) => &drain.attempt,
            Self::Uncordon(uncordon) => &uncordon.attempt,
        }
    }

    fn uncordon(attempt: &Attempt) -> Self {
        Self::Uncordon(UncordonNode {
            attempt: attempt.into(),
        })
    }
}

//! What the core wants done, in this order and no other.

use bellwether_proto::{Attempt, DrainNode, FleetControl, NodeEvent, NodeName, Phase, UncordonNode};
use jiff::Timestamp;

/// One thing to be done. If it fails, nothing after it may be done: drop the core and load anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Store this record, if nobody else has written since the core was loaded.
    Store(Box<Attempt>),
    /// Delete the record of a node that is gone, on the same condition.
    Delete(NodeName),
    /// Store what people ordered, on the same condition.
    StoreControl(FleetControl),
    /// Tell what happened.
    Announce(NodeEvent),
    /// Ask a drainer, unless the same command is still queued.
    Ask(Command),
    /// Write the span of a phase that is over, and of the attempt if that is over.
    PhaseOver {
        /// The attempt, in its new phase.
        attempt: Box<Attempt>,
        /// The phase that is over.
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
                node: attempt.node.clone(),
                node_uid: attempt.node_uid.clone(),
                attempt: attempt.id,
                generation: attempt.generation,
                not_after: attempt.deadline?,
            })),
            Phase::Uncordoning | Phase::RollingBack => Some(Self::uncordon(attempt)),
            // Stuck: for as long as it carries our cordon and is not to be kept cordoned.
            Phase::Failed if crate::attempt::phases::wants_uncordon(attempt) => Some(Self::uncordon(attempt)),
            Phase::Draining
            | Phase::Rebooting
            | Phase::Verifying
            | Phase::Soaking
            | Phase::Done
            | Phase::Failed
            | Phase::Cancelled => None,
        }
    }

    fn uncordon(attempt: &Attempt) -> Self {
        Self::Uncordon(UncordonNode {
            node: attempt.node.clone(),
            node_uid: attempt.node_uid.clone(),
            attempt: attempt.id,
            generation: attempt.generation,
        })
    }
}

//! The check of one node: whether its pods could all go, as a drainer last answered.

use bellwether_proto::NodeName;
use jiff::{SignedDuration, Timestamp};

use crate::admission::reason::Reason;
use crate::reading::{Outcome, Slot};
use crate::timers::later;

/// Until the next question about a node that cannot be drained before its owner changes something.
const CANNOT_FOR: SignedDuration = SignedDuration::from_mins(1);
/// The same of a node whose pods may go in a moment, and of one about which no drainer could answer.
const NOT_NOW_FOR: SignedDuration = SignedDuration::from_secs(15);
/// The longest time until the next question, which doubles with each answer alike: so that nodes behind hundreds that
/// cannot be drained are asked about too, since a question takes a tenth of a second.
const LONGEST: SignedDuration = SignedDuration::from_mins(8);

/// The check of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct DrainCheck {
    pub(crate) slot: Slot,
    /// The nodes beside which the newest answer counts.
    beside: Vec<NodeName>,
    /// How many answers in a row were that the node cannot be drained.
    in_row: u32,
}

impl DrainCheck {
    /// Takes an answer. False: a newer one is here already.
    pub(crate) fn take(&mut self, beside: Vec<NodeName>, asked_at: Timestamp, outcome: Outcome) -> bool {
        let in_row = match outcome {
            Outcome::Shut(_) | Outcome::NotNow(_) => self.in_row.saturating_add(1),
            Outcome::Open | Outcome::DaemonPods(_) | Outcome::Failed(_) => 0,
        };
        let is_newer = self.slot.take(asked_at, outcome);
        if is_newer {
            (self.beside, self.in_row) = (beside, in_row);
        }
        is_newer
    }

    /// The answer counts beside this node.
    pub(crate) fn counts_beside(&self, node: &NodeName) -> bool {
        self.beside.contains(node)
    }

    /// The node that needed the budget is not drained any more: an answer that the pods may go in a moment is void.
    /// Returns whether there was such an answer.
    pub(crate) fn forget_not_now(&mut self) -> bool {
        let is_void = matches!(&self.slot.last, Some(last) if matches!(last.outcome, Outcome::NotNow(_)));
        if is_void {
            self.slot.last = None;
            self.in_row = 0;
        }
        is_void
    }

    /// Why the node does not start, and until when that counts; none: its pods can go, or no drainer has answered.
    pub(crate) fn shut(&self) -> Option<(Reason, Timestamp)> {
        let last = self.slot.last.as_ref()?;
        let doubled = |base: SignedDuration| {
            let doublings = self.in_row.saturating_sub(1).min(16);
            base.saturating_mul(1 << doublings).min(LONGEST)
        };
        let (lasts, reason) = match &last.outcome {
            Outcome::Open | Outcome::DaemonPods(_) => return None,
            Outcome::Shut(found) => (doubled(CANNOT_FOR), Reason::DrainBlocked { found: found.clone() }),
            Outcome::NotNow(found) => (doubled(NOT_NOW_FOR), Reason::DrainNotNow { found: found.clone() }),
            Outcome::Failed(error) => (NOT_NOW_FOR, Reason::DrainUnchecked { error: error.clone() }),
        };
        Some((reason, later(last.asked_at, lasts)))
    }
}

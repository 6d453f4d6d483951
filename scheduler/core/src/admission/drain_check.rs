//! The check of one node: whether its pods could all go, as a drainer last answered.

use bellwether_proto::NodeName;
use jiff::{SignedDuration, Timestamp};

use crate::admission::reason::Reason;
use crate::reading::{Found, Outcome, Slot};
use crate::timers::later;

/// Until the next question about a node that cannot be drained before its owner changes something.
const CANNOT_FOR: SignedDuration = SignedDuration::from_mins(1);
/// The same of a node whose pods may go in a moment, and of one about which no drainer could answer.
const NOT_NOW_FOR: SignedDuration = SignedDuration::from_secs(15);
/// The longest time until the next question, which doubles with each answer alike: so that nodes behind hundreds that
/// cannot be drained are asked about too, since a question takes a tenth of a second.
const LONGEST: SignedDuration = SignedDuration::from_mins(8);

/// So many answers in a row that pods may go in a moment are no moment any more: by the waits between the questions, nearly four
/// minutes.
const NOT_NOW_LASTS: u32 = 5;
/// How long an answer stands for what lasts, also while the node waits for a slot and is not asked about: a rollout takes about that
/// long to get to the next node, and a night is longer.
const STANDS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// The check of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct DrainCheck {
    pub(crate) slot: Slot,
    /// The nodes beside which the newest answer counts.
    beside: Vec<NodeName>,
    /// How many answers in a row were of the same kind.
    in_row: u32,
}

impl DrainCheck {
    /// Takes an answer. False: a newer one is here already.
    pub(crate) fn take(&mut self, beside: Vec<NodeName>, asked_at: Timestamp, outcome: Outcome) -> bool {
        let follows = self.slot.last.as_ref().is_some_and(|last| {
            let is_alike = std::mem::discriminant(&last.outcome) == std::mem::discriminant(&outcome);
            // An answer of the last night says nothing about this one.
            is_alike && asked_at <= later(last.asked_at, LONGEST.saturating_mul(2))
        });
        let in_row = if follows { self.in_row.saturating_add(1) } else { 1 };
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

    /// The newest answer is that the pods may go in a moment, and is of the time in which this node was drained.
    pub(crate) fn waits_for(&self, node: &NodeName) -> bool {
        let last = self.slot.last.as_ref();
        last.is_some_and(|last| matches!(last.outcome, Outcome::NotNow(_))) && self.counts_beside(node)
    }

    /// What keeps the pods of the node and lasts: their owners have to change something. None: nothing, by the newest answer, or that
    /// answer is too old.
    pub(crate) fn lasting(&self, now: Timestamp) -> Option<&Found> {
        let last = self.slot.last.as_ref()?;
        if later(last.asked_at, STANDS_FOR) < now {
            return None;
        }
        match &last.outcome {
            Outcome::Shut(found) => Some(found),
            Outcome::NotNow(found) if self.in_row >= NOT_NOW_LASTS => Some(found),
            Outcome::NotNow(_) | Outcome::Open | Outcome::Failed(_) | Outcome::DaemonPods(_) => None,
        }
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
            Outcome::Failed(error) => (doubled(NOT_NOW_FOR), Reason::DrainUnchecked { error: error.clone() }),
        };
        Some((reason, later(last.asked_at, lasts)))
    }
}

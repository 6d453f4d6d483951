//! What the referee remembers of one node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bellwether_proto::{AttemptId, BootId, NodeUid};

use crate::moment::{HOUR, Ms};

/// A call to reboot after which the host goes down.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) uid: NodeUid,
    pub(super) boot: BootId,
    /// The schedulers' clock has jumped ahead since, so the time for this reboot may be over for them.
    pub(super) is_timed_out: bool,
}

/// A running attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) attempt: AttemptId,
    /// Its start, moved on by each time in which no scheduler could act.
    pub(super) since: Ms,
}

/// What the referee remembers of one node.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) exists: bool,
    pub(super) control_plane: bool,
    /// The Node object is being deleted: its machine goes, whatever we do.
    pub(super) deleting: bool,
    /// The attempt whose cordon the node carries, and since when without a break.
    pub(super) cordon: Option<(AttemptId, Ms)>,
    /// The host goes down, or is down, by our call.
    pub(super) call: Option<Call>,
    /// A drain of this attempt was concluded then.
    pub(super) drained: Option<(AttemptId, Ms)>,
    /// The generations of the running attempt in which a drain was concluded.
    pub(super) drained_generations: BTreeSet<(AttemptId, u64)>,
    /// Needs for which we have called for a reboot, each with the boot that was to end. A reboot by another hand
    /// makes them void: the need may be tried again in that boot.
    pub(super) rebooted_needs: BTreeMap<u64, BootId>,
    /// The host has booted since the run began.
    pub(super) has_booted: bool,
    /// The last boot of which the leading scheduler has been given a report that no reboot is needed.
    pub(super) no_need_known: Option<BootId>,
    pub(super) running: Option<Running>,
    /// The running attempt only takes away a cordon that had no attempt.
    pub(super) is_orphan: bool,
    /// The stored record takes a slot.
    pub(super) holds_slot: bool,
    /// Starts of attempts in the last hour.
    pub(super) starts: VecDeque<Ms>,
    /// Reasons for a start out of turn, in the last hour.
    pub(super) grants: VecDeque<Ms>,
    /// How long the node has been free to start and has not.
    pub(super) waited: Ms,
    /// How long that may be.
    pub(super) wait_max: Ms,
    /// How long the node has carried a cordon of ours without an attempt that holds a slot.
    pub(super) orphaned: Ms,
}

impl Facts {
    /// The node is disrupted by us.
    pub(super) fn is_disrupted(&self) -> bool {
        self.exists
            && !self.deleting
            && (self.cordon.is_some() || self.call.as_ref().is_some_and(|call| !call.is_timed_out))
    }
}

/// Adds a moment, and forgets those of more than an hour ago.
pub(super) fn note(moments: &mut VecDeque<Ms>, now: Ms) {
    moments.push_back(now);
    while moments.front().is_some_and(|first| *first + HOUR < now) {
        moments.pop_front();
    }
}

/// How many moments are in the last hour.
pub(super) fn in_last_hour(moments: &VecDeque<Ms>, now: Ms) -> usize {
    moments.iter().filter(|at| **at + HOUR >= now).count()
}

//! Whether a node may be called drained (D49).
//!
//! The watch shows no pod that has to go, and the node has carried our cordon for [`SETTLE`]. Then, in
//! this order: a consistent list of the API server shows no such pod either; the node still carries
//! our cordon; the record still authorises the drain. Only then the node is drained. A new condition
//! is a new stage here.

use std::time::Duration;

use jiff::Timestamp;

use crate::action::Staying;
use crate::backoff::after;
use crate::permit::Ticket;
use crate::pod::{Class, NodePod, StayReason};
use crate::request::RequestId;

/// How long a node must carry our cordon before it may be called drained. A scheduler that chose the
/// node just before still binds its pod to it.
///
/// A list of the pods without a node would not prove that earlier. It shows that no pod older than the list can still be
/// bound; a pod that is created after it may be, by a scheduler whose watch of nodes lags behind its watch of pods.
/// No object of the API server shows how far that watch is, so only time helps.
const SETTLE: Duration = Duration::from_secs(2);
/// Wait before the next proof, after one that failed.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// No proof is under way.
    Idle,
    /// The API server lists the pods.
    Listing(RequestId),
    /// The list shows no pod that has to go.
    Listed(Staying),
    /// The API server reads the node.
    ReadingNode(RequestId, Staying),
    /// The node carries our cordon; a new read of the record has to authorise the end.
    Authorising(Ticket, Staying),
}

/// The proof of one drain.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) stage: Stage,
    not_before: Timestamp,
    /// A list under way, also of a proof that failed meanwhile: a busy API server gets one at a time.
    list_under_way: Option<RequestId>,
}

impl Proof {
    /// The node carries our cordon since `cordoned_at`.
    pub(super) fn since_cordon(cordoned_at: Timestamp) -> Self {
        Self {
            stage: Stage::Idle,
            not_before: after(cordoned_at, SETTLE),
            list_under_way: None,
        }
    }

    /// The node carries our cordon again, since now.
    pub(super) fn restart(&mut self, cordoned_at: Timestamp) {
        *self = Self {
            list_under_way: self.list_under_way,
            ..Self::since_cordon(cordoned_at)
        };
    }

    /// True if a list may begin: none is under way.
    pub(super) fn may_list(&self) -> bool {
        self.list_under_way.is_none()
    }

    /// A list begins.
    pub(super) fn list_begins(&mut self, id: RequestId) {
        self.stage = Stage::Listing(id);
        self.list_under_way = Some(id);
    }

    /// The API server has answered a list, of this proof or of one that failed.
    pub(super) fn list_answered(&mut self, id: RequestId) {
        self.list_under_way.take_if(|under_way| *under_way == id);
    }

    /// The next proof may begin at this instant.
    pub(super) fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// This proof failed: begin another one, a little later.
    pub(super) fn fail(&mut self, now: Timestamp) {
        self.stage = Stage::Idle;
        self.not_before = self.not_before.max(after(now, RETRY));
    }

    /// Takes in the consistent list. Returns the pods that still have to go.
    pub(super) fn handle_list(&mut self, now: Timestamp, pods: &[NodePod]) -> Vec<NodePod> {
        let left: Vec<NodePod> = pods.iter().filter(|pod| pod.has_to_go()).cloned().collect();
        if left.is_empty() {
            self.stage = Stage::Listed(staying(pods));
        } else {
            self.fail(now);
        }
        left
    }
}

/// The pods that stay, by their class.
pub(super) fn staying(pods: &[NodePod]) -> Staying {
    let mut staying = Staying::default();
    for pod in pods {
        let Class::Stays(reason) = pod.class else { continue };
        let count = match reason {
            StayReason::DaemonSet => &mut staying.daemon_set,
            StayReason::Static => &mut staying.r#static,
            StayReason::Finished => &mut staying.finished,
            StayReason::Annotated => &mut staying.annotated,
            StayReason::Returning => &mut staying.returning,
        };
        *count = count.saturating_add(1);
    }
    staying
}

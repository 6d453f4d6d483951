//! The contract between a state machine and its driver.

use std::sync::Arc;

use jiff::Timestamp;

use crate::action::{Action, HeldBack};
use crate::answer::Answer;
use crate::budget::Budgets;
use crate::fault::ApiFault;
use crate::namespace::NamespaceOwners;
use crate::node::{NodePatched, NodeRead, NodeView};
use crate::permit::RecordView;
use crate::plan::passage::Passage;
use crate::pod::PodView;
use crate::request::RequestId;
use crate::stateful_set::StatefulSets;
use crate::volume::Attached;
use crate::watched::{Looked, WatchTarget, Watched};

/// A state machine that carries out one command.
///
/// The driver's loop, as with the connections of quinn:
///
/// 1. Call the `handle_*` methods for all facts that are there, in any number and order.
/// 2. Call [`Self::poll_action`] until it returns none, and carry out each action. Requests run
///    beside each other; the driver never waits for one before it polls the next.
/// 3. Arm one timer with [`Self::poll_timeout`], and wait for a fact or the timer. The timer is no
///    fact: go to step 2, with the new time.
///
/// After [`Action::Finish`] the driver drops the machine. The driver may drop it at any other moment
/// too: the next one continues from the cluster and the record as they are.
pub trait Machine {
    /// The result of [`Action::ReadRecord`].
    fn handle_record(&mut self, id: RequestId, record: RecordView);

    /// The attempt's record may have changed.
    fn handle_record_hint(&mut self);

    /// The result of [`Action::ReadNode`].
    fn handle_node_read(&mut self, now: Timestamp, id: RequestId, read: NodeRead);

    /// The result of [`Action::PatchNode`].
    fn handle_node_patched(&mut self, now: Timestamp, id: RequestId, patched: NodePatched);

    /// The event of [`Action::StoreFact`] is stored.
    fn handle_stored(&mut self, _id: RequestId) {}

    /// The event of [`Action::SendProgress`] is stored or lost.
    fn handle_progress_sent(&mut self) {}

    /// One event of [`Action::WatchNode`].
    fn handle_node(&mut self, _event: Watched<NodeView>) {}

    /// One event of [`Action::WatchPods`].
    fn handle_pod(&mut self, _event: Watched<PodView>) {}

    /// The disruption budgets of the cluster, as they are now; none: they are not known.
    fn handle_budgets(&mut self, _budgets: Option<Arc<Budgets>>) {}

    /// The volumes that are attached to the node, as they are now; or why that is not known.
    fn handle_attached(&mut self, _attached: Looked<Vec<Attached>>) {}

    /// The StatefulSets of the cluster, as they are now; or why they are not known.
    fn handle_sets(&mut self, _sets: Looked<Arc<StatefulSets>>) {}

    /// The owners of the cluster's namespaces, as far as they are known now.
    fn handle_owners(&mut self, _owners: Arc<NamespaceOwners>) {}

    /// A watch failed; the driver continues it by itself.
    fn handle_watch_failed(&mut self, _now: Timestamp, _target: WatchTarget, _fault: ApiFault) {}

    /// The result of [`Action::ListPods`].
    fn handle_pods_listed(&mut self, _now: Timestamp, _id: RequestId, _pods: Result<Vec<PodView>, ApiFault>) {}

    /// The API server's answer to [`Action::Evict`] of the pod with this UID.
    fn handle_answer(&mut self, _now: Timestamp, _uid: &str, _answer: Answer) {}

    /// The driver has not sent [`Action::Evict`] or [`Action::Delete`] of the pod with this UID.
    fn handle_held_back(&mut self, _now: Timestamp, _uid: &str, _why: HeldBack) {}

    /// So many more evictions of this command may await their answer, beside those of other commands.
    fn handle_places(&mut self, _free: usize) {}

    /// With more places than were there at the last decision, more evictions would begin.
    fn lacks_places(&self) -> bool {
        false
    }

    /// Some drain of this process asked that nothing is evicted until this instant.
    fn handle_throttle(&mut self, _until: Timestamp) {}

    /// The driver drops the machine before its end. Returns the parts of the drain that are under way, for its trace.
    fn interrupt(&mut self) -> Vec<Passage> {
        Vec::new()
    }

    /// The next action, decided at this time.
    fn poll_action(&mut self, now: Timestamp) -> Option<Action>;

    /// When to call [`Self::poll_action`] again although no fact came in.
    fn poll_timeout(&self) -> Option<Timestamp>;
}

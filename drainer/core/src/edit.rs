//! One change of the Node object, with as many tries as it takes.
//!
//! Each try reads the node first, the permit second, and writes third, under the version read first.
//! So if another drainer changed the node after the record moved on, either the permit or the version
//! refuses.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::action::{Action, Notice};
use crate::backoff::{Backoff, Spread, after};
use crate::fault::ApiFault;
use crate::node::{NodePatched, NodeRead, NodeView};
use crate::permit::{Permit, Refusal, Ticket};
use crate::request::{RequestId, RequestIds};

/// Longest wait between two tries.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// The decision about one state of the node.
pub(crate) enum Change<D> {
    /// The node is as wanted.
    Done(D),
    /// The node needs this patch.
    Patch(Value),
}

/// Why one try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EditFault {
    /// The API server.
    Api(ApiFault),
    /// The record does not authorise the change, at least not now.
    Permit(Refusal),
}

impl std::fmt::Display for EditFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Api(fault) => fault.fmt(f),
            Self::Permit(refusal) => refusal.fmt(f),
        }
    }
}

/// The state of the change after one look at it.
pub(crate) enum EditPoll<D> {
    /// Some answer or some time has to come first.
    Waiting,
    /// To be carried out; then poll again.
    Act(Action),
    /// The node is as wanted.
    Done(D),
    /// This try failed; the next one begins after a wait, if the caller polls again.
    Failed(EditFault),
}

#[derive(Debug)]
enum Stage {
    /// The next try begins at this instant.
    Waiting(Timestamp),
    Reading(RequestId),
    /// The node as it is known to be, by a read or as the result of our patch.
    Known {
        node: NodeRead,
        by_patch: bool,
    },
    /// A read of the record has to authorise the patch.
    Authorising(Ticket, Value),
    Patching(RequestId),
    /// Another writer was faster.
    Overtaken,
}

/// A change under way.
#[derive(Debug)]
pub(crate) struct NodeEdit {
    stage: Stage,
    backoff: Backoff,
}

impl NodeEdit {
    /// A change whose first try begins at once.
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Waiting(Timestamp::MIN),
            backoff: Backoff::up_to(RETRY_DELAY_MAX),
        }
    }

    pub(crate) fn handle_node_read(&mut self, id: RequestId, node: NodeRead) {
        if matches!(self.stage, Stage::Reading(awaited) if awaited == id) {
            self.stage = Stage::Known { node, by_patch: false };
        }
    }

    pub(crate) fn handle_node_patched(&mut self, id: RequestId, patched: NodePatched) {
        if matches!(self.stage, Stage::Patching(awaited) if awaited == id) {
            self.stage = match patched {
                NodePatched::Written(node) => Stage::Known {
                    node: NodeRead::Found(node),
                    by_patch: true,
                },
                NodePatched::Changed => Stage::Overtaken,
                NodePatched::Failed(fault) => Stage::Known {
                    node: NodeRead::Failed(fault),
                    by_patch: true,
                },
            };
        }
    }

    /// When the next try begins, if the change waits for that.
    pub(crate) fn next_try_at(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Waiting(at) => Some(at),
            Stage::Reading(_)
            | Stage::Known { .. }
            | Stage::Authorising(..)
            | Stage::Patching(_)
            | Stage::Overtaken => None,
        }
    }

    /// Takes the next step. `decide` reads what the node needs.
    pub(crate) fn poll<D>(
        &mut self,
        now: Timestamp,
        permit: &mut Permit,
        ids: &mut RequestIds,
        spread: &mut Spread,
        decide: impl Fn(Option<&NodeView>) -> Change<D>,
    ) -> EditPoll<D> {
        let fault = match &mut self.stage {
            // A wait that is longer than the longest was noted before the clock was set back: it is over.
            Stage::Waiting(at) if now < *at && *at <= after(now, RETRY_DELAY_MAX * 2) => return EditPoll::Waiting,
            Stage::Waiting(_) => {
                let id = ids.next();
                self.stage = Stage::Reading(id);
                return EditPoll::Act(Action::ReadNode(id));
            }
            Stage::Reading(_) | Stage::Patching(_) => return EditPoll::Waiting,
            Stage::Known { node, by_patch } => {
                let node = match node {
                    NodeRead::Found(node) => Ok(Some(&*node)),
                    NodeRead::Absent => Ok(None),
                    NodeRead::Failed(fault) => Err(fault.clone()),
                };
                match node.map(decide) {
                    Ok(Change::Done(done)) => return EditPoll::Done(done),
                    // Another program undoes the patch at once, such as an admission webhook.
                    Ok(Change::Patch(_)) if *by_patch => EditFault::Api(ApiFault::Unavailable(
                        "the API server accepted the patch, but the node did not change as asked".to_owned(),
                    )),
                    Ok(Change::Patch(patch)) => {
                        self.stage = Stage::Authorising(permit.want(), patch);
                        return EditPoll::Waiting;
                    }
                    Err(fault) => EditFault::Api(fault),
                }
            }
            Stage::Authorising(ticket, patch) => match permit.result(*ticket) {
                None => return EditPoll::Waiting,
                Some(Ok(())) => {
                    let id = ids.next();
                    let patch = patch.take();
                    self.stage = Stage::Patching(id);
                    return EditPoll::Act(Action::PatchNode(id, patch));
                }
                Some(Err(refusal)) => EditFault::Permit(refusal.clone()),
            },
            Stage::Overtaken => return self.overtaken(now, spread),
        };
        self.wait(now, spread);
        EditPoll::Failed(fault)
    }

    fn overtaken<D>(&mut self, now: Timestamp, spread: &mut Spread) -> EditPoll<D> {
        self.wait(now, spread);
        EditPoll::Act(Action::Log(Notice::NodeChanged))
    }

    fn wait(&mut self, now: Timestamp, spread: &mut Spread) {
        self.stage = Stage::Waiting(self.backoff.next_try(now, spread));
    }
}

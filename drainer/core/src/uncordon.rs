//! The state machine of an uncordon: removes the attempt's cordon, and only that.

use std::time::Duration;

use bellwether_proto::AttemptRef;
use jiff::Timestamp;

use crate::action::{Action, CommandEnd, Notice};
use crate::backoff::{Spread, after};
use crate::command::{Command, Task};
use crate::cordon::{Removal, removal, uncordon_patch};
use crate::edit::{Change, EditFault, EditPoll, NodeEdit};
use crate::machine::Machine;
use crate::marks::{MarkPatch, MarkTries, NodeMarks};
use crate::node::{NodePatched, NodeRead, NodeView};
use crate::permit::{Permit, RecordView, Refusal};
use crate::request::{RequestId, RequestIds};
use crate::timers::{Timer, Timers};

/// For so long an uncordon is tried before the drainer reports that it failed. The scheduler keeps
/// asking, so the tries of one command need not last.
const TRIES_MAX: Duration = Duration::from_secs(20);

/// An uncordon under way.
#[derive(Debug)]
pub struct Uncordon {
    attempt: AttemptRef,
    permit: Permit,
    edit: NodeEdit,
    /// An operator has taken our cordon away: one that the node carries now is not ours.
    is_cordon_removed: bool,
    marks: NodeMarks,
    mark_tries: MarkTries,
    /// A try that fails at this instant or later was the last one.
    last_try_until: Timestamp,
    ids: RequestIds,
    spread: Spread,
    timers: Timers,
    lost: Option<Refusal>,
    has_ended: bool,
}

impl Uncordon {
    /// Begins an uncordon that a read of the record begun at `now` authorised. `is_cordon_removed`: by that record an
    /// operator has taken our cordon away, so only the mark is ours. `marks` are those that operators want on nodes.
    #[must_use]
    pub fn new(attempt: AttemptRef, is_cordon_removed: bool, marks: NodeMarks, now: Timestamp) -> Self {
        let spread = Spread::seeded_by(&attempt.attempt.to_string());
        let command = Command {
            attempt: attempt.clone(),
            task: Task::Uncordon,
        };
        Self {
            attempt,
            permit: Permit::new(command, now),
            edit: NodeEdit::new(),
            is_cordon_removed,
            marks,
            mark_tries: MarkTries::default(),
            last_try_until: after(now, TRIES_MAX),
            ids: RequestIds::default(),
            spread,
            timers: Timers::default(),
            lost: None,
            has_ended: false,
        }
    }

    fn finish(&mut self, end: CommandEnd) -> Action {
        self.has_ended = true;
        self.timers.clear();
        Action::Finish(end)
    }

    fn edit_failed(&mut self, now: Timestamp, fault: EditFault) -> Action {
        if now < self.last_try_until {
            return Action::Log(Notice::NodeEditFailed(fault.to_string()));
        }
        self.finish(match fault {
            EditFault::Api(fault) => CommandEnd::UncordonFailed {
                message: fault.to_string(),
            },
            EditFault::Permit(reason) => CommandEnd::Postponed { reason },
        })
    }
}

fn change_of(
    node: Option<&NodeView>,
    attempt: &AttemptRef,
    is_cordon_removed: bool,
    marks: impl Fn(&NodeView) -> MarkPatch,
) -> Change<bool> {
    match (removal(node, attempt), node) {
        (Removal::MarkAndCordon, Some(node)) => Change::Patch(uncordon_patch(node, !is_cordon_removed, marks(node))),
        (Removal::Mark, Some(node)) => Change::Patch(uncordon_patch(node, false, marks(node))),
        (Removal::Nothing { left_unschedulable }, _) => Change::Done(left_unschedulable),
        // A node that does not exist carries no cordon.
        (Removal::MarkAndCordon | Removal::Mark, None) => Change::Done(false),
    }
}

impl Machine for Uncordon {
    fn handle_record(&mut self, id: RequestId, record: RecordView) {
        if let Some(refusal) = self.permit.handle_record(id, record) {
            self.lost = Some(refusal);
        }
    }

    fn handle_record_hint(&mut self) {
        self.permit.handle_hint();
    }

    fn handle_node_read(&mut self, _now: Timestamp, id: RequestId, read: NodeRead) {
        self.edit.handle_node_read(id, read);
    }

    fn handle_node_patched(&mut self, _now: Timestamp, id: RequestId, patched: NodePatched) {
        self.mark_tries.note(&patched);
        self.edit.handle_node_patched(id, patched);
    }

    fn poll_action(&mut self, now: Timestamp) -> Option<Action> {
        if self.has_ended {
            return None;
        }
        if let Some(refusal) = self.lost.take() {
            return Some(self.finish(CommandEnd::PermitLost {
                reason: refusal.to_string(),
            }));
        }
        let (attempt, is_cordon_removed) = (&self.attempt, self.is_cordon_removed);
        let (tries, marks) = (&self.mark_tries, &self.marks);
        let marks = |node: &NodeView| tries.marks(|| marks.replace(&node.set_marks));
        let decide = |node: Option<&NodeView>| change_of(node, attempt, is_cordon_removed, marks);
        let polled = self
            .edit
            .poll(now, &mut self.permit, &mut self.ids, &mut self.spread, decide);
        let action = match polled {
            EditPoll::Waiting => self.permit.poll_read(now, &mut self.ids).map(Action::ReadRecord),
            EditPoll::Act(action) => Some(action),
            EditPoll::Done(left_unschedulable) => Some(self.finish(CommandEnd::Uncordoned { left_unschedulable })),
            EditPoll::Failed(fault) => Some(self.edit_failed(now, fault)),
        };
        self.timers.clear();
        if !self.has_ended {
            let next_try = self.edit.next_try_at().map(|at| (Timer::NodeEdit, at));
            let next_read = self.permit.next_read_at().map(|at| (Timer::Record, at));
            for (timer, at) in next_try.into_iter().chain(next_read) {
                self.timers.set(timer, at);
            }
        }
        action
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.earliest()
    }
}

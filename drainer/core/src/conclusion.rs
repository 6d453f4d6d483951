//! The state machine of a command's last step: the event about its end, stored while the record still
//! authorises the command.

use jiff::Timestamp;

use crate::action::{Action, CommandEnd};
use crate::command::Command;
use crate::machine::Machine;
use crate::node::{NodePatched, NodeRead};
use crate::permit::{Permit, RecordView};
use crate::request::{RequestId, RequestIds};
use crate::timers::{Timer, Timers};

/// A command whose end is decided.
#[derive(Debug)]
pub struct Conclusion {
    permit: Permit,
    ids: RequestIds,
    timers: Timers,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The end is decided; its event, if there is one, has to be stored.
    Decided(CommandEnd),
    /// The event is being stored.
    Storing(RequestId, CommandEnd),
    /// The event is stored, or must not be stored any more.
    Settled(CommandEnd),
    Ended,
}

impl Conclusion {
    /// Begins the last step of a command that ended so. Finishes with the same end, or with
    /// [`CommandEnd::PermitLost`].
    #[must_use]
    pub fn new(command: Command, end: CommandEnd, now: Timestamp) -> Self {
        Self {
            permit: Permit::new(command, now),
            ids: RequestIds::default(),
            timers: Timers::default(),
            stage: Stage::Decided(end),
        }
    }
}

impl Machine for Conclusion {
    fn handle_record(&mut self, id: RequestId, record: RecordView) {
        let Some(refusal) = self.permit.handle_record(id, record) else {
            return;
        };
        match self.stage {
            Stage::Decided(_) | Stage::Storing(..) => {
                self.stage = Stage::Settled(CommandEnd::PermitLost {
                    reason: refusal.to_string(),
                });
            }
            Stage::Settled(_) | Stage::Ended => (),
        }
    }

    fn handle_record_hint(&mut self) {
        self.permit.handle_hint();
    }

    fn handle_node_read(&mut self, _now: Timestamp, _id: RequestId, _read: NodeRead) {}

    fn handle_node_patched(&mut self, _now: Timestamp, _id: RequestId, _patched: NodePatched) {}

    fn handle_stored(&mut self, id: RequestId) {
        if let Stage::Storing(awaited, end) = &self.stage
            && *awaited == id
        {
            self.stage = Stage::Settled(end.clone());
        }
    }

    fn poll_action(&mut self, now: Timestamp) -> Option<Action> {
        self.timers.clear();
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Ended => None,
            Stage::Settled(end) => Some(Action::Finish(end)),
            Stage::Decided(end) => match end.fact() {
                None => Some(Action::Finish(end)),
                Some(fact) => {
                    let id = self.ids.next();
                    self.stage = Stage::Storing(id, end);
                    Some(Action::StoreFact(id, fact))
                }
            },
            storing @ Stage::Storing(..) => {
                self.stage = storing;
                let read = self.permit.poll_read(now, &mut self.ids);
                if let Some(at) = self.permit.next_read_at() {
                    self.timers.set(Timer::Record, at);
                }
                read.map(Action::ReadRecord)
            }
        }
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.earliest()
    }
}

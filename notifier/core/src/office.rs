//! The desk and the outboxes of its targets: one whole, which its owner changes in one step.
//!
//! A message leaves its outbox in the step in which the desk takes note that it is settled. Between two steps it is in one
//! of both, so an event in between cannot bring it again.

use bellwether_proto::{FleetEvent, NodeEvent};
use jiff::Timestamp;

use crate::answer::Answer;
use crate::desk::{Desk, Routed, State};
use crate::notification::Notification;
use crate::outbox::{Next, Outbox, Settled};
use crate::settings::{Settings, Target};

/// A message that was put into an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The target, by its place in the settings.
    pub target: usize,
    /// The key of the message.
    pub key: String,
    /// The event that brought the message is acknowledged after it.
    pub is_awaited: bool,
}

/// Desk and outboxes.
#[derive(Debug)]
pub struct Office {
    desk: Desk,
    /// One for each target, in the order of the settings.
    outboxes: Vec<Outbox>,
}

impl Office {
    /// Continues from this state. `events_max`: so many events wait at once.
    #[must_use]
    pub fn new(settings: Settings, state: State, events_max: usize) -> Self {
        // All targets together leave one share: an event for a target that takes its messages always finds a place.
        let share = events_max / (settings.targets.len() + 1);
        let give_up_after = settings.give_up_after;
        let outbox = |target: &Target| Outbox::new(target.per_minute, give_up_after, share, target.recipients());
        Self {
            outboxes: settings.targets.iter().map(outbox).collect(),
            desk: Desk::new(settings, state),
        }
    }

    /// Takes in an event, which the stream has at this place since then.
    pub fn handle_event(
        &mut self,
        event: &NodeEvent,
        (sequence, stored_at): (u64, Timestamp),
        now: Timestamp,
    ) -> Vec<Placed> {
        let routed = self.desk.handle_event(event, stored_at, now);
        self.place(routed, Some(sequence), now)
    }

    /// Takes in an event of the fleet, which the stream has since then. Its messages are due by time, and the event waits for none
    /// of them, but for the next event of the fleet: the state that has them may be lost.
    pub fn handle_fleet_event(&mut self, event: &FleetEvent, stored_at: Timestamp) {
        self.desk.handle_fleet_event(event, stored_at);
    }

    /// Takes in that time has passed. `is_behind`: the stream has events that were not read, or may have some. Then nothing
    /// is due: they may show that a rollout has continued and a drain has ended.
    pub fn handle_time(&mut self, now: Timestamp, is_behind: bool) -> Vec<Placed> {
        if is_behind {
            return Vec::new();
        }
        let routed = self.desk.handle_time(now);
        self.place(routed, None, now)
    }

    /// When [`Self::handle_time`] is next due; none: nothing is due by time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.desk.poll_timeout()
    }

    /// What to do now at a target; and what is settled by its age.
    pub fn next(&mut self, target: usize, now: Timestamp) -> (Next, Vec<Settled>) {
        let Some(outbox) = self.outboxes.get_mut(target) else {
            return (Next::Idle, Vec::new());
        };
        let settled = outbox.handle_time(now);
        let next = outbox.next(now);
        self.note(target, &settled);
        (next, settled)
    }

    /// Takes in how many recipients a target has now; see [`Outbox::set_recipients`].
    pub fn set_recipients(&mut self, target: usize, recipients: usize) -> bool {
        let outbox = self.outboxes.get_mut(target);
        outbox.is_some_and(|outbox| outbox.set_recipients(recipients))
    }

    /// Takes in a target's answer to the message of [`Self::next`]; returns what is settled by it.
    pub fn handle_answer(
        &mut self,
        target: usize,
        notification: &Notification,
        answer: &Answer,
        now: Timestamp,
    ) -> Vec<Settled> {
        let Some(outbox) = self.outboxes.get_mut(target) else {
            return Vec::new();
        };
        let settled = outbox.handle_answer(now, answer);
        match answer {
            Answer::Delivered { thread: Some(thread) } => self.desk.thread_begun(target, notification, thread),
            Answer::ThreadGone => self.desk.thread_gone(target),
            Answer::Delivered { thread: None } | Answer::Refused(_) | Answer::Failed { .. } => (),
        }
        self.note(target, &settled);
        settled
    }

    /// What the target calls the thread that this message belongs to.
    #[must_use]
    pub fn thread(&self, target: usize, notification: &Notification) -> Option<&str> {
        self.desk.thread(target, notification)
    }

    /// How many messages wait for a target.
    #[must_use]
    pub fn waiting(&self, target: usize) -> usize {
        self.outboxes.get(target).map_or(0, Outbox::len)
    }

    /// What has to be kept over a restart.
    #[must_use]
    pub fn state(&self) -> &State {
        self.desk.state()
    }

    /// Grows with each change of the state.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.desk.changes()
    }

    fn place(&mut self, routed: Vec<Routed>, sequence: Option<u64>, now: Timestamp) -> Vec<Placed> {
        let mut placed = Vec::new();
        for Routed { target, notification } in routed {
            if let Some(outbox) = self.outboxes.get_mut(target) {
                let key = notification.key();
                let is_awaited = outbox.insert(now, notification, sequence);
                placed.push(Placed {
                    target,
                    key,
                    is_awaited,
                });
            }
        }
        placed
    }

    fn note(&mut self, target: usize, settled: &[Settled]) {
        for Settled { notification, .. } in settled {
            self.desk.settled(target, notification);
        }
    }
}

//! NATS: two buckets, the queue of commands, the stream of events.
//!
//! Only data and the server's own rules. Delays and losses are on the ways there and back, in `act`.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{Attempt, FleetControl, HostReport, NodeEvent, RebooterReport};
use bellwether_scheduler_core::{Command, StoredReport};

use crate::moment::{Ms, SECOND};

/// The stream's duplicate window.
const DUPLICATE_WINDOW: Ms = 120 * SECOND;

/// The two kinds of commands; the queue keeps the newest of each kind for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Drain,
    Uncordon,
}

impl Kind {
    pub(crate) fn of(command: &Command) -> Self {
        match command {
            Command::Drain(_) => Self::Drain,
            Command::Uncordon(_) => Self::Uncordon,
        }
    }
}

/// Where in the queue a command is.
pub(crate) type Place = (usize, Kind);

/// A queued command.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) number: u64,
    pub(crate) command: Command,
    pub(crate) stored_at: Ms,
    /// A drainer has it, and the time for its acknowledgement is not over.
    pub(crate) is_taken: bool,
}

/// A write of the scheduler to the bucket of the attempts.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Attempt(usize, Box<Attempt>),
    Delete(usize),
    Control(FleetControl),
}

/// All that NATS has stored.
#[derive(Debug)]
pub(crate) struct Bus {
    /// Sequence of the last message in the bucket of the attempts.
    pub(crate) sequence: u64,
    pub(crate) attempts: Vec<Option<Box<Attempt>>>,
    /// The record before the newest: a replica that is behind may still show it.
    pub(crate) before: Vec<Option<Box<Attempt>>>,
    pub(crate) control: Option<FleetControl>,
    pub(crate) sentinels: Vec<Option<StoredReport<HostReport>>>,
    pub(crate) rebooters: Vec<Option<StoredReport<RebooterReport>>>,
    pub(crate) commands: BTreeMap<Place, Queued>,
    commands_sent: u64,
    pub(crate) events: Vec<NodeEvent>,
    /// Events that the consumer `scheduler` has to deliver.
    pub(crate) waiting: BTreeSet<usize>,
    message_ids: BTreeMap<String, Ms>,
    /// NATS does not answer until then.
    pub(crate) away_until: Ms,
}

impl Bus {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            sequence: 0,
            attempts: vec![None; nodes],
            before: vec![None; nodes],
            control: None,
            sentinels: vec![None; nodes],
            rebooters: vec![None; nodes],
            commands: BTreeMap::new(),
            commands_sent: 0,
            events: Vec::new(),
            waiting: BTreeSet::new(),
            message_ids: BTreeMap::new(),
            away_until: 0,
        }
    }

    /// Stores a record if no other writer has written since: the new sequence, or none.
    pub(crate) fn compare_and_swap(&mut self, expected: u64, write: &Write) -> Option<u64> {
        if expected != self.sequence {
            return None;
        }
        self.sequence += 1;
        match write {
            Write::Attempt(node, attempt) => {
                self.before[*node] = self.attempts[*node].replace(attempt.clone());
            }
            Write::Delete(node) => self.before[*node] = self.attempts[*node].take(),
            Write::Control(control) => self.control = Some(control.clone()),
        }
        Some(self.sequence)
    }

    /// Queues a command in place of the one before of its kind.
    pub(crate) fn queue(&mut self, node: usize, command: Command, now: Ms) -> Place {
        let place = (node, Kind::of(&command));
        self.commands_sent += 1;
        let queued = Queued {
            number: self.commands_sent,
            command,
            stored_at: now,
            is_taken: false,
        };
        self.commands.insert(place, queued);
        place
    }

    pub(crate) fn is_queued(&self, node: usize, command: &Command) -> bool {
        let queued = self.commands.get(&(node, Kind::of(command)));
        queued.is_some_and(|queued| queued.command == *command)
    }

    /// Removes an acknowledged command, unless a newer one has taken its place.
    pub(crate) fn acknowledge(&mut self, place: Place, number: u64) {
        if self.commands.get(&place).is_some_and(|queued| queued.number == number) {
            self.commands.remove(&place);
        }
    }

    /// Stores an event, unless the stream drops it as a repetition by the same writer, whose ids no other one has.
    pub(crate) fn publish(&mut self, event: NodeEvent, writer: &str, now: Ms) {
        if let Some(id) = event.message_id_begin() {
            let id = format!("{id}{writer}");
            self.message_ids
                .retain(|_, stored_at| *stored_at + DUPLICATE_WINDOW > now);
            if self.message_ids.insert(id, now).is_some() {
                return;
            }
        }
        self.waiting.insert(self.events.len());
        self.events.push(event);
    }
}

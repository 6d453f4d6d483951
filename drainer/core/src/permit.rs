//! The permit: a command is carried out only while the attempt's record authorises it.
//!
//! The record is the authority. It is read before each step that cannot be taken back, after each
//! hint that it changed, and every few seconds, since hints may get lost. This file owns the rule
//! and decides when to read; the driver reads.

use std::time::Duration;

use bellwether_proto::{Attempt, Phase};
use jiff::Timestamp;

use crate::backoff::after;
use crate::command::{Command, Task};
use crate::request::{RequestId, RequestIds};

/// How often the record is read without a hint.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// For so long evictions continue although the record cannot be read. A restart of a NATS server
/// takes less. Steps that a newer phase could undo do not have this grace.
const UNREADABLE_MAX: Duration = Duration::from_secs(30);

/// The result of reading the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordView {
    /// No record is stored for the node.
    Absent,
    /// The stored record.
    Stored(Box<Attempt>),
    /// NATS did not answer, or refused: whether a record is stored is unknown. Says why.
    Unreadable(String),
    /// This version does not understand the stored record. Says why.
    Malformed(String),
}

/// Why a command may not be carried out, at least not now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record contradicts the command and will never again authorise it.
    #[error("the attempt's record has moved on: {0}")]
    Stale(String),
    /// The record is older than the command: the read lags behind, or the record was lost.
    #[error("the attempt's record is older than the command: {0}")]
    Behind(String),
    /// The record could not be read.
    #[error("the attempt's record could not be read: {0}")]
    Unreadable(String),
    /// This version does not understand the record.
    #[error("the attempt's record could not be understood: {0}")]
    Malformed(String),
}

impl Refusal {
    /// True if the command will never be authorised again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Stale(_))
    }
}

/// Compares the record with the command. Time is no part of the rule: the drain minds `not_after` itself.
///
/// # Errors
/// The record does not authorise the command, or is not known.
pub fn judge(command: &Command, record: RecordView) -> Result<Box<Attempt>, Refusal> {
    let record = match record {
        RecordView::Stored(record) => record,
        RecordView::Absent => return Err(Refusal::Behind("there is none".to_owned())),
        RecordView::Unreadable(reason) => return Err(Refusal::Unreadable(reason)),
        RecordView::Malformed(reason) => return Err(Refusal::Malformed(reason)),
    };
    let commanded = &command.attempt;
    // Generations grow per node, over attempts: one number orders all records of the node.
    if record.generation < commanded.generation {
        return Err(Refusal::Behind(format!(
            "generation {} before {}",
            record.generation, commanded.generation
        )));
    }
    let stale = |reason: String| Err(Refusal::Stale(reason));
    if record.id != commanded.attempt {
        return stale(format!("it is of attempt {}", record.id));
    }
    if record.generation != commanded.generation {
        return stale(format!(
            "generation {} after {}",
            record.generation, commanded.generation
        ));
    }
    if record.node_uid != commanded.node_uid {
        return stale(format!("it is of the node with UID {}", record.node_uid));
    }
    let authorises = match command.task {
        Task::Drain { .. } => record.phase == Phase::Draining,
        // Also after a failure: the scheduler asks for the uncordon until the cordon is removed.
        Task::Uncordon => matches!(record.phase, Phase::Uncordoning | Phase::RollingBack | Phase::Failed),
    };
    if !authorises {
        return stale(format!("its phase is {}", record.phase.as_str()));
    }
    Ok(record)
}

/// Number of a read that a step waits for: only a read that begins after the step asked counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// The state of one command's permit.
#[derive(Debug)]
pub(crate) struct Permit {
    command: Command,
    /// Reads begun so far.
    begun: u64,
    in_flight: Option<(RequestId, Timestamp)>,
    /// A step or a hint asks for a read that has not begun.
    wanted: bool,
    due_at: Timestamp,
    /// The newest result, with the number of its read.
    newest: Option<(Ticket, Result<(), Refusal>)>,
    /// Begin of the newest read that authorised the command.
    authorised_at: Timestamp,
}

impl Permit {
    /// The permit of a command that a read begun at `authorised_at` authorised.
    pub(crate) fn new(command: Command, authorised_at: Timestamp) -> Self {
        Self {
            command,
            begun: 0,
            in_flight: None,
            wanted: false,
            due_at: after(authorised_at, READ_INTERVAL),
            newest: None,
            authorised_at,
        }
    }

    /// Asks for a read that begins from now on.
    pub(crate) fn want(&mut self) -> Ticket {
        self.wanted = true;
        Ticket(self.begun.saturating_add(1))
    }

    /// The record may have changed.
    pub(crate) fn handle_hint(&mut self) {
        self.wanted = true;
    }

    /// Takes in the result of a read. Returns why, if the command will never be authorised again.
    pub(crate) fn handle_record(&mut self, id: RequestId, record: RecordView) -> Option<Refusal> {
        let (_, begun_at) = self.in_flight.take_if(|(in_flight, _)| *in_flight == id)?;
        let result = judge(&self.command, record).map(|_| ());
        if result.is_ok() {
            self.authorised_at = begun_at;
        }
        let lost = result.as_ref().err().filter(|refusal| refusal.is_final()).cloned();
        self.newest = Some((Ticket(self.begun), result));
        lost
    }

    /// The next read, if one is due and none is under way.
    pub(crate) fn poll_read(&mut self, now: Timestamp, ids: &mut RequestIds) -> Option<RequestId> {
        // A read that is due later than its interval was noted before the clock was set back.
        let is_due = now >= self.due_at || self.due_at > after(now, READ_INTERVAL);
        if self.in_flight.is_some() || !(self.wanted || is_due) {
            return None;
        }
        let id = ids.next();
        self.begun = self.begun.saturating_add(1);
        self.in_flight = Some((id, now));
        self.wanted = false;
        self.due_at = after(now, READ_INTERVAL);
        Some(id)
    }

    /// When the next read is due; none while one is under way.
    pub(crate) fn next_read_at(&self) -> Option<Timestamp> {
        self.in_flight.is_none().then_some(self.due_at)
    }

    /// The result of the first read that began after the ticket was issued, or of a later one.
    pub(crate) fn result(&self, ticket: Ticket) -> Option<&Result<(), Refusal>> {
        let (read, result) = self.newest.as_ref()?;
        (*read >= ticket).then_some(result)
    }

    /// The same for one batch of evictions: while the record cannot be read, a read that authorised
    /// the command not long ago still counts.
    pub(crate) fn result_for_evictions(&self, ticket: Ticket, now: Timestamp) -> Option<Result<(), Refusal>> {
        let result = self.result(ticket)?;
        // The clock was set back: how old the read is cannot be known, so it does not count.
        let age = Duration::try_from(now.duration_since(self.authorised_at)).unwrap_or(Duration::MAX);
        match result {
            Err(Refusal::Unreadable(_)) if age <= UNREADABLE_MAX => Some(Ok(())),
            Ok(()) | Err(Refusal::Unreadable(_) | Refusal::Behind(_) | Refusal::Malformed(_) | Refusal::Stale(_)) => {
                Some(result.clone())
            }
        }
    }
}

#[cfg(test)]
#[path = "permit_tests.rs"]
mod tests;

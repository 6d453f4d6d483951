//! Why an event is of no use, and why a message did not leave.

use bellwether_notifier_core::Fault;
use bellwether_proto::{WireError, subject};

/// Why an event gives no message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventError {
    /// The subject is not one of an event.
    #[error("{0:?} is the subject of no event")]
    Subject(String),
    /// The body does not have the form that the subject names.
    #[error("the event is malformed")]
    Malformed(#[from] WireError),
    /// Subject and body name different nodes or facts.
    #[error("the event is on a subject of other events")]
    Misplaced(#[from] subject::Misplaced),
}

/// Why a message did not reach its target. Holds no secret, and nothing of the target's answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct SendError {
    /// From the closed list.
    pub(crate) fault: Fault,
    /// What was found.
    pub(crate) detail: String,
}

impl SendError {
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { fault, detail }
    }
}

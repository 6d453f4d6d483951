//! Errors that more than one file names: why the leader has to reload, and why the API refuses a request.

use bellwether_chassis::PublishError;
use bellwether_proto::NodeName;
use bellwether_proto::mark::LEASE;
use bellwether_scheduler_core::{CancelRefusal, OrderRefusal};

/// This replica holds the Lease, and could not load what it needs to lead. Of an error's context, not alone.
#[derive(Debug, thiserror::Error)]
#[error("the leader could not load")]
pub(crate) struct NotLoaded;

/// An effect was not carried out, or may not have been: the leader has to reload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EffectError {
    /// Another replica has written to the bucket of the records since this one read it.
    #[error("another replica leads")]
    Superseded(#[source] PublishError),
    /// NATS did not store a message, or may not have.
    #[error("NATS did not store the message")]
    NotStored(#[source] PublishError),
    /// NATS stores no record of this length.
    #[error("the record of node {node} is too long")]
    TooLong {
        /// The node.
        node: NodeName,
        /// The limit.
        #[source]
        source: PublishError,
    },
    /// NATS did not show which command is queued.
    #[error("the queue of commands could not be read")]
    Queue(#[source] anyhow::Error),
}

impl From<PublishError> for EffectError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Conflict { .. } => Self::Superseded(error),
            PublishError::NoStream { .. } | PublishError::TooLong { .. } | PublishError::Unavailable { .. } => {
                Self::NotStored(error)
            }
        }
    }
}

impl EffectError {
    /// For the record of a node.
    pub(crate) fn of_record(error: PublishError, node: &NodeName) -> Self {
        match error {
            PublishError::TooLong { .. } => Self::TooLong {
                node: node.clone(),
                source: error,
            },
            PublishError::Conflict { .. } | PublishError::NoStream { .. } | PublishError::Unavailable { .. } => {
                error.into()
            }
        }
    }
}

/// Why the API refuses a request. The text is for operators; clients decide by the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// This replica does not lead.
    // Clients up to 0.1 recognise a standby by the first three words.
    #[error("not the leader: the Lease {LEASE} names the replica that leads")]
    NotLeading,
    /// This replica held the Lease, and could not load the records to lead by.
    #[error("not the leader: this replica tried to lead, and failed: {0}")]
    CannotLead(String),
    /// The leader dropped the request while it reloads its records.
    #[error("the leader reloads its records, and may or may not have stored the order: ask for the status")]
    Reloading,
    /// The leader stands still.
    #[error("the order is not stored: {0}")]
    NotStored(String),
    /// A field of the request has a value that is not allowed.
    #[error("field {field}: {problem}")]
    InvalidField {
        /// Name of the field.
        field: &'static str,
        /// Why its value is not allowed.
        problem: String,
    },
    /// The cluster has no such node.
    #[error("there is no node {0}")]
    UnknownNode(NodeName),
    /// The core refuses an order, or its end.
    #[error(transparent)]
    Order(OrderRefusal),
    /// The core refuses to cancel.
    #[error(transparent)]
    Cancel(CancelRefusal),
    /// NATS did not give the events.
    #[error("the events could not be read from NATS: {0}")]
    Events(String),
}

impl Refusal {
    /// NATS did not give the events.
    pub(crate) fn events(error: &anyhow::Error) -> Self {
        Self::Events(format!("{error:#}"))
    }
}

//! What reaches the leading replica from outside its own loop: events and orders, each with a way to reply.

use bellwether_chassis::{Record, Verdict};
use bellwether_proto::{NodeName, wire};
use tokio::sync::{mpsc, oneshot};

/// One thing to deal with.
#[derive(Debug)]
pub(crate) enum LeaderMessage {
    /// An event from the bus, and what becomes of it.
    Event(Record, oneshot::Sender<Verdict>),
    /// A question or an order of a person.
    Request(Request),
}

/// A question or an order of a person.
#[derive(Debug)]
pub(crate) enum Request {
    ListNodes(oneshot::Sender<wire::ListNodesResponse>),
    ExplainNode(NodeName, oneshot::Sender<Reply<wire::NodeStatus>>),
    PauseFleet {
        by: String,
        reason: String,
        reply: oneshot::Sender<Reply<wire::PauseFleetResponse>>,
    },
    ResumeFleet {
        by: String,
        reply: oneshot::Sender<Reply<wire::ResumeFleetResponse>>,
    },
    CancelAttempt {
        node: NodeName,
        by: String,
        reason: String,
        reply: oneshot::Sender<Reply<wire::CancelAttemptResponse>>,
    },
}

/// What a person is answered.
pub(crate) type Reply<T> = Result<T, tonic::Status>;

/// Letters wait here while the leader stores; people wait for answers anyway, and events stay
/// in their stream until they are settled, so a short queue loses nothing.
const MESSAGES_MAX: usize = 64;

pub(crate) fn channel() -> (mpsc::Sender<LeaderMessage>, mpsc::Receiver<LeaderMessage>) {
    mpsc::channel(MESSAGES_MAX)
}

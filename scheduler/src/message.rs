//! What reaches the leading replica from outside its own loop: events and orders, each with a way to answer.

use bellwether_chassis::{Record, Verdict};
use bellwether_proto::{NodeName, wire};
use tokio::sync::{mpsc, oneshot};

/// One thing to deal with.
#[derive(Debug)]
pub(crate) enum Letter {
    /// An event from the bus, and what becomes of it.
    Event(Record, oneshot::Sender<Verdict>),
    /// A question or an order of a person.
    Person(Order),
}

/// A question or an order of a person.
#[derive(Debug)]
pub(crate) enum Order {
    List(oneshot::Sender<wire::ListNodesResponse>),
    Explain(NodeName, oneshot::Sender<Answer<wire::NodeStatus>>),
    Pause {
        by: String,
        reason: String,
        answer: oneshot::Sender<Answer<wire::PauseFleetResponse>>,
    },
    Resume {
        by: String,
        answer: oneshot::Sender<Answer<wire::ResumeFleetResponse>>,
    },
    Cancel {
        node: NodeName,
        by: String,
        reason: String,
        answer: oneshot::Sender<Answer<wire::CancelAttemptResponse>>,
    },
}

/// What a person is answered.
pub(crate) type Answer<T> = Result<T, tonic::Status>;

/// Letters wait here while the leader stores; people wait for answers anyway, and events stay
/// in their stream until they are settled, so a short queue loses nothing.
const WAITING_MAX: usize = 64;

pub(crate) fn new() -> (mpsc::Sender<Letter>, mpsc::Receiver<Letter>) {
    mpsc::channel(WAITING_MAX)
}

//! Messages to the leading loop: events from NATS and requests from the API, each with its way back.
//!
//! The one interface between the loop and the tasks that feed it. It depends on neither.

use bellwether_chassis::{Record, Verdict};
use bellwether_proto::{CheckDrain, FleetOrder, NodeName, wire};
use bellwether_scheduler_core::reading::Outcome;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::bus::outbox::ChainsOf;
use crate::error::Refusal;

/// How many messages wait while the leader stores. A sender waits for its reply anyway, and an event
/// stays in its stream until it is settled, so a short queue loses nothing.
const MESSAGES_MAX: usize = 64;

/// One message to the leading loop.
#[derive(Debug)]
pub(crate) enum LeaderMessage {
    /// Events from NATS in their order, and where their verdicts go.
    Events(Vec<Record>, oneshot::Sender<Vec<Verdict>>),
    /// A request from the API.
    Request(Request),
}

/// A request of an operator or user whose fields are checked.
#[derive(Debug)]
pub(crate) enum Request {
    ListNodes(ReplySender<wire::ListNodesResponse>),
    ExplainNode(NodeName, ReplySender<wire::NodeStatus>),
    /// The nodes that are drained now, beside which this one is to be checked.
    NodesBeside(NodeName, ReplySender<Vec<NodeName>>),
    /// The answer to such a check: the leader acts on what the operator reads.
    DrainChecked {
        question: CheckDrain,
        outcome: Outcome,
        reply: ReplySender<()>,
    },
    /// Where these chains of events stand.
    ChainHeads(ChainsOf, Option<Timestamp>, ReplySender<Vec<wire::HistoryHead>>),
    PauseFleet {
        by: String,
        reason: String,
        reply: ReplySender<wire::PauseFleetResponse>,
    },
    ResumeFleet {
        by: String,
        reply: ReplySender<wire::ResumeFleetResponse>,
    },
    GiveOrder(FleetOrder, ReplySender<wire::GiveOrderResponse>),
    EndOrder(FleetOrder, ReplySender<wire::EndOrderResponse>),
    CancelAttempt {
        node: NodeName,
        by: String,
        reason: String,
        reply: ReplySender<wire::CancelAttemptResponse>,
    },
}

/// The reply to a request: its response, or why it is refused.
pub(crate) type Reply<T> = Result<T, Refusal>;

/// Where the reply goes.
pub(crate) type ReplySender<T> = oneshot::Sender<Reply<T>>;

/// The queue of the leading loop.
pub(crate) fn channel() -> (mpsc::Sender<LeaderMessage>, mpsc::Receiver<LeaderMessage>) {
    mpsc::channel(MESSAGES_MAX)
}

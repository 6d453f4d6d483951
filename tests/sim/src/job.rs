//! One command in the hands of a drainer, from its message to its settlement, as in `drainer/src/job.rs`.

use bellwether_drainer_core::{
    Answer, ApiFault, Command, Conclusion, Drain, Machine, NodePatched, NodeRead, NodeView, PodView, RecordView,
    RequestId, Uncordon, Watched,
};

use crate::bus::Place;
use crate::moment::Ms;

/// The number of a job.
pub(crate) type JobId = u64;

/// Where a job is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The record is being read for the first time, since this moment.
    Reading(Ms),
    Draining(Box<Drain>),
    Uncordoning(Box<Uncordon>),
    Concluding(Box<Conclusion>),
}

impl Stage {
    pub(crate) fn machine(&mut self) -> Option<&mut dyn Machine> {
        match self {
            Self::Reading(_) => None,
            Self::Draining(drain) => Some(drain.as_mut()),
            Self::Uncordoning(uncordon) => Some(uncordon.as_mut()),
            Self::Concluding(conclusion) => Some(conclusion.as_mut()),
        }
    }
}

/// A fact on its way to a job.
#[derive(Debug)]
pub(crate) enum JobFact {
    FirstRead(RecordView),
    Record(RequestId, RecordView),
    NodeRead(RequestId, NodeRead),
    NodePatched(RequestId, NodePatched),
    PodsListed(RequestId, Result<Vec<PodView>, ApiFault>),
    Stored(RequestId),
    ProgressSent,
    Evicted(String, Answer),
    Node(Watched<NodeView>),
    Pod(Watched<PodView>),
    Hint,
    Several(Vec<Self>),
}

/// One command in the hands of a drainer.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) drainer: usize,
    pub(crate) node: usize,
    pub(crate) place: Place,
    /// The number of the message in the queue.
    pub(crate) number: u64,
    pub(crate) commanded_at: Ms,
    pub(crate) command: Command,
    pub(crate) stage: Stage,
    pub(crate) watches_node: bool,
    pub(crate) watches_pods: bool,
    pub(crate) node_heard_at: Ms,
    pub(crate) pods_heard_at: Ms,
    pub(crate) wakes_at: Ms,
    pub(crate) token: u32,
}

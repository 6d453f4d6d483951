//! What can happen next: the entries of the agenda.

use bellwether_drainer_core::RequestId;
use bellwether_proto::{HostReport, NodeEvent, RebooterReport};
use serde_json::Value;

use crate::bus::Place;
use crate::job::{JobFact, JobId};
use crate::leader::{Effect, Message};

/// One entry. Numbers of runs, lives and tokens make an entry void whose reason is over.
#[derive(Debug)]
pub(crate) enum Happening {
    // Schedulers.
    LeaderStarts {
        deposed: bool,
    },
    LeaderLoads(u32),
    LeaderLists(u32),
    LeaderHears(u32, Message),
    EffectEnds(u32, Box<Effect>),
    LeaderWakes(u32, u32),
    LeaderCrashes(u32),
    LeaderNotices(u32),
    LeaderChecks(u32),
    EventReady(usize),
    // Drainers.
    CommandOffered(Place),
    CommandAgain(Place, u64),
    JobHears(JobId, Box<JobFact>),
    JobWakes(JobId, u32),
    Patch(JobId, usize, RequestId, Box<Value>),
    Evict(JobId, usize, String),
    EventArrives {
        job: Option<(JobId, Option<RequestId>)>,
        event: Box<NodeEvent>,
        confirmed: bool,
    },
    DrainerStarts(usize),
    // The cluster.
    PodEnds(usize, String),
    PodChosen(usize),
    PodBinds(usize),
    NodeUnheard(usize, u32),
    NodeReady(usize, u32, bool),
    // Hosts and agents.
    HostGoesDown(usize, u32),
    HostComesUp(usize, u32),
    KubeletStarts(usize, u32),
    SentinelStarts(usize, u32),
    RebooterStarts(usize, u32),
    SentinelWakes(usize, u32),
    SentinelReports(usize, u32, Box<HostReport>),
    RebooterWakes(usize, u32),
    RebooterReports(usize, u32, Box<RebooterReport>),
    RebooterLooks(usize, u32),
    RebooterAnnounces(usize, u32, bool),
    RebooterAnnounced(usize, u32),
    RebooterCalls(usize, u32),
    // Operators and chance.
    Mishap,
    MishapEnds(usize, Undo),
    Look,
    Repair,
}

/// The end of a mishap that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undo {
    ProbeFails,
    PreflightFails,
    BudgetBlocks,
    PodsStick,
    ForeignCordon,
    Pause,
    ApiAway,
    NodeDeleting,
    HostClock,
}

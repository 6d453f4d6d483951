//! The standing of a policy: whether it is followed, when nodes may start, and how many nodes do what.

use std::sync::Arc;

use bellwether_policy::calendar::CalendarState;
use bellwether_proto::limit::LEFT_OVER_MAX;
use bellwether_proto::{Cause, NodeName};
use jiff::Timestamp;

use crate::admission::PolicyUsage;

/// A policy, for operators and for its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStanding {
    /// Its name.
    pub name: String,
    /// The generation of the spec that this is of.
    pub generation: i64,
    /// The mistakes in one line; empty if the scheduler acts by the policy.
    pub faults: String,
    /// A policy of the same priority that is for a node of this one too, and the first such node by name.
    pub conflict: Option<(Arc<str>, NodeName)>,
    /// Why no node of the policy starts.
    pub stopped: Option<String>,
    /// The canary whose reboot failed, and why.
    pub failed_canary: Option<(NodeName, Cause)>,
    /// The cohorts of which no node starts, each with the reason; empty if there are none.
    pub stopped_cohorts: Vec<String>,
    /// When nodes may start; none of a policy with a mistake.
    pub calendar: Option<CalendarState>,
    /// The reason of the blackout that covers this time.
    pub blackout: Option<String>,
    /// The nodes that it governs.
    pub nodes: PolicyNodes,
    /// How many of its nodes are disrupted, and how many may be; none without a limit for all of them.
    pub budget: Option<PolicyUsage>,
    /// When the present opening or, if none is open, the next one ends; none: more than 60 days ahead, or there is none.
    pub opening_ends_at: Option<Timestamp>,
    /// How many nodes that wait do not fit into the present or next opening; none of a policy with a mistake.
    pub left_over: Option<usize>,
    /// The first few of them.
    pub first_left_over: Vec<NodeName>,
}

impl PolicyStanding {
    /// How many nodes are named of those that do not fit: operators read them in one line.
    pub const LEFT_OVER_NAMED_MAX: usize = LEFT_OVER_MAX;
}

/// How many nodes a policy governs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyNodes {
    /// All of them.
    pub governed: usize,
    /// Those that need a reboot and wait.
    pub waiting: usize,
    /// Those with a running attempt.
    pub in_progress: usize,
    /// Those whose last attempt failed and holds its slot.
    pub failed: usize,
}

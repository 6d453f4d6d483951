//! Whether the openings of the policies suffice for the nodes that wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_proto::NodeName;
use jiff::Timestamp;

/// What the queue, played ahead, comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// By policy without mistakes.
    pub policies: BTreeMap<Arc<str>, PolicyOutlook>,
    /// The nodes that wait for their turn, as far as that can be known.
    pub nodes: BTreeMap<NodeName, Turn>,
}

/// What is to be expected of a node that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The node would start at this instant.
    StartsAt(Timestamp),
    /// The node does not fit into the opening.
    DoesNotFit,
}

/// Which nodes of a policy fit into its present opening or, if none is open, the next one.
///
/// Only those nodes count that wait for time, slots or openings, and not for an operator or a repair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyOutlook {
    /// When the opening starts; none: nodes may start now, or there is no opening.
    pub opens_at: Option<Timestamp>,
    /// When the opening ends; none: more than 60 days ahead, or there is no opening.
    pub until: Option<Timestamp>,
    /// No window opens in the next ten years.
    pub is_never_open: bool,
    /// How many nodes would start in the opening.
    pub fitting: usize,
    /// The nodes that would not, in their order. None of an opening without an end.
    pub left_over: Vec<NodeName>,
}

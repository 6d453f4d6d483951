//! One node of the fleet, with all that is known of it.

use bellwether_proto::{Attempt, HostReport, RebooterReport};
use jiff::Timestamp;

use crate::admission::Place;
use crate::admission::budget::{self, Holder};
use crate::explain::Stand;
use crate::fleet::DrainProgress;
use crate::observed::{NodeView, Observation, StoredReport};

/// One node of the fleet. Parts may be known before the Node object is, and outlive it.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) node: Option<NodeView>,
    pub(super) sentinel: Option<StoredReport<HostReport>>,
    pub(super) rebooter: Option<StoredReport<RebooterReport>>,
    /// The present or last attempt. Most nodes have none.
    pub(super) attempt: Option<Box<Attempt>>,
    /// Why the stored record of the attempt cannot be read.
    pub(super) unreadable: Option<Box<str>>,
    pub(super) drain: Option<Box<DrainProgress>>,
    /// When the command of the attempt's phase is sent again.
    pub(super) remind_at: Option<Timestamp>,
    pub(super) stand: Option<Stand>,
    /// The node's place in the queue.
    pub(super) place: Option<Place>,
    /// The node's entry in the timer table.
    pub(super) due_at: Option<Timestamp>,
    /// The need that was counted.
    pub(super) counted_need: Option<Timestamp>,
}

impl Member {
    /// The node with its reports; none while there is no Node object.
    pub(super) fn observation(&self) -> Option<Observation<'_>> {
        Some(Observation {
            node: self.node.as_ref()?,
            sentinel: self.sentinel.as_ref(),
            rebooter: self.rebooter.as_ref(),
        })
    }

    /// Why the node takes a slot, if it does.
    pub(super) fn holder(&self) -> Option<Holder> {
        budget::holder(self.node.as_ref(), self.attempt.as_deref(), self.unreadable.is_some())
    }

    /// Since when the host needs a reboot, if its sentinel reports so and there is a Node object.
    pub(super) fn need_since(&self) -> Option<Timestamp> {
        self.node.as_ref()?;
        let need = self.sentinel.as_ref()?.report.need.required()?;
        Some(need.since)
    }

    /// The Node object is gone, or is another one than the attempt's under the same name.
    pub(super) fn attempt_is_of_gone_node(&self) -> bool {
        self.attempt
            .as_ref()
            .is_some_and(|attempt| self.node.as_ref().is_none_or(|node| node.uid != attempt.node_uid))
    }
}

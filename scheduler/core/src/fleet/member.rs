//! One node of the fleet, with all that is known of it.

use std::sync::Arc;

use bellwether_policy::NeedAnnotation;
use bellwether_proto::{Attempt, DrainProgress, Generation, HostReport, NeedReport, ProbeReport, RebooterReport};
use jiff::Timestamp;

use crate::admission::budget::{self, Holder};
use crate::admission::{DrainCheck, Group, OwnReadings, Place, Position};
use crate::explain::Stand;
use crate::observed::{Memory, NodeView, Observation, Served, StoredReport};
use crate::policy::Policy;
use crate::reading::{PodReadings, Slot};
use crate::timers::{Clock, later};

/// One node of the fleet. Parts may be known before the Node object is, and outlive it.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) node: Option<NodeView>,
    /// The sentinel's newest report, with the needs by annotation.
    pub(super) sentinel: Option<StoredReport<HostReport>>,
    /// What that report has without them, if it has any.
    reported: Option<Box<(NeedReport, Vec<ProbeReport>)>>,
    pub(super) rebooter: Option<StoredReport<RebooterReport>>,
    /// What older views and reports have shown.
    pub(super) memory: Memory,
    /// The present or last attempt. Most nodes have none.
    pub(super) attempt: Option<Box<Attempt>>,
    /// Why the stored record of the attempt cannot be read.
    pub(super) unreadable: Option<Box<str>>,
    pub(super) drain: Option<Box<DrainProgress>>,
    /// When the driver looks for the command of the attempt's phase.
    pub(super) remind_at: Option<Timestamp>,
    /// The generation for which a drainer reports our cordon as removed.
    pub(super) uncordon_reported: Option<Generation>,
    /// What is known of the pods on the node, of the gates of its policy.
    pub(super) pods: PodReadings,
    /// Whether the node can be drained, as a drainer last answered.
    pub(super) drain_check: DrainCheck,
    /// What is known of the pods of DaemonSets on the node, before and after its reboot.
    pub(super) daemon_pods: Slot,
    pub(super) stand: Option<Stand>,
    /// Where the node counts against the budget of its policy.
    pub(super) group: Option<Arc<Group>>,
    /// When the node came back from its last reboot, as its policy counts that.
    pub(super) back_at: Option<Timestamp>,
    /// The node's place in the queue.
    pub(super) place: Option<Place>,
    /// The node's entry in the timer table.
    pub(super) due_at: Option<Timestamp>,
    /// The need that was counted.
    pub(super) counted_need: Option<Timestamp>,
    /// When a change of the node's conditions was last requested.
    pub(super) conditions_at: Option<Timestamp>,
}

impl Member {
    /// The node with its reports; none while there is no Node object.
    pub(super) fn observation(&self) -> Option<Observation<'_>> {
        Some(Observation {
            node: self.node.as_ref()?,
            sentinel: self.sentinel.as_ref(),
            rebooter: self.rebooter.as_ref(),
            memory: &self.memory,
        })
    }

    /// Takes the sentinel's newest report.
    pub(super) fn set_sentinel(&mut self, stored: StoredReport<HostReport>) {
        self.sentinel = Some(stored);
        self.reported = None;
    }

    /// Adds the needs by annotation to the sentinel's newest report: as the newest view of the node shows them, and of the
    /// annotations that its policy names now.
    pub(super) fn add_annotations(&mut self, named: &[NeedAnnotation], now: Timestamp) {
        let Some(stored) = &mut self.sentinel else { return };
        if let Some(reported) = self.reported.take() {
            (stored.report.need, stored.report.probes) = *reported;
        }
        self.memory.note_report(&stored.report);
        let served = Served::in_boot(self.attempt.as_deref(), &stored.report.boot_id);
        let node = self.node.as_ref();
        let added = node.and_then(|node| self.memory.with_annotations(stored, node, named, served, now));
        self.memory.asking = added.as_ref().map(|added| added.asking).unwrap_or_default();
        if let Some(added) = added {
            let need = std::mem::replace(&mut stored.report.need, added.need);
            let probes = std::mem::replace(&mut stored.report.probes, added.probes);
            self.reported = Some(Box::new((need, probes)));
        }
    }

    /// The sentinel's newest report as it was given.
    pub(super) fn into_reported(mut self) -> Option<StoredReport<HostReport>> {
        let mut stored = self.sentinel.take()?;
        if let Some(reported) = self.reported.take() {
            (stored.report.need, stored.report.probes) = *reported;
        }
        Some(stored)
    }

    /// Takes the rebooter's newest report.
    pub(super) fn set_rebooter(&mut self, stored: StoredReport<RebooterReport>, now: Timestamp) {
        self.memory.note_rebooter(&stored.report, now);
        self.rebooter = Some(stored);
    }

    /// Takes the newest view of the node.
    pub(super) fn set_node(&mut self, node: NodeView, now: Timestamp) {
        self.memory.note_view(&node, self.node.as_ref(), now);
        self.node = Some(node);
    }

    /// No instant of the past lies in the future: the clock may have been set back.
    pub(super) fn clamp_times(&mut self, now: Timestamp) {
        self.memory.clamp(now);
        self.pods.values_mut().for_each(|slot| slot.clamp(now));
        self.daemon_pods.clamp(now);
        self.drain_check.slot.clamp(now);
        self.conditions_at = self.conditions_at.map(|at| at.min(now));
        self.remind_at = self.remind_at.map(|at| at.min(later(now, Policy::REMINDER)));
    }

    /// What was read of this node alone.
    pub(super) fn own_readings(&self) -> OwnReadings<'_> {
        OwnReadings {
            pods: &self.pods,
            drain: &self.drain_check,
        }
    }

    /// A drainer reports the cordon of the present attempt as removed, and the view of the node agrees.
    pub(super) fn is_uncordoned(&self) -> bool {
        let (Some(attempt), Some(node)) = (&self.attempt, &self.node) else {
            return false;
        };
        self.uncordon_reported == Some(attempt.generation) && node.cordoned_for != Some(attempt.id)
    }

    /// A drainer reports the drain of the present generation as done: no drainer has to answer any more.
    pub(super) fn is_drain_reported(&self) -> bool {
        let attempt = self.attempt.as_ref();
        attempt.is_some_and(|attempt| self.memory.is_drain_reported(attempt.id, attempt.generation))
    }

    /// A running attempt follows one that ended without a reboot.
    pub(super) fn is_retrying(&self) -> bool {
        let running = self.attempt.as_ref().filter(|attempt| !attempt.phase.is_ended());
        running.is_some_and(|attempt| attempt.failures_in_row > 0)
    }

    /// Only reports are left, and all are too old to act on: their node is gone.
    pub(super) fn is_forgotten(&self, clock: &Clock) -> bool {
        let bare = self.node.is_none() && self.attempt.is_none() && self.unreadable.is_none();
        let sentinel = self.sentinel.as_ref().map(StoredReport::stale_at);
        let rebooter = self.rebooter.as_ref().map(StoredReport::stale_at);
        bare && sentinel.max(rebooter).is_none_or(|stale_at| clock.reached(stale_at))
    }

    /// The node's position in the queue, if it has one.
    pub(super) fn position(&self) -> Option<Position<'_>> {
        Some((self.group.as_ref(), self.place.as_ref()?))
    }

    /// Why the node takes a slot, if it does.
    pub(super) fn holder(&self) -> Option<Holder> {
        budget::holder(self.node.as_ref(), self.attempt.as_deref(), self.unreadable.is_some())
    }

    /// Since when the host needs a reboot, if its sentinel reports so and there is a Node object.
    pub(super) fn need_since(&self) -> Option<Timestamp> {
        self.node.as_ref()?;
        let need = self.sentinel.as_ref()?.report.need.required()?;
        Some(need.first_since)
    }

    /// The Node object is gone, or is another one than the attempt's under the same name.
    pub(super) fn attempt_is_of_gone_node(&self) -> bool {
        self.attempt
            .as_ref()
            .is_some_and(|attempt| self.node.as_ref().is_none_or(|node| node.uid != attempt.node_uid))
    }
}

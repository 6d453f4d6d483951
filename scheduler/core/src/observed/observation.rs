//! One node with its agents' reports, and what follows from the three together.

use bellwether_proto::{Attempt, BootId, HostReport, NeedReport, RebooterReport};
use jiff::SignedDuration;

use crate::observed::{NodeView, StoredReport};
use crate::timers::{Clock, later};

/// All that is known of one node now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation<'a> {
    pub(crate) node: &'a NodeView,
    pub(crate) sentinel: Option<&'a StoredReport<HostReport>>,
    pub(crate) rebooter: Option<&'a StoredReport<RebooterReport>>,
}

impl<'a> Observation<'a> {
    /// A report that is not stale says that the host needs a reboot. Silence and probe errors prove nothing.
    pub(crate) fn needs_reboot(&self, clock: &Clock) -> bool {
        self.sentinel
            .is_some_and(|stored| stored.report.need.required().is_some() && !clock.reached(stored.stale_at()))
    }

    /// The sentinel reports that the host needs no reboot. Silence and probe errors prove nothing.
    pub(crate) fn need_is_gone(&self) -> bool {
        matches!(
            self.sentinel.map(|stored| &stored.report.need),
            Some(NeedReport::NotRequired)
        )
    }

    /// The node is unschedulable and carries this attempt's cordon.
    pub(crate) fn is_cordoned_for(&self, attempt: &Attempt) -> bool {
        self.node.cordoned_for == Some(attempt.id) && self.node.unschedulable
    }

    /// The node carries this attempt's mark, but an operator made it schedulable again. The drainer
    /// writes the two together, so a view that lags behind the drainer never looks like this.
    pub(crate) fn was_uncordoned(&self, attempt: &Attempt) -> bool {
        self.node.cordoned_for == Some(attempt.id) && !self.node.unschedulable
    }

    /// The node is Ready, and has been for so long.
    pub(crate) fn ready_for(&self, time: SignedDuration, clock: &Clock) -> bool {
        let since = self.node.ready_since;
        self.node.ready && since.is_none_or(|since| clock.reached(later(since, time)))
    }

    /// Sentinel or kubelet report another boot than this one.
    pub(crate) fn left_boot(&self, before: &BootId) -> bool {
        let sentinel = self.sentinel.is_some_and(|stored| stored.report.boot_id != *before);
        sentinel || self.kubelet_left_boot(before)
    }

    /// The kubelet reports another boot than this one.
    pub(crate) fn kubelet_left_boot(&self, before: &BootId) -> bool {
        self.node.boot_id.as_ref().is_some_and(|boot| boot != before)
    }

    /// The boot that sentinel and kubelet report alike, if it is another one than this and the node is Ready in it.
    pub(crate) fn proved_boot(&self, before: &BootId) -> Option<&'a BootId> {
        let boot = self.node.boot_id.as_ref()?;
        let reported = &self.sentinel?.report.boot_id;
        (boot == reported && boot != before && self.node.ready).then_some(boot)
    }
}

//! What the core is told: nodes and reports, as the driver sees them now.

use bellwether_proto::{Attempt, AttemptId, BootId, HostReport, NodeName, NodeUid, RebooterReport};
use jiff::{SignedDuration, Timestamp};

use crate::policy::{Policy, later};

/// A Node object, as far as decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// Its UID.
    pub uid: NodeUid,
    /// The Ready condition is True.
    pub ready: bool,
    /// Since when, if it is and that is known.
    pub ready_since: Option<Timestamp>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// The attempt whose cordon it carries.
    pub cordoned_for: Option<AttemptId>,
    /// It is part of the control plane.
    pub control_plane: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// The boot that its kubelet reports.
    pub boot_id: Option<BootId>,
    /// The kernel that its kubelet reports.
    pub kernel: String,
    /// The operating system that its kubelet reports.
    pub os: String,
}

/// A report with the time at which the server stored it.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard<R> {
    /// The report.
    pub report: R,
    /// When it was stored, by the server's clock.
    pub stored_at: Timestamp,
}

impl Heard<HostReport> {
    /// From when on the report says nothing any more.
    #[must_use]
    pub fn stale_at(&self) -> Timestamp {
        later(
            self.stored_at,
            self.report.refresh_interval.saturating_mul(Policy::REPORTS_MISSED_MAX),
        )
    }
}

impl Heard<RebooterReport> {
    /// From when on the report says nothing any more.
    #[must_use]
    pub fn stale_at(&self) -> Timestamp {
        later(
            self.stored_at,
            self.report.refresh_interval.saturating_mul(Policy::REPORTS_MISSED_MAX),
        )
    }
}

/// All that is known of one node now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) node: &'a NodeView,
    pub(crate) sentinel: Option<&'a Heard<HostReport>>,
    pub(crate) rebooter: Option<&'a Heard<RebooterReport>>,
}

impl<'a> Seen<'a> {
    /// The host says so, and not too long ago. Silence and errors say nothing.
    pub(crate) fn needs_reboot(&self, now: Timestamp) -> bool {
        self.sentinel
            .is_some_and(|heard| now < heard.stale_at() && matches!(heard.report.need, Ok(Some(_))))
    }

    /// The host says that it needs no reboot. Silence and errors say nothing.
    pub(crate) fn need_is_gone(&self) -> bool {
        matches!(self.sentinel.map(|heard| &heard.report.need), Some(Ok(None)))
    }

    /// It carries this attempt's cordon, and is cordoned.
    pub(crate) fn is_cordoned_for(&self, attempt: &Attempt) -> bool {
        self.node.cordoned_for == Some(attempt.id) && self.node.unschedulable
    }

    /// It carries this attempt's mark, but somebody made it schedulable again. The two are written
    /// together, so a view that lags behind the drainer never looks like this.
    pub(crate) fn was_uncordoned(&self, attempt: &Attempt) -> bool {
        self.node.cordoned_for == Some(attempt.id) && !self.node.unschedulable
    }

    /// It is Ready, and has been for so long.
    pub(crate) fn ready_for(&self, time: SignedDuration, now: Timestamp) -> bool {
        self.node.ready && self.node.ready_since.is_none_or(|since| now >= later(since, time))
    }

    /// Sentinel or kubelet show another boot than this one.
    pub(crate) fn left_boot(&self, before: &BootId) -> bool {
        let sentinel = self.sentinel.is_some_and(|heard| heard.report.boot_id != *before);
        let kubelet = self.node.boot_id.as_ref().is_some_and(|boot| boot != before);
        sentinel || kubelet
    }

    /// The boot that both sentinel and kubelet show, if it is another one than this and the node is Ready in it.
    pub(crate) fn proved_boot(&self, before: &BootId) -> Option<&'a BootId> {
        let boot = self.node.boot_id.as_ref()?;
        let told = &self.sentinel?.report.boot_id;
        (boot == told && boot != before && self.node.ready).then_some(boot)
    }
}

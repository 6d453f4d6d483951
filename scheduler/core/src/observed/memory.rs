//! What a core remembers of a node beyond its newest view and reports.

use bellwether_policy::NeedAnnotation;
use bellwether_proto::{AttemptId, BootId, Generation, HostReport, NeedReport, RebooterReport};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::encoding::{as_text, as_text_optional};
use crate::observed::need_annotation::{self, Added, Asking, Served, Sights};
use crate::observed::{NodeView, StoredReport};

/// What older views and reports of a node have shown and the newest ones do not show any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Since when the node has been Ready without a gap, by the core's own clock: the node's own time
    /// of its Ready condition is of its host's clock.
    pub(crate) ready_from: Option<Timestamp>,
    /// The boot in which the sentinel has last reported that the host needs no reboot.
    #[serde(with = "as_text_optional")]
    pub(crate) needless_boot: Option<BootId>,
    /// The last attempt whose cordon a view of the node has shown.
    #[serde(with = "as_text_optional")]
    pub(crate) shown_cordon: Option<AttemptId>,
    /// The newest attempt whose cordon a drainer has reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cordon_reported: Option<CordonReport>,
    /// The newest attempt whose drain a drainer has reported as done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drain_reported: Option<DrainReport>,
    /// What views have shown of the annotations that policies name as needs.
    #[serde(default, skip_serializing_if = "Sights::is_empty")]
    annotations: Sights,
    /// What the newest look at them has found.
    #[serde(default, skip_serializing_if = "Asking::is_nothing")]
    pub(crate) asking: Asking,
    /// The newest user space that the rebooter has reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_space: Option<UserSpace>,
}

/// A user space of a host: each soft reboot of a boot starts another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserSpace {
    #[serde(with = "as_text")]
    boot_id: BootId,
    soft_reboots: u32,
    /// When the first report of it came.
    from: Timestamp,
}

/// A drainer's report that the node carries our cordon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CordonReport {
    #[serde(with = "as_text")]
    attempt: AttemptId,
    /// When the first report of this attempt came.
    at: Timestamp,
}

/// A drainer's report that no pod that has to go is on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DrainReport {
    #[serde(with = "as_text")]
    attempt: AttemptId,
    generation: u64,
}

impl From<(AttemptId, Generation)> for DrainReport {
    fn from((attempt, generation): (AttemptId, Generation)) -> Self {
        Self {
            attempt,
            generation: generation.0,
        }
    }
}

impl Memory {
    /// Notes a view of the node; `before` is the view before this one.
    pub(crate) fn note_view(&mut self, view: &NodeView, before: Option<&NodeView>, now: Timestamp) {
        // A gap between two views shows in the time of the condition.
        let stayed_ready =
            before.is_some_and(|old| old.ready && old.uid == view.uid && old.ready_since == view.ready_since);
        if !view.ready {
            self.ready_from = None;
        } else if !stayed_ready {
            self.ready_from = Some(now);
        }
        if view.unschedulable && view.cordoned_for.is_some() {
            self.shown_cordon = view.cordoned_for;
        }
    }

    /// Notes a drainer's report that the node carries the cordon of this attempt.
    pub(crate) fn note_cordon_report(&mut self, attempt: AttemptId, now: Timestamp) {
        if self.cordon_reported_at(attempt).is_none() {
            self.cordon_reported = Some(CordonReport { attempt, at: now });
        }
    }

    /// When a drainer first reported the cordon of this attempt, as far as remembered.
    pub(crate) fn cordon_reported_at(&self, attempt: AttemptId) -> Option<Timestamp> {
        let report = self.cordon_reported.as_ref();
        report
            .filter(|report| report.attempt == attempt)
            .map(|report| report.at)
    }

    /// True if a drainer has reported the drain of this attempt in this generation as done.
    pub(crate) fn is_drain_reported(&self, attempt: AttemptId, generation: Generation) -> bool {
        self.drain_reported == Some((attempt, generation).into())
    }

    /// No instant of the past lies in the future: the clock may have been set back.
    pub(crate) fn clamp(&mut self, now: Timestamp) {
        self.ready_from = self.ready_from.map(|from| from.min(now));
        if let Some(report) = &mut self.cordon_reported {
            report.at = report.at.min(now);
        }
        need_annotation::clamp(&mut self.annotations, now);
        if let Some(user_space) = &mut self.user_space {
            user_space.from = user_space.from.min(now);
        }
    }

    /// Notes a report of the rebooter.
    pub(crate) fn note_rebooter(&mut self, report: &RebooterReport, now: Timestamp) {
        let Some(soft_reboots) = report.soft_reboots else {
            return;
        };
        let known = self.user_space.as_ref();
        if known.is_none_or(|known| (&known.boot_id, known.soft_reboots) != (&report.boot_id, soft_reboots)) {
            self.user_space = Some(UserSpace {
                boot_id: report.boot_id.clone(),
                soft_reboots,
                from: now,
            });
        }
    }

    /// When the first report of the newest user space came.
    pub(crate) fn user_space_from(&self) -> Option<Timestamp> {
        Some(self.user_space.as_ref()?.from)
    }

    /// A soft reboot is ordered: that this boot needed no reboot before says nothing of the time after.
    pub(crate) fn forget_needless(&mut self) {
        self.needless_boot = None;
    }

    /// The need of a report and its probes with those of the annotations that the policy of the node names; none: it names none.
    pub(crate) fn with_annotations(
        &mut self,
        stored: &StoredReport<HostReport>,
        node: &NodeView,
        named: &[NeedAnnotation],
        served: Served<'_>,
        now: Timestamp,
    ) -> Option<Added> {
        need_annotation::with_annotations(stored, node, named, served, &mut self.annotations, now)
    }

    /// Notes a report as the sentinel made it: what the annotations ask for is of other rules.
    pub(crate) fn note_report(&mut self, report: &HostReport) {
        if report.need == NeedReport::NotRequired {
            self.needless_boot = Some(report.boot_id.clone());
        }
    }
}

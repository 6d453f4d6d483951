//! What a core remembers of a node beyond its newest view and reports.

use bellwether_proto::{AttemptId, BootId, HostReport, NeedReport};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::encoding::as_text_optional;
use crate::observed::NodeView;

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

    /// Notes a report of the sentinel.
    pub(crate) fn note_report(&mut self, report: &HostReport) {
        if report.need == NeedReport::NotRequired {
            self.needless_boot = Some(report.boot_id.clone());
        }
    }
}

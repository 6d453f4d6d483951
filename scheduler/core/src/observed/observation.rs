//! One node with its agents' reports, and what follows from the three together.

use bellwether_proto::{Attempt, BootId, BootReport, HostReport, NeedReport, Problem, ProblemCode, RebooterReport};
use jiff::{SignedDuration, Timestamp};

use crate::observed::{Asking, Memory, NodeView, StoredReport};
use crate::policy::Policy;
use crate::timers::{Clock, later};

/// All that is known of one node now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation<'a> {
    pub(crate) node: &'a NodeView,
    pub(crate) sentinel: Option<&'a StoredReport<HostReport>>,
    pub(crate) rebooter: Option<&'a StoredReport<RebooterReport>>,
    /// What older views and reports have shown.
    pub(crate) memory: &'a Memory,
}

impl<'a> Observation<'a> {
    /// The newest report, stale or not, has a need.
    pub(crate) fn has_need(&self) -> bool {
        self.sentinel
            .is_some_and(|stored| stored.report.need.required().is_some())
    }

    /// When the need of the newest report began, as [`StoredReport::began`] judges; none without a need.
    pub(crate) fn need_began(&self) -> Option<Timestamp> {
        let stored = self.sentinel?;
        Some(stored.began(stored.report.need.required()?))
    }

    /// The same by the later of the two clocks, for the question whether something happened since.
    pub(crate) fn need_began_at_latest(&self) -> Option<Timestamp> {
        let stored = self.sentinel?;
        let since = stored.report.need.required()?.first_since;
        Some(since.max(stored.by_server_clock(since)))
    }

    /// A report that is not stale says that the host needs a reboot. Silence and probe errors prove nothing.
    pub(crate) fn needs_reboot(&self, clock: &Clock) -> bool {
        self.has_need() && self.sentinel.is_some_and(|stored| !clock.reached(stored.stale_at()))
    }

    /// The sentinel reports that the host needs no reboot, and the Node carries no annotation that asks for one and was not
    /// served. Silence and probe errors prove nothing.
    pub(crate) fn need_is_gone(&self) -> bool {
        let need = self.sentinel.map(|stored| &stored.report.need);
        matches!(need, Some(NeedReport::NotRequired)) || self.need_is_served()
    }

    /// The host requires a reboot, as its sentinel reports; none: not known.
    pub(crate) fn reported_need(&self) -> Option<bool> {
        match &self.sentinel?.report.need {
            NeedReport::Required(_) => Some(true),
            NeedReport::NotRequired => Some(false),
            NeedReport::Unknown(_) => None,
        }
    }

    /// The need consists of annotations that the last reboot has served.
    pub(crate) fn need_is_served(&self) -> bool {
        self.has_need() && self.memory.asking == Asking::Again
    }

    /// The node is unschedulable and carries this attempt's cordon.
    pub(crate) fn is_cordoned_for(&self, attempt: &Attempt) -> bool {
        self.node.cordoned_for == Some(attempt.id) && self.node.unschedulable
    }

    /// An operator took the attempt's cordon away. The drainer writes mark and cordon together, so a
    /// node with the mark alone was uncordoned. A node without the mark counts at once if a view has shown the
    /// cordon before; else once a drainer's report of the cordon is older than any view of the node.
    pub(crate) fn cordon_was_removed(&self, attempt: &Attempt, clock: &Clock) -> bool {
        if self.is_cordoned_for(attempt) {
            return false;
        }
        let marked = self.node.cordoned_for == Some(attempt.id);
        let shown = self.memory.shown_cordon == Some(attempt.id);
        // After a change of leaders only the record knows.
        let known = self.memory.cordon_reported_at(attempt.id).or(attempt.cordoned_at);
        marked || shown || known.is_some_and(|at| clock.reached(later(at, Policy::VIEW_LAG_MAX)))
    }

    /// Nothing but a drainer's report speaks for a cordon of the attempt: no view has shown it.
    pub(crate) fn cordon_is_only_reported(&self, attempt: &Attempt) -> bool {
        let marked = self.node.cordoned_for == Some(attempt.id);
        let shown = self.memory.shown_cordon == Some(attempt.id);
        !marked && !shown && attempt.cordoned_at.is_none()
    }

    /// A drainer reports the drain of the attempt's present generation as done.
    pub(crate) fn is_drain_reported(&self, attempt: &Attempt) -> bool {
        self.memory.is_drain_reported(attempt.id, attempt.generation)
    }

    /// The node is Ready, and has been for so long.
    pub(crate) fn ready_for(&self, time: SignedDuration, clock: &Clock) -> bool {
        self.node.ready
            && self
                .memory
                .ready_from
                .is_some_and(|from| clock.reached(later(from, time)))
    }

    /// Sentinel or kubelet report another boot than that of the attempt, or its user space was started again.
    pub(crate) fn left_boot(&self, attempt: &Attempt) -> bool {
        let before = &attempt.boot_before;
        let sentinel = self.sentinel.is_some_and(|stored| stored.report.boot_id != *before);
        sentinel || self.kubelet_left_boot(attempt)
    }

    /// The host shows that its user space was started again since the order of the attempt, in the same boot: the boot has had
    /// more soft reboots. Only an order of a soft reboot notes how many there had been, so nothing else is ever proved by this.
    pub(crate) fn soft_reboots_since(&self, attempt: &Attempt) -> Option<u32> {
        let before = attempt.soft_reboots_before?;
        let count = self.soft_reboots_in(&attempt.boot_before);
        count.filter(|count| *count > before)
    }

    /// How many soft reboots this boot has had, by the newest report of its rebooter.
    pub(crate) fn soft_reboots_in(&self, boot: &BootId) -> Option<u32> {
        let report = &self.rebooter?.report;
        report.soft_reboots.filter(|_| report.boot_id == *boot)
    }

    /// Since when the node has been Ready in its boot after the attempt; none: it is not, or not in such a boot. The kubelet
    /// reports another boot id and Ready together. After a soft reboot the view may be the one from before, so Ready counts
    /// from the first report of it on.
    pub(crate) fn ready_after_from(&self, attempt: &Attempt) -> Option<Timestamp> {
        let from = self.memory.ready_from.filter(|_| self.node.ready)?;
        if self.kubelet_has_other_boot(attempt) {
            return Some(from);
        }
        self.soft_reboots_since(attempt)?;
        Some(from.max(self.memory.user_space_from()?))
    }

    /// The node is Ready in another boot than the one that the attempt had to end, or in another user space of the same boot for
    /// longer than the view of a node whose kubelet is gone stays Ready. Beside a report of the sentinel, the view of the node
    /// may be the one from before.
    pub(crate) fn is_ready_after(&self, attempt: &Attempt, clock: &Clock) -> bool {
        if self.kubelet_has_other_boot(attempt) {
            return self.node.ready;
        }
        let from = self.ready_after_from(attempt);
        from.is_some_and(|from| clock.reached(later(from, Policy::READY_STALE_MAX)))
    }

    /// Why the node's rebooter could not carry out its order until now; none if it knows no reason. That it has called is no
    /// reason.
    pub(crate) fn hindrance_of_reboot(&self, attempt: &Attempt) -> Option<&'a Problem> {
        let report = &self.rebooter?.report;
        let problem = report.problem.as_ref()?;
        let is_of_order = report.boot_id == attempt.boot_before && problem.code != ProblemCode::RebootAlreadyCalled;
        is_of_order.then_some(problem)
    }

    /// What the host shows of this boot, by the newest report of its rebooter.
    pub(crate) fn shown_boot(&self, boot: &BootId) -> Option<&'a BootReport> {
        let report = &self.rebooter?.report;
        report.boot.as_ref().filter(|_| report.boot_id == *boot)
    }

    fn kubelet_has_other_boot(&self, attempt: &Attempt) -> bool {
        self.node
            .boot_id
            .as_ref()
            .is_some_and(|boot| *boot != attempt.boot_before)
    }

    /// The kubelet reports another boot than that of the attempt, or has started the rebooter that reports another user space.
    pub(crate) fn kubelet_left_boot(&self, attempt: &Attempt) -> bool {
        self.kubelet_has_other_boot(attempt) || self.soft_reboots_since(attempt).is_some()
    }

    /// The boot in which the node is now, if the one of the attempt has ended: the kubelet's word first. After a soft reboot
    /// the same boot, with the number of its soft reboots.
    pub(crate) fn boot_after(&self, attempt: &Attempt) -> Option<(&'a BootId, Option<u32>)> {
        let kubelet = self.node.boot_id.as_ref();
        let sentinel = self.sentinel.map(|stored| &stored.report.boot_id);
        let is_other = |boot: &&'a BootId| **boot != attempt.boot_before;
        if let Some(boot) = kubelet.filter(is_other).or_else(|| sentinel.filter(is_other)) {
            return Some((boot, None));
        }
        let count = self.soft_reboots_since(attempt)?;
        Some((&self.rebooter?.report.boot_id, Some(count)))
    }

    /// The sentinel has reported in this boot that the host needs no reboot.
    pub(crate) fn need_is_cleared_in(&self, boot: &BootId) -> bool {
        self.memory.needless_boot.as_ref() == Some(boot)
    }

    /// The boot that sentinel and kubelet report alike. While they differ, one of them is yet to catch up, and
    /// the view of the node may be the one from before a reboot.
    pub(crate) fn settled_boot(&self) -> Option<&'a BootId> {
        let boot = self.node.boot_id.as_ref()?;
        let reported = &self.sentinel?.report.boot_id;
        (boot == reported).then_some(boot)
    }

    /// The boot that sentinel and kubelet report alike, if it is another one than that of the attempt, or another user space of
    /// the same, and the node is Ready in it.
    pub(crate) fn proved_boot(&self, attempt: &Attempt) -> Option<&'a BootId> {
        let boot = self.settled_boot()?;
        let is_other = *boot != attempt.boot_before || self.soft_reboots_since(attempt).is_some();
        (is_other && self.node.ready).then_some(boot)
    }
}

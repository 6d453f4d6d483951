//! How a node is drained and rebooted, by the policy that governs the node at the start of the attempt.

use std::time::Duration;

use bellwether_policy::{Governing, MemberOrder, OnTimeout, RebootMode, VolumeOrder};
use bellwether_proto::{AfterTimeout, DrainTerms, RebootKind};

/// The terms for the record of a new attempt. Without one policy that has no mistake: the defaults.
pub(crate) fn drain_terms(governing: &Governing) -> DrainTerms {
    let Some(drain) = governing.terms().map(|terms| &terms.drain) else {
        return DrainTerms::default();
    };
    DrainTerms {
        after_timeout: match drain.on_timeout {
            OnTimeout::Restore => AfterTimeout::Restore,
            OnTimeout::Hold => AfterTimeout::Hold,
            OnTimeout::Proceed => AfterTimeout::Proceed,
            OnTimeout::Force => AfterTimeout::Force,
        },
        timeout: drain.timeout.and_then(|timeout| Duration::try_from(timeout).ok()),
        detach_wait: drain.detach_wait.and_then(|wait| Duration::try_from(wait).ok()),
        serial_volumes: drain.volumes == VolumeOrder::Serial,
        one_member_at_a_time: drain.stateful_sets == MemberOrder::OneAtATime,
        load_balancer_wait: drain.load_balancer_wait.and_then(|wait| Duration::try_from(wait).ok()),
        reboot_delay: drain.reboot_delay.and_then(|delay| Duration::try_from(delay).ok()),
    }
}

/// How a node is rebooted, likewise. Without one policy that has no mistake: in full.
pub(crate) fn reboot_kind(governing: &Governing) -> RebootKind {
    match governing.terms().map(|terms| terms.reboot_kind) {
        None | Some(RebootMode::Full) => RebootKind::Full,
        Some(RebootMode::Kexec) => RebootKind::Kexec,
        Some(RebootMode::Soft) => RebootKind::Soft,
    }
}

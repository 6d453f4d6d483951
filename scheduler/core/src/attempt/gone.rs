//! An attempt whose Node object was deleted: cloud controllers delete the Node of a machine that is down, so a host
//! that we reboot may lose its Node and come back under a new one.

use bellwether_proto::{Attempt, Phase};
use jiff::Timestamp;

use crate::attempt::phases::reboot_time_end;
use crate::observed::Observation;
use crate::policy::Policy;
use crate::timers::Clock;

/// The host was called for its reboot and may be down, so the attempt keeps its slot: until a new Node of this name
/// has been Ready in another boot for the time of a soak, or the time for the reboot is over. `successor`: the new Node,
/// if there is one.
pub(crate) fn gone_host_may_be_down(
    attempt: &Attempt,
    successor: Option<&Observation<'_>>,
    policy: &Policy,
    clock: &Clock,
) -> bool {
    let is_back = successor
        .is_some_and(|successor| successor.is_ready_after(attempt, clock) && successor.ready_for(policy.soak, clock));
    slot_end(attempt, policy).is_some_and(|end| !is_back && !clock.reached(end))
}

/// Until when the slot is kept; none: the host is not down by our call.
fn slot_end(attempt: &Attempt, policy: &Policy) -> Option<Timestamp> {
    let reboot_end = || reboot_time_end(attempt, policy);
    match attempt.phase {
        Phase::Rebooting | Phase::RollingBack => reboot_end(),
        Phase::Verifying => reboot_end().and(attempt.deadline),
        Phase::Draining | Phase::Uncordoning | Phase::Soaking | Phase::Done | Phase::Failed | Phase::Cancelled => None,
    }
}

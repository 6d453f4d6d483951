//! The policy holds a node whose units fail, and the host does not show its units, or has not ended its boot: after the reboot
//! the node could never be back in service.

use bellwether_policy::Governing;

use crate::admission::gate::{Candidate, terms_of};
use crate::admission::reason::Reason;
use crate::observed::Observation;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    units_unknown(candidate.governing, &candidate.observation)
}

/// Why it would not be known after a reboot whether units of the host have failed; none if it would, or the policy ignores
/// them. Asked again right before the reboot is ordered: the rebooter may have lost the host's bus during the drain.
pub(crate) fn units_unknown(governing: &Governing, observation: &Observation<'_>) -> Option<Reason> {
    let (policy, terms) = terms_of(governing)?;
    if !terms.back_in_service.holds_on_failed_units {
        return None;
    }
    let boot = observation.sentinel.map(|stored| &stored.report.boot_id);
    let why = match boot.and_then(|boot| observation.shown_boot(boot)) {
        None => "the rebooter does not show the units of the host: it needs the host's systemd and /run/dbus",
        Some(shown) if !shown.is_finished() => "services of the host still start: its boot has not ended",
        Some(_) => return None,
    };
    Some(Reason::GateFailed {
        policy: policy.name.clone(),
        gate: "backInService".to_owned(),
        error: format!("failedUnits is Hold, and {why}"),
    })
}

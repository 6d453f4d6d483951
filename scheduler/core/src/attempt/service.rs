//! Back in service: the pods of DaemonSets that were Ready before the reboot are Ready again, and no startup taint is left.
//!
//! A node that is Ready may have no network, no storage and no devices yet: those come from pods of DaemonSets. And a policy
//! may demand that no unit of the host has failed that had not before.

use bellwether_policy::{BackInService, Governing};
use bellwether_proto::{Attempt, BootReport, DaemonPod};

use crate::observed::NodeView;
use crate::reading::{Outcome, PodOfDaemonSet};

/// Whether a node is back in service after its reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Service {
    /// It is.
    Back,
    /// It is not, for this reason.
    Missing(String),
}

/// What has to be back on a node; none: that it is Ready is enough, since no policy is in the cluster. While there is
/// no one policy without a mistake for the node, what a policy without the field demands.
pub(crate) fn demanded(governing: &Governing) -> Option<BackInService> {
    match governing {
        Governing::BuiltIn => None,
        Governing::Policy(policy) => {
            let terms = policy.terms.as_ref();
            Some(terms.map_or_else(|_| BackInService::default(), |terms| terms.back_in_service.clone()))
        }
        Governing::None | Governing::Conflict(..) => Some(BackInService::default()),
    }
}

/// Judges a node that is Ready in its new boot; `listed` are its pods of DaemonSets, listed since then.
pub(crate) fn service(
    attempt: &Attempt,
    node: &NodeView,
    demanded: &BackInService,
    listed: Option<&Outcome>,
) -> Service {
    let mut taints = node.taints.iter();
    if let Some(taint) = taints.find(|taint| demanded.is_startup_taint(&taint.key)) {
        return Service::Missing(format!("the node has the startup taint {}", taint.key));
    }
    if demanded.daemon_pods.is_none() {
        return Service::Back;
    }
    let missing = match listed {
        Some(Outcome::DaemonPods(pods)) => first_missing(&attempt.daemon_pods, pods),
        Some(Outcome::Failed(error)) => Some(error.clone()),
        Some(Outcome::Open | Outcome::Shut(_) | Outcome::NotNow(_)) | None => {
            Some("the pods of DaemonSets on the node are being listed".to_owned())
        }
    };
    missing.map_or(Service::Back, Service::Missing)
}

/// Judges the units of the host of a node that is back else, by what the host shows of the boot that runs.
pub(crate) fn units(attempt: &Attempt, governing: &Governing, shown: Option<&BootReport>) -> Service {
    if !holds(attempt, governing) {
        return Service::Back;
    }
    let Some(boot) = shown else {
        let missing = "the rebooter has not reported which units have failed in the new boot";
        return Service::Missing(missing.to_owned());
    };
    let before = attempt.units_before.as_ref();
    let before = before.map(|before| before.failed_units.as_slice()).unwrap_or_default();
    // A unit that fails ends its part of the boot, and others may still start.
    if let Some(unit) = boot.newly_failed(before) {
        return Service::Missing(format!(
            "the unit {unit} of the host has failed, and had not before the reboot"
        ));
    }
    if boot.is_finished() {
        Service::Back
    } else {
        Service::Missing("services of the host still start: its boot has not ended".to_owned())
    }
}

/// Whether the units of the host count: by the policy, and without one that has no mistake by what it demanded at the order.
fn holds(attempt: &Attempt, governing: &Governing) -> bool {
    if let Governing::Policy(policy) = governing
        && let Ok(terms) = &policy.terms
    {
        return terms.back_in_service.holds_on_failed_units;
    }
    attempt.units_before.as_ref().is_some_and(|before| before.hold)
}

/// The first pod that is not back: of those that were Ready before; of all, if it is not known which were.
fn first_missing(before: &[DaemonPod], now: &[PodOfDaemonSet]) -> Option<String> {
    if before.is_empty() {
        let pod = now.iter().find(|pod| !pod.ready)?;
        return Some(format!("the pod of the DaemonSet {} is not Ready", pod.daemon_set));
    }
    let mut wanted = before.iter().filter(|pod| pod.ready);
    wanted.find_map(|old| {
        let name = &old.daemon_set;
        let pods = || now.iter().filter(move |pod| pod.daemon_set == *name);
        // The status of a pod is that of the old boot until the kubelet has written another.
        let is_back = |pod: &PodOfDaemonSet| pod.ready && pod.run != old.run;
        if pods().any(is_back) {
            return None;
        }
        Some(match pods().next() {
            None => format!("the pod of the DaemonSet {name} is missing"),
            Some(pod) if pod.ready => format!("the pod of the DaemonSet {name} has not been started again"),
            Some(_) => format!("the pod of the DaemonSet {name} is not Ready"),
        })
    })
}

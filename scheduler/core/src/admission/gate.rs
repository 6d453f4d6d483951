//! The gates: each one question that has to be answered before a node may start, in a file of its own.
//!
//! A new gate is a file in this folder, a line in [`GATES`] or [`GATES_TO_READ`], and a [`Reason`]. Every gate is asked. The first that is
//! shut gives the one reason that operators see in a list of nodes, so the order is by how much it explains: what
//! blocks the whole fleet comes first, then the node itself, its agents, its past, and other nodes.

mod approval;
mod boot_unsettled;
mod canaries;
mod claimed;
mod condition_found;
mod control_plane_busy;
mod cooling_down;
mod drain;
mod foreign_cordon;
mod held;
mod look;
mod min_interval;
mod need_survived;
mod node_deleting;
mod not_ready;
mod paused;
mod pods;
mod policy;
mod prometheus;
mod reboot_loop;
mod rebooter;
mod record_key;
mod rival_found;
mod skipped;
mod stopped;
mod taint_found;
mod units_unknown;
mod window;

use std::collections::BTreeSet;
use std::sync::Arc;

use bellwether_policy::{Gates, Governing, RebootPolicy, Terms};
use bellwether_proto::{Attempt, KeyId, RebootNeed};
use jiff::Timestamp;

use crate::admission::canaries::Canaries;
use crate::admission::control_plane::ControlPlane;
use crate::admission::drain_check::DrainCheck;
use crate::admission::failures::Failures;
use crate::admission::policies::PolicyStates;
use crate::admission::readings::SharedReadings;
use crate::admission::reason::Reason;
use crate::observed::{NodeView, Observation};
use crate::orders::Orders;
use crate::policy::Policy;
use crate::reading::PodReadings;
use crate::rival::Rival;
use crate::timers::Clock;

pub(crate) use drain::overrides_budgets;
pub(crate) use look::Look;
pub(crate) use rebooter::{clock_off, unfit_for_order};
pub(crate) use record_key::lacks_key;
pub(crate) use units_unknown::units_unknown;
pub(crate) use window::{longest_drain, margin};

/// What blocks nodes, whatever their own state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blockers {
    /// The standing orders of operators.
    pub(crate) orders: Orders,
    /// What else in the cluster reboots nodes.
    pub(crate) rivals: BTreeSet<Arc<Rival>>,
    /// Rivals are tolerated.
    pub(crate) tolerate_rivals: bool,
    /// The policies of the cluster.
    pub(crate) policies: PolicyStates,
    /// The nodes of the control plane.
    pub(crate) control_plane: ControlPlane,
    /// What other servers have answered.
    pub(crate) readings: SharedReadings,
    /// The failed reboots, by policy.
    pub(crate) failures: Failures,
    /// The canaries, by policy.
    pub(crate) canaries: Canaries,
    /// The key that signs records; none: not known, so that no gate depends on it.
    pub(crate) signing_key: Option<KeyId>,
}

/// What other servers have answered about one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnReadings<'a> {
    /// The pods of gates.
    pub(crate) pods: &'a PodReadings,
    /// Whether the node can be drained.
    pub(crate) drain: &'a DrainCheck,
}

/// A node whose host needs a reboot, as the gates see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) observation: Observation<'a>,
    pub(crate) need: &'a RebootNeed,
    pub(crate) last: Option<&'a Attempt>,
    pub(crate) governing: &'a Governing,
    /// What was read of the node.
    pub(crate) own: OwnReadings<'a>,
    pub(crate) blockers: &'a Blockers,
    /// The limits of every policy.
    pub(crate) policy: &'a Policy,
    pub(crate) clock: &'a Clock,
}

impl<'a> Candidate<'a> {
    /// The policy of the node with its terms; none without a policy, or of one with a mistake.
    fn terms(&self) -> Option<(&'a RebootPolicy, &'a Terms)> {
        terms_of(self.governing)
    }

    /// The name of the policy of the node.
    fn policy_name(&self) -> Option<&'a str> {
        match self.governing {
            Governing::Policy(policy) => Some(&policy.name),
            Governing::BuiltIn | Governing::None | Governing::Conflict(..) => None,
        }
    }

    /// An operator has ordered to reboot the node now.
    fn is_urgent(&self) -> bool {
        self.blockers.orders.is_urgent(&self.observation.node.name, self.clock)
    }
}

/// One gate: the reason why the candidate may not start now; none: the gate is open.
type Gate = fn(&Candidate<'_>) -> Option<Reason>;

/// All gates, in the order in which they are asked.
const GATES: [Gate; 24] = [
    paused::gate,
    held::gate,
    skipped::gate,
    rival_found::gate,
    policy::gate,
    approval::gate,
    stopped::gate,
    canaries::gate,
    window::gate,
    node_deleting::gate,
    claimed::gate,
    not_ready::gate,
    foreign_cordon::gate,
    condition_found::gate,
    taint_found::gate,
    boot_unsettled::gate,
    need_survived::gate,
    reboot_loop::gate,
    min_interval::gate,
    rebooter::gate,
    units_unknown::gate,
    record_key::gate,
    cooling_down::gate,
    control_plane_busy::gate,
];

/// The gates that other servers answer: read only once all others are open.
const GATES_TO_READ: [Gate; 3] = [prometheus::gate, pods::gate, drain::gate];

/// The reasons of all gates that are shut. Of a gate that other servers answer the state is not known while another
/// gate is shut.
pub(crate) fn shut(candidate: &Candidate<'_>) -> Vec<Reason> {
    let mut reasons: Vec<_> = GATES.iter().filter_map(|gate| gate(candidate)).collect();
    if reasons.is_empty() {
        reasons.extend(GATES_TO_READ.iter().filter_map(|gate| gate(candidate)));
    }
    reasons
}

impl Blockers {
    /// Why the reboot of a drained node may not be ordered any more, for its policy or another program; none if it may.
    pub(crate) fn order_refused(&self, node: &NodeView, clock: &Clock) -> Option<Reason> {
        let governing = self.policies.governing(node);
        let is_urgent = self.orders.is_urgent(&node.name, clock);
        let window_shut = || window::shut(&governing, self, clock).filter(|_| !is_urgent);
        policy::ungoverned(&governing)
            .or_else(|| stopped::stopped(&governing, node, self))
            .or_else(|| canaries::failed(&governing, node, self))
            .or_else(window_shut)
            .or_else(|| condition_found::found(&governing, node))
            .or_else(|| taint_found::found(&governing, node))
            .or_else(|| claimed::claimed(node, clock))
    }

    /// The look at the gates of a node that other servers answer, by readings that were asked for at `since` or later.
    pub(crate) fn look_at_readings(
        &self,
        node: &NodeView,
        pods: &PodReadings,
        since: Timestamp,
        clock: &Clock,
    ) -> Look {
        let governing = self.policies.governing(node);
        let Some((policy, gates)) = gates_of(&governing) else {
            return Look::Open;
        };
        let shared = prometheus::looked(&gates.prometheus, &self.readings, since);
        look::fold(policy, shared.chain(pods::looked(gates, pods, since, clock)))
    }

    /// The look at what has to be open at the end of a node's soak, by readings that were asked for at `since` or later.
    pub(crate) fn look_at_soak(&self, governing: &Governing, since: Timestamp) -> Look {
        let Some((policy, terms)) = terms_of(governing) else {
            return Look::Open;
        };
        let questions = &terms.back_in_service.prometheus;
        look::fold(&policy.name, prometheus::looked(questions, &self.readings, since))
    }

    /// The rivals as a reason; none if there is none, or the policy tolerates them.
    pub(crate) fn rival_reason(&self) -> Option<Reason> {
        let rival = self.rivals.first().filter(|_| !self.tolerate_rivals)?;
        Some(Reason::RivalFound {
            rival: Arc::clone(rival),
            others: self.rivals.len().saturating_sub(1),
        })
    }
}

/// The policy with its terms; none without a policy that has no mistake.
fn terms_of(governing: &Governing) -> Option<(&RebootPolicy, &Terms)> {
    let Governing::Policy(policy) = governing else {
        return None;
    };
    Some((policy, policy.terms.as_ref().ok()?))
}

/// The policy with its own gates; none without a policy that has no mistake.
fn gates_of(governing: &Governing) -> Option<(&Arc<str>, &Gates)> {
    terms_of(governing).map(|(policy, terms)| (&policy.name, &terms.gates))
}

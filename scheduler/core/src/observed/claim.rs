//! Other programs that take a node away: as their taints and conditions on the Node object show.

use std::fmt;

use bellwether_proto::mark;
use jiff::{SignedDuration, Timestamp};

use crate::observed::{NodeView, Taint};

/// A program that claims nodes for itself, with the mark by which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimant {
    /// The cluster autoscaler deletes the machine.
    AutoscalerDeletion,
    /// The cluster autoscaler may delete the machine soon; pods may still start on the node.
    AutoscalerCandidate,
    /// Karpenter replaces or removes the node.
    Karpenter,
    /// A controller of medik8s repairs the node, or keeps the node in maintenance.
    Medik8s,
    /// An administrator or a controller has stated by a condition that maintenance is under way (KEP-5683).
    Maintenance,
    /// The node counts as out of service.
    OutOfService,
}

impl Claimant {
    /// Since Kubernetes' autoscaler keeps candidates for as long as it pleases, and the nodes serve meanwhile, only
    /// other claims count against the budget.
    pub(crate) fn disrupts(self) -> bool {
        self != Self::AutoscalerCandidate
    }
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AutoscalerDeletion => "the cluster autoscaler deletes the machine",
            Self::AutoscalerCandidate => "the cluster autoscaler may delete the machine soon",
            Self::Karpenter => "Karpenter removes the node",
            Self::Medik8s => "medik8s repairs the node or keeps it in maintenance",
            Self::Maintenance => "maintenance is under way",
            Self::OutOfService => "the node is declared out of service",
        })
    }
}

/// A claim on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The claimant.
    pub claimant: Claimant,
    /// The taint's key or the condition's type.
    pub mark: String,
    /// True: the mark is a taint; false: a condition.
    pub is_taint: bool,
    /// Since when, if the mark states that.
    pub since: Option<Timestamp>,
}

/// The key of the taint by which the autoscaler deletes; its value is the time in seconds.
const AUTOSCALER_DELETION: &str = "ToBeDeletedByClusterAutoscaler";
/// The key of the taint of a node that the autoscaler may delete; its value is the time in seconds.
const AUTOSCALER_CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";
/// The keys of Karpenter's taint, of its versions from 1.0 on and before.
const KARPENTER: [&str; 2] = ["karpenter.sh/disrupted", "karpenter.sh/disruption"];
/// The prefix of the taints of medik8s: drain (maintenance) and remediation.
const MEDIK8S: &str = "medik8s.io/";
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
impl Claim {
    /// Longer than a drain and a deletion take: an older claim may be of a program that does not work any more.
    pub const USUAL_MAX: SignedDuration = SignedDuration::from_hours(1);

    /// The first claim on a node, by the order of its taints; one that disrupts before one that does not.
    pub(crate) fn on(node: &NodeView) -> Option<Self> {
        let mut claims: Vec<Self> = node.taints.iter().filter_map(Self::of_taint).collect();
        claims.extend(Self::of_conditions(node));
        let disrupting = claims.iter().position(|claim| claim.claimant.disrupts());
        (!claims.is_empty()).then(|| claims.swap_remove(disrupting.unwrap_or(0)))
    }

    fn of_taint(taint: &Taint) -> Option<Self> {
        let claimant = match taint.key.as_str() {
            AUTOSCALER_DELETION => Claimant::AutoscalerDeletion,
            AUTOSCALER_CANDIDATE => Claimant::AutoscalerCandidate,
            OUT_OF_SERVICE => Claimant::OutOfService,
            key if KARPENTER.contains(&key) => Claimant::Karpenter,
            key if key.starts_with(MEDIK8S) => Claimant::Medik8s,
            _ => return None,
        };
        let by_autoscaler = matches!(claimant, Claimant::AutoscalerDeletion | Claimant::AutoscalerCandidate);
        let seconds = taint.value.parse().ok().filter(|_| by_autoscaler);
        Some(Self {
            claimant,
            mark: taint.key.clone(),
            is_taint: true,
            since: seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        })
    }

    fn of_conditions(node: &NodeView) -> Option<Self> {
        let condition = node.conditions.get(mark::MAINTENANCE_IN_PROGRESS)?;
        (condition.status == "True").then(|| Self {
            claimant: Claimant::Maintenance,
            mark: mark::MAINTENANCE_IN_PROGRESS.to_owned(),
            is_taint: false,
            since: condition.since,
        })
    }
}

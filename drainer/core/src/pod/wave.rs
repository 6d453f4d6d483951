//! The waves in which pods go (D12): a pod waits while the node has pods of an earlier wave.

use super::facts::PodFacts;

/// From this priority on, pods keep the cluster itself alive: Kubernetes reserves the values for `system-cluster-critical` and
/// `system-node-critical`.
const CRITICAL: i32 = 2_000_000_000;

/// The label of all pods of Bellwether, and its value; the NATS servers of its manifests have it too.
const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "bellwether");

/// A wave, in the order in which they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// All others.
    Ordinary,
    /// Pods of the priority classes of the cluster itself: the others may need them until they have ended.
    Critical,
    /// Pods of Bellwether itself: the drainer that empties its own node should not be moved in the middle of that.
    Own,
}

impl Wave {
    /// Its name, as spans have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordinary => "Ordinary",
            Self::Critical => "Critical",
            Self::Own => "Own",
        }
    }

    /// Every wave, in their order.
    pub(crate) const ALL: [Self; 3] = [Self::Ordinary, Self::Critical, Self::Own];

    /// The wave of a pod. A foreign pod with the label of Bellwether only goes later.
    pub(super) fn of(facts: &PodFacts) -> Self {
        let (label, value) = PART_OF;
        if facts.labels.get(label).is_some_and(|found| found == value) {
            Self::Own
        } else if facts.priority >= CRITICAL {
            Self::Critical
        } else {
            Self::Ordinary
        }
    }
}

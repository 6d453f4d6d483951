//! A pod that is bound to the node under drain.

use std::sync::Arc;

use super::class::Class;
use super::facts::PodFacts;
use super::kinds::DaemonSetKinds;
use super::rules;
use super::view::PodView;
use super::wave::Wave;
use crate::volume::ClaimKey;

/// A pod of the node under drain, with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePod {
    /// Its identity: a StatefulSet gives the same name again, so names identify nothing (D34).
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The owner that controls it, as `KIND/NAME`; empty: none.
    pub owner: String,
    /// Its meaning for the drain.
    pub class: Class,
    /// The facts for budgets.
    pub facts: Arc<PodFacts>,
}

impl NodePod {
    /// Classifies the pod, given with the kinds that count as DaemonSets; none if it is not bound to this node.
    #[must_use]
    pub fn on_node(pod: &PodView, node: &str, kinds: &DaemonSetKinds) -> Option<Self> {
        (pod.node == node).then(|| Self {
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            owner: pod.controller.as_ref().map(ToString::to_string).unwrap_or_default(),
            class: rules::classify(pod, kinds),
            facts: Arc::clone(&pod.facts),
        })
    }

    /// The pod has to be evicted, and its budget counts: not for one that never started (Pending).
    pub(crate) fn asks_a_budget(&self) -> bool {
        matches!(self.class, Class::Evictable { .. }) && !self.facts.is_pending
    }

    /// The claims whose volumes the pod uses.
    pub(crate) fn claims(&self) -> impl Iterator<Item = ClaimKey> {
        let claims = self.facts.claims.iter();
        claims.map(|claim| (self.namespace.clone(), claim.clone()))
    }

    /// When the pod goes, beside the others of the node.
    pub(crate) fn wave(&self) -> Wave {
        Wave::of(&self.facts)
    }

    /// True while the node is not drained because of this pod.
    #[must_use]
    pub fn has_to_go(&self) -> bool {
        match self.class {
            Class::Stays(_) => false,
            Class::Terminating { .. } | Class::Evictable { .. } => true,
        }
    }
}

impl std::fmt::Display for NodePod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pod {}/{}", self.namespace, self.name)
    }
}

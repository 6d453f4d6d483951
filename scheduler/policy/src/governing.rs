//! Which policy governs a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::gates::Gates;
use crate::policy::{RebootPolicy, Terms};

/// All policies of the cluster.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// The highest priority first, then by name.
    in_order: Vec<Arc<RebootPolicy>>,
}

/// What governs a node.
#[derive(Debug, Clone)]
pub enum Governing {
    /// There is no policy in the cluster: the scheduler's flags alone say what may happen.
    BuiltIn,
    /// This policy.
    Policy(Arc<RebootPolicy>),
    /// There are policies, and none is for this node.
    None,
    /// Two policies of the highest priority are for this node: the first two by name.
    Conflict(Arc<RebootPolicy>, Arc<RebootPolicy>),
}

impl Governing {
    /// The terms of the policy; none without a policy that has no mistake.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Policy(policy) => policy.terms.as_ref().ok(),
            Self::BuiltIn | Self::None | Self::Conflict(..) => None,
        }
    }

    /// The gates of the policy; none without a policy that has no mistake.
    #[must_use]
    pub fn gates(&self) -> Option<&Gates> {
        self.terms().map(|terms| &terms.gates)
    }
}

impl Policies {
    /// All policies of the cluster, in any order.
    #[must_use]
    pub fn new(policies: impl IntoIterator<Item = RebootPolicy>) -> Self {
        let mut in_order: Vec<_> = policies.into_iter().map(Arc::new).collect();
        in_order.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        Self { in_order }
    }

    /// The policies, the highest priority first, then by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RebootPolicy>> {
        self.in_order.iter()
    }

    /// What governs a node with these labels.
    #[must_use]
    pub fn governing(&self, labels: &BTreeMap<String, String>) -> Governing {
        if self.in_order.is_empty() {
            return Governing::BuiltIn;
        }
        let mut selecting = self.in_order.iter().filter(|policy| policy.selector.selects(labels));
        match (selecting.next(), selecting.next()) {
            (None, _) => Governing::None,
            (Some(first), Some(second)) if first.priority == second.priority => {
                Governing::Conflict(Arc::clone(first), Arc::clone(second))
            }
            (Some(first), _) => Governing::Policy(Arc::clone(first)),
        }
    }
}

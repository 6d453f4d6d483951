//! What a drain has met, as its end reports and its attempt record keeps.

use crate::wire;

/// What a drain has met. See [`wire::DrainReport`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// How long the drainer worked on the drain, in seconds.
    pub seconds: u32,
    /// Pods that had to go and are gone.
    pub pods_gone: u32,
    /// Evictions that the API server accepted.
    pub evictions: u32,
    /// Pods that still had to go at the end.
    pub pods_left: u32,
    /// Pods that stay, by their class.
    pub staying: StayingPods,
    /// The budgets that kept pods, longest first.
    pub budgets: Vec<BlockedBudget>,
    /// The longest grace of a pod that had to go, in seconds.
    pub longest_grace_seconds: u32,
    /// Pods that were over their grace at some time, as `NAMESPACE/NAME`.
    pub stuck_pods: Vec<String>,
    /// Pods that came back to the cordoned node, by their owners.
    pub returned: Vec<ReturnedPods>,
}

/// Pods that stay on a node at its drain, by their class. See [`wire::StayingPods`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StayingPods {
    /// Of DaemonSets.
    pub daemon_set: u32,
    /// Static ones.
    pub r#static: u32,
    /// Finished ones.
    pub finished: u32,
    /// Those whose annotation asks for it.
    pub annotated: u32,
    /// Those that their owners put back onto the node.
    pub returning: u32,
}

/// A disruption budget that kept pods of a drain. See [`wire::BlockedBudget`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedBudget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub budget: String,
    /// How long at least one pod waited for it, in seconds.
    pub blocked_seconds: u32,
}

/// Pods of one owner that came back. See [`wire::ReturnedPods`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnedPods {
    /// The namespace.
    pub namespace: String,
    /// The owner, as `KIND/NAME`.
    pub owner: String,
    /// How many.
    pub pods: u32,
}

impl DrainReport {
    pub(crate) fn from_wire(wire: wire::DrainReport) -> Self {
        let wire::DrainReport {
            seconds,
            pods_gone,
            evictions,
            pods_left,
            staying,
            budgets,
            longest_grace_seconds,
            stuck_pods,
            returned,
        } = wire;
        let budget = |wire::BlockedBudget {
                          namespace,
                          budget,
                          blocked_seconds,
                      }| BlockedBudget {
            namespace,
            budget,
            blocked_seconds,
        };
        let pods = |wire::ReturnedPods { namespace, owner, pods }| ReturnedPods { namespace, owner, pods };
        Self {
            seconds,
            pods_gone,
            evictions,
            pods_left,
            staying: staying.map(StayingPods::from_wire).unwrap_or_default(),
            budgets: budgets.into_iter().map(budget).collect(),
            longest_grace_seconds,
            stuck_pods,
            returned: returned.into_iter().map(pods).collect(),
        }
    }

    pub(crate) fn to_wire(&self) -> wire::DrainReport {
        let Self {
            seconds,
            pods_gone,
            evictions,
            pods_left,
            staying,
            budgets,
            longest_grace_seconds,
            stuck_pods,
            returned,
        } = self.clone();
        let budget = |BlockedBudget {
                          namespace,
                          budget,
                          blocked_seconds,
                      }| wire::BlockedBudget {
            namespace,
            budget,
            blocked_seconds,
        };
        let pods = |ReturnedPods { namespace, owner, pods }| wire::ReturnedPods { namespace, owner, pods };
        wire::DrainReport {
            seconds,
            pods_gone,
            evictions,
            pods_left,
            staying: Some(staying.to_wire()),
            budgets: budgets.into_iter().map(budget).collect(),
            longest_grace_seconds,
            stuck_pods,
            returned: returned.into_iter().map(pods).collect(),
        }
    }
}

impl StayingPods {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u32 {
        let Self {
            daemon_set,
            r#static,
            finished,
            annotated,
            returning,
        } = *self;
        let all = [daemon_set, r#static, finished, annotated, returning];
        all.into_iter().fold(0, u32::saturating_add)
    }

    fn from_wire(wire: wire::StayingPods) -> Self {
        let wire::StayingPods {
            daemon_set,
            r#static,
            finished,
            annotated,
            returning,
        } = wire;
        Self {
            daemon_set,
            r#static,
            finished,
            annotated,
            returning,
        }
    }

    fn to_wire(self) -> wire::StayingPods {
        let Self {
            daemon_set,
            r#static,
            finished,
            annotated,
            returning,
        } = self;
        wire::StayingPods {
            daemon_set,
            r#static,
            finished,
            annotated,
            returning,
        }
    }
}

//! What kept a drain from its end, for comparison with other attempts.

use std::fmt;

use crate::wire;

/// The kind of an obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObstacleKind {
    /// A disruption budget allows no eviction of the pod.
    Budget,
    /// Several disruption budgets match the pod.
    SeveralBudgets,
    /// An admission webhook or an admission policy refuses the eviction of the pod.
    Webhook,
    /// The pod does not end after its grace.
    StuckPod,
    /// The eviction of the pod fails in another way.
    EvictionFailed,
    /// The owner of the pod puts pods back onto the cordoned node.
    Returning,
    /// A kind of a newer version.
    Unknown(i32),
}

impl ObstacleKind {
    /// Every kind that this version knows.
    pub const ALL: [Self; 6] = [
        Self::Budget,
        Self::SeveralBudgets,
        Self::Webhook,
        Self::StuckPod,
        Self::EvictionFailed,
        Self::Returning,
    ];

    fn from_wire(number: i32) -> Self {
        match wire::ObstacleKind::try_from(number) {
            Ok(wire::ObstacleKind::Budget) => Self::Budget,
            Ok(wire::ObstacleKind::SeveralBudgets) => Self::SeveralBudgets,
            Ok(wire::ObstacleKind::Webhook) => Self::Webhook,
            Ok(wire::ObstacleKind::StuckPod) => Self::StuckPod,
            Ok(wire::ObstacleKind::EvictionFailed) => Self::EvictionFailed,
            Ok(wire::ObstacleKind::Returning) => Self::Returning,
            Ok(wire::ObstacleKind::Unspecified) | Err(_) => Self::Unknown(number),
        }
    }

    fn to_wire(self) -> i32 {
        match self {
            Self::Budget => wire::ObstacleKind::Budget.into(),
            Self::SeveralBudgets => wire::ObstacleKind::SeveralBudgets.into(),
            Self::Webhook => wire::ObstacleKind::Webhook.into(),
            Self::StuckPod => wire::ObstacleKind::StuckPod.into(),
            Self::EvictionFailed => wire::ObstacleKind::EvictionFailed.into(),
            Self::Returning => wire::ObstacleKind::Returning.into(),
            Self::Unknown(number) => number,
        }
    }
}

/// What kept a drain from its end. See [`wire::Obstacle`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// Its kind.
    pub kind: ObstacleKind,
    /// The namespace of the pod.
    pub namespace: String,
    /// The controller of the pod, as `KIND/NAME`; empty: none.
    pub owner: String,
    /// A pod, as an example.
    pub pod: String,
}

impl Obstacle {
    /// Both are one obstacle: a pod that its owner has started again under another name is no other one.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let is_of_one_pod = self.pod == other.pod || !self.owner.is_empty();
        (self.kind, &self.namespace, &self.owner) == (other.kind, &other.namespace, &other.owner) && is_of_one_pod
    }

    pub(crate) fn from_wire(wire: wire::Obstacle) -> Self {
        let wire::Obstacle {
            kind,
            namespace,
            owner,
            pod,
        } = wire;
        Self {
            kind: ObstacleKind::from_wire(kind),
            namespace,
            owner,
            pod,
        }
    }

    pub(crate) fn to_wire(&self) -> wire::Obstacle {
        let Self {
            kind,
            namespace,
            owner,
            pod,
        } = self.clone();
        wire::Obstacle {
            kind: kind.to_wire(),
            namespace,
            owner,
            pod,
        }
    }
}

impl fmt::Display for Obstacle {
    /// For operators, such as `the disruption budget of StatefulSet/web in namespace shop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace, owner, pod, ..
        } = self;
        let of = if owner.is_empty() {
            format!("pod {namespace}/{pod}")
        } else {
            format!("{owner} in namespace {namespace} (pod {pod})")
        };
        match self.kind {
            ObstacleKind::Budget => write!(f, "the disruption budget of {of}"),
            ObstacleKind::SeveralBudgets => write!(f, "several disruption budgets of {of}"),
            ObstacleKind::Webhook => write!(f, "a webhook or admission policy that keeps {of} from eviction"),
            ObstacleKind::StuckPod => write!(f, "a pod that does not end, of {of}"),
            ObstacleKind::EvictionFailed => write!(f, "evictions that fail, of {of}"),
            ObstacleKind::Returning => write!(f, "pods that come back to the node, of {of}"),
            ObstacleKind::Unknown(number) => write!(f, "an obstacle of the kind {number}, of {of}"),
        }
    }
}

/// The obstacle at which the last attempts on a node ended. See [`wire::ObstacleRun`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObstacleRun {
    /// The obstacle.
    pub obstacle: Obstacle,
    /// How many attempts in a row ended at it.
    pub attempts: u32,
}

impl ObstacleRun {
    /// The run once one more attempt has ended at this obstacle.
    #[must_use]
    pub fn continued(before: Option<&Self>, obstacle: Obstacle) -> Self {
        let same = before.filter(|before| before.obstacle.is_same(&obstacle));
        Self {
            attempts: same.map_or(0, |same| same.attempts).saturating_add(1),
            obstacle,
        }
    }

    /// None: the run names no obstacle.
    pub(crate) fn from_wire(wire: wire::ObstacleRun) -> Option<Self> {
        Some(Self {
            obstacle: Obstacle::from_wire(wire.obstacle?),
            attempts: wire.attempts,
        })
    }

    pub(crate) fn to_wire(&self) -> wire::ObstacleRun {
        wire::ObstacleRun {
            obstacle: Some(self.obstacle.to_wire()),
            attempts: self.attempts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obstacle(owner: &str, pod: &str) -> Obstacle {
        Obstacle {
            kind: ObstacleKind::Budget,
            namespace: "shop".to_owned(),
            owner: owner.to_owned(),
            pod: pod.to_owned(),
        }
    }

    #[test]
    fn a_pod_of_another_name_is_the_same_obstacle_if_its_owner_is() {
        let first = obstacle("ReplicaSet/web-7d9", "web-7d9-abcde");
        assert!(first.is_same(&obstacle("ReplicaSet/web-7d9", "web-7d9-fghij")));
        assert!(!first.is_same(&obstacle("ReplicaSet/web-8e0", "web-8e0-abcde")));
        assert!(obstacle("", "lone").is_same(&obstacle("", "lone")));
        assert!(!obstacle("", "lone").is_same(&obstacle("", "other")));
        for other in [
            Obstacle {
                kind: ObstacleKind::Unknown(77),
                ..first.clone()
            },
            Obstacle {
                namespace: "blog".to_owned(),
                ..first.clone()
            },
        ] {
            assert!(!first.is_same(&other), "{other}");
        }
    }

    #[test]
    fn a_run_counts_the_attempts_at_one_obstacle_and_begins_again_with_another() {
        let web = || obstacle("ReplicaSet/web", "web-1");
        let first = ObstacleRun::continued(None, web());
        let second = ObstacleRun::continued(Some(&first), web());
        let other = ObstacleRun::continued(Some(&second), obstacle("StatefulSet/db", "db-0"));
        assert_eq!((first.attempts, second.attempts, other.attempts), (1, 2, 1));
    }

    #[test]
    fn each_kind_has_its_number_and_its_words() {
        let mut words = Vec::new();
        for kind in ObstacleKind::ALL.into_iter().chain([ObstacleKind::Unknown(77)]) {
            assert_eq!(ObstacleKind::from_wire(kind.to_wire()), kind);
            let obstacle = Obstacle {
                kind,
                ..obstacle("ReplicaSet/web", "web-1")
            };
            words.push(obstacle.to_string());
        }
        assert!(
            words
                .iter()
                .all(|words| words.contains("ReplicaSet/web in namespace shop (pod web-1)"))
        );
        words.dedup();
        assert_eq!(words.len(), 7);
        assert_eq!(
            obstacle("", "lone").to_string(),
            "the disruption budget of pod shop/lone"
        );
    }
}

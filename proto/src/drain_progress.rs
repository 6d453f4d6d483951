//! How far a drain is, and what still keeps it from its end.

use std::fmt;

use jiff::Timestamp;

use crate::field::{instant, to_timestamp};
use crate::message::WireError;
use crate::namespace_owner::shown;
use crate::wire;

/// How many reasons one line names beside the first; `explain` has all.
const SHOWN_MAX: usize = 3;

/// How far a drain is. See [`wire::DrainProgressed`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainProgress {
    /// Pods that still have to go.
    pub pods_left: u32,
    /// Pods that are gone.
    pub pods_gone: u32,
    /// Blockers of the drain, for operators, most important first.
    pub held_up_by: Vec<String>,
    /// Why the pods are still there, most important first; each pod of `pods_left` counts once.
    pub blockers: Vec<Blocker>,
}

/// Why a pod that has to go is still there, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockerKind {
    /// The drainer cannot look: a watch fails.
    Look,
    /// Evictions rest.
    Rest,
    /// Several disruption budgets select each of the pods.
    SeveralBudgets,
    /// A disruption budget allows no eviction now.
    Budget,
    /// An admission webhook or policy refuses the eviction.
    Webhook,
    /// The pods are over their grace.
    Stuck,
    /// The pods came back, and wait for the next round of evictions.
    Returning,
    /// The eviction fails in another way.
    EvictionFailed,
    /// The pods end, within their grace.
    Grace,
    /// The pods wait for their turn.
    Turn,
    /// The pods are gone, and volumes are still attached to the node.
    Volume,
    /// A kind of a newer version.
    Unknown(i32),
}

impl BlockerKind {
    /// Every kind that this version knows.
    pub const ALL: [Self; 11] = [
        Self::Look,
        Self::Rest,
        Self::SeveralBudgets,
        Self::Budget,
        Self::Webhook,
        Self::Stuck,
        Self::Returning,
        Self::EvictionFailed,
        Self::Grace,
        Self::Turn,
        Self::Volume,
    ];

    /// True for an obstacle that an operator or the owner of a pod may have to remove, if it lasts. The others end by themselves, or
    /// `/readyz` has them.
    #[must_use]
    pub fn is_obstacle(self) -> bool {
        match self {
            Self::SeveralBudgets | Self::Budget | Self::Webhook | Self::Stuck | Self::EvictionFailed | Self::Volume => {
                true
            }
            Self::Look | Self::Rest | Self::Returning | Self::Grace | Self::Turn | Self::Unknown(_) => false,
        }
    }

    /// The name of the kind, for labels and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Look => "Look",
            Self::Rest => "Rest",
            Self::SeveralBudgets => "SeveralBudgets",
            Self::Budget => "Budget",
            Self::Webhook => "Webhook",
            Self::Stuck => "Stuck",
            Self::Returning => "Returning",
            Self::EvictionFailed => "EvictionFailed",
            Self::Grace => "Grace",
            Self::Turn => "Turn",
            Self::Volume => "Volume",
            Self::Unknown(_) => "Unknown",
        }
    }

    fn to_wire(self) -> i32 {
        match self {
            Self::Look => wire::BlockerKind::Look.into(),
            Self::Rest => wire::BlockerKind::Rest.into(),
            Self::SeveralBudgets => wire::BlockerKind::SeveralBudgets.into(),
            Self::Budget => wire::BlockerKind::Budget.into(),
            Self::Webhook => wire::BlockerKind::Webhook.into(),
            Self::Stuck => wire::BlockerKind::Stuck.into(),
            Self::Returning => wire::BlockerKind::Returning.into(),
            Self::EvictionFailed => wire::BlockerKind::EvictionFailed.into(),
            Self::Grace => wire::BlockerKind::Grace.into(),
            Self::Turn => wire::BlockerKind::Turn.into(),
            Self::Volume => wire::BlockerKind::Volume.into(),
            Self::Unknown(number) => number,
        }
    }
}

impl From<i32> for BlockerKind {
    fn from(number: i32) -> Self {
        match wire::BlockerKind::try_from(number) {
            Ok(wire::BlockerKind::Look) => Self::Look,
            Ok(wire::BlockerKind::Rest) => Self::Rest,
            Ok(wire::BlockerKind::SeveralBudgets) => Self::SeveralBudgets,
            Ok(wire::BlockerKind::Budget) => Self::Budget,
            Ok(wire::BlockerKind::Webhook) => Self::Webhook,
            Ok(wire::BlockerKind::Stuck) => Self::Stuck,
            Ok(wire::BlockerKind::Returning) => Self::Returning,
            Ok(wire::BlockerKind::EvictionFailed) => Self::EvictionFailed,
            Ok(wire::BlockerKind::Grace) => Self::Grace,
            Ok(wire::BlockerKind::Turn) => Self::Turn,
            Ok(wire::BlockerKind::Volume) => Self::Volume,
            Ok(wire::BlockerKind::Unspecified) | Err(_) => Self::Unknown(number),
        }
    }
}

/// Pods that are still there for one reason. See [`wire::Blocker`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The reason.
    pub kind: BlockerKind,
    /// How many pods.
    pub pods: u32,
    /// The budget, of [`BlockerKind::Budget`]; none: not known, or several.
    pub budget: Option<BudgetNumbers>,
    /// When the longest grace ends, of [`BlockerKind::Grace`].
    pub grace_ends_at: Option<Timestamp>,
    /// The owners of the pods' namespaces, of a kind that is an obstacle; by name.
    pub namespace_owners: Vec<String>,
}

/// A disruption budget with the numbers of its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetNumbers {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `status.currentHealthy`.
    pub healthy: u32,
    /// `status.desiredHealthy`.
    pub desired: u32,
    /// `status.expectedPods`.
    pub expected: u32,
}

impl Blocker {
    /// So many pods for a reason that has no more to say.
    #[must_use]
    pub fn of(kind: BlockerKind, pods: u32) -> Self {
        Self {
            kind,
            pods,
            budget: None,
            grace_ends_at: None,
            namespace_owners: Vec::new(),
        }
    }

    fn from_wire(wire: wire::Blocker) -> Result<Self, WireError> {
        let wire::Blocker {
            kind,
            pods,
            namespace,
            budget,
            healthy,
            desired,
            expected,
            grace_ends_at,
            namespace_owners,
        } = wire;
        let numbers = BudgetNumbers {
            namespace,
            name: budget,
            healthy,
            desired,
            expected,
        };
        Ok(Self {
            kind: BlockerKind::from(kind),
            pods,
            budget: (numbers != BudgetNumbers::default()).then_some(numbers),
            grace_ends_at: instant("bellwether.v1.Blocker", "grace_ends_at", grace_ends_at)?,
            namespace_owners,
        })
    }

    fn to_wire(&self) -> wire::Blocker {
        let Self {
            kind,
            pods,
            budget,
            grace_ends_at,
            namespace_owners,
        } = self.clone();
        let BudgetNumbers {
            namespace,
            name,
            healthy,
            desired,
            expected,
        } = budget.unwrap_or_default();
        wire::Blocker {
            kind: kind.to_wire(),
            pods,
            namespace,
            budget: name,
            healthy,
            desired,
            expected,
            grace_ends_at: grace_ends_at.map(to_timestamp),
            namespace_owners,
        }
    }
}

impl DrainProgress {
    /// Checks the message.
    ///
    /// # Errors
    /// An instant is out of range.
    pub fn from_wire(wire: wire::DrainProgressed) -> Result<Self, WireError> {
        let wire::DrainProgressed {
            pods_left,
            pods_gone,
            held_up_by,
            blockers,
        } = wire;
        Ok(Self {
            pods_left,
            pods_gone,
            held_up_by,
            blockers: blockers.into_iter().map(Blocker::from_wire).collect::<Result<_, _>>()?,
        })
    }

    /// The message as it travels, and as the scheduler's API shows it.
    #[must_use]
    pub fn to_wire(&self) -> wire::DrainProgressed {
        wire::DrainProgressed {
            pods_left: self.pods_left,
            pods_gone: self.pods_gone,
            held_up_by: self.held_up_by.clone(),
            blockers: self.blockers.iter().map(Blocker::to_wire).collect(),
        }
    }
}

impl Blocker {
    fn fmt_reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pods = self.pods;
        match (self.kind, &self.budget) {
            (BlockerKind::Look, _) => write!(f, "the drainer cannot look at the node"),
            (BlockerKind::Rest, _) => write!(f, "{pods} wait while evictions rest"),
            (BlockerKind::SeveralBudgets, _) => write!(f, "{pods} match several disruption budgets"),
            (BlockerKind::Budget, None) => write!(f, "{pods} wait for other disruption budgets"),
            (BlockerKind::Budget, Some(budget)) => write!(f, "{pods} wait for {budget}"),
            (BlockerKind::Webhook, _) => write!(f, "{pods} refused by a webhook or admission policy"),
            (BlockerKind::Stuck, _) => write!(f, "{pods} over their grace"),
            (BlockerKind::Returning, _) => write!(f, "{pods} came back"),
            (BlockerKind::EvictionFailed, _) => write!(f, "{pods} whose eviction fails"),
            (BlockerKind::Grace, _) => match self.grace_ends_at {
                Some(ends_at) => write!(f, "{pods} end by {ends_at:.0}"),
                None => write!(f, "{pods} end within their grace"),
            },
            (BlockerKind::Turn, _) => write!(f, "{pods} wait for their turn"),
            (BlockerKind::Volume, _) => write!(f, "volumes are still attached to the node"),
            (BlockerKind::Unknown(number), _) => write!(f, "{pods} for a reason of the kind {number}"),
        }
    }
}

impl fmt::Display for Blocker {
    /// For operators, such as `2 wait for the disruption budget shop/web (1 of 3 healthy, 2 have to be) (owner team-shop)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_reason(f)?;
        f.write_str(&shown(&self.namespace_owners))
    }
}

impl fmt::Display for BudgetNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            name,
            healthy,
            desired,
            expected,
        } = self;
        if name.is_empty() {
            return write!(f, "a disruption budget in namespace {namespace}");
        }
        write!(
            f,
            "the disruption budget {namespace}/{name} ({healthy} of {expected} healthy, {desired} have to be)"
        )
    }
}

impl fmt::Display for DrainProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pods = if self.pods_left == 1 { "pod" } else { "pods" };
        write!(f, "{} {pods} left, {} gone", self.pods_left, self.pods_gone)?;
        if let Some((first, more)) = self.blockers.split_first() {
            // The sentence names the fault.
            match (first.kind, self.held_up_by.first()) {
                (BlockerKind::Look, Some(fault)) => write!(f, ": {fault}")?,
                (..) => write!(f, ": {first}")?,
            }
            for blocker in more.iter().take(SHOWN_MAX) {
                write!(f, ", {blocker}")?;
            }
            if more.len() > SHOWN_MAX {
                write!(f, ", and more")?;
            }
        } else if let Some((first, more)) = self.held_up_by.split_first() {
            write!(f, "; held up by {first}")?;
            if !more.is_empty() {
                write!(f, " and {} more", more.len())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_a_drain_names_the_reasons_with_their_pods_and_numbers() {
        let numbers = BudgetNumbers {
            namespace: "shop".into(),
            name: "web".into(),
            healthy: 1,
            desired: 2,
            expected: 3,
        };
        let mut progress = DrainProgress {
            pods_left: 6,
            pods_gone: 4,
            held_up_by: vec!["pod shop/web-0: budget".into()],
            blockers: vec![
                Blocker {
                    budget: Some(numbers),
                    namespace_owners: vec!["team-shop".into()],
                    ..Blocker::of(BlockerKind::Budget, 2)
                },
                Blocker {
                    grace_ends_at: Some(Timestamp::UNIX_EPOCH),
                    ..Blocker::of(BlockerKind::Grace, 3)
                },
                Blocker::of(BlockerKind::Turn, 1),
            ],
        };
        assert_eq!(
            progress.to_string(),
            "6 pods left, 4 gone: 2 wait for the disruption budget shop/web (1 of 3 healthy, 2 have to be) (owner team-shop), \
             3 end by 1970-01-01T00:00:00Z, 1 wait for their turn"
        );
        progress.blockers.insert(0, Blocker::of(BlockerKind::Look, 0));
        progress.held_up_by.insert(0, "pods cannot be watched: 504".into());
        let line = progress.to_string();
        assert!(
            line.starts_with("6 pods left, 4 gone: pods cannot be watched: 504, 2 wait for"),
            "{line}"
        );
        progress.blockers.clear();
        assert_eq!(
            progress.to_string(),
            "6 pods left, 4 gone; held up by pods cannot be watched: 504 and 1 more",
            "from a drainer of a version before the reasons"
        );
    }

    #[test]
    fn every_kind_travels_and_has_a_name_of_its_own() {
        for kind in BlockerKind::ALL {
            assert_eq!(BlockerKind::from(kind.to_wire()), kind);
        }
        assert_eq!(BlockerKind::from(99), BlockerKind::Unknown(99));
        let names: std::collections::BTreeSet<&str> = BlockerKind::ALL.map(BlockerKind::as_str).into();
        assert_eq!(names.len(), BlockerKind::ALL.len());
    }
}

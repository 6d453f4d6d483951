//! The decision about all pods of the node at one instant.

use bellwether_proto::{Blocker as Held, Obstacle};
use jiff::Timestamp;

use crate::pod::NodePod;

/// The decision about all pods of the node at one instant.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Pods to evict now.
    pub evict: Vec<NodePod>,
    /// Pods to delete now, whatever their budgets say.
    pub delete: Vec<NodePod>,
    /// Pods that still have to go, the ones to evict included.
    pub pods_left: u32,
    /// Pods that had to go and are gone.
    pub pods_gone: u32,
    /// Pods that stay on purpose.
    pub pods_staying: u32,
    /// The pods among these that came back and stay, and those that were deleted, for operators; empty if there are none.
    pub remarks: String,
    /// What blocks the drain, for operators, most important first. Without new facts it changes at
    /// most once a minute.
    pub held_up_by: Vec<String>,
    /// Why the pods of [`Self::pods_left`] are still there, in numbers, most important first; each pod counts once.
    pub blockers: Vec<Held>,
    /// The most important blocker that lasts beyond this drain, for comparison with other ones.
    pub obstacle: Option<Obstacle>,
    /// When the decision changes without new facts.
    pub look_again: Option<Timestamp>,
}

/// A time without evictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// When evictions continue.
    pub until: Timestamp,
    /// Why they are suspended, for operators.
    pub reason: String,
}

/// The earlier of both instants.
pub(super) fn sooner(earliest: &mut Option<Timestamp>, other: Timestamp) {
    *earliest = Some(earliest.map_or(other, |earliest| earliest.min(other)));
}

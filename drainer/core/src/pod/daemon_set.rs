//! Pods of DaemonSets, of Kubernetes itself and of others: the DaemonSet would put them back at once.
//!
//! A pod whose DaemonSet is gone counts as one too: to tell the difference, the drainer would need
//! the right to read DaemonSets.

use super::class::{Class, StayReason};
use super::kinds::DaemonSetKinds;
use super::view::PodView;

pub(super) fn class(pod: &PodView, kinds: &DaemonSetKinds) -> Option<Class> {
    let controller = pod.controller.as_ref()?;
    kinds
        .contains(controller)
        .then_some(Class::Stays(StayReason::DaemonSet))
}

//! Pods of DaemonSets: the DaemonSet would put them back at once.
//!
//! A pod whose DaemonSet is gone counts as one too: to tell the difference, the drainer would need
//! the right to read DaemonSets.

use super::class::{Class, StayReason};
use super::view::PodView;

pub(super) fn class(pod: &PodView) -> Option<Class> {
    let controller = pod.controller.as_ref()?;
    let is_daemon = controller.kind == "DaemonSet" && controller.api_version == "apps/v1";
    is_daemon.then_some(Class::Stays(StayReason::DaemonSet))
}

//! Static pods: the kubelet runs them from files, and the API server cannot end them.

use super::class::{Class, StayReason};
use super::view::PodView;

pub(super) fn class(pod: &PodView) -> Option<Class> {
    let controller = pod.controller.as_ref();
    let is_static = pod.is_mirror || controller.is_some_and(|owner| owner.kind == "Node");
    is_static.then_some(Class::Stays(StayReason::Static))
}

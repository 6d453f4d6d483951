//! Finished pods: no container runs any more, so the reboot disturbs nothing. A finalizer may keep the object of such a pod
//! for as long as its owner likes; the drain does not wait for that (D27).
//!
//! A finished pod that is being deleted and has no finalizer is no such pod: only the kubelet has to
//! tidy up, and while the node is down the object would stay and keep its name.

use super::class::{Class, StayReason};
use super::view::PodView;

pub(super) fn class(pod: &PodView) -> Option<Class> {
    let stays = pod.is_finished && (pod.has_finalizers || pod.deletion_at.is_none());
    stays.then_some(Class::Stays(StayReason::Finished))
}

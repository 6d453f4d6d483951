//! Pods that are being deleted already: the drain waits for them and never evicts them again, which
//! could only shorten their grace (D33).
//!
//! Also pods whose containers have ended, without a finalizer: only once the object is gone may a StatefulSet start the
//! pod elsewhere, and while the node is down the kubelet cannot remove it.

use super::class::Class;
use super::view::PodView;

pub(super) fn class(pod: &PodView) -> Option<Class> {
    pod.deletion_at
        .map(|grace_ends_at| Class::Terminating { grace_ends_at })
}

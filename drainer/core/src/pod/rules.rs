//! The list of all rules about pods, in the order in which they are tried.

use super::class::Class;
use super::kinds::DaemonSetKinds;
use super::view::PodView;
use super::{annotated, daemon_set, evictable, finished, mirror, terminating};

/// Recognises one class.
type Rule = fn(&PodView, &DaemonSetKinds) -> Option<Class>;

/// The first rule that recognises the pod decides.
const RULES: [Rule; 5] = [
    // First: a static pod stays even when it is finished or seems to be deleted.
    |pod, _| mirror::class(pod),
    |pod, _| finished::class(pod),
    daemon_set::class,
    |pod, _| annotated::class(pod),
    |pod, _| terminating::class(pod),
];

/// Classifies a pod; one that no rule recognises must be evicted.
pub(super) fn classify(pod: &PodView, kinds: &DaemonSetKinds) -> Class {
    let recognised = RULES.iter().find_map(|rule| rule(pod, kinds));
    recognised.unwrap_or_else(|| evictable::class(pod))
}

//! The list of all rules about pods, in the order in which they are tried.

use super::class::Class;
use super::view::PodView;
use super::{annotated, daemon_set, evictable, finished, mirror, terminating};

/// Recognises one class.
type Rule = fn(&PodView) -> Option<Class>;

/// The first rule that recognises the pod decides.
const RULES: [Rule; 5] = [
    // First: a static pod stays even when it is finished or seems to be deleted.
    mirror::class,
    finished::class,
    daemon_set::class,
    annotated::class,
    terminating::class,
];

/// Classifies a pod; one that no rule recognises must be evicted.
pub(super) fn classify(pod: &PodView) -> Class {
    let recognised = RULES.iter().find_map(|rule| rule(pod));
    recognised.unwrap_or_else(|| evictable::class(pod))
}

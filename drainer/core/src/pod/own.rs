//! Pods of Bellwether itself, which go last.

/// The label of all pods of Bellwether, and its value; the NATS servers of its manifests have it too.
const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "bellwether");

use super::facts::PodFacts;

/// True for a pod of Bellwether itself. Another pod with this label only goes later.
pub(super) fn is_own(facts: &PodFacts) -> bool {
    let (label, value) = PART_OF;
    facts.labels.get(label).is_some_and(|found| found == value)
}

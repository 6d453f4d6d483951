//! The annotations of a Node that a reboot has served, as attempt records keep them.

use crate::wire;

/// An annotation of a Node that a reboot serves, or has served. See [`wire::ServedAnnotations`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedAnnotation {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl ServedAnnotation {
    pub(crate) fn all_from_wire(wire: wire::ServedAnnotations) -> Vec<Self> {
        let from_wire = |wire::ServedAnnotation { key, value }| Self { key, value };
        wire.annotations.into_iter().map(from_wire).collect()
    }

    pub(crate) fn all_to_wire(all: &[Self]) -> wire::ServedAnnotations {
        let to_wire = |Self { key, value }| wire::ServedAnnotation { key, value };
        wire::ServedAnnotations {
            annotations: all.iter().cloned().map(to_wire).collect(),
        }
    }
}

//! The limits of the annotations that a reboot has served.

use super::cut;
use crate::wire;

/// Most annotations that a record keeps as served: twice what a policy may name. One that is left out asks for another reboot.
pub const SERVED_MAX: usize = 16;

/// Longest key or value of such an annotation: what Kubernetes allows for a key, and more than is compared of a value.
pub const SERVED_BYTES_MAX: usize = 317;

pub(super) fn cut_served(served: Option<&mut wire::ServedAnnotations>) {
    let Some(wire::ServedAnnotations { annotations }) = served else {
        return;
    };
    annotations.truncate(SERVED_MAX);
    for wire::ServedAnnotation { key, value } in annotations {
        cut(key, SERVED_BYTES_MAX);
        cut(value, SERVED_BYTES_MAX);
    }
}

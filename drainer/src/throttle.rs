//! The quiet that the API server asked of this process: one for all its drains, since the process is
//! too loud, not one of its drains.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// Until when no drain of this process evicts a pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle(Arc<Mutex<Option<Timestamp>>>);

impl Throttle {
    /// Extends the quiet; never shortens it.
    pub(crate) fn extend(&self, until: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(known.map_or(until, |known| known.max(until)));
    }

    /// When the last quiet asked for ends, or ended.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

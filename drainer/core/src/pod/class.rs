//! The classes of pods. Each class has a file that recognises its pods; `rules` orders them.

use jiff::Timestamp;

/// The meaning of a pod for the drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The pod stays on purpose; the drain never waits for it.
    Stays(StayReason),
    /// The pod is being deleted already: the drain waits for its end.
    Terminating {
        /// When its grace ends.
        grace_ends_at: Timestamp,
    },
    /// The pod must be evicted.
    Evictable {
        /// All losses that its owner may regret (D10).
        risks: Vec<Risk>,
    },
}

/// Why a pod stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StayReason {
    /// See `super::mirror`.
    Static,
    /// See `super::finished`.
    Finished,
    /// See `super::daemon_set`.
    DaemonSet,
    /// See `super::annotated`.
    Annotated,
    /// Its owner puts its pods back onto the node: see [`crate::plan`].
    Returning,
}

/// A loss that comes with the eviction of a pod. The pod is evicted all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// No controller starts the pod again.
    NoController,
    /// Its scratch volume on disk is deleted with it.
    ScratchData,
}

impl Risk {
    /// The text for logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoController => "no controller: the pod is not started again",
            Self::ScratchData => "emptyDir volume: its data is lost",
        }
    }
}

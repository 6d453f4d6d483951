//! The instants at which a state machine decides again although no fact came in.
//!
//! Each rule that waits enters its instant here; `poll_timeout` is the earliest entry and derives
//! nothing again.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The rules that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The command's time ends.
    NotAfter,
    /// The record is read again although no hint came.
    Record,
    /// A read or a patch of the node is tried again.
    NodeEdit,
    /// A pod's next eviction, or the next minute of a pod that does not end.
    Plan,
    /// Evictions are no longer suspended.
    Suspension,
    /// The next progress event may be published.
    Progress,
    /// The node may be proved to be drained.
    Proof,
    /// The wait for volumes that are still attached is over.
    Detach,
}

/// The entries of one state machine. Every decision clears the table and enters the instants that
/// still matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers(BTreeMap<Timer, Timestamp>);

impl Timers {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn set(&mut self, timer: Timer, at: Timestamp) {
        self.0.insert(timer, at);
    }

    pub(crate) fn earliest(&self) -> Option<Timestamp> {
        self.0.values().min().copied()
    }
}

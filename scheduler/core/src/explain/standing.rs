//! What is said of a node to people and metrics: its state, and the one reason for it.

use bellwether_proto::Phase;
use jiff::Timestamp;

use crate::admission::reason::Reason;

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Needs nothing.
    Idle,
    /// Needs a reboot and waits.
    Waiting,
    /// In an attempt, in this phase.
    InProgress(Phase),
    /// Its last attempt failed and holds its slot.
    Failed,
    /// Its need cannot be known.
    Unknown,
}

/// A node's state, with the reason if it does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is doing.
    pub state: State,
    /// Why it does not go on; none if idle or in progress.
    pub reason: Option<Reason>,
    /// Since when state and reason are these (details of the reason may have changed).
    pub since: Timestamp,
}

impl Standing {
    /// The standing that follows this one: the time stays if state and reason do.
    pub(crate) fn followed_by(old: Option<&Self>, state: State, reason: Option<Reason>, now: Timestamp) -> Self {
        let same = old.filter(|old| {
            old.state == state && old.reason.as_ref().map(Reason::code) == reason.as_ref().map(Reason::code)
        });
        Self {
            state,
            reason,
            since: same.map_or(now, |old| old.since),
        }
    }
}

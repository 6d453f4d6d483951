//! The standing of a node: its state, and the one reason for it.

use bellwether_proto::Phase;
use jiff::Timestamp;

use crate::admission::Reason;

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

impl State {
    /// All states that a node can be in; an attempt in progress has not ended.
    pub const ALL: [Self; 10] = [
        Self::Idle,
        Self::Waiting,
        Self::Failed,
        Self::Unknown,
        Self::InProgress(Phase::Draining),
        Self::InProgress(Phase::Rebooting),
        Self::InProgress(Phase::Verifying),
        Self::InProgress(Phase::Uncordoning),
        Self::InProgress(Phase::Soaking),
        Self::InProgress(Phase::RollingBack),
    ];

    /// The word for labels and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Waiting => "Waiting",
            Self::InProgress(phase) => phase.as_str(),
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }
}

/// A node's state, with the reason if it does not continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is doing.
    pub state: State,
    /// Why it is not rebooted yet or, in an attempt, the next thing that has to happen; none if idle.
    pub reason: Option<Reason>,
    /// Since when state and reason are these (details of the reason may have changed).
    pub since: Timestamp,
}

/// A standing as the core keeps it. What depends on other nodes is filled in when it is read, so
/// that a change of one node does not touch all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) state: State,
    pub(crate) basis: Basis,
    pub(crate) since: Timestamp,
}

/// The reason of a [`Stand`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The node continues, or needs nothing.
    None,
    /// This reason.
    Reason(Reason),
    /// The node is in the queue: [`Reason::NoSlot`], with the slots and the number as they are when read.
    Queue,
}

impl Basis {
    /// The reason's code, if there is a reason.
    pub(crate) fn code(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Reason(reason) => Some(reason.code()),
            Self::Queue => Some(Reason::NO_SLOT),
        }
    }
}

impl Stand {
    /// The stand that follows `old`: the time stays if state and code do.
    pub(crate) fn after(old: Option<&Self>, state: State, basis: Basis, now: Timestamp) -> Self {
        let same = old.filter(|old| old.state == state && old.basis.code() == basis.code());
        Self {
            state,
            basis,
            since: same.map_or(now, |old| old.since),
        }
    }
}

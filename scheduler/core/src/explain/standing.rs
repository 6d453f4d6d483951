//! The standing of a node: its state, and the one reason for it.

use bellwether_proto::limit::HELD_MAX;
use bellwether_proto::{GateHeld, Phase};
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
    /// What else would keep the node from its reboot.
    pub others: Vec<Blocker>,
}

/// One of several reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The reason.
    pub reason: Reason,
    /// Since when it applies; none: it depends on other nodes, and is of this moment.
    pub since: Option<Timestamp>,
}

/// A standing as the core keeps it. What depends on other nodes is filled in when it is read, so
/// that a change of one node does not touch all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) state: State,
    pub(crate) basis: Basis,
    pub(crate) since: Timestamp,
    /// The reasons of further gates that are shut, each since when.
    pub(crate) others: Vec<(Reason, Timestamp)>,
    /// The gates that have held the node since it began to wait, in the order of their ends. Most nodes wait for nothing.
    pub(crate) held: Vec<GateHeld>,
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
    /// The stand that follows `old`: the time of a reason stays if state and code do.
    pub(crate) fn after(old: Option<&Self>, state: State, basis: Basis, others: Vec<Reason>, now: Timestamp) -> Self {
        let same = old.filter(|old| old.state == state);
        let since = |code| same.and_then(|old| old.since_of(code)).unwrap_or(now);
        let codes: Vec<_> = basis
            .code()
            .into_iter()
            .chain(others.iter().map(Reason::code))
            .collect();
        Self {
            state,
            since: since(basis.code()),
            held: same.map(|old| old.held_after(&codes, now)).unwrap_or_default(),
            basis,
            others: others
                .into_iter()
                .map(|reason| {
                    let since = since(Some(reason.code()));
                    (reason, since)
                })
                .collect(),
        }
    }

    /// The gates that have held the node, if these are the codes of those that hold it now.
    fn held_after(&self, codes: &[&'static str], now: Timestamp) -> Vec<GateHeld> {
        let first = match &self.basis {
            Basis::Reason(reason) => Some((reason, self.since)),
            Basis::None | Basis::Queue => None,
        };
        let others = self.others.iter().map(|(reason, since)| (reason, *since));
        let ended = first
            .into_iter()
            .chain(others)
            .filter(|(reason, _)| !codes.contains(&reason.code()));
        let mut held = self.held.clone();
        held.extend(ended.map(|(reason, since)| GateHeld {
            code: reason.code().to_owned(),
            message: reason.message(),
            since: Some(since),
            until: Some(now),
        }));
        held.drain(..held.len().saturating_sub(HELD_MAX));
        held
    }

    /// All reasons that are known without a look at other nodes.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = &Reason> {
        let first = match &self.basis {
            Basis::Reason(reason) => Some(reason),
            Basis::None | Basis::Queue => None,
        };
        first.into_iter().chain(self.others.iter().map(|(reason, _)| reason))
    }

    /// An operator leaves the node's present need unserved.
    pub(crate) fn is_skipped(&self) -> bool {
        self.reasons().any(|reason| matches!(reason, Reason::Skipped(_)))
    }

    /// Since when the reason with this code applies, if it does.
    fn since_of(&self, code: Option<&'static str>) -> Option<Timestamp> {
        if self.basis.code() == code {
            return Some(self.since);
        }
        let mut others = self.others.iter();
        others
            .find(|(reason, _)| Some(reason.code()) == code)
            .map(|(_, since)| *since)
    }
}

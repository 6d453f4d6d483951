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
    /// The gates that have held the node since it began to wait, or left its need unknown: one entry for each code, in the order
    /// of their ends. Most nodes wait for nothing.
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
            held: old
                .filter(|old| old.waits() && waits(state))
                .map(|old| old.held_after(&codes, now))
                .unwrap_or_default(),
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
        for (reason, since) in ended {
            // A gate that opens and shuts again and again, such as one that is read, must not push out the others.
            let before = held.iter().position(|held| held.code == reason.code());
            let before = before.map(|position| held.remove(position));
            held.push(GateHeld {
                code: reason.code().to_owned(),
                message: reason.message(),
                since: before.as_ref().map_or(Some(since), |before| before.since),
                until: Some(now),
                times: before.map_or(0, |before| before.times).saturating_add(1),
            });
        }
        held.drain(..held.len().saturating_sub(HELD_MAX));
        held
    }

    /// The node is in no attempt, and a gate may hold it.
    fn waits(&self) -> bool {
        waits(self.state)
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

/// A need that is unknown for a moment, as a report is late, does not end the wait.
fn waits(state: State) -> bool {
    match state {
        State::Waiting | State::Unknown => true,
        State::Idle | State::InProgress(_) | State::Failed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn unchecked(error: &str) -> Reason {
        Reason::DrainUnchecked {
            error: error.to_owned(),
        }
    }

    fn not_now() -> Reason {
        Reason::DrainNotNow {
            found: "a budget".into(),
        }
    }

    /// The gates that held a node in these states, one each second.
    fn held(states: Vec<(State, Vec<Reason>)>) -> Vec<GateHeld> {
        let mut stand: Option<Stand> = None;
        for (second, (state, mut reasons)) in (0..).zip(states) {
            let basis = if reasons.is_empty() {
                Basis::Queue
            } else {
                Basis::Reason(reasons.remove(0))
            };
            stand = Some(Stand::after(stand.as_ref(), state, basis, reasons, at(second)));
        }
        stand.unwrap().held
    }

    #[test]
    fn a_gate_that_holds_again_and_again_is_one_entry_and_pushes_out_no_other() {
        let mut states = vec![(State::Waiting, vec![Reason::NoPolicy])];
        for number in 0..20 {
            states.push((State::Waiting, vec![unchecked(&number.to_string())]));
            states.push((State::Waiting, vec![not_now()]));
        }
        states.push((State::Waiting, vec![]));
        let found = held(states);
        let codes: Vec<_> = found
            .iter()
            .map(|held| (&*held.code, held.since, held.until, held.times))
            .collect();
        assert_eq!(
            codes,
            [
                ("NoPolicy", Some(at(0)), Some(at(1)), 1),
                ("DrainUnchecked", Some(at(1)), Some(at(40)), 20),
                ("DrainNotNow", Some(at(2)), Some(at(41)), 20),
            ]
        );
        assert!(
            found[1].message.contains("19"),
            "the newest values: {}",
            found[1].message
        );
    }

    #[test]
    fn gates_are_kept_while_the_need_is_unknown_and_that_is_one_of_them() {
        let stale = || Reason::NoReport;
        let wait = |reasons| (State::Waiting, reasons);
        let found = held(vec![
            wait(vec![Reason::NoPolicy]),
            (State::Unknown, vec![stale()]),
            wait(vec![]),
        ]);
        let codes: Vec<_> = found.iter().map(|held| &*held.code).collect();
        assert_eq!(codes, ["NoPolicy", "NoReport"]);
        // A node that needs nothing begins again.
        let found = held(vec![
            wait(vec![Reason::NoPolicy]),
            (State::Idle, vec![stale()]),
            wait(vec![]),
        ]);
        assert_eq!(found, []);
    }
}

//! The figures of the fleet that metrics publish, counted from the core's state.

use std::collections::BTreeMap;

use bellwether_scheduler_core::{Fleet, Reason, State};
use jiff::Timestamp;

/// The figures of the fleet at one moment. The default is a replica's that does not lead: it knows none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Nodes by state; a node in an attempt counts under its phase.
    pub(crate) states: BTreeMap<&'static str, u32>,
    /// Nodes that wait or have failed, by the code of the reason.
    pub(crate) reasons: BTreeMap<&'static str, u32>,
    /// Since when the node that has waited longest needs its reboot.
    pub(crate) oldest_need: Option<Timestamp>,
    pub(crate) slots: u32,
    pub(crate) slots_taken: u32,
    pub(crate) paused: bool,
}

impl Counts {
    /// Counts the fleet as it is now.
    pub(crate) fn of(fleet: &Fleet) -> Self {
        let (slots, holders) = fleet.slots();
        let mut counts = Self {
            slots,
            slots_taken: u32::try_from(holders.len()).unwrap_or(u32::MAX),
            paused: fleet.control().is_some_and(|control| control.paused),
            ..Self::default()
        };
        for (node, standing) in fleet.standings() {
            *counts.states.entry(state(standing.state)).or_insert(0) += 1;
            if let Some(reason) = standing.reason.as_ref().map(Reason::code) {
                *counts.reasons.entry(reason).or_insert(0) += 1;
            }
            let need = fleet
                .sentinel(&node.name)
                .and_then(|heard| heard.report.need.as_ref().ok()?.as_ref());
            counts.oldest_need = need.map(|need| need.since).into_iter().chain(counts.oldest_need).min();
        }
        counts
    }
}

/// The value of the label `state`.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Idle => "Idle",
        State::Waiting => "Waiting",
        State::InProgress(phase) => phase.as_str(),
        State::Failed => "Failed",
        State::Unknown => "Unknown",
    }
}

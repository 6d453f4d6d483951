//! What the scheduler counts.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use bellwether_proto::{Attempt, Cause, Phase};
use bellwether_scheduler_core::{Fleet, Reason, State};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    outcome: &'static str,
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

/// The scheduler's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    leading: Gauge,
    nodes: Family<StateLabels, Gauge>,
    waiting: Family<ReasonLabels, Gauge>,
    slots: Gauge,
    slots_taken: Gauge,
    paused: Gauge,
    oldest_need: Gauge<f64, AtomicU64>,
    ended: Family<EndLabels, Counter>,
    phases: Family<PhaseLabels, Histogram>,
    rejected: Counter,
    reloads: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            leading: Gauge::default(),
            nodes: Family::default(),
            waiting: Family::default(),
            slots: Gauge::default(),
            slots_taken: Gauge::default(),
            paused: Gauge::default(),
            oldest_need: Gauge::default(),
            ended: Family::default(),
            // From a second to half a day: a soak to a drain that a budget holds.
            phases: Family::new_with_constructor(|| {
                Histogram::new([
                    1., 5., 15., 30., 60., 120., 300., 600., 1200., 1800., 3600., 14400., 43200.,
                ])
            }),
            rejected: Counter::default(),
            reloads: Counter::default(),
        };
        let Self {
            leading,
            nodes,
            waiting,
            slots,
            slots_taken,
            paused,
            oldest_need,
            ended,
            phases,
            rejected,
            reloads,
        } = metrics.clone();
        registry.register("scheduler_leading", "1 if this replica leads", leading);
        registry.register("nodes", "Nodes by state", nodes);
        registry.register("nodes_waiting", "Nodes that do not go on, by reason", waiting);
        registry.register("slots", "Reboot slots", slots);
        registry.register(
            "slots_taken",
            "Reboot slots that are taken, also by nodes that are down or cordoned by others",
            slots_taken,
        );
        registry.register("paused", "1 if people paused the fleet", paused);
        registry.register(
            "oldest_need_timestamp_seconds",
            "Since when the node that waits longest needs its reboot; 0 if none",
            oldest_need,
        );
        registry.register("attempts_ended", "Attempts that ended", ended);
        registry.register("phase_duration_seconds", "How long phases of attempts took", phases);
        registry.register(
            "scheduler_messages_rejected",
            "Messages that were not understood",
            rejected,
        );
        registry.register(
            "scheduler_reloads",
            "How often the leader had to load its records anew",
            reloads,
        );
        metrics
    }

    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }

    pub(crate) fn reloaded(&self) {
        self.reloads.inc();
    }

    pub(crate) fn phase_over(&self, attempt: &Attempt, phase: Phase, began: Timestamp, ended: Timestamp) {
        let seconds = ended.duration_since(began).as_secs_f64();
        self.phases
            .get_or_create(&PhaseLabels { phase: phase.as_str() })
            .observe(seconds);
        if let (true, Some(ending)) = (attempt.phase.is_ended(), &attempt.ending) {
            let labels = EndLabels {
                outcome: attempt.phase.as_str(),
                cause: ending.cause.as_str(),
            };
            self.ended.get_or_create(&labels).inc();
        }
    }

    /// What a follower does not know it does not report.
    pub(crate) fn follow(&self) {
        self.leading.set(0);
        self.show_nodes(&BTreeMap::new(), &BTreeMap::new());
        self.slots.set(0);
        self.slots_taken.set(0);
        self.paused.set(0);
        self.oldest_need.set(0.);
    }

    pub(crate) fn lead(&self, fleet: &Fleet) {
        self.leading.set(1);
        let (mut states, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        let mut oldest: Option<Timestamp> = None;
        for (node, standing) in fleet.standings() {
            *states.entry(state(standing.state)).or_insert(0) += 1;
            if let Some(reason) = standing.reason.as_ref().map(Reason::code) {
                *reasons.entry(reason).or_insert(0) += 1;
            }
            let need = fleet
                .sentinel(&node.name)
                .and_then(|heard| heard.report.need.as_ref().ok()?.as_ref());
            oldest = need.map(|need| need.since).into_iter().chain(oldest).min();
        }
        self.show_nodes(&states, &reasons);
        self.oldest_need
            .set(oldest.map_or(0., |at| at.as_duration().as_secs_f64()));
        let (slots, holders) = fleet.slots();
        self.slots.set(slots.into());
        self.slots_taken.set(i64::try_from(holders.len()).unwrap_or(i64::MAX));
        self.paused
            .set(i64::from(fleet.control().is_some_and(|control| control.paused)));
    }

    /// Sets every label there is, also those that count nothing now, and clears none: a reader in
    /// between sees no gap.
    fn show_nodes(&self, states: &BTreeMap<&'static str, i64>, reasons: &BTreeMap<&'static str, i64>) {
        let others = [State::Idle, State::Waiting, State::Failed, State::Unknown].map(state);
        let phases = Phase::ALL
            .into_iter()
            .filter(|phase| !phase.is_ended())
            .map(Phase::as_str);
        for state in others.into_iter().chain(phases) {
            let count = states.get(state).copied().unwrap_or(0);
            self.nodes.get_or_create(&StateLabels { state }).set(count);
        }
        let seen = reasons.keys().copied();
        let causes = Cause::ALL
            .into_iter()
            .filter(|cause| cause.outcome() == Phase::Failed)
            .map(Cause::as_str);
        for reason in Reason::CODES.into_iter().chain(causes).chain(seen) {
            let count = reasons.get(reason).copied().unwrap_or(0);
            self.waiting.get_or_create(&ReasonLabels { reason }).set(count);
        }
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Idle => "Idle",
        State::Waiting => "Waiting",
        State::InProgress(phase) => phase.as_str(),
        State::Failed => "Failed",
        State::Unknown => "Unknown",
    }
}

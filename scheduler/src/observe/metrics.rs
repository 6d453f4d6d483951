//! The metrics of the scheduler.

use std::sync::atomic::AtomicU64;

use bellwether_proto::{Attempt, Cause, FleetControl, Phase, SignatureFault, SigningKey};
use bellwether_scheduler_core::explain::Counts;
use bellwether_scheduler_core::{Fleet, PolicyStanding, Reason, State};
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
struct CodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    outcome: &'static str,
}

/// What became of an Event on a Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventOutcome {
    /// The API server has it from this leader.
    Written,
    /// The API server had it from an earlier leader.
    Present,
    /// The API server refused it as invalid.
    Refused,
    /// It was too old, or the oldest of too many.
    Dropped,
}

impl EventOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Written => "Written",
            Self::Present => "Present",
            Self::Refused => "Refused",
            Self::Dropped => "Dropped",
        }
    }
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    policy: String,
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
    policy_refused: Family<PolicyLabels, Gauge>,
    policy_stopped: Family<PolicyLabels, Gauge>,
    policy_nodes_left_over: Family<PolicyLabels, Gauge>,
    ended: Family<EndLabels, Counter>,
    phases: Family<PhaseLabels, Histogram>,
    rejected: Counter,
    node_events: Family<EventLabels, Counter>,
    unknown_problem_codes: Counter,
    reloads: Counter,
    key_age: Gauge,
    untrusted: Family<CodeLabels, Gauge>,
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
            policy_refused: Family::default(),
            policy_stopped: Family::default(),
            policy_nodes_left_over: Family::default(),
            ended: Family::default(),
            // From a second to half a day: a soak to a drain that a budget blocks.
            phases: Family::new_with_constructor(|| {
                Histogram::new([
                    1., 5., 15., 30., 60., 120., 300., 600., 1200., 1800., 3600., 14400., 43200.,
                ])
            }),
            rejected: Counter::default(),
            node_events: Family::default(),
            unknown_problem_codes: Counter::default(),
            reloads: Counter::default(),
            key_age: Gauge::default(),
            untrusted: Family::default(),
        };
        let Self {
            leading,
            nodes,
            waiting,
            slots,
            slots_taken,
            paused,
            oldest_need,
            policy_refused,
            policy_stopped,
            policy_nodes_left_over,
            ended,
            phases,
            rejected,
            node_events,
            unknown_problem_codes,
            reloads,
            key_age,
            untrusted,
        } = metrics.clone();
        registry.register(
            "record_key_age_seconds",
            "Age of the key that signs records; 0 if this replica does not lead",
            key_age,
        );
        registry.register(
            "records_untrusted_stored",
            "Records in the bucket of attempts that count as none, by the code of the fault of their signature",
            untrusted,
        );
        registry.register("scheduler_leading", "1 if this replica leads", leading);
        registry.register("nodes", "Nodes by state", nodes);
        registry.register("nodes_waiting", "Nodes that wait or have failed, by reason", waiting);
        registry.register("slots", "Reboot slots", slots);
        registry.register(
            "slots_taken",
            "Reboot slots that are taken, also by nodes that are down or cordoned by others",
            slots_taken,
        );
        registry.register("paused", "1 if an operator paused the fleet", paused);
        registry.register(
            "oldest_need_timestamp_seconds",
            "Since when the node with the oldest need requires its reboot; 0 if none does",
            oldest_need,
        );
        registry.register(
            "policy_refused",
            "1 if a RebootPolicy has a mistake, so that its nodes are not rebooted",
            policy_refused,
        );
        registry.register(
            "policy_stopped",
            "1 if failed reboots, of a canary too, keep every node of a RebootPolicy from starting",
            policy_stopped,
        );
        registry.register(
            "policy_nodes_left_over",
            "Nodes of a RebootPolicy that wait for their turn and do not fit into the present or next opening",
            policy_nodes_left_over,
        );
        registry.register("attempts_ended", "Attempts that ended", ended);
        registry.register("phase_duration_seconds", "How long phases of attempts took", phases);
        registry.register(
            "scheduler_messages_rejected",
            "Messages that could not be parsed",
            rejected,
        );
        registry.register(
            "scheduler_node_events",
            "Events on Nodes for operators, by outcome",
            node_events,
        );
        registry.register(
            "scheduler_unknown_problem_codes",
            "Reports with a problem whose code this version does not know",
            unknown_problem_codes,
        );
        registry.register(
            "scheduler_reloads",
            "How often the leader had to reload its records",
            reloads,
        );
        metrics
    }

    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }

    pub(crate) fn node_event(&self, outcome: EventOutcome) {
        let outcome = outcome.as_str();
        self.node_events.get_or_create(&EventLabels { outcome }).inc();
    }

    pub(crate) fn unknown_problem_code(&self) {
        self.unknown_problem_codes.inc();
    }

    /// Publishes the age of the key that signs records.
    pub(crate) fn signs_with(&self, key: &SigningKey, now: Timestamp) {
        self.key_age.set(now.duration_since(key.created()).as_secs());
    }

    /// Publishes which records are not trusted.
    pub(crate) fn untrusted(&self, found: &[(String, SignatureFault)]) {
        self.untrusted.clear();
        for (_, fault) in found {
            let code = fault.code();
            self.untrusted.get_or_create(&CodeLabels { code }).inc();
        }
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

    /// A replica that does not lead knows no fleet and publishes zeros.
    pub(crate) fn follow(&self) {
        self.leading.set(0);
        self.publish(&Counts::default());
        self.slots.set(0);
        self.slots_taken.set(0);
        self.paused.set(0);
        self.key_age.set(0);
        self.untrusted(&[]);
        self.policies(&[]);
    }

    /// Publishes what the policies come to, and nothing more of those that are gone. A scrape in between may find a
    /// policy missing.
    pub(crate) fn policies(&self, standings: &[PolicyStanding]) {
        for family in [&self.policy_refused, &self.policy_stopped, &self.policy_nodes_left_over] {
            family.clear();
        }
        for standing in standings {
            let labels = PolicyLabels {
                policy: standing.name.clone(),
            };
            let is_stopped = standing.stopped.is_some() || standing.failed_canary.is_some();
            let of_policy = |family: &Family<PolicyLabels, Gauge>, value| {
                family.get_or_create(&labels).set(value);
            };
            of_policy(&self.policy_refused, (!standing.faults.is_empty()).into());
            of_policy(&self.policy_stopped, is_stopped.into());
            of_policy(&self.policy_nodes_left_over, number(standing.left_over.unwrap_or(0)));
        }
    }

    pub(crate) fn lead(&self, fleet: &Fleet) {
        self.leading.set(1);
        self.publish(fleet.counts());
        self.slots.set(fleet.slots().into());
        self.slots_taken.set(number(fleet.slots_taken()));
        let paused = fleet.control().is_some_and(FleetControl::paused);
        self.paused.set(paused.into());
    }

    fn publish(&self, counts: &Counts) {
        self.publish_nodes(counts);
        self.oldest_need
            .set(counts.oldest_need().map_or(0., |at| at.as_duration().as_secs_f64()));
    }

    /// Sets every label there is, also those that count nothing now, and clears none: a scrape in
    /// between finds no gap.
    fn publish_nodes(&self, counts: &Counts) {
        for state in State::ALL {
            let labels = StateLabels { state: state.as_str() };
            self.nodes.get_or_create(&labels).set(number(counts.in_state(state)));
        }
        let causes = Cause::ALL
            .into_iter()
            .filter(|cause| cause.outcome() == Phase::Failed)
            .map(Cause::as_str);
        for reason in Reason::CODES.into_iter().chain(causes) {
            let labels = ReasonLabels { reason };
            self.waiting
                .get_or_create(&labels)
                .set(number(counts.with_reason(reason)));
        }
    }
}

/// A count as the value of a gauge.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

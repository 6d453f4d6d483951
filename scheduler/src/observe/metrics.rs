//! The metrics of the scheduler.

mod kured;
mod policy;
mod signs;

use std::sync::atomic::AtomicU64;

use bellwether_chassis::Chassis;
use bellwether_proto::{Attempt, Cause, FleetControl, Phase, SignatureFault, SigningKey, TraceParent};
use bellwether_scheduler_core::explain::Counts;
use bellwether_scheduler_core::{Fleet, PolicyStanding, Reason, State};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use kured::Kured;
use policy::PolicyMetrics;
use signs::SignMetrics;
pub(crate) use signs::{ConditionOutcome, EventOutcome};

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
struct EndLabels {
    outcome: &'static str,
    cause: &'static str,
}

impl EndLabels {
    fn of(outcome: Phase, cause: Cause) -> Self {
        Self {
            outcome: outcome.as_str(),
            cause: cause.as_str(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgeLabels {
    older_than: &'static str,
}

/// The trace of an attempt that a value is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabels {
    trace_id: String,
}

impl TraceLabels {
    /// None for a trace that nothing exports.
    fn of(trace: &TraceParent) -> Option<Self> {
        let trace_id = format!("{:032x}", u128::from_be_bytes(trace.trace_id));
        trace.sampled.then_some(Self { trace_id })
    }
}

/// The ages by which needs are counted, each as a label shows it: from a night to more than an audit forgives.
const AGES: [(&str, SignedDuration); 6] = [
    ("0d", SignedDuration::ZERO),
    ("1d", SignedDuration::from_hours(24)),
    ("3d", SignedDuration::from_hours(3 * 24)),
    ("7d", SignedDuration::from_hours(7 * 24)),
    ("14d", SignedDuration::from_hours(14 * 24)),
    ("30d", SignedDuration::from_hours(30 * 24)),
];

/// From a second to half a day: a soak to a drain that a budget blocks.
const PHASE_SECONDS: [f64; 13] = [
    1., 5., 15., 30., 60., 120., 300., 600., 1200., 1800., 3600., 14400., 43200.,
];

/// From five minutes to a month: a node that goes at once to one that waits for its windows.
const EXPOSURE_SECONDS: [f64; 11] = [
    300., 900., 3600., 14400., 43200., 86400., 172_800., 259_200., 604_800., 1_209_600., 2_592_000.,
];

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
    oldest_attempt: Gauge,
    needs: Family<AgeLabels, Gauge>,
    policies: PolicyMetrics,
    ended: Family<EndLabels, Counter>,
    phases: Family<PhaseLabels, HistogramWithExemplars<TraceLabels>>,
    exposure: HistogramWithExemplars<TraceLabels>,
    rejected: Counter,
    signs: SignMetrics,
    unknown_problem_codes: Counter,
    reloads: Counter,
    key_age: Gauge,
    untrusted: Family<CodeLabels, Gauge>,
    /// Kured's metric, if operators want that.
    kured: Option<Kured>,
}

impl Metrics {
    /// `with_kured`: also the metric of kured by which operators of that know the nodes that need a reboot.
    pub(crate) fn register(chassis: &Chassis, with_kured: bool) -> Self {
        let kured = with_kured.then(Kured::default);
        if let Some(kured) = &kured {
            chassis.metrics_of_others(|registry| kured.register(registry));
        }
        chassis.metrics(|registry| Self::register_own(registry, kured))
    }

    fn register_own(registry: &mut Registry, kured: Option<Kured>) -> Self {
        let metrics = Self {
            leading: Gauge::default(),
            nodes: Family::default(),
            waiting: Family::default(),
            slots: Gauge::default(),
            slots_taken: Gauge::default(),
            paused: Gauge::default(),
            oldest_need: Gauge::default(),
            oldest_attempt: Gauge::default(),
            needs: Family::default(),
            policies: PolicyMetrics::default(),
            ended: Family::default(),
            phases: Family::new_with_constructor(|| HistogramWithExemplars::new(PHASE_SECONDS.into_iter())),
            exposure: HistogramWithExemplars::new(EXPOSURE_SECONDS.into_iter()),
            rejected: Counter::default(),
            signs: SignMetrics::default(),
            unknown_problem_codes: Counter::default(),
            reloads: Counter::default(),
            key_age: Gauge::default(),
            untrusted: Family::default(),
            kured,
        };
        metrics.begin_at_zero();
        let Self {
            leading,
            nodes,
            waiting,
            slots,
            slots_taken,
            paused,
            oldest_need,
            oldest_attempt,
            needs,
            policies,
            ended,
            phases,
            exposure,
            rejected,
            signs,
            unknown_problem_codes,
            reloads,
            key_age,
            untrusted,
            kured: _,
        } = metrics.clone();
        policies.register(registry);
        signs.register(registry);
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
            "oldest_attempt_timestamp_seconds",
            "When the attempt under way that has run for longest began; 0 if none is under way",
            oldest_attempt,
        );
        registry.register("needs", "Nodes that need a reboot for longer than so many days", needs);
        registry.register(
            "exposure_seconds",
            "How long a node that was rebooted had needed that, up to the proof that it is back",
            exposure,
        );
        registry.register("attempts_ended", "Attempts that ended", ended);
        registry.register("phase_duration_seconds", "How long phases of attempts took", phases);
        registry.register(
            "scheduler_messages_rejected",
            "Messages that could not be parsed",
            rejected,
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

    /// Series that are there from the start, so that the first occurrence is an increase.
    fn begin_at_zero(&self) {
        for cause in Cause::ALL {
            self.ended
                .get_or_create(&EndLabels::of(cause.outcome(), cause))
                .inc_by(0);
        }
        self.signs.begin_at_zero();
        for phase in Phase::ALL
            .into_iter()
            .filter(|phase| !phase.is_ended())
            .map(Phase::as_str)
        {
            drop(self.phases.get_or_create(&PhaseLabels { phase }));
        }
        self.untrusted(&[]);
    }

    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }

    pub(crate) fn node_event(&self, outcome: EventOutcome) {
        self.signs.event(outcome);
    }

    pub(crate) fn node_condition(&self, outcome: ConditionOutcome) {
        self.signs.condition(outcome);
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
        for code in SignatureFault::CODES {
            let count = found.iter().filter(|(_, fault)| fault.code() == code).count();
            self.untrusted.get_or_create(&CodeLabels { code }).set(number(count));
        }
    }

    pub(crate) fn reloaded(&self) {
        self.reloads.inc();
    }

    pub(crate) fn phase_over(&self, attempt: &Attempt, phase: Phase, began: Timestamp, ended: Timestamp) {
        let seconds = ended.duration_since(began).as_secs_f64();
        let trace = TraceLabels::of(&attempt.trace);
        self.phases
            .get_or_create(&PhaseLabels { phase: phase.as_str() })
            .observe(seconds, trace.clone(), None);
        if phase == Phase::Verifying && attempt.phase == Phase::Uncordoning {
            let exposure = ended.duration_since(attempt.need_since);
            self.exposure.observe(exposure.as_secs_f64().max(0.), trace, None);
        }
        if let (true, Some(ending)) = (attempt.phase.is_ended(), &attempt.ending) {
            let labels = EndLabels::of(attempt.phase, ending.cause);
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
        self.policies.publish(&[]);
        self.publish_needs(&Counts::default(), Timestamp::MAX);
        self.oldest_attempt.set(0);
        self.kured.iter().for_each(|kured| kured.publish(std::iter::empty()));
    }

    /// Publishes what costs by the number of nodes or policies.
    pub(crate) fn show(&self, fleet: &Fleet, policies: &[PolicyStanding], now: Timestamp) {
        self.policies.publish(policies);
        self.publish_needs(fleet.counts(), now);
        let under_way = fleet.attempts().filter(|attempt| !attempt.phase.is_ended());
        let oldest = under_way.map(Attempt::started_at).min();
        self.oldest_attempt.set(oldest.map_or(0, Timestamp::as_second));
        if let Some(kured) = &self.kured {
            kured.publish(fleet.needs());
        }
    }

    fn publish_needs(&self, counts: &Counts, now: Timestamp) {
        for (older_than, age) in AGES {
            let instant = now.checked_sub(age).unwrap_or(Timestamp::MIN);
            let count = number(counts.needs_until(instant));
            self.needs.get_or_create(&AgeLabels { older_than }).set(count);
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

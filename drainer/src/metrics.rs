//! The drainer's metrics. Label values come from closed lists only, but for the budgets of [`crate::meter`]: no node,
//! no pod, no text.

use bellwether_chassis::Chassis;
use bellwether_drainer_core::{Answer, CommandEnd};
use bellwether_proto::{DrainFailure, DrainVerdict};
use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::error::CommandError;
use crate::meter::{Meter, Meters};

/// Buckets from a nearly empty node to one with hour-long graces.
const DRAIN_SECONDS: [f64; 10] = [1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0];

/// All metrics of the drainer.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    evictions: Family<AnswerLabel, Counter>,
    forced_deletions: Counter,
    /// Set by [`crate::places::Places`].
    pub(crate) evictions_in_flight: Gauge,
    drains_under_way: Gauge,
    commands_rejected: Family<RejectionLabel, Counter>,
    drain_duration: Family<OutcomeLabel, Histogram>,
    uncordons: Family<OutcomeLabel, Counter>,
    taints: Family<TaintLabel, Counter>,
    checks: Family<VerdictLabel, Counter>,
    meters: Meters,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabel {
    answer: AnswerKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabel {
    reason: Rejection,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaintLabel {
    outcome: TaintOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

/// How a command about the taint of a waiting node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum TaintOutcome {
    Changed,
    /// The node was as wanted.
    Unchanged,
    NodeGone,
    /// The command's time was over.
    Late,
    /// The API server did not do it; the command comes again.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum AnswerKind {
    Accepted,
    Gone,
    Conflict,
    BudgetBlocked,
    BudgetUnprocessed,
    SeveralBudgets,
    AdmissionDenied,
    Throttled,
    NamespaceEnding,
    Forbidden,
    Failed,
}

impl TaintOutcome {
    const ALL: [Self; 5] = [Self::Changed, Self::Unchanged, Self::NodeGone, Self::Late, Self::Failed];
}

impl AnswerKind {
    const ALL: [Self; 11] = [
        Self::Accepted,
        Self::Gone,
        Self::Conflict,
        Self::BudgetBlocked,
        Self::BudgetUnprocessed,
        Self::SeveralBudgets,
        Self::AdmissionDenied,
        Self::Throttled,
        Self::NamespaceEnding,
        Self::Forbidden,
        Self::Failed,
    ];
}

/// Why a command was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Rejection {
    Malformed,
    OtherNode,
    Unknown,
    Stale,
}

impl Rejection {
    const ALL: [Self; 4] = [Self::Malformed, Self::OtherNode, Self::Unknown, Self::Stale];
}

/// How a command ended, for labels, spans and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    Drained,
    Timeout,
    ForeignCordon,
    NodeGone,
    Forbidden,
    /// The record no longer authorised the command.
    MovedOn,
    /// Whether the record authorises the command is not known: the command comes again.
    Postponed,
    /// The drainer stopped: another one continues.
    Interrupted,
    Uncordoned,
    Stuck,
}

impl Outcome {
    /// The word for spans and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Drained => "Drained",
            Self::Timeout => "Timeout",
            Self::ForeignCordon => "ForeignCordon",
            Self::NodeGone => "NodeGone",
            Self::Forbidden => "Forbidden",
            Self::MovedOn => "MovedOn",
            Self::Postponed => "Postponed",
            Self::Interrupted => "Interrupted",
            Self::Uncordoned => "Uncordoned",
            Self::Stuck => "Stuck",
        }
    }

    /// True if traces mark the command's span as an error.
    pub(crate) fn is_failure(self) -> bool {
        match self {
            Self::Timeout | Self::Forbidden | Self::Stuck => true,
            Self::Drained
            | Self::ForeignCordon
            | Self::NodeGone
            | Self::MovedOn
            | Self::Postponed
            | Self::Interrupted
            | Self::Uncordoned => false,
        }
    }
}

impl From<&CommandEnd> for Outcome {
    fn from(end: &CommandEnd) -> Self {
        match end {
            CommandEnd::Drained { .. } => Self::Drained,
            CommandEnd::DrainFailed { failure, .. } => match failure {
                DrainFailure::Timeout => Self::Timeout,
                DrainFailure::ForeignCordon => Self::ForeignCordon,
                DrainFailure::NodeGone => Self::NodeGone,
                DrainFailure::Forbidden => Self::Forbidden,
            },
            CommandEnd::Uncordoned { .. } => Self::Uncordoned,
            CommandEnd::UncordonFailed { .. } => Self::Stuck,
            CommandEnd::PermitLost { .. } => Self::MovedOn,
            CommandEnd::Postponed { .. } => Self::Postponed,
            CommandEnd::Interrupted => Self::Interrupted,
        }
    }
}

impl From<&CommandError> for Rejection {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::Unknown { .. } => Self::Unknown,
            CommandError::Malformed(_) => Self::Malformed,
            CommandError::OtherNode(_) => Self::OtherNode,
        }
    }
}

impl From<&Answer> for AnswerKind {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Accepted => Self::Accepted,
            Answer::Gone => Self::Gone,
            Answer::Conflict => Self::Conflict,
            Answer::BudgetBlocked(_) => Self::BudgetBlocked,
            Answer::BudgetUnprocessed => Self::BudgetUnprocessed,
            Answer::SeveralBudgets => Self::SeveralBudgets,
            Answer::AdmissionDenied(_) => Self::AdmissionDenied,
            Answer::Throttled(_) => Self::Throttled,
            Answer::NamespaceEnding => Self::NamespaceEnding,
            Answer::Forbidden(_) => Self::Forbidden,
            Answer::Failed(_) => Self::Failed,
        }
    }
}

impl Metrics {
    /// Registers all metrics.
    pub(crate) fn register(chassis: &Chassis) -> Self {
        let metrics = Self {
            evictions: Family::default(),
            forced_deletions: Counter::default(),
            evictions_in_flight: Gauge::default(),
            drains_under_way: Gauge::default(),
            commands_rejected: Family::default(),
            drain_duration: Family::new_with_constructor(|| Histogram::new(DRAIN_SECONDS)),
            uncordons: Family::default(),
            taints: Family::default(),
            checks: Family::default(),
            meters: Meters::default(),
        };
        metrics.begin_at_zero();
        chassis.metrics(|registry| {
            registry.register(
                "drainer_evictions",
                "Evictions and deletions of pods, by the API server's answer",
                metrics.evictions.clone(),
            );
            registry.register(
                "drainer_forced_deletions",
                "Pods that were to be deleted whatever their budgets say, as a policy demands",
                metrics.forced_deletions.clone(),
            );
            registry.register(
                "drainer_evictions_in_flight",
                "Evictions and deletions of pods that await the API server's answer",
                metrics.evictions_in_flight.clone(),
            );
            registry.register(
                "drainer_drains_under_way",
                "Drains under way",
                metrics.drains_under_way.clone(),
            );
            registry.register(
                "drainer_commands_rejected",
                "Commands that were not carried out",
                metrics.commands_rejected.clone(),
            );
            registry.register(
                "drainer_drain_duration_seconds",
                "How long this replica worked on a drain",
                metrics.drain_duration.clone(),
            );
            registry.register(
                "drainer_uncordons",
                "Commands to uncordon, by how they ended",
                metrics.uncordons.clone(),
            );
            registry.register(
                "drainer_taints",
                "Commands about the taint of waiting nodes, by how they ended",
                metrics.taints.clone(),
            );
            registry.register(
                "drainer_checks",
                "Questions whether a node can be drained, by the verdict of the answer",
                metrics.checks.clone(),
            );
            metrics.meters.register(registry);
        });
        metrics
    }

    /// Series that are there from the start, so that the first occurrence is an increase.
    fn begin_at_zero(&self) {
        for answer in AnswerKind::ALL {
            self.evictions.get_or_create(&AnswerLabel { answer }).inc_by(0);
        }
        for reason in Rejection::ALL {
            self.commands_rejected
                .get_or_create(&RejectionLabel { reason })
                .inc_by(0);
        }
        for outcome in [Outcome::Uncordoned, Outcome::Stuck] {
            self.uncordons.get_or_create(&OutcomeLabel { outcome }).inc_by(0);
        }
        for outcome in [Outcome::Drained, Outcome::Timeout, Outcome::Forbidden] {
            drop(self.drain_duration.get_or_create(&OutcomeLabel { outcome }));
        }
        for outcome in TaintOutcome::ALL {
            self.taints.get_or_create(&TaintLabel { outcome }).inc_by(0);
        }
        for verdict in DrainVerdict::ALL.map(DrainVerdict::as_str) {
            self.checks.get_or_create(&VerdictLabel { verdict }).inc_by(0);
        }
    }

    /// The API server answered an eviction.
    pub(crate) fn eviction(&self, answer: &Answer) {
        let answer = answer.into();
        self.evictions.get_or_create(&AnswerLabel { answer }).inc();
    }

    /// A pod is to be deleted whatever its budgets say.
    pub(crate) fn forced_deletion(&self) {
        self.forced_deletions.inc();
    }

    /// A command was rejected.
    pub(crate) fn rejected(&self, reason: Rejection) {
        self.commands_rejected.get_or_create(&RejectionLabel { reason }).inc();
    }

    /// A drain ended.
    pub(crate) fn drain_ended(&self, outcome: Outcome, seconds: f64) {
        self.drain_duration
            .get_or_create(&OutcomeLabel { outcome })
            .observe(seconds);
    }

    /// An uncordon ended.
    pub(crate) fn uncordon_ended(&self, outcome: Outcome) {
        self.uncordons.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A command about the taint of a waiting node ended.
    pub(crate) fn taint_ended(&self, outcome: TaintOutcome) {
        self.taints.get_or_create(&TaintLabel { outcome }).inc();
    }

    /// A question whether a node can be drained was answered.
    pub(crate) fn checked(&self, verdict: DrainVerdict) {
        let verdict = verdict.as_str();
        self.checks.get_or_create(&VerdictLabel { verdict }).inc();
    }

    /// The meter of one command, for the figures of its drain.
    pub(crate) fn meter(&self, now: Timestamp) -> Meter {
        self.meters.of_drain(now)
    }

    /// Counts a drain as under way until the guard is dropped, whether or not the drain ended.
    pub(crate) fn under_way(&self) -> UnderWay {
        self.drains_under_way.inc();
        UnderWay(self.drains_under_way.clone())
    }
}

/// Counts one drain.
pub(crate) struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

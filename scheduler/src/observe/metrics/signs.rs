//! Metrics of what the leader writes to Node objects for operators.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
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
    const ALL: [Self; 4] = [Self::Written, Self::Present, Self::Refused, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Written => "Written",
            Self::Present => "Present",
            Self::Refused => "Refused",
            Self::Dropped => "Dropped",
        }
    }
}

/// What became of a change of the conditions of a Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConditionOutcome {
    /// The API server has it.
    Written,
    /// There is no such Node any more.
    NodeGone,
    /// The API server refused it: a right is missing, or an admission policy is against it.
    Refused,
    /// The API server did not answer, or not in time.
    Failed,
    /// Too many were waiting.
    Dropped,
}

impl ConditionOutcome {
    const ALL: [Self; 5] = [
        Self::Written,
        Self::NodeGone,
        Self::Refused,
        Self::Failed,
        Self::Dropped,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Written => "Written",
            Self::NodeGone => "NodeGone",
            Self::Refused => "Refused",
            Self::Failed => "Failed",
            Self::Dropped => "Dropped",
        }
    }
}

/// Both counters.
#[derive(Debug, Clone, Default)]
pub(super) struct SignMetrics {
    events: Family<OutcomeLabels, Counter>,
    conditions: Family<OutcomeLabels, Counter>,
}

impl SignMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "scheduler_node_events",
            "Events on Nodes for operators, by outcome",
            self.events.clone(),
        );
        registry.register(
            "scheduler_node_conditions",
            "Changes of conditions of Nodes, by outcome",
            self.conditions.clone(),
        );
    }

    /// Series that are there from the start, so that the first occurrence is an increase.
    pub(super) fn begin_at_zero(&self) {
        for outcome in EventOutcome::ALL.map(EventOutcome::as_str) {
            self.events.get_or_create(&OutcomeLabels { outcome }).inc_by(0);
        }
        for outcome in ConditionOutcome::ALL.map(ConditionOutcome::as_str) {
            self.conditions.get_or_create(&OutcomeLabels { outcome }).inc_by(0);
        }
    }

    pub(super) fn event(&self, outcome: EventOutcome) {
        let outcome = outcome.as_str();
        self.events.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(super) fn condition(&self, outcome: ConditionOutcome) {
        let outcome = outcome.as_str();
        self.conditions.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

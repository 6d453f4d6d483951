//! The rebooter's metrics. They follow from what it did and refused; nothing is decided by them.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Label = [(&'static str, &'static str); 1];

/// What became of a command that was taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The call was accepted.
    Accepted,
    /// The call returned an error.
    Failed,
    /// The call did not arrive, and is made again while the order holds.
    NotArrived,
    /// The host still ran, and was called for by a further method.
    Escalated,
    /// The command was withdrawn before the call.
    CalledOff,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Accepted,
        Self::Failed,
        Self::NotArrived,
        Self::Escalated,
        Self::CalledOff,
    ];

    fn label(self) -> Label {
        let outcome = match self {
            Self::Accepted => "Accepted",
            Self::Failed => "Failed",
            Self::NotArrived => "NotArrived",
            Self::Escalated => "Escalated",
            Self::CalledOff => "CalledOff",
        };
        [("outcome", outcome)]
    }
}

/// Handles of all metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    reboots: Family<Label, Counter>,
    refusals: Family<Label, Counter>,
    preflight_ok: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for outcome in Outcome::ALL {
            // A series that is there from the start is zero, not missing.
            metrics.reboots.get_or_create(&outcome.label()).inc_by(0);
        }
        registry.register(
            "rebooter_reboots",
            "Commands that were taken up, by what became of them",
            metrics.reboots.clone(),
        );
        registry.register(
            "rebooter_refusals",
            "Records that were not obeyed, by reason",
            metrics.refusals.clone(),
        );
        registry.register(
            "rebooter_preflight_ok",
            "1: the host could be rebooted when that was last tried out, 0: it could not",
            metrics.preflight_ok.clone(),
        );
        metrics
    }

    pub(crate) fn rebooted(&self, outcome: Outcome) {
        self.reboots.get_or_create(&outcome.label()).inc();
    }

    /// A record was not obeyed, for the reason with this code.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn preflight(&self, ok: bool) {
        self.preflight_ok.set(i64::from(ok));
    }
}

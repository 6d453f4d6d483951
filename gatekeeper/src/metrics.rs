//! The gatekeeper's metrics. Label values come from closed lists only: no node, no pod, no client.

use std::sync::atomic::AtomicU64;

use bellwether_gatekeeper_core::Refusal;
use bellwether_proto::permission::Role;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// From an idle API server to the time for which a question waits at most.
const REVIEW_SECONDS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];

/// Handles of all metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    admissions: Family<[(&'static str, &'static str); 1], Counter>,
    refusals: Family<[(&'static str, &'static str); 1], Counter>,
    stale: Counter,
    remembered: Counter,
    kept: Counter,
    reviews: Histogram,
    expires: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            admissions: Family::default(),
            refusals: Family::default(),
            stale: Counter::default(),
            remembered: Counter::default(),
            kept: Counter::default(),
            reviews: Histogram::new(REVIEW_SECONDS),
            expires: Gauge::default(),
        };
        // Unknown until the server has one.
        metrics.expires.set(f64::NAN);
        registry.register(
            "gatekeeper_admissions",
            "Clients that were let in, by role",
            metrics.admissions.clone(),
        );
        registry.register(
            "gatekeeper_refusals",
            "Clients that were refused, by the code of the refusal",
            metrics.refusals.clone(),
        );
        registry.register(
            "gatekeeper_stale_questions",
            "Questions that were dropped, since their client waits no longer",
            metrics.stale.clone(),
        );
        registry.register(
            "gatekeeper_remembered_tokens",
            "Answers without a question to the API server, since it accepted the same token less than a minute before",
            metrics.remembered.clone(),
        );
        registry.register(
            "gatekeeper_kept_connections",
            "Connections that a server asked about again, as it does when it reads its files",
            metrics.kept.clone(),
        );
        registry.register(
            "gatekeeper_review_seconds",
            "How long the API server took to review a token",
            metrics.reviews.clone(),
        );
        registry.register(
            "gatekeeper_certificate_expiry_seconds",
            "End of the certificate that the server shows, in seconds since 1970; NaN: it has none yet",
            metrics.expires.clone(),
        );
        metrics
    }

    pub(crate) fn admitted(&self, role: Role) {
        self.admissions.get_or_create(&[("role", role.as_str())]).inc();
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refusals.get_or_create(&[("code", refusal.as_str())]).inc();
    }

    pub(crate) fn stale(&self) {
        self.stale.inc();
    }

    pub(crate) fn remembered(&self) {
        self.remembered.inc();
    }

    pub(crate) fn kept(&self) {
        self.kept.inc();
    }

    pub(crate) fn reviewed(&self, seconds: f64) {
        self.reviews.observe(seconds);
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds are exact for millions of years")]
    pub(crate) fn serves(&self, expires: Timestamp) {
        self.expires.set(expires.as_second() as f64);
    }
}

//! The sentinel's metrics. They follow from what it saw and sent; nothing is decided by them.

use std::sync::atomic::AtomicU64;

use bellwether_sentinel_core::{Look, Why};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Handles of all metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    reboot_required: Gauge<f64, AtomicU64>,
    probe_errors: Counter,
    reports: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // Unknown until the host was looked at.
        metrics.reboot_required.set(f64::NAN);
        registry.register(
            "sentinel_reboot_required",
            "1: the host needs a reboot, 0: it does not, NaN: it could not be looked at",
            metrics.reboot_required.clone(),
        );
        registry.register(
            "sentinel_probe_errors",
            "Looks at the host that failed",
            metrics.probe_errors.clone(),
        );
        registry.register(
            "sentinel_reports",
            "Reports that were stored, by why they were sent",
            metrics.reports.clone(),
        );
        metrics
    }

    pub(crate) fn looked(&self, look: &Look) {
        let value = match &look.need {
            Ok(Some(_)) => 1.0,
            Ok(None) => 0.0,
            Err(_) => {
                self.probe_errors.inc();
                f64::NAN
            }
        };
        self.reboot_required.set(value);
    }

    pub(crate) fn reported(&self, why: Why) {
        self.reports.get_or_create(&[("why", why.as_str())]).inc();
    }
}

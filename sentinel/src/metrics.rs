//! The sentinel's metrics. They follow from what it saw and sent; nothing is decided by them.

use std::sync::atomic::AtomicU64;

use bellwether_sentinel_core::{Finding, Look, Why};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Handles of all metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    reboot_required: Gauge<f64, AtomicU64>,
    probe_errors: Counter,
    probe_required: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
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
            "Looks of a probe that failed",
            metrics.probe_errors.clone(),
        );
        registry.register(
            "sentinel_probe_required",
            "By probe, 1: it requires a reboot, 0: it does not, NaN: it could not look",
            metrics.probe_required.clone(),
        );
        registry.register(
            "sentinel_reports",
            "Reports that were stored, by the reason for sending them",
            metrics.reports.clone(),
        );
        metrics
    }

    pub(crate) fn looked(&self, look: &Look) {
        self.reboot_required.set(
            look.required()
                .map_or(f64::NAN, |required| if required { 1.0 } else { 0.0 }),
        );
        for probed in &look.probes {
            let value = match &probed.sight.finding {
                Finding::Required(_) => 1.0,
                Finding::NotRequired => 0.0,
                Finding::Unknown(_) => {
                    self.probe_errors.inc();
                    f64::NAN
                }
            };
            self.probe_required
                .get_or_create(&[("probe", probed.name.clone())])
                .set(value);
        }
    }

    pub(crate) fn reported(&self, why: Why) {
        self.reports.get_or_create(&[("reason", why.as_str())]).inc();
    }
}

//! The notifier's metrics. Label values: names of targets, which the configuration limits, and closed lists.

use bellwether_chassis::Chassis;
use bellwether_notifier_core::Fault;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    delivered: Family<TargetLabel, Counter>,
    failed: Family<FaultLabel, Counter>,
    dropped: Family<FaultLabel, Counter>,
    waiting: Family<TargetLabel, Gauge>,
    rejected: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabel {
    target: String,
    code: &'static str,
}

impl Metrics {
    /// Registers all metrics, with a value for each target from the start.
    pub(crate) fn register<'a>(chassis: &Chassis, targets: impl Iterator<Item = &'a str>) -> Self {
        let metrics = Self::default();
        chassis.metrics(|registry| metrics.register_in(registry));
        for target in targets {
            metrics.begin(target);
        }
        metrics
    }

    fn register_in(&self, registry: &mut Registry) {
        let metrics = self;
        registry.register(
            "notifier_messages_delivered",
            "Messages that a target has taken",
            metrics.delivered.clone(),
        );
        registry.register(
            "notifier_tries_failed",
            "Tries after which a message was not taken, by the code of the fault",
            metrics.failed.clone(),
        );
        registry.register(
            "notifier_messages_dropped",
            "Messages that were given up: refused by the target, or not taken until giveUpAfter; by the last fault",
            metrics.dropped.clone(),
        );
        registry.register(
            "notifier_messages_waiting",
            "Messages that wait for a target",
            metrics.waiting.clone(),
        );
        registry.register(
            "notifier_events_rejected",
            "Events that are broken, or of another node or kind than their subject",
            metrics.rejected.clone(),
        );
    }

    /// From the start, so that the first fault of a target is an increase.
    fn begin(&self, target: &str) {
        self.waiting(target, 0);
        drop(self.delivered.get_or_create(&of(target)));
        for fault in Fault::ALL {
            drop(self.failed.get_or_create(&with(target, fault)));
            drop(self.dropped.get_or_create(&with(target, fault)));
        }
    }

    pub(crate) fn delivered(&self, target: &str) {
        self.delivered.get_or_create(&of(target)).inc();
    }

    pub(crate) fn failed(&self, target: &str, fault: Fault) {
        self.failed.get_or_create(&with(target, fault)).inc();
    }

    pub(crate) fn dropped(&self, target: &str, fault: Fault) {
        self.dropped.get_or_create(&with(target, fault)).inc();
    }

    pub(crate) fn waiting(&self, target: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.waiting.get_or_create(&of(target)).set(count);
    }

    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }
}

fn of(target: &str) -> TargetLabel {
    let target = target.to_owned();
    TargetLabel { target }
}

fn with(target: &str, fault: Fault) -> FaultLabel {
    FaultLabel {
        target: target.to_owned(),
        code: fault.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_each_fault_from_the_start() {
        let (metrics, mut registry, mut page) = (Metrics::default(), Registry::default(), String::new());
        metrics.register_in(&mut registry);
        metrics.begin("ops");
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        for fault in Fault::ALL {
            for name in ["tries_failed", "messages_dropped"] {
                let series = format!("notifier_{name}_total{{target=\"ops\",code=\"{}\"}} 0", fault.as_str());
                assert!(page.contains(&series), "{series} in {page}");
            }
        }
    }
}

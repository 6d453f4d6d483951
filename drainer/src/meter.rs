//! The figures of the drains under way: the pods that are left, by reason, and the time for which budgets keep pods.
//!
//! Labels are bounded: the reasons are a closed list, and of the budgets only the first [`BUDGETS_MAX`] that this process
//! meets have series of their own; the time of all others is in one series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellwether_proto::{BlockerKind, DrainProgress};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Budgets with series of their own: more than keep drains in one cluster in practice, and no load for a Prometheus.
const BUDGETS_MAX: usize = 100;
/// The name of the series of all others. No Kubernetes object can have it.
const OTHERS: &str = "(others)";

/// Namespace and name.
type Budget = (String, String);

/// The figures of all drains of this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters {
    pods_left: Family<ReasonLabel, Gauge>,
    blocked: Family<BudgetLabel, Counter<f64, AtomicU64>>,
    named: Arc<Mutex<BTreeSet<Budget>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabel {
    namespace: String,
    budget: String,
}

impl Meters {
    pub(crate) fn register(&self, registry: &mut Registry) {
        for kind in BlockerKind::ALL {
            let reason = kind.as_str();
            // A series that is there from the start is zero, not missing.
            self.pods_left.get_or_create(&ReasonLabel { reason }).set(0);
        }
        registry.register(
            "drainer_pods_left",
            "Pods that still have to go, of the drains under way in this replica, by the reason for which they are still there; Look and Volume count drains, which cannot look or wait for volumes",
            self.pods_left.clone(),
        );
        registry.register(
            "drainer_budget_blocked_seconds",
            "How long disruption budgets kept pods of drains, added up over the drains; the first 100 budgets by name, all others as (others)",
            self.blocked.clone(),
        );
    }

    /// The meter of one drain.
    pub(crate) fn of_drain(&self, now: Timestamp) -> Meter {
        Meter {
            meters: self.clone(),
            left: BTreeMap::new(),
            budgets: BTreeSet::new(),
            counted_until: now,
        }
    }

    fn label(&self, (namespace, budget): &Budget) -> BudgetLabel {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.clone(), budget.clone());
        let is_named = named.contains(&key) || (named.len() < BUDGETS_MAX && named.insert(key));
        let (namespace, budget) = if is_named {
            (namespace.as_str(), budget.as_str())
        } else {
            ("", OTHERS)
        };
        BudgetLabel {
            namespace: namespace.to_owned(),
            budget: budget.to_owned(),
        }
    }
}

/// The figures of one drain. Dropped, its pods count no more.
#[derive(Debug)]
pub(crate) struct Meter {
    meters: Meters,
    left: BTreeMap<BlockerKind, i64>,
    /// The budgets that keep pods.
    budgets: BTreeSet<Budget>,
    counted_until: Timestamp,
}

impl Meter {
    /// The drain is so far.
    pub(crate) fn progress(&mut self, now: Timestamp, progress: &DrainProgress) {
        self.tick(now);
        let mut left = BTreeMap::new();
        let mut budgets = BTreeSet::new();
        for blocker in &progress.blockers {
            // A drain that cannot look, or waits for volumes, has no pods of that kind, and counts itself.
            let is_of_drain = matches!(blocker.kind, BlockerKind::Look | BlockerKind::Volume);
            let count = i64::from(blocker.pods).max(i64::from(is_of_drain));
            *left.entry(blocker.kind).or_default() += count;
            if blocker.kind == BlockerKind::Budget {
                let budget = blocker.budget.clone().unwrap_or_default();
                budgets.insert((budget.namespace, budget.name));
            }
        }
        self.set(left);
        self.budgets = budgets;
    }

    /// Counts the time until now. A clock that was set back adds nothing.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        let passed = Duration::try_from(now.duration_since(self.counted_until)).unwrap_or_default();
        self.counted_until = now;
        for budget in &self.budgets {
            let label = self.meters.label(budget);
            self.meters.blocked.get_or_create(&label).inc_by(passed.as_secs_f64());
        }
    }

    fn set(&mut self, left: BTreeMap<BlockerKind, i64>) {
        let before = std::mem::replace(&mut self.left, left);
        let gauge = |kind: &BlockerKind| {
            let reason = kind.as_str();
            self.meters.pods_left.get_or_create_owned(&ReasonLabel { reason })
        };
        before.iter().for_each(|(kind, pods)| {
            gauge(kind).dec_by(*pods);
        });
        self.left.iter().for_each(|(kind, pods)| {
            gauge(kind).inc_by(*pods);
        });
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.set(BTreeMap::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::{Blocker, BudgetNumbers};
    use prometheus_client::encoding::text::encode;

    #[test]
    fn pods_count_while_their_drain_is_under_way_and_are_added_up_over_drains() {
        let (meters, registry) = registered();
        let mut one = meters.of_drain(at(0));
        let mut other = meters.of_drain(at(0));
        one.progress(
            at(0),
            &progress(vec![kept("web", 3), Blocker::of(BlockerKind::Turn, 2)]),
        );
        other.progress(
            at(0),
            &progress(vec![kept("web", 1), Blocker::of(BlockerKind::Look, 0)]),
        );
        let left = |reason: &str| figure(&registry, &format!("drainer_pods_left{{reason=\"{reason}\"}}"));
        assert_eq!((left("Budget"), left("Turn"), left("Look")), (4.0, 2.0, 1.0));
        one.progress(at(1), &progress(vec![kept("web", 1)]));
        assert_eq!((left("Budget"), left("Turn")), (2.0, 0.0));
        drop(other);
        assert_eq!((left("Budget"), left("Look")), (1.0, 0.0));
        drop(one);
        assert_eq!(left("Budget"), 0.0);
    }

    #[test]
    fn seconds_count_for_each_budget_while_it_keeps_pods() {
        let (meters, registry) = registered();
        let mut meter = meters.of_drain(at(0));
        meter.progress(at(10), &progress(vec![kept("web", 3), kept("db", 1)]));
        meter.tick(at(13));
        meter.progress(at(15), &progress(vec![kept("db", 1)]));
        meter.tick(at(14));
        meter.tick(at(20));
        let blocked = |name: &str| {
            let series = format!("drainer_budget_blocked_seconds_total{{namespace=\"shop\",budget=\"{name}\"}}");
            figure(&registry, &series)
        };
        assert_eq!(blocked("web"), 5.0);
        assert_eq!(
            blocked("db"),
            11.0,
            "the second between the two readings of a clock that was set back counts twice"
        );
    }

    #[test]
    fn the_budgets_beyond_a_hundred_share_one_series() {
        let (meters, registry) = registered();
        let mut meter = meters.of_drain(at(0));
        let many = (0..150).map(|number| kept(&format!("b{number}"), 1)).collect();
        meter.progress(at(0), &progress(many));
        meter.tick(at(2));
        let text = text(&registry);
        let series = text
            .lines()
            .filter(|line| line.starts_with("drainer_budget_blocked_seconds_total{"));
        assert_eq!(series.count(), 101);
        let others = "drainer_budget_blocked_seconds_total{namespace=\"\",budget=\"(others)\"}";
        assert_eq!(figure(&registry, others), 100.0, "fifty budgets for two seconds");
    }

    fn registered() -> (Meters, Registry) {
        let mut registry = Registry::default();
        let meters = Meters::default();
        meters.register(&mut registry);
        (meters, registry)
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    fn figure(registry: &Registry, series: &str) -> f64 {
        let text = text(registry);
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in {text}"))
            .trim()
            .parse()
            .unwrap()
    }

    fn kept(name: &str, pods: u32) -> Blocker {
        let budget = BudgetNumbers {
            namespace: "shop".into(),
            name: name.into(),
            ..BudgetNumbers::default()
        };
        Blocker {
            budget: Some(budget),
            ..Blocker::of(BlockerKind::Budget, pods)
        }
    }

    fn progress(blockers: Vec<Blocker>) -> DrainProgress {
        DrainProgress {
            blockers,
            ..DrainProgress::default()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}

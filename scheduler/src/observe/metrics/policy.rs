//! The metrics of the policies.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bellwether_policy::calendar::CalendarState;
use bellwether_scheduler_core::{PolicyNodes, PolicyStanding};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::number;

/// How many policies have series of their own, by name: about 14 series each. An operator with more reads their statuses.
const POLICIES_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyStateLabels {
    policy: String,
    state: &'static str,
}

type OfPolicy = Family<PolicyLabels, Gauge>;

/// What the policies come to. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyMetrics {
    refused: OfPolicy,
    stopped: OfPolicy,
    left_over: OfPolicy,
    nodes: Family<PolicyStateLabels, Gauge>,
    budget_used: OfPolicy,
    budget_allowed: OfPolicy,
    window_open: OfPolicy,
    opens_at: OfPolicy,
    /// The policies with series.
    published: Arc<Mutex<BTreeSet<String>>>,
}

impl PolicyMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let families = [
            (
                "policy_refused",
                "1 if a RebootPolicy has a mistake, so that its nodes are not rebooted",
                &self.refused,
            ),
            (
                "policy_stopped",
                "1 if failed reboots, of a canary too, keep every node of a RebootPolicy from starting",
                &self.stopped,
            ),
            (
                "policy_nodes_left_over",
                "Nodes of a RebootPolicy that wait for their turn and do not fit into the present or next opening",
                &self.left_over,
            ),
            (
                "policy_budget_used",
                "Nodes of a RebootPolicy with a budget that are disrupted, by Bellwether or otherwise",
                &self.budget_used,
            ),
            (
                "policy_budget_allowed",
                "Nodes of a RebootPolicy that may be disrupted by its budget",
                &self.budget_allowed,
            ),
            (
                "policy_window_open",
                "1 if the windows and blackouts of a RebootPolicy let nodes start now",
                &self.window_open,
            ),
            (
                "policy_next_opening_timestamp_seconds",
                "When a window of a RebootPolicy opens next; no series while one is open, or if none ever opens",
                &self.opens_at,
            ),
        ];
        for (name, help, family) in families {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "policy_nodes",
            "Nodes that a RebootPolicy governs, by state",
            self.nodes.clone(),
        );
    }

    /// Publishes what the policies come to, and nothing more of those that are gone. Series that stay are set in place: a scrape in
    /// between finds no gap, which would begin the waits of alerts again.
    pub(super) fn publish(&self, standings: &[PolicyStanding]) {
        let shown = standings.iter().take(POLICIES_MAX);
        let names: BTreeSet<String> = shown.clone().map(|standing| standing.name.clone()).collect();
        for standing in shown {
            self.publish_one(standing);
        }
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in published.difference(&names) {
            self.remove(gone);
        }
        *published = names;
    }

    fn publish_one(&self, standing: &PolicyStanding) {
        let set = |family: &OfPolicy, value: Option<i64>| {
            let policy = standing.name.clone();
            let labels = PolicyLabels { policy };
            match value {
                Some(value) => drop(family.get_or_create(&labels).set(value)),
                None => drop(family.remove(&labels)),
            }
        };
        let is_stopped = standing.stopped.is_some() || standing.failed_canary.is_some();
        set(&self.refused, Some((!standing.faults.is_empty()).into()));
        set(&self.stopped, Some(is_stopped.into()));
        set(&self.left_over, Some(number(standing.left_over.unwrap_or(0))));
        let budget = standing.budget;
        set(&self.budget_used, budget.map(|budget| number(budget.unavailable)));
        set(
            &self.budget_allowed,
            budget.map(|budget| number(budget.max_unavailable)),
        );
        let (is_open, opens_at) = match standing.calendar {
            Some(CalendarState::Open { .. }) => (true, None),
            Some(CalendarState::Shut { opens_at, .. }) => (false, opens_at),
            None => (false, None),
        };
        set(&self.window_open, Some(is_open.into()));
        set(&self.opens_at, opens_at.map(Timestamp::as_second));
        for (state, count) in by_state(standing.nodes) {
            let policy = standing.name.clone();
            let labels = PolicyStateLabels { policy, state };
            self.nodes.get_or_create(&labels).set(number(count));
        }
    }

    fn remove(&self, policy: &str) {
        let labels = PolicyLabels {
            policy: policy.to_owned(),
        };
        for family in [
            &self.refused,
            &self.stopped,
            &self.left_over,
            &self.budget_used,
            &self.budget_allowed,
            &self.window_open,
            &self.opens_at,
        ] {
            family.remove(&labels);
        }
        for (state, _) in by_state(PolicyNodes::default()) {
            let policy = policy.to_owned();
            self.nodes.remove(&PolicyStateLabels { policy, state });
        }
    }
}

/// The nodes of a policy in states that add up to all of them.
fn by_state(nodes: PolicyNodes) -> [(&'static str, usize); 4] {
    let PolicyNodes {
        governed,
        waiting,
        in_progress,
        failed,
    } = nodes;
    let others = governed
        .saturating_sub(waiting)
        .saturating_sub(in_progress)
        .saturating_sub(failed);
    [
        ("Waiting", waiting),
        ("InProgress", in_progress),
        ("Failed", failed),
        ("Other", others),
    ]
}

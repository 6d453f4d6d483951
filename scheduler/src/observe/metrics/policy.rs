//! The metrics of the policies.

use bellwether_policy::calendar::CalendarState;
use bellwether_scheduler_core::{PolicyNodes, PolicyStanding};
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

    /// Publishes what the policies come to, and nothing more of those that are gone. A scrape in between may find a
    /// policy missing.
    pub(super) fn publish(&self, standings: &[PolicyStanding]) {
        self.clear();
        for standing in standings.iter().take(POLICIES_MAX) {
            let is_stopped = standing.stopped.is_some() || standing.failed_canary.is_some();
            set(&self.refused, standing, (!standing.faults.is_empty()).into());
            set(&self.stopped, standing, is_stopped.into());
            set(&self.left_over, standing, number(standing.left_over.unwrap_or(0)));
            if let Some(budget) = standing.budget {
                set(&self.budget_used, standing, number(budget.unavailable));
                set(&self.budget_allowed, standing, number(budget.max_unavailable));
            }
            match standing.calendar {
                Some(CalendarState::Open { .. }) => set(&self.window_open, standing, 1),
                Some(CalendarState::Shut { opens_at, .. }) => {
                    set(&self.window_open, standing, 0);
                    if let Some(opens_at) = opens_at {
                        set(&self.opens_at, standing, opens_at.as_second());
                    }
                }
                None => set(&self.window_open, standing, 0),
            }
            for (state, count) in by_state(standing.nodes) {
                let policy = standing.name.clone();
                let labels = PolicyStateLabels { policy, state };
                self.nodes.get_or_create(&labels).set(number(count));
            }
        }
    }

    fn clear(&self) {
        let Self {
            refused,
            stopped,
            left_over,
            nodes,
            budget_used,
            budget_allowed,
            window_open,
            opens_at,
        } = self;
        nodes.clear();
        for family in [
            refused,
            stopped,
            left_over,
            budget_used,
            budget_allowed,
            window_open,
            opens_at,
        ] {
            family.clear();
        }
    }
}

fn set(family: &OfPolicy, standing: &PolicyStanding, value: i64) {
    let policy = standing.name.clone();
    family.get_or_create(&PolicyLabels { policy }).set(value);
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

//! What an attempt began with and came to, as `history` shows it. Names of fields are a contract: they may be added, never
//! renamed.

use bellwether_check::text::{between, one_line};
use bellwether_proto::{AttemptEnd, AttemptStart, GateHeld};
use jiff::Timestamp;
use serde::Serialize;

/// What an attempt began with.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Start {
    policy: Option<String>,
    policy_generation: i64,
    need_since: Option<Timestamp>,
    pub(crate) need_first_since: Option<Timestamp>,
    reasons: Vec<String>,
    held: Vec<Held>,
    pub(super) order: Option<Order>,
}

/// A gate that held the node.
#[derive(Debug, Clone, Serialize)]
struct Held {
    code: String,
    message: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    times: u32,
}

/// The order by which it began.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Order {
    kind: &'static str,
    pub(super) by: String,
    reason: String,
    since: Option<Timestamp>,
}

/// What an attempt came to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct End {
    started_at: Option<Timestamp>,
    ordered_at: Option<Timestamp>,
    boot_before: String,
    boot_after: Option<String>,
    pub(crate) kernel_before: String,
    pub(crate) kernel_after: Option<String>,
    pub(crate) need_since: Option<Timestamp>,
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| one_line(text))
}

impl From<AttemptStart> for Start {
    fn from(start: AttemptStart) -> Self {
        Self {
            policy: some(&start.policy),
            policy_generation: start.policy_generation,
            need_since: start.need_since,
            need_first_since: start.need_first_since,
            reasons: start.reasons.iter().map(|reason| one_line(reason)).collect(),
            held: start.held.into_iter().map(Held::from).collect(),
            order: start.order.map(|order| Order {
                kind: if order.is_now { "now" } else { "approve" },
                by: one_line(&order.by),
                reason: one_line(&order.reason),
                since: order.since,
            }),
        }
    }
}

impl From<GateHeld> for Held {
    fn from(held: GateHeld) -> Self {
        Self {
            code: one_line(&held.code),
            message: one_line(&held.message),
            since: held.since,
            until: held.until,
            times: held.times,
        }
    }
}

impl From<AttemptEnd> for End {
    fn from(end: AttemptEnd) -> Self {
        Self {
            started_at: end.started_at,
            ordered_at: end.ordered_at,
            boot_before: one_line(&end.boot_before),
            boot_after: some(&end.boot_after),
            kernel_before: one_line(&end.kernel_before),
            kernel_after: some(&end.kernel_after),
            need_since: end.need_since,
        }
    }
}

impl Start {
    /// What an operator reads of it in a line, at the begin of the attempt.
    pub(super) fn sentences(&self, at: Timestamp) -> impl Iterator<Item = String> {
        let policy = self.policy.as_ref();
        let policy = policy.map(|policy| format!("policy {policy} (generation {})", self.policy_generation));
        let need = self
            .need_first_since
            .map(|since| format!("needed for {}", between(since, at)));
        let order = self.order.as_ref().map(|order| match order.reason.as_str() {
            "" => format!("ordered ({})", order.kind),
            reason => format!("ordered ({}): {reason}", order.kind),
        });
        let held = self.held.iter().map(|held| match (held.since, held.until) {
            (Some(since), Some(until)) if held.times > 1 => {
                format!("{} {} times within {}", held.code, held.times, between(since, until))
            }
            (Some(since), Some(until)) => format!("{} for {}", held.code, between(since, until)),
            _ => held.code.clone(),
        });
        let held: Vec<String> = held.collect();
        let held = (!held.is_empty()).then(|| format!("held by {}", held.join(", ")));
        [policy, need, order, held].into_iter().flatten()
    }
}

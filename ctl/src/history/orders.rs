//! A change of the operators' orders, as `history` shows it. Names of fields are a contract: they may be added, never renamed.

use bellwether_check::text::one_line;
use bellwether_proto::{FleetOrder, OrderChange, OrderChanged, OrderKind, OrderScope};
use jiff::Timestamp;
use serde::Serialize;

/// What changed about the orders.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Change {
    change: &'static str,
    given: Option<Order>,
    ended: Vec<Order>,
}

#[derive(Debug, Clone, Serialize)]
struct Order {
    kind: &'static str,
    scope: &'static str,
    subject: String,
    by: String,
    reason: String,
    since: Timestamp,
    until: Option<Timestamp>,
}

impl From<OrderChanged> for Change {
    fn from(event: OrderChanged) -> Self {
        Self {
            change: OrderChange::as_str(event.change),
            given: event.given.map(Order::from),
            ended: event.ended.into_iter().map(Order::from).collect(),
        }
    }
}

impl From<FleetOrder> for Order {
    fn from(order: FleetOrder) -> Self {
        let (scope, subject) = match &order.scope {
            OrderScope::Fleet => ("Fleet", String::new()),
            OrderScope::Policy(policy) => ("Policy", one_line(policy)),
            OrderScope::Node(node) => ("Node", node.to_string()),
            OrderScope::Unknown(_) => ("Unknown", String::new()),
        };
        Self {
            kind: match order.kind {
                OrderKind::Block => "Block",
                OrderKind::Approve => "Approve",
                OrderKind::Now => "Now",
                OrderKind::Skip => "Skip",
                OrderKind::Unknown(_) => "Unknown",
            },
            scope,
            subject,
            by: one_line(&order.by),
            reason: one_line(&order.reason),
            since: order.since,
            until: order.until,
        }
    }
}

impl Change {
    pub(super) fn word(&self) -> &'static str {
        self.change
    }

    /// The orders that it is about: that which was given, and those that ended.
    pub(super) fn sentences(&self) -> impl Iterator<Item = String> {
        let given = self.given.as_ref().map(|order| match order.until {
            Some(until) => format!("{} until {until:.0}", order.name()),
            None => order.name(),
        });
        let verb = if self.given.is_some() { "in place of" } else { "ends" };
        let ended = self
            .ended
            .iter()
            .map(|order| format!("{} by {}", order.name(), order.by));
        let ended: Vec<String> = ended.collect();
        let ended = (!ended.is_empty()).then(|| format!("{verb} {}", ended.join(", ")));
        [given, ended].into_iter().flatten()
    }
}

impl Order {
    fn name(&self) -> String {
        let kind = match (self.kind, self.scope) {
            ("Block", "Node") => "hold",
            ("Block", _) => "pause",
            ("Approve", _) => "approval",
            ("Now", _) => "reboot now",
            ("Skip", _) => "skip",
            _ => "an order of a newer version",
        };
        match self.scope {
            "Fleet" => format!("{kind} of all nodes"),
            "Policy" => format!("{kind} of policy {}", self.subject),
            "Node" => format!("{kind} of node {}", self.subject),
            _ => kind.to_owned(),
        }
    }
}

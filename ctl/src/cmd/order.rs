//! `hold`, `release`, `approve`, `now`, and the pause of a policy: standing orders.

use bellwether_check::text;
use bellwether_proto::wire::{EndOrderRequest, FleetControl, GiveOrderRequest, OrderKind, OrderScope};
use bellwether_proto::{NodeName, to_duration};

use crate::args::OrderTerms;
use crate::connect::{Client, Fleet};
use crate::{out, render, time};

/// The subject of an order.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    Fleet,
    Policy(String),
    Node(NodeName),
}

impl Subject {
    fn to_wire(&self) -> (i32, String) {
        match self {
            Self::Fleet => (OrderScope::Fleet.into(), String::new()),
            Self::Policy(policy) => (OrderScope::Policy.into(), policy.clone()),
            Self::Node(node) => (OrderScope::Node.into(), node.to_string()),
        }
    }
}

/// Gives an order.
pub(super) async fn give(
    fleet: &mut Fleet,
    kind: OrderKind,
    subject: &Subject,
    terms: OrderTerms,
) -> anyhow::Result<()> {
    let (scope, name) = subject.to_wire();
    let order = GiveOrderRequest {
        kind: kind.into(),
        scope,
        subject: name,
        by: terms.operator.by,
        reason: terms.reason,
        lasts: terms.lasts.map(to_duration),
    };
    let answer = fleet
        .call(async |mut client: Client| client.give_order(order.clone()).await)
        .await?;
    let mut shown = orders(answer.control.as_ref(), &order.subject, kind);
    shown.push_str(&format!("{}.\n", text::one_line(&answer.message)));
    Ok(out::show(&shown)?)
}

/// Ends an order.
pub(super) async fn end(fleet: &mut Fleet, kind: OrderKind, subject: &Subject, by: String) -> anyhow::Result<()> {
    let (scope, name) = subject.to_wire();
    let order = EndOrderRequest {
        kind: kind.into(),
        scope,
        subject: name,
        by,
    };
    fleet
        .call(async |mut client: Client| client.end_order(order.clone()).await)
        .await?;
    Ok(out::show("The order has ended.\n")?)
}

/// The line of the order that was given.
fn orders(control: Option<&FleetControl>, subject: &str, kind: OrderKind) -> String {
    let orders = control.map(|control| control.orders.as_slice()).unwrap_or_default();
    let given = orders
        .iter()
        .filter(|order| order.subject == subject && order.kind == i32::from(kind));
    given
        .map(|order| format!("{}\n", render::order(order, time::now())))
        .collect()
}

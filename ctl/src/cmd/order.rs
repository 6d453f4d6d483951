//! `hold`, `skip`, `release`, `approve`, `now`, and the pause of a policy: standing orders.

use bellwether_check::text;
use bellwether_proto::wire::{EndOrderRequest, FleetControl, GiveOrderRequest, OrderKind, OrderScope};
use bellwether_proto::{NodeName, to_duration};
use tonic::Code;

use crate::args::OrderTerms;
use crate::connect::{CallError, Client, Fleet};
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

/// Ends the hold and the skip of a node, and shows which of them there were.
pub(super) async fn release(fleet: &mut Fleet, node: NodeName, by: String) -> anyhow::Result<()> {
    let subject = Subject::Node(node);
    let (mut ended, mut missing, mut refused) = (String::new(), None, Vec::new());
    for (kind, name) in [(OrderKind::Block, "hold"), (OrderKind::Skip, "skip")] {
        match end_one(fleet, kind, &subject, by.clone()).await {
            Ok(still) => ended.push_str(&format!("The {name} has ended.\n{still}")),
            Err(CallError::NotFound(message)) => missing = Some(message),
            // A scheduler of a version before `skip` knows no such order, so there is none.
            Err(CallError::Refused {
                code: Code::InvalidArgument,
                ..
            }) if kind == OrderKind::Skip => (),
            Err(CallError::Refused { message, .. }) => refused.push(message),
            Err(error @ CallError::Unreachable { .. }) => return Err(error.into()),
        }
    }
    out::show(&ended)?;
    anyhow::ensure!(refused.is_empty(), "{}", refused.join("; "));
    match missing.filter(|_| ended.is_empty()) {
        Some(message) => Err(CallError::NotFound(message).into()),
        None => Ok(()),
    }
}

/// Ends an order.
pub(super) async fn end(fleet: &mut Fleet, kind: OrderKind, subject: &Subject, by: String) -> anyhow::Result<()> {
    let still = end_one(fleet, kind, subject, by).await?;
    Ok(out::show(&format!("The order has ended.\n{still}"))?)
}

/// Ends an order. Returns a line about an order of this kind that still stands; else nothing.
async fn end_one(fleet: &mut Fleet, kind: OrderKind, subject: &Subject, by: String) -> Result<String, CallError> {
    let (scope, name) = subject.to_wire();
    let order = EndOrderRequest {
        kind: kind.into(),
        scope,
        subject: name,
        by,
    };
    let answer = fleet
        .call(async |mut client: Client| client.end_order(order.clone()).await)
        .await?;
    Ok(match answer.message.as_str() {
        "" => String::new(),
        message => format!("{}\n", text::one_line(message)),
    })
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

//! One event of the trail, as it is shown: a phase of an attempt, or a change of the orders.

use std::collections::BTreeSet;

use bellwether_check::text::one_line;
use bellwether_proto::{EventHash, Fact, NodeEvent, OrderChange, OrderChanged, OrderScope, PhaseDetail, decode_body};
use jiff::Timestamp;
use serde::Serialize;

use super::detail::{End, Start};
use super::orders::Change;

/// One event of the trail. Names of fields are a contract: they may be added, never renamed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// When, by the scheduler's clock.
    pub(crate) time: Timestamp,
    /// The node; empty: a change of orders that are about no node alone, or about several.
    pub(crate) node: String,
    /// Of a change of orders: each node that one of them is about alone.
    #[serde(skip)]
    nodes: Vec<String>,
    /// The attempt; none: a change of orders.
    pub(crate) attempt: Option<String>,
    /// The phase that was left; none: the attempt began.
    from: Option<&'static str>,
    /// The phase that was entered; none: a change of orders.
    pub(crate) phase: Option<&'static str>,
    /// Why the attempt ends or rolls back.
    pub(crate) cause: Option<&'static str>,
    /// The same for operators.
    pub(super) message: String,
    /// The operator who ordered it.
    pub(super) by: Option<String>,
    /// The scheduler that published it.
    source: String,
    /// What the attempt began with.
    pub(crate) start: Option<Start>,
    /// What it came to.
    pub(crate) end: Option<End>,
    /// What changed about the orders.
    pub(super) order: Option<Change>,
    /// The number in the chain; none: of a version before the chain.
    sequence: Option<u64>,
    /// SHA-256 of the body.
    hash: String,
    /// The sequence in the stream; none: the event waits in the record.
    place: Option<u64>,
    /// When NATS stored it.
    stored_at: Option<Timestamp>,
}

impl Entry {
    /// The event of this body. None: the body is no event of the chain, which `verify` states. An empty node: of the orders.
    pub(super) fn of(node: &str, place: u64, stored_at: Option<Timestamp>, body: &[u8]) -> Option<Self> {
        let stored = Stored { place, stored_at };
        if node.is_empty() {
            return Some(of_orders(decode_body(body).ok()?, body, stored));
        }
        of_phase(node, decode_body(body).ok()?, body, stored)
    }

    /// The event is about this node: a phase of its attempt, or a change of an order about this node alone.
    pub(super) fn is_about(&self, node: &str) -> bool {
        self.node == node || self.nodes.iter().any(|named| named == node)
    }

    /// What happened, in one word.
    pub(super) fn word(&self) -> &'static str {
        let change = self.order.as_ref().map(Change::word);
        self.phase.or(change).unwrap_or_default()
    }

    /// The operator who ordered the change, or by whose order the attempt began.
    pub(crate) fn operator(&self) -> Option<&str> {
        let order = self.start.as_ref().and_then(|start| start.order.as_ref());
        self.by.as_deref().or_else(|| order.map(|order| order.by.as_str()))
    }

    /// The event in one sentence.
    pub(super) fn sentence(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        if let Some(order) = &self.order {
            parts.extend(order.sentences());
        }
        parts.extend(Some(self.message.clone()).filter(|message| !message.is_empty()));
        if let Some(start) = &self.start {
            parts.extend(start.sentences(self.time));
        }
        let kernels = self
            .end
            .as_ref()
            .map(|end| (&end.kernel_before, end.kernel_after.as_ref()));
        if let Some((before, Some(after))) = kernels {
            parts.push(if before == after {
                format!("kernel {after}")
            } else {
                format!("kernel {before} -> {after}")
            });
        }
        parts.join("; ")
    }
}

/// Where and when the stream has an event.
struct Stored {
    place: u64,
    stored_at: Option<Timestamp>,
}

fn of_phase(node: &str, event: NodeEvent, body: &[u8], stored: Stored) -> Option<Entry> {
    let Fact::PhaseChanged {
        from,
        to,
        message,
        link,
        cause,
        detail,
    } = event.fact
    else {
        return None;
    };
    let PhaseDetail { start, end, by } = detail.map(|detail| *detail).unwrap_or_default();
    Some(Entry {
        by: (!by.is_empty()).then(|| one_line(&by)),
        start: start.map(Start::from),
        end: end.map(End::from),
        order: None,
        time: event.at,
        node: node.to_owned(),
        nodes: Vec::new(),
        attempt: Some(event.attempt.to_string()),
        from: from.map(bellwether_proto::Phase::as_str),
        phase: Some(to.as_str()),
        cause: cause.map(bellwether_proto::Cause::as_str),
        message: one_line(&message),
        source: one_line(&event.source),
        sequence: link.map(|link| link.sequence),
        hash: EventHash::of(body).to_string(),
        place: (stored.place > 0).then_some(stored.place),
        stored_at: stored.stored_at,
    })
}

fn of_orders(event: OrderChanged, body: &[u8], stored: Stored) -> Entry {
    let (nodes, is_of_node) = nodes_of(&event);
    let by = operator_of(&event).map(one_line);
    let node = nodes.first().filter(|_| is_of_node).cloned().unwrap_or_default();
    Entry {
        time: event.at,
        node,
        nodes,
        attempt: None,
        from: None,
        phase: None,
        cause: None,
        message: one_line(&event.reason),
        by,
        source: one_line(&event.source),
        start: None,
        end: None,
        sequence: event.link.map(|link| link.sequence),
        hash: EventHash::of(body).to_string(),
        place: (stored.place > 0).then_some(stored.place),
        stored_at: stored.stored_at,
        order: Some(Change::from(event)),
    }
}

/// The nodes that the orders of an event are about; true: one node, and nothing else.
fn nodes_of(event: &OrderChanged) -> (Vec<String>, bool) {
    let scopes = event.given.iter().chain(&event.ended).map(|order| match &order.scope {
        OrderScope::Node(node) => Some(node),
        OrderScope::Fleet | OrderScope::Policy(_) | OrderScope::Unknown(_) => None,
    });
    let scopes: BTreeSet<_> = event.node.iter().map(Some).chain(scopes).collect();
    let is_of_node = scopes.len() == 1;
    (
        scopes.into_iter().flatten().map(ToString::to_string).collect(),
        is_of_node,
    )
}

/// The operator of an event. None: orders of different operators ended by themselves, and a scheduler of a version before this
/// rule names the first of them.
fn operator_of(event: &OrderChanged) -> Option<&str> {
    let by_itself = match event.change {
        OrderChange::TimeOver | OrderChange::Fulfilled => true,
        OrderChange::Given
        | OrderChange::Ended
        | OrderChange::SlotReleased
        | OrderChange::WaitEnded
        | OrderChange::Unknown(_) => false,
    };
    let differ = by_itself && event.ended.iter().any(|order| order.by != event.by);
    Some(event.by.as_str()).filter(|by| !by.is_empty() && !differ)
}

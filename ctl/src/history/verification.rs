//! Whether each chain of the trail holds. The hashes are computed here, one event after the other; the heads are those that the
//! scheduler has sent.

use std::collections::BTreeMap;

use bellwether_proto::chain::{ChainCheck, ChainFault, ChainHead};
use bellwether_proto::{EventHash, NodeEvent, OrderChanged, wire};
use serde::Serialize;

use super::csv::csv;
use super::{Trail, json};
use crate::args::TrailForm;
use crate::render;
use crate::vocabulary::or_nothing;

/// The name of the chain of orders, as in its subject: no node has it.
const ORDERS: &str = "FLEET";

/// The code of a chain that the scheduler has not sent.
const NOT_VERIFIED: &str = "NotVerified";

/// The chains that are verified.
#[derive(Debug)]
pub(crate) struct Verification {
    chains: BTreeMap<String, Chain>,
    /// The chain of orders is verified too.
    orders: bool,
    /// The scheduler has sent where that chain stands, also if there is none yet.
    has_orders: bool,
}

#[derive(Debug, Default)]
struct Chain {
    check: ChainCheck,
    after: Option<ChainHead>,
    /// The newest event has left the stream, as far as its age shows.
    has_left: bool,
    events: usize,
    waiting: usize,
    faults: Vec<ChainFault>,
}

/// Whether a chain holds. Names of fields are a contract: they may be added, never renamed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    /// The node, or `FLEET` for the chain of the orders.
    node: String,
    /// How many events there are.
    events: usize,
    /// How many of them are not in the stream yet.
    waiting: usize,
    /// The number of the first one; those before it have left the stream.
    first: Option<u64>,
    /// How often the chain began again, since the record had gone with its Node.
    restarts: u64,
    /// The signed record names the newest event.
    has_head: bool,
    /// All events have left the stream: the record names one that is older than all that the stream has.
    has_left: bool,
    /// The newest event, as the record names it.
    head: Option<Head>,
    faults: Vec<Fault>,
}

/// The newest event of a chain.
#[derive(Debug, Clone, Serialize)]
struct Head {
    sequence: u64,
    hash: String,
}

/// A place where a chain does not hold.
#[derive(Debug, Clone, Serialize)]
struct Fault {
    code: &'static str,
    /// The sequence in the stream; none: after the newest event.
    place: Option<u64>,
    message: String,
}

impl From<ChainFault> for Fault {
    fn from(fault: ChainFault) -> Self {
        Self {
            code: fault.code.as_str(),
            place: (fault.place > 0).then_some(fault.place),
            message: fault.message,
        }
    }
}

impl Trail for Verification {
    fn before(&mut self, head: &wire::HistoryHead) {
        self.has_orders |= head.node.is_empty();
        let chain = self.chains.entry(head.node.clone()).or_default();
        chain.check = ChainCheck::new(chain_head(head));
        chain.has_left = head.has_left;
    }

    fn event(&mut self, event: wire::HistoryEvent) {
        let chain = self.chains.entry(event.node.clone()).or_default();
        chain.take(&event.node, event.place, &event.body);
    }

    fn after(&mut self, head: &wire::HistoryHead) {
        self.has_orders |= head.node.is_empty();
        let chain = self.chains.entry(head.node.clone()).or_default();
        chain.after = chain_head(head);
        for body in &head.unpublished {
            // What the stream has is not waiting.
            if !chain.check.has(EventHash::of(body)) {
                chain.waiting = chain.waiting.saturating_add(1);
                chain.take(&head.node, 0, body);
            }
        }
    }
}

impl Chain {
    /// Place 0: the event waits in the record.
    fn take(&mut self, node: &str, place: u64, body: &[u8]) {
        self.events = self.events.saturating_add(1);
        let fault = match node {
            "" => self.check.take::<OrderChanged>(place, body),
            _ => self.check.take::<NodeEvent>(place, body),
        };
        self.faults.extend(fault);
    }

    fn verdict(self, node: String) -> Verdict {
        // Of a node that was not rebooted for as long as the stream keeps events.
        let has_left = self.has_left && self.events == 0;
        let (first, restarts) = (self.check.first(), self.check.restarts());
        let at_heads = if has_left {
            Vec::new()
        } else {
            self.check.finish(self.after)
        };
        Verdict {
            node,
            events: self.events,
            waiting: self.waiting,
            first,
            restarts,
            has_head: self.after.is_some(),
            has_left,
            head: self.after.map(|head| Head {
                sequence: head.sequence,
                hash: head.hash.to_string(),
            }),
            faults: self.faults.into_iter().chain(at_heads).map(Fault::from).collect(),
        }
    }
}

impl Verification {
    /// Verifies the chains of nodes, and with `orders` that of the orders too.
    pub(crate) fn new(orders: bool) -> Self {
        Self {
            chains: BTreeMap::new(),
            orders,
            has_orders: false,
        }
    }

    /// Whether each chain holds, once all events are taken.
    pub(crate) fn finish(mut self) -> Vec<Verdict> {
        if self.orders && !self.has_orders {
            let mut verdict = self.chains.remove("").unwrap_or_default().verdict(ORDERS.to_owned());
            verdict.faults.push(Fault {
                code: NOT_VERIFIED,
                place: None,
                message: "the scheduler sends no chain of the orders: upgrade it to verify them".to_owned(),
            });
            let mut verdicts = self.verdicts();
            verdicts.insert(0, verdict);
            return verdicts;
        }
        self.verdicts()
    }

    fn verdicts(self) -> Vec<Verdict> {
        let named = self.chains.into_iter().map(|(node, chain)| {
            let name = if node.is_empty() { ORDERS.to_owned() } else { node };
            chain.verdict(name)
        });
        named.collect()
    }
}

impl Verdict {
    /// The chain holds.
    pub(crate) fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    /// What is to be known about a chain that holds.
    fn note(&self) -> String {
        let mut notes = Vec::new();
        if self.first.is_some_and(|first| first > 1) {
            notes.push("older events have left the stream, or were never published".to_owned());
        }
        if self.has_left {
            notes.push("all events have left the stream: the newest is older than what the stream has".to_owned());
        } else if self.events == 0 {
            notes.push("no event yet".to_owned());
        } else if self.first.is_none() {
            notes.push("all events are of a version before the chain".to_owned());
        }
        if !self.has_head && self.first.is_some() {
            notes.push(
                "no signed record names the newest event: its Node is gone, or the record is not trusted".to_owned(),
            );
        }
        if self.restarts > 0 {
            notes.push(format!(
                "began again {} times, since the record was deleted, with its Node or otherwise",
                self.restarts
            ));
        }
        if self.waiting > 0 {
            notes.push(format!("{} events wait in the record for the stream", self.waiting));
        }
        notes.join("; ")
    }
}

fn chain_head(head: &wire::HistoryHead) -> Option<ChainHead> {
    let hash = EventHash::from_bytes(&head.hash)?;
    Some(ChainHead {
        sequence: head.sequence,
        hash,
    })
}

/// Whether each chain of a trail holds.
pub(crate) fn verdicts(verdicts: &[Verdict], form: TrailForm) -> anyhow::Result<String> {
    const HEADER: [&str; 5] = ["NODE", "EVENTS", "RESULT", "PLACE", "MESSAGE"];
    let rows = verdicts.iter().flat_map(|verdict| {
        let row = |result: &str, place: Option<u64>, message: &str| {
            [
                verdict.node.clone(),
                verdict.events.to_string(),
                result.to_owned(),
                place.map(|place| place.to_string()).unwrap_or_default(),
                message.to_owned(),
            ]
        };
        if verdict.holds() {
            return vec![row("Holds", None, &verdict.note())];
        }
        let faults = verdict.faults.iter();
        faults
            .map(|fault| row(fault.code, fault.place, &fault.message))
            .collect()
    });
    match form {
        TrailForm::Json => json(&verdicts, "chains"),
        TrailForm::Csv => Ok(csv(&HEADER, rows)),
        TrailForm::Table if verdicts.is_empty() => Ok("The audit trail has no event of this node.\n".to_owned()),
        TrailForm::Table => Ok(render::table(
            &HEADER,
            rows.map(|row| row.iter().map(|cell| or_nothing(cell)).collect()),
        )),
    }
}

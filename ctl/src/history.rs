//! The audit trail: pure functions from what the scheduler has sent to text. The hashes are computed here; the heads are those
//! that the scheduler has sent.

mod csv;
mod detail;

use std::collections::BTreeMap;

use bellwether_check::text::{instant, one_line};
use bellwether_proto::chain::{ChainCheck, ChainFault, ChainHead};
use bellwether_proto::{EventHash, Fact, NodeEvent, PhaseDetail, decode_body, wire};
use jiff::Timestamp;
use serde::Serialize;

pub(crate) use self::csv::csv;
use self::detail::{End, Start};
use crate::args::TrailForm;
use crate::render;
use crate::time::full;
use crate::vocabulary::or_nothing;

/// The trail of a node, or of all.
#[derive(Debug, Default)]
pub(crate) struct History {
    chains: BTreeMap<String, Chain>,
    /// Those that were read, in the order of the stream.
    events: Vec<Entry>,
}

/// The chain of a node.
#[derive(Debug, Default)]
struct Chain {
    before: Option<ChainHead>,
    after: Option<ChainHead>,
    /// The newest event has left the stream, as far as its age shows.
    has_left: bool,
    /// Places and bodies; place 0: the event waits in the record.
    bodies: Vec<(u64, Vec<u8>)>,
}

/// One event of the trail.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// When, by the scheduler's clock.
    pub(crate) time: Timestamp,
    /// The node.
    pub(crate) node: String,
    /// The attempt.
    pub(crate) attempt: String,
    /// The phase that was left; none: the attempt began.
    pub(crate) from: Option<&'static str>,
    /// The phase that was entered.
    pub(crate) phase: &'static str,
    /// Why the attempt ends or rolls back.
    pub(crate) cause: Option<&'static str>,
    /// Why, for reading.
    pub(crate) message: String,
    /// The operator who ordered it.
    pub(crate) by: Option<String>,
    /// What the attempt began with.
    pub(crate) start: Option<Start>,
    /// What the attempt came to.
    pub(crate) end: Option<End>,
    /// The scheduler.
    pub(crate) source: String,
    /// The number in the chain; none: of a version before the chain.
    pub(crate) sequence: Option<u64>,
    /// SHA-256 of the body.
    pub(crate) hash: String,
    /// The sequence in the stream; none: the event waits in the record.
    pub(crate) place: Option<u64>,
    /// When NATS stored it.
    pub(crate) stored_at: Option<Timestamp>,
}

/// Whether the chain of a node holds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
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
    faults: Vec<Fault>,
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

impl History {
    /// Takes where a chain stood before its events were read.
    pub(crate) fn before(&mut self, head: &wire::HistoryHead) {
        let chain = self.chains.entry(head.node.clone()).or_default();
        chain.before = chain_head(head);
        chain.has_left = head.has_left;
    }

    /// Takes an event.
    pub(crate) fn event(&mut self, event: wire::HistoryEvent) {
        let stored_at = instant(event.stored_at);
        self.take(&event.node, event.place, stored_at, event.body);
    }

    /// Takes where a chain stood after its events were read.
    pub(crate) fn after(&mut self, head: &wire::HistoryHead) {
        let chain = self.chains.entry(head.node.clone()).or_default();
        chain.after = chain_head(head);
        // What the stream has is not waiting.
        let has = |body: &Vec<u8>| chain.bodies.iter().any(|(_, stored)| stored == body);
        let waiting: Vec<_> = head.unpublished.iter().filter(|body| !has(body)).cloned().collect();
        for body in waiting {
            self.take(&head.node, 0, None, body);
        }
    }

    fn take(&mut self, node: &str, place: u64, stored_at: Option<Timestamp>, body: Vec<u8>) {
        self.events.extend(entry(node, place, stored_at, &body));
        let chain = self.chains.entry(node.to_owned()).or_default();
        chain.bodies.push((place, body));
    }

    /// What is younger than this, oldest first.
    pub(crate) fn events(&self, since: Option<Timestamp>) -> impl Iterator<Item = &Entry> {
        let is_young = move |entry: &&Entry| since.is_none_or(|since| entry.time >= since);
        self.events.iter().filter(is_young)
    }

    /// Whether each chain holds.
    pub(crate) fn verify(&self) -> Vec<Verdict> {
        let verdicts = self.chains.iter().map(|(node, chain)| {
            // Of a node that was not rebooted for as long as the stream keeps events.
            let has_left = chain.has_left && chain.bodies.is_empty();
            let before = chain.before.filter(|_| !has_left);
            let mut check = ChainCheck::new(before, chain.after);
            let taken = chain.bodies.iter().filter_map(|(place, body)| check.take(*place, body));
            let mut faults: Vec<ChainFault> = taken.collect();
            let (first, restarts) = (check.first(), check.restarts());
            faults.extend(check.finish());
            Verdict {
                node: node.clone(),
                events: chain.bodies.len(),
                waiting: chain.bodies.iter().filter(|(place, _)| *place == 0).count(),
                first,
                restarts,
                has_head: chain.after.is_some(),
                has_left,
                faults: faults.into_iter().map(Fault::from).collect(),
            }
        });
        verdicts.collect()
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
            notes.push("older events have left the stream".to_owned());
        }
        if self.has_left {
            notes.push("all events have left the stream: the newest is older than what the stream has".to_owned());
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

/// None: the body is no event of the chain. `verify` states that.
fn entry(node: &str, place: u64, stored_at: Option<Timestamp>, body: &[u8]) -> Option<Entry> {
    let event: NodeEvent = decode_body(body).ok()?;
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
        time: event.at,
        node: node.to_owned(),
        attempt: event.attempt.to_string(),
        from: from.map(bellwether_proto::Phase::as_str),
        phase: to.as_str(),
        cause: cause.map(bellwether_proto::Cause::as_str),
        message: one_line(&message),
        source: one_line(&event.source),
        sequence: link.map(|link| link.sequence),
        hash: EventHash::of(body).to_string(),
        place: (place > 0).then_some(place),
        stored_at,
    })
}

/// The events of a trail.
pub(crate) fn events(trail: &History, since: Option<Timestamp>, form: TrailForm) -> anyhow::Result<String> {
    const HEADER: [&str; 6] = ["TIME", "NODE", "PHASE", "CAUSE", "BY", "MESSAGE"];
    let rows = trail.events(since).map(|entry| {
        [
            full(Some(entry.time)),
            entry.node.clone(),
            entry.phase.to_owned(),
            entry.cause.unwrap_or_default().to_owned(),
            entry.operator().unwrap_or_default().to_owned(),
            entry.sentence(),
        ]
    });
    match form {
        TrailForm::Json => json(&trail.events(since).collect::<Vec<_>>(), "events"),
        TrailForm::Csv => Ok(csv(&HEADER, rows)),
        TrailForm::Table if trail.events(since).next().is_none() => {
            Ok("The audit trail has no event of this node and time.\n".to_owned())
        }
        TrailForm::Table => Ok(render::table(
            &HEADER,
            rows.map(|row| row.iter().map(|cell| or_nothing(cell)).collect()),
        )),
    }
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

/// A list as JSON, in an object that may get other fields later.
pub(crate) fn json(list: &impl Serialize, name: &str) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(&BTreeMap::from([(name, list)]))?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
#[path = "history_tests.rs"]
pub(crate) mod tests;

//! The audit trail: pure functions from what the scheduler has sent, part by part, to text. A page of it at a time is in memory.

mod csv;
mod detail;
mod entry;
mod orders;
mod verification;

use std::collections::{BTreeMap, VecDeque};

use bellwether_check::text::instant;
use bellwether_proto::limit::{ORDERS_UNPUBLISHED_MAX, UNPUBLISHED_MAX};
use bellwether_proto::{EventHash, wire};
use jiff::Timestamp;
use serde::Serialize;

pub(crate) use self::csv::csv;
use self::csv::csv_rows;
pub(crate) use self::entry::Entry;
pub(crate) use self::verification::{Verdict, Verification, verdicts};
use crate::args::TrailForm;
use crate::render;
use crate::time::full;
use crate::vocabulary::or_nothing;

/// A reader of the parts of an audit trail, in their order.
pub(crate) trait Trail {
    /// Takes where a chain stood before its events were read.
    fn before(&mut self, head: &wire::HistoryHead);

    /// Takes an event.
    fn event(&mut self, event: wire::HistoryEvent);

    /// Takes where a chain stood after its events were read.
    fn after(&mut self, head: &wire::HistoryHead);
}

/// Which events are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Those of this node, and of orders about this node alone, also if such an order is one of several; none: all.
    pub(crate) node: Option<String>,
    /// When they happened, at the earliest.
    pub(crate) since: Option<Timestamp>,
    /// Before which time.
    pub(crate) until: Option<Timestamp>,
}

/// The events of a trail.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    asked: Asked,
    /// The newest events of each chain: an event that waits may be among them.
    newest: BTreeMap<String, VecDeque<EventHash>>,
    entries: Vec<Entry>,
}

impl Listing {
    /// A list of these events.
    pub(crate) fn new(asked: Asked) -> Self {
        Self {
            asked,
            ..Self::default()
        }
    }

    /// What was taken since, in the order of the stream.
    pub(crate) fn page(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    fn take(&mut self, node: &str, place: u64, stored_at: Option<Timestamp>, body: &[u8]) {
        let Asked {
            node: own,
            since,
            until,
        } = &self.asked;
        // A scheduler of a version before these fields sends all.
        let is_asked = |entry: &Entry| {
            own.as_ref().is_none_or(|own| entry.is_about(own))
                && since.is_none_or(|since| entry.time >= since)
                && until.is_none_or(|until| entry.time < until)
        };
        self.entries
            .extend(Entry::of(node, place, stored_at, body).filter(is_asked));
    }
}

impl Trail for Listing {
    fn before(&mut self, _: &wire::HistoryHead) {}

    fn event(&mut self, event: wire::HistoryEvent) {
        self.take(&event.node, event.place, instant(event.stored_at), &event.body);
        let waiting_max = match event.node.as_str() {
            "" => ORDERS_UNPUBLISHED_MAX,
            _ => UNPUBLISHED_MAX,
        };
        let newest = self.newest.entry(event.node).or_default();
        if newest.len() >= waiting_max {
            newest.pop_front();
        }
        newest.push_back(EventHash::of(&event.body));
    }

    fn after(&mut self, head: &wire::HistoryHead) {
        for body in &head.unpublished {
            let newest = self.newest.get(&head.node);
            // What the stream has is not waiting.
            if newest.is_none_or(|newest| !newest.contains(&EventHash::of(body))) {
                self.take(&head.node, 0, None, body);
            }
        }
    }
}

/// Writes the pages of a list of events in one form.
#[derive(Debug)]
pub(crate) struct Printer {
    form: TrailForm,
    has_begun: bool,
}

impl Printer {
    const HEADER: [&str; 6] = ["TIME", "NODE", "PHASE", "CAUSE", "BY", "MESSAGE"];

    pub(crate) fn new(form: TrailForm) -> Self {
        let has_begun = false;
        Self { form, has_begun }
    }

    /// The next page.
    pub(crate) fn page(&mut self, entries: &[Entry]) -> anyhow::Result<String> {
        if entries.is_empty() {
            return Ok(String::new());
        }
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let rows = entries.iter().map(|entry| {
            [
                full(Some(entry.time)),
                entry.node.clone(),
                entry.word().to_owned(),
                entry.cause.unwrap_or_default().to_owned(),
                entry.operator().unwrap_or_default().to_owned(),
                entry.sentence(),
            ]
        });
        Ok(match self.form {
            TrailForm::Json => {
                let mut text = String::new();
                for (number, entry) in entries.iter().enumerate() {
                    text.push_str(if is_first && number == 0 {
                        "{\n  \"events\": [\n"
                    } else {
                        ",\n"
                    });
                    let entry = serde_json::to_string_pretty(entry)?;
                    text.push_str(&format!("    {}", entry.replace('\n', "\n    ")));
                }
                text
            }
            TrailForm::Csv if is_first => csv(&Self::HEADER, rows),
            TrailForm::Csv => csv_rows(rows),
            TrailForm::Table => render::table(
                &Self::HEADER,
                rows.map(|row| row.iter().map(|cell| or_nothing(cell)).collect()),
            ),
        })
    }

    /// What follows the last page.
    pub(crate) fn end(&self) -> String {
        match self.form {
            TrailForm::Json if self.has_begun => "\n  ]\n}\n".to_owned(),
            TrailForm::Json => "{\n  \"events\": []\n}\n".to_owned(),
            TrailForm::Csv if self.has_begun => String::new(),
            TrailForm::Csv => csv(&Self::HEADER, std::iter::empty()),
            TrailForm::Table if self.has_begun => String::new(),
            TrailForm::Table => "The audit trail has no event of this node and time.\n".to_owned(),
        }
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

//! What a trial reads off the ledger about its own node.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bellwether_proto::message_id::random_part;
use bellwether_proto::{Message, NodeEvent, subject};
use rig::wait;

use super::case::{Case, SOON};
use crate::check::miss;
use crate::ledger::Published;

/// An entry of the ledger, with its place and its time.
pub(crate) type At<T> = (usize, Instant, T);

impl Case<'_> {
    /// All that was published on a subject so far.
    pub(crate) fn published(&self, subject: &str) -> Vec<At<Published>> {
        self.stage.ledger.all(self.from, |entry| {
            let message = entry.published()?;
            (message.subject == subject).then(|| message.clone())
        })
    }

    /// The place after all that was published so far.
    pub(crate) async fn now(&self) -> Result<usize> {
        self.stage.tap.catch_up().await?;
        Ok(self.stage.ledger.len())
    }

    /// All reports of the program so far, as they were published.
    pub(crate) fn raw_reports(&self) -> Vec<At<Published>> {
        // A record that the trial wrote itself is none of the program's.
        let all = self.published(&self.report_subject()).into_iter();
        all.filter(|(_, _, message)| message.header(WRITTEN_BY_TRIAL).is_none())
            .collect()
    }

    /// The same as messages of the contract. A report that breaks the contract is an error.
    pub(crate) fn reports<M: Message>(&self) -> Result<Vec<At<M>>> {
        let mut reports = Vec::new();
        for (index, at, message) in self.raw_reports() {
            let report = message
                .decode()
                .map_err(|error| miss(&format!("a report of type {}", M::TYPE), format!("{error:#}")))?;
            reports.push((index, at, report));
        }
        Ok(reports)
    }

    /// All events about the node so far. An event that breaks the contract is an error.
    pub(crate) fn events(&self) -> Result<Vec<At<NodeEvent>>> {
        let all = subject::events_of(&self.node.token());
        let start = all.trim_end_matches('*').to_owned();
        let published = self.stage.ledger.all(self.from, |entry| {
            let message = entry.published()?;
            message.subject.starts_with(&start).then(|| message.clone())
        });
        let mut events = Vec::new();
        for (index, at, message) in published {
            let event: NodeEvent = message.decode()?;
            let own = subject::event(&self.node.token(), &event.fact);
            let is_right = match message.message_id() {
                Some(id) => random_part(id, &event).is_some(),
                None => event.message_id_begin().is_none(),
            };
            if own != message.subject || event.node != self.node || !is_right {
                let found = format!("{event:?} on {} with {:?}", message.subject, message.message_id());
                let id = event.message_id_begin();
                return Err(miss(
                    &format!(
                        "an event of {} on {own} with the id {id:?} and a random part",
                        self.node
                    ),
                    found,
                ));
            }
            events.push((index, at, event));
        }
        Ok(events)
    }

    /// Waits for an event at or after this place for which `choose` gives a value.
    pub(crate) async fn event<T>(
        &self,
        awaited: &str,
        from: usize,
        choose: impl Fn(&NodeEvent) -> Option<T>,
    ) -> Result<At<T>> {
        wait::until(awaited, SOON, async || {
            let events = self.events()?;
            let kinds: Vec<_> = events.iter().map(|(_, _, event)| event.fact.kind()).collect();
            let mut found = events
                .into_iter()
                .filter(|(index, ..)| *index >= from)
                .filter_map(|(index, at, event)| Some((index, at, choose(&event)?)));
            found.next().ok_or_else(|| anyhow!("the events are {kinds:?}"))
        })
        .await
        .map_err(|error| miss(awaited, format!("{error:#}")))
    }

    /// Waits for a report at or after this place for which `choose` gives a value.
    pub(crate) async fn report<M: Message + std::fmt::Debug, T>(
        &self,
        awaited: &str,
        from: usize,
        within: Duration,
        choose: impl Fn(&M) -> Option<T>,
    ) -> Result<At<T>> {
        wait::until(awaited, within, async || {
            let reports = self.reports::<M>()?;
            let last = reports.last().map(|(_, _, report)| format!("{report:?}"));
            let mut found = reports
                .into_iter()
                .filter(|(index, ..)| *index >= from)
                .filter_map(|(index, at, report)| Some((index, at, choose(&report)?)));
            found
                .next()
                .ok_or_else(|| anyhow!("the last report is {}", last.unwrap_or_else(|| "missing".to_owned())))
        })
        .await
        .map_err(|error| miss(awaited, format!("{error:#}")))
    }
}

/// The body of a message as it is on the wire: texts and lists are not cut yet.
pub(crate) fn wire<W: prost::Message + Default>(message: &Published) -> Result<W> {
    Ok(W::decode(message.payload.as_slice())?)
}

/// A header of records that the trial writes in the program's place.
pub(crate) const WRITTEN_BY_TRIAL: &str = "Conformance-Trial";

//! What a trial reads off the ledger about its own node.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bellwether_proto::Message;
use rig::wait;

use super::case::Case;
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

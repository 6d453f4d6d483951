//! Reports of a node's two agents, and until when each may be acted on.

use bellwether_proto::{HostReport, Message, RebootNeed, RebooterReport};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encoding::as_message;
use crate::policy::Policy;
use crate::timers::later;

/// A report with the time at which NATS stored it. Age is judged by that time, never by the host's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "R: Message")]
pub struct StoredReport<R> {
    /// The report.
    #[serde(with = "as_message")]
    pub report: R,
    /// When the NATS server stored it, by the server's clock.
    pub stored_at: Timestamp,
}

/// A report that its agent renews.
pub trait Renewed {
    /// How often the agent renews the report without a change.
    fn refresh_interval(&self) -> SignedDuration;

    /// When the agent made the report, by the clock of its host.
    fn reported_at(&self) -> Timestamp;
}

impl Renewed for HostReport {
    fn refresh_interval(&self) -> SignedDuration {
        self.refresh_interval
    }

    fn reported_at(&self) -> Timestamp {
        self.reported_at
    }
}

impl Renewed for RebooterReport {
    fn refresh_interval(&self) -> SignedDuration {
        self.refresh_interval
    }

    fn reported_at(&self) -> Timestamp {
        self.reported_at
    }
}

impl StoredReport<HostReport> {
    /// An instant of the host's clock by the clock of the NATS server, as far as this report shows the difference of
    /// the two. A report that came late makes the host's clock look behind.
    pub(crate) fn by_server_clock(&self, at: Timestamp) -> Timestamp {
        at.checked_sub(self.clock_ahead()).unwrap_or(Timestamp::MIN)
    }

    /// When the need of this report began, for the question whether that was after an order. A report that came late
    /// makes the need look later by the server's clock, and a wrong clock of the host by its own, so the earlier of the
    /// two counts, and an undated need may be as old as its boot: when unsure, the order covers the need.
    pub(crate) fn began(&self, need: &RebootNeed) -> Timestamp {
        let booted = self.report.booted_at.filter(|_| need.undated);
        let first = booted.map_or(need.first_since, |booted| need.first_since.min(booted));
        first.min(self.by_server_clock(first))
    }
}

impl<R: Renewed> StoredReport<R> {
    /// From when on the report is too old to act on.
    #[must_use]
    pub fn stale_at(&self) -> Timestamp {
        let missed = self
            .report
            .refresh_interval()
            .saturating_mul(Policy::REPORTS_MISSED_MAX);
        later(self.stored_at, missed)
    }

    /// How far the clock of the host is ahead of that of the NATS server; negative: behind. A report that came late makes the
    /// host's clock look behind by as much, until the next one.
    #[must_use]
    pub fn clock_ahead(&self) -> SignedDuration {
        self.report.reported_at().duration_since(self.stored_at)
    }
}

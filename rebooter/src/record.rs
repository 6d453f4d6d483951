//! The attempt record of our node as it is stored: read, verified, and none that was replaced.
//!
//! Owned by `run.rs`. What it remembers keeps this process from a record that it has refused, or of which it has verified a
//! successor; nothing of it is needed after a restart.

use std::time::Duration;

use bellwether_chassis::{Bus, RecordKeyFile, Retry, Unusable};
use bellwether_proto::{Attempt, AttemptId, Generation, NodeName, SignatureFault, attribute};
use bellwether_rebooter_core::guard::{self, Place};

use crate::metrics::Metrics;
use crate::wire;

/// The record that is stored for our node.
pub(crate) enum Found {
    /// A scheduler has signed it.
    Verified(Box<Attempt>),
    /// It does not verify, and says this.
    Untrusted(Box<Attempt>, SignatureFault),
}

/// Which copy of the record is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// Of any server of NATS: it may be some moments old.
    Any,
    /// Of the stream's leader, right before a host is called to reboot.
    Last,
}

/// Reads the record.
pub(crate) struct StoredRecord {
    bus: Bus,
    node: NodeName,
    keys: RecordKeyFile,
    metrics: Metrics,
    /// The last record that was refused since it does not verify. Apart from the others, so that no forged record makes this
    /// process forget what it has refused.
    distrusted: Option<(AttemptId, Generation)>,
    /// The newest record that this process has verified.
    newest: Option<Place>,
    /// The record was read once.
    has_read: bool,
    /// The order that the record was at the first look, verified or not.
    inherited: Option<(AttemptId, Generation)>,
    /// The last record that was not obeyed for its form or signature, by its sequence.
    unusable: Option<u64>,
    reading: Retry,
}

impl StoredRecord {
    pub(crate) fn new(bus: Bus, node: NodeName, keys: RecordKeyFile, metrics: Metrics) -> Self {
        Self {
            bus,
            node,
            keys,
            metrics,
            distrusted: None,
            newest: None,
            has_read: false,
            inherited: None,
            unusable: None,
            reading: Retry::new("read the attempt record"),
        }
    }

    /// The last record that was refused since it does not verify.
    pub(crate) fn distrusted(&self) -> Option<(AttemptId, Generation)> {
        self.distrusted
    }

    /// The order that stood in the record when this process looked for the first time.
    pub(crate) fn inherited(&self) -> Option<(AttemptId, Generation)> {
        self.inherited
    }

    /// Refuses a record that does not verify, and with it any other of its attempt and generation.
    pub(crate) fn distrust(&mut self, claim: &Attempt) {
        self.distrusted = Some((claim.id, claim.generation));
    }

    /// The record that is stored for our node, if it is well-formed and none that was replaced; else when to try again.
    pub(crate) async fn read(&mut self, look: Look) -> Result<Option<Found>, Duration> {
        let record = match look {
            // At first the newest one: an order that this process does not find now counts as one that came later.
            Look::Any if self.has_read => wire::read_record(&self.bus, &self.node).await,
            Look::Any | Look::Last => wire::read_current_record(&self.bus, &self.node).await,
        };
        let record = match record {
            Ok(record) => record,
            Err(error) => return Err(self.reading.failed(&error)),
        };
        self.reading.worked();
        if !self.has_read {
            self.has_read = true;
            let claim = record.as_ref().and_then(|record| record.claim::<Attempt>().ok());
            self.inherited = claim.and_then(|claim| guard::order_in(&claim.unverified()));
        }
        let Some(record) = record else { return Ok(None) };
        let unusable = match self.keys.verified::<Attempt>(&record) {
            Ok(attempt) => return Ok(self.unless_replaced(attempt, record.sequence)),
            Err(unusable) => unusable,
        };
        // Logged once for each write, however often the record is read.
        if self.unusable.replace(record.sequence) != Some(record.sequence) {
            self.metrics.refused(match &unusable {
                Unusable::Untrusted(fault) => fault.code(),
                Unusable::Malformed(_) => "Malformed",
            });
            tracing::warn!(sequence = record.sequence, error = %unusable, "Attempt record is not obeyed");
        }
        Ok(match unusable {
            Unusable::Untrusted(fault) => {
                let claim = record.claim::<Attempt>().ok();
                claim.map(|claim| Found::Untrusted(Box::new(claim.unverified()), fault))
            }
            Unusable::Malformed(_) => None,
        })
    }

    /// The record, unless this process has verified one that came after it, or has refused one of its attempt and generation
    /// that did not verify.
    fn unless_replaced(&mut self, attempt: Attempt, sequence: u64) -> Option<Found> {
        let place = Place {
            sequence,
            since: attempt.phase_since(),
        };
        if self.newest.is_some_and(|newest| place.is_before(newest)) {
            tracing::info!({ attribute::ATTEMPT } = %attempt.id, sequence, "Record was replaced, and is not obeyed again");
            return None;
        }
        self.newest = Some(place);
        if self.distrusted == Some((attempt.id, attempt.generation)) {
            return None;
        }
        Some(Found::Verified(Box::new(attempt)))
    }
}

//! Telling how far a drain is: when it changed, and not too often.
//!
//! It never holds the drain up: one message is under way at most, and one that is lost is not repeated.

use std::time::Duration;

use bellwether_proto::Fact;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, future};
use jiff::Timestamp;

use bellwether_drainer_core::plan::Step;
use crate::report::Report;

/// Shortest time between two messages of one drain.
const INTERVAL: Duration = Duration::from_secs(2);

/// What was told of one drain.
pub(crate) struct Progress<'a> {
    report: &'a Report,
    told: Option<Fact>,
    next_at: Timestamp,
    sending: Option<BoxFuture<'a, ()>>,
}

impl<'a> Progress<'a> {
    /// Nothing was told.
    pub(crate) fn new(report: &'a Report) -> Self {
        Self {
            report,
            told: None,
            next_at: Timestamp::UNIX_EPOCH,
            sending: None,
        }
    }

    /// Tells the step if it is news; if it is too early for it, says when it is not.
    pub(crate) fn tell(&mut self, now: Timestamp, step: &Step) -> Option<Timestamp> {
        let fact = Fact::DrainProgressed {
            pods_left: step.pods_left,
            pods_gone: step.pods_gone,
            held_up_by: step.held_up_by.clone(),
        };
        if self.told.as_ref() == Some(&fact) {
            return None;
        }
        // While one is under way its end will wake the drain.
        if self.sending.is_some() {
            return None;
        }
        if now < self.next_at {
            return Some(self.next_at);
        }
        self.next_at = now.saturating_add(INTERVAL).unwrap_or(Timestamp::MAX);
        self.told = Some(fact.clone());
        self.sending = Some(self.report.clone().mention(fact).boxed());
        None
    }

    /// Sends what is under way; returns when it is sent, and never if there is nothing.
    pub(crate) async fn sent(&mut self) {
        match &mut self.sending {
            Some(sending) => {
                sending.await;
                self.sending = None;
            }
            None => future::pending().await,
        }
    }
}

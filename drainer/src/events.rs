//! Publishes the events of one command.

use std::time::Duration;

use bellwether_chassis::{Backoff, Bus, Expect, clock};
use bellwether_proto::{AttemptRef, Fact};

use crate::wire;

/// Longest wait between two tries: a NATS server that comes back gets the events at once.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// Publishes the events of one command.
#[derive(Debug)]
pub(crate) struct EventPublisher {
    pub(crate) bus: Bus,
    pub(crate) source: String,
    pub(crate) attempt: AttemptRef,
}

impl EventPublisher {
    /// Tries until the event is stored. The caller drops this when the record no longer authorises the
    /// command; when the service stops, the command comes to another replica.
    pub(crate) async fn store(&self, fact: Fact) {
        let event = self.event(fact);
        let mut backoff = Backoff::up_to(RETRY_DELAY_MAX);
        loop {
            let publishing = self.bus.publish(
                event.subject.clone(),
                event.message.clone(),
                event.id.clone(),
                Expect::Anything,
            );
            match publishing.await {
                Ok(_) => return,
                Err(error) => tracing::warn!(
                    node = %self.attempt.node,
                    error = bellwether_chassis::chain(&error),
                    "Event could not be stored, trying again"
                ),
            }
            tokio::time::sleep(backoff.after_failure()).await;
        }
    }

    fn event(&self, fact: Fact) -> wire::Event {
        wire::event(&self.attempt, &self.source, clock::now(), fact, self.bus.message_ids())
    }

    /// Tries once to store the event; the next event has newer facts anyway.
    pub(crate) async fn send(&self, fact: Fact) {
        let event = self.event(fact);
        let publishing = self
            .bus
            .publish(event.subject, event.message, event.id, Expect::Anything);
        if let Err(error) = publishing.await {
            let error = bellwether_chassis::chain(&error);
            tracing::debug!(error, "Progress could not be stored");
        }
    }
}

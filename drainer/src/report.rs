//! Telling facts of one order, until they are stored.
//!
//! It never gives up by itself: whoever works under a permit drops it when the permit is gone,
//! and a service that stops drops it too; the command then comes again.

use std::time::Duration;

use bellwether_chassis::{Backoff, Bus, Expect, clock};
use bellwether_proto::Fact;

use crate::permit::Order;
use crate::wire;

/// Longest wait between two tries: a NATS server that comes back learns the facts at once.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// Tells the facts of one order.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) bus: Bus,
    pub(crate) source: String,
    pub(crate) order: Order,
}

impl Report {
    /// Tells it; returns once it is stored.
    pub(crate) async fn tell(&self, fact: Fact) {
        let event = wire::event(&self.order, &self.source, clock::now(), fact);
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
                    node = %self.order.node,
                    error = bellwether_chassis::chain(&error),
                    "Fact could not be stored, trying again"
                ),
            }
            tokio::time::sleep(backoff.after_failure()).await;
        }
    }

    /// Tells it once; if that fails, the next one will say more anyway.
    pub(crate) async fn mention(self, fact: Fact) {
        let event = wire::event(&self.order, &self.source, clock::now(), fact);
        let publishing = self
            .bus
            .publish(event.subject, event.message, event.id, Expect::Anything);
        if let Err(error) = publishing.await {
            tracing::debug!(
                error = bellwether_chassis::chain(&error),
                "Progress could not be stored"
            );
        }
    }
}

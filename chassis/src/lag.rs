//! How far the readers of durable consumers are behind: what waits in the stream, and what was handed out and is not settled.
//!
//! The server is asked, and not the reader: one that hangs takes no further message by which it could know.

use async_nats::jetstream;
use bellwether_proto::stream::ConsumerDefinition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The figures of the consumers that this replica reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lag {
    pending: Family<ConsumerLabel, Gauge>,
    unacknowledged: Family<ConsumerLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConsumerLabel {
    consumer: &'static str,
}

impl Lag {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Messages that wait in the stream for the readers of the consumer";
        registry.register("consumer_pending", help, self.pending.clone());
        let help = "Messages that the readers of the consumer have taken and not settled, over all replicas";
        registry.register("consumer_unacknowledged", help, self.unacknowledged.clone());
    }

    /// Notes how many messages wait behind this one, which was taken.
    pub(crate) fn taken(&self, definition: &ConsumerDefinition, message: &jetstream::Message) {
        if let Ok(info) = message.info() {
            set(&self.pending, definition, info.pending);
        }
    }

    /// Notes what the server states.
    pub(crate) fn stated(&self, definition: &ConsumerDefinition, pending: u64, unacknowledged: u64) {
        set(&self.pending, definition, pending);
        set(&self.unacknowledged, definition, unacknowledged);
    }

    /// This replica reads no more of the consumer, or cannot know.
    pub(crate) fn forget(&self, definition: &ConsumerDefinition) {
        for figures in [&self.pending, &self.unacknowledged] {
            figures.remove(&label(definition));
        }
    }
}

fn set(figures: &Family<ConsumerLabel, Gauge>, definition: &ConsumerDefinition, count: u64) {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    figures.get_or_create(&label(definition)).set(count);
}

fn label(definition: &ConsumerDefinition) -> ConsumerLabel {
    ConsumerLabel {
        consumer: definition.name,
    }
}

//! Reads the record of an attempt, and listens for hints that it changed. Never writes a record.

use std::time::Duration;

use bellwether_chassis::Bus;
use bellwether_drainer_core::RecordView;
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, NodeName, subject};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

/// How long one read may take: as long as NATS needs to elect a leader.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the record of one node's attempt.
#[derive(Debug)]
pub(crate) struct RecordReader {
    bus: Bus,
    subject: String,
}

impl RecordReader {
    pub(crate) fn new(bus: Bus, node: &NodeName) -> Self {
        Self {
            bus,
            subject: subject::attempt_record(&node.token()),
        }
    }

    /// Reads the record from the stream's leader.
    pub(crate) async fn read(&self) -> RecordView {
        let reading = self.bus.read_current(ATTEMPTS_STREAM.name, self.subject.clone());
        let record = match tokio::time::timeout(READ_TIMEOUT, reading).await {
            Ok(Ok(record)) => record.filter(|record| !record.deleted),
            Ok(Err(error)) => return RecordView::Unreadable(bellwether_chassis::chain(&error)),
            Err(_) => return RecordView::Unreadable("no answer from NATS".to_owned()),
        };
        let Some(record) = record else {
            return RecordView::Absent;
        };
        match record.decode::<Attempt>() {
            Ok(attempt) => RecordView::Stored(Box::new(attempt)),
            Err(error) => RecordView::Malformed(bellwether_chassis::chain(&error)),
        }
    }

    /// One item for each hint that the record may have changed. The stream never ends.
    pub(crate) fn hints(&self) -> BoxStream<'static, ()> {
        let (bus, subject) = (self.bus.clone(), self.subject.clone());
        let hints = stream::once(async move { bus.hints(subject).await }).flat_map(|hints| match hints {
            Ok(hints) => hints.map(|_| ()).left_stream(),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "No hints of the attempt's record, the drainer reads it by the clock"
                );
                stream::empty().right_stream()
            }
        });
        hints.chain(stream::pending()).boxed()
    }
}

//! Reads the record of an attempt, and listens for hints that it changed. Never writes a record.
//!
//! A record that does not verify, or names another node than its key, counts as malformed: it authorises no command, and
//! refuses none for good. So a drain that is under way rests, and one whose key the kubelet has not brought yet begins
//! when it has.

use std::time::Duration;

use bellwether_chassis::{Bus, RecordKeyFile, Unusable};
use bellwether_drainer_core::RecordView;
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, NodeName, NodeToken, subject};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

/// How long one read may take: as long as NATS needs to elect a leader.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the record of one node's attempt.
#[derive(Debug)]
pub(crate) struct RecordReader {
    bus: Bus,
    keys: RecordKeyFile,
    node: NodeToken,
    subject: String,
}

impl RecordReader {
    pub(crate) fn new(bus: Bus, keys: RecordKeyFile, node: &NodeName) -> Self {
        let node = node.token();
        Self {
            bus,
            keys,
            subject: subject::attempt_record(&node),
            node,
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
        view_of(self.keys.verified(&record), &self.node)
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

/// The view of a stored record at this node's key.
fn view_of(verified: Result<Attempt, Unusable>, node: &NodeToken) -> RecordView {
    let attempt = match verified {
        Ok(attempt) => attempt,
        Err(error) => return RecordView::Malformed(bellwether_chassis::chain(&error)),
    };
    match subject::same_node(node, &attempt.node) {
        Ok(()) => RecordView::Stored(Box::new(attempt)),
        Err(other) => RecordView::Malformed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::{AttemptId, AttemptRef, Generation, SignatureFault};
    use jiff::Timestamp;

    #[test]
    fn a_record_that_does_not_verify_or_names_another_node_than_its_key_is_malformed() {
        let own: NodeName = "n1".parse().unwrap();
        assert!(matches!(view_of(Ok(record("n1")), &own.token()), RecordView::Stored(_)));
        let forged = view_of(Err(Unusable::Untrusted(SignatureFault::Unsigned)), &own.token());
        let RecordView::Malformed(why) = forged else {
            panic!("{forged:?}")
        };
        assert!(why.contains("RecordUnsigned"), "{why}");
        let view = view_of(Ok(record("n2")), &own.token());
        let expected = "the body names node n2, the subject names node n1";
        assert_eq!(view, RecordView::Malformed(expected.to_owned()));
    }

    fn record(node: &str) -> Attempt {
        let node_uid = "u".parse().unwrap();
        let attempt = AttemptRef {
            node: node.parse().unwrap(),
            attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
            node_uid,
            generation: Generation(3),
        };
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let boot = "aaaa".parse().unwrap();
        Attempt::new(attempt, boot, Timestamp::UNIX_EPOCH, trace.parse().unwrap())
    }
}

//! Writing records, each on the condition that no other writer has changed the bucket since.
//!
//! The condition is on the bucket's last message, not on the record's. So a replica that another one
//! has superseded cannot store anything, on any node: compare-and-swap protects not only one
//! attempt, but the budget as a whole.

use std::sync::Arc;

use bellwether_chassis::{Bus, Expect, PublishError, Record, StreamState};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, Encoded, FleetControl, NodeName, SigningKey, encode, header, subject};

/// The right to write records, until another writer changes one.
#[derive(Debug)]
pub(crate) struct Store {
    bus: Bus,
    /// The bucket after the last message that this replica read or wrote.
    state: StreamState,
    /// Signs each record.
    key: Arc<SigningKey>,
}

impl Store {
    /// The right to write to a bucket in this state, of which all records have been read.
    pub(crate) fn new(bus: Bus, state: StreamState, key: Arc<SigningKey>) -> Self {
        Self { bus, state, key }
    }

    /// Stores a record again as it is, signed by the key of today.
    pub(crate) async fn sign_again(&mut self, record: &Record) -> Result<(), PublishError> {
        let signed = record.signed_again(&self.key, self.next());
        self.store(record.subject.clone(), signed).await
    }

    /// Stores an attempt.
    pub(crate) async fn put(&mut self, attempt: &Attempt) -> Result<(), PublishError> {
        self.write(subject::attempt_record(&attempt.node.token()), encode(attempt))
            .await
    }

    /// Stores the orders for the fleet.
    pub(crate) async fn put_control(&mut self, control: &FleetControl) -> Result<(), PublishError> {
        self.write(subject::control_record(), encode(control)).await?;
        tracing::info!(
            paused = control.paused(),
            by = control.by,
            reason = control.reason,
            "Order for the fleet stored"
        );
        Ok(())
    }

    /// Deletes the record of a node.
    pub(crate) async fn delete(&mut self, node: &NodeName) -> Result<(), PublishError> {
        let subject = subject::attempt_record(&node.token());
        self.state.last_sequence = self.bus.delete(subject, self.unchanged()).await?;
        Ok(())
    }

    /// True if no other writer has changed a record.
    pub(crate) async fn is_newest(&self) -> anyhow::Result<bool> {
        Ok(self.bus.state(ATTEMPTS_STREAM.name).await? == self.state)
    }

    async fn write(&mut self, subject: String, mut message: Encoded) -> Result<(), PublishError> {
        let signature = self.key.sign(&subject, self.next(), &message.payload);
        message.headers.push((header::SIGNATURE, signature));
        self.store(subject, message).await
    }

    async fn store(&mut self, subject: String, message: Encoded) -> Result<(), PublishError> {
        let expected = self.next();
        let stored = self.bus.publish(subject.clone(), message, None, self.unchanged());
        self.state.last_sequence = stored.await?;
        // Does not happen: a server that stores only after the expected message gives the next sequence. The signature would be
        // that of another place, so the record has to be written again.
        if self.state.last_sequence == expected {
            Ok(())
        } else {
            Err(PublishError::Conflict { subject })
        }
    }

    /// The sequence of the next record. What is stored is signed for it, and for no other place.
    fn next(&self) -> u64 {
        self.state.last_sequence.saturating_add(1)
    }

    fn unchanged(&self) -> Expect {
        Expect::LastSequence(self.state.last_sequence)
    }
}

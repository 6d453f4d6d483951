//! Writing records, each on the condition that no other writer has changed the bucket since.
//!
//! The condition is on the bucket's last message, not on the record's. So a replica that another one
//! has superseded cannot store anything, on any node: compare-and-swap protects not only one
//! attempt, but the budget as a whole.

use bellwether_chassis::{Bus, Expect, PublishError, StreamState};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, Encoded, FleetControl, NodeName, encode, subject};

/// The right to write records, until another writer changes one.
#[derive(Debug)]
pub(crate) struct Store {
    bus: Bus,
    /// The bucket after the last message that this replica read or wrote.
    state: StreamState,
}

impl Store {
    /// The right to write to a bucket in this state, of which all records have been read.
    pub(crate) fn new(bus: Bus, state: StreamState) -> Self {
        Self { bus, state }
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

    async fn write(&mut self, subject: String, message: Encoded) -> Result<(), PublishError> {
        self.state.last_sequence = self.bus.publish(subject, message, None, self.unchanged()).await?;
        Ok(())
    }

    fn unchanged(&self) -> Expect {
        Expect::LastSequence(self.state.last_sequence)
    }
}

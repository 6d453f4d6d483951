//! Writing records, each on the condition that no other writer has changed the bucket since.
//!
//! The condition is on the bucket's last message, not on the record's. So a replica that another one
//! has superseded cannot store anything, on any node: compare-and-swap protects not only one
//! attempt, but the budget as a whole.

use std::sync::Arc;

use bellwether_chassis::{Bus, Expect, PublishError, Record, StreamState};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, Encoded, FleetControl, NodeName, SigningKey, encode, header, subject};
use tokio::sync::watch;

/// The right to write records, until another writer changes one.
#[derive(Debug)]
pub(crate) struct Store {
    bus: Bus,
    /// The bucket after the last message that this replica read or wrote.
    state: watch::Sender<StreamState>,
    /// Signs each record.
    key: Arc<SigningKey>,
}

impl Store {
    /// The right to write to a bucket in this state, of which all records have been read.
    pub(crate) fn new(bus: Bus, state: StreamState, key: Arc<SigningKey>) -> Self {
        let state = watch::Sender::new(state);
        Self { bus, state, key }
    }

    /// Proves to other tasks that no other writer has changed a record.
    pub(crate) fn ownership(&self) -> Ownership {
        Ownership {
            bus: self.bus.clone(),
            known: self.state.subscribe(),
        }
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
        self.write(subject::control_record(), encode(control)).await
    }

    /// Deletes the record of a node.
    pub(crate) async fn delete(&mut self, node: &NodeName) -> Result<(), PublishError> {
        let subject = subject::attempt_record(&node.token());
        let deleted = self.bus.delete(subject, self.unchanged()).await?;
        self.wrote(deleted);
        Ok(())
    }

    /// True if no other writer has changed a record.
    pub(crate) async fn is_newest(&self) -> anyhow::Result<bool> {
        let found = self.bus.state(ATTEMPTS_STREAM.name).await?;
        Ok(found == *self.state.borrow())
    }

    async fn write(&mut self, subject: String, mut message: Encoded) -> Result<(), PublishError> {
        let signature = self.key.sign(&subject, self.next(), &message.payload);
        message.headers.push((header::SIGNATURE, signature));
        self.store(subject, message).await
    }

    async fn store(&mut self, subject: String, message: Encoded) -> Result<(), PublishError> {
        let expected = self.next();
        let stored = self.bus.publish(subject.clone(), message, None, self.unchanged());
        let stored = stored.await?;
        self.wrote(stored);
        // Does not happen: a server that stores only after the expected message gives the next sequence. The signature would be
        // that of another place, so the record has to be written again.
        if stored == expected {
            Ok(())
        } else {
            Err(PublishError::Conflict { subject })
        }
    }

    /// The sequence of the next record. What is stored is signed for it, and for no other place.
    fn next(&self) -> u64 {
        self.state.borrow().last_sequence.saturating_add(1)
    }

    fn unchanged(&self) -> Expect {
        Expect::LastSequence(self.state.borrow().last_sequence)
    }

    fn wrote(&self, sequence: u64) {
        self.state.send_modify(|state| state.last_sequence = sequence);
    }
}

/// Whether no other writer has changed a record, for tasks beside the one that writes them.
#[derive(Debug, Clone)]
pub(crate) struct Ownership {
    bus: Bus,
    known: watch::Receiver<StreamState>,
}

impl Ownership {
    /// True if every message of the bucket at some instant of this call was this replica's, or known to it. False: not, or a
    /// write of this replica is on its way.
    pub(crate) async fn is_proved(&self) -> anyhow::Result<bool> {
        let before = *self.known.borrow();
        let found = self.bus.state(ATTEMPTS_STREAM.name).await?;
        let after = *self.known.borrow();
        Ok(proves(before, found, after))
    }
}

/// Each write of this replica demands that the one before it is the last message. So what it has written last shows that all
/// before are its own; a message beyond that may be another's.
fn proves(before: StreamState, found: StreamState, after: StreamState) -> bool {
    let known = before.last_sequence..=after.last_sequence;
    found.created == before.created && known.contains(&found.last_sequence)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn only_messages_that_this_replica_knows_prove_that_the_records_are_its_own() {
        let state = |created, last_sequence| StreamState {
            created: Timestamp::from_second(created).unwrap(),
            last_sequence,
        };
        for (before, found, after, expected) in [
            (5, 5, 5, true),
            // Written meanwhile by this replica.
            (5, 6, 6, true),
            (5, 5, 6, true),
            // By another one, or by this one without an answer yet.
            (5, 6, 5, false),
            (5, 8, 6, false),
            // A server that is behind.
            (5, 4, 5, false),
        ] {
            let proved = proves(state(1, before), state(1, found), state(1, after));
            assert_eq!(proved, expected, "{before} {found} {after}");
        }
        assert!(
            !proves(state(1, 5), state(2, 5), state(1, 5)),
            "the bucket was created again"
        );
    }
}

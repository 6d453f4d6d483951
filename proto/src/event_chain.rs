//! Where the chain of a node's events stands, as its record has it.

use crate::event_link::{EventHash, Linked};
use crate::message::decode_body;
use crate::wire;

/// Where a chain stands. See [`wire::EventChain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventChain {
    /// The number of its newest event.
    pub sequence: u64,
    /// The newest event.
    pub hash: EventHash,
    /// The bodies of the newest events that the stream may not have yet, oldest first.
    pub unpublished: Vec<Vec<u8>>,
}

/// What a stream lacks of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacking<'a> {
    /// The bodies of the events, oldest first.
    pub bodies: &'a [Vec<u8>],
    /// The first of them names the stream's newest event as the one before. Else the stream may have newer ones, of another
    /// writer of the record: only the owner of the records may publish them.
    pub follows: bool,
}

impl EventChain {
    /// What a stream lacks whose newest event of the chain's subject is this one.
    #[must_use]
    pub fn lacking<E: Linked>(&self, newest: Option<EventHash>) -> Lacking<'_> {
        // Also if the record had no room for that event.
        if newest == Some(self.hash) {
            return Lacking {
                bodies: &[],
                follows: true,
            };
        }
        if let Some(position) = newest.and_then(|newest| self.position(newest)) {
            let bodies = self.unpublished.get(position.saturating_add(1)..).unwrap_or_default();
            return Lacking { bodies, follows: true };
        }
        let first = self.unpublished.first().and_then(|body| decode_body::<E>(body).ok());
        let previous = first.and_then(|first| first.link()).and_then(|link| link.previous);
        Lacking {
            bodies: &self.unpublished,
            follows: newest.is_some() && previous == newest,
        }
    }

    /// The stream has this event, and those before it: none of them waits.
    pub fn published(&mut self, event: EventHash) {
        if let Some(position) = self.position(event) {
            self.unpublished.drain(..=position);
        }
    }

    /// The newest event that waits. It is not the newest of the chain if the record had no room for that one.
    #[must_use]
    pub fn newest_unpublished(&self) -> Option<EventHash> {
        self.unpublished.last().map(|body| EventHash::of(body))
    }

    fn position(&self, event: EventHash) -> Option<usize> {
        self.unpublished.iter().position(|body| EventHash::of(body) == event)
    }

    pub(crate) fn from_wire(wire: Option<wire::EventChain>) -> Option<Self> {
        let wire::EventChain {
            sequence,
            hash,
            unpublished,
        } = wire?;
        let hash = EventHash::from_bytes(&hash)?;
        (sequence > 0).then_some(Self {
            sequence,
            hash,
            unpublished,
        })
    }

    pub(crate) fn to_wire(&self) -> wire::EventChain {
        wire::EventChain {
            sequence: self.sequence,
            hash: self.hash.bytes().to_vec(),
            unpublished: self.unpublished.clone(),
        }
    }
}

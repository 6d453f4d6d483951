//! Where the chain of a node's events stands, as its record has it.

use crate::event_link::EventHash;
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

impl EventChain {
    /// The events that a stream lacks whose newest event of the chain's subject is this one.
    #[must_use]
    pub fn lacking(&self, newest: Option<EventHash>) -> &[Vec<u8>] {
        let stored = self
            .unpublished
            .iter()
            .position(|body| Some(EventHash::of(body)) == newest);
        let begin = stored.map_or(0, |position| position.saturating_add(1));
        self.unpublished.get(begin..).unwrap_or_default()
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

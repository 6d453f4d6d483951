//! The place of an event in a chain, and the hash by which the next one names it.

use std::fmt;

use ring::digest::{SHA256, digest};

use crate::message::Message;
use crate::wire;

/// An event that has a place in a chain.
pub trait Linked: Message {
    /// Most events of its chain that wait for the stream: the oldest beyond them is given up.
    const UNPUBLISHED_MAX: usize;

    /// Its place; none: it has not got one, or is of a version before the chain.
    fn link(&self) -> Option<EventLink>;

    /// Gives it this place.
    fn set_link(&mut self, link: EventLink);

    /// The record that names the newest event may be deleted after this one, so the next chain begins again.
    fn may_be_last(&self) -> bool;
}

/// SHA-256 of the body of an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventHash([u8; 32]);

/// The place of an event in a chain. See [`wire::EventLink`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLink {
    /// The number of the event, from 1.
    pub sequence: u64,
    /// The event before; none: this one is the first.
    pub previous: Option<EventHash>,
}

impl EventHash {
    /// That of an event with this body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, body).as_ref());
        Self(hash)
    }

    /// The hash as it travels.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash of these bytes; none if they are not as many as a hash has.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl EventLink {
    pub(crate) fn from_wire(wire: Option<wire::EventLink>) -> Option<Self> {
        let wire::EventLink { sequence, previous } = wire?;
        let previous = match previous.as_slice() {
            [] => None,
            bytes => Some(EventHash::from_bytes(bytes)?),
        };
        (sequence > 0).then_some(Self { sequence, previous })
    }

    pub(crate) fn to_wire(self) -> wire::EventLink {
        wire::EventLink {
            sequence: self.sequence,
            previous: self.previous.map(|hash| hash.bytes().to_vec()).unwrap_or_default(),
        }
    }
}

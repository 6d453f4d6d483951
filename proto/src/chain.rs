//! The chain of a node's events `phase-changed`: each names the hash of the one before, and the node's signed record that of
//! the newest. So an event that is missing, altered or inserted shows.
//!
//! It computes over bodies as they are stored, and does no input or output.

mod check;

pub use self::check::{ChainCheck, ChainFault, ChainHead, FaultCode};
use crate::event_chain::EventChain;
use crate::event_link::{EventHash, EventLink, Linked};
use crate::message::encode;

/// A chain with one event more, which gets its place in it.
#[must_use]
pub fn with<E: Linked>(chain: Option<EventChain>, mut event: E) -> EventChain {
    let next = EventLink {
        sequence: chain.as_ref().map_or(0, |chain| chain.sequence).saturating_add(1),
        previous: chain.as_ref().map(|chain| chain.hash),
    };
    event.set_link(next);
    let body = encode(&event).payload;
    let mut unpublished = chain.map(|chain| chain.unpublished).unwrap_or_default();
    if unpublished.len() >= E::UNPUBLISHED_MAX {
        unpublished.remove(0);
    }
    let hash = EventHash::of(&body);
    unpublished.push(body);
    EventChain {
        sequence: next.sequence,
        hash,
        unpublished,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::{Fact, NodeEvent};
    use crate::ids::{AttemptId, Generation};
    use crate::limit::{LINKED_EVENT_BYTES_MAX, UNPUBLISHED_MAX};
    use crate::message::decode_body;
    use crate::phase::Phase;
    use crate::wire;

    fn event(generation: u64, message: &str) -> NodeEvent {
        NodeEvent {
            node: "n1".parse().unwrap(),
            attempt: AttemptId::new(&"u".parse().unwrap(), Generation(1), Timestamp::UNIX_EPOCH),
            generation: Generation(generation),
            at: Timestamp::UNIX_EPOCH,
            source: "scheduler 0".to_owned(),
            fact: Fact::PhaseChanged {
                from: None,
                to: Phase::Draining,
                message: message.to_owned(),
                link: None,
                cause: None,
                detail: None,
            },
        }
    }

    fn link(body: &[u8]) -> EventLink {
        let event: NodeEvent = decode_body(body).unwrap();
        let Fact::PhaseChanged { link, .. } = event.fact else {
            panic!("another fact")
        };
        link.unwrap()
    }

    #[test]
    fn each_event_names_the_hash_of_the_one_before_and_the_chain_that_of_the_newest() {
        let first = with(None, event(1, ""));
        let body = first.unpublished[0].clone();
        assert_eq!((first.sequence, first.hash), (1, EventHash::of(&body)));
        assert_eq!(link(&body).previous, None);
        let second = with(Some(first.clone()), event(2, ""));
        let next = link(&second.unpublished[1]);
        assert_eq!((next.sequence, next.previous), (2, Some(first.hash)));
    }

    #[test]
    fn a_stream_lacks_what_comes_after_its_newest_event() {
        let mut chain = with(None, event(1, ""));
        let first = chain.hash;
        chain.published(first);
        assert_eq!(chain.unpublished, [] as [Vec<u8>; 0]);
        assert!(chain.lacking::<NodeEvent>(Some(first)).bodies.is_empty());
        let two = with(Some(chain), event(2, ""));
        let three = with(Some(two.clone()), event(3, ""));
        let newer = with(Some(three.clone()), event(4, ""));
        for (newest, begin, follows) in [
            (Some(three.hash), 2, true),
            (Some(two.hash), 1, true),
            (Some(first), 0, true),
            // The stream was purged, has events of an earlier chain, or newer ones by another leader.
            (None, 0, false),
            (Some(newer.hash), 0, false),
        ] {
            let lacking = three.lacking::<NodeEvent>(newest);
            assert_eq!(lacking.bodies, &three.unpublished[begin..], "{newest:?}");
            assert_eq!(lacking.follows, follows, "{newest:?}");
        }
        // Nor does a chain that begins follow a stream without an event.
        let begun = with(None, event(1, ""));
        assert!(!begun.lacking::<NodeEvent>(None).follows);
    }

    #[test]
    fn what_the_stream_has_waits_no_more_and_what_came_after_does() {
        let two = with(Some(with(None, event(1, ""))), event(2, ""));
        let mut three = with(Some(two.clone()), event(3, ""));
        let newest = three.unpublished[2].clone();
        three.published(two.hash);
        assert_eq!(three.unpublished, [newest]);
        // An event that is not among them changes nothing.
        three.published(two.hash);
        assert_eq!((three.unpublished.len(), three.sequence), (1, 3));
    }

    #[test]
    fn a_record_keeps_the_newest_events_and_all_of_them_are_short() {
        let mut chain = None;
        for generation in 1..=20 {
            chain = Some(with(chain, event(generation, &"x".repeat(20_000))));
        }
        let chain = chain.unwrap();
        assert_eq!(chain.unpublished.len(), UNPUBLISHED_MAX);
        assert_eq!(link(chain.unpublished.last().unwrap()).sequence, 20);
        assert!(
            chain
                .unpublished
                .iter()
                .all(|body| body.len() <= LINKED_EVENT_BYTES_MAX)
        );
    }

    #[test]
    fn a_hash_of_another_length_is_none() {
        let wire = |hash: Vec<u8>| wire::EventChain {
            sequence: 1,
            hash,
            unpublished: Vec::new(),
        };
        assert!(EventChain::from_wire(Some(wire(vec![7; 32]))).is_some());
        for hash in [vec![], vec![7; 31], vec![7; 33]] {
            assert_eq!(EventChain::from_wire(Some(wire(hash))), None);
        }
    }
}

//! Whether a chain holds: its events in the order of their stream, one after the other, against the heads that its signed
//! record names before and after they were read. It keeps no bodies, so a chain may be of any length.

use std::fmt;

use crate::event_link::{EventHash, EventLink, Linked};
use crate::message::decode_body;

/// What is wrong with a chain: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "docs/audit.md has a row for each")]
pub enum FaultCode {
    EventMissing,
    EventAltered,
    EventRepeated,
    EventUnlinked,
    ChainRestarted,
    HeadMissing,
    HeadDiffers,
    BeyondHead,
}

impl FaultCode {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::EventMissing,
        Self::EventAltered,
        Self::EventRepeated,
        Self::EventUnlinked,
        Self::ChainRestarted,
        Self::HeadMissing,
        Self::HeadDiffers,
        Self::BeyondHead,
    ];

    /// The code in tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventMissing => "EventMissing",
            Self::EventAltered => "EventAltered",
            Self::EventRepeated => "EventRepeated",
            Self::EventUnlinked => "EventUnlinked",
            Self::ChainRestarted => "ChainRestarted",
            Self::HeadMissing => "HeadMissing",
            Self::HeadDiffers => "HeadDiffers",
            Self::BeyondHead => "BeyondHead",
        }
    }
}

/// A place where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFault {
    /// What is wrong.
    pub code: FaultCode,
    /// The sequence, in the stream, of the event at which it shows; 0: after the newest one.
    pub place: u64,
    /// The same for operators.
    pub message: String,
}

/// The newest event of a chain, as a signed record names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Its number.
    pub sequence: u64,
    /// Its hash.
    pub hash: EventHash,
}

/// An event that was taken.
#[derive(Debug, Clone, Copy)]
struct Taken {
    head: ChainHead,
    /// Its attempt has ended, so the record may have been deleted with its Node: the next chain begins again.
    may_be_last: bool,
}

/// A walk along a chain.
#[derive(Debug, Default)]
pub struct ChainCheck {
    /// The head before the events were read. None: no record names one.
    before: Option<ChainHead>,
    first: Option<u64>,
    last: Option<Taken>,
    restarts: u64,
    /// The events since the chain began, with their places: the heads are those of the last chain.
    taken: Vec<(u64, ChainHead)>,
}

impl ChainCheck {
    /// A walk along the chain whose head was this one before the events were read.
    #[must_use]
    pub fn new(before: Option<ChainHead>) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Takes the next event of the stream, with its place there. After a fault the walk continues from this event.
    pub fn take<E: Linked>(&mut self, place: u64, body: &[u8]) -> Option<ChainFault> {
        let found = decode_body::<E>(body).ok();
        let found = found.and_then(|event| Some((event.link()?, event.may_be_last())));
        let fault = |code, message: String| Some(ChainFault { code, place, message });
        let Some((link, may_be_last)) = found else {
            // Those of a version before the chain stand before its begin.
            return self.last.and_then(|_| {
                let message =
                    "the event has no place in the chain: it is of a version before the chain, or was inserted";
                fault(FaultCode::EventUnlinked, message.to_owned())
            });
        };
        let head = ChainHead {
            sequence: link.sequence,
            hash: EventHash::of(body),
        };
        let before = self.last.replace(Taken { head, may_be_last });
        if link.sequence == 1 {
            self.taken.clear();
        }
        self.taken.push((place, head));
        self.first.get_or_insert(link.sequence);
        self.restarts += u64::from(link.sequence == 1 && before.is_some());
        let (code, message) = before.and_then(|before| after_event(&before, link))?;
        fault(code, message)
    }

    /// This event was taken.
    #[must_use]
    pub fn has(&self, event: EventHash) -> bool {
        self.taken.iter().any(|(_, head)| head.hash == event)
    }

    /// The number of the first event that is there. Those before it have left the stream, or are of another chain.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// How often the chain has begun again.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Ends the walk: where the chain does not match its heads. `after`: the one after the events were read.
    #[must_use]
    pub fn finish(self, after: Option<ChainHead>) -> Vec<ChainFault> {
        let last = self.last.map_or(0, |last| last.head.sequence);
        let missing = self.before.filter(|head| last < head.sequence).map(|head| ChainFault {
            code: FaultCode::HeadMissing,
            place: 0,
            message: format!(
                "the record names event {}, and the newest one of the stream is {last}",
                head.sequence
            ),
        });
        let at_heads = self.taken.iter().filter_map(|(place, found)| {
            let (code, message) = self.at_head(*found, after)?;
            let place = *place;
            Some(ChainFault { code, place, message })
        });
        at_heads.chain(missing).collect()
    }

    fn at_head(&self, found: ChainHead, after: Option<ChainHead>) -> Option<(FaultCode, String)> {
        let heads = [self.before, after];
        let named = heads.iter().flatten().find(|head| head.sequence == found.sequence);
        if let Some(named) = named.filter(|named| named.hash != found.hash) {
            let message = format!("the record names event {} with the hash {}", named.sequence, named.hash);
            return Some((FaultCode::HeadDiffers, message));
        }
        let newest = after.filter(|after| after.sequence < found.sequence)?;
        let message = format!("the newest event that the record names is {}", newest.sequence);
        Some((FaultCode::BeyondHead, message))
    }
}

/// What is wrong with an event after this one.
fn after_event(before: &Taken, link: EventLink) -> Option<(FaultCode, String)> {
    let ChainHead { sequence, hash } = before.head;
    if link.sequence == 1 {
        let message = "the chain begins again where it may not: its record was lost or deleted".to_owned();
        return (!before.may_be_last).then_some((FaultCode::ChainRestarted, message));
    }
    if link.sequence <= sequence {
        let message = format!("event {} comes after event {sequence}", link.sequence);
        return Some((FaultCode::EventRepeated, message));
    }
    if link.sequence > sequence.saturating_add(1) {
        let message = format!("event {} comes after event {sequence}", link.sequence);
        return Some((FaultCode::EventMissing, message));
    }
    (link.previous != Some(hash)).then(|| {
        let message = format!(
            "event {} names another event before it than the one that is there",
            link.sequence
        );
        (FaultCode::EventAltered, message)
    })
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::chain::with;
    use crate::event::{Fact, NodeEvent};
    use crate::event_chain::EventChain;
    use crate::ids::{AttemptId, Generation};
    use crate::message::encode;
    use crate::phase::Phase;

    fn event(message: &str, to: Phase) -> NodeEvent {
        NodeEvent {
            node: "n1".parse().unwrap(),
            attempt: AttemptId::new(&"u".parse().unwrap(), Generation(1), Timestamp::UNIX_EPOCH),
            generation: Generation(1),
            at: Timestamp::UNIX_EPOCH,
            source: "scheduler 0".to_owned(),
            fact: Fact::PhaseChanged {
                from: None,
                to,
                message: message.to_owned(),
                link: None,
                cause: None,
                detail: None,
            },
        }
    }

    /// The bodies of a chain of so many events, and its head.
    fn chain(events: usize, to: Phase) -> (Vec<Vec<u8>>, ChainHead) {
        let mut chain: Option<EventChain> = None;
        let mut bodies = Vec::new();
        for number in 0..events {
            let next = with(chain.take(), event(&number.to_string(), to));
            bodies.extend(next.unpublished.last().cloned());
            chain = Some(next);
        }
        let EventChain { sequence, hash, .. } = chain.unwrap();
        (bodies, ChainHead { sequence, hash })
    }

    fn walk(bodies: &[Vec<u8>], before: ChainHead, after: ChainHead) -> Vec<(FaultCode, u64)> {
        let mut check = ChainCheck::new(Some(before));
        let mut faults: Vec<_> = (1..)
            .zip(bodies)
            .filter_map(|(place, body)| check.take::<NodeEvent>(place, body))
            .collect();
        faults.extend(check.finish(Some(after)));
        faults.into_iter().map(|fault| (fault.code, fault.place)).collect()
    }

    #[test]
    fn a_chain_that_is_whole_holds_and_so_does_one_whose_begin_has_left_the_stream() {
        let (bodies, head) = chain(5, Phase::Draining);
        assert_eq!(walk(&bodies, head, head), []);
        assert_eq!(walk(&bodies[3..], head, head), []);
        // Three of them were stored while the events were read.
        let (_, before) = chain(2, Phase::Draining);
        assert_eq!(walk(&bodies, before, head), []);
        assert_eq!(walk(&bodies[..4], before, head), []);
    }

    #[test]
    fn an_event_that_is_missing_altered_repeated_or_inserted_shows_at_its_place() {
        let (bodies, head) = chain(5, Phase::Draining);
        let mut missing = bodies.clone();
        missing.remove(2);
        assert_eq!(walk(&missing, head, head), [(FaultCode::EventMissing, 3)]);
        let mut altered = bodies.clone();
        let mut other: NodeEvent = decode_body(&bodies[2]).unwrap();
        other.source.push('x');
        altered[2] = encode(&other).payload;
        assert_eq!(walk(&altered, head, head), [(FaultCode::EventAltered, 4)]);
        let mut repeated = bodies.clone();
        repeated.insert(4, bodies[3].clone());
        assert_eq!(walk(&repeated, head, head), [(FaultCode::EventRepeated, 5)]);
        let mut inserted = bodies;
        inserted.insert(3, encode(&event("inserted", Phase::Draining)).payload);
        assert_eq!(walk(&inserted, head, head), [(FaultCode::EventUnlinked, 4)]);
        let (forged, _) = chain(6, Phase::Draining);
        assert_eq!(walk(&forged, head, head), [(FaultCode::BeyondHead, 6)]);
    }

    #[test]
    fn a_stream_without_the_newest_events_or_with_others_does_not_match_the_head() {
        let (bodies, head) = chain(5, Phase::Draining);
        assert_eq!(walk(&bodies[..4], head, head), [(FaultCode::HeadMissing, 0)]);
        assert_eq!(walk(&[], head, head), [(FaultCode::HeadMissing, 0)]);
        let (others, _) = chain(5, Phase::Soaking);
        assert_eq!(walk(&others, head, head), [(FaultCode::HeadDiffers, 5)]);
    }

    #[test]
    fn a_chain_begins_again_only_after_the_end_of_an_attempt() {
        let (ended, _) = chain(3, Phase::Done);
        let (next, head) = chain(2, Phase::Draining);
        assert_eq!(walk(&[ended, next.clone()].concat(), head, head), []);
        let (whole, _) = chain(3, Phase::Draining);
        let joined = [whole, next].concat();
        assert_eq!(walk(&joined, head, head), [(FaultCode::ChainRestarted, 4)]);
    }

    #[test]
    fn events_before_the_begin_of_the_chain_are_of_an_older_version() {
        let (bodies, head) = chain(2, Phase::Draining);
        let old = vec![encode(&event("old", Phase::Draining)).payload; 3];
        assert_eq!(walk(&[old, bodies].concat(), head, head), []);
    }
}

//! The chains of events that a leader continues: which events wait for the stream, whose turn is next, and when a record may
//! be deleted. Its owner stores the records and publishes the events.
//!
//! An event takes part only once its record is stored: what is published is always in a signed record first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use bellwether_proto::{EventChain, EventHash, Linked, NodeName, chain, subject};
use jiff::Timestamp;

/// The clocks of the scheduler and of NATS differ by less. An event that waits is published once too often rather than never.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// Whose chain it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// That of all nodes: the operators' orders.
    Fleet,
    /// That of a node: the phases of its attempts.
    Node(NodeName),
}

impl Owner {
    /// Where its events are.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Fleet => subject::order_changed(),
            Self::Node(node) => subject::phase_changed(&node.token()),
        }
    }
}

/// A chain as a record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChain {
    /// Whose it is.
    pub owner: Owner,
    /// The chain.
    pub chain: EventChain,
    /// When its newest event happened: the record may have been stored since, as it is with a new key.
    pub at: Timestamp,
}

/// The newest event of a subject, as the stream has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Its hash.
    pub hash: EventHash,
}

/// A chain with events that the stream may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose it is.
    pub owner: Owner,
    /// The chain.
    pub chain: EventChain,
    /// The newest event that the stream has, as far as this leader knows without a look.
    pub newest: Option<Newest>,
}

/// An event that waits no more, since too many of its chain came after it: the chain has a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// Whose chain it is.
    pub owner: Owner,
    /// Its number.
    pub sequence: u64,
}

/// Where a chain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// The chain.
    pub chain: &'a EventChain,
    /// Its newest event is older than all that the stream has.
    pub has_left: bool,
}

#[derive(Debug)]
struct Kept {
    chain: EventChain,
    at: Timestamp,
    newest: Option<Newest>,
    retry: Retry,
}

/// When a chain whose events were not taken is tried again.
#[derive(Debug, Clone, Copy, Default)]
struct Retry {
    /// How many tries have failed, one after the other.
    failures: u32,
    /// Not before.
    at: Option<Timestamp>,
}

/// All chains.
#[derive(Debug, Default)]
pub struct Trail {
    chains: BTreeMap<Owner, Kept>,
    /// Those with an event that the stream may not have.
    waiting: BTreeSet<Owner>,
    /// The last one that was due.
    tried: Option<Owner>,
    /// A chain with an event whose record is not stored yet.
    entering: Option<StoredChain>,
    /// Nodes whose record is to be deleted once the stream has its events.
    leaving: BTreeSet<NodeName>,
}

impl Trail {
    /// Continues these chains.
    #[must_use]
    pub fn new(stored: Vec<StoredChain>) -> Self {
        let mut trail = Self::default();
        for StoredChain { owner, chain, at } in stored {
            if !chain.unpublished.is_empty() {
                trail.waiting.insert(owner.clone());
            }
            let (newest, retry) = (None, Retry::default());
            trail.chains.insert(
                owner,
                Kept {
                    chain,
                    at,
                    newest,
                    retry,
                },
            );
        }
        trail
    }

    /// The chain that a record has to have, with this event, which happened then. None: the record has no chain.
    #[must_use]
    pub fn enter<E: Linked>(&mut self, owner: Owner, at: Timestamp, event: Option<E>) -> Option<EventChain> {
        if let Owner::Node(node) = &owner {
            self.leaving.remove(node);
        }
        let before = self.chains.get(&owner).map(|kept| kept.chain.clone());
        let Some(event) = event else { return before };
        let chain = chain::with(before, event);
        self.entering = Some(StoredChain {
            owner,
            chain: chain.clone(),
            at,
        });
        Some(chain)
    }

    /// The record is stored, so its event may be published. Returns the event that was given up for it.
    pub fn stored(&mut self) -> Option<GivenUp> {
        let StoredChain { owner, mut chain, at } = self.entering.take()?;
        let before = self.chains.get(&owner);
        let oldest = before.and_then(|kept| oldest_waiting(&kept.chain));
        let given_up = oldest.filter(|oldest| oldest_waiting(&chain).is_some_and(|next| *oldest < next));
        let newest = before.and_then(|kept| kept.newest);
        // A stream that takes no event of this chain takes no further one either.
        let retry = before.map(|kept| kept.retry).unwrap_or_default();
        // Published while the record was being stored.
        if let Some(newest) = newest {
            chain.published(newest.hash);
        }
        self.waiting.insert(owner.clone());
        self.chains.insert(
            owner.clone(),
            Kept {
                chain,
                at,
                newest,
                retry,
            },
        );
        given_up.map(|sequence| GivenUp { owner, sequence })
    }

    /// The next chain with events to publish now, each in turn: one whose event is never taken keeps no other one waiting.
    pub fn next_due(&mut self, now: Timestamp) -> Option<Due> {
        let after = self.tried.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.waiting.range((after, Bound::Unbounded));
        let mut in_turn = later.chain(&self.waiting);
        let is_due = |owner: &&Owner| self.retry_at(owner).is_none_or(|at| at <= now);
        let owner = in_turn.find(is_due)?.clone();
        self.tried = Some(owner.clone());
        let Kept { chain, newest, .. } = self.chains.get(&owner)?;
        Some(Due {
            chain: chain.clone(),
            newest: *newest,
            owner,
        })
    }

    /// When the next chain is due that is not due yet. None: none is.
    #[must_use]
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.waiting.iter().filter_map(|owner| self.retry_at(owner)).min()
    }

    fn retry_at(&self, owner: &Owner) -> Option<Timestamp> {
        self.chains.get(owner)?.retry.at
    }

    /// The stream has this event as the newest of the chain. None before it waits, up to `done`: the last one that was published
    /// or had to be left out.
    pub fn published(&mut self, owner: &Owner, newest: Option<Newest>, done: EventHash) {
        if let Some(kept) = self.chains.get_mut(owner) {
            kept.newest = newest;
            kept.retry = Retry::default();
            kept.chain.published(done);
            if kept.chain.unpublished.is_empty() {
                self.waiting.remove(owner);
            }
        }
    }

    /// The stream lacks nothing of what was due, up to the newest event that waited then. That need not be the chain's newest: a
    /// record may have had no room for it.
    pub fn complete(&mut self, due: &Due, newest: Option<Newest>) {
        let done = due.chain.newest_unpublished().unwrap_or(due.chain.hash);
        self.published(&due.owner, newest, done);
    }

    /// Whether an event of what was due waits no more. Else a repetition would do the same again.
    #[must_use]
    pub fn has_progressed(&self, due: &Due) -> bool {
        let waits = self
            .chains
            .get(&due.owner)
            .filter(|_| self.waiting.contains(&due.owner));
        waits.is_none_or(|kept| kept.chain.unpublished.first() != due.chain.unpublished.first())
    }

    /// What the stream has of this chain is not known any more, and no event of it was taken: the chain is not due before that
    /// time. None: NATS answered nothing at all, which is no fault of the chain.
    pub fn failed(&mut self, owner: &Owner, retry_at: Option<Timestamp>) {
        let Some(kept) = self.chains.get_mut(owner) else { return };
        kept.newest = None;
        if retry_at.is_some() {
            kept.retry = Retry {
                failures: kept.retry.failures.saturating_add(1),
                at: retry_at,
            };
        }
    }

    /// How many tries to publish an event of this chain have failed, one after the other.
    #[must_use]
    pub fn failures(&self, owner: &Owner) -> u32 {
        self.chains.get(owner).map_or(0, |kept| kept.retry.failures)
    }

    /// What the stream has of all chains, by their subjects. An event that is older than `oldest` would have left the stream by
    /// now, so it does not wait.
    pub fn settle(&mut self, oldest: Option<Timestamp>, newest: &BTreeMap<String, Newest>) {
        for owner in self.waiting.clone() {
            let Some(kept) = self.chains.get(&owner) else { continue };
            let found = newest.get(&owner.subject()).copied();
            let has_left = oldest.is_some_and(|oldest| kept.at < oldest);
            if has_left || found.is_some_and(|found| found.hash == kept.chain.hash) {
                let due = Due {
                    chain: kept.chain.clone(),
                    newest: found,
                    owner,
                };
                self.complete(&due, found);
            }
        }
    }

    /// The record of this node is to be deleted, and its next chain begins again. False: not before the stream has its
    /// events, since they are nowhere else. Then [`Self::next_to_leave`] has it.
    #[must_use]
    pub fn leave(&mut self, node: &NodeName) -> bool {
        let owner = Owner::Node(node.clone());
        if self.waiting.contains(&owner) {
            self.leaving.insert(node.clone());
            return false;
        }
        self.chains.remove(&owner);
        true
    }

    /// A node whose record may be deleted now.
    pub fn next_to_leave(&mut self) -> Option<NodeName> {
        let waits = |node: &NodeName| self.waiting.contains(&Owner::Node(node.clone()));
        let node = self.leaving.iter().find(|node| !waits(node))?.clone();
        self.leaving.remove(&node);
        self.chains.remove(&Owner::Node(node.clone()));
        Some(node)
    }

    /// Where each chain stands. `kept_since`: from when on the stream has each event.
    pub fn heads(&self, kept_since: Option<Timestamp>) -> impl Iterator<Item = Head<'_>> {
        self.chains.iter().map(move |(owner, Kept { chain, at, .. })| Head {
            owner,
            chain,
            has_left: chain.unpublished.is_empty() && kept_since.is_some_and(|since| *at < since),
        })
    }
}

/// The number of the oldest event of a chain that waits.
fn oldest_waiting(chain: &EventChain) -> Option<u64> {
    let waiting = u64::try_from(chain.unpublished.len())
        .ok()
        .filter(|waiting| *waiting > 0)?;
    Some(chain.sequence.saturating_sub(waiting).saturating_add(1))
}

/// From when on a stream has each event, for [`Trail::settle`]. `kept_since`: since when it has each message by its own clock;
/// none: no message has left it, [`Timestamp::MAX`]: it is empty, and shows nothing.
#[must_use]
pub fn oldest_kept(now: Timestamp, max_age: Option<Duration>, kept_since: Option<Timestamp>) -> Option<Timestamp> {
    let by_age = max_age.map(|age| now.checked_sub(age).unwrap_or(Timestamp::MIN));
    let by_place = kept_since.filter(|since| *since < Timestamp::MAX);
    let by_place = by_place.map(|since| since.checked_sub(CLOCKS_DIFFER).unwrap_or(Timestamp::MIN));
    by_age.max(by_place)
}

#[cfg(test)]
#[path = "trail_tests.rs"]
mod tests;

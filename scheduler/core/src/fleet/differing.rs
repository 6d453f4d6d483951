//! Nodes that are not as wanted, each with the change that would make them so: a few are asked for at a time.
//!
//! By the view of each node, and by no record: a node that is not as wanted is changed again and again. So a request that is lost,
//! comes late or is undone by an operator needs no rule of its own.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{NodeName, NodeUid};
use jiff::{SignedDuration, Timestamp};

use crate::timers::later;

/// How many requests without an effect yet there are at most: as a window opens, thousands of nodes may begin to wait,
/// and a drain must not queue behind a request for each.
const UNDER_WAY_MAX: usize = 20;

/// After so long a request has no effect any more, and another one may be sent.
pub(super) const LASTS: SignedDuration = SignedDuration::from_mins(1);

/// How soon a change has to be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Before those of nodes that only wait.
    First,
    /// In the order in which nodes began to differ.
    Usual,
    /// After all others.
    Last,
}

/// The nodes that are not as wanted.
#[derive(Debug, Clone)]
pub(super) struct Differing<T> {
    nodes: BTreeMap<NodeName, Difference<T>>,
    /// Those without a request that may have an effect, in the order in which they are to be requested.
    queue: BTreeSet<(Urgency, Timestamp, NodeName)>,
    /// Those with one, by the end of its effect.
    under_way: BTreeSet<(Timestamp, NodeName)>,
}

#[derive(Debug, Clone)]
struct Difference<T> {
    uid: NodeUid,
    change: T,
    urgency: Urgency,
    /// Since when the node waits for a request; or when the effect of the present one ends.
    at: Timestamp,
    is_under_way: bool,
}

/// A change that is due.
pub(super) struct Due<T> {
    pub(super) node: NodeName,
    pub(super) node_uid: NodeUid,
    pub(super) change: T,
    /// From this instant on the request has no effect.
    pub(super) not_after: Timestamp,
}

impl<T> Default for Differing<T> {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            queue: BTreeSet::new(),
            under_way: BTreeSet::new(),
        }
    }
}

impl<T: Clone + PartialEq> Differing<T> {
    /// Notes the change that a node needs; none: the node is as wanted.
    pub(super) fn set(&mut self, name: &NodeName, change: Option<(NodeUid, T, Urgency)>, now: Timestamp) {
        let known = self.nodes.get(name);
        let known = known.map(|known| (&known.uid, &known.change));
        if known == change.as_ref().map(|(uid, wanted, _)| (uid, wanted)) {
            return;
        }
        if let Some(before) = self.nodes.remove(name) {
            self.queue.remove(&(before.urgency, before.at, name.clone()));
            self.under_way.remove(&(before.at, name.clone()));
        }
        if let Some((uid, change, urgency)) = change {
            self.queue.insert((urgency, now, name.clone()));
            let difference = Difference {
                uid,
                change,
                urgency,
                at: now,
                is_under_way: false,
            };
            self.nodes.insert(name.clone(), difference);
        }
    }

    /// The next request, unless enough are under way.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Due<T>> {
        while let Some((at, name)) = self.under_way.pop_first() {
            if at > now {
                self.under_way.insert((at, name));
                break;
            }
            self.enqueue(name, at);
        }
        if self.under_way.len() >= UNDER_WAY_MAX {
            return None;
        }
        let (_, _, name) = self.queue.pop_first()?;
        let difference = self.nodes.get_mut(&name)?;
        difference.at = later(now, LASTS);
        difference.is_under_way = true;
        self.under_way.insert((difference.at, name.clone()));
        Some(Due {
            node: name,
            node_uid: difference.uid.clone(),
            change: difference.change.clone(),
            not_after: difference.at,
        })
    }

    /// The change of a node whose request may be under way.
    pub(super) fn requested(&self, name: &NodeName) -> Option<&T> {
        let difference = self.nodes.get(name)?;
        difference.is_under_way.then_some(&difference.change)
    }

    /// When the first request that was under way at this instant has no effect any more.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.under_way.iter().map(|(at, _)| *at).find(|at| *at > now)
    }

    /// Forgets the requests that are under way: the clock was set back.
    pub(super) fn forget_requests(&mut self) {
        while let Some((_, name)) = self.under_way.pop_first() {
            self.enqueue(name, Timestamp::MIN);
        }
    }

    fn enqueue(&mut self, name: NodeName, at: Timestamp) {
        if let Some(difference) = self.nodes.get_mut(&name) {
            difference.at = at;
            difference.is_under_way = false;
            self.queue.insert((difference.urgency, at, name));
        }
    }
}

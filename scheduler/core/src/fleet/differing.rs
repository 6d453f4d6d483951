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

/// The nodes that are not as wanted.
#[derive(Debug, Clone)]
pub(super) struct Differing<T> {
    /// By name: the change, and from when on it may be requested.
    nodes: BTreeMap<NodeName, (NodeUid, T, Timestamp)>,
    /// The same by that instant. One in the future: a request is under way.
    queue: BTreeSet<(Timestamp, NodeName)>,
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
        }
    }
}

impl<T: Clone + PartialEq> Differing<T> {
    /// Notes the change that a node needs; none: the node is as wanted.
    pub(super) fn set(&mut self, name: &NodeName, change: Option<(&NodeUid, T)>) {
        let known = self.nodes.get(name);
        if known.map(|(uid, known, _)| (uid, known)) == change.as_ref().map(|(uid, wanted)| (*uid, wanted)) {
            return;
        }
        if let Some((_, _, from)) = self.nodes.remove(name) {
            self.queue.remove(&(from, name.clone()));
        }
        if let Some((uid, change)) = change {
            self.nodes.insert(name.clone(), (uid.clone(), change, Timestamp::MIN));
            self.queue.insert((Timestamp::MIN, name.clone()));
        }
    }

    /// The next request, unless enough are under way.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Due<T>> {
        let under_way = self.queue.iter().rev().take_while(|(from, _)| *from > now).count();
        let is_due = self.queue.first().is_some_and(|(from, _)| *from <= now);
        if !is_due || under_way >= UNDER_WAY_MAX {
            return None;
        }
        let (_, name) = self.queue.pop_first()?;
        let (uid, change, at) = self.nodes.get_mut(&name)?;
        *at = later(now, LASTS);
        let due = Due {
            node: name.clone(),
            node_uid: uid.clone(),
            change: change.clone(),
            not_after: *at,
        };
        self.queue.insert((*at, name));
        Some(due)
    }

    /// The change of a node that may be under way.
    pub(super) fn requested(&self, name: &NodeName) -> Option<&T> {
        let (_, change, from) = self.nodes.get(name)?;
        (*from > Timestamp::MIN).then_some(change)
    }

    /// When the first request that was under way at this instant has no effect any more.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let under_way = self.queue.iter().rev().take_while(|(from, _)| *from > now);
        under_way.last().map(|(from, _)| *from)
    }

    /// Forgets the requests that are under way: the clock was set back.
    pub(super) fn forget_requests(&mut self) {
        self.queue = self.nodes.keys().map(|name| (Timestamp::MIN, name.clone())).collect();
        self.nodes.values_mut().for_each(|(_, _, from)| *from = Timestamp::MIN);
    }
}

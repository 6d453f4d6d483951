//! Orders that operators choose by policy, beyond what disruption budgets demand: pods with volumes one after the other
//! (D13), and the members of a StatefulSet one at a time (D35).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bellwether_proto::{DrainTerms, ObstacleKind};
use jiff::Timestamp;

use super::blockers::{Blocker, Rank};
use super::turns::{Ask, Waiting};
use crate::backoff::after;
use crate::pod::{Class, NodePod, StayReason};
use crate::stateful_set::{SetKey, SetTurn, StatefulSets};
use crate::terms::detach_wait;
use crate::volume::{Attached, ClaimKey};
use crate::watched::{Looked, Unseen};

/// A pod whose turn it is, with what it asks of a budget.
type Ready<'a> = (Waiting<'a>, Option<Ask>);

/// What one drain knows for its orders.
#[derive(Debug)]
pub(super) struct Order {
    terms: DrainTerms,
    attached: Looked<Vec<Attached>>,
    sets: Looked<Arc<StatefulSets>>,
    /// The pods with volumes that go or went, by UID, until their volumes are detached.
    moving: BTreeMap<String, Moving>,
    /// The pod with volumes that the newest choice offers, by UID.
    offered: Option<(String, Moving)>,
    /// The version of each StatefulSet by whose numbers a member was evicted last.
    used: BTreeMap<SetKey, String>,
}

/// A pod with volumes that goes or went.
#[derive(Debug)]
struct Moving {
    name: String,
    claims: BTreeSet<ClaimKey>,
    /// Since when the volumes could be detached: the pod is gone, or has been over its grace since.
    since: Option<Timestamp>,
    is_gone: bool,
}

/// Why a member of a StatefulSet waits, for operators.
enum MemberWaits {
    /// Another member ends, or the set is not known.
    Passing(String),
    /// Another member is missing.
    Missing(String),
}

/// The pods that remain of those whose turn it is, and what follows for the others.
#[derive(Debug, Default)]
pub(super) struct Chosen<'a> {
    pub(super) ready: Vec<Ready<'a>>,
    /// The turns of StatefulSets that evictions take, by the UIDs of the pods.
    pub(super) turns: BTreeMap<String, SetTurn>,
    pub(super) blocking: Vec<Blocker>,
    pub(super) look_again: Option<Timestamp>,
}

impl Moving {
    fn of(pod: &NodePod) -> Self {
        Self {
            name: pod.to_string(),
            claims: pod.claims().collect(),
            since: None,
            is_gone: false,
        }
    }
}

impl Order {
    pub(super) fn new(terms: DrainTerms) -> Self {
        Self {
            terms,
            attached: Err(Unseen::passing("they have not been listed yet")),
            sets: Err(Unseen::passing("they have not been listed yet")),
            moving: BTreeMap::new(),
            offered: None,
            used: BTreeMap::new(),
        }
    }

    pub(super) fn handle_attached(&mut self, attached: Looked<Vec<Attached>>) {
        self.attached = attached;
    }

    pub(super) fn handle_sets(&mut self, sets: Looked<Arc<StatefulSets>>) {
        self.sets = sets;
    }

    /// The eviction of this pod is under way; it may be gone by the next choice.
    pub(super) fn started(&mut self, uid: &str) {
        self.moving.extend(self.offered.take_if(|(offered, _)| offered == uid));
    }

    /// A member of a StatefulSet was evicted: the numbers by which it went are used up.
    pub(super) fn evicted(&mut self, turn: SetTurn) {
        self.used.insert(turn.key, turn.version);
    }

    /// Chooses among the pods whose turn it is by their budgets. `under_way` are those whose eviction has no answer yet, or
    /// succeeded and does not show yet; `pods` all pods of the node.
    pub(super) fn choose<'a>(
        &mut self,
        now: Timestamp,
        ready: Vec<Ready<'a>>,
        under_way: &[Waiting<'_>],
        pods: &[NodePod],
    ) -> Chosen<'a> {
        let mut chosen = Chosen {
            ready,
            ..Chosen::default()
        };
        if self.terms.one_member_at_a_time {
            self.choose_members(&mut chosen, under_way, pods);
        }
        if self.terms.serial_volumes {
            self.follow(now, under_way, pods);
            self.choose_volumes(now, &mut chosen);
        }
        chosen
    }

    /// Keeps one member of each StatefulSet that is whole, of those that ask no budget.
    fn choose_members<'a>(&self, chosen: &mut Chosen<'a>, under_way: &[Waiting<'_>], pods: &[NodePod]) {
        let ending = pods.iter().filter(|pod| matches!(pod.class, Class::Terminating { .. }));
        let flying = under_way.iter().map(|waiting| waiting.pod);
        let mut going: BTreeMap<SetKey, String> = ending
            .chain(flying)
            .filter_map(|pod| Some((SetKey::of(pod)?, pod.to_string())))
            .collect();
        let mut kept: BTreeMap<SetKey, (usize, MemberWaits, &NodePod)> = BTreeMap::new();
        let mut turns = BTreeMap::new();
        chosen.ready.retain(|(waiting, ask)| {
            let pod: &'a NodePod = waiting.pod;
            // A budget of its own decides; and a member that is not Ready is missing already.
            let Some(key) = SetKey::of(pod).filter(|_| ask.is_none() && pod.facts.is_ready) else {
                return true;
            };
            match self.member_waits(&key, &going) {
                None => {
                    // Those after it wait for its return.
                    going.insert(key.clone(), pod.to_string());
                    let set = self.sets.as_ref().ok().and_then(|sets| sets.get(&key));
                    if let Some(set) = set {
                        let version = set.version.clone();
                        turns.insert(pod.uid.clone(), SetTurn { key, version });
                    }
                    true
                }
                Some(reason) => {
                    let (members, ..) = kept.entry(key).or_insert((0, reason, pod));
                    *members = members.saturating_add(1);
                    false
                }
            }
        });
        chosen.turns = turns;
        for (key, (members, waits, pod)) in kept {
            let of = |reason| {
                format!("{members} pods of {key} wait, since its members go one at a time by policy: {reason}")
            };
            chosen.blocking.push(match waits {
                MemberWaits::Passing(reason) => Blocker::passing(Rank::Passing, of(reason)),
                // As with a disruption budget, which such a set has by policy.
                MemberWaits::Missing(reason) => Blocker::lasting(Rank::Budget, of(reason), ObstacleKind::Budget, pod),
            });
        }
    }

    /// Why a member of this set waits; none: its turn has come.
    fn member_waits(&self, key: &SetKey, going: &BTreeMap<SetKey, String>) -> Option<MemberWaits> {
        if let Some(pod) = going.get(key) {
            return Some(MemberWaits::Passing(format!("{pod} ends first")));
        }
        match &self.sets {
            Err(unseen) if unseen.lasts => None,
            Err(unseen) => Some(MemberWaits::Passing(unseen.reason.clone())),
            // Without its set no member returns, so none is waited for.
            Ok(sets) => sets.get(key).and_then(|set| {
                let is_used = self.used.get(key) == Some(&set.version);
                (is_used || !set.is_whole()).then(|| MemberWaits::Missing(set.numbers()))
            }),
        }
    }

    /// Follows the pods with volumes that go or went, until their volumes are detached or the wait is over.
    fn follow(&mut self, now: Timestamp, under_way: &[Waiting<'_>], pods: &[NodePod]) {
        let limit = detach_wait(&self.terms);
        let ending = pods.iter().filter(|pod| matches!(pod.class, Class::Terminating { .. }));
        for pod in ending.chain(under_way.iter().map(|waiting| waiting.pod)) {
            if pod.facts.claims.is_empty() {
                continue;
            }
            let moving = self.moving.entry(pod.uid.clone()).or_insert_with(|| Moving::of(pod));
            if let Class::Terminating { grace_ends_at } = pod.class {
                moving.since = Some(grace_ends_at);
            }
        }
        let present: BTreeMap<&str, &NodePod> = pods.iter().map(|pod| (pod.uid.as_str(), pod)).collect();
        // Another pod of the node may use the same volume, which stays attached for that pod.
        let used: BTreeSet<ClaimKey> = pods
            .iter()
            .filter(|pod| !self.moving.contains_key(&pod.uid))
            .flat_map(NodePod::claims)
            .collect();
        let attached = &self.attached;
        let flying: BTreeSet<&str> = under_way.iter().map(|waiting| waiting.pod.uid.as_str()).collect();
        self.moving.retain(|uid, moving| {
            // An instant that was noted before the clock was set back.
            if moving.is_gone {
                moving.since = moving.since.map(|since| since.min(now));
            }
            match present.get(uid.as_str()).map(|pod| &pod.class) {
                // A finalizer keeps the object of a pod whose containers have ended: the volume is free to move.
                None | Some(Class::Stays(StayReason::Finished)) if !moving.is_gone => {
                    moving.is_gone = true;
                    moving.since = Some(now);
                }
                None | Some(Class::Terminating { .. } | Class::Stays(StayReason::Finished)) => (),
                // The eviction had no success.
                Some(Class::Evictable { .. } | Class::Stays(_)) if !flying.contains(uid.as_str()) => return false,
                Some(Class::Evictable { .. } | Class::Stays(_)) => return true,
            }
            let is_over = moving.since.is_some_and(|since| after(since, limit) <= now);
            let is_attached = match attached {
                Ok(attached) => attached.iter().any(|attached| {
                    let claim = attached.claim.as_ref();
                    claim.is_some_and(|claim| moving.claims.contains(claim) && !used.contains(claim))
                }),
                Err(unseen) => !unseen.lasts,
            };
            !is_over && (!moving.is_gone || is_attached)
        });
    }

    /// Keeps one pod with volumes, of the highest priority, if none goes.
    fn choose_volumes(&mut self, now: Timestamp, chosen: &mut Chosen<'_>) {
        let has_volumes = |waiting: &Waiting<'_>| !waiting.pod.facts.claims.is_empty();
        let all = chosen
            .ready
            .iter()
            .map(|(waiting, _)| waiting)
            .filter(|waiting| has_volumes(waiting));
        let first = all.min_by_key(|waiting| {
            let pod = waiting.pod;
            (-i64::from(pod.facts.priority), waiting.tries, &pod.namespace, &pod.name)
        });
        self.offered = first.map(|waiting| (waiting.pod.uid.clone(), Moving::of(waiting.pod)));
        let Some((first, _)) = &self.offered else {
            return;
        };
        let moving = self.moving.values().next();
        let is_chosen = |waiting: &Waiting<'_>| moving.is_none() && waiting.pod.uid == *first;
        let before = chosen.ready.len();
        chosen
            .ready
            .retain(|(waiting, _)| !has_volumes(waiting) || is_chosen(waiting));
        let waiting = before.saturating_sub(chosen.ready.len());
        let Some(moving) = moving else {
            return;
        };
        let limit = detach_wait(&self.terms);
        let ends = self
            .moving
            .values()
            .filter_map(|moving| Some(after(moving.since?, limit)));
        chosen.look_again = ends.filter(|at| *at > now).min();
        let name = &moving.name;
        let reason = if moving.is_gone {
            format!("the volumes of {name} are still attached")
        } else {
            format!("{name} ends first")
        };
        let sentence =
            format!("{waiting} pods with volumes wait, since they go one after the other by policy: {reason}");
        chosen.blocking.push(Blocker::passing(Rank::Passing, sentence));
    }
}

/// Chooses so many of the pods whose turn it is. Returns also what their evictions ask for.
pub(super) fn next_evictions(mut ready: Vec<Ready<'_>>, places: usize) -> (Vec<NodePod>, BTreeMap<String, Ask>) {
    // Pods without a try come first, so that blocked pods do not starve them; among these, pods that a budget may keep.
    ready.sort_by_key(|(waiting, ask)| {
        let pod = waiting.pod;
        (waiting.tries, ask.is_none(), &pod.namespace, &pod.name)
    });
    ready.truncate(places);
    let asks = ready
        .iter()
        .filter_map(|(waiting, ask)| Some((waiting.pod.uid.clone(), ask.clone()?)));
    let asks = asks.collect();
    (
        ready.into_iter().map(|(waiting, _)| waiting.pod.clone()).collect(),
        asks,
    )
}

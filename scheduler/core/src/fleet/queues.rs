//! The nodes of each policy that need a reboot, for the event about them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bellwether_policy::Governing;
use bellwether_proto::limit::{QUEUES_MAX, UNDRAINABLE_MAX};
use bellwether_proto::{NodeName, PolicyQueue, Queues, UndrainableNodes};
use jiff::Timestamp;

use crate::admission::Reason;
use crate::explain::{Basis, PolicyStanding, State};
use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::reading::Found;

/// Those of one policy.
struct Needing<'a> {
    nodes: u32,
    oldest: (Timestamp, &'a NodeName),
}

impl Fleet {
    /// What waits for reboots, by policy; nodes that no policy governs first. `standings` are those of [`Self::policies`].
    /// Costs by the number of nodes that need a reboot.
    #[must_use]
    pub fn queues(&self, standings: &[PolicyStanding], now: Timestamp) -> Queues {
        let mut needing = BTreeMap::<String, Needing<'_>>::new();
        let mut undrainable = BTreeMap::new();
        for (name, member) in &self.members {
            let Some(since) = unserved_since(member) else { continue };
            let policy = member.node.as_ref().map(|node| self.blockers.policies.governing(node));
            let policy = match policy {
                Some(Governing::Policy(policy)) => policy.name.to_string(),
                Some(Governing::BuiltIn | Governing::None | Governing::Conflict(..)) | None => String::new(),
            };
            if let Some(found) = kept_from_drain(member, now) {
                count_undrainable(&mut undrainable, &policy, name, found);
            }
            let oldest = (since, name);
            let of_policy = needing.entry(policy).or_insert(Needing { nodes: 0, oldest });
            of_policy.nodes = of_policy.nodes.saturating_add(1);
            of_policy.oldest = of_policy.oldest.min(oldest);
        }
        let policies = needing.into_iter().take(QUEUES_MAX);
        let policies = policies.map(|(policy, needing)| self.queue_of(policy, &needing, standings));
        let mut undrainable: Vec<UndrainableNodes> = undrainable.into_values().collect();
        // Stable: of as many nodes the first by policy and owner.
        undrainable.sort_by_key(|nodes| Reverse(nodes.nodes));
        undrainable.truncate(UNDRAINABLE_MAX);
        Queues {
            policies: policies.collect(),
            undrainable,
        }
    }

    fn queue_of(&self, policy: String, needing: &Needing<'_>, standings: &[PolicyStanding]) -> PolicyQueue {
        let (oldest_since, oldest_node) = needing.oldest;
        let waiting = self.standing(oldest_node).map(|(_, standing)| standing);
        let reason = waiting
            .filter(|standing| standing.state == State::Waiting)
            .and_then(|standing| standing.reason);
        let standing = standings.iter().find(|standing| standing.name == policy);
        let left_over = standing.and_then(|standing| standing.left_over).unwrap_or_default();
        let first_left_over = standing.map_or(&[][..], |standing| &standing.first_left_over);
        PolicyQueue {
            policy,
            nodes: needing.nodes,
            oldest_since,
            oldest_node: oldest_node.clone(),
            code: reason
                .as_ref()
                .map(|reason| reason.code().to_owned())
                .unwrap_or_default(),
            message: reason.map(|reason| reason.message()).unwrap_or_default(),
            left_over: u32::try_from(left_over).unwrap_or(u32::MAX),
            left_over_nodes: first_left_over.iter().map(ToString::to_string).collect(),
            opening_ends_at: standing.and_then(|standing| standing.opening_ends_at),
        }
    }
}

/// What keeps the pods of a node that waits for nothing else but a slot.
fn kept_from_drain(member: &Member, now: Timestamp) -> Option<&Found> {
    match &member.stand.as_ref()?.basis {
        Basis::Reason(Reason::DrainBlocked { .. } | Reason::DrainNotNow { .. }) | Basis::Queue => {
            member.drain_check.lasting(now)
        }
        Basis::Reason(_) | Basis::None => None,
    }
}

/// Counts the node for each owner of its pods, with what keeps those of that owner.
fn count_undrainable(
    counted: &mut BTreeMap<(String, String), UndrainableNodes>,
    policy: &str,
    node: &NodeName,
    found: &Found,
) {
    for (owner, message) in &found.by_owner {
        let key = (policy.to_owned(), owner.clone());
        let nodes = counted.entry(key).or_insert_with(|| UndrainableNodes {
            policy: policy.to_owned(),
            owner: owner.clone(),
            nodes: 0,
            first_node: node.clone(),
            message: message.clone(),
        });
        nodes.nodes = nodes.nodes.saturating_add(1);
    }
}

/// Since when a node has needed the reboot that it waits for or is in. None of a need that an operator leaves unserved, or of
/// a failed attempt, which has a message of its own.
fn unserved_since(member: &Member) -> Option<Timestamp> {
    let since = member.need_since()?;
    let stand = member.stand.as_ref()?;
    match stand.state {
        State::Waiting | State::InProgress(_) if !stand.is_skipped() => Some(since),
        State::Waiting | State::InProgress(_) | State::Failed | State::Idle | State::Unknown => None,
    }
}

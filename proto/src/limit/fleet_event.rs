//! The limits of events of the fleet.

use super::chain::{CODE_BYTES_MAX, DETAIL_BYTES_MAX};
use super::{Limited, OBJECT_BYTES_MAX, WORD_BYTES_MAX, cut, cut_list};
use crate::namespace_owner::owner_of;
use crate::wire;

/// Most policies that an event about queues names: more than a cluster has. With all texts at their limits they fit into a
/// message.
pub const QUEUES_MAX: usize = 50;

/// Most nodes that an event names of those that do not fit into an opening: operators read them in one line.
pub const LEFT_OVER_MAX: usize = 10;

/// Most groups of nodes that an event names whose pods cannot go: more teams than block a rollout at once. Those with most
/// nodes stay.
pub const UNDRAINABLE_MAX: usize = 50;

impl Limited for wire::FleetEvent {
    fn limit(&mut self) {
        let Self { at: _, source, fact } = self;
        cut(source, WORD_BYTES_MAX);
        match fact {
            Some(wire::fleet_event::Fact::QueuesChanged(wire::QueuesChanged { queues, undrainable })) => {
                queues.truncate(QUEUES_MAX);
                queues.iter_mut().for_each(cut_queue);
                // An owner is not cut: a shorter one would be another team.
                undrainable.retain(|nodes| nodes.owner.is_empty() || owner_of(&nodes.owner) == Some(&nodes.owner));
                undrainable.truncate(UNDRAINABLE_MAX);
                undrainable.iter_mut().for_each(cut_undrainable);
            }
            None => (),
        }
    }
}

fn cut_queue(queue: &mut wire::PolicyQueue) {
    let wire::PolicyQueue {
        policy,
        nodes: _,
        oldest_since: _,
        // A name is not cut: a wrong one makes its message invalid.
        oldest_node: _,
        code,
        message,
        left_over: _,
        left_over_nodes,
        opening_ends_at: _,
    } = queue;
    cut(policy, WORD_BYTES_MAX);
    cut(code, CODE_BYTES_MAX);
    cut(message, DETAIL_BYTES_MAX);
    cut_list(left_over_nodes, LEFT_OVER_MAX, OBJECT_BYTES_MAX);
}

fn cut_undrainable(nodes: &mut wire::UndrainableNodes) {
    let wire::UndrainableNodes {
        policy,
        owner: _,
        nodes: _,
        // As in a queue.
        first_node: _,
        message,
    } = nodes;
    cut(policy, WORD_BYTES_MAX);
    cut(message, DETAIL_BYTES_MAX);
}

//! What waits for reboots, by policy, as an event states it.

use bellwether_proto::{PolicyQueue, Queues, UndrainableNodes};

/// True if readers of the event have to know the new queues. The sentence of a reason and the names of the nodes that do not
/// fit change with each place in the queue, and are no news by themselves.
#[must_use]
pub fn queues_differ(before: &Queues, now: &Queues) -> bool {
    let of_policy = |queue: &PolicyQueue| PolicyQueue {
        message: String::new(),
        left_over_nodes: Vec::new(),
        ..queue.clone()
    };
    let of_owner = |nodes: &UndrainableNodes| UndrainableNodes {
        message: String::new(),
        ..nodes.clone()
    };
    let are_alike = before
        .policies
        .iter()
        .map(of_policy)
        .eq(now.policies.iter().map(of_policy))
        && before
            .undrainable
            .iter()
            .map(of_owner)
            .eq(now.undrainable.iter().map(of_owner));
    !are_alike
}

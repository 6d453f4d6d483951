//! What waits for reboots, by policy, as an event states it.

use bellwether_proto::PolicyQueue;

/// True if readers of the event have to know the new queues. The sentence of a reason and the names of the nodes that do not
/// fit change with each place in the queue, and are no news by themselves.
#[must_use]
pub fn queues_differ(before: &[PolicyQueue], now: &[PolicyQueue]) -> bool {
    let news = |queue: &PolicyQueue| PolicyQueue {
        message: String::new(),
        left_over_nodes: Vec::new(),
        ..queue.clone()
    };
    !before.iter().map(news).eq(now.iter().map(news))
}

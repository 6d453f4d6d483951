//! What waits for reboots, by policy, as an event states it.

use bellwether_proto::{PolicyQueue, Queues, UndrainableNodes};

/// True if readers of the event have to know the new queues. The sentence of a reason and the names of the nodes that do not
/// fit change with each place in the queue, and are no news by themselves.
#[must_use]
pub fn queues_differ(before: &Queues, now: &Queues) -> bool {
    news(before) != news(now)
}

/// The queues without what is no news.
fn news(queues: &Queues) -> Queues {
    let Queues { policies, undrainable } = queues.clone();
    let policies = policies.into_iter().map(|queue| PolicyQueue {
        message: String::new(),
        left_over_nodes: Vec::new(),
        ..queue
    });
    let undrainable = undrainable.into_iter().map(|nodes| UndrainableNodes {
        message: String::new(),
        ..nodes
    });
    Queues {
        policies: policies.collect(),
        undrainable: undrainable.collect(),
    }
}

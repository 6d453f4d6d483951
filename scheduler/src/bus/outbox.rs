//! The way of events from the leading loop to the stream: an event is stored in its record first, and published after that, by
//! the publisher beside the loop. So no decision waits for an event, and a leader that dies in between leaves no gap: the
//! next one publishes what the stream lacks.
//!
//! It holds one chain for each record, and no queue of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellwether_chassis::clock;
use bellwether_proto::{Attempt, FleetControl, NodeEvent, NodeName, OrderChanged, wire};
use bellwether_scheduler_core::trail::{Due, GivenUp, Owner, StoredChain, Trail};
use jiff::Timestamp;
use tokio::sync::Notify;

/// The shortest wait for the next try: a clock that is set meanwhile makes no busy loop.
const RETRY_MIN: Duration = Duration::from_millis(10);

/// Which chains are asked for.
#[derive(Debug, Clone)]
pub(crate) struct ChainsOf {
    /// That of this node; none: of each.
    pub(crate) node: Option<NodeName>,
    /// That of the orders too.
    pub(crate) orders: bool,
}

impl ChainsOf {
    fn includes(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Fleet => self.orders,
            Owner::Node(name) => self.node.as_ref().is_none_or(|node| node == name),
        }
    }
}

/// The chains of one turn of leading, as the loop has them.
pub(crate) struct Outbox {
    chains: Arc<Chains>,
}

/// What loop and publisher share.
pub(crate) struct Chains {
    trail: Mutex<Trail>,
    /// An event waits.
    entered: Notify,
    /// An event was published.
    published: Notify,
}

impl Outbox {
    /// Continues these chains.
    pub(crate) fn new(stored: Vec<StoredChain>) -> Self {
        Self {
            chains: Arc::new(Chains {
                trail: Mutex::new(Trail::new(stored)),
                entered: Notify::new(),
                published: Notify::new(),
            }),
        }
    }

    /// The chains, for the publisher.
    pub(crate) fn chains(&self) -> Arc<Chains> {
        Arc::clone(&self.chains)
    }

    /// Gives a record its chain, to which the event is added.
    pub(crate) fn enter(&self, attempt: &mut Attempt, event: Option<NodeEvent>) {
        let owner = Owner::Node(attempt.node.clone());
        let chain = self.chains.trail().enter(owner, attempt.phase_since(), event);
        attempt.event_chain = chain.map(Box::new);
    }

    /// Gives the record of the orders its chain, to which the event is added.
    pub(crate) fn enter_orders(&self, control: &mut FleetControl, event: Option<OrderChanged>) {
        let at = event.as_ref().map_or(control.since, |event| event.at);
        let chain = self.chains.trail().enter(Owner::Fleet, at, event);
        control.event_chain = chain.map(Box::new);
        let events = control.events_without_room();
        if events > 0 {
            tracing::warn!(
                events,
                "The record of the orders has no room for events about them: lost if this leader ends before the stream has them"
            );
        }
    }

    /// The record that was given its chain last is stored.
    pub(crate) fn stored(&self) {
        let given_up = self.chains.trail().stored();
        if let Some(GivenUp { owner, sequence }) = given_up {
            let subject = owner.subject();
            tracing::warn!(subject, sequence, "Event given up: the chain has a gap");
        }
        self.chains.entered.notify_one();
    }

    /// The record of this node is to be deleted. False: not yet, see [`Self::next_to_leave`].
    pub(crate) fn leave(&self, node: &NodeName) -> bool {
        self.chains.trail().leave(node)
    }

    /// Waits for a node whose record was to be deleted, and may be now.
    pub(crate) async fn next_to_leave(&self) -> NodeName {
        loop {
            let next = self.chains.trail().next_to_leave();
            if let Some(node) = next {
                return node;
            }
            self.chains.published.notified().await;
        }
    }

    /// Where each of these chains stands; that of the orders also if it has not begun. `kept_since`: from when on the stream has each event.
    pub(crate) fn heads(&self, of: &ChainsOf, kept_since: Option<Timestamp>) -> Vec<wire::HistoryHead> {
        let trail = self.chains.trail();
        let heads = trail.heads(kept_since).filter_map(|head| {
            of.includes(head.owner).then(|| wire::HistoryHead {
                node: match head.owner {
                    Owner::Fleet => String::new(),
                    Owner::Node(name) => name.to_string(),
                },
                sequence: head.chain.sequence,
                hash: head.chain.hash.bytes().to_vec(),
                unpublished: head.chain.unpublished.clone(),
                has_left: head.has_left,
            })
        });
        let mut heads: Vec<_> = heads.collect();
        // Shows a client that the orders were looked for: a scheduler of a version before their chain sends none.
        if of.orders && heads.iter().all(|head| !head.node.is_empty()) {
            heads.push(wire::HistoryHead::default());
        }
        heads
    }
}

impl Chains {
    /// The chains. No holder waits for anything.
    pub(crate) fn trail(&self) -> MutexGuard<'_, Trail> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a chain with events to publish now.
    pub(crate) async fn next_due(&self) -> Due {
        loop {
            let next = self.trail().next_due(clock::now());
            if let Some(due) = next {
                return due;
            }
            let retry_at = self.trail().next_retry();
            let retry = async {
                match retry_at {
                    Some(at) => tokio::time::sleep(clock::until(at).max(RETRY_MIN)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.entered.notified() => {}
                () = retry => {}
            }
        }
    }

    /// An event was published, so a record may be deleted.
    pub(crate) fn notify_published(&self) {
        self.published.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::OrderChange;

    use super::*;

    #[test]
    fn where_the_chain_of_orders_stands_is_sent_also_before_the_first_order() {
        let outbox = Outbox::new(Vec::new());
        let heads = |node: Option<&str>, orders| {
            let node = node.map(|node| node.parse().unwrap());
            outbox.heads(&ChainsOf { node, orders }, None)
        };
        assert_eq!(heads(None, true), [wire::HistoryHead::default()]);
        assert_eq!(heads(Some("n1"), false), []);
        let mut control = FleetControl {
            by: "anna".to_owned(),
            reason: String::new(),
            since: Timestamp::UNIX_EPOCH,
            orders: Vec::new(),
            event_chain: None,
        };
        let event = OrderChanged {
            at: Timestamp::UNIX_EPOCH,
            source: "scheduler".to_owned(),
            link: None,
            change: OrderChange::Ended,
            by: "anna".to_owned(),
            reason: String::new(),
            given: None,
            ended: Vec::new(),
            node: None,
        };
        outbox.enter_orders(&mut control, Some(event));
        outbox.stored();
        let sequences: Vec<_> = heads(None, true).iter().map(|head| head.sequence).collect();
        assert_eq!(sequences, [1]);
    }
}

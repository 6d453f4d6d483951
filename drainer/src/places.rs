//! The places of evictions that await the API server's answer, shared by all drains of this process.
//!
//! An answer gives its place to the next eviction, so the API server sets the pace, and no rate is needed: a server that
//! slows down gets fewer. A drain may always have one eviction under way, so drains whose evictions hang keep no other
//! drain from its own. More than its equal share a drain gets only while a place is left for each other one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_proto::NodeName;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

/// The places of this process.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    max: usize,
    taken: Arc<watch::Sender<Taken>>,
    in_flight: Gauge,
}

/// How many places the drain of each node has taken; none is without an entry.
#[derive(Debug, Default)]
struct Taken {
    by_node: BTreeMap<NodeName, usize>,
    total: usize,
}

impl Taken {
    /// How many more of `max` the drain of this node may take.
    fn free(&self, max: usize, node: &NodeName) -> usize {
        let own = self.by_node.get(node).copied().unwrap_or(0);
        let is_first = own == 0;
        let drains = self.by_node.len().saturating_add(usize::from(is_first));
        let share = (max / drains.max(1)).max(1);
        let room = max.saturating_sub(self.total);
        let of_share = share.saturating_sub(own).min(room);
        // Beyond its share only as long as each other drain finds a place at once.
        let spare = room.saturating_sub(drains);
        of_share.max(spare).max(usize::from(is_first))
    }
}

impl Places {
    /// So many places; `in_flight` shows how many are taken.
    pub(crate) fn new(max: usize, in_flight: Gauge) -> Self {
        let (taken, _) = watch::channel(Taken::default());
        Self {
            max,
            taken: Arc::new(taken),
            in_flight,
        }
    }

    /// How many more places the drain of this node may take now.
    pub(crate) fn free(&self, node: &NodeName) -> usize {
        self.taken.borrow().free(self.max, node)
    }

    /// Takes a place for the drain of this node; none: there is no place for it.
    pub(crate) fn take(&self, node: &NodeName) -> Option<Place> {
        let is_taken = self.taken.send_if_modified(|taken| {
            let may = taken.free(self.max, node) > 0;
            if may {
                let of_node = taken.by_node.entry(node.clone()).or_default();
                *of_node = of_node.saturating_add(1);
                taken.total = taken.total.saturating_add(1);
            }
            may
        });
        is_taken.then(|| {
            self.in_flight.inc();
            Place {
                places: self.clone(),
                node: node.clone(),
            }
        })
    }

    fn give_back(&self, node: &NodeName) {
        self.in_flight.dec();
        self.taken.send_modify(|taken| {
            taken.total = taken.total.saturating_sub(1);
            if let Some(of_node) = taken.by_node.get_mut(node) {
                *of_node = of_node.saturating_sub(1);
                if *of_node == 0 {
                    taken.by_node.remove(node);
                }
            }
        });
    }

    /// What a drain needs to hear of places.
    pub(crate) fn watch(&self) -> Free {
        Free {
            places: self.clone(),
            changes: self.taken.subscribe(),
        }
    }
}

/// A place that an eviction has taken. Dropped, also with an eviction that is broken off, the place is free again.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    node: NodeName,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(&self.node);
    }
}

/// The free places, as one drain hears of them.
#[derive(Debug)]
pub(crate) struct Free {
    places: Places,
    changes: watch::Receiver<Taken>,
}

impl Free {
    /// Returns once the drain of this node may take more than `known` places.
    pub(crate) async fn more_than(&mut self, known: usize, node: &NodeName) {
        loop {
            if self.places.free(node) > known {
                return;
            }
            if self.changes.changed().await.is_err() {
                // Never, as long as there are places.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn d21_fifty_drains_with_an_eviction_that_hangs_take_nothing_from_a_drain_beside_them() {
        let places = places(200);
        let hanging: Vec<Option<Place>> = (0..50)
            .map(|number| places.take(&node(&format!("n{number}"))))
            .collect();
        assert!(hanging.iter().all(Option::is_some));
        assert!(places.free(&node("free")) >= 10, "as many as one node evicts at once");
    }

    #[test]
    fn d21_each_drain_may_have_one_eviction_under_way_whatever_the_others_have() {
        let places = places(4);
        let others = take_all(&places, &node("n1"));
        assert!(!others.is_empty());
        let all: Vec<Vec<Place>> = (2..9)
            .map(|number| take_all(&places, &node(&format!("n{number}"))))
            .collect();
        assert!(all.iter().all(|own| !own.is_empty()), "{all:?}");
        let in_flight = others.len() + all.iter().map(Vec::len).sum::<usize>();
        assert!(in_flight <= 4 + 8, "the limit, and one for each drain: {in_flight}");
        assert_eq!(usize::try_from(places.in_flight.get()).unwrap(), in_flight);
        drop((others, all));
        assert_eq!(places.in_flight.get(), 0);
    }

    #[test]
    fn d21_a_drain_that_has_more_than_its_share_takes_no_place_that_another_one_needs() {
        let places = places(12);
        let mut greedy = take_all(&places, &node("n1"));
        let mut others: Vec<Vec<Place>> = (2..5)
            .map(|number| take_all(&places, &node(&format!("n{number}"))))
            .collect();
        assert!(greedy.len() > 3, "alone it took more than a quarter");
        // Its share is three of twelve: with each answer one of the places beyond is for the others.
        while greedy.len() > 3 {
            greedy.pop();
            for (number, own) in (2..5).zip(&mut others) {
                own.extend(take_all(&places, &node(&format!("n{number}"))));
            }
            assert_eq!(places.free(&node("n1")), 0);
        }
        let each: Vec<usize> = others.iter().map(Vec::len).collect();
        assert_eq!(each, [3, 3, 3]);
        assert_eq!(places.free(&node("n1")), 0, "all are taken");
        greedy.pop();
        assert_eq!(places.free(&node("n1")), 1);
        assert_eq!(places.free(&node("n2")), 0, "the place is for the one below its share");
    }

    #[test]
    fn a_drain_hears_of_places_that_are_free_again_and_of_no_others() {
        let places = places(2);
        let held = take_all(&places, &node("n1"));
        let mine = take_all(&places, &node("n2"));
        let mut free = places.watch();
        let two = node("n2");
        assert!(free.more_than(0, &two).now_or_never().is_none());
        drop(held);
        assert!(free.more_than(0, &two).now_or_never().is_some());
        let known = places.free(&two);
        assert!(free.more_than(known, &two).now_or_never().is_none());
        drop(mine);
    }

    fn places(max: usize) -> Places {
        Places::new(max, Gauge::default())
    }

    /// Takes places until there is none.
    fn take_all(places: &Places, node: &NodeName) -> Vec<Place> {
        std::iter::from_fn(|| places.take(node)).collect()
    }

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }
}

//! Time as rules see it, and the one table of when each node is due again.
//!
//! A rule that waits asks [`Clock::reached`] and compares nothing by itself. The clock notes each
//! instant that has not come yet, so every rule that waits says until when, and the table cannot
//! miss one. This file owns no rule, and reads no system clock: time is an argument.

use std::cell::Cell;
use std::collections::BTreeSet;

use bellwether_proto::NodeName;
use jiff::{SignedDuration, Timestamp};

/// The instant so much later; the end of time if there is none.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The time of one evaluation, with the next instant at which its result can differ.
#[derive(Debug)]
pub(crate) struct Clock {
    now: Timestamp,
    next: Cell<Option<Timestamp>>,
}

impl Clock {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            now,
            next: Cell::new(None),
        }
    }

    /// The time of this evaluation, for what is written down. A rule that compares it with an
    /// instant uses [`Self::reached`] instead.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// True from `at` on. Before, `at` is noted: the evaluation has to be repeated then.
    pub(crate) fn reached(&self, at: Timestamp) -> bool {
        let reached = self.now >= at;
        if !reached {
            self.next
                .set(self.next.get().map_or(Some(at), |next| Some(next.min(at))));
        }
        reached
    }

    /// Forgets what was noted: a transition has made other rules apply.
    pub(crate) fn forget(&self) {
        self.next.set(None);
    }

    /// The first instant that was asked for and has not come yet; always later than now.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.next.get()
    }
}

/// When each node has to be evaluated again though nothing happens. Each node keeps its own entry,
/// so there is no second index to keep in step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Timestamp, NodeName)>,
}

impl Timers {
    /// Replaces a node's entry. An entry that was due is taken out already.
    pub(crate) fn replace(&mut self, node: &NodeName, old: Option<Timestamp>, new: Option<Timestamp>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.by_time.remove(&(old, node.clone()));
        }
        if let Some(new) = new {
            self.by_time.insert((new, node.clone()));
        }
    }

    /// The smallest entry.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the first node that is due.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<NodeName> {
        let (at, _) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        self.by_time.pop_first().map(|(_, node)| node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_clock_notes_the_first_instant_that_has_not_come() {
        let clock = Clock::new(at(10));
        assert!(clock.reached(at(10)) && clock.reached(at(3)));
        assert_eq!(clock.next(), None);
        assert!(!clock.reached(at(30)) && !clock.reached(at(20)) && !clock.reached(at(40)));
        assert_eq!(clock.next(), Some(at(20)));
        clock.forget();
        assert_eq!(clock.next(), None);
    }

    #[test]
    fn a_node_has_one_entry_and_is_due_once() {
        let (a, b): (NodeName, NodeName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut timers = Timers::default();
        timers.replace(&a, None, Some(at(5)));
        timers.replace(&a, Some(at(5)), Some(at(7)));
        timers.replace(&b, None, Some(at(6)));
        assert_eq!(timers.first(), Some(at(6)));
        assert_eq!(timers.take_due(at(5)), None);
        assert_eq!(timers.take_due(at(7)), Some(b.clone()));
        assert_eq!(timers.take_due(at(7)), Some(a));
        assert_eq!((timers.take_due(at(7)), timers.first()), (None, None));
        timers.replace(&b, Some(at(6)), Some(at(8)));
        timers.replace(&b, Some(at(8)), None);
        assert_eq!(timers.take_due(at(9)), None);
    }
}

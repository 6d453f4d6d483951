//! A map whose entries count until a time of their own, and that never holds more than it may.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// The map.
#[derive(Debug)]
pub(crate) struct Expiring<K, V> {
    max: usize,
    entries: BTreeMap<K, (V, Timestamp)>,
    /// The keys by the end of their time.
    ends: BTreeSet<(Timestamp, K)>,
}

impl<K: Ord + Clone, V> Expiring<K, V> {
    pub(crate) const fn with(max: usize) -> Self {
        Self {
            max,
            entries: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// The value of this key, if its time is not over.
    pub(crate) fn find(&self, key: &K, now: Timestamp) -> Option<&V> {
        let (value, end) = self.entries.get(key)?;
        (now < *end).then_some(value)
    }

    /// Sets a value until its end. Those go whose time is over, and the one that ends first if there are too many.
    pub(crate) fn set(&mut self, key: K, value: V, end: Timestamp, now: Timestamp) {
        if let Some((_, before)) = self.entries.remove(&key) {
            self.ends.remove(&(before, key.clone()));
        }
        // Bounded: each turn takes one away.
        while self
            .ends
            .first()
            .is_some_and(|(end, _)| *end <= now || self.entries.len() >= self.max)
            && let Some((_, of)) = self.ends.pop_first()
        {
            self.entries.remove(&of);
        }
        self.ends.insert((end, key.clone()));
        self.entries.insert(key, (value, end));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_key_that_is_set_again_takes_one_place() {
        let mut map = Expiring::with(2);
        map.set("one", 1, at(10), at(0));
        map.set("one", 2, at(60), at(5));
        map.set("two", 3, at(61), at(6));
        assert_eq!((map.entries.len(), map.ends.len()), (2, 2));
        assert_eq!(map.find(&"one", at(50)), Some(&2));
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_never_after_its_end_and_never_another_value(
            steps in proptest::collection::vec((0_u8..9, 0_i64..40, 1_i64..90), 0..60),
            max in 1_usize..5,
        ) {
            let (mut map, mut now, mut newest) = (Expiring::with(max), 0, BTreeMap::new());
            for (value, (key, passed, lasts)) in steps.into_iter().enumerate() {
                now += passed;
                map.set(key, value, at(now + lasts), at(now));
                newest.insert(key, (value, now + lasts));
                prop_assert!(map.entries.len() <= max && map.ends.len() == map.entries.len());
                prop_assert_eq!(map.find(&key, at(now)), Some(&value), "the newest stays");
                for (key, (value, end)) in &newest {
                    let found = map.find(key, at(now));
                    prop_assert!(found.is_none() || (found == Some(value) && now < *end));
                }
            }
        }
    }
}

//! Tells a passing 403 from a missing right: one rule for all that an API server may forbid.
//!
//! An API server that has just started forbids everything until it has read its rules. So a 403 counts
//! as a missing right only once the same thing has been forbidden for a minute. An answer
//! about one thing says nothing about another one: a watch of pods that works does not make a
//! forbidden watch of the node a passing one, nor does a pod that a budget blocks prove the right to
//! evict any other pod.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// How long a 403 may be a passing one.
const FORBIDDEN_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Since when the API server has forbidden each thing, without another answer about it between.
#[derive(Debug)]
pub struct ForbiddenGrace<K> {
    since: BTreeMap<K, Timestamp>,
}

impl<K> Default for ForbiddenGrace<K> {
    fn default() -> Self {
        Self { since: BTreeMap::new() }
    }
}

impl<K: Ord> ForbiddenGrace<K> {
    /// The API server forbade this thing. True: for too long, so a right is missing.
    pub fn is_over(&mut self, now: Timestamp, thing: K) -> bool {
        let since = *self.since.entry(thing).or_insert(now);
        now.duration_since(since) > FORBIDDEN_MAX
    }

    /// The API server answered otherwise about this thing.
    pub fn reset(&mut self, thing: &K) {
        self.since.remove(thing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_has_a_minute_of_its_own() {
        let mut grace = ForbiddenGrace::default();
        assert!(!grace.is_over(at(0), "watch"));
        assert!(!grace.is_over(at(40), "evict"));
        assert!(!grace.is_over(at(60), "watch"));
        grace.reset(&"evict");
        assert!(grace.is_over(at(61), "watch"));
        grace.reset(&"watch");
        assert!(!grace.is_over(at(62), "watch"), "the minute begins again");
        assert!(!grace.is_over(at(122), "evict"));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}

//! Tokens whose review is recent, so that a thousand clients that connect again at once do not ask the API server a
//! thousand times.
//!
//! Keyed by a hash: it never holds a token. Only good tokens are remembered: a refused client may be right in a moment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use ring::digest;

use crate::identity::Identity;

/// How long a review counts. So long may a pod that was deleted still connect; the API server itself remembers a review
/// for ten seconds.
pub const TIME: SignedDuration = SignedDuration::from_secs(60);

/// Two agents on each of ten thousand nodes, some 300 bytes each.
pub const TOKENS_MAX: usize = 20_000;

type Hash = [u8; 32];

/// The tokens.
#[derive(Debug)]
pub struct Known {
    max: usize,
    tokens: BTreeMap<Hash, (Identity, Timestamp)>,
    /// The same by the end of their time.
    ends: BTreeSet<(Timestamp, Hash)>,
}

impl Default for Known {
    fn default() -> Self {
        Self::with(TOKENS_MAX)
    }
}

impl Known {
    /// Remembers this many tokens at most.
    #[must_use]
    pub fn with(max: usize) -> Self {
        Self {
            max,
            tokens: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// The client of this token, if it was reviewed less than [`TIME`] ago.
    #[must_use]
    pub fn find(&self, token: &str, now: Timestamp) -> Option<&Identity> {
        let (identity, end) = self.tokens.get(&hash(token))?;
        (now < *end).then_some(identity)
    }

    /// The API server has just accepted this token. The oldest goes if there are too many.
    pub fn remember(&mut self, token: &str, identity: Identity, now: Timestamp) {
        let key = hash(token);
        let end = now.checked_add(TIME).unwrap_or(now);
        if let Some((_, before)) = self.tokens.remove(&key) {
            self.ends.remove(&(before, key));
        }
        // Bounded: each turn takes one away.
        while let Some((oldest, of)) = self.ends.first().copied()
            && (oldest <= now || self.tokens.len() >= self.max)
        {
            self.ends.remove(&(oldest, of));
            self.tokens.remove(&of);
        }
        self.tokens.insert(key, (identity, end));
        self.ends.insert((end, key));
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// True if none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

fn hash(token: &str) -> Hash {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    hash.as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::permission::Role;
    use proptest::prelude::*;

    fn identity(pod: &str) -> Identity {
        Identity {
            role: Role::Drainer,
            node: None,
            pod: pod.to_owned(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_known_for_its_time_and_no_other_token_is() {
        let mut known = Known::default();
        known.remember("one", identity("one"), at(0));
        assert_eq!(known.find("one", at(59)), Some(&identity("one")));
        assert_eq!(known.find("one", at(60)), None);
        assert_eq!(known.find("other", at(1)), None);
    }

    #[test]
    fn a_token_that_is_reviewed_again_is_known_for_longer_and_takes_one_place() {
        let mut known = Known::with(2);
        known.remember("one", identity("one"), at(0));
        known.remember("one", identity("one"), at(50));
        known.remember("two", identity("two"), at(51));
        assert_eq!((known.len(), known.ends.len()), (2, 2));
        assert!(known.find("one", at(100)).is_some());
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_and_never_after_its_time(
            steps in proptest::collection::vec((0_u8..9, 0_i64..40), 0..60),
            max in 1_usize..5,
        ) {
            let (mut known, mut now, mut reviews) = (Known::with(max), 0, BTreeMap::new());
            for (token, passed) in steps {
                now += passed;
                let token = token.to_string();
                known.remember(&token, identity(&token), at(now));
                reviews.insert(token.clone(), now);
                prop_assert!(known.len() <= max && known.ends.len() == known.len());
                prop_assert_eq!(known.find(&token, at(now)), Some(&identity(&token)), "the newest stays");
                for (token, reviewed) in &reviews {
                    prop_assert!(known.find(token, at(now)).is_none() || now - reviewed < 60);
                }
            }
        }
    }
}

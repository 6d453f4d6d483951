//! Tokens whose review is recent, so that a thousand clients that connect again at once do not ask the API server a
//! thousand times.
//!
//! Keyed by a hash: it never holds a token. Only good tokens are remembered: a refused client may be right in a moment.

use jiff::{SignedDuration, Timestamp};
use ring::digest;

use crate::expiring::Expiring;
use crate::identity::Identity;

/// How long a review counts. So long may a pod that was deleted still connect; the API server itself remembers a review
/// for ten seconds.
pub const TIME: SignedDuration = SignedDuration::from_secs(60);

/// Two agents on each of ten thousand nodes, some 300 bytes each.
pub const TOKENS_MAX: usize = 20_000;

type Hash = [u8; 32];

/// The tokens.
#[derive(Debug)]
pub struct Known(Expiring<Hash, Identity>);

impl Default for Known {
    fn default() -> Self {
        Self(Expiring::with(TOKENS_MAX))
    }
}

impl Known {
    /// The client of this token, if it was reviewed less than [`TIME`] ago.
    #[must_use]
    pub fn find(&self, token: &str, now: Timestamp) -> Option<&Identity> {
        self.0.find(&hash(token), now)
    }

    /// The API server has just accepted this token. The oldest goes if there are too many.
    pub fn remember(&mut self, token: &str, identity: Identity, now: Timestamp) {
        let end = now.checked_add(TIME).unwrap_or(now);
        self.0.set(hash(token), identity, end, now);
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
}

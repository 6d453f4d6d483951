//! Connections that were let in: a server that reads its files again asks about each of them once more.
//!
//! A server counts its connections from its start, with a key of its own, and never gives a number twice. So the answer is
//! the one of before, and a renewed certificate ends no connection, also while the API server is away.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::grant::Grant;
use crate::question::Connection;

/// Two agents on each of ten thousand nodes, some 500 bytes each. A connection that is forgotten for lack of room has to be
/// made again once a server reads its files.
pub const CONNECTIONS_MAX: usize = 20_000;

/// The connections, each until the end of its grant.
#[derive(Debug)]
pub struct Admitted {
    max: usize,
    grants: BTreeMap<Connection, Grant>,
    /// The same by the end of their time.
    ends: BTreeSet<(Timestamp, Connection)>,
}

impl Default for Admitted {
    fn default() -> Self {
        Self::with(CONNECTIONS_MAX)
    }
}

impl Admitted {
    /// Remembers this many connections at most.
    #[must_use]
    pub const fn with(max: usize) -> Self {
        Self {
            max,
            grants: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// What this connection was granted, if its time is not over.
    #[must_use]
    pub fn find(&self, connection: &Connection, now: Timestamp) -> Option<&Grant> {
        self.grants.get(connection).filter(|grant| now < grant.until)
    }

    /// A connection was let in. Those go whose time is over, and the one that ends first if there are too many.
    pub fn remember(&mut self, connection: Connection, grant: Grant, now: Timestamp) {
        if let Some(before) = self.grants.remove(&connection) {
            self.ends.remove(&(before.until, connection.clone()));
        }
        // Bounded: each turn takes one away.
        while self
            .ends
            .first()
            .is_some_and(|(end, _)| *end <= now || self.grants.len() >= self.max)
            && let Some((_, of)) = self.ends.pop_first()
        {
            self.grants.remove(&of);
        }
        self.ends.insert((grant.until, connection.clone()));
        self.grants.insert(connection, grant);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use bellwether_proto::permission::Role;
    use proptest::prelude::*;

    use super::*;
    use crate::identity::Identity;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn grant(pod: &str, until: i64) -> Grant {
        let identity = Identity {
            role: Role::Drainer,
            node: None,
            pod: pod.to_owned(),
        };
        Grant {
            identity,
            until: at(until),
        }
    }

    fn connection(server: &str, number: u64) -> Connection {
        Connection {
            server: server.to_owned(),
            number: NonZeroU64::new(number).unwrap(),
        }
    }

    #[test]
    fn a_connection_keeps_its_grant_until_its_end_and_no_other_connection_has_it() {
        let mut admitted = Admitted::default();
        admitted.remember(connection("one", 7), grant("pod", 60), at(0));
        assert_eq!(admitted.find(&connection("one", 7), at(59)), Some(&grant("pod", 60)));
        assert_eq!(admitted.find(&connection("one", 7), at(60)), None);
        assert_eq!(admitted.find(&connection("one", 8), at(1)), None);
        assert_eq!(admitted.find(&connection("another start", 7), at(1)), None);
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_and_never_another_grant(
            steps in proptest::collection::vec((1_u64..9, 0_i64..40, 1_i64..90), 0..60),
            max in 1_usize..5,
        ) {
            let (mut admitted, mut now, mut newest) = (Admitted::with(max), 0, BTreeMap::new());
            for (number, passed, lasts) in steps {
                now += passed;
                let granted = grant(&number.to_string(), now + lasts);
                admitted.remember(connection("one", number), granted.clone(), at(now));
                newest.insert(number, granted);
                prop_assert!(admitted.grants.len() <= max && admitted.ends.len() == admitted.grants.len());
                prop_assert_eq!(admitted.find(&connection("one", number), at(now)), newest.get(&number));
                for (number, grant) in &newest {
                    let found = admitted.find(&connection("one", *number), at(now));
                    prop_assert!(found.is_none() || found == Some(grant));
                }
            }
        }
    }
}

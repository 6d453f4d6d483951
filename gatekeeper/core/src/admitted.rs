//! Connections that were let in: a server that reads its files again asks about each of them once more.
//!
//! A server counts its connections from its start, with a key of its own, and never gives a number twice. So the answer is
//! the one of before, and a renewed certificate ends no connection, also while the API server is away.

use jiff::Timestamp;

use crate::expiring::Expiring;
use crate::grant::Grant;
use crate::question::Connection;

/// Two agents on each of ten thousand nodes, some 500 bytes each. Those of a server that has started again stay until their
/// end. A connection that is forgotten for lack of room is decided on as a new one.
pub const CONNECTIONS_MAX: usize = 20_000;

/// The connections, each until the end of its grant.
#[derive(Debug)]
pub struct Admitted(Expiring<Connection, Grant>);

impl Default for Admitted {
    fn default() -> Self {
        Self(Expiring::with(CONNECTIONS_MAX))
    }
}

impl Admitted {
    /// What this connection was granted, if its time is not over.
    #[must_use]
    pub fn find(&self, connection: &Connection, now: Timestamp) -> Option<&Grant> {
        self.0.find(connection, now)
    }

    /// A connection was let in.
    pub fn remember(&mut self, connection: Connection, grant: Grant, now: Timestamp) {
        let until = grant.until;
        self.0.set(connection, grant, until, now);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use bellwether_proto::permission::Role;

    use super::*;
    use crate::identity::Identity;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn connection(server: &str, number: u64) -> Connection {
        Connection {
            server: server.to_owned(),
            number: NonZeroU64::new(number).unwrap(),
        }
    }

    #[test]
    fn a_connection_keeps_its_grant_until_its_end_and_no_other_connection_has_it() {
        let identity = Identity {
            role: Role::Drainer,
            node: None,
            pod: "pod".to_owned(),
        };
        let grant = Grant {
            identity,
            until: at(60),
        };
        let mut admitted = Admitted::default();
        admitted.remember(connection("one", 7), grant.clone(), at(0));
        assert_eq!(admitted.find(&connection("one", 7), at(59)), Some(&grant));
        assert_eq!(admitted.find(&connection("one", 7), at(60)), None);
        assert_eq!(admitted.find(&connection("one", 8), at(1)), None);
        assert_eq!(admitted.find(&connection("another start", 7), at(1)), None);
    }
}

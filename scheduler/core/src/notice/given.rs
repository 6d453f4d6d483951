//! Which notices were given, so that each comes once from a leader.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{Attempt, AttemptId, NodeEvent, NodeName};
use jiff::{SignedDuration, Timestamp};

use crate::notice::Notice;
use crate::notice::blocked::BlockedDrains;
use crate::notice::course::{Place, notice, places};

/// Which notices of the present attempts were given.
#[derive(Debug, Default)]
pub struct Notices {
    pub(super) given: BTreeMap<NodeName, Given>,
    blocked: BlockedDrains,
}

/// What was given of one attempt.
#[derive(Debug)]
pub(super) struct Given {
    attempt: AttemptId,
    places: BTreeSet<Place>,
    /// When the record was stored last.
    at: Timestamp,
}

impl Notices {
    /// Nothing older is given: the API server keeps Events for an hour by default, and a notice that it has forgotten would
    /// come a second time.
    pub const AGE_MAX: SignedDuration = SignedDuration::from_mins(30);

    /// The notices that follow from a record, once it is stored, and were not given yet.
    pub fn of_record(&mut self, attempt: &Attempt, now: Timestamp) -> Vec<Notice> {
        self.blocked.follow(attempt);
        // What is forgotten here is too old to be given again: the names of gone nodes do not gather.
        self.given
            .retain(|_, given| now.duration_since(given.at) <= Self::AGE_MAX);
        let nothing = || Given {
            attempt: attempt.id,
            places: BTreeSet::new(),
            at: now,
        };
        let given = self.given.entry(attempt.node.clone()).or_insert_with(nothing);
        if given.attempt != attempt.id {
            *given = nothing();
        }
        given.at = now;
        let is_new = |notice: &Notice| now.duration_since(notice.at) <= Self::AGE_MAX;
        places(attempt)
            .into_iter()
            .filter(|(place, _)| given.places.insert(*place))
            .filter_map(|(place, at)| notice(attempt, place, at))
            .filter(is_new)
            .collect()
    }

    /// Notes what a drainer reports on its drain.
    pub fn note_event(&mut self, event: &NodeEvent, now: Timestamp) {
        self.blocked.note(event, now);
    }

    /// The notices of drains that have been blocked for long enough by now.
    pub fn of_blocked_drains(&mut self, now: Timestamp) -> Vec<Notice> {
        self.blocked.due(now)
    }
}

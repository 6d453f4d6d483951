//! Tells a passing 403 from a missing right.

use jiff::{SignedDuration, Timestamp};

/// How long a 403 may be a passing one: an API server that has just started forbids everything until
/// it has read its rules.
const FORBIDDEN_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Since when the API server has answered 403 to one kind of request, without a success between.
#[derive(Debug, Default)]
pub(super) struct ForbiddenGrace {
    since: Option<Timestamp>,
}

impl ForbiddenGrace {
    /// The API server answered 403. True: for too long.
    pub(super) fn is_over(&mut self, now: Timestamp) -> bool {
        now.duration_since(*self.since.get_or_insert(now)) > FORBIDDEN_MAX
    }

    /// The API server answered otherwise.
    pub(super) fn reset(&mut self) {
        self.since = None;
    }
}

//! The health of one watch: whether its first list is complete, and since when it fails.

use std::fmt;

use bellwether_chassis::clock;
use jiff::Timestamp;
use kube::runtime::watcher;

use crate::cluster::version::StoreSetBack;

/// An event of one watch, or why there is none.
pub(super) type WatchResult<K> = Result<watcher::Event<K>, watcher::Error>;

/// A watch that fails: the objects may have changed since, and nothing may be decided on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WatchFailure {
    cause: Cause,
    since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The watch of these objects, in the plural, gets errors.
    Watch(&'static str),
    /// All watches continue at versions that the store does not have any more.
    SetBack(StoreSetBack),
}

impl WatchFailure {
    /// The failure of all watches after the store was set back.
    pub(super) fn set_back(set_back: StoreSetBack) -> Self {
        let StoreSetBack { from, to } = set_back;
        tracing::warn!(from, to, "The API server's store was set back, nothing is decided");
        Self {
            cause: Cause::SetBack(set_back),
            since: clock::now(),
        }
    }
}

impl fmt::Display for WatchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since;
        match self.cause {
            Cause::Watch(kind) => write!(f, "the watch of {kind} in the API server has failed since {since:.0}"),
            Cause::SetBack(StoreSetBack { from, to }) => write!(
                f,
                "the API server's store was set back from version {from} to {to} before {since:.0}"
            ),
        }
    }
}

/// The health of the watch of one kind of object.
#[derive(Debug)]
pub(super) struct WatchHealth {
    kind: &'static str,
    complete: bool,
    failure: Option<WatchFailure>,
}

impl WatchHealth {
    /// A watch that has not listed its objects yet. `kind` names them, in the plural.
    pub(super) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            complete: false,
            failure: None,
        }
    }

    /// True once every object has been listed.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Why the objects are not known at the moment. After the first complete list a failure stays for
    /// as long as this watch exists: only a new list shows the changes that were missed.
    pub(super) fn failure(&self) -> Option<WatchFailure> {
        self.failure
    }

    /// Takes note of a result, and gives its event.
    pub(super) fn note<K>(&mut self, result: WatchResult<K>) -> Option<watcher::Event<K>> {
        match result {
            Ok(event) => {
                if matches!(event, watcher::Event::InitDone) && !self.complete {
                    self.complete = true;
                    self.failure = None;
                }
                Some(event)
            }
            Err(error) => {
                if self.failure.is_none() {
                    let kind = self.kind;
                    let error = bellwether_chassis::chain(&error);
                    tracing::warn!(kind, error, "Watch failed, nothing is decided");
                    self.failure = Some(WatchFailure {
                        cause: Cause::Watch(kind),
                        since: clock::now(),
                    });
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> WatchResult<()> {
        Err(watcher::Error::NoResourceVersion)
    }

    #[test]
    fn a_failure_before_the_first_list_ends_with_that_list() {
        let mut health = WatchHealth::new("nodes");
        assert!(health.note(failed()).is_none());
        assert!(health.failure().is_some());
        health.note(Ok(watcher::Event::InitApply(())));
        assert!(health.failure().is_some() && !health.is_complete());
        health.note::<()>(Ok(watcher::Event::InitDone));
        assert!(health.failure().is_none() && health.is_complete());
    }

    #[test]
    fn a_failure_after_the_first_list_stays_with_its_first_time() {
        let mut health = WatchHealth::new("nodes");
        health.note::<()>(Ok(watcher::Event::InitDone));
        health.note(failed());
        let first = health.failure();
        assert!(first.unwrap().to_string().contains("nodes"), "{first:?}");
        health.note(failed());
        health.note::<()>(Ok(watcher::Event::InitDone));
        assert_eq!(health.failure(), first);
    }
}

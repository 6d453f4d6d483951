//! The version of the API server's store, which never falls unless etcd was restored from a snapshot.
//!
//! A watch that is renewed with a version from before the restore gets no event until the new store has reached
//! that version, and never those in between. The API server reports no error, so this replica compares by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

/// How often the store is asked for its version. With the limit of time for the answer, a restore shows within
/// 10 s; a store does not grow by what a snapshot lacks in so short a time.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long the answer may take. Without one, nothing follows: the watches notice an API server that is away.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The store was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreSetBack {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// The newest version that any answer of the API server has shown. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreVersion(Arc<AtomicU64>);

impl StoreVersion {
    /// Takes note of a resource version. All are numbers of etcd; any other text is of no use here.
    pub(super) fn note(&self, resource_version: Option<&str>) {
        if let Some(version) = number(resource_version) {
            self.0.fetch_max(version, Ordering::Relaxed);
        }
    }

    /// Returns once the store's version is below one that was known before the question.
    pub(super) async fn set_back(self, client: Client) -> StoreSetBack {
        // The cheapest read that the API server does not answer from a store of its own that lags. Of DaemonSets, since
        // a list of nodes is the sign by which operators and tests recognise a reload.
        let daemon_sets = Api::<PartialObjectMeta<DaemonSet>>::all(client);
        let one = ListParams::default().limit(1);
        loop {
            tokio::time::sleep(INTERVAL).await;
            // Read first: a watch may show a newer version before the answer is here.
            let from = self.0.load(Ordering::Relaxed);
            let list = match tokio::time::timeout(TIMEOUT, daemon_sets.list(&one)).await {
                Ok(Ok(list)) => list,
                Ok(Err(error)) => {
                    tracing::debug!(error = bellwether_chassis::chain(&error), "No version of the store");
                    continue;
                }
                Err(_) => continue,
            };
            if let Some(set_back) = compare(from, list.metadata.resource_version.as_deref()) {
                return set_back;
            }
            self.note(list.metadata.resource_version.as_deref());
        }
    }
}

fn compare(from: u64, answered: Option<&str>) -> Option<StoreSetBack> {
    let to = number(answered)?;
    (to < from).then_some(StoreSetBack { from, to })
}

fn number(resource_version: Option<&str>) -> Option<u64> {
    resource_version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lower_version_is_a_store_that_was_set_back() {
        let version = StoreVersion::default();
        for noted in [Some("7"), Some("1200"), Some("1100"), Some("opaque"), None] {
            version.note(noted);
        }
        let from = version.0.load(Ordering::Relaxed);
        assert_eq!(from, 1200);
        assert_eq!(compare(from, Some("1199")), Some(StoreSetBack { from: 1200, to: 1199 }));
        for answered in [Some("1200"), Some("1201"), Some("opaque"), Some(""), None] {
            assert_eq!(compare(from, answered), None, "{answered:?}");
        }
    }
}

//! Leadership by a Kubernetes Lease.
//!
//! The Lease only keeps the replicas out of each other's way. Safety is elsewhere: every write
//! of a record demands that no other replica has written since (see `bus/store.rs`), so of two replicas
//! that both think they lead, one fails at its next step and reloads.

use anyhow::Context as _;
use bellwether_proto::mark::LEASE;
use jiff::SignedDuration;
use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The Lease, held or waited for. Dropping `leading` releases it.
pub(crate) struct Leadership {
    pub(crate) leading: watch::Receiver<bool>,
    release: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
}

/// Takes part in the election.
///
/// # Errors
/// The API server refuses the Lease.
pub(crate) async fn join(
    client: Client,
    namespace: &str,
    identity: &str,
    duration: SignedDuration,
) -> anyhow::Result<Leadership> {
    let seconds = u64::try_from(duration.as_secs()).context("--lease-duration")?;
    let manager = LeaseManagerBuilder::new(client, LEASE)
        .with_namespace(namespace)
        .with_identity(identity)
        .with_duration(seconds)
        // Renew when a third is left: two tries fit in.
        .with_grace((seconds / 3).max(1))
        .with_field_manager("bellwether-scheduler")
        .build()
        .await
        .with_context(|| format!("take part in Lease {namespace}/{LEASE}"))?;
    let (leading, release) = manager.watch().await;
    Ok(Leadership { leading, release })
}

impl Leadership {
    /// Releases the Lease. Another replica leads within its duration: that replica tries again only when
    /// the Lease that it read last would have ended.
    pub(crate) async fn release_lease(self) {
        let Self { leading, release } = self;
        drop(leading);
        // A lease that cannot be released ends by itself.
        if tokio::time::timeout(std::time::Duration::from_secs(3), release)
            .await
            .is_err()
        {
            tracing::warn!("The Lease could not be released in time");
        }
    }
}

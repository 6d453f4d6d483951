//! Bellwether on real nodes: two virtual machines with systemd, containerd and kubelet, installed
//! with one `kubectl apply -k`, rebooted through their logind. `cargo xtask test node` prepares and
//! runs it.
//!
//! One story, since a machine takes a minute to boot: each step finds what the one before left.

mod apparmor;
mod cluster;
mod install;
mod nats;
mod overlay;
mod people;
mod roll;

use anyhow::{Context as _, Result};

use cluster::Cluster;
use overlay::Overlay;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs virtual machines: `cargo xtask test node`"]
async fn two_real_nodes_reboot_when_they_need_to_and_only_then() -> Result<()> {
    let cluster = Cluster::start().await?;
    match Box::pin(story(&cluster)).await {
        Ok(()) => cluster.finish(),
        Err(error) => {
            cluster.keep_evidence().await;
            Err(error).context(cluster.places())
        }
    }
}

async fn story(cluster: &Cluster) -> Result<()> {
    let elsewhere = |name| Overlay::with_nats_at(name, cluster.nats.port());
    let plain = elsewhere("quickstart");
    let confined = elsewhere("confined").with_default_apparmor();
    let first = cluster.apply(&plain, false);
    cluster
        .step("the quickstart is applied, every pod is Ready", first)
        .await?;
    let rights = install::rights(cluster);
    cluster.step("every pod has the rights it should have", rights).await?;
    let both = Box::pin(roll::both(cluster));
    cluster
        .step("both nodes are rebooted, one after the other", both)
        .await?;
    install::memory(cluster).await?;
    let confine = cluster.apply(&confined, false);
    cluster.step("the rebooter is confined", confine).await?;
    let refused = apparmor::nothing_is_drained(cluster);
    cluster
        .step("a rebooter that could not reboot is not relied on", refused)
        .await?;
    let nats = nats::move_in(cluster);
    cluster
        .step("NATS moves into the cluster, onto the first node", nats)
        .await?;
    let with_nats = nats::reboots_with_its_node(cluster);
    cluster.step("the node that NATS is on is rebooted", with_nats).await
}

//! NATS on the very node that is rebooted: every service waits for NATS, which continues from its volume.

use anyhow::Result;

use crate::cluster::Cluster;
use crate::operator::Status;
use crate::overlay::Overlay;
use crate::roll;

/// Where its volume is.
pub(crate) const NODE: &str = "node-1";

/// The quickstart as it is, with its own NATS.
pub(crate) async fn move_in(cluster: &Cluster, overlay: &Overlay) -> Result<()> {
    cluster.machine(NODE)?.run("mkdir -p /var/lib/nats").await?;
    cluster.apply(overlay).await?;
    let idle = |status: &Status| status.state == "Idle";
    cluster.wait_status(NODE, "to be known", idle).await?;
    cluster.photo("5-with-nats", NODE).await
}

/// The node's whole way.
pub(crate) async fn reboots_with_its_node(cluster: &Cluster) -> Result<()> {
    roll::one(cluster, NODE, "6", async || Ok(())).await?;
    let untouched = |status: &Status| status.attempt.is_none();
    cluster
        .wait_status("node-2", "to be left alone", untouched)
        .await
        .map(drop)
}

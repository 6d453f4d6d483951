//! NATS on the very node that is rebooted: everything waits for it, and goes on from its volume.

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::overlay::Overlay;
use crate::people::Status;
use crate::roll;

const NODE: &str = "node-1";

/// The quickstart as it is, with its own NATS.
pub(crate) async fn move_in(cluster: &Cluster) -> Result<()> {
    cluster.machine(NODE)?.run("mkdir -p /var/lib/nats").await?;
    cluster.apply(&Overlay::with_nats_on("with-nats", NODE), true).await?;
    let idle = |status: &Status| status.state == "Idle";
    cluster.wait_status(NODE, "to be known", idle).await?;
    cluster.photo("5-with-nats", NODE).await
}

/// The node's whole way.
pub(crate) async fn reboots_with_its_node(cluster: &Cluster) -> Result<()> {
    roll::one(cluster, NODE, "6").await?;
    let status = cluster.status_of("node-2").await?;
    ensure!(status.attempt.is_none(), "the other node was touched: {status:?}");
    Ok(())
}

//! A rebooter under the runtime's default AppArmor profile may not speak D-Bus, so it could not
//! reboot its host, and says so before anything is drained.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::wait;

use crate::artefacts::or_error;
use crate::cluster::Cluster;
use crate::operator::Status;
use crate::roll;

/// Longer than the scheduler and a rebooter take to look at a need and at each other.
const LOOK: Duration = Duration::from_secs(30);

/// A need arises on such a node.
pub(crate) async fn nothing_is_drained(cluster: &Cluster) -> Result<()> {
    let node = "node-1";
    let (boot, cordons) = (cluster.boot_id(node).await?, cluster.nodes.cordons(node));
    roll::need(cluster, node).await?;
    let refused = |status: &Status| status.waits_for() == Some("PreflightFailed");
    let reason = cluster.wait_status(node, "to be refused", refused).await?.reason;
    let message = reason.context("a reason")?.message;
    ensure!(message.contains("AppArmor"), "AppArmor is not named: {message}");
    wait::steadily("nothing is done to it", LOOK, async || {
        Ok(cluster.nodes.cordons(node) == cordons)
    })
    .await?;
    cluster.photo("4-confined", node).await?;
    let logs = [
        "logs",
        "--namespace=bellwether-agents",
        "--selector=app.kubernetes.io/component=rebooter",
        "--prefix",
    ];
    let logs = or_error(cluster.kubectl.run(&logs, "").await);
    cluster.keep("4-confined-rebooter", &logs)?;
    ensure!(cluster.boot_id(node).await? == boot, "it was rebooted");
    // An operator who reads the message may also decide that the reboot can wait for the next update.
    cluster
        .machine(node)?
        .run("rm /var/run/reboot-required /var/run/reboot-required.pkgs")
        .await?;
    let content = |status: &Status| !status.reboot_required;
    cluster.wait_status(node, "to need nothing", content).await.map(drop)
}

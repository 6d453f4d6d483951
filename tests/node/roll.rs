//! The need arises as on a user's host, and the nodes reboot, one after the other.

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::PostParams;
use rig::record::{ReadyPods, node_state};
use rig::wait;
use rig::workload::{NAMESPACE, Workload};

use crate::cluster::{Cluster, DEADLINE};
use crate::operator::Status;
use crate::overlay::Overlay;

/// The package of a newer kernel.
const PACKAGE: &str = "linux-image-7.9.9-cloud-amd64";

/// The kernel's last words before it restarts the machine.
pub(crate) const RESTART: &str = "reboot: Restarting system";

/// The log of logind in the boot before this one.
pub(crate) const LOGIND: &str = "journalctl --boot=-1 --unit=systemd-logind --output=cat --no-pager --quiet";

/// The last lines of a kernel's installation: they run the hooks, and the one of
/// unattended-upgrades writes /var/run/reboot-required.
fn hook() -> String {
    format!("DPKG_MAINTSCRIPT_PACKAGE={PACKAGE} /etc/kernel/postinst.d/unattended-upgrades 7.9.9-cloud-amd64")
}

/// A node's need arises.
pub(crate) async fn need(cluster: &Cluster, node: &str) -> Result<()> {
    let machine = cluster.machine(node)?;
    machine.run(&hook()).await?;
    let written = machine.run("cat /var/run/reboot-required.pkgs").await?;
    ensure!(written.trim() == PACKAGE, "the hook wrote {written:?}");
    Ok(())
}

/// Reboots both, under a workload with a budget. While the first is drained, every replica of
/// scheduler and drainer gathers on the second; so the second is drained by a drainer that sits on
/// it, by order of a scheduler that sits on it, and both of them have to go. And while the first is
/// drained, another version of every service is applied.
pub(crate) async fn both(cluster: &Cluster, upgraded: &Overlay) -> Result<()> {
    let web = Workload::new("web").replicas(3);
    let (deployments, budgets) = (
        Api::namespaced(cluster.client(), NAMESPACE),
        Api::namespaced(cluster.client(), NAMESPACE),
    );
    deployments.create(&PostParams::default(), &web.deployment()?).await?;
    budgets.create(&PostParams::default(), &web.max_unavailable(1)?).await?;
    let ready = ReadyPods::start(cluster.client(), NAMESPACE, "web").await?;
    ready.settle(3, DEADLINE).await?;
    let first = one(cluster, "node-1", "2", async || cluster.send(upgraded).await);
    cluster
        .step(
            "node-1, where a package's hook has run, and a new version rolls out",
            first,
        )
        .await?;
    let rolled = cluster.rolled_out(upgraded);
    cluster.step("the new version is everywhere", rolled).await?;
    let second = one(cluster, "node-2", "3", async || Ok(()));
    cluster.step("node-2, where a package's hook has run", second).await?;
    let fewest = ready.fewest();
    ensure!(fewest >= 2, "the budget was broken: {fewest} of 3 were ready");
    // A kubelet that is late on busy cores makes its node not ready, which is no fault of Bellwether.
    let most = cluster.nodes.most_cordoned();
    ensure!(most.len() == 1, "{most:?} were cordoned at once");
    Ok(())
}

/// One node's whole way, with a photo of each part of it, and a deed once it is cordoned.
pub(crate) async fn rebooted(
    cluster: &Cluster,
    node: &str,
    photo: &str,
    once_cordoned: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    let (boot, boots) = (cluster.boot_id(node).await?, cluster.boots(node).await?);
    let cordons = cluster.nodes.cordons(node);
    need(cluster, node).await?;
    wait::until(&format!("{node} to be cordoned"), DEADLINE, async || {
        let state = node_state(&cluster.node(node).await?);
        ensure!(state.cordoned, "it is {state:?}");
        Ok(())
    })
    .await?;
    once_cordoned().await?;
    cluster.photo(&format!("{photo}-{node}-draining"), node).await?;

    // logind decides when: it takes the request, and kubelet's leave, before the machine goes down.
    let machine = cluster.machine(node)?;
    wait::until(&format!("{node} to go down"), DEADLINE, async || {
        let now = cluster.boot_id(node).await?;
        ensure!(
            machine.console()?.matches(RESTART).count() == boots || now != boot,
            "it is up"
        );
        Ok(())
    })
    .await?;
    let left = cluster.pods_on(node, "web").await?;
    ensure!(left.is_empty(), "it was rebooted with {left:?} on it");
    cluster.photo(&format!("{photo}-{node}-rebooting"), node).await?;

    wait::until(&format!("another boot of {node}"), DEADLINE, async || {
        let now = cluster.boot_id(node).await?;
        ensure!(now != boot, "it is still {now}");
        Ok(())
    })
    .await?;
    cluster.wait_ready(node).await?;
    let status = cluster.wait_status(node, "to be done", Status::is_done).await?;
    cluster.photo(&format!("{photo}-{node}-after"), node).await?;

    let attempt = status.attempt.context("an attempt")?;
    let boot_after = cluster.boot_id(node).await?;
    ensure!(
        attempt.boot_id_before == boot && attempt.boot_id_after == boot_after,
        "{attempt:?}"
    );
    ensure!(cluster.boots(node).await? == boots + 1, "it booted more than once");
    ensure!(
        cluster.nodes.cordons(node) == cordons + 1,
        "it was cordoned more than once"
    );
    Ok(())
}

/// The same by logind.
pub(crate) async fn one(
    cluster: &Cluster,
    node: &str,
    photo: &str,
    once_cordoned: impl AsyncFnOnce() -> Result<()>,
) -> Result<()> {
    rebooted(cluster, node, photo, once_cordoned).await?;
    let logind = cluster.machine(node)?.run(LOGIND).await?;
    ensure!(logind.contains("System is rebooting"), "logind logged: {logind}");
    Ok(())
}

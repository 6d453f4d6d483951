//! Each way to reboot a host, on a host with a real systemd: `cargo xtask test node --story methods`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::PostParams;
use rig::wait;
use rig::workload::{NAMESPACE, Workload};

use crate::cluster::{Cluster, DEADLINE};
use crate::operator::Status;
use crate::overlay::Overlay;
use crate::roll;

/// Longer than a rebooter takes to look at an order again.
pub(crate) const LOOK: Duration = Duration::from_secs(20);

/// Blocks shutdowns, as a package manager does while it writes.
const UPGRADE: &str = "systemd-run --quiet --unit=upgrade systemd-inhibit --what=shutdown --mode=block --who=dpkg --why=upgrade sleep infinity";

/// Its end.
const UPGRADED: &str = "systemctl stop upgrade.service";

/// The log of the first process in the boot before this one.
pub(crate) const FIRST_PROCESS: &str = "journalctl --boot=-1 _PID=1 --output=cat --no-pager --quiet";

/// What the rebooters of this host have logged, in any boot.
pub(crate) const REBOOTERS: &str = "cat /var/log/pods/bellwether-agents_rebooter-*/rebooter/*.log";

/// For all nodes.
const SOFT_POLICY: &str =
    "apiVersion: bellwether.dev/v1alpha1\nkind: RebootPolicy\nmetadata: { name: soft }\nspec: { rebootKind: Soft }\n";

pub(crate) async fn story(cluster: &Cluster) -> Result<()> {
    let over = |name| Overlay::with_nats_at(name, cluster.nats.port());
    let logind = over("logind");
    let apply = cluster.apply(&logind);
    cluster
        .step("the overlay is applied, every pod is Ready", apply)
        .await?;
    let inhibited = Box::pin(inhibited(cluster, "node-1"));
    cluster
        .step("an upgrade that blocks shutdowns is waited for", inhibited)
        .await?;

    let signal = over("signal").with_component("reboot-signal");
    let apply = cluster.apply(&signal);
    cluster.step("the method is signal", apply).await?;
    let signalled = Box::pin(signalled(cluster, "node-2"));
    cluster.step("a signal reboots the host", signalled).await?;

    let command = over("command").with_component("reboot-command");
    let apply = cluster.apply(&command);
    cluster.step("the method is command", apply).await?;
    let commanded = Box::pin(commanded(cluster, "node-1"));
    cluster
        .step("a command among the host's files reboots it", commanded)
        .await?;

    let again = over("logind-again");
    let apply = cluster.apply(&again);
    cluster.step("the method is logind again", apply).await?;
    let softly = Box::pin(softly(cluster, "node-2"));
    cluster.step("user space alone starts again", softly).await
}

/// Under a policy with soft reboots user space starts again once and proves it, in the same boot. The file in /run survives, and
/// the node is not rebooted for it again.
async fn softly(cluster: &Cluster, node: &str) -> Result<()> {
    let machine = cluster.machine(node)?;
    let count = async || {
        let count = machine
            .run("systemctl show --property=SoftRebootsCount --value")
            .await?;
        Ok::<u32, anyhow::Error>(count.trim().parse()?)
    };
    let (boot, boots, before) = (cluster.boot_id(node).await?, cluster.boots(node).await?, count().await?);
    cluster.kubectl.run(&["apply", "--filename=-"], SOFT_POLICY).await?;
    roll::need(cluster, node).await?;
    let survived = |status: &Status| status.waits_for() == Some("NeedSurvivedReboot");
    let status = cluster.wait_status(node, "to be rebooted softly", survived).await?;
    let attempt = status.attempt.context("an attempt")?;
    ensure!(
        attempt.phase == "Done" && attempt.boot_id_before == boot && attempt.boot_id_after == boot,
        "{attempt:?}"
    );
    ensure!(
        cluster.boot_id(node).await? == boot && cluster.boots(node).await? == boots,
        "it booted in full"
    );
    let after = count().await?;
    ensure!(after == before + 1, "{before} soft reboots before, {after} after");
    wait::steadily("it is not rebooted again", LOOK, async || Ok(count().await? == after)).await?;
    machine
        .run("rm -f /var/run/reboot-required /var/run/reboot-required.pkgs")
        .await?;
    cluster.wait_status(node, "to be done", Status::is_done).await?;
    cluster
        .kubectl
        .run(&["delete", "rebootpolicy", "soft"], "")
        .await
        .map(drop)
}

/// An inhibitor of before the drain keeps the node from being drained. One that comes during the drain is waited for by the
/// rebooter, and the reboot follows its end.
async fn inhibited(cluster: &Cluster, node: &str) -> Result<()> {
    let machine = cluster.machine(node)?;
    let cordons = cluster.nodes.cordons(node);
    machine.run(UPGRADE).await?;
    // A rebooter looks at its start, and then every few minutes.
    cluster.restart_rebooters().await?;
    roll::need(cluster, node).await?;
    let refused = |status: &Status| status.waits_for() == Some("PreflightFailed");
    let reason = cluster.wait_status(node, "to be refused", refused).await?.reason;
    let message = reason.context("a reason")?.message;
    ensure!(message.contains("dpkg"), "the inhibitor is not named: {message}");
    ensure!(cluster.nodes.cordons(node) == cordons, "it was drained for nothing");

    // A pod that does not end before the test lets it: the drain lasts as long.
    let held = Workload::new("held").on_node(node);
    let deployments = Api::namespaced(cluster.client(), NAMESPACE);
    deployments.create(&PostParams::default(), &held.deployment()?).await?;
    let pod = wait::until("the pod to be there", DEADLINE, async || {
        let pods = cluster.pods_on(node, "held").await?;
        pods.into_iter().next().context("no pod")
    })
    .await?;
    let finalizers = async |list: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{list}}}}}"#);
        let args = [
            "patch",
            "pod",
            &pod,
            "--namespace",
            NAMESPACE,
            "--type=merge",
            "--patch",
            &patch,
        ];
        cluster.kubectl.run(&args, "").await.map(drop)
    };
    finalizers(r#"["bellwether.test/held"]"#).await?;
    machine.run(UPGRADED).await?;
    let boots = cluster.boots(node).await?;
    roll::rebooted(cluster, node, "m1", async || {
        machine.run(UPGRADE).await?;
        finalizers("[]").await?;
        let waits = |status: &Status| {
            status
                .reason
                .as_ref()
                .is_some_and(|reason| reason.message.contains("dpkg"))
        };
        cluster.wait_status(node, "to wait for the upgrade", waits).await?;
        wait::steadily("the host stays up", LOOK, async || {
            Ok(cluster.boots(node).await? == boots)
        })
        .await?;
        machine.run(UPGRADED).await.map(drop)
    })
    .await
}

async fn signalled(cluster: &Cluster, node: &str) -> Result<()> {
    roll::rebooted(cluster, node, "m2", async || Ok(())).await?;
    let machine = cluster.machine(node)?;
    let first = machine.run(FIRST_PROCESS).await?;
    ensure!(first.contains("SIGRTMIN+5"), "no signal arrived: {first}");
    let logind = machine.run(roll::LOGIND).await?;
    ensure!(!logind.contains("System is rebooting"), "logind was asked: {logind}");
    Ok(())
}

async fn commanded(cluster: &Cluster, node: &str) -> Result<()> {
    roll::rebooted(cluster, node, "m3", async || Ok(())).await?;
    let rebooters = cluster.machine(node)?.run(REBOOTERS).await?;
    let is_call = |line: &&str| line.contains("Rebooting host") && line.contains("command");
    ensure!(
        rebooters.lines().any(|line| is_call(&line)),
        "no command was run: {rebooters}"
    );
    Ok(())
}

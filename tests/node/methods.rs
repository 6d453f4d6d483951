//! Each way to reboot a host, on a host with a real systemd: `cargo xtask test node --story methods`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::PostParams;
use rig::record::node_state;
use rig::wait;
use rig::workload::{NAMESPACE, Workload};

use crate::cluster::{Cluster, DEADLINE};
use crate::operator::Status;
use crate::overlay::Overlay;
use crate::roll;

/// Steps of an escalation, as short as they may be: between the call and the first step the story turns the host deaf.
const ESCALATION: &str = "signal=60s,syscall=90s";

/// Longer than a rebooter takes to look at an order again.
const LOOK: Duration = Duration::from_secs(20);

/// Blocks shutdowns, as a package manager does while it writes.
const UPGRADE: &str = "systemd-run --quiet --unit=upgrade systemd-inhibit --what=shutdown --mode=block --who=dpkg --why=upgrade sleep infinity";

/// Its end.
const UPGRADED: &str = "systemctl stop upgrade.service";

/// A program that logind lets delay each shutdown, as long as it lets the kubelet.
const DELAY: &str = "systemd-run --quiet --unit=delay systemd-inhibit --what=shutdown --mode=delay --who=pods --why=pods sleep infinity";

/// logind neither answers nor ends, until it is continued.
const FREEZE: &str = "systemctl kill --signal=STOP systemd-logind.service";
const THAW: &str = "systemctl kill --signal=CONT systemd-logind.service";

/// The process of the rebooter, and its end without a word.
const REBOOTER: &str = "pgrep --full '^/bellwether-rebooter'";
const KILL: &str = "pkill --signal KILL --full '^/bellwether-rebooter'";

/// A unit that fails with each boot, from the next one on, and its end.
const FAILS: &str = r"printf '%s\n' '[Service]' 'ExecStart=/bin/false' '[Install]' 'WantedBy=multi-user.target' > /etc/systemd/system/fails.service && systemctl enable --quiet fails.service";
const FAILS_NO_MORE: &str = "systemctl disable --quiet fails.service && systemctl reset-failed fails.service";

/// Whether logind has taken a request.
const TAKEN: &str = "busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager PreparingForShutdown";

/// A first process that reboots by no request, until the next boot.
const DEAF: &str = "systemctl mask --quiet --runtime reboot.target";

/// A service that does not stop, so that no shutdown of systemd gets to its end: written where the next boot finds none.
const HANG: &str = r"printf '%s\n' '[Service]' 'ExecStart=/bin/sleep infinity' 'ExecStop=/bin/sleep infinity' 'TimeoutStopSec=infinity' > /run/systemd/system/hang.service && systemctl daemon-reload && systemctl start hang.service";

/// The limit of a shutdown that our deployment has for hosts, and a time that a test can wait for.
const LIMIT: &str = include_str!("../../deploy/host/reboot-limit.conf");
const LIMIT_OF_TEST: (&str, &str) = ("JobTimeoutSec=10min", "JobTimeoutSec=3min");

/// The log of the first process in the boot before this one.
const FIRST_PROCESS: &str = "journalctl --boot=-1 _PID=1 --output=cat --no-pager --quiet";

/// What the rebooters of this host have logged, in any boot.
const REBOOTERS: &str = "cat /var/log/pods/bellwether-agents_rebooter-*/rebooter/*.log";

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
    let killed = Box::pin(killed(cluster, "node-1"));
    cluster
        .step(
            "a rebooter is killed while logind hangs, and the next one reboots once",
            killed,
        )
        .await?;
    let unheard = Box::pin(unheard(cluster, "node-2"));
    cluster
        .step(
            "a host boots without NATS, which then hears of the boot and of a unit that failed",
            unheard,
        )
        .await?;
    let softly = Box::pin(softly(cluster, "node-2"));
    cluster.step("user space alone starts again", softly).await?;

    let escalation = over("escalation")
        .with_component("reboot-escalation")
        .with_agent_setting("BELLWETHER_REBOOT_ESCALATION", ESCALATION);
    let apply = cluster.apply(&escalation);
    cluster.step("the rebooter may escalate", apply).await?;
    let escalated = Box::pin(escalated(cluster, "node-2"));
    cluster
        .step(
            "a host that takes the request and does nothing is rebooted by the kernel",
            escalated,
        )
        .await?;
    let hung = Box::pin(hung(cluster, "node-1"));
    cluster
        .step("a host that hangs in its shutdown is rebooted by its own systemd", hung)
        .await
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

/// A logind that hangs between the look that found it able and the order: the rebooter waits, is killed, and its successor
/// finds the order.
async fn killed(cluster: &Cluster, node: &str) -> Result<()> {
    let machine = cluster.machine(node)?;
    let boots = cluster.boots(node).await?;
    roll::rebooted(cluster, node, "m4", async || {
        machine.run(FREEZE).await?;
        let waits = |status: &Status| status.waits_for() == Some("WaitsForRebootCall");
        cluster.wait_status(node, "to wait for logind", waits).await?;
        let before = machine.run(REBOOTER).await?;
        machine.run(KILL).await?;
        wait::until("another rebooter", DEADLINE, async || {
            let now = machine.run(REBOOTER).await?;
            ensure!(now != before, "it is still {before}");
            Ok(())
        })
        .await?;
        ensure!(cluster.boots(node).await? == boots, "the host went down");
        machine.run(THAW).await.map(drop)
    })
    .await
}

/// NATS is away from the call until the host has booted: the node stays cordoned, and is back in service once NATS hears of
/// the boot. A unit that failed in that boot is shown, and so are the phases of the boot.
async fn unheard(cluster: &Cluster, node: &str) -> Result<()> {
    let machine = cluster.machine(node)?;
    machine.run(FAILS).await?;
    let (boot, boots) = (cluster.boot_id(node).await?, cluster.boots(node).await?);
    roll::rebooted(cluster, node, "m5", async || {
        wait::until(&format!("{node} to go down"), DEADLINE, async || {
            ensure!(machine.console()?.matches(roll::RESTART).count() == boots, "it is up");
            Ok(())
        })
        .await?;
        cluster.nats.kill9();
        wait::until(&format!("{node} to boot without NATS"), DEADLINE, async || {
            let now = cluster.boot_id(node).await?;
            ensure!(now != boot, "it is still {now}");
            Ok(())
        })
        .await?;
        cluster.wait_ready(node).await?;
        wait::steadily("the node stays cordoned", LOOK, async || {
            Ok(node_state(&cluster.node(node).await?).cordoned)
        })
        .await?;
        cluster.nats.restart().await
    })
    .await?;
    let shown = cluster.reboots(&["explain", node]).await?;
    for words in ["kernel ", "userspace ", "fails.service", "not before the reboot"] {
        ensure!(shown.contains(words), "{words:?} is not in {shown}");
    }
    machine.run(FAILS_NO_MORE).await.map(drop)
}

/// The kubelet ends the pods of the host, with the rebooter that has called, and then logind cannot reboot. The next rebooter takes
/// each step of the ladder in its turn: the signal finds a first process that cannot obey either.
async fn escalated(cluster: &Cluster, node: &str) -> Result<()> {
    let machine = cluster.machine(node)?;
    machine.run(DELAY).await?;
    roll::rebooted(cluster, node, "m6", async || {
        wait::until("logind to take the request", DEADLINE, async || {
            let taken = machine.run(TAKEN).await?;
            ensure!(taken.contains("true"), "PreparingForShutdown is {taken}");
            Ok(())
        })
        .await?;
        machine.run(DEAF).await.map(drop)
    })
    .await?;
    let rebooters = machine.run(REBOOTERS).await?;
    for step in ["signal", "syscall"] {
        let is_step = |line: &&str| line.contains("rebooting it by the next method") && line.contains(step);
        ensure!(
            rebooters.lines().any(|line| is_step(&line)),
            "no step {step}: {rebooters}"
        );
    }
    let first = machine.run(FIRST_PROCESS).await?;
    ensure!(first.contains("SIGRTMIN+5"), "no signal arrived: {first}");
    Ok(())
}

/// No rebooter is left to escalate then: systemd stops the containers first.
async fn hung(cluster: &Cluster, node: &str) -> Result<()> {
    let machine = cluster.machine(node)?;
    let (limit, limit_of_test) = LIMIT_OF_TEST;
    ensure!(LIMIT.contains(limit), "it has another limit: {LIMIT}");
    let folder = "/run/systemd/system/reboot.target.d";
    let file = LIMIT.replace(limit, limit_of_test);
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.map(|line| format!("'{line}'")).collect();
    let lines = lines.join(" ");
    let install = format!("mkdir -p {folder} && printf '%s\\n' {lines} > {folder}/reboot-limit.conf");
    machine.run(&install).await?;
    machine.run(HANG).await?;
    roll::rebooted(cluster, node, "m7", async || Ok(())).await?;
    let first = machine.run(FIRST_PROCESS).await?;
    ensure!(first.contains("Forcibly rebooting"), "systemd logged: {first}");
    Ok(())
}

//! What goes wrong with a reboot on a host with a real systemd: `cargo xtask test node --story faults`.

use anyhow::{Result, ensure};
use rig::record::node_state;
use rig::wait;

use crate::cluster::{Cluster, DEADLINE};
use crate::methods::{FIRST_PROCESS, LOOK, REBOOTERS};
use crate::operator::Status;
use crate::overlay::Overlay;
use crate::roll;

/// Steps of an escalation, as short as they may be: between the call and the first step the story turns the host deaf.
const ESCALATION: &str = "signal=60s,syscall=90s";

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

pub(crate) async fn story(cluster: &Cluster) -> Result<()> {
    let over = |name| Overlay::with_nats_at(name, cluster.nats.port());
    let logind = over("logind");
    let apply = cluster.apply(&logind);
    cluster
        .step("the overlay is applied, every pod is Ready", apply)
        .await?;
    let unheard = Box::pin(unheard(cluster, "node-2"));
    cluster
        .step(
            "a host boots without NATS, which then hears of the boot and of a unit that failed",
            unheard,
        )
        .await?;
    let killed = Box::pin(killed(cluster, "node-1"));
    cluster
        .step(
            "a rebooter is killed while logind hangs, and the next one reboots once",
            killed,
        )
        .await?;

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
        wait::until(&format!("{node} to be Ready"), DEADLINE, async || {
            let state = node_state(&cluster.node(node).await?);
            ensure!(state.ready, "it is {state:?}");
            Ok(())
        })
        .await?;
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

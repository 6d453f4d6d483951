//! Needs on real parts: a sentinel file that each boot writes again, and one that is written twice while its node waits.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Phase, setting};
use rig::host::Host;
use rig::services::ServicesOptions;
use rig::wait;
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;

/// Longer than the delay between two attempts in the rig.
const WHILE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_file_that_each_boot_writes_holds_its_node_after_the_permitted_reboots() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let host = fleet.world.host(0)?;
    let brakes = json!({ "brakes": { "maxRebootsPerDay": 2 } });
    policies::create(&fleet.world, "all", &brakes).await?;
    fleet.explained(host.name(), &["Policy:", "all"]).await?;
    host.behave(|it| it.need_survives_reboot = true);
    host.upgrade_kernel("6.12.48")?;
    let remedy = "find the program that writes the sentinel file at each boot";
    fleet
        .explained(host.name(), &["RebootLoop", "2 reboots", remedy])
        .await?;
    wait::steadily("no third reboot is ordered", WHILE, async || {
        Ok(host.reboot_orders() == 2 && fleet.nodes.cordons(host.name()) == 2)
    })
    .await?;
    // The program is corrected, and the operator says so.
    host.behave(|it| it.need_survives_reboot = false);
    fleet.services.ctl_ok(&["cancel", host.name()]).await?;
    fleet.explained(host.name(), &["Idle"]).await?;
    ensure!(host.reboots() == 3, "{} reboots", host.reboots());
    fleet.in_phase(host.name(), Phase::Done).await?;
    fleet.finish()
}

/// What `explain` shows of a node for programs.
async fn shown(fleet: &Fleet, node: &str) -> Result<Value> {
    let answer = fleet.services.ctl_ok(&["explain", node, "-o", "json"]).await?;
    let story: Value = serde_json::from_str(&answer)?;
    story.get("node").cloned().context("no node")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_file_that_is_written_again_keeps_the_place_of_its_node_in_the_queue() -> Result<()> {
    let fleet = Fleet::start(3, ServicesOptions::default()).await?;
    let [first, second, cordoned] = [fleet.world.host(0)?, fleet.world.host(1)?, fleet.world.host(2)?];
    // A node that an operator has cordoned takes the one slot.
    fleet.world.set_cordon(cordoned.name(), true).await?;
    fleet.explained(cordoned.name(), &["SchedulingDisabled"]).await?;
    first.need_reboot(&["libc6"])?;
    fleet.explained(first.name(), &["NoSlot", "libc6"]).await?;
    let before = shown(&fleet, first.name()).await?;
    second.need_reboot(&["libc6"])?;
    fleet.explained(second.name(), &["NoSlot", "number 2"]).await?;
    for package in ["dbus", "systemd"] {
        first.need_reboot(&["libc6", package])?;
        fleet.explained(first.name(), &["NoSlot", package, "number 1"]).await?;
        let after = shown(&fleet, first.name()).await?;
        ensure!(after["requiredSince"] == before["requiredSince"], "{after}");
    }
    fleet.explained(second.name(), &["NoSlot", "number 2"]).await?;
    fleet.world.set_cordon(cordoned.name(), false).await?;
    fleet.rebooted_once(&[first.clone(), second.clone()]).await?;
    let order = fleet.nodes.cordon_order();
    let place = |node: &str| order.iter().position(|cordoned| cordoned == node);
    ensure!(place(first.name()) < place(second.name()), "{order:?}");
    fleet.finish()
}

/// Takes every inotify instance from a program, as on a host whose other programs have used them up.
const WITHOUT_INOTIFY: &str = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_without_inotify_reports_a_need_at_its_rescan() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default().set(setting::RESCAN_INTERVAL, "1s")).await?;
    let host = fleet.world.host(0)?;
    // A cordon that is not ours keeps the node from its reboot, so that its need can be looked at.
    fleet.world.set_cordon(host.name(), true).await?;
    let sentinel = fleet.services.agents_of(&host)?.sentinel;
    sentinel.process.reconfigure(|program| {
        let service = std::mem::replace(&mut program.path, "unshare".into());
        let mut args: Vec<String> = ["--user", "--map-root-user", "sh", "-c", WITHOUT_INOTIFY]
            .map(str::to_owned)
            .to_vec();
        args.push(service.display().to_string());
        args.append(&mut program.args);
        program.args = args;
    });
    sentinel.process.restart()?;
    sentinel.wait_ready().await?;
    let refused = "Too many open files";
    let log = sentinel.process.output();
    ensure!(
        log.contains("watch the sentinel file's directory") && log.contains(refused),
        "{log}"
    );
    host.need_reboot(&["libc6"])?;
    fleet
        .explained(host.name(), &["Reboot required: for", "by libc6"])
        .await?;
    host.withdraw_need()?;
    fleet.explained(host.name(), &["Reboot required: no"]).await?;
    fleet.finish()
}

/// What the timer of a host leaves of its last run of zypper.
fn zypper_ended(host: &Host, exit: u8) -> Result<()> {
    command_ended(host, "zypper", &format!("Reading installed packages...\nexit={exit}\n"))
}

/// What the timer of a host leaves of the last run of a preset's command.
fn command_ended(host: &Host, preset: &str, result: &str) -> Result<()> {
    let folder = host.root().join("var/run/bellwether");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(".new"), result)?;
    fs::rename(folder.join(".new"), folder.join(preset))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_a_restart_would_do_for_are_shown_and_are_no_need() -> Result<()> {
    let probes = "file; command preset=needrestart";
    let fleet = Fleet::start(1, ServicesOptions::default().set(setting::PROBES, probes)).await?;
    let host = fleet.world.host(0)?;
    // A cordon that is not ours keeps the node from its reboot, so that its need can be looked at.
    fleet.world.set_cordon(host.name(), true).await?;
    let services = "NEEDRESTART-SVC: ssh.service\nNEEDRESTART-SVC: dbus.service\nexit=0\n";
    command_ended(&host, "needrestart", &format!("NEEDRESTART-KSTA: 1\n{services}"))?;
    let restart = "To restart:      dbus.service, ssh.service (no reboot is needed for these)";
    fleet
        .explained(
            host.name(),
            &[
                "Reboot required: no",
                "needrestart (command): requires no reboot",
                restart,
            ],
        )
        .await?;
    ensure!(shown(&fleet, host.name()).await?["servicesToRestart"] == json!(["dbus.service", "ssh.service"]));
    command_ended(
        &host,
        "needrestart",
        &format!("NEEDRESTART-KEXP: 6.1.0-10\nNEEDRESTART-KSTA: 2\n{services}"),
    )?;
    let kernel = " by kernel 6.1.0-10; the kernel is another build, to which modules fit";
    fleet.explained(host.name(), &[kernel, restart]).await?;
    let probes = shown(&fleet, host.name()).await?["probes"].clone();
    ensure!(probes[1]["kernelChange"] == "Compatible", "{probes}");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_a_command_reboots_its_node_and_neither_an_error_nor_what_survives_the_reboot_does() -> Result<()> {
    let probes = "file; command preset=zypper";
    let fleet = Fleet::start(1, ServicesOptions::default().set(setting::PROBES, probes)).await?;
    let host = fleet.world.host(0)?;
    let no_result = "probe zypper: result /var/run/bellwether/zypper cannot be read";
    fleet.explained(host.name(), &[no_result]).await?;
    zypper_ended(&host, 127)?;
    fleet.explained(host.name(), &["was not found on the host"]).await?;
    let probes = [
        "Probe:           file: requires no reboot",
        "Probe:           zypper (command): ProbeFailed: ",
    ];
    fleet.explained(host.name(), &probes).await?;
    zypper_ended(&host, 0)?;
    fleet.explained(host.name(), &["Idle"]).await?;

    zypper_ended(&host, 102)?;
    wait::eventually("it is rebooted", DEADLINE, async || Ok(host.reboots() == 1)).await?;
    let probes = shown(&fleet, host.name()).await?["probes"].clone();
    ensure!(
        probes[0]["result"] == "NotRequired" && probes[1]["name"] == "zypper",
        "{probes}"
    );
    // Until the timer has run in the new boot, the need is unknown.
    fleet.explained(host.name(), &[no_result]).await?;
    zypper_ended(&host, 102)?;
    fleet.explained(host.name(), &["NeedSurvivedReboot"]).await?;
    zypper_ended(&host, 0)?;
    fleet.explained(host.name(), &["Idle"]).await?;
    ensure!(host.reboots() == 1, "{} reboots", host.reboots());
    zypper_ended(&host, 102)?;
    wait::eventually("another need reboots it", DEADLINE, async || Ok(host.reboots() == 2)).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_a_policy_names_reboots_its_node_once_and_its_next_value_once_more() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let (host, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    let key = "example.com/needs-reboot";
    let annotate = async |value| fleet.world.annotate(host.name(), key, value).await;
    // No policy names it yet: the policy comes later than the node, so the nodes are listed again for it.
    annotate(Some("firmware 7")).await?;
    fleet.explained(host.name(), &["Idle"]).await?;
    let without_key = json!({ "needs": { "annotations": [{ "key": "" }] } });
    let refused = policies::create(&fleet.world, "all", &without_key).await;
    let error = format!("{:#}", refused.err().context("a policy without a key is taken")?);
    ensure!(error.contains("spec.needs.annotations[0].key"), "{error}");
    let spec = json!({ "needs": { "annotations": [{ "key": key }] } });
    policies::create(&fleet.world, "all", &spec).await?;
    wait::eventually("it is rebooted", DEADLINE, async || Ok(host.reboots() == 1)).await?;
    let parts = [
        "NeedSurvivedReboot",
        "annotation example.com/needs-reboot=firmware 7",
        "Probe:           example.com/needs-reboot (annotation): requires a reboot for ",
        ", or since before the last boot by ",
    ];
    fleet.explained(host.name(), &parts).await?;
    let parts = ["Idle", "example.com/needs-reboot (annotation): requires no reboot"];
    fleet.explained(other.name(), &parts).await?;

    annotate(Some("firmware 8")).await?;
    wait::eventually("another value reboots it", DEADLINE, async || Ok(host.reboots() == 2)).await?;
    fleet
        .explained(host.name(), &["NeedSurvivedReboot", "firmware 8"])
        .await?;
    annotate(None).await?;
    fleet.explained(host.name(), &["Idle"]).await?;
    annotate(Some("false")).await?;
    wait::steadily(
        "neither the end of the need nor `false` reboots it",
        WHILE,
        async || Ok(host.reboot_orders() == 2 && other.reboot_orders() == 0),
    )
    .await?;
    fleet.finish()
}

//! What systemd of a host shows of its boot, on a real bus: phases, the end of the boot, and units that have failed.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Attempt, Phase};
use rig::bus::Bus;
use rig::logind::BOOTED;
use rig::record::node_state;
use rig::wait;
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};
use crate::{methods, policies};

const FINISH: &str = "FinishTimestampMonotonic";

#[tokio::test(flavor = "multi_thread")]
async fn the_phases_of_a_boot_and_its_failed_units_are_reported_as_they_come() -> Result<()> {
    let Some((fleet, mut bus)) = methods::fleet("120s").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    bus.answers().moments = BTreeMap::from([
        ("FirmwareTimestampMonotonic", 10_000_000),
        ("LoaderTimestampMonotonic", 1_500_000),
        ("InitRDTimestampMonotonic", 2_000_000),
        ("UserspaceTimestampMonotonic", 5_000_000),
    ]);
    // Without a restart the rebooter would look again after the five minutes of its refresh, or after a boot without an end.
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    rebooter.process.restart()?;
    let unfinished = "Boot:            not finished: firmware 8.5s, loader 1.5s, kernel 2.0s, initrd 3.0s";
    fleet.explained(host.name(), &[unfinished]).await?;

    // The boot ends, and a unit has failed: looked at without a hint, long before the refresh.
    bus.answers().failed_units = vec!["smartd.service", "data.mount"];
    bus.answers().inhibitors = vec![["shutdown", "kubelet", "Kubelet needs time", "delay"]];
    bus.answers().moments.insert(FINISH, 25_000_000);
    let finished = [
        "Boot:            took 35.0s: firmware 8.5s, loader 1.5s, kernel 2.0s, initrd 3.0s, userspace 20.0s",
        "Failed units:    data.mount, smartd.service",
        "Shutdown:        delayed by kubelet, for 5s at most",
    ];
    fleet.explained(host.name(), &finished).await?;
    let answer = fleet.services.ctl_ok(&["explain", host.name(), "-o", "json"]).await?;
    let story: Value = serde_json::from_str(&answer)?;
    let boot = json!({
        "finished": true, "firmwareSeconds": 8.5, "loaderSeconds": 1.5, "kernelSeconds": 2.0, "initrdSeconds": 3.0,
        "userspaceSeconds": 20.0, "failedUnits": ["data.mount", "smartd.service"],
        "shutdownDelaySeconds": 5.0, "shutdownDelayedBy": ["kubelet"],
    });
    ensure!(story["node"]["boot"] == boot, "{story}");
    let status = fleet.services.ctl_ok(&["status", "-o", "json"]).await?;
    let status: Value = serde_json::from_str(&status)?;
    ensure!(status["nodes"][0]["boot"] == boot, "{status}");
    let log = rebooter.process.output();
    ensure!(log.contains("Boot finished") && log.contains("smartd.service"), "{log}");

    // No bus: the boot is not known, and nothing else depends on it.
    bus.stop().await?;
    rebooter.process.restart()?;
    let reports = Bus::connect(&fleet.world.nats).await?;
    wait::until("a report without a boot", DEADLINE, async || {
        let report = reports.rebooter_report(host.name()).await?.context("no report")?;
        ensure!(report.boot.is_none() && report.problem.is_some(), "{report:?}");
        Ok(())
    })
    .await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_fails_in_the_new_boot_holds_the_node_until_it_is_repaired() -> Result<()> {
    let Some((fleet, bus)) = methods::fleet("120s").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    policies::create(
        &fleet.world,
        "all",
        &json!({ "backInService": { "failedUnits": "Hold" } }),
    )
    .await?;
    // The boot has not ended.
    fleet.upgrade_all()?;
    fleet
        .explained(host.name(), &["GateFailed", "services of the host still start"])
        .await?;

    // The call is refused until the units of the next boot are set.
    bus.answers().always = methods::BLOCKED;
    bus.answers().moments = BTreeMap::from(BOOTED);
    bus.answers().failed_units = vec!["old.service"];
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    rebooter.process.restart()?;
    let attempt = fleet.in_phase(host.name(), Phase::Rebooting).await?;
    ensure!(
        attempt
            .units_before
            .as_ref()
            .is_some_and(|before| before.hold && before.failed_units == ["old.service"]),
        "{attempt:?}"
    );
    bus.answers().failed_units = vec!["new.service", "old.service"];
    bus.answers().always = "";
    let held = "the unit new.service of the host has failed";
    fleet.explained(host.name(), &["WaitsForService", held]).await?;
    let state = node_state(&fleet.world.node(host.name()).await?);
    ensure!(state.is_disrupted(), "the node is not cordoned: {state:?}");

    bus.answers().failed_units = vec!["old.service"];
    // The next look would be that of the refresh, in five minutes.
    rebooter.process.restart()?;
    fleet.rebooted_once(&[host]).await?;
    the_boot_is_traced(&fleet, &attempt).await?;
    fleet.finish()
}

/// The phases of the boot lie below the time in which the host was away.
async fn the_boot_is_traced(fleet: &Fleet, attempt: &Attempt) -> Result<()> {
    let traces = &fleet.world.traces;
    let text = attempt.trace.to_string();
    let trace = text.split('-').nth(1).context("a trace id")?;
    wait::until("the spans of the boot", DEADLINE, async || {
        let spans = traces.trace(trace);
        let named = |name| spans.iter().find(|span| span.name == name).context(name);
        let away = named("host away")?;
        for phase in ["kernel", "user space"] {
            ensure!(named(phase)?.parent == away.id, "{}", traces.tree(trace));
        }
        Ok(())
    })
    .await
}

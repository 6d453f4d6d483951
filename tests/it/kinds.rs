//! The kinds of reboot that a policy may choose, on a real bus: what each needs, what is called, and what proves it.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Fact, Phase, ProblemCode, RebootKind};
use jiff::Timestamp;
use rig::bus::Bus;
use rig::logind::{SOFT, SystemBus};
use rig::wait;
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};
use crate::{methods, policies};

/// One node under a policy with this kind.
async fn governed(kind: &str) -> Result<Option<(Fleet, SystemBus)>> {
    let Some((fleet, bus)) = methods::fleet("120s").await? else {
        return Ok(None);
    };
    policies::create(&fleet.world, "all", &json!({ "rebootKind": kind })).await?;
    Ok(Some((fleet, bus)))
}

/// Restarts the rebooter, and waits until it reports this problem with the kind.
async fn reported(fleet: &Fleet, kind: RebootKind, expected: Option<ProblemCode>) -> Result<()> {
    let host = fleet.world.host(0)?;
    let reports = Bus::connect(&fleet.world.nats).await?;
    let since = Timestamp::now();
    fleet.services.agents_of(&host)?.rebooter.process.restart()?;
    wait::until(&format!("a report of {kind}: {expected:?}"), DEADLINE, async || {
        let report = reports.rebooter_report(host.name()).await?.context("no report")?;
        ensure!(report.reported_at >= since, "it is of the process before");
        let preflight = report.preflight_of(kind).context("the kind is not reported")?;
        let found = preflight.problem.as_ref().map(|problem| problem.code);
        ensure!(found == expected && report.problem.is_none(), "{report:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_reboots_by_kexec_once_a_kernel_is_loaded_and_is_not_drained_before() -> Result<()> {
    let Some((fleet, bus)) = governed("Kexec").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    fleet.upgrade_all()?;
    let words = ["PreflightFailed", "no kernel is loaded for kexec", "kexec -l"];
    fleet.explained(host.name(), &words).await?;
    ensure!(
        fleet.attempt(host.name()).await?.is_none(),
        "it was drained for nothing"
    );
    host.load_kexec(true)?;
    bus.answers().version = "v248";
    reported(&fleet, RebootKind::Kexec, Some(ProblemCode::RebootKindNotPossible)).await?;
    fleet
        .explained(host.name(), &["PreflightFailed", "systemd 248", "249"])
        .await?;
    bus.answers().version = "v249";
    reported(&fleet, RebootKind::Kexec, None).await?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    ensure!(bus.answers().flags == [1 << 1], "{:?}", bus.answers());
    let attempt = fleet.in_phase(host.name(), Phase::Done).await?;
    ensure!(attempt.reboot_kind == RebootKind::Kexec, "{attempt:?}");
    fleet
        .explained(host.name(), &["Reboot kind:     kexec", "by logind, kexec"])
        .await?;
    let answer = fleet.services.ctl_ok(&["explain", host.name(), "-o", "json"]).await?;
    let story: Value = serde_json::from_str(&answer)?;
    ensure!(story["node"]["attempt"]["rebootKind"] == "kexec", "{story}");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_is_unloaded_after_the_drain_costs_the_attempt_and_no_full_reboot() -> Result<()> {
    let Some((mut fleet, bus)) = governed("Kexec").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    host.load_kexec(true)?;
    reported(&fleet, RebootKind::Kexec, None).await?;
    // The rebooter looks again only right before it obeys.
    host.load_kexec(false)?;
    fleet.upgrade_all()?;
    let is_refusal = |fact: &Fact| matches!(fact, Fact::RebootRefused { .. });
    let event = fleet.event("the refusal", |event| is_refusal(&event.fact)).await?;
    ensure!(
        matches!(&event.fact, Fact::RebootRefused { code, message } if code == "Unable" && message.contains("kexec -l")),
        "{event:?}"
    );
    let attempt = fleet.in_phase(host.name(), Phase::Failed).await?;
    ensure!(!attempt.slot_held && attempt.reboot_started_at.is_none(), "{attempt:?}");
    ensure!(bus.answers().calls == 0 && host.reboots() == 0, "{:?}", bus.answers());
    fleet.finish()
}

/// The node's attempt is Done, and its host has not rebooted in full.
async fn softly_done(fleet: &Fleet) -> Result<()> {
    let host = fleet.world.host(0)?;
    // Ready is believed only a minute after the first report of the new user space.
    fleet.in_phase(host.name(), Phase::Verifying).await?;
    let attempt = fleet.in_phase(host.name(), Phase::Done).await?;
    let boot = host.boot_id();
    ensure!(attempt.boot_before.to_string() == boot, "{attempt:?}");
    ensure!(attempt.boot_after.as_ref() == Some(&attempt.boot_before), "{attempt:?}");
    let found = (host.reboots(), host.soft_reboots());
    ensure!(found == (0, 1), "{found:?} reboots in full and of user space");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_reboot_is_proved_by_its_number_called_once_and_a_need_that_survives_it_is_not_served_again()
-> Result<()> {
    let Some((fleet, bus)) = governed("Soft").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    bus.answers().version = "255.4";
    bus.answers().hides_soft_reboots = true;
    reported(&fleet, RebootKind::Soft, Some(ProblemCode::RebootKindNotPossible)).await?;
    fleet.upgrade_all()?;
    fleet
        .explained(host.name(), &["PreflightFailed", "systemd 255", "256"])
        .await?;
    bus.answers().version = "256";
    reported(&fleet, RebootKind::Soft, Some(ProblemCode::RebootNotProvable)).await?;
    fleet
        .explained(host.name(), &["PreflightFailed", "does not show how many soft reboots"])
        .await?;
    ensure!(
        fleet.attempt(host.name()).await?.is_none(),
        "it was drained for nothing"
    );
    bus.answers().hides_soft_reboots = false;
    reported(&fleet, RebootKind::Soft, None).await?;
    let ordered = fleet.in_phase(host.name(), Phase::Verifying).await?;
    ensure!(ordered.soft_reboots_before == Some(0), "{ordered:?}");
    softly_done(&fleet).await?;
    // /run stays, and the sentinel file with it.
    fleet
        .explained(host.name(), &["NeedSurvivedReboot", "Reboot kind:     soft-reboot"])
        .await?;
    ensure!(bus.answers().flags == [SOFT], "{:?}", bus.answers());
    host.withdraw_need()?;
    fleet.explained(host.name(), &["Reboot required: no"]).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebooter_that_is_killed_after_its_call_calls_no_second_soft_reboot() -> Result<()> {
    let Some((fleet, bus)) = governed("Soft").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    reported(&fleet, RebootKind::Soft, None).await?;
    // The host goes down only when it is let, so that the record is in Rebooting for as long as the test wants.
    host.behave(|behaviour| behaviour.ignore_reboot = true);
    fleet.upgrade_all()?;
    wait::until("the call", DEADLINE, async || {
        ensure!(bus.answers().flags == [SOFT], "{:?}", bus.answers());
        Ok(())
    })
    .await?;
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    rebooter.process.kill9();
    // The scheduler sees nothing of the soft reboot before the rebooter is back with the record still in Rebooting.
    host.behave(|behaviour| behaviour.ignore_reboot = false);
    host.call_soft_reboot()?;
    softly_done(&fleet).await?;
    wait::steadily("no second call", methods::WHILE, async || Ok(bus.answers().calls == 1)).await?;
    ensure!(host.soft_reboots() == 1, "{} soft reboots", host.soft_reboots());
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_reboot_instead_of_the_soft_one_proves_the_attempt_too() -> Result<()> {
    let Some((fleet, bus)) = governed("Soft").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    reported(&fleet, RebootKind::Soft, None).await?;
    host.behave(|behaviour| behaviour.full_instead_of_soft = true);
    fleet.upgrade_all()?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    ensure!(
        bus.answers().flags == [SOFT] && host.soft_reboots() == 0,
        "{:?}",
        bus.answers()
    );
    fleet.finish()
}

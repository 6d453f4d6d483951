//! The rebooter's method `logind` on a real bus: inhibitors, a bus that goes away, calls that do not arrive.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Cause, Fact, Phase, ProblemCode};
use jiff::Timestamp;
use rig::bus::Bus;
use rig::logind::SystemBus;
use rig::record::node_state;
use rig::services::ServicesOptions;
use rig::wait;

use crate::fleet::{DEADLINE, Fleet};

/// Longer than an order that waits is left alone between two looks.
pub(crate) const WHILE: Duration = Duration::from_secs(7);

pub(crate) const BLOCKED: &str = "org.freedesktop.login1.BlockedByInhibitorLock";
const UPGRADE: [&str; 4] = ["shutdown", "apt", "unattended upgrade", "block"];

/// One node whose rebooter asks logind, and makes no preflight by itself after the first one; none without a bus.
pub(crate) async fn fleet(start_timeout: &str) -> Result<Option<(Fleet, SystemBus)>> {
    let mut options = ServicesOptions::default();
    let own = [
        ("BELLWETHER_REBOOT_START_TIMEOUT", start_timeout),
        ("BELLWETHER_REBOOT_TIMEOUT", "300s"),
    ];
    let env = options
        .env
        .iter_mut()
        .filter(|(key, _)| own.iter().any(|(own, _)| own == key));
    for (key, value) in env {
        let found = own.iter().find(|(own, _)| own == key);
        found.context("a setting")?.1.clone_into(value);
    }
    let fleet = Fleet::start(1, options).await?;
    let host = fleet.world.host(0)?;
    let Some(bus) = SystemBus::start(host.clone()).await? else {
        fleet.finish()?;
        return Ok(None);
    };
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    let own = [
        ("BELLWETHER_REBOOT_METHOD", "logind".to_owned()),
        ("BELLWETHER_DBUS_SOCKET", bus.socket().display().to_string()),
        ("BELLWETHER_REFRESH_INTERVAL", "300s".to_owned()),
    ];
    rebooter.process.reconfigure(|program| {
        program.env.extend(own.map(|(key, value)| (key.to_owned(), value)));
    });
    rebooter.process.restart()?;
    rebooter.wait_ready().await?;
    Ok(Some((fleet, bus)))
}

/// The node is drained and its rebooter, which waits, is named with its reason.
async fn waits(fleet: &Fleet, words: &[&str]) -> Result<()> {
    let host = fleet.world.host(0)?;
    fleet.explained(host.name(), words).await?;
    let state = node_state(&fleet.world.node(host.name()).await?);
    ensure!(state.is_disrupted(), "the node is not cordoned: {state:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_upgrade_is_waited_for_named_and_then_the_host_reboots_once() -> Result<()> {
    let Some((fleet, bus)) = fleet("120s").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    bus.answers().inhibitors = vec![["shutdown", "kubelet", "pods", "delay"], UPGRADE];
    fleet.upgrade_all()?;
    waits(&fleet, &["WaitsForRebootCall", "apt", "unattended upgrade"]).await?;
    wait::steadily("the rebooter waits", WHILE, async || {
        let attempt = fleet.attempt(host.name()).await?.context("no attempt")?;
        Ok(attempt.phase == Phase::Rebooting && bus.answers().calls == 0)
    })
    .await?;
    // It ends, and another one begins between the last look and the call, which an older logind would obey.
    bus.answers().late = Some(UPGRADE);
    bus.answers().inhibitors.pop();
    let announced = wait::until("the announcement", DEADLINE, async || {
        let attempt = fleet.attempt(host.name()).await?.context("no attempt")?;
        attempt.reboot_started_at.context("none")
    });
    announced.await?;
    wait::steadily("the rebooter waits", WHILE, async || Ok(bus.answers().calls == 0)).await?;
    // The same with a newer logind, which refuses.
    bus.answers().errors = vec![BLOCKED];
    bus.answers().inhibitors.pop();
    fleet.rebooted_once(&[host]).await?;
    let calls = bus.answers().calls;
    ensure!(calls == 2, "{calls} calls");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_and_a_rebooter_that_is_killed_cost_no_reboot_and_make_no_second_one() -> Result<()> {
    let Some((fleet, mut bus)) = fleet("120s").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    bus.stop().await?;
    fleet.upgrade_all()?;
    waits(&fleet, &["WaitsForRebootCall", "D-Bus socket"]).await?;
    // Two calls that logind never gets, and a kill between them.
    bus.answers().errors = vec!["org.freedesktop.DBus.Error.ServiceUnknown"; 2];
    bus.resume().await?;
    wait::until("the first call", DEADLINE, async || {
        ensure!(bus.answers().calls > 0, "none");
        Ok(())
    })
    .await?;
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    rebooter.process.kill9();
    rebooter.process.restart()?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    let calls = bus.answers().calls;
    ensure!(calls == 3, "{calls} calls");
    wait::steadily("no second reboot", WHILE, async || Ok(host.reboots() == 1)).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_call_never_arrives_is_refused_at_its_end_and_keeps_no_slot() -> Result<()> {
    let Some((mut fleet, bus)) = fleet("12s").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    bus.answers().always = BLOCKED;
    fleet.upgrade_all()?;
    let is_refusal = |fact: &Fact| matches!(fact, Fact::RebootRefused { .. });
    let event = fleet.event("the refusal", |event| is_refusal(&event.fact)).await?;
    ensure!(
        matches!(&event.fact, Fact::RebootRefused { code, .. } if code == "Inhibited"),
        "{event:?}"
    );
    // The reboot was announced, and 300 s would be left for it.
    let attempt = fleet.in_phase(host.name(), Phase::Failed).await?;
    let cause = attempt.ending.as_ref().map(|ending| ending.cause);
    ensure!(cause == Some(Cause::RebootRefused) && !attempt.slot_held, "{attempt:?}");
    ensure!(host.reboots() == 0, "{} reboots", host.reboots());
    fleet.finish()
}

/// The node's rebooter starts again with this escalation.
async fn escalates(fleet: &Fleet, ladder: &str) -> Result<()> {
    let host = fleet.world.host(0)?;
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    rebooter.process.reconfigure(|program| {
        let own = ("BELLWETHER_REBOOT_ESCALATION".to_owned(), ladder.to_owned());
        program.env.extend([own]);
    });
    rebooter.process.restart()?;
    rebooter.wait_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_the_call_and_runs_on_is_called_by_the_next_method_and_that_is_reported() -> Result<()> {
    let Some((fleet, bus)) = fleet("120s").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    escalates(&fleet, "command=30s").await?;
    host.behave(|behaviour| behaviour.ignore_reboot = true);
    fleet.upgrade_all()?;
    let reports = Bus::connect(&fleet.world.nats).await?;
    let tried = async |calls: usize, words: &str| {
        wait::until(&format!("{calls} calls and a report of them"), DEADLINE, async || {
            ensure!(host.reboot_orders() == calls, "{} calls", host.reboot_orders());
            let report = reports.rebooter_report(host.name()).await?.context("no report")?;
            let problem = report.problem.context("no problem")?;
            ensure!(problem.message.contains(words), "{problem:?}");
            Ok(())
        })
        .await
    };
    tried(1, "called by logind").await?;
    ensure!(bus.answers().calls == 1, "not by logind");
    tried(2, "called by logind, then by command").await?;
    wait::steadily("each method is tried once", WHILE, async || {
        Ok(host.reboot_orders() == 2)
    })
    .await?;
    host.behave(|behaviour| behaviour.ignore_reboot = false);
    host.reboot_by_hand();
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}

/// A host that has taken logind's call and does nothing, and would obey the next one: a command, half a minute later.
async fn called_in_vain() -> Result<Option<(Fleet, SystemBus)>> {
    let Some((fleet, bus)) = fleet("240s").await? else {
        return Ok(None);
    };
    let host = fleet.world.host(0)?;
    escalates(&fleet, "command=30s").await?;
    host.behave(|behaviour| behaviour.ignore_reboot = true);
    fleet.upgrade_all()?;
    wait::until("the call of logind, which the host ignores", DEADLINE, async || {
        ensure!(host.ignored_orders() == 1, "no call");
        Ok(())
    })
    .await?;
    host.behave(|behaviour| behaviour.ignore_reboot = false);
    Ok(Some((fleet, bus)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_without_its_network_is_called_by_the_next_method_all_the_same() -> Result<()> {
    let Some((fleet, _bus)) = called_in_vain().await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    // For every part at once, which is what one host's network is for its rebooter.
    fleet.world.nats.kill9();
    wait::until("the call of the command", DEADLINE, async || {
        ensure!(host.reboots() == 1, "{} reboots", host.reboots());
        Ok(())
    })
    .await?;
    fleet.world.nats.restart().await?;
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}

/// The kubelet's graceful shutdown ends the rebooter that has called, and logind then gives the shutdown up.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebooter_that_was_ended_after_its_call_goes_on_with_the_next_method_but_over_no_inhibitor() -> Result<()> {
    let Some((fleet, bus)) = called_in_vain().await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    bus.answers().can_reboot = "no";
    bus.answers().inhibitors = vec![UPGRADE];
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    rebooter.process.kill9();
    rebooter.process.restart()?;
    rebooter.wait_ready().await?;
    let past = Duration::from_secs(35);
    wait::steadily("the upgrade is waited for", past, async || Ok(host.reboots() == 0)).await?;
    bus.answers().inhibitors.clear();
    fleet.rebooted_once(&[host]).await?;
    ensure!(bus.answers().calls == 1, "logind was called again");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_logind_answers_is_reported_before_any_drain() -> Result<()> {
    let Some((fleet, mut bus)) = fleet("120s").await? else {
        return Ok(());
    };
    let host = fleet.world.host(0)?;
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    let reports = Bus::connect(&fleet.world.nats).await?;
    let cases = [
        ("yes", None),
        ("inhibited", Some(ProblemCode::ShutdownInhibited)),
        ("inhibitor-blocked", Some(ProblemCode::ShutdownInhibited)),
        ("challenge-inhibitor-blocked", Some(ProblemCode::RebootNotPermitted)),
        ("challenge", Some(ProblemCode::RebootNotPermitted)),
        ("no", Some(ProblemCode::RebootNotPermitted)),
        ("na", Some(ProblemCode::RebootNotPermitted)),
    ];
    let reported = async |expected: Option<ProblemCode>| {
        let since = Timestamp::now();
        rebooter.process.restart()?;
        wait::until(&format!("a report of {expected:?}"), DEADLINE, async || {
            let report = reports.rebooter_report(host.name()).await?.context("no report")?;
            ensure!(report.reported_at >= since, "it is of the process before");
            let found = report.problem.map(|problem| problem.code);
            ensure!(found == expected, "{found:?}");
            Ok(())
        })
        .await
    };
    for (answer, expected) in cases {
        bus.answers().can_reboot = answer;
        reported(expected).await.with_context(|| answer.to_owned())?;
    }
    bus.answers().can_reboot = "yes";
    for (kind, expected) in [
        ("docker", Some(ProblemCode::RebootNotProvable)),
        ("kvm", None),
        ("container-other", Some(ProblemCode::RebootNotProvable)),
        ("systemd-nspawn", None),
    ] {
        bus.answers().virtualization = kind;
        reported(expected).await.with_context(|| kind.to_owned())?;
    }
    bus.answers().inhibitors = vec![
        ["sleep:shutdown", "kubelet", "pods", "delay"],
        ["idle", "tv", "film", "block"],
    ];
    reported(None).await.context("delay")?;
    bus.answers().inhibitors = vec![["shutdown", "apt", "upgrade", "block-weak"]];
    reported(None).await.context("weak")?;
    bus.answers().inhibitors = vec![["sleep:shutdown", "apt", "upgrade", "block"]];
    reported(Some(ProblemCode::ShutdownInhibited)).await.context("block")?;
    bus.stop().await?;
    reported(Some(ProblemCode::BusUnreachable)).await.context("no bus")?;
    fleet.finish()
}

//! Faults: a silent NATS, lost acknowledgements, a lost bucket, a kill, a stop.

use std::time::Duration;

use anyhow::Result;
use bellwether_proto::stream::HOSTS_STREAM;
use bellwether_proto::{HostReport, NeedReport, setting};
use rig::proxy::Way;

use super::{LONG_AGO, need_at, need_since, no_need, not_required};
use crate::agent::case::{Case, QUIET, REFRESH, SOON, Setup};
use crate::agent::stage::Stage;
use crate::agent::trials;
use crate::check::{Check, expect, miss};

const COUNTS: &str = "**A report counts once the bucket has acknowledged it.** Until then look again and store again";
const WAITS: &str =
    "| NATS unavailable | wait without limit; do not exit, also if a file of the table below is missing or empty |";
const RENEW: &str = "**Store a report at the start, on each change, and at least each `refresh_interval`.** A report that was not renewed for";
const RECONNECTED: &str = "**Look and store a report at once after each new connection to NATS**, without a change too: an acknowledgement may have";
const NEWEST: &str = "of several reports that could not be stored, only the newest is of use.";

/// The longest wait between two tries, the time of one try, and what busy cores add.
const AGAIN: Duration = Duration::from_secs(25);

/// A refresh that no trial lives to see.
const NEVER: &str = "300s";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("S-FAULT-01", WAITS, |stage| {
            Box::pin(silence(stage, Duration::from_secs(5)))
        }),
        Check::must("S-FAULT-02", WAITS, |stage| {
            Box::pin(silence(stage, Duration::from_secs(40)))
        })
        .slow(),
        Check::must("S-FAULT-03", COUNTS, |stage| Box::pin(lost_ack(stage))),
        Check::must("S-FAULT-04", RENEW, |stage| Box::pin(killed(stage))),
        Check::must("S-FAULT-05", RENEW, |stage| Box::pin(stopped(stage))),
        Check::must("S-FAULT-06", RECONNECTED, |stage| Box::pin(forgotten(stage))).slow(),
        Check::must("S-FAULT-07", NEWEST, |stage| Box::pin(lost_bucket(stage))).alone(),
        Check::must("S-FAULT-08", RECONNECTED, |stage| {
            Box::pin(trials::new_connection::<HostReport>(stage))
        }),
    ]
}

/// The host changes while NATS is silent; the last change is reported.
async fn silence(stage: &Stage, time: Duration) -> Result<()> {
    let case = Case::new(stage).await?;
    case.way.set(Way::Silent);
    need_at(case.host.root(), LONG_AGO)?;
    tokio::time::sleep(time).await;
    let runs = case.service.process.is_running();
    expect(runs, "a program that waits", || "one that ended".to_owned())?;
    let from = case.now().await?;
    no_need(case.host.root())?;
    case.way.set(Way::Open);
    let awaited = "a report of the host as it is now";
    let choose = |report: &HostReport| (report.need == NeedReport::NotRequired).then_some(());
    let within = time + AGAIN;
    case.report::<HostReport, ()>(awaited, from, within, choose).await?;
    need_at(case.host.root(), LONG_AGO + 9)?;
    need_since(&case, from, LONG_AGO + 9).await.map(drop)
}

/// The bucket has the report, and its acknowledgement does not arrive.
async fn lost_ack(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.set(setting::REFRESH_INTERVAL, NEVER).start()?;
    case.wait_ready().await?;
    case.way.set(Way::Late(Duration::from_millis(700)));
    need_at(case.host.root(), LONG_AGO)?;
    need_since(&case, 0, LONG_AGO).await?;
    // The acknowledgement is under way now.
    case.way.close_connections();
    let from = case.now().await?;
    case.way.set(Way::Open);
    let is_need = |report: &HostReport| report.need.required().map(drop);
    let again = case
        .report::<HostReport, ()>("the same report again", from, AGAIN, is_need)
        .await?;
    let _: usize = again.0;
    Ok(())
}

async fn killed(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.set(setting::REFRESH_INTERVAL, NEVER).start()?;
    case.wait_ready().await?;
    case.service.process.kill9();
    let from = case.now().await?;
    case.service.process.restart()?;
    not_required(&case, from).await.map(drop)
}

async fn stopped(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.service.process.pause()?;
    tokio::time::sleep(REFRESH + QUIET).await;
    let from = case.now().await?;
    case.service.process.resume()?;
    let (_, _, ()) = case
        .report::<HostReport, ()>("a report after the stop", from, REFRESH, |_| Some(()))
        .await?;
    need_at(case.host.root(), LONG_AGO)?;
    need_since(&case, from, LONG_AGO).await.map(drop)
}

/// The connection is silent for ever, and a new one works: as when a router has lost its table.
async fn forgotten(stage: &Stage) -> Result<()> {
    /// Three pings of a client are lost before it gives a connection up, with the longest pause between them that makes
    /// sense here.
    const NOTICED: Duration = Duration::from_secs(150);
    let case = Case::new(stage).await?;
    case.way.forget_connections();
    need_at(case.host.root(), LONG_AGO)?;
    let from = case.now().await?;
    let is_need = |report: &HostReport| report.need.required().map(drop);
    case.report::<HostReport, ()>("a report on a new connection", from, NOTICED, is_need)
        .await
        .map(drop)
}

/// NATS has lost the bucket; the host changes twice before it is back.
async fn lost_bucket(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.set(setting::REFRESH_INTERVAL, NEVER).start()?;
    case.wait_ready().await?;
    stage.delete_stream(&HOSTS_STREAM).await?;
    need_at(case.host.root(), LONG_AGO)?;
    let tried = need_since(&case, 0, LONG_AGO).await;
    need_at(case.host.root(), LONG_AGO + 7)?;
    stage.create_stream(&HOSTS_STREAM).await?;
    tried?;
    let wanted = super::at(LONG_AGO + 7)?;
    rig::wait::until("the newest report to be stored", SOON, async || {
        let stored = stage.bus.host_report(case.node.as_str()).await?;
        let since = stored.and_then(|report| report.need.required().map(|need| need.since));
        if since == Some(wanted) {
            return Ok(());
        }
        Err(miss(&format!("a stored need since {wanted}"), format!("{since:?}")))
    })
    .await
}

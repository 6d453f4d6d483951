//! Trials that are the same for both agents.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::stream::HOSTS_STREAM;
use bellwether_proto::{BootId, HostReport, Message, RebooterReport, header, setting};
use jiff::{SignedDuration, Timestamp};
use rig::proxy::Way;

use super::case::{Case, REFRESH, SOON, Setup};
use super::stage::Stage;
use crate::check::{expect, expect_health};

/// How long a program may take to end after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A report may be this much late on busy cores.
pub(crate) const LATE: Duration = Duration::from_secs(2);

/// What both agents report.
pub(crate) trait Report: Message + Debug {
    /// The boot that the report is of.
    fn boot_id(&self) -> &BootId;
    /// When it was made.
    fn reported_at(&self) -> Timestamp;
    /// How often it is renewed at least.
    fn refresh_interval(&self) -> SignedDuration;
}

macro_rules! report {
    ($report:ty) => {
        impl Report for $report {
            fn boot_id(&self) -> &BootId {
                &self.boot_id
            }

            fn reported_at(&self) -> Timestamp {
                self.reported_at
            }

            fn refresh_interval(&self) -> SignedDuration {
                self.refresh_interval
            }
        }
    };
}

report!(HostReport);
report!(RebooterReport);

/// The program is ready after its first report only.
pub(crate) async fn ready(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.now().await?;
    expect(!case.raw_reports().is_empty(), "ready after the first report", || {
        "ready without one".to_owned()
    })
}

/// The program answers on the port of its health.
pub(crate) async fn health(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    expect_health(&case.service).await
}

/// The program waits for a NATS server that is not there; returns once it is ready after that.
pub(crate) async fn without_nats(stage: &Stage) -> Result<Case<'_>> {
    let setup = Setup::new(stage)?;
    setup.way.set(Way::Cut);
    let case = setup.start()?;
    case.runs_and_is_not_ready().await?;
    case.way.set(Way::Open);
    case.wait_ready().await?;
    Ok(case)
}

/// The program ends in order.
pub(crate) async fn stop(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.service.process.terminate(STOP_MAX).await.map(drop)
}

/// The bucket is missing: the first report cannot be stored.
pub(crate) async fn without_bucket(stage: &Stage) -> Result<()> {
    stage.delete_stream(&HOSTS_STREAM).await?;
    let case = Setup::new(stage)?.start()?;
    let waits = case.runs_and_is_not_ready().await;
    stage.create_stream(&HOSTS_STREAM).await?;
    waits?;
    case.wait_ready().await
}

/// The agent of this node has tried nothing on the bus without the right to.
pub(crate) fn had_its_rights(case: &Case<'_>) -> Result<()> {
    let violations = case.stage.violations(&case.node);
    expect(violations.is_empty(), "no request without the right to", || {
        violations.join("; ")
    })
}

/// Reports are published without a condition.
pub(crate) async fn no_condition<R: Report>(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.now().await?;
    case.reports::<R>()?;
    let reports = case.raw_reports();
    let (_, _, first) = reports.first().context("no report")?;
    let headers = first.headers.iter();
    let conditions: Vec<_> = headers.filter(|(name, _)| name.starts_with("Nats-Expected")).collect();
    expect(conditions.is_empty(), "no condition", || format!("{conditions:?}"))
}

/// Reports name the type of their content.
pub(crate) async fn content_type(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.now().await?;
    let reports = case.raw_reports();
    let (_, _, first) = reports.first().context("no report")?;
    let found = first.header(header::CONTENT_TYPE);
    expect(found == Some(header::PROTOBUF), header::PROTOBUF, || {
        format!("{found:?}")
    })
}

/// After a reboot of the host, reports are of the boot that runs now.
pub(crate) async fn next_boot<R: Report>(case: &Case<'_>) -> Result<()> {
    case.reboot_host().await?;
    let boot = case.host.boot_id();
    let is_next = |report: &R| (report.boot_id().as_str() == boot).then_some(());
    let found = case.report("a report with the boot that runs now", 0, SOON, is_next);
    found.await.map(drop)
}

/// Reports have their time.
pub(crate) async fn reported_at<R: Report>(stage: &Stage) -> Result<()> {
    let before = Timestamp::now();
    let case = Case::new(stage).await?;
    let time = |report: &R| Some(report.reported_at());
    let (_, _, found) = case.report("a report", 0, SOON, time).await?;
    let after = Timestamp::now();
    // Whole seconds are fine too.
    let within = found.as_second() >= before.as_second() && found <= after;
    expect(within, &format!("a time from {before} to {after}"), || {
        found.to_string()
    })
}

/// Reports have the interval of the settings.
pub(crate) async fn refresh_interval<R: Report>(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let interval = |report: &R| Some(report.refresh_interval());
    let (_, _, found) = case.report("a report", 0, SOON, interval).await?;
    let wanted = SignedDuration::try_from(REFRESH)?;
    expect(found == wanted, &format!("{wanted:#}"), || format!("{found:#}"))
}

/// Nothing has changed and no refresh is due: a new connection is reason enough for a report.
pub(crate) async fn new_connection<R: Report>(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.set(setting::REFRESH_INTERVAL, "300s").start()?;
    case.wait_ready().await?;
    let from = case.now().await?;
    case.way.close_connections();
    let any = |_: &R| Some(());
    let found = case.report("a report over the new connection", from, SOON, any);
    found.await.map(drop)
}

/// Reports come at that interval at least.
pub(crate) async fn refresh<R: Report>(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let any = |_: &R| Some(());
    let (mut index, mut at, ()) = case.report("a report", 0, SOON, any).await?;
    for _ in 0..2 {
        let (next, later, ()) = case.report("the next report", index + 1, SOON, any).await?;
        let pause = later.duration_since(at);
        expect(
            pause <= REFRESH + LATE,
            &format!("the next report after at most {REFRESH:?}"),
            || format!("one after {pause:?}"),
        )?;
        (index, at) = (next, later);
    }
    Ok(())
}

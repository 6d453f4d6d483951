//! Start, readiness, rights and stop.

use std::time::Duration;

use anyhow::Result;
use bellwether_proto::stream::HOSTS_STREAM;
use rig::proxy::Way;

use super::not_required;
use crate::agent::case::{Case, Setup};
use crate::agent::stage::Stage;
use crate::check::{Check, expect};

const READY: &str = "Be ready (`/readyz`) once the first report is stored, and not before.";
const STOP_MAX: Duration = Duration::from_secs(30);

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "S-START-01",
            "**Store a report at the start, on each change, and at least each `refresh_interval`.**",
            |stage| Box::pin(first_report(stage)),
        ),
        Check::must("S-START-02", READY, |stage| Box::pin(ready(stage))),
        Check::must(
            "S-START-03",
            "| health | `/livez` and `/readyz` on the port of",
            |stage| Box::pin(health(stage)),
        ),
        Check::must(
            "S-START-04",
            "| NATS unavailable | wait without limit; do not exit |",
            |stage| Box::pin(without_nats(stage)),
        ),
        Check::must("S-START-05", "| stop | on SIGTERM, within 30 s", |stage| {
            Box::pin(stop(stage))
        }),
        Check::must(
            "S-START-06",
            "A sentinel uses no other rights in NATS than [these](README.md#nats-permissions).",
            |stage| Box::pin(rights(stage)),
        ),
        Check::must("S-START-07", READY, |stage| Box::pin(without_bucket(stage))).alone(),
    ]
}

async fn first_report(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.start()?;
    not_required(&case, 0).await.map(drop)
}

async fn ready(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.now().await?;
    expect(!case.raw_reports().is_empty(), "ready after the first report", || {
        "ready without one".to_owned()
    })
}

async fn health(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    for path in ["/livez", "/readyz"] {
        let (status, body) = case.service.get(path).await?;
        expect(status == 200, &format!("200 from {path}"), || {
            format!("{status} {body}")
        })?;
    }
    Ok(())
}

async fn without_nats(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    setup.way.set(Way::Cut);
    let case = setup.start()?;
    case.runs_and_is_not_ready().await?;
    case.way.set(Way::Open);
    not_required(&case, 0).await?;
    case.wait_ready().await
}

async fn stop(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.service.process.terminate(STOP_MAX).await.map(drop)
}

/// A life with a need, a restart and an end of the need, and no request that the server refused.
async fn rights(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.host.need_reboot(&["linux-base"])?;
    super::report(&case, "a report with a need", 0, |report| {
        report.need.required().is_some().then_some(())
    })
    .await?;
    case.service.process.restart()?;
    let from = case.now().await?;
    case.host.withdraw_need()?;
    not_required(&case, from).await?;
    let violations = stage.violations(&case.node);
    expect(violations.is_empty(), "no request without the right to", || {
        violations.join("; ")
    })
}

/// The bucket is missing: its report cannot be stored.
async fn without_bucket(stage: &Stage) -> Result<()> {
    stage.delete_stream(&HOSTS_STREAM).await?;
    let case = Setup::new(stage)?.start()?;
    let waits = case.runs_and_is_not_ready().await;
    stage.create_stream(&HOSTS_STREAM).await?;
    waits?;
    case.wait_ready().await
}

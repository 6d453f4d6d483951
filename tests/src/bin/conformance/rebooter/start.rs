//! Start, readiness, rights and stop.

use std::time::Duration;

use anyhow::Result;
use bellwether_proto::RebooterReport;
use bellwether_proto::stream::HOSTS_STREAM;
use rig::proxy::Way;

use crate::agent::case::{Case, SOON, Setup};
use crate::agent::stage::Stage;
use crate::check::{Check, expect};

const READY: &str = "Be ready (`/readyz`) once the first report is stored, and not before.";
const STOP_MAX: Duration = Duration::from_secs(30);

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("R-START-01", "**Store a report at the start,", |stage| {
            Box::pin(first_report(stage))
        }),
        Check::must("R-START-02", READY, |stage| Box::pin(ready(stage))),
        Check::must(
            "R-START-03",
            "| health | `/livez` and `/readyz` on the port of",
            |stage| Box::pin(health(stage)),
        ),
        Check::must(
            "R-START-04",
            "| NATS unavailable | wait without limit; do not exit |",
            |stage| Box::pin(without_nats(stage)),
        ),
        Check::must("R-START-05", "| stop | on SIGTERM, within 30 s", |stage| {
            Box::pin(stop(stage))
        }),
        Check::must(
            "R-START-06",
            "A rebooter uses no other rights in NATS than [these](README.md#nats-permissions).",
            |stage| Box::pin(rights(stage)),
        ),
        Check::must("R-START-07", READY, |stage| Box::pin(without_bucket(stage))).alone(),
    ]
}

async fn first_report(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.start()?;
    case.report::<RebooterReport, ()>("a report", 0, SOON, |_| Some(()))
        .await
        .map(drop)
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
    case.wait_ready().await
}

async fn stop(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.service.process.terminate(STOP_MAX).await.map(drop)
}

/// A refusal, an order and its end, and no request that the server refused.
async fn rights(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let refused = case.ordered(|record| record.drained_at = None).await?;
    case.refused(&refused).await?;
    case.ordered(|_| ()).await?;
    case.called(1).await?;
    case.host_is_back(0).await?;
    case.wait_ready().await?;
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

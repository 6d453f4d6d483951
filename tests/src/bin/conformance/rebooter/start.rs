//! Start, readiness, rights and stop.

use anyhow::Result;
use bellwether_proto::RebooterReport;

use crate::agent::case::{Case, SOON, Setup};
use crate::agent::stage::Stage;
use crate::agent::trials;
use crate::check::Check;

const READY: &str = "Be ready (`/readyz`) once the first report is stored, and not before.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("R-START-01", "**Store a report at the start,", |stage| {
            Box::pin(first_report(stage))
        }),
        Check::must("R-START-02", READY, |stage| Box::pin(trials::ready(stage))),
        Check::must(
            "R-START-03",
            "| health | `/livez` and `/readyz` on the port of",
            |stage| Box::pin(trials::health(stage)),
        ),
        Check::must(
            "R-START-04",
            "| NATS unavailable | wait without limit; do not exit, also if a file of the table below is missing or empty |",
            |stage| Box::pin(async { trials::without_nats(stage).await.map(drop) }),
        ),
        Check::must("R-START-05", "| stop | on SIGTERM, within 30 s", |stage| {
            Box::pin(trials::stop(stage))
        }),
        Check::must(
            "R-START-06",
            "A rebooter uses no other rights in NATS than [these](README.md#nats-permissions).",
            |stage| Box::pin(rights(stage)),
        ),
        Check::must("R-START-07", READY, |stage| Box::pin(trials::without_bucket(stage))).alone(),
    ]
}

async fn first_report(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.start()?;
    case.report::<RebooterReport, ()>("a report", 0, SOON, |_| Some(()))
        .await
        .map(drop)
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
    trials::had_its_rights(&case)
}

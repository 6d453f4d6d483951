//! Start, readiness, rights and stop.

use anyhow::Result;

use super::not_required;
use crate::agent::case::{Case, Setup};
use crate::agent::stage::Stage;
use crate::agent::trials;
use crate::check::Check;

const READY: &str = "Be ready (`/readyz`) once the first report is stored, and not before.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "S-START-01",
            "**Store a report at the start, on each change, and at least each `refresh_interval`.**",
            |stage| Box::pin(first_report(stage)),
        ),
        Check::must("S-START-02", READY, |stage| Box::pin(trials::ready(stage))),
        Check::must(
            "S-START-03",
            "| health | `/livez` and `/readyz` on the port of",
            |stage| Box::pin(trials::health(stage)),
        ),
        Check::must(
            "S-START-04",
            "| NATS unavailable | wait without limit; do not exit, also if a file of the table below is missing or empty |",
            |stage| Box::pin(without_nats(stage)),
        ),
        Check::must("S-START-05", "| stop | on SIGTERM, within 30 s", |stage| {
            Box::pin(trials::stop(stage))
        }),
        Check::must(
            "S-START-06",
            "A sentinel uses no other rights in NATS than [these](README.md#nats-permissions).",
            |stage| Box::pin(rights(stage)),
        ),
        Check::must("S-START-07", READY, |stage| Box::pin(trials::without_bucket(stage))).alone(),
    ]
}

async fn first_report(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.start()?;
    not_required(&case, 0).await.map(drop)
}

async fn without_nats(stage: &Stage) -> Result<()> {
    let case = trials::without_nats(stage).await?;
    not_required(&case, 0).await.map(drop)
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
    trials::had_its_rights(&case)
}

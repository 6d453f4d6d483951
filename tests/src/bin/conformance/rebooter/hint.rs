//! When the record is read.

use std::time::Duration;

use anyhow::{Result, ensure};
use bellwether_proto::{header, setting, subject};
use rig::proxy::Way;

use super::order;
use crate::agent::case::{Case, Setup, publish};
use crate::agent::stage::Stage;
use crate::case::packed;
use crate::check::Check;

const READ: &str = "Read the record at the start, on each hint, after each new connection to NATS, and each \
    `BELLWETHER_REREAD_INTERVAL`, give or take a fifth.";

/// An interval that no trial lives to see.
const NEVER: &str = "600s";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("R-HINT-01", "Never act on the body of a hint.", |stage| {
            Box::pin(false_hint(stage))
        }),
        Check::must("R-HINT-02", READ, |stage| Box::pin(at_the_start(stage))),
        Check::must("R-HINT-03", READ, |stage| Box::pin(on_a_hint(stage))),
        Check::must("R-HINT-04", READ, |stage| Box::pin(on_a_connection(stage))),
    ]
}

/// A write that the stream refuses, which each subscriber of the subject receives all the same.
async fn false_hint(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (mut headers, body) = packed(&case.order()?);
    let subject = subject::attempt_record(&case.node.token());
    headers.insert("Nats-Expected-Last-Sequence", "999999999");
    headers.insert(
        header::SIGNATURE,
        stage.signer.key().sign(&subject, 1_000_000_000, &body),
    );
    let stored = publish(stage, subject, headers, body).await;
    ensure!(stored.is_err(), "the stream took a write that it had to refuse");
    case.does_nothing().await
}

async fn at_the_start(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?.set(setting::REREAD_INTERVAL, NEVER);
    let (headers, body) = packed(&order(&setup)?);
    publish(stage, subject::attempt_record(&setup.node.token()), headers, body).await?;
    setup.start()?.called(1).await
}

async fn on_a_hint(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.set(setting::REREAD_INTERVAL, NEVER).start()?;
    case.wait_ready().await?;
    case.ordered(|_| ()).await?;
    case.called(1).await
}

/// The order is stored while the program is not connected, so no hint arrives.
async fn on_a_connection(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?.set(setting::REREAD_INTERVAL, NEVER).start()?;
    case.wait_ready().await?;
    case.way.set(Way::Cut);
    // The server has noticed the end of the connection.
    tokio::time::sleep(Duration::from_millis(500)).await;
    case.ordered(|_| ()).await?;
    case.way.set(Way::Open);
    case.called(1).await
}

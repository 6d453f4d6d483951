//! Refusals: which are published, and until when.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{AttemptId, setting};
use jiff::{SignedDuration, Timestamp};

use crate::agent::case::{Case, QUIET, Setup};
use crate::agent::stage::Stage;
use crate::check::Check;

const PUBLISHED: &str = "| too late; the preflight finds a problem | yes, unless `reboot_started_at` is set: the host may be \
    going down right now |";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("R-REFUSE-01", "| the preflight | finds no problem |", |stage| {
            Box::pin(unable(stage, false))
        }),
        Check::must("R-REFUSE-02", PUBLISHED, |stage| Box::pin(unable(stage, true))),
        Check::must("R-REFUSE-03", PUBLISHED, |stage| Box::pin(late_and_started(stage))),
        Check::must(
            "R-REFUSE-04",
            "| this process already called the reboot of this boot for another attempt | yes |",
            |stage| Box::pin(other_attempt(stage)),
        ),
        Check::must(
            "R-REFUSE-05",
            "Publish a refusal or a failed call until it is stored; a later order may be obeyed meanwhile.",
            |stage| Box::pin(until_stored(stage)),
        )
        .alone(),
    ]
}

/// A host whose reboot command is a file of its own, which the trial can take away.
pub(super) fn with_script(setup: Setup<'_>) -> Result<Setup<'_>> {
    let script = setup.path("sbin/reboot");
    fs::create_dir_all(setup.path("sbin"))?;
    let orders = setup.path("reboot-orders");
    fs::write(&script, format!("#!/bin/sh\necho reboot >> {}\n", orders.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(setup.set(setting::REBOOT_COMMAND, &script.display().to_string()))
}

/// The reboot command vanishes after the last report.
async fn unable(stage: &Stage, started: bool) -> Result<()> {
    let case = with_script(Setup::new(stage)?)?.start()?;
    case.wait_ready().await?;
    fs::remove_file(case.path("sbin/reboot"))?;
    let record = case
        .ordered(|record| record.reboot_started_at = started.then(Timestamp::now))
        .await?;
    if started {
        return case.does_nothing().await;
    }
    case.refused(&record).await?;
    case.never_more_than(0).await
}

async fn late_and_started(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.ordered(|record| {
        record.reboot_not_after = Timestamp::now().checked_sub(SignedDuration::from_secs(1)).ok();
        record.reboot_started_at = Some(Timestamp::now());
    })
    .await?;
    case.does_nothing().await
}

async fn other_attempt(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.ordered(|_| ()).await?;
    case.called(1).await?;
    record.generation = record.generation.next();
    record.id = AttemptId::new(&record.node_uid, record.generation, Timestamp::now());
    case.store(&record).await?;
    case.refused(&record).await?;
    case.never_more_than(1).await
}

/// The stream of the events is missing for a while.
async fn until_stored(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    stage.delete_stream(&EVENTS_STREAM).await?;
    let record = case.ordered(|record| record.drained_at = None).await;
    let tried = match &record {
        Ok(record) => case.refused(record).await,
        Err(_) => Ok(()),
    };
    tokio::time::sleep(QUIET).await;
    stage.create_stream(&EVENTS_STREAM).await?;
    let record = record?;
    tried?;
    rig::wait::until("the refusal to be stored", crate::agent::case::SOON, async || {
        let stored = stage.bus.events(case.node.as_str()).await?;
        anyhow::ensure!(
            stored.iter().any(|event| event.generation == record.generation),
            "the stream has {stored:?}"
        );
        Ok(())
    })
    .await
}

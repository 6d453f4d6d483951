//! Faults: a silent NATS, lost acknowledgements, a kill at each point, a stop.

use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use rig::proxy::Way;

use crate::agent::case::{Case, QUIET};
use crate::agent::stage::Stage;
use crate::check::{Check, expect};

const WAITS: &str =
    "| NATS unavailable | wait without limit; do not exit, also if a file of the table below is missing or empty |";
const SAFE: &str = "after a crash between 2 and 4 the restarted rebooter calls again; after the reboot it finds another boot id \
    and does nothing.";
const TWICE: &str = "**Every message may come twice, late, out of order, or never.**";
const LATE_ORDER: &str = "| `reboot_not_after` | is set and not reached, by the host's clock |";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("R-FAULT-01", WAITS, |stage| Box::pin(short_silence(stage))),
        Check::must("R-FAULT-02", LATE_ORDER, |stage| Box::pin(long_silence(stage))).slow(),
        Check::must("R-FAULT-03", TWICE, |stage| Box::pin(lost_ack(stage))),
        Check::must("R-FAULT-04", SAFE, |stage| Box::pin(killed_before_the_call(stage))),
        Check::must("R-FAULT-05", SAFE, |stage| Box::pin(killed_after_the_call(stage))),
        Check::must("R-FAULT-06", SAFE, |stage| Box::pin(killed_and_rebooted(stage))),
        Check::must("R-FAULT-07", LATE_ORDER, |stage| {
            Box::pin(stopped_before_the_order(stage))
        }),
        Check::must("R-FAULT-08", LATE_ORDER, |stage| {
            Box::pin(stopped_before_the_call(stage))
        }),
    ]
}

fn in_seconds(seconds: i64) -> Option<Timestamp> {
    Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// The order is stored in the silence, and still holds after it.
async fn short_silence(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.way.set(Way::Silent);
    case.ordered(|_| ()).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    expect(case.calls() == 0, "no call in the silence", || "a call".to_owned())?;
    case.way.set(Way::Open);
    case.called(1).await?;
    case.never_more_than(1).await
}

/// The order is stored in the silence, and over before its end.
async fn long_silence(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.way.set(Way::Silent);
    case.ordered(|record| record.reboot_not_after = in_seconds(30)).await?;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let runs = case.service.process.is_running();
    expect(runs, "a program that waits", || "one that ended".to_owned())?;
    case.way.set(Way::Open);
    tokio::time::sleep(Duration::from_secs(15)).await;
    case.never_more_than(0).await?;
    // An order of the time after is obeyed.
    case.ordered(|record| record.generation = record.generation.next())
        .await?;
    case.called(1).await
}

/// The stream has the event, and the acknowledgement does not arrive.
async fn lost_ack(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let record = case.announced(|_| ()).await?;
    case.way.close_connections();
    case.way.set(Way::Open);
    case.called(1).await?;
    case.never_more_than(1).await?;
    let stored = stage.bus.events(case.node.as_str()).await?;
    let started = stored
        .iter()
        .filter(|event| event.generation == record.generation)
        .count();
    expect(started == 1, "one event in the stream", || format!("{started}"))
}

async fn killed_before_the_call(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.announced(|_| ()).await?;
    case.service.process.kill9();
    expect(case.calls() == 0, "no call yet", || "a call".to_owned())?;
    case.way.set(Way::Open);
    case.service.process.restart()?;
    case.called(1).await?;
    case.host_is_back(0).await?;
    case.wait_ready().await?;
    case.never_more_than(1).await
}

/// The host takes its time to go down, so the restarted process finds the old boot.
async fn killed_after_the_call(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.ordered(|_| ()).await?;
    case.called(1).await?;
    case.service.process.kill9();
    case.service.process.restart()?;
    case.called(2).await?;
    case.host_is_back(0).await?;
    case.wait_ready().await?;
    tokio::time::sleep(QUIET).await;
    // A boot ends only once, however often its end is called for.
    let (reboots, calls) = (case.host.reboots(), case.calls());
    expect(
        reboots == 1 && calls == 2,
        "one reboot, and no call in the other boot",
        || format!("{reboots} reboots and {calls} calls"),
    )
}

/// The host reboots before the process is there again.
async fn killed_and_rebooted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.announced(|_| ()).await?;
    case.service.process.kill9();
    case.way.set(Way::Open);
    case.reboot_host().await?;
    case.wait_ready().await?;
    case.never_more_than(0).await
}

/// The order comes and is over while the process is stopped.
async fn stopped_before_the_order(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.service.process.pause()?;
    let record = case.ordered(|record| record.reboot_not_after = in_seconds(3)).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    case.service.process.resume()?;
    case.refused(&record).await?;
    case.never_more_than(0).await
}

/// The process is stopped between the event and the call, until the order is over.
async fn stopped_before_the_call(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let record = case
        .announced(|record| record.reboot_not_after = in_seconds(10))
        .await?;
    case.service.process.pause()?;
    super::order_is_over(&record).await?;
    case.way.set(Way::Open);
    case.service.process.resume()?;
    case.never_more_than(0).await
}

//! From the order to the call.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::stream::{ATTEMPTS_STREAM, EVENTS_STREAM};
use bellwether_proto::{Fact, Phase, setting, subject};
use jiff::{SignedDuration, Timestamp};
use rig::proxy::Way;
use serde_json::Value;

use super::LATE;
use crate::agent::case::{Case, SOON, Setup};
use crate::agent::stage::Stage;
use crate::check::{Check, expect};
use crate::tap;

const PUBLISH: &str = "2. Publish `reboot-started` and wait until it is stored.";
const UNSTORED: &str = "Try until `reboot_not_after`; if it cannot be stored by then, do not reboot.";
const AGAIN: &str = "3. Read the record again, from the stream's leader, and check.";
const SAME: &str = "`attempt_id`, `generation` and boot id must be those of step 1.";
const UNREAD: &str = "if it cannot be read by then, do not reboot.";
const ERROR: &str = "4. Reboot. On an error publish `reboot-failed`";

/// Until all requests of the steps after the event have been answered on a way that is late, and the call is made: one and
/// a half of them, and what busy cores add.
const STEPS: Duration = Duration::from_secs(5);

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("R-STEP-01", PUBLISH, |stage| Box::pin(published_first(stage))),
        Check::must(
            "R-STEP-02",
            "`reboot-started` names the boot that is about to end (`boot_id`), and the `method`.",
            |stage| Box::pin(fields(stage)),
        ),
        Check::must("R-STEP-03", UNSTORED, |stage| Box::pin(unstored(stage, false))).alone(),
        Check::must("R-STEP-04", UNSTORED, |stage| Box::pin(unstored(stage, true))).alone(),
        Check::must("R-STEP-05", AGAIN, |stage| Box::pin(read_again(stage))),
        Check::must("R-STEP-06", AGAIN, |stage| Box::pin(rolled_back(stage))),
        Check::must("R-STEP-07", AGAIN, |stage| Box::pin(deleted(stage))),
        Check::must("R-STEP-08", SAME, |stage| Box::pin(other_generation(stage))),
        Check::must("R-STEP-09", SAME, |stage| Box::pin(other_boot(stage))),
        Check::must("R-STEP-10", AGAIN, |stage| Box::pin(too_late(stage))),
        Check::must("R-STEP-11", UNREAD, |stage| Box::pin(unread(stage))),
        Check::must("R-STEP-12", ERROR, |stage| Box::pin(fails(stage))),
    ]
}

async fn published_first(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    // The acknowledgement is under way for this long.
    case.announced(|_| ()).await?;
    tokio::time::sleep(LATE / 2).await;
    let calls = case.calls();
    expect(calls == 0, "no call before the acknowledgement arrives", || {
        format!("{calls} calls")
    })?;
    case.called(1).await
}

async fn fields(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let boot = case.host.boot_id();
    case.ordered(|_| ()).await?;
    let started = case.event("the event reboot-started", 0, |event| {
        let Fact::RebootStarted { boot_id, method } = &event.fact else {
            return None;
        };
        Some((boot_id.to_string(), method.clone()))
    });
    let (_, _, (boot_id, method)) = started.await?;
    expect(
        boot_id == boot && !method.is_empty(),
        &format!("the boot {boot}, and a method"),
        || format!("the boot {boot_id} and the method {method:?}"),
    )
}

/// The stream of the events is missing. It comes back in time, or when the order is over.
async fn unstored(stage: &Stage, in_time: bool) -> Result<()> {
    let case = Case::new(stage).await?;
    stage.delete_stream(&EVENTS_STREAM).await?;
    let holds = SignedDuration::from_secs(if in_time { 60 } else { 2 });
    let ordered = case
        .ordered(|record| record.reboot_not_after = Timestamp::now().checked_add(holds).ok())
        .await;
    // Longer than the shorter of the two holds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let calls = case.calls();
    stage.create_stream(&EVENTS_STREAM).await?;
    ordered?;
    expect(calls == 0, "no call while the event cannot be stored", || {
        format!("{calls} calls")
    })?;
    if in_time {
        return case.called(1).await;
    }
    case.never_more_than(0).await
}

/// The record was read from the leader between the event and the call.
async fn read_again(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let record = case.ordered(|_| ()).await?;
    let (event, ..) = case.started(&record).await?;
    case.called(1).await?;
    case.now().await?;
    let own = subject::attempt_record(&case.node.token());
    let reads = case.published(&tap::leader_reads()).into_iter();
    let mut own_reads = reads.filter(|(index, _, message)| {
        let query: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        *index > event && query.get("last_by_subj").and_then(Value::as_str) == Some(&own)
    });
    expect(
        own_reads.next().is_some(),
        "a read of the record after the event",
        || "none from the leader".to_owned(),
    )
}

/// The program calls for no reboot until its steps would be over.
async fn no_call(case: &Case<'_>) -> Result<()> {
    tokio::time::sleep(STEPS).await;
    let calls = case.calls();
    expect(calls == 0, "no call for a reboot", || format!("{calls} calls"))
}

/// The record moves on between the event and the last look at it.
async fn rolled_back(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.announced(|_| ()).await?;
    record.phase = Phase::RollingBack;
    record.generation = record.generation.next();
    case.store(&record).await?;
    no_call(&case).await
}

async fn deleted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.announced(|_| ()).await?;
    let subject = subject::attempt_record(&case.node.token());
    crate::agent::case::publish(stage, subject, crate::agent::case::deletion(&ATTEMPTS_STREAM), vec![]).await?;
    no_call(&case).await
}

/// The next generation is an order of its own, with its own event before the call.
async fn other_generation(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.announced(|_| ()).await?;
    record.generation = record.generation.next();
    case.store(&record).await?;
    case.way.set(Way::Open);
    case.started(&record).await?;
    case.called(1).await?;
    case.never_more_than(1).await
}

/// The boot changes under the process, as after a checkpoint of it.
async fn other_boot(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.announced(|_| ()).await?;
    std::fs::write(
        case.path("proc/sys/kernel/random/boot_id"),
        "44444444-4444-4444-8444-444444444444\n",
    )?;
    no_call(&case).await
}

/// The order is over between the event and the last look at the record.
async fn too_late(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.announced(|_| ()).await?;
    record.reboot_not_after = Some(Timestamp::now());
    case.store(&record).await?;
    no_call(&case).await
}

/// NATS is silent from the event to the end of the order.
async fn unread(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let holds = SignedDuration::from_secs(10);
    let record = case
        .announced(|record| record.reboot_not_after = Timestamp::now().checked_add(holds).ok())
        .await?;
    case.way.set(Way::Silent);
    super::order_is_over(&record).await?;
    let calls = case.calls();
    expect(calls == 0, "no call while the record cannot be read", || {
        format!("{calls} calls")
    })?;
    case.way.set(Way::Open);
    case.never_more_than(0).await
}

async fn fails(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    let orders = setup.path("reboot-orders");
    let command = format!(
        "/bin/sh -c 'echo reboot >> {}; echo no way >&2; exit 3'",
        orders.display()
    );
    let case = setup.set(setting::REBOOT_COMMAND, &command).start()?;
    case.wait_ready().await?;
    let record = case.ordered(|_| ()).await?;
    let (_, _, message) = case
        .event("the event reboot-failed", 0, |event| {
            let Fact::RebootFailed { message } = &event.fact else {
                return None;
            };
            (event.attempt == record.id).then(|| message.clone())
        })
        .await
        .with_context(|| format!("within {SOON:?}"))?;
    expect(!message.is_empty(), "a message", || "none".to_owned())?;
    case.never_more_than(1).await
}

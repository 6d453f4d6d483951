//! Which record is an order.

use std::time::Duration;

use anyhow::Result;
use bellwether_proto::{Attempt, Phase, RebootKind};
use jiff::{SignedDuration, Timestamp};

use crate::agent::case::Case;
use crate::agent::stage::Stage;
use crate::check::{Check, expect};

const ONCE: &str =
    "| this process | has not called a reboot in this boot, and has not refused this `attempt_id` and `generation` |";

const KIND: &str = "An order of one kind is never carried out by another kind: a rebooter that does not know the kind, or \
    whose host cannot be rebooted so, refuses (`Unable`).";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "R-PERMIT-01",
            "All of this must be true of the record and the host, now:",
            |stage| Box::pin(obeyed(stage)),
        ),
        Check::must("R-PERMIT-02", "| `node` | is this node |", |stage| {
            Box::pin(nothing(stage, |record| {
                record.node = "another.conf".parse()?;
                Ok(())
            }))
        }),
        Check::must("R-PERMIT-03", "| `phase` | is Rebooting |", |stage| {
            Box::pin(other_phases(stage))
        }),
        Check::must(
            "R-PERMIT-04",
            "| `boot_id_before` | is the boot that runs now; read the boot id again for each check |",
            |stage| {
                Box::pin(nothing(stage, |record| {
                    record.boot_before = "33333333-3333-4333-8333-333333333333".parse()?;
                    Ok(())
                }))
            },
        ),
        Check::must("R-PERMIT-05", "read the boot id again for each check", |stage| {
            Box::pin(boot_has_changed(stage))
        }),
        Check::must("R-PERMIT-06", ONCE, |stage| Box::pin(twice(stage))),
        Check::must("R-PERMIT-07", ONCE, |stage| Box::pin(next_generation(stage))),
        Check::must(
            "R-PERMIT-08",
            "A process keeps to its refusal: the same `attempt_id` and `generation` are not obeyed later, whatever changes \
             in the record.",
            |stage| Box::pin(keeps_to_refusal(stage)),
        ),
        Check::must("R-PERMIT-09", "Another generation is another order.", |stage| {
            Box::pin(another_generation(stage))
        }),
        Check::must("R-PERMIT-10", "| `drained_at` | is set |", |stage| {
            Box::pin(refused(stage, |record| record.drained_at = None))
        }),
        Check::must(
            "R-PERMIT-11",
            "| `reboot_not_after` | is set and not reached, by the host's clock |",
            |stage| Box::pin(refused(stage, |record| record.reboot_not_after = None)),
        ),
        Check::must(
            "R-PERMIT-12",
            "| `reboot_not_after` | is set and not reached, by the host's clock |",
            |stage| {
                Box::pin(refused(stage, |record| {
                    record.reboot_not_after = Timestamp::now().checked_sub(SignedDuration::from_secs(1)).ok();
                }))
            },
        ),
        Check::must(
            "R-PERMIT-13",
            "after the reboot it finds another boot id and does nothing.",
            |stage| Box::pin(rebooted(stage)),
        ),
        Check::must("R-PERMIT-14", KIND, |stage| {
            Box::pin(refused(stage, |record| record.reboot_kind = RebootKind::Unknown(77)))
        }),
        // The host of a trial is rebooted by a command.
        Check::must("R-PERMIT-15", KIND, |stage| {
            Box::pin(refused(stage, |record| record.reboot_kind = RebootKind::Kexec))
        }),
        Check::must("R-PERMIT-16", KIND, |stage| {
            Box::pin(refused(stage, |record| {
                record.reboot_kind = RebootKind::Soft;
                record.soft_reboots_before = Some(0);
            }))
        }),
    ]
}

/// The host goes down once, comes up once, and is left alone then.
async fn obeyed(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let boot = case.host.boot_id();
    let record = case.ordered(|_| ()).await?;
    case.called(1).await?;
    case.started(&record).await?;
    case.host_is_back(0).await?;
    expect(case.host.boot_id() != boot, "another boot", || boot.clone())?;
    case.wait_ready().await?;
    case.never_more_than(1).await
}

/// A record with a change is no order, and no event is about it.
async fn nothing(stage: &Stage, change: impl FnOnce(&mut Attempt) -> Result<()>) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.order()?;
    change(&mut record)?;
    case.store(&record).await?;
    case.does_nothing().await
}

/// A record with a change is refused, and the refusal published.
async fn refused(stage: &Stage, change: impl FnOnce(&mut Attempt)) -> Result<()> {
    let case = Case::new(stage).await?;
    let record = case.ordered(change).await?;
    case.refused(&record).await?;
    case.never_more_than(0).await
}

async fn other_phases(stage: &Stage) -> Result<()> {
    /// Long enough for a hint and its read, on busy cores.
    const EACH: Duration = Duration::from_millis(400);
    let case = Case::new(stage).await?;
    for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Rebooting) {
        case.ordered(|record| record.phase = phase).await?;
        tokio::time::sleep(EACH).await;
    }
    case.does_nothing().await
}

/// The boot is another one, though the process has read that of the order.
async fn boot_has_changed(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let record = case.order()?;
    std::fs::write(
        case.path("proc/sys/kernel/random/boot_id"),
        "44444444-4444-4444-8444-444444444444\n",
    )?;
    case.store(&record).await?;
    case.does_nothing().await
}

async fn twice(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let record = case.ordered(|_| ()).await?;
    case.called(1).await?;
    case.store(&record).await?;
    case.never_more_than(1).await
}

async fn next_generation(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.ordered(|_| ()).await?;
    case.called(1).await?;
    record.generation = record.generation.next();
    case.store(&record).await?;
    case.never_more_than(1).await
}

async fn keeps_to_refusal(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.ordered(|record| record.drained_at = None).await?;
    case.refused(&record).await?;
    record.drained_at = Some(Timestamp::now());
    case.store(&record).await?;
    case.never_more_than(0).await
}

async fn another_generation(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.ordered(|record| record.drained_at = None).await?;
    case.refused(&record).await?;
    record.drained_at = Some(Timestamp::now());
    record.generation = record.generation.next();
    case.store(&record).await?;
    case.called(1).await
}

/// The record is still the order when the host is back.
async fn rebooted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let record = case.ordered(|_| ()).await?;
    case.called(1).await?;
    case.host_is_back(0).await?;
    case.wait_ready().await?;
    case.store(&record).await?;
    case.never_more_than(1).await?;
    case.now().await?;
    let kinds = case.kinds()?;
    expect(kinds == ["reboot-started"], "no event but reboot-started", || {
        format!("{kinds:?}")
    })
}

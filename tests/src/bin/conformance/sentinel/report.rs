//! The fields of a report, and when the next one is stored.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::{HostReport, header};
use jiff::SignedDuration;

use super::{LONG_AGO, at, report};
use crate::agent::case::{Case, QUIET, REFRESH, SOON, Setup};
use crate::agent::stage::Stage;
use crate::check::{Check, expect};

/// A report may be this much late on busy cores.
const LATE: Duration = Duration::from_secs(2);

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "S-REPORT-01",
            "without a condition: the record has no other writer.",
            |stage| Box::pin(message(stage)),
        ),
        Check::must(
            "S-REPORT-02",
            "| `content-type` | `application/protobuf` | always written; readers ignore it |",
            |stage| Box::pin(content_type(stage)),
        ),
        Check::must("S-REPORT-03", "| `node` | `BELLWETHER_NODE_NAME` |", |stage| {
            Box::pin(async {
                let case = Case::new(stage).await?;
                field(&case, |report| report.node.to_string(), case.node.as_str()).await
            })
        }),
        Check::must(
            "S-REPORT-04",
            "| `boot_id` | `sys/kernel/random/boot_id` below `BELLWETHER_PROC_ROOT`, without its line end |",
            |stage| Box::pin(boot_id(stage)),
        ),
        Check::must(
            "S-REPORT-05",
            "| `reported_at` | the time of the look, by the host's clock |",
            |stage| Box::pin(reported_at(stage)),
        ),
        Check::must(
            "S-REPORT-06",
            "| `refresh_interval` | `BELLWETHER_REFRESH_INTERVAL` |",
            |stage| Box::pin(refresh_interval(stage)),
        ),
        Check::must(
            "S-REPORT-07",
            "| `booted_at` | `btime` of `stat` below `BELLWETHER_PROC_ROOT`, read for each report: the kernel moves this time \
             when the clock is set; absent if it cannot be read |",
            |stage| Box::pin(booted_at(stage)),
        ),
        Check::must(
            "S-REPORT-08",
            "| `kernel_running` | `sys/kernel/osrelease` below `BELLWETHER_PROC_ROOT` |",
            |stage| Box::pin(kernel_running(stage)),
        ),
        Check::must(
            "S-REPORT-09",
            "| `kernel_installed` | the newest kernel by the directories in `/lib/modules` of the host, with runs of digits \
             compared as numbers; may be empty |",
            |stage| Box::pin(kernel_installed(stage)),
        ),
        Check::must(
            "S-REPORT-10",
            "| `os` | `PRETTY_NAME` of `/etc/os-release` of the host, without quotes; may be empty |",
            |stage| Box::pin(os(stage)),
        ),
        Check::may(
            "S-REPORT-11",
            "| `agent_version` | the version of the sentinel, beginning with the minor of the contract |",
            |stage| Box::pin(agent_version(stage)),
        ),
        Check::must("S-REPORT-12", "and at least each `refresh_interval`.**", |stage| {
            Box::pin(refresh(stage))
        }),
        Check::may(
            "S-REPORT-13",
            "`reported_at` and `booted_at` alone are no change.",
            |stage| Box::pin(no_change(stage)),
        ),
    ]
}

async fn message(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.now().await?;
    case.reports::<HostReport>()?;
    let reports = case.raw_reports();
    let (_, _, first) = reports.first().context("no report")?;
    let conditions: Vec<_> = first
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("Nats-Expected"))
        .collect();
    expect(conditions.is_empty(), "no condition", || format!("{conditions:?}"))
}

async fn content_type(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.now().await?;
    let reports = case.raw_reports();
    let (_, _, first) = reports.first().context("no report")?;
    let found = first.header(header::CONTENT_TYPE);
    expect(found == Some(header::PROTOBUF), header::PROTOBUF, || {
        format!("{found:?}")
    })
}

/// The first report has this text in a field.
async fn field(case: &Case<'_>, read: impl Fn(&HostReport) -> String, wanted: &str) -> Result<()> {
    let (_, _, found) = report(case, "a report", 0, |report| Some(read(report))).await?;
    expect(found == wanted, &format!("{wanted:?}"), || format!("{found:?}"))
}

async fn boot_id(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    field(&case, |report| report.boot_id.to_string(), &case.host.boot_id()).await?;
    case.reboot_host().await?;
    let boot = case.host.boot_id();
    report(&case, "a report with the boot that runs now", 0, |report| {
        (report.boot_id.as_str() == boot).then_some(())
    })
    .await
    .map(drop)
}

async fn reported_at(stage: &Stage) -> Result<()> {
    let before = jiff::Timestamp::now();
    let case = Case::new(stage).await?;
    let (_, _, found) = report(&case, "a report", 0, |report| Some(report.reported_at)).await?;
    let after = jiff::Timestamp::now();
    // Whole seconds are fine too.
    let within = found.as_second() >= before.as_second() && found <= after;
    expect(within, &format!("a time from {before} to {after}"), || {
        found.to_string()
    })
}

async fn refresh_interval(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (_, _, found) = report(&case, "a report", 0, |report| Some(report.refresh_interval)).await?;
    let wanted = SignedDuration::try_from(REFRESH)?;
    expect(found == wanted, &format!("{wanted:#}"), || format!("{found:#}"))
}

async fn booted_at(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    let stat = setup.path("proc/stat");
    std::fs::write(&stat, format!("cpu  1 2 3\nbtime {LONG_AGO}\nprocesses 7\n"))?;
    let case = setup.start()?;
    let with = async |from, wanted: Option<i64>| {
        let wanted = wanted.map(at).transpose()?;
        report(&case, &format!("a report with booted_at {wanted:?}"), from, |report| {
            (report.booted_at == wanted).then_some(())
        })
        .await
    };
    let (first, ..) = with(0, Some(LONG_AGO)).await?;
    std::fs::write(&stat, format!("cpu  1 2 3\nbtime {}\nprocesses 7\n", LONG_AGO + 77))?;
    let (second, ..) = with(first + 1, Some(LONG_AGO + 77)).await?;
    std::fs::write(&stat, "cpu  1 2 3\n")?;
    with(second + 1, None).await.map(drop)
}

async fn kernel_running(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    field(&case, |report| report.kernel_running.clone(), &case.host.kernel()).await
}

async fn kernel_installed(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    for kernel in ["6.12.48-9-generic", "6.12.48-10-generic"] {
        std::fs::create_dir_all(setup.path("lib/modules").join(kernel))?;
    }
    let case = setup.start()?;
    let installed = |report: &HostReport| report.kernel_installed.clone().unwrap_or_default();
    let (_, _, found) = report(&case, "a report", 0, |report| Some(installed(report))).await?;
    expect(
        found.is_empty() || found == "6.12.48-10-generic",
        "no kernel, or 6.12.48-10-generic",
        || found,
    )
}

async fn os(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (_, _, found) = report(&case, "a report", 0, |report| Some(report.os.clone())).await?;
    let wanted = "Debian GNU/Linux 13 (trixie)";
    expect(
        found.is_empty() || found == wanted,
        &format!("nothing, or {wanted:?}"),
        || format!("{found:?}"),
    )
}

async fn agent_version(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (_, _, found) = report(&case, "a report", 0, |report| Some(report.agent_version.clone())).await?;
    let mut numbers = found.split(['.', '-', '+']).map(|part| part.parse::<u32>().is_ok());
    let begins = numbers.next() == Some(true) && numbers.next() == Some(true);
    expect(begins, "a version such as 0.1.0", || format!("{found:?}"))
}

async fn refresh(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (mut index, mut at, ()) = report(&case, "a report", 0, |_| Some(())).await?;
    for _ in 0..2 {
        let (next, later, ()) = case
            .report::<HostReport, ()>("the next report", index + 1, SOON, |_| Some(()))
            .await?;
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

async fn no_change(stage: &Stage) -> Result<()> {
    let case = Setup::new(stage)?
        .set(bellwether_proto::setting::RESCAN_INTERVAL, "1s")
        .set(bellwether_proto::setting::REFRESH_INTERVAL, "60s")
        .start()?;
    case.wait_ready().await?;
    let before = case.now().await?;
    tokio::time::sleep(QUIET).await;
    let more = case.raw_reports().iter().filter(|(index, ..)| *index >= before).count();
    expect(more == 0, "no report without a change", || {
        format!("{more} within {QUIET:?}")
    })
}

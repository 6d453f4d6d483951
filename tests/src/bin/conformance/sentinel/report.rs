//! The fields of a report, and when the next one is stored.

use anyhow::Result;
use bellwether_proto::HostReport;

use super::{LONG_AGO, at, report};
use crate::agent::case::{Case, QUIET, Setup};
use crate::agent::stage::Stage;
use crate::agent::trials;
use crate::check::{Check, expect};

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "S-REPORT-01",
            "without a condition: the record has no other writer.",
            |stage| Box::pin(trials::no_condition::<HostReport>(stage)),
        ),
        Check::must(
            "S-REPORT-02",
            "| `content-type` | `application/protobuf` | always written; readers ignore it |",
            |stage| Box::pin(trials::content_type(stage)),
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
            |stage| Box::pin(trials::reported_at::<HostReport>(stage)),
        ),
        Check::must(
            "S-REPORT-06",
            "| `refresh_interval` | `BELLWETHER_REFRESH_INTERVAL` |",
            |stage| Box::pin(trials::refresh_interval::<HostReport>(stage)),
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
            Box::pin(trials::refresh::<HostReport>(stage))
        }),
        Check::may(
            "S-REPORT-13",
            "`reported_at` and `booted_at` alone are no change.",
            |stage| Box::pin(no_change(stage)),
        ),
    ]
}

/// The first report has this text in a field.
async fn field(case: &Case<'_>, read: impl Fn(&HostReport) -> String, wanted: &str) -> Result<()> {
    let (_, _, found) = report(case, "a report", 0, |report| Some(read(report))).await?;
    expect(found == wanted, &format!("{wanted:?}"), || format!("{found:?}"))
}

async fn boot_id(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    field(&case, |report| report.boot_id.to_string(), &case.host.boot_id()).await?;
    trials::next_boot::<HostReport>(&case).await
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

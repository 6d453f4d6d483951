//! A host that cannot be examined: neither "required" nor "not required".

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};
use bellwether_proto::{ProblemCode, wire};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::{FILE, LONG_AGO, need_at, need_since, not_required, report};
use crate::agent::case::{Case, Setup};
use crate::agent::observe;
use crate::agent::stage::Stage;
use crate::check::{Check, expect};

const DIRECTORY: &str =
    "| the directory of the sentinel file is missing or cannot be read | the problem `HOST_DIRECTORY_UNREADABLE` |";
const NOT_A_FILE: &str =
    "| the entry is something else, such as a directory or a named pipe | the problem `SENTINEL_FILE_NOT_A_FILE` |";
const UNREADABLE: &str = "| the entry cannot be read, such as a link to nothing or a file without permission | the problem \
    `SENTINEL_FILE_UNREADABLE` |";
const TEXT: &str =
    "With a problem leave `need` out, and state code and text in `probe_problem` and the text in `probe_error`.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("S-PROBLEM-01", DIRECTORY, |stage| {
            Box::pin(problem(stage, ProblemCode::HostDirectoryUnreadable, |file| {
                Ok(fs::remove_dir_all(file.parent().context("no folder")?)?)
            }))
        }),
        Check::must("S-PROBLEM-02", NOT_A_FILE, |stage| {
            Box::pin(problem(stage, ProblemCode::SentinelFileNotAFile, |file| {
                Ok(fs::create_dir(file)?)
            }))
        }),
        Check::must("S-PROBLEM-03", NOT_A_FILE, |stage| {
            Box::pin(problem(stage, ProblemCode::SentinelFileNotAFile, |file| {
                Ok(mknodat(CWD, file, FileType::Fifo, Mode::from_raw_mode(0o644), 0)?)
            }))
        }),
        Check::must("S-PROBLEM-04", UNREADABLE, |stage| {
            Box::pin(problem(stage, ProblemCode::SentinelFileUnreadable, |file| {
                Ok(symlink("nothing", file)?)
            }))
        }),
        Check::must("S-PROBLEM-05", TEXT, |stage| Box::pin(texts(stage))),
        Check::must("S-PROBLEM-06", "Continue to look: the problem may pass.", |stage| {
            Box::pin(passes(stage))
        }),
        Check::must("S-PROBLEM-07", "**Unknown is neither yes nor no.**", |stage| {
            Box::pin(from_the_start(stage))
        }),
        Check::must("S-PROBLEM-08", "a report with a problem does not end it.", |stage| {
            Box::pin(need_lasts(stage))
        }),
    ]
}

/// Waits for a report with this problem at or after a place.
async fn with_problem(case: &Case<'_>, from: usize, code: ProblemCode) -> Result<()> {
    report(
        case,
        &format!("a report with the problem {}", code.as_str()),
        from,
        |report| (report.need.problem()?.code == code).then_some(()),
    )
    .await
    .map(drop)
}

/// A change of the sentinel file, which is not there, leads to this problem.
async fn problem(stage: &Stage, code: ProblemCode, change: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let case = Case::new(stage).await?;
    change(&case.path(FILE))?;
    with_problem(&case, 0, code).await
}

async fn texts(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    fs::create_dir(case.path(FILE))?;
    with_problem(&case, 0, ProblemCode::SentinelFileNotAFile).await?;
    let reports = case.raw_reports();
    let (_, _, last) = reports.last().context("no report")?;
    let report: wire::HostReport = observe::wire(last)?;
    let message = report.probe_problem.map(|problem| problem.message).unwrap_or_default();
    expect(
        report.need.is_none() && !message.is_empty() && !report.probe_error.is_empty(),
        "no need, and a text in both fields",
        || format!("need {:?}, {message:?} and {:?}", report.need, report.probe_error),
    )
}

async fn passes(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    fs::create_dir(case.path(FILE))?;
    with_problem(&case, 0, ProblemCode::SentinelFileNotAFile).await?;
    let from = case.now().await?;
    fs::remove_dir(case.path(FILE))?;
    not_required(&case, from).await?;
    need_at(case.host.root(), LONG_AGO)?;
    need_since(&case, from, LONG_AGO).await.map(drop)
}

async fn from_the_start(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    fs::remove_dir_all(setup.path("var/run"))?;
    let case = setup.start()?;
    with_problem(&case, 0, ProblemCode::HostDirectoryUnreadable).await?;
    let wrong = case.reports::<bellwether_proto::HostReport>()?.into_iter();
    let wrong: Vec<_> = wrong.filter(|(_, _, report)| report.need.problem().is_none()).collect();
    expect(wrong.is_empty(), "reports with the problem alone", || {
        format!("{wrong:?}")
    })
}

async fn need_lasts(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    need_at(case.host.root(), LONG_AGO)?;
    let before = need_since(&case, 0, LONG_AGO).await?;
    let from = case.now().await?;
    // In one step each: in between, the host would need no reboot.
    let (file, aside) = (case.path(FILE), case.path("var/run/aside"));
    let exchange = || renameat_with(CWD, &aside, CWD, &file, RenameFlags::EXCHANGE);
    fs::create_dir(&aside)?;
    exchange()?;
    with_problem(&case, from, ProblemCode::SentinelFileNotAFile).await?;
    super::write_at(&aside, "", LONG_AGO + 40)?;
    exchange()?;
    let need = need_since(&case, from, LONG_AGO + 40).await?;
    expect(
        need.first_since == before.since && need.trace == before.trace,
        &format!("the need of before, first since {}", before.since),
        || format!("first since {}, trace {:?}", need.first_since, need.trace),
    )
}

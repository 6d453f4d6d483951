//! The checks of a sentinel, by the sections of its page.

mod faults;
mod keep;
mod need;
mod problem;
mod report;
mod start;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use bellwether_proto::{HostReport, NeedReport, RebootNeed};
use jiff::Timestamp;

use crate::agent::case::{Case, SOON};
use crate::agent::observe::At;
use crate::agent::stage::Stage;
use crate::check::Check;

/// The sentinel file below the root of a host.
const FILE: &str = "var/run/reboot-required";

/// The list beside the sentinel file.
const LIST: &str = "var/run/reboot-required.pkgs";

/// 2026-01-01: a time of the sentinel file that no clock of the trial has.
const LONG_AGO: i64 = 1_767_225_600;

/// All checks of a sentinel, by id within each section.
pub(crate) fn checks() -> Vec<Check<Stage>> {
    let sections = [
        start::checks(),
        report::checks(),
        need::checks(),
        problem::checks(),
        keep::checks(),
        faults::checks(),
    ];
    sections.into_iter().flatten().collect()
}

/// Writes a file in one step, as if the host had written it at this second.
fn write_at(path: &Path, content: &str, second: i64) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    // Its name is not that of the sentinel file, so no program takes it for one.
    let fresh = folder.join("conformance.new");
    fs::write(&fresh, content)?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second.unsigned_abs());
    File::options().write(true).open(&fresh)?.set_modified(time)?;
    fs::rename(&fresh, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Lets the host need a reboot since this second.
fn need_at(root: &Path, second: i64) -> Result<()> {
    write_at(&root.join(FILE), "*** System restart required ***\n", second)
}

/// Lets the host need no reboot.
fn no_need(root: &Path) -> Result<()> {
    fs::remove_file(root.join(FILE)).context("cannot remove the sentinel file")
}

/// This second.
fn at(second: i64) -> Result<Timestamp> {
    Ok(Timestamp::from_second(second)?)
}

/// Waits for a report at or after this place for which `choose` gives a value.
async fn report<T>(
    case: &Case<'_>,
    awaited: &str,
    from: usize,
    choose: impl Fn(&HostReport) -> Option<T>,
) -> Result<At<T>> {
    case.report::<HostReport, T>(awaited, from, SOON, choose).await
}

/// Waits for a report with a need since this second.
async fn need_since(case: &Case<'_>, from: usize, second: i64) -> Result<RebootNeed> {
    let since = at(second)?;
    let choose = |report: &HostReport| report.need.required().filter(|need| need.since == since).cloned();
    let (_, _, need) = report(case, &format!("a report with a need since {since}"), from, choose).await?;
    Ok(need)
}

/// Waits for a report that no reboot is required.
async fn not_required(case: &Case<'_>, from: usize) -> Result<At<()>> {
    let choose = |report: &HostReport| (report.need == NeedReport::NotRequired).then_some(());
    report(case, "a report that no reboot is required", from, choose).await
}

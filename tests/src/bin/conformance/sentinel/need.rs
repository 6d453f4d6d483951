//! What a need is, since when it lasts, and its reasons.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::limit::{PAYLOAD_BYTES_MAX, REASONS_MAX, WORD_BYTES_MAX};
use bellwether_proto::{HostReport, setting, wire};

use super::{FILE, LIST, LONG_AGO, need_at, need_since, no_need, not_required, report, write_at};
use crate::agent::case::{Case, SOON, Setup};
use crate::agent::observe;
use crate::agent::stage::Stage;
use crate::check::{Check, expect};

const FILE_IS_NEED: &str = "| the entry is a file that can be read | `need` |";
const FIRST: &str = "| `need.first_since` | the earliest of all these times that were reported in this boot since the last \
    report that no reboot is required |";
const REASONS: &str = "| `need.reasons` | the lines of the list beside the sentinel file, `<sentinel file>.pkgs`: without \
    blanks around them, each once, in their order; without a list no entry |";
const LINKS: &str = "with `/var/run -> /run` the file is found in `run` below `BELLWETHER_HOST_ROOT`, and no link leads out \
    of there.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("S-NEED-01", FILE_IS_NEED, |stage| Box::pin(file(stage))),
        Check::must(
            "S-NEED-02",
            "| no entry has the sentinel file's name | no `need`, no problem: no reboot is required |",
            |stage| Box::pin(withdrawn(stage)),
        ),
        Check::must(
            "S-NEED-03",
            "| `need.since` | the time of the last write to the sentinel file, not the time of the look |",
            |stage| Box::pin(since(stage)),
        ),
        Check::must("S-NEED-04", FIRST, |stage| Box::pin(first_since(stage))),
        Check::must("S-NEED-05", FIRST, |stage| Box::pin(first_since_ends(stage))),
        Check::must("S-NEED-06", REASONS, |stage| Box::pin(reasons(stage))),
        Check::must("S-NEED-07", REASONS, |stage| Box::pin(no_reasons(stage))),
        Check::must(
            "S-NEED-08",
            "What keeps `reasons`, kernels or `os` from being read keeps no need from being reported.",
            |stage| Box::pin(unreadable_reasons(stage)),
        ),
        Check::must(
            "S-NEED-09",
            "**Readers cut what is longer, and writers cut before they write**",
            |stage| Box::pin(cut(stage)),
        ),
        Check::must(
            "S-NEED-10",
            "A list keeps its first entries, and its last one counts the rest (`… and 12 more`)",
            |stage| Box::pin(counted(stage)),
        ),
        Check::must("S-NEED-11", LINKS, |stage| Box::pin(linked(stage, "/run"))),
        Check::must("S-NEED-12", LINKS, |stage| {
            Box::pin(linked(stage, "../../../../../../../run"))
        }),
        Check::must(
            "S-NEED-13",
            "| `BELLWETHER_SENTINEL_FILE` | `/var/run/reboot-required` | the sentinel file, a path of the host: while it is \
             there, the host needs a reboot |",
            |stage| Box::pin(other_file(stage)),
        ),
        Check::must(
            "S-NEED-14",
            "Look each `BELLWETHER_RESCAN_INTERVAL`, give or take a fifth",
            |stage| Box::pin(rescan(stage)),
        ),
        Check::may(
            "S-NEED-15",
            "Bellwether's own sentinel also watches the directory of the sentinel file, and reports a change within a second.",
            |stage| Box::pin(watched(stage)),
        ),
        Check::open(
            "S-NEED-16",
            "| `need.traceparent` | random ids for the first span of the [trace](README.md#trace-context) of this need; may be empty |",
            |stage| Box::pin(traced(stage)),
        ),
    ]
}

async fn file(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.host.need_reboot(&["linux-base"])?;
    report(&case, "a report with a need", 0, |report| {
        report.need.required().map(drop)
    })
    .await
    .map(drop)
}

async fn withdrawn(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    need_at(setup.host.root(), LONG_AGO)?;
    let case = setup.start()?;
    need_since(&case, 0, LONG_AGO).await?;
    let from = case.now().await?;
    no_need(case.host.root())?;
    not_required(&case, from).await.map(drop)
}

async fn since(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    need_at(case.host.root(), LONG_AGO)?;
    need_since(&case, 0, LONG_AGO).await.map(drop)
}

async fn first_since(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    for second in [LONG_AGO + 20, LONG_AGO + 30, LONG_AGO + 10] {
        need_at(case.host.root(), second)?;
        let need = need_since(&case, 0, second).await?;
        let first = super::at(second.min(LONG_AGO + 20))?;
        expect(need.first_since == first, &format!("first_since {first}"), || {
            format!("{} with since {}", need.first_since, need.since)
        })?;
    }
    Ok(())
}

async fn first_since_ends(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    need_at(case.host.root(), LONG_AGO)?;
    let old = need_since(&case, 0, LONG_AGO).await?;
    let from = case.now().await?;
    no_need(case.host.root())?;
    not_required(&case, from).await?;
    need_at(case.host.root(), LONG_AGO + 60)?;
    let need = need_since(&case, from, LONG_AGO + 60).await?;
    let first = need.first_since;
    expect(first == need.since, "a need that begins with since", || {
        first.to_string()
    })?;
    let (before, after) = (old.trace, need.trace);
    expect(before.is_none() || before != after, "another trace", || {
        format!("{after:?}")
    })
}

async fn reasons(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    write_at(
        &case.path(LIST),
        "linux-base\n libc6 \nlinux-base\n\n\tzlib1g\n",
        LONG_AGO,
    )?;
    need_at(case.host.root(), LONG_AGO)?;
    let need = need_since(&case, 0, LONG_AGO).await?;
    let wanted = ["linux-base", "libc6", "zlib1g"];
    expect(need.reasons == wanted, &format!("{wanted:?}"), || {
        format!("{:?}", need.reasons)
    })
}

async fn no_reasons(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    need_at(case.host.root(), LONG_AGO)?;
    let need = need_since(&case, 0, LONG_AGO).await?;
    expect(need.reasons.is_empty(), "no reason", || format!("{:?}", need.reasons))
}

/// A directory in place of the list, and no os-release or modules either.
async fn unreadable_reasons(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    fs::remove_file(setup.path("etc/os-release"))?;
    fs::remove_dir_all(setup.path("lib/modules"))?;
    fs::create_dir(setup.path(LIST))?;
    need_at(setup.host.root(), LONG_AGO)?;
    let case = setup.start()?;
    need_since(&case, 0, LONG_AGO).await.map(drop)
}

/// The need of a host with so many packages, the first one with a long name, as it was written.
async fn written(stage: &Stage, packages: usize, long: usize) -> Result<wire::RebootNeed> {
    let case = Case::new(stage).await?;
    let mut list = format!("{}\n", "é".repeat(long / 2));
    for number in 1..packages {
        list.push_str(&format!("package-{number}\n"));
    }
    write_at(&case.path(LIST), &list, LONG_AGO)?;
    need_at(case.host.root(), LONG_AGO)?;
    need_since(&case, 0, LONG_AGO).await?;
    let reports = case.raw_reports();
    let (_, _, last) = reports.last().context("no report")?;
    let size = last.payload.len();
    expect(size <= PAYLOAD_BYTES_MAX, "a body within the limit", || {
        format!("{size} bytes")
    })?;
    observe::wire::<wire::HostReport>(last)?.need.context("no need")
}

async fn cut(stage: &Stage) -> Result<()> {
    let need = written(stage, 500, 2000).await?;
    let longest = need.reasons.iter().map(String::len).max().unwrap_or(0);
    let count = need.reasons.len();
    expect(
        count <= REASONS_MAX && longest <= WORD_BYTES_MAX,
        &format!("at most {REASONS_MAX} entries of {WORD_BYTES_MAX} bytes"),
        || format!("{count} entries, the longest with {longest} bytes"),
    )
}

async fn counted(stage: &Stage) -> Result<()> {
    let need = written(stage, 500, 2000).await?;
    let (first, last) = (need.reasons.first(), need.reasons.last());
    let is_cut = first.is_some_and(|first| first.ends_with('…'));
    let wanted = format!("… and {} more", 500 - (REASONS_MAX - 1));
    expect(
        is_cut && last == Some(&wanted),
        &format!("a first entry that ends with …, and the last entry {wanted:?}"),
        || format!("{first:?} and {last:?}"),
    )
}

async fn linked(stage: &Stage, target: &str) -> Result<()> {
    let setup = Setup::new(stage)?;
    fs::remove_dir_all(setup.path("var/run"))?;
    fs::create_dir_all(setup.path("run"))?;
    symlink(target, setup.path("var/run"))?;
    let case = setup.start()?;
    case.wait_ready().await?;
    write_at(&case.path("run/reboot-required"), "", LONG_AGO)?;
    need_since(&case, 0, LONG_AGO).await.map(drop)
}

async fn other_file(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?.set(setting::SENTINEL_FILE, "/var/lib/needs/restart");
    fs::create_dir_all(setup.path("var/lib/needs"))?;
    let case = setup.start()?;
    // No need of this trial's program.
    write_at(&case.path(FILE), "", LONG_AGO)?;
    not_required(&case, 0).await?;
    write_at(&case.path("var/lib/needs/restart"), "", LONG_AGO + 5)?;
    write_at(&case.path("var/lib/needs/restart.pkgs"), "glibc\n", LONG_AGO + 5)?;
    let since = super::at(LONG_AGO + 5)?;
    report(
        &case,
        "a need of the file of the setting, with its list",
        0,
        |report: &HostReport| {
            let need = report.need.required()?;
            (need.since == since && need.reasons == ["glibc"]).then_some(())
        },
    )
    .await
    .map(drop)
}

/// The directory is another one, so that a watch of the old one gives no hint.
async fn rescan(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let folder = case.path("var/run");
    fs::rename(&folder, case.path("var/run-before"))?;
    fs::create_dir(&folder)?;
    need_at(case.host.root(), LONG_AGO)?;
    need_since(&case, 0, LONG_AGO).await.map(drop)
}

async fn watched(stage: &Stage) -> Result<()> {
    /// The second of the sentence, and what busy cores add.
    const AT_ONCE: Duration = Duration::from_secs(4);
    let case = Setup::new(stage)?.set(setting::RESCAN_INTERVAL, "60s").start()?;
    case.wait_ready().await?;
    need_at(case.host.root(), LONG_AGO)?;
    let is_need = |report: &HostReport| report.need.required().map(drop);
    case.report::<HostReport, ()>("a report of the change at once", 0, AT_ONCE, is_need)
        .await
        .map(drop)
}

async fn traced(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    need_at(case.host.root(), LONG_AGO)?;
    let need = need_since(&case, 0, LONG_AGO).await?;
    expect(need.trace.is_some(), "a need with a trace", || {
        format!("none within {SOON:?}")
    })
}

//! What a restart keeps of a need: its trace and its age.

use anyhow::Result;
use async_nats::HeaderMap;
use bellwether_proto::stream::HOSTS_STREAM;
use bellwether_proto::{HostReport, NeedReport, Problem, ProblemCode, RebootNeed, TraceParent};
use jiff::{SignedDuration, Timestamp};
use rig::proxy::Way;

use super::{LONG_AGO, at, need_at, need_since, report};
use crate::agent::case::{Case, Setup, deletion};
use crate::agent::observe::WRITTEN_BY_TRIAL;
use crate::agent::stage::Stage;
use crate::case::packed;
use crate::check::{Check, expect};

const KEEP: &str =
    "**Keep `need.traceparent` and `need.first_since` for as long as the need lasts, over restarts too.**";
const SAME: &str = "It counts only with the same `node` and `boot_id`: another boot begins another need.";
const BROKEN: &str = "A report that is missing, deleted, or cannot be decoded keeps no new one from being stored.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("S-KEEP-01", KEEP, |stage| Box::pin(kept(stage, LONG_AGO, Way::Open))),
        Check::must(
            "S-KEEP-02",
            "A need lasts from the first report that has it to the next report that no reboot is required",
            |stage| Box::pin(kept(stage, LONG_AGO + 50, Way::Open)),
        ),
        Check::must(
            "S-KEEP-03",
            "read your own last report before the first one is stored.",
            |stage| Box::pin(kept(stage, LONG_AGO, Way::Silent)),
        ),
        Check::must("S-KEEP-04", SAME, |stage| {
            Box::pin(fresh(stage, |report| {
                report.boot_id = "33333333-3333-4333-8333-333333333333".parse()?;
                Ok(())
            }))
        }),
        Check::must("S-KEEP-05", SAME, |stage| {
            Box::pin(fresh(stage, |report| {
                report.node = "another.conf".parse()?;
                Ok(())
            }))
        }),
        Check::must("S-KEEP-06", KEEP, |stage| {
            Box::pin(fresh(stage, |report| {
                report.need = NeedReport::NotRequired;
                Ok(())
            }))
        }),
        Check::must("S-KEEP-07", BROKEN, |stage| {
            Box::pin(fresh(stage, |report| {
                report.need = NeedReport::Unknown(Problem::new(ProblemCode::Unknown(9999), "of a newer version"));
                Ok(())
            }))
        }),
        Check::must("S-KEEP-08", BROKEN, |stage| {
            Box::pin(broken(stage, HeaderMap::new(), b"\xff\xff\xff not protobuf".to_vec()))
        }),
        Check::must("S-KEEP-09", BROKEN, |stage| {
            Box::pin(broken(stage, deletion(&HOSTS_STREAM), vec![]))
        }),
        Check::must("S-KEEP-10", KEEP, |stage| Box::pin(killed(stage))),
        Check::must("S-KEEP-11", SAME, |stage| Box::pin(rebooted(stage))),
    ]
}

fn trace() -> Result<TraceParent> {
    Ok("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?)
}

/// The report of a sentinel before this one.
fn previous(setup: &Setup<'_>) -> Result<HostReport> {
    Ok(HostReport {
        node: setup.node.clone(),
        boot_id: setup.host.boot_id().parse()?,
        reported_at: Timestamp::now(),
        booted_at: None,
        refresh_interval: SignedDuration::from_mins(5),
        need: NeedReport::Required(RebootNeed {
            since: at(LONG_AGO)?,
            first_since: at(LONG_AGO - 500)?,
            reasons: vec![],
            trace: Some(trace()?),
            undated: false,
        }),
        kernel_running: String::new(),
        kernel_installed: None,
        os: String::new(),
        agent_version: "0.1.0".to_owned(),
        probes: Vec::new(),
        services_to_restart: Vec::new(),
    })
}

/// Starts the program on a host with this record and a need since this second; returns that need as it is reported.
async fn started(
    setup: Setup<'_>,
    (mut headers, body): (HeaderMap, Vec<u8>),
    second: i64,
    way: Way,
) -> Result<RebootNeed> {
    headers.insert(WRITTEN_BY_TRIAL, "yes");
    need_at(setup.host.root(), second)?;
    setup.write_record(headers, body).await?;
    setup.way.set(way);
    let case = setup.start()?;
    if way != Way::Open {
        tokio::time::sleep(crate::agent::case::QUIET).await;
        case.way.set(Way::Open);
    }
    need_since(&case, 0, second).await
}

/// A need since this second is the one of the report before.
async fn kept(stage: &Stage, second: i64, way: Way) -> Result<()> {
    let setup = Setup::new(stage)?;
    let record = packed(&previous(&setup)?);
    let need = started(setup, record, second, way).await?;
    let (first, trace) = (at(LONG_AGO - 500)?, trace()?);
    expect(
        need.first_since == first && need.trace == Some(trace),
        &format!("first since {first}, trace {trace}"),
        || format!("first since {}, trace {:?}", need.first_since, need.trace),
    )
}

/// The need is another one than that of the report before.
fn is_fresh(need: &RebootNeed) -> Result<()> {
    let trace = trace()?;
    expect(
        need.first_since == need.since && need.trace != Some(trace),
        &format!("first since {}, and another trace", need.since),
        || format!("first since {}, trace {:?}", need.first_since, need.trace),
    )
}

/// With a change of the report before, the need is another one.
async fn fresh(stage: &Stage, change: impl FnOnce(&mut HostReport) -> Result<()>) -> Result<()> {
    let setup = Setup::new(stage)?;
    let mut report = previous(&setup)?;
    change(&mut report)?;
    is_fresh(&started(setup, packed(&report), LONG_AGO, Way::Open).await?)
}

/// A record that is none keeps no report from being stored.
async fn broken(stage: &Stage, headers: HeaderMap, body: Vec<u8>) -> Result<()> {
    let setup = Setup::new(stage)?;
    is_fresh(&started(setup, (headers, body), LONG_AGO, Way::Open).await?)
}

async fn killed(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    need_at(case.host.root(), LONG_AGO)?;
    let before = need_since(&case, 0, LONG_AGO).await?;
    case.service.process.kill9();
    need_at(case.host.root(), LONG_AGO + 30)?;
    let from = case.now().await?;
    case.service.process.restart()?;
    let need = need_since(&case, from, LONG_AGO + 30).await?;
    expect(
        need.first_since == before.first_since && need.trace == before.trace,
        &format!("first since {}, trace {:?}", before.first_since, before.trace),
        || format!("first since {}, trace {:?}", need.first_since, need.trace),
    )
}

/// The need survives the reboot of the host, as a file that an update hook writes again.
async fn rebooted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    need_at(case.host.root(), LONG_AGO)?;
    let before = need_since(&case, 0, LONG_AGO).await?;
    let from = case.now().await?;
    case.reboot_host().await?;
    need_at(case.host.root(), LONG_AGO + 30)?;
    let boot = case.host.boot_id();
    let since = at(LONG_AGO + 30)?;
    let (_, _, need) = report(
        &case,
        "a need in the boot that runs now",
        from,
        |report: &HostReport| {
            let need = report.need.required().filter(|need| need.since == since)?;
            (report.boot_id.as_str() == boot).then(|| need.clone())
        },
    )
    .await?;
    expect(
        need.first_since == since && (need.trace.is_none() || need.trace != before.trace),
        "another need with another trace",
        || format!("first since {}, trace {:?}", need.first_since, need.trace),
    )
}

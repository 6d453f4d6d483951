//! The preflight, the fields of a report, and when the next one is stored.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::{ProblemCode, RebooterReport, setting, wire};
use rig::proxy::Way;

use super::refusal::with_script;
use crate::agent::case::{Case, SOON, Setup};
use crate::agent::observe::{self, At};
use crate::agent::stage::Stage;
use crate::agent::trials::{self, LATE};
use crate::check::{Check, expect};

const STORE: &str = "**Store a report at the start, when the preflight finds something else, when the keys are others, in another \
    boot, after each new connection to NATS, and at least each `refresh_interval`**, until the bucket has acknowledged it.";
const PROBLEM: &str = "| `problem`, `preflight_problem` | why the host could not be rebooted: the text in both, the \
    [code](codes.md#problems) in the latter; absent if it could.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "R-REPORT-01",
            "without a condition: the record has no other writer.",
            |stage| Box::pin(message(stage)),
        ),
        Check::must("R-REPORT-02", "| `node` | `BELLWETHER_NODE_NAME` |", |stage| {
            Box::pin(node(stage))
        }),
        Check::must(
            "R-REPORT-03",
            "| `boot_id` | the boot in which the preflight was made |",
            |stage| Box::pin(boot(stage)),
        ),
        Check::must(
            "R-REPORT-04",
            "| `reported_at` | the time of the report, by the host's clock |",
            |stage| Box::pin(trials::reported_at::<RebooterReport>(stage)),
        ),
        Check::must(
            "R-REPORT-05",
            "| `refresh_interval` | `BELLWETHER_REFRESH_INTERVAL` |",
            |stage| Box::pin(trials::refresh_interval::<RebooterReport>(stage)),
        ),
        Check::must(
            "R-REPORT-06",
            "| `method` | how the host would be rebooted, such as `logind` or `command` |",
            |stage| Box::pin(method(stage)),
        ),
        Check::must("R-REPORT-07", PROBLEM, |stage| Box::pin(problem(stage))),
        Check::must("R-REPORT-08", STORE, |stage| Box::pin(problem_passes(stage))),
        Check::must("R-REPORT-09", STORE, |stage| {
            Box::pin(trials::refresh::<RebooterReport>(stage))
        }),
        Check::must("R-REPORT-10", STORE, |stage| Box::pin(lost_ack(stage))),
        Check::must("R-REPORT-11", STORE, |stage| Box::pin(boot_changes(stage))),
        Check::must(
            "R-REPORT-12",
            "Once this process has called for a reboot, and the host still runs, the problem is `REBOOT_ALREADY_CALLED`.",
            |stage| Box::pin(called_already(stage)),
        ),
        Check::must(
            "R-REPORT-13",
            "a second call in the same boot takes a restart of the rebooter. Until then the rebooter reports the call as its \
             `problem`",
            |stage| Box::pin(restarted(stage)),
        ),
        Check::must("R-REPORT-14", STORE, |stage| {
            Box::pin(trials::new_connection::<RebooterReport>(stage))
        }),
    ]
}

/// Waits for a report at or after this place for which `choose` gives a value.
async fn report<T>(
    case: &Case<'_>,
    awaited: &str,
    from: usize,
    choose: impl Fn(&RebooterReport) -> Option<T>,
) -> Result<At<T>> {
    case.report::<RebooterReport, T>(awaited, from, SOON, choose).await
}

/// Waits for a report with this problem, or without one.
async fn with_problem(case: &Case<'_>, from: usize, code: Option<ProblemCode>) -> Result<()> {
    let name = code.map_or("none", ProblemCode::as_str);
    let awaited = format!("a report with the problem: {name}");
    report(case, &awaited, from, |report| {
        (report.problem.as_ref().map(|problem| problem.code) == code).then_some(())
    })
    .await
    .map(drop)
}

async fn message(stage: &Stage) -> Result<()> {
    trials::content_type(stage).await?;
    trials::no_condition::<RebooterReport>(stage).await
}

async fn node(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (_, _, found) = report(&case, "a report", 0, |report| Some(report.node.clone())).await?;
    expect(found == case.node, case.node.as_str(), || found.to_string())
}

async fn boot(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    trials::next_boot::<RebooterReport>(&case).await
}

async fn method(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (_, _, found) = report(&case, "a report", 0, |report| Some(report.method.clone())).await?;
    expect(!found.is_empty(), "a method", || "none".to_owned())
}

async fn problem(stage: &Stage) -> Result<()> {
    let setup = with_script(Setup::new(stage)?)?;
    fs::remove_file(setup.path("sbin/reboot"))?;
    let case = setup.start()?;
    with_problem(&case, 0, Some(ProblemCode::RebootCommandNotRunnable)).await?;
    let reports = case.raw_reports();
    let (_, _, last) = reports.last().context("no report")?;
    let report: wire::RebooterReport = observe::wire(last)?;
    let message = report
        .preflight_problem
        .map(|problem| problem.message)
        .unwrap_or_default();
    expect(
        !message.is_empty() && !report.problem.is_empty(),
        "a text in both fields",
        || format!("{message:?} and {:?}", report.problem),
    )
}

/// The command vanishes, and comes back.
async fn problem_passes(stage: &Stage) -> Result<()> {
    let case = with_script(Setup::new(stage)?)?.start()?;
    with_problem(&case, 0, None).await?;
    let from = case.now().await?;
    let (script, aside) = (case.path("sbin/reboot"), case.path("sbin/aside"));
    fs::rename(&script, &aside)?;
    with_problem(&case, from, Some(ProblemCode::RebootCommandNotRunnable)).await?;
    let from = case.now().await?;
    fs::rename(&aside, &script)?;
    with_problem(&case, from, None).await
}

/// The bucket has the first report, and its acknowledgement does not arrive.
async fn lost_ack(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?.set(setting::REFRESH_INTERVAL, "300s");
    setup.way.set(Way::Late(Duration::from_millis(700)));
    let case = setup.start()?;
    report(&case, "a report", 0, |_| Some(())).await?;
    // The acknowledgement is under way now.
    case.way.close_connections();
    let from = case.now().await?;
    case.way.set(Way::Open);
    let again = case.report::<RebooterReport, ()>("the same report again", from, SOON + LATE, |_| Some(()));
    again.await.map(drop)
}

/// The boot changes under the process.
async fn boot_changes(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let boot = "44444444-4444-4444-8444-444444444444";
    fs::write(case.path("proc/sys/kernel/random/boot_id"), format!("{boot}\n"))?;
    report(&case, "a report of the other boot", 0, |report| {
        (report.boot_id.as_str() == boot).then_some(())
    })
    .await
    .map(drop)
}

/// The host ignores the call.
async fn called_already(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.ordered(|_| ()).await?;
    case.called(1).await?;
    with_problem(&case, 0, Some(ProblemCode::RebootAlreadyCalled)).await
}

/// The host ignores the call; the restarted process calls once more, as the record still orders.
async fn restarted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.ordered(|_| ()).await?;
    case.called(1).await?;
    with_problem(&case, 0, Some(ProblemCode::RebootAlreadyCalled)).await?;
    case.service.process.restart()?;
    case.called(2).await?;
    case.never_more_than(2).await
}

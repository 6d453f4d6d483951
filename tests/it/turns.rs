//! Evictions in turns, on real budgets: a blocked drain costs few requests, disturbs no other pod, and notices room at once.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{BlockerKind, Phase, attribute, span};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use rig::service::Service;
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::{NAMESPACE, Workload};
use rig::world::{World, WorldOptions};
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};

/// Shorter than the time between two tries of a blocked budget.
const WHILE: Duration = Duration::from_secs(5);

/// The answers of the API server to all evictions of a drainer, by kind.
async fn evictions(drainer: &Service, answer: &str) -> Result<f64> {
    let name = format!("bellwether_drainer_evictions_total{{answer=\"{answer}\"}}");
    // Before the first answer of a kind there is no such metric.
    Ok(drainer.metric(&name).await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_drain_costs_few_requests_disturbs_no_other_pod_and_continues_once_the_budget_has_room() -> Result<()>
{
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    let host = world.host(0)?;
    // Three pods of one budget without room, and two of none.
    let db = Workload::new("db").on_node(host.name()).replicas(3);
    world.create(&db.deployment()?).await?;
    world.create(&db.min_available(3)?).await?;
    let free = Workload::new("free").on_node(host.name()).replicas(2);
    world.create(&free.deployment()?).await?;
    world.wait_ready_pods("db", 3).await?;
    world.wait_ready_pods("free", 2).await?;
    let pods: Api<Pod> = Api::namespaced(world.client(), NAMESPACE);
    let uids = async |app: &str| -> Result<BTreeSet<Option<String>>> {
        let pods = pods.list(&ListParams::default().labels(&format!("app={app}"))).await?;
        Ok(pods.iter().map(ResourceExt::uid).collect())
    };
    let (before_db, before_free) = (uids("db").await?, uids("free").await?);
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set("BELLWETHER_DRAIN_TIMEOUT", "10m");
    let fleet = Fleet::start_in(world, options).await?;
    let drainer = fleet.services.drainers.first().context("a drainer")?;
    host.upgrade_kernel("6.12.48")?;
    fleet.in_phase(host.name(), Phase::Draining).await?;
    wait::until("the first try", DEADLINE, async || {
        let tries = evictions(drainer, "BudgetBlocked").await?;
        ensure!(tries > 0.0, "{tries} tries");
        Ok(())
    })
    .await?;
    wait::steadily("one try, and no other pod is evicted", WHILE, async || {
        let tries = evictions(drainer, "BudgetBlocked").await?;
        Ok(tries <= 1.0 && uids("free").await? == before_free && uids("db").await? == before_db)
    })
    .await?;
    let words = [
        "3 wait for the disruption budget default/db (3 of 3 healthy, 3 have to be)",
        "2 wait for their turn",
        "wait until each budget of the node has let a pod go",
    ];
    fleet.explained(host.name(), &words).await?;
    let blocked_seconds = "bellwether_drainer_budget_blocked_seconds_total{namespace=\"default\",budget=\"db\"}";
    wait::until("the figures of the blocked drain", DEADLINE, async || {
        let left = drainer
            .metric("bellwether_drainer_pods_left{reason=\"Budget\"}")
            .await?;
        let seconds = drainer.metric(blocked_seconds).await?;
        ensure!(
            left.total_cmp(&3.0).is_eq() && seconds > 0.0,
            "{left} pods, {seconds} s"
        );
        Ok(())
    })
    .await?;

    let budgets: Api<PodDisruptionBudget> = Api::namespaced(fleet.world.client(), NAMESPACE);
    let room = json!({ "spec": { "minAvailable": 2 } });
    budgets
        .patch("db", &PatchParams::default(), &Patch::Merge(room))
        .await?;
    // Half a minute has not passed since the first try: the watch has shown the room.
    wait::until("the first pod of the budget to go", WHILE * 2, async || {
        ensure!(uids("db").await? != before_db, "no pod has gone");
        Ok(())
    })
    .await?;
    // Its successors find no other node, so the budget has no room for the next one.
    wait::until("the pods without a budget to go", DEADLINE, async || {
        let now = uids("free").await?;
        ensure!(now.is_disjoint(&before_free), "{now:?}");
        Ok(())
    })
    .await?;
    let none = json!({ "spec": { "minAvailable": 0 } });
    budgets
        .patch("db", &PatchParams::default(), &Patch::Merge(none))
        .await?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    let accepted = evictions(drainer, "Accepted").await?;
    let blocked = evictions(drainer, "BudgetBlocked").await?;
    ensure!(
        accepted.total_cmp(&5.0).is_eq() && blocked <= 3.0,
        "{accepted} accepted, {blocked} blocked"
    );
    // D51: what the drain has met is known after its end.
    let attempt = fleet.attempt(host.name()).await?.context("an attempt")?;
    let report = attempt.drain_report.context("a report")?;
    let names: Vec<&str> = report.budgets.iter().map(|budget| budget.budget.as_str()).collect();
    ensure!(
        report.pods_gone == 5 && report.pods_left == 0 && names == ["db"],
        "{report:?}"
    );
    fleet
        .explained(host.name(), &["Blocked by:", "disruption budget default/db for "])
        .await?;
    let left = drainer
        .metric("bellwether_drainer_pods_left{reason=\"Budget\"}")
        .await?;
    ensure!(left.total_cmp(&0.0).is_eq(), "{left} pods after the end");
    let trace = attempt.trace.to_string();
    let trace = trace.split('-').nth(1).context("a trace id")?;
    wait::until("a span of each pod that the budget kept", DEADLINE, async || {
        let spans = fleet.world.traces.trace(trace);
        let kept = spans.iter().filter(|found| {
            let of = |name, value| found.attributes.get(name).is_some_and(|it| it == value);
            found.name == span::DRAIN_POD
                && of(attribute::BUDGET, "db")
                && of(attribute::BLOCKER, BlockerKind::Budget.as_str())
                && of(attribute::BUDGET_EXPECTED, "3")
        });
        ensure!(kept.count() == 3, "{}", fleet.world.traces.tree(trace));
        Ok(())
    })
    .await?;
    fleet.finish()
}

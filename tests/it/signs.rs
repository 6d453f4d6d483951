//! What `kubectl describe node` shows: one Event for each step of an attempt, whatever happens to the scheduler, and no step
//! that waits for an Event.

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::Phase;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use rig::services::ServicesOptions;
use rig::wait;
use rig::world::World;
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};
use crate::traces;

/// The reasons of an attempt that goes well, in their order.
const WELL: [&str; 4] = ["RebootAdmitted", "Drained", "RebootOrdered", "BackInService"];

/// Our Events about a node, oldest first.
async fn events(fleet: &Fleet, node: &str) -> Result<Vec<Event>> {
    let ours = ListParams::default().fields("reportingController=bellwether.dev/scheduler");
    let found = Api::<Event>::all(fleet.world.client()).list(&ours).await?.items;
    let of_node = |event: &Event| event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(node);
    let mut found: Vec<Event> = found.into_iter().filter(of_node).collect();
    found.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
    Ok(found)
}

async fn reasons(fleet: &Fleet, node: &str) -> Result<Vec<String>> {
    let reasons = events(fleet, node).await?.into_iter().map(|event| event.reason);
    Ok(reasons.map(Option::unwrap_or_default).collect())
}

/// Waits until a node has these Events and no others.
async fn has_events(fleet: &Fleet, node: &str, expected: &[&str]) -> Result<()> {
    let expected = expected.iter().map(ToString::to_string).collect();
    wait::until_equal("the Events of the node", DEADLINE, expected, async || {
        reasons(fleet, node).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_a_reboot_is_one_event_though_the_scheduler_is_killed_in_each() -> Result<()> {
    let mut fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let host = fleet.world.host(0)?;
    let phases = [
        Phase::Draining,
        Phase::Rebooting,
        Phase::Uncordoning,
        Phase::Soaking,
        Phase::Done,
    ];
    host.upgrade_kernel("6.12.48")?;
    for phase in phases {
        fleet.kill_leader_entering(phase).await?;
    }
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    has_events(&fleet, host.name(), &WELL).await?;
    // The last leader has met what the others had written.
    let leader = fleet.services.leader(&fleet.world).await?;
    wait::until("the Events of earlier leaders to be found", DEADLINE, async || {
        let present = leader.sum("bellwether_scheduler_node_events_total", "Present").await?;
        ensure!(present > 0.0, "none was there");
        Ok(())
    })
    .await?;
    assert_eq!(reasons(&fleet, host.name()).await?, WELL);
    let described = fleet
        .world
        .kubectl()?
        .run(&["describe", "node", host.name()], "")
        .await?;
    for words in WELL
        .into_iter()
        .chain(["bellwether.dev/scheduler", "Back in service after"])
    {
        ensure!(described.contains(words), "kubectl shows no {words}: {described}");
    }
    let selector = "--field-selector=reportingComponent=bellwether.dev/scheduler";
    let listed = fleet.world.kubectl()?.run(&["get", "events", selector], "").await?;
    ensure!(WELL.iter().all(|reason| listed.contains(reason)), "{listed}");
    traces::is_whole(&fleet, host.name()).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_drain_is_shown_with_the_budget_and_so_is_its_end_without_a_reboot() -> Result<()> {
    let world = World::start(rig::world::WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    has_events(&fleet, host.name(), &["RebootAdmitted", "DrainStalled"]).await?;
    let blocked = events(&fleet, host.name()).await?.pop().context("an Event")?;
    assert_eq!(blocked.type_.as_deref(), Some("Warning"));
    ensure!(
        blocked.note.as_ref().is_some_and(|note| note.contains("default/stuck")),
        "{blocked:?}"
    );
    host.withdraw_need()?;
    has_events(
        &fleet,
        host.name(),
        &["RebootAdmitted", "DrainStalled", "NeedCleared", "NeedCleared"],
    )
    .await?;
    let actions = events(&fleet, host.name())
        .await?
        .into_iter()
        .filter_map(|event| event.action);
    assert_eq!(actions.collect::<Vec<_>>(), ["Drain", "Drain", "RollBack", "End"]);

    // The scheduler or the drainer, whichever is first, finds that the Node is gone.
    fleet.entering(Phase::Draining).await?;
    host.upgrade_kernel("6.12.49")?;
    fleet.entering(Phase::Draining).await?;
    let nodes = Api::<Node>::all(fleet.world.client());
    nodes.delete(host.name(), &DeleteParams::default()).await?;
    wait::until("the Event of a Node that is gone", DEADLINE, async || {
        let last = reasons(&fleet, host.name()).await?.pop();
        ensure!(last.as_deref() == Some("NodeGone"), "{last:?}");
        Ok(())
    })
    .await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_rights_nodes_reboot_and_one_warning_names_each_right() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let roles = Api::<ClusterRole>::all(fleet.world.client());
    let mut role = roles.get("bellwether-scheduler").await?;
    let rules = role.rules.as_mut().context("rules")?;
    rules.retain(|rule| {
        let mut resources = rule.resources.iter().flatten();
        resources.all(|it| it != "events" && it != "nodes/status")
    });
    roles
        .replace("bellwether-scheduler", &PostParams::default(), &role)
        .await?;
    wait::until("the right to be gone", DEADLINE, async || {
        let scheduler = "--as=system:serviceaccount:bellwether:scheduler";
        let asked = ["auth", "can-i", "create", "events.events.k8s.io", scheduler];
        // kubectl answers a no with a failure.
        ensure!(fleet.world.kubectl()?.run(&asked, "").await.is_err(), "it is there");
        Ok(())
    })
    .await?;
    fleet.upgrade_all()?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;
    let leader = fleet.services.leader(&fleet.world).await?;
    for right in ["`create` on `events` of `events.k8s.io`", "`patch` on `nodes/status`"] {
        assert_eq!(leader.process.output().matches(right).count(), 1, "{right}");
    }
    for host in fleet.world.hosts() {
        assert_eq!(reasons(&fleet, host.name()).await?, Vec::<String>::new());
    }
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_hangs_at_events_delays_no_reboot() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    // A webhook that takes connections and answers none.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let webhook: ValidatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": { "name": "silent" },
        "webhooks": [{
            "name": "silent.example.com",
            "clientConfig": { "url": format!("https://{}/", silent.local_addr()?) },
            "rules": [{
                "apiGroups": ["events.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["events"],
            }],
            "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 30,
        }],
    }))?;
    let webhooks = Api::<ValidatingWebhookConfiguration>::all(fleet.world.client());
    webhooks.create(&PostParams::default(), &webhook).await?;
    wait::until("the webhook to be in force", DEADLINE, async || {
        let trial = fleet.world.kubectl()?;
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": "trial", "namespace": "default" },
            "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Trial", "action": "Trial",
            "reportingController": "example.com/trial", "reportingInstance": "trial",
            "regarding": { "kind": "Node", "name": "trial" },
        });
        let args = ["create", "--dry-run=server", "--request-timeout=2s", "-f", "-"];
        ensure!(trial.run(&args, &event.to_string()).await.is_err(), "it is not");
        Ok(())
    })
    .await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    assert_eq!(
        reasons(&fleet, host.name()).await?,
        Vec::<String>::new(),
        "the webhook answers"
    );
    webhooks.delete("silent", &DeleteParams::default()).await?;
    drop(silent);
    has_events(&fleet, host.name(), &WELL).await?;
    fleet.finish()
}

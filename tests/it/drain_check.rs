//! Whether nodes can be drained, on real budgets of the real API server.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use rig::kubelet::READY_AFTER;
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::{NAMESPACE, Workload};
use rig::world::{World, WorldOptions};
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};

/// What `drain-check` shows of a node: the verdict, and the objects that block.
async fn rehearsed(fleet: &Fleet, node: &str) -> Result<(String, BTreeSet<String>)> {
    let output = fleet.services.ctl(&["drain-check", node, "-o", "json"]).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let forecasts: Value = serde_json::from_slice(&output.stdout).with_context(|| errors.into_owned())?;
    let forecast = forecasts.get(0).context("no forecast")?;
    let verdict = forecast["verdict"].as_str().context("no verdict")?.to_owned();
    ensure!(output.status.success() == (verdict == "Can"), "{forecasts}");
    let findings = forecast["findings"].as_array().context("no findings")?.iter();
    let blocking = findings.filter(|finding| finding["blocks"] == true);
    let objects = blocking.filter_map(|finding| finding["object"].as_str().map(str::to_owned));
    Ok((verdict, objects.collect()))
}

/// The pods of a node that the API server refuses to evict, one by one, each with the object of the refusal as
/// `drain-check` names it.
async fn refused(fleet: &Fleet, node: &str) -> Result<BTreeSet<String>> {
    let pods: Api<Pod> = Api::namespaced(fleet.world.client(), NAMESPACE);
    let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let mut objects = BTreeSet::new();
    for pod in pods.list(&on_node).await? {
        let dry_run = EvictParams {
            post_options: PostParams {
                dry_run: true,
                field_manager: None,
            },
            ..EvictParams::default()
        };
        match pods.evict(&pod.name_any(), &dry_run).await {
            Ok(_) => (),
            Err(kube::Error::Api(status)) if status.message.contains("more than one PodDisruptionBudget") => {
                objects.insert(format!("Pod {NAMESPACE}/{}", pod.name_any()));
            }
            Err(kube::Error::Api(status)) if status.code == 429 => {
                let app = pod.labels().get("app").context("a pod without a label")?;
                objects.insert(format!("PodDisruptionBudget {NAMESPACE}/{app}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(objects)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_forecasts_what_the_api_server_answers_and_touches_nothing() -> Result<()> {
    let options = WorldOptions {
        nodes: 4,
        ..WorldOptions::default()
    };
    let world = World::start(options).await?;
    let names: Vec<String> = world.hosts().iter().map(|host| host.name().to_owned()).collect();
    // Of node 1 a budget that never allows an eviction, of node 2 a pod with two budgets, of node 3 a budget whose other
    // pod is not healthy; node 4 is free.
    world.block_drain(0).await?;
    let twice = Workload::new("twice").on_node(&names[1]);
    world.create(&twice.deployment()?).await?;
    world.create(&twice.max_unavailable(1)?).await?;
    let mut second = twice.max_unavailable(1)?;
    second.metadata.name = Some("twice-again".to_owned());
    world.create(&second).await?;
    let healthy = Workload::new("half").on_node(&names[2]);
    let never_ready = healthy.clone().annotate(READY_AFTER, "3600s");
    world.create(&healthy.deployment()?).await?;
    let mut other = never_ready.deployment()?;
    other.metadata.name = Some("half-sick".to_owned());
    world.create(&other).await?;
    world.create(&healthy.max_unavailable(1)?).await?;
    let free = Workload::new("free").on_node(&names[3]).replicas(2);
    world.create(&free.deployment()?).await?;
    world.create(&free.max_unavailable(1)?).await?;
    world.wait_ready_pods("free", 2).await?;
    world.wait_ready_pods("twice", 1).await?;
    world.wait_ready_pods("half", 1).await?;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(world.client(), NAMESPACE);
    wait::until("the budgets to count their pods", DEADLINE, async || {
        let half = budgets.get_status("half").await?.status.unwrap_or_default();
        ensure!((half.expected_pods, half.disruptions_allowed) == (2, 0), "{half:?}");
        let free = budgets.get_status("free").await?.status.unwrap_or_default();
        ensure!(free.disruptions_allowed == 1, "{free:?}");
        Ok(())
    })
    .await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    fleet.services.leader(&fleet.world).await?;
    for (name, verdict) in names.iter().zip(["Cannot", "Cannot", "NotNow", "Can"]) {
        let rehearsed = rehearsed(&fleet, name).await?;
        assert_eq!(rehearsed.0, verdict, "{name}: {rehearsed:?}");
        assert_eq!(rehearsed.1, refused(&fleet, name).await?, "{name}");
    }
    let all = fleet.services.ctl(&["drain-check", "--all"]).await?;
    let text = String::from_utf8_lossy(&all.stdout).into_owned();
    for part in [
        "never allows an eviction (1 of 1 pods are healthy, and 1 have to be)",
        "default/twice-again",
        "1 of 2 pods are healthy, and 1 have to be",
        "its 2 pods on this node go in turns",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(all.status.code(), Some(1));
    assert!(fleet.nodes.cordon_order().is_empty(), "a rehearsal touches no node");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_drainer_a_rehearsal_states_that_none_answers() -> Result<()> {
    let options = ServicesOptions {
        drainers: 0,
        ..ServicesOptions::default()
    };
    let fleet = Fleet::start(1, options).await?;
    fleet.services.leader(&fleet.world).await?;
    let name = fleet.world.host(0)?.name().to_owned();
    let output = fleet.services.ctl(&["drain-check", &name]).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("unknown") && text.contains("no drainer has answered"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_pods_cannot_all_go_takes_no_slot_and_loses_no_pod() -> Result<()> {
    let options = WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    };
    let world = World::start(options).await?;
    world.block_drain(0).await?;
    let [blocked, other] = [world.host(0)?, world.host(1)?];
    let free = Workload::new("free").on_node(blocked.name()).replicas(2);
    world.create(&free.deployment()?).await?;
    world.wait_ready_pods("free", 2).await?;
    let pods: Api<Pod> = Api::namespaced(world.client(), NAMESPACE);
    let free_pods = async || -> Result<BTreeSet<Option<String>>> {
        let pods = pods.list(&ListParams::default().labels("app=free")).await?;
        Ok(pods.iter().map(ResourceExt::uid).collect())
    };
    let before = free_pods().await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    blocked.upgrade_kernel("6.12.48")?;
    let words = [
        "DrainBlocked",
        "PodDisruptionBudget default/stuck never allows an eviction",
    ];
    fleet.explained(blocked.name(), &words).await?;
    other.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(&other)).await?;
    assert_eq!(fleet.nodes.cordons(blocked.name()), 0);
    assert_eq!(free_pods().await?, before, "no pod is evicted for nothing");

    // The owner corrects the budget, and the operator looks: the scheduler acts on the same answer.
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(fleet.world.client(), NAMESPACE);
    budgets.delete("stuck", &DeleteParams::default()).await?;
    wait::until("the node to be drainable", DEADLINE, async || {
        fleet.services.ctl_ok(&["drain-check", blocked.name()]).await
    })
    .await?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_share_a_budget_are_not_taken_together_while_another_one_can_go() -> Result<()> {
    const PAIR: &str = "rig.bellwether.dev/pair";
    let options = WorldOptions {
        nodes: 3,
        ..WorldOptions::default()
    };
    let world = World::start(options).await?;
    let hosts = world.hosts();
    let nodes: Api<Node> = Api::all(world.client());
    for host in hosts.iter().take(2) {
        let label = json!({ "metadata": { "labels": { PAIR: "yes" } } });
        nodes
            .patch(host.name(), &PatchParams::default(), &Patch::Merge(label))
            .await?;
    }
    // One pod on each of the two; the pod that goes is back only with its node.
    let web = Workload::new("web")
        .replicas(2)
        .one_per_node()
        .spec("nodeSelector", json!({ PAIR: "yes" }));
    world.create(&web.deployment()?).await?;
    world.create(&web.max_unavailable(1)?).await?;
    world.wait_ready_pods("web", 2).await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default().set("BELLWETHER_SLOTS", "2")).await?;
    fleet.services.leader(&fleet.world).await?;
    fleet.services.ctl_ok(&["pause"]).await?;
    for host in &hosts {
        host.upgrade_kernel("6.12.48")?;
        fleet.explained(host.name(), &["Paused"]).await?;
    }
    fleet.services.ctl_ok(&["resume"]).await?;
    let words = ["DrainNotNow", "PodDisruptionBudget default/web"];
    fleet.explained(hosts[1].name(), &words).await?;
    fleet.rebooted_once(&hosts).await?;
    // The other two start at one time, so either may be cordoned first.
    assert_eq!(
        fleet.nodes.cordon_order().last().map(String::as_str),
        Some(hosts[1].name())
    );
    for disrupted in fleet.nodes.disrupted() {
        let of_pair = disrupted.iter().filter(|node| **node != *hosts[2].name()).count();
        ensure!(of_pair <= 1, "both nodes of the budget were disrupted: {disrupted:?}");
    }
    fleet.finish()
}

//! Rivals in the cluster: beside something else that reboots nodes nothing new starts, it is named
//! with the remedy, and nothing of its own is touched.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Phase, mark};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Patch, PostParams};
use kube::{Api, ResourceExt as _};
use rig::record::node_state;
use rig::services::{Services, ServicesOptions};
use rig::wait;
use rig::world::{World, WorldOptions};
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};

/// Long enough for a scheduler to start an attempt that it should not start.
const WHILE: Duration = Duration::from_secs(3);

/// Makes a DaemonSet that has no pods, since none of its images could run here.
async fn install(world: &World, namespace: &str, metadata: Value) -> Result<Api<DaemonSet>> {
    let object: DaemonSet = serde_json::from_value(json!({
        "metadata": metadata,
        "spec": {
            "selector": { "matchLabels": { "app": "rival" } },
            "template": {
                "metadata": { "labels": { "app": "rival" } },
                "spec": {
                    "containers": [{ "name": "rival", "image": "rig.bellwether.dev/rival:1" }],
                    "nodeSelector": { "rig.bellwether.dev/none": "" },
                },
            },
        },
    }))?;
    let daemon_sets: Api<DaemonSet> = Api::namespaced(world.client(), namespace);
    let made = daemon_sets.create(&PostParams::default(), &object).await;
    made.with_context(|| format!("cannot create the DaemonSet {}", object.name_any()))?;
    Ok(daemon_sets)
}

/// Waits until the command prints all of these words.
async fn printed(fleet: &Fleet, question: &[&str], words: &[&str]) -> Result<()> {
    wait::until(
        &format!("{question:?} to be answered with {words:?}"),
        DEADLINE,
        async || {
            let answer = fleet.services.ctl_ok(question).await?;
            ensure!(words.iter().all(|word| answer.contains(word)), "{answer}");
            Ok(())
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_kured_no_node_is_touched_and_its_lock_is_named_until_it_is_gone() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    let lock = json!({ "nodeID": "node-9.rig", "metadata": { "unschedulable": false }, "TTL": 0 });
    let annotations = json!({ "weave.works/kured-node-lock": lock.to_string() });
    let kured = install(
        &world,
        "kube-system",
        json!({ "name": "kured", "annotations": annotations }),
    )
    .await?;
    // All of it is there before the scheduler looks for the first time.
    for host in world.hosts() {
        host.upgrade_kernel("6.12.48")?;
    }
    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    let words = [
        "RivalFound",
        "kube-system/kured",
        "held by node-9.rig",
        "--tolerate-rivals",
    ];
    for host in fleet.world.hosts() {
        printed(&fleet, &["explain", host.name()], &words).await?;
    }
    wait::steadily("no node is touched", WHILE, async || {
        Ok(fleet.nodes.cordon_order().is_empty())
    })
    .await?;
    kured.delete("kured", &Default::default()).await?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_another_bellwether_an_attempt_ends_nothing_starts_and_foreign_marks_stay() -> Result<()> {
    let mut fleet = Fleet::start(3, ServicesOptions::default()).await?;
    let (ours, next, theirs) = (fleet.world.host(0)?, fleet.world.host(1)?, fleet.world.host(2)?);
    ours.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;

    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": "elsewhere" } }))?;
    let namespaces: Api<Namespace> = Api::all(fleet.world.client());
    namespaces.create(&PostParams::default(), &namespace).await?;
    let labels = json!({ "app.kubernetes.io/part-of": "bellwether", "app.kubernetes.io/component": "rebooter" });
    let metadata = json!({ "name": "rebooter", "labels": labels });
    let rebooters = install(&fleet.world, "elsewhere", metadata).await?;
    printed(&fleet, &["status"], &["Nothing new", "elsewhere/rebooter"]).await?;
    let attempt = "0192f0c1-2d3e-7f40-8a51-6b7c8d9e0f12";
    let cordon = json!({
        "metadata": { "annotations": { mark::CORDONED_FOR: attempt } },
        "spec": { "unschedulable": true },
    });
    let nodes: Api<Node> = Api::all(fleet.world.client());
    nodes
        .patch(theirs.name(), &Default::default(), &Patch::Merge(cordon))
        .await?;

    next.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[ours]).await?;
    printed(&fleet, &["explain", next.name()], &["RivalFound", "elsewhere/rebooter"]).await?;
    wait::steadily("the next is not touched, nor their cordon", WHILE, async || {
        let node = fleet.world.node(theirs.name()).await?;
        let marked = node.annotations().get(mark::CORDONED_FOR).map(String::as_str) == Some(attempt);
        Ok(marked && node_state(&node).cordoned && fleet.nodes.cordons(next.name()) == 0)
    })
    .await?;

    // Once the other is gone, its mark is an orphan, which no other controller would remove.
    rebooters.delete("rebooter", &Default::default()).await?;
    wait::eventually("their cordon to be gone", DEADLINE, async || {
        let node = fleet.world.node(theirs.name()).await?;
        Ok(!node.annotations().contains_key(mark::CORDONED_FOR) && !node_state(&node).cordoned)
    })
    .await?;
    fleet.rebooted_once(&[next]).await?;
    assert_eq!(theirs.reboot_orders(), 0);
    fleet.finish()
}

/// What else than nodes a scheduler has to list and watch before anything may start.
const WATCHED: [(&str, &str); 2] = [("apps", "daemonsets"), ("bellwether.dev", "rebootpolicies")];

/// Lets schedulers do just this with one resource, and everything with the others.
async fn grant(world: &World, limited: &str, verbs: &[&str]) -> Result<()> {
    let rule = |(group, resource): (&str, &str)| {
        let verbs = if resource == limited { verbs } else { &["list", "watch"] };
        json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })
    };
    let rules: Vec<Value> = [("", "nodes")].into_iter().chain(WATCHED).map(rule).collect();
    let rules = json!({ "rules": rules });
    let roles: Api<ClusterRole> = Api::all(world.client());
    roles
        .patch("bellwether-scheduler", &Default::default(), &Patch::Merge(rules))
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_may_not_look_for_rivals_or_policies_says_so_and_starts_nothing() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let host = world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    let [(_, first), (_, second)] = WATCHED;
    grant(&world, first, &["get"]).await?;
    let services = Services::launch(&world, ServicesOptions::default()).await?;
    let scheduler = services.schedulers.first().context("a scheduler")?;
    // One of the two rights is not enough, and the one that is missing is named.
    for resource in [first, second] {
        for (granted, missing) in [("get", "cannot list"), ("list", "cannot watch")] {
            grant(&world, resource, &[granted]).await?;
            wait::until(
                &format!("the scheduler to say that it {missing} {resource}"),
                DEADLINE,
                async || {
                    let (status, body) = scheduler.get("/readyz").await?;
                    ensure!(
                        status == 503 && body.contains(missing) && body.contains(resource),
                        "{status} {body}"
                    );
                    Ok(())
                },
            )
            .await?;
            wait::steadily("the node is not touched", WHILE, async || {
                Ok(!node_state(&world.node(host.name()).await?).cordoned)
            })
            .await?;
        }
    }
    grant(&world, "", &[]).await?;
    wait::until_equal("reboots", DEADLINE, 1, async || Ok(host.reboots())).await?;
    drop(services);
    world.finish()
}

//! Volumes of pods that are drained, on a real API server: the test plays the controller that attaches and detaches.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::Phase;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::{NAMESPACE, Workload};
use rig::world::{World, WorldOptions};
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;

/// Longer than a drain of two pods takes, and much shorter than the wait for volumes.
const WHILE: Duration = Duration::from_secs(8);

/// A volume of this claim, attached to this node.
async fn attach(client: &Client, name: &str, claim: &str, node: &str) -> Result<()> {
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "capacity": { "storage": "1Gi" },
            "accessModes": ["ReadWriteOnce"],
            "csi": { "driver": "disk.example.com", "volumeHandle": name },
            "claimRef": { "namespace": NAMESPACE, "name": claim },
        },
    }))?;
    let attachment: VolumeAttachment = serde_json::from_value(json!({
        "metadata": { "name": format!("csi-{name}") },
        "spec": {
            "attacher": "disk.example.com",
            "nodeName": node,
            "source": { "persistentVolumeName": name },
        },
    }))?;
    let params = PostParams::default();
    Api::all(client.clone()).create(&params, &volume).await?;
    Api::all(client.clone()).create(&params, &attachment).await?;
    Ok(())
}

async fn detach(client: &Client, name: &str) -> Result<()> {
    let attachments: Api<VolumeAttachment> = Api::all(client.clone());
    let name = format!("csi-{name}");
    attachments.delete(&name, &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn d36_a_drain_waits_until_the_volumes_of_its_pods_are_detached_and_not_for_those_of_pods_that_stay() -> Result<()>
{
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    let host = world.host(0)?;
    let client = world.client();
    let web = Workload::new("web").on_node(host.name());
    world.create(&web.deployment()?).await?;
    let cache = json!([{ "name": "cache", "ephemeral": { "volumeClaimTemplate": { "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } }, "volumeName": "pv-cache",
    } } } }]);
    // Named, so that the claim of its volume has a name; it stays on the node.
    let agent = Workload::new("agent")
        .annotate("bellwether.dev/stays", "true")
        .spec("nodeName", json!(host.name()))
        .spec("volumes", cache);
    world.create(&agent.bare_pod()?).await?;
    world.wait_ready_pods("web", 1).await?;
    attach(&client, "pv-data", "data-web", host.name()).await?;
    attach(&client, "pv-cache", "agent-cache", host.name()).await?;
    attach(&client, "pv-elsewhere", "other", "another-node").await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    host.upgrade_kernel("6.12.48")?;
    fleet.in_phase(host.name(), Phase::Draining).await?;
    let words = ["volumes are still attached: pv-data of claim default/data-web (disk.example.com)"];
    fleet.explained(host.name(), &words).await?;
    let answer = fleet.services.ctl_ok(&["explain", host.name()]).await?;
    ensure!(
        !answer.contains("pv-cache") && !answer.contains("pv-elsewhere"),
        "{answer}"
    );
    wait::steadily("the drain to wait", WHILE, async || {
        let attempt = fleet.attempt(host.name()).await?.context("an attempt")?;
        Ok(attempt.phase == Phase::Draining)
    })
    .await?;
    detach(&client, "pv-data").await?;
    let message = fleet.drained().await?;
    ensure!(message.is_empty(), "{message}");
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn d36_a_drainer_without_the_right_to_read_attachments_drains_all_the_same_and_says_so() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let host = world.host(0)?;
    attach(&world.client(), "pv-data", "data-web", host.name()).await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    let roles: Api<ClusterRole> = Api::all(fleet.world.client());
    let mut role = roles.get("bellwether-drainer").await?;
    let rules = role.rules.as_mut().context("its rules")?;
    rules.retain(|rule| rule.api_groups != Some(vec!["storage.k8s.io".to_owned()]));
    roles
        .replace("bellwether-drainer", &PostParams::default(), &role)
        .await?;
    // A new watch is refused at once, and counts as forbidden for good after a minute.
    host.upgrade_kernel("6.12.48")?;
    let message = fleet.drained().await?;
    let reason = "whether volumes are still attached is not known: VolumeAttachments cannot be watched: forbidden";
    ensure!(message.starts_with(reason), "{message}");
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}

/// Pods that are Ready and do not end.
fn serves(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let is_ready = conditions
        .unwrap_or_default()
        .iter()
        .any(|it| it.type_ == "Ready" && it.status == "True");
    is_ready && pod.metadata.deletion_timestamp.is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_pods_with_volumes_go_one_after_the_other_by_policy() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let host = world.host(0)?;
    let client = world.client();
    for name in ["one", "two"] {
        let volume = json!([{ "name": "data", "ephemeral": { "volumeClaimTemplate": { "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
            "volumeName": format!("pv-{name}"),
        } } } }]);
        let pod = Workload::new(name)
            .spec("nodeName", json!(host.name()))
            .spec("volumes", volume);
        world.create(&pod.bare_pod()?).await?;
        world.wait_ready_pods(name, 1).await?;
        attach(&client, &format!("pv-{name}"), &format!("{name}-data"), host.name()).await?;
    }
    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    policies::create(&fleet.world, "any", &json!({ "drain": { "volumes": "Serial" } })).await?;
    host.upgrade_kernel("6.12.48")?;
    fleet.in_phase(host.name(), Phase::Draining).await?;
    let left = async || -> Result<Vec<&str>> {
        let mut left = Vec::new();
        for name in ["one", "two"] {
            if !fleet.world.pods(name).await?.is_empty() {
                left.push(name);
            }
        }
        Ok(left)
    };
    let kept = wait::until("one pod to go", DEADLINE, async || {
        let left = left().await?;
        ensure!(left.len() == 1, "{left:?} are left");
        left.first().copied().context("a pod")
    })
    .await?;
    let gone = if kept == "one" { "two" } else { "one" };
    let words = format!("the volumes of pod default/{gone} are still attached");
    fleet.explained(host.name(), &[&words]).await?;
    wait::steadily("the other one to stay", WHILE, async || Ok(left().await? == [kept])).await?;
    detach(&client, &format!("pv-{gone}")).await?;
    wait::until("the other one to go", DEADLINE, async || {
        let left = left().await?;
        ensure!(left.is_empty(), "{left:?} are left");
        Ok(())
    })
    .await?;
    detach(&client, &format!("pv-{kept}")).await?;
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn d35_the_members_of_a_stateful_set_without_a_budget_go_one_at_a_time_by_policy() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 3,
        ..WorldOptions::default()
    })
    .await?;
    // Two or three on each node.
    let db = Workload::new("db").replicas(7);
    world.create(&db.stateful_set()?).await?;
    world.wait_ready_pods("db", 7).await?;
    let options = ServicesOptions::default().set("BELLWETHER_SLOTS", "2");
    let fleet = Fleet::start_in(world, options).await?;
    policies::create(
        &fleet.world,
        "any",
        &json!({ "drain": { "statefulSets": "OneAtATime" } }),
    )
    .await?;
    fleet.upgrade_all()?;
    let hosts = fleet.world.hosts();
    let mut least = 7;
    wait::until("all nodes to be rebooted", DEADLINE * 2, async || {
        let pods = fleet.world.pods("db").await?;
        least = least.min(pods.iter().filter(|pod| serves(pod)).count());
        for host in &hosts {
            ensure!(
                host.reboots() == 1,
                "{} has rebooted {} times",
                host.name(),
                host.reboots()
            );
        }
        Ok(())
    })
    .await?;
    ensure!(least == 6, "at least {least} members served at any time");
    fleet.rebooted_once(&hosts).await?;
    fleet.finish()
}

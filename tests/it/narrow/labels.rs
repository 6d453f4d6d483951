//! Labels and annotations as kured has them, under `narrow-rights`: they come with the cordon and go with its end.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{mark, setting};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use rig::services::ServicesOptions;
use rig::wait;
use rig::world::WorldOptions;
use serde_json::json;

use super::{NODES, client, code, merge, patched, world};
use crate::fleet::{DEADLINE, Fleet};

const IN_PROGRESS: &str = "weave.works/kured-reboot-in-progress";
const MOST_RECENT: &str = "weave.works/kured-most-recent-reboot-needed";

/// Waits until a node has these labels and annotations; none: it lacks one.
async fn has(fleet: &Fleet, node: &str, wanted: [(&str, Option<&str>); 2], is_in_progress: bool) -> Result<()> {
    wait::until("the marks of the node", DEADLINE, async || {
        let node = fleet.world.node(node).await?;
        for (key, value) in wanted {
            ensure!(
                node.labels().get(key).map(String::as_str) == value,
                "{:?}",
                node.labels()
            );
        }
        let annotations = node.annotations();
        ensure!(
            annotations.contains_key(IN_PROGRESS) == is_in_progress,
            "{annotations:?}"
        );
        ensure!(annotations.contains_key(MOST_RECENT), "{annotations:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_annotations_of_kured_come_with_the_cordon_and_go_with_its_end() -> Result<()> {
    let world = world(WorldOptions::default()).await?;
    let drainer = client(&world, "drainer").await?;
    let policies = Api::<ValidatingAdmissionPolicy>::all(world.client());
    // As deploy/README.md has operators do by their overlay.
    let keys =
        json!([{ "op": "replace", "path": "/spec/variables/0/expression", "value": "['phase', 'busy', 'state']" }]);
    let patch = Patch::Json::<()>(serde_json::from_value(keys)?);
    policies.patch(NODES, &PatchParams::default(), &patch).await?;
    let first = world.host(0)?.name().to_owned();
    wait::until("the policy with the labels to be in force", DEADLINE, async || {
        let label = merge(json!({ "metadata": { "labels": { "phase": "trial" } } }));
        let answer = code(patched(&drainer, &first, &label, true).await?);
        ensure!(answer == 200, "{answer}");
        Ok(())
    })
    .await?;
    let other = merge(json!({ "metadata": { "labels": { "team": "trial" } } }));
    assert_eq!(code(patched(&drainer, &first, &other, true).await?), 403);
    world.block_drain(0).await?;
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set(setting::DRAINER_PRE_REBOOT_NODE_LABELS, "phase=rebooting,busy=yes")
        .set(setting::DRAINER_POST_REBOOT_NODE_LABELS, "phase=rebooted")
        .set(setting::DRAINER_ANNOTATE_NODES, "true");
    let fleet = Fleet::start_in(world, options).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    has(
        &fleet,
        host.name(),
        [("phase", Some("rebooting")), ("busy", Some("yes"))],
        true,
    )
    .await?;
    let list = fleet.world.node(host.name()).await?;
    let list = list.annotations().get(mark::MARKED_WITH).context("the list")?.clone();
    assert_eq!(list, format!("busy,phase,{IN_PROGRESS}"));
    // Other labels from now on: the end of the cordon takes away what came with it.
    for drainer in &fleet.services.drainers {
        drainer.process.reconfigure(|program| {
            let labels = (setting::DRAINER_PRE_REBOOT_NODE_LABELS, "state=down");
            program.env.extend([(labels.0.to_owned(), labels.1.to_owned())]);
        });
        drainer.process.restart()?;
        drainer.wait_ready().await?;
    }
    // Without a reboot no label may state one.
    fleet
        .services
        .ctl_ok(&["cancel", host.name(), "--reason", "a test"])
        .await?;
    has(
        &fleet,
        host.name(),
        [("phase", Some("rebooted")), ("busy", None)],
        false,
    )
    .await?;

    let node = fleet.world.node(host.name()).await?;
    assert!(!node.annotations().contains_key(mark::MARKED_WITH), "{node:?}");

    let second = fleet.world.host(1)?;
    second.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(&second)).await?;
    has(
        &fleet,
        second.name(),
        [("phase", Some("rebooted")), ("state", None)],
        false,
    )
    .await?;
    let node = fleet.world.node(second.name()).await?;
    let at = node.annotations().get(MOST_RECENT).context("the annotation")?;
    at.parse::<jiff::Timestamp>()?;
    fleet.finish()
}

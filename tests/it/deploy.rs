//! The deploy folder against a real API server: each overlay and each component is applied as its
//! users would, is what it was afterwards, and its pods are admitted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{ListParams, PostParams};
use rig::services::{AGENTS, NAMESPACE};
use rig::tools;
use rig::wait;
use rig::world::{World, WorldOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fleet::DEADLINE;
use crate::settings::Settings;
use crate::{network, rights};

/// All that a component may leave behind for the next one; their namespaces stay.
const KINDS: &str = "deployments,daemonsets,statefulsets,networkpolicies,poddisruptionbudgets,configmaps";

/// Merging by the server, which takes over the fields of a client-side apply.
const BY_THE_SERVER: [&str; 2] = ["--server-side", "--force-conflicts"];

/// The same, and nothing stays.
const ON_TRIAL: [&str; 3] = [BY_THE_SERVER[0], BY_THE_SERVER[1], "--dry-run=server"];

/// Pages that show overlays to paste, whole ones and snippets of one.
const PAGES: [&str; 8] = [
    "deploy/README.md",
    "deploy/snippets.md",
    "docs/install.md",
    "docs/probes.md",
    "docs/aks.md",
    "docs/replace.md",
    "docs/tracing.md",
    "docs/notifications.md",
];

/// The overlay below a snippet: an overlay that has NATS and metrics.
const BELOW_A_SNIPPET: &str = "\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../../overlays/production
";

#[tokio::test(flavor = "multi_thread")]
async fn every_overlay_and_component_is_taken_and_comes_to_rest() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        // Nothing is there yet, as on a user's cluster.
        deploy: PathBuf::new(),
        ..WorldOptions::default()
    })
    .await?;
    let kubectl = world.kubectl()?;
    let crds = tools::tool("prometheus-operator-crds.yaml")?;
    kubectl.run(&["create", "-f", &crds.to_string_lossy()], "").await?;
    kubectl
        .run(&["wait", "--for=condition=Established", "crd", "--all"], "")
        .await?;
    let known = Settings::known()?;

    // One over the other, as a user who tries one and settles on another.
    let overlays = folders("overlays")?;
    for overlay in &overlays {
        taken(&world, overlay, &[]).await?;
        taken(&world, overlay, &BY_THE_SERVER).await?;
        known.check(&world).await?;
    }
    let last = overlays.last().context("an overlay")?;
    let diff = kubectl.diff(last, &[]).await?;
    ensure!(
        diff.is_empty(),
        "applied by the server, compared by the client:\n{diff}"
    );

    let all_of_it = ["delete", KINDS, "-A", "-l", "app.kubernetes.io/part-of=bellwether"];
    // On a cluster with nothing but the namespaces: some fields of existing objects cannot be changed.
    kubectl.run(&all_of_it, "").await?;
    overlays_of_the_pages_are_taken(&world).await?;

    for component in folders("components")? {
        // Each for itself: a policy of another one would open the ways that this one has to open.
        kubectl.run(&all_of_it, "").await?;
        taken(&world, &overlay_with(&world, &component)?, &BY_THE_SERVER).await?;
        known.check(&world).await?;
        network::only_what_is_needed(&world, &component).await?;
    }
    pod_security_is_enforced(&world).await?;
    rights::are_those_of_the_readme(&world).await?;
    world.finish()
}

#[test]
fn another_drainer_is_one_changed_line() -> Result<()> {
    let (ours, swapped) = (render("overlays/quickstart")?, render("overlays/swap-drainer")?);
    assert_eq!(ours.lines().count(), swapped.lines().count());
    let changed: Vec<_> = ours.lines().zip(swapped.lines()).filter(|(a, b)| a != b).collect();
    let [(ours, swapped)] = changed[..] else {
        panic!("not one line: {changed:?}");
    };
    assert_eq!(ours.trim(), "image: bellwether.invalid/drainer:dev");
    assert_eq!(
        swapped.trim(),
        "image: registry.example.com/another-drainer:0.1.0-another"
    );
    Ok(())
}

/// So the one command of deploy/README.md removes all that a NATS in the cluster leaves behind, and no more.
#[test]
fn what_only_a_nats_of_ours_needs_carries_its_label() -> Result<()> {
    let is_of_nats = |object: &str| object.contains("\n    app.kubernetes.io/component: bus\n");
    let without = render("chart/with-nats-existing")?;
    ensure!(!without.split("\n---\n").any(is_of_nats), "nothing else carries it");
    let kept: BTreeSet<_> = without.split("\n---\n").map(id).collect();
    for overlay in ["overlays/quickstart", "overlays/aks"] {
        let all = render(overlay)?;
        let (of_nats, others): (Vec<&str>, Vec<&str>) = all.split("\n---\n").partition(|it| is_of_nats(it));
        assert!(of_nats.len() > 4, "{overlay}: {of_nats:?}");
        let others: BTreeSet<_> = others.into_iter().map(id).collect();
        let left: Vec<_> = others.difference(&kept).collect();
        assert!(left.is_empty(), "{overlay} leaves {left:?}");
    }
    Ok(())
}

#[test]
fn the_nats_that_is_shipped_is_the_one_that_is_tested() -> Result<()> {
    let read = |file: &str| fs::read_to_string(tools::repository().join(file));
    let after = |text: &str, key: &str| {
        let rest = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(key).map(str::to_owned))?;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    let tested = after(&read("xtask/tools/nats/go.mod")?, "github.com/nats-io/nats-server/v2 v");
    let tested = tested.context("the version in go.mod")?;
    let shipped = after(&read("deploy/components/nats/server/kustomization.yaml")?, "newTag: ");
    let shipped = shipped.context("the tag")?;
    let variant = shipped.strip_prefix(&tested);
    assert!(
        variant.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
        "shipped is {shipped}, tested is {tested}"
    );
    assert!(read("docs/aks.md")?.contains(&format!("nats:{shipped} ")), "{shipped}");
    Ok(())
}

/// The objects that a folder of `deploy` renders.
fn render(folder: &str) -> Result<String> {
    let output = Command::new(tools::tool("kubectl")?)
        .arg("kustomize")
        .arg(tools::repository().join("deploy").join(folder))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Kind, name and namespace of a rendered object. The settings are the same whatever their hash.
fn id(object: &str) -> String {
    let lines = ["kind: ", "  name: ", "  namespace: "].map(|key| {
        let line = object.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        if line.contains("bellwether-settings-") {
            "settings"
        } else {
            line
        }
    });
    lines.concat()
}

/// The API server takes each overlay and snippet that the pages show, and each has an effect.
async fn overlays_of_the_pages_are_taken(world: &World) -> Result<()> {
    let kubectl = world.kubectl()?;
    let below = kubectl.render(&overlay(world, BELOW_A_SNIPPET)?).await?;
    for page in PAGES {
        let text = fs::read_to_string(tools::repository().join(page))?;
        // After that come values of the chart, which `cargo xtask chart` tries.
        let text = text.split("\n## With Helm\n").next().unwrap_or_default();
        let blocks = text.split("\n```yaml\n").skip(1);
        let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
        ensure!(!blocks.is_empty(), "{page} shows nothing");
        for block in blocks {
            let whole = block.contains("kind: Kustomization");
            let folder = overlay(
                world,
                &if whole {
                    block.to_owned()
                } else {
                    format!("{BELOW_A_SNIPPET}{block}")
                },
            )?;
            let taken = async {
                ensure!(kubectl.render(&folder).await? != below, "it changes nothing");
                kubectl.apply(&folder, &ON_TRIAL).await
            };
            taken.await.with_context(|| format!("{page} shows\n{block}"))?;
        }
    }
    Ok(())
}

/// Applies a folder and makes sure that another apply would change nothing and that all pods are
/// made, which they are only if all admission plugins let them pass.
async fn taken(world: &World, folder: &Path, flags: &[&str]) -> Result<()> {
    let kubectl = world.kubectl()?;
    let shown = folder.display();
    kubectl.apply(folder, flags).await?;
    let diff = kubectl.diff(folder, flags).await?;
    ensure!(
        diff.is_empty(),
        "another apply of {shown} {flags:?} would change:\n{diff}"
    );
    wait::until(&format!("the pods of {shown}"), DEADLINE, async || {
        let missing = missing_pods(world).await?;
        ensure!(
            missing.is_empty(),
            "{missing:?}, because of {:?}",
            refused(world).await?
        );
        Ok(())
    })
    .await
}

/// Workloads whose pods are not all made.
async fn missing_pods(world: &World) -> Result<Vec<String>> {
    let mut missing = incomplete::<Deployment>(world, "/spec/replicas", "/status/updatedReplicas").await?;
    let wanted = "/status/desiredNumberScheduled";
    missing.extend(incomplete::<DaemonSet>(world, wanted, "/status/updatedNumberScheduled").await?);
    // Its newest pods wait for volumes, which the rig does not have: that they are made is enough.
    missing.extend(incomplete::<StatefulSet>(world, "/spec/replicas", "/status/replicas").await?);
    Ok(missing)
}

/// Workloads of one kind whose number of pods, at the second place, is not the one at the first.
async fn incomplete<K>(world: &World, wanted: &str, made: &str) -> Result<Vec<String>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let mut incomplete = vec![];
    for object in Api::<K>::all(world.client()).list(&ListParams::default()).await? {
        let object = serde_json::to_value(object)?;
        let number = |place| object.pointer(place).and_then(Value::as_u64).unwrap_or(0);
        let is_current = object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
        if !is_current || number(made) == 0 || number(made) != number(wanted) {
            let shown = |place| object.pointer(place).unwrap_or(&Value::Null);
            incomplete.push(format!(
                "{} {}: {}",
                K::kind(&()),
                shown("/metadata/name"),
                shown("/status")
            ));
        }
    }
    Ok(incomplete)
}

/// The events of controllers about pods that they could not make.
async fn refused(world: &World) -> Result<Vec<String>> {
    let events: Api<Event> = Api::all(world.client());
    let refused = events
        .list(&ListParams::default().fields("reason=FailedCreate"))
        .await?;
    Ok(refused.items.into_iter().filter_map(|event| event.message).collect())
}

/// The folders with a kustomization in a folder of `deploy`, in the order of their names.
fn folders(of: &str) -> Result<Vec<PathBuf>> {
    let mut folders = vec![];
    for entry in fs::read_dir(tools::repository().join("deploy").join(of))? {
        folders.push(entry?.path());
    }
    folders.sort();
    ensure!(folders.len() > 1, "deploy/{of} is empty");
    Ok(folders)
}

/// An overlay of the base and one component.
fn overlay_with(world: &World, component: &Path) -> Result<PathBuf> {
    let component = component.file_name().context("a name")?.to_string_lossy();
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../base]\n\
         components: [../../components/{component}]\n"
    );
    overlay(world, &text)
}

/// Writes an overlay into the world's own folder. It names folders of `deploy`, as an overlay in
/// there or in a repository beside this one would name them.
pub(crate) fn overlay(world: &World, text: &str) -> Result<PathBuf> {
    let folder = world.place.folder("overlay")?.canonicalize()?;
    // kustomize takes relative paths only.
    let up = "../".repeat(folder.components().count() - 1);
    let deploy = tools::repository().canonicalize()?.join("deploy");
    let deploy = format!("{up}{}/", deploy.display().to_string().trim_start_matches('/'));
    let named = text
        .split("../bellwether/deploy/")
        .flat_map(|part| part.split("../../"));
    let text = named.collect::<Vec<_>>().join(&deploy);
    fs::write(folder.join("kustomization.yaml"), text)?;
    Ok(folder)
}

/// Pods that the levels of the two namespaces forbid are refused by name of the level.
async fn pod_security_is_enforced(world: &World) -> Result<()> {
    let host = json!([{ "name": "host", "hostPath": { "path": "/" } }]);
    let plain = json!([{ "name": "app", "image": "app" }]);
    let privileged = json!([{ "name": "app", "image": "app", "securityContext": { "privileged": true } }]);
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for (containers, volumes) in [(plain.clone(), json!([])), (plain, host), (privileged, json!([]))] {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "stranger" },
            "spec": { "containers": containers, "volumes": volumes },
        }))?;
        let refused = Api::<Pod>::namespaced(world.client(), NAMESPACE)
            .create(&params, &pod)
            .await;
        let refused = refused.err().context("the pod was admitted")?.to_string();
        assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
        Api::<Pod>::namespaced(world.client(), AGENTS)
            .create(&params, &pod)
            .await?;
    }
    Ok(())
}

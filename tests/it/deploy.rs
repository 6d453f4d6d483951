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
use rig::services::NAMESPACE;
use rig::tools;
use rig::wait;
use rig::world::{World, WorldOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};
use crate::settings::Settings;
use crate::{network, rights};

/// The namespace of the two agents.
pub(crate) const AGENTS: &str = "bellwether-agents";

/// All that a component may leave behind for the next one; their namespaces stay.
const KINDS: &str = "deployments,daemonsets,statefulsets,networkpolicies,poddisruptionbudgets,configmaps";

/// Merging by the server; what a client-side apply has set before is taken over.
const BY_THE_SERVER: [&str; 2] = ["--server-side", "--force-conflicts"];

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
    ensure!(diff.is_empty(), "applied by the server, seen by the client:\n{diff}");

    for component in folders("components")? {
        // Each for itself: a policy of another one would open what this one has to open.
        kubectl
            .run(
                &["delete", KINDS, "-A", "-l", "app.kubernetes.io/part-of=bellwether"],
                "",
            )
            .await?;
        taken(&world, &overlay_with(&world, &component)?, &BY_THE_SERVER).await?;
        known.check(&world).await?;
        network::only_what_is_needed(&world, &component).await?;
    }
    pod_security_is_enforced(&world).await?;
    rights::are_those_of_the_readme(&world).await?;
    world.finish()
}

#[tokio::test]
async fn another_drainer_is_one_changed_line() -> Result<()> {
    let render = |overlay: &str| {
        let folder = tools::repository().join("deploy/overlays").join(overlay);
        let output = Command::new(tools::tool("kubectl")?)
            .arg("kustomize")
            .arg(&folder)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let (ours, swapped) = (render("quickstart")?, render("swap-drainer")?);
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

#[test]
fn nats_understands_its_configuration() -> Result<()> {
    for component in ["nats", "nats-cluster"] {
        let file = tools::repository()
            .join("deploy/components")
            .join(component)
            .join("nats.conf");
        let mut server = Command::new(tools::tool("nats-server")?);
        let output = server
            .arg("-t")
            .arg("-c")
            .arg(&file)
            .env("POD_NAME", "nats-0")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("is valid"),
            "{component}: {said}"
        );
    }
    Ok(())
}

/// Every metric that an alert reads is one that a service shows once it has done its work. Called
/// by a story in which that is so.
pub(crate) async fn alerts_read_what_is_there(fleet: &Fleet) -> Result<()> {
    let file = tools::repository().join("deploy/components/metrics/alerts.yaml");
    let text = fs::read_to_string(&file)?;
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let read: BTreeSet<&str> = words.filter(|word| word.starts_with("bellwether_")).collect();
    assert!(read.len() > 5, "{read:?}");
    let mut shown = String::new();
    for service in fleet.services.schedulers.iter().chain(&fleet.services.drainers) {
        shown += &service.metrics().await?;
    }
    for metric in read {
        let mut names = shown.lines().filter_map(|line| line.split(['{', ' ']).next());
        assert!(names.any(|name| name == metric), "no service shows {metric}:\n{shown}");
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
        let seen = object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
        if !seen || number(made) == 0 || number(made) != number(wanted) {
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

/// What controllers say of pods that they could not make.
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

/// An overlay of the base and one component, in the world's own folder.
fn overlay_with(world: &World, component: &Path) -> Result<PathBuf> {
    let folder = world.place.folder("overlay")?.canonicalize()?;
    // kustomize takes relative paths only.
    let up = "../".repeat(folder.components().count() - 1);
    let relative = |path: &Path| format!("{up}{}", path.display().to_string().trim_start_matches('/'));
    let deploy = tools::repository().canonicalize()?.join("deploy");
    let component = deploy.join("components").join(component.file_name().context("a name")?);
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [relative(&deploy.join("base"))],
        "components": [relative(&component)],
    });
    fs::write(folder.join("kustomization.yaml"), kustomization.to_string())?;
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

//! The overlays that the test applies: the quickstart, and one for a NATS elsewhere, with the differences of these machines.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rig::place::Place;
use rig::tools;
use rig::vm::seed::REGISTRY;
use serde_json::{Value, json};

/// Two versions of the images, of the same content: only the tag has to change for every pod to be
/// replaced.
pub(crate) const TAGS: [&str; 2] = ["1", "2"];

/// The ClusterIP of NATS in the cluster; `10.96.0.0/16` are those of the rig.
const NATS_IP: &str = "10.96.0.42";

/// A Secret and a directory that [`Overlay::with_mistakes`] mounts and that do not exist.
pub(crate) const ABSENT_SECRET: &str = "bellwether-nats";
pub(crate) const ABSENT_DIRECTORY: &str = "/run/absent";

/// An overlay.
pub(crate) struct Overlay {
    name: &'static str,
    /// The one below, in the deploy folder.
    over: &'static str,
    /// Of our images.
    tag: &'static str,
    nats_url: String,
    resources: Vec<Value>,
    components: Vec<&'static str>,
    patches: Vec<Value>,
}

impl Overlay {
    /// The base with a NATS server that runs elsewhere, and asks for no credentials.
    pub(crate) fn with_nats_at(name: &'static str, port: u16) -> Self {
        Self {
            name,
            over: "chart/with-nats-existing",
            tag: TAGS[0],
            nats_url: format!("nats://{}:{port}", rig::vm::HOST),
            resources: vec![],
            components: vec![],
            patches: vec![],
        }
    }

    /// The quickstart with its own NATS server, whose volume is a folder of this node. A user's
    /// cluster has, and this one has not: names in DNS, so the Service gets a fixed address which
    /// replaces its name in the settings and in the server's certificate; and a provisioner, so the volume is made here.
    pub(crate) fn with_nats_on(name: &'static str, node: &str) -> Self {
        let service = json!([{ "op": "replace", "path": "/spec/clusterIP", "value": NATS_IP }]);
        let certified = json!([{
            "op": "replace",
            "path": "/spec/template/spec/initContainers/0/env/1/value",
            "value": NATS_IP,
        }]);
        let volume = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": "nats" },
            "spec": {
                "capacity": { "storage": "2Gi" },
                "accessModes": ["ReadWriteOnce"],
                "claimRef": { "namespace": "bellwether", "name": "data-nats-0" },
                "local": { "path": "/var/lib/nats" },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{
                    "matchExpressions": [
                        { "key": "kubernetes.io/hostname", "operator": "In", "values": [node] },
                    ],
                }] } },
            },
        });
        Self {
            name,
            over: "overlays/quickstart",
            tag: TAGS[0],
            nats_url: format!("tls://{NATS_IP}:4222"),
            resources: vec![volume],
            components: vec![],
            patches: vec![
                json!({ "target": { "kind": "Service", "name": "nats" }, "patch": service.to_string() }),
                json!({ "target": { "kind": "StatefulSet", "name": "nats" }, "patch": certified.to_string() }),
            ],
        }
    }

    /// The base with a NATS that is not there, a Secret that does not exist, and a directory that
    /// the hosts do not have.
    pub(crate) fn with_mistakes(name: &'static str) -> Self {
        // No process listens on a port that low.
        let mut overlay = Self::with_nats_at(name, 1);
        let secret = json!([
            {
                "op": "add",
                "path": "/spec/template/spec/volumes/-",
                "value": { "name": "nats", "secret": { "secretName": ABSENT_SECRET } },
            },
            {
                "op": "add",
                "path": "/spec/template/spec/containers/0/volumeMounts/-",
                "value": { "name": "nats", "mountPath": "/etc/bellwether/nats", "readOnly": true },
            },
        ]);
        let directory = json!([{
            "op": "replace",
            "path": "/spec/template/spec/volumes/0/hostPath/path",
            "value": ABSENT_DIRECTORY,
        }]);
        for (agent, patch) in [("sentinel", secret), ("rebooter", directory)] {
            overlay.patches.push(json!({
                "target": { "kind": "DaemonSet", "name": agent },
                "patch": patch.to_string(),
            }));
        }
        overlay
    }

    /// With the next version of our images.
    pub(crate) fn upgraded(mut self) -> Self {
        self.tag = TAGS[1];
        self
    }

    /// With a component.
    pub(crate) fn with_component(mut self, name: &'static str) -> Self {
        self.components.push(name);
        self
    }

    /// With another value of a setting of the agents than the one of its component, which comes after the overlay's own.
    pub(crate) fn with_agent_setting(mut self, name: &str, value: &str) -> Self {
        let setting = json!([{ "op": "add", "path": format!("/data/{name}"), "value": value }]);
        self.patches.push(json!({
            "target": { "kind": "ConfigMap", "name": "bellwether-settings", "namespace": "bellwether-agents" },
            "patch": setting.to_string(),
        }));
        self
    }

    /// With the runtime's default AppArmor profile for the rebooter too.
    pub(crate) fn with_default_apparmor(mut self) -> Self {
        let path = "/spec/template/spec/securityContext/appArmorProfile/type";
        let profile = json!([{ "op": "replace", "path": path, "value": "RuntimeDefault" }]);
        self.patches.push(json!({
            "target": { "kind": "DaemonSet", "name": "rebooter" },
            "patch": profile.to_string(),
        }));
        self
    }

    /// Whether this is an image of a service in the other version than the one of this overlay.
    pub(crate) fn replaces(&self, image: &str) -> Result<bool> {
        let services = services()?;
        let mut others = TAGS.into_iter().filter(|tag| *tag != self.tag);
        Ok(others.any(|tag| services.iter().any(|name| image == format!("{REGISTRY}/{name}:{tag}"))))
    }

    /// Writes it below the rig's folder; returns its folder.
    pub(crate) fn write(&self, place: &Place) -> Result<PathBuf> {
        let folder = place.folder("overlays")?.join(self.name);
        fs::create_dir_all(&folder)?;
        // kustomize wants relative paths.
        let up = "../".repeat(folder.components().count().saturating_sub(1));
        let deploy = tools::repository().join("deploy");
        let deploy = deploy
            .strip_prefix("/")
            .context("a path from the root")?
            .display()
            .to_string();
        let mut resources = vec![format!("{up}{deploy}/{}", self.over)];
        for (number, resource) in self.resources.iter().enumerate() {
            let file = format!("resource-{number}.yaml");
            write(&folder.join(&file), resource)?;
            resources.push(file);
        }
        let image = |of: &str, name: &str, tag: &str| json!({ "name": of, "newName": format!("{REGISTRY}/{name}"), "newTag": tag });
        let mut images = vec![image("nats", "nats", "1")];
        for name in services()? {
            images.push(image(&format!("bellwether.invalid/{name}"), &name, self.tag));
        }
        let component = |name: &&str| format!("{up}{deploy}/components/{name}");
        let components: Vec<_> = self.components.iter().map(component).collect();
        let settings = |namespace: &str| {
            json!({
                "name": "bellwether-settings",
                "namespace": namespace,
                "behavior": "merge",
                "literals": [
                    format!("BELLWETHER_NATS_URL={}", self.nats_url),
                    // Shorter than the defaults: the story waits for each.
                    "BELLWETHER_SOAK=5s".to_owned(),
                    "BELLWETHER_RETRY_DELAY=20s".to_owned(),
                ],
            })
        };
        let kustomization = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": resources,
            "components": components,
            "images": images,
            "configMapGenerator": [settings("bellwether"), settings("bellwether-agents")],
            "patches": self.patches,
        });
        write(&folder.join("kustomization.yaml"), &kustomization)?;
        Ok(folder)
    }
}

/// The folder into which `cargo xtask test node` puts the images.
pub(crate) fn images() -> Result<PathBuf> {
    Ok(tools::target()?.join("node-images"))
}

/// The services that have an image of their own: those for which there is one.
pub(crate) fn services() -> Result<Vec<String>> {
    let folder = images()?;
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut services = vec![];
    for entry in entries {
        let entry = entry?;
        if entry.path().join("oci-layout").is_file() {
            services.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    services.sort();
    ensure!(!services.is_empty(), "{} has no image", folder.display());
    Ok(services)
}

fn write(path: &Path, content: &Value) -> Result<()> {
    fs::write(path, content.to_string()).with_context(|| format!("cannot write {}", path.display()))
}

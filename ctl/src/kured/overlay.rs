//! The settings of services that do what flags of kured did, as a component of kustomize for the overlay of a user.

use anyhow::Context as _;
use serde::Serialize;

use super::place::HOST_ROOT;

/// The settings that differ from Bellwether's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overlay {
    /// Settings of scheduler and drainer, as `NAME=value`.
    scheduler: Vec<String>,
    /// Settings of sentinel and rebooter.
    agents: Vec<String>,
    /// The folder of the sentinel file, which the manifests do not mount.
    pub(crate) sentinel_folder: Option<String>,
    /// The rebooter runs a command instead of asking logind.
    pub(crate) runs_command: bool,
    /// The scheduler asks a Prometheus, which its network policy has to allow.
    pub(crate) asks_prometheus: bool,
}

impl Overlay {
    /// Sets a setting of the scheduler or the drainer.
    pub(crate) fn scheduler(&mut self, setting: &str, value: &str) {
        self.scheduler.push(format!("{setting}={value}"));
    }

    /// Sets a setting of the agents.
    pub(crate) fn agents(&mut self, setting: &str, value: &str) {
        self.agents.push(format!("{setting}={value}"));
    }

    /// Whether the defaults of Bellwether do the same.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The component, as a file `kustomization.yaml`.
    ///
    /// # Errors
    /// A value that YAML cannot express.
    pub(crate) fn yaml(&self) -> anyhow::Result<String> {
        if self.is_empty() {
            return Ok("# Every setting is a default of Bellwether: no component is needed.\n".to_owned());
        }
        let settings = |namespace: &'static str, literals: &[String]| Generator {
            name: "bellwether-settings",
            namespace,
            behavior: "merge",
            literals: literals.to_vec(),
        };
        let generators = [("bellwether", &self.scheduler), ("bellwether-agents", &self.agents)];
        let component = Component {
            api_version: "kustomize.config.k8s.io/v1alpha1",
            kind: "Component",
            components: [
                (self.runs_command, REBOOT_COMMAND),
                (self.asks_prometheus, PROMETHEUS_GATES),
            ]
            .into_iter()
            .filter_map(|(is_needed, component)| is_needed.then_some(component))
            .collect(),
            config_map_generator: generators
                .into_iter()
                .filter(|(_, literals)| !literals.is_empty())
                .map(|(namespace, literals)| settings(namespace, literals))
                .collect(),
            patches: self
                .sentinel_folder
                .iter()
                .map(|folder| mount(folder))
                .collect::<anyhow::Result<_>>()?,
        };
        let yaml = serde_saphyr::to_string(&component).context("the component cannot be written as YAML")?;
        Ok(format!("{HEAD}{yaml}"))
    }
}

const HEAD: &str = "\
# The settings that do what flags of kured did. Put this file into a folder of your overlay, such as
# my-overlay/kured/kustomization.yaml, and name the folder under `components` of the overlay.
";

/// From `my-overlay/kured`, with the checkout as `bellwether` beside `my-overlay` as in docs/install.md.
const REBOOT_COMMAND: &str = "../../bellwether/deploy/components/reboot-command";
/// For a Prometheus in the namespace `monitoring`, on port 9090.
const PROMETHEUS_GATES: &str = "../../bellwether/deploy/components/prometheus-gates";

/// Lets the sentinel see another folder of its host.
fn mount(folder: &str) -> anyhow::Result<Patch> {
    let name = "sentinel-file";
    let operations = serde_json::json!([
        { "op": "add", "path": "/spec/template/spec/volumes/-",
          "value": { "name": name, "hostPath": { "path": folder, "type": "Directory" } } },
        { "op": "add", "path": "/spec/template/spec/containers/0/volumeMounts/-",
          "value": { "name": name, "mountPath": format!("{HOST_ROOT}{folder}"), "readOnly": true } },
    ]);
    Ok(Patch {
        target: Target {
            kind: "DaemonSet",
            name: "sentinel",
        },
        patch: serde_saphyr::to_string(&operations).context("the patch cannot be written as YAML")?,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    config_map_generator: Vec<Generator>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patches: Vec<Patch>,
}

#[derive(Serialize)]
struct Generator {
    name: &'static str,
    namespace: &'static str,
    behavior: &'static str,
    literals: Vec<String>,
}

#[derive(Serialize)]
struct Patch {
    target: Target,
    patch: String,
}

#[derive(Serialize)]
struct Target {
    kind: &'static str,
    name: &'static str,
}

//! The settings of the deploy folder: each is a variable that a service knows, by its own `--help`.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use rig::services::{AGENTS, NAMESPACE};
use rig::tools;
use rig::world::World;

/// The variables that the services of each namespace know, by their own word.
pub(crate) struct Settings([(&'static str, BTreeSet<String>); 2]);

impl Settings {
    pub(crate) fn known() -> Result<Self> {
        Ok(Self([
            (NAMESPACE, Self::of(["bellwether-scheduler", "bellwether-drainer"])?),
            (AGENTS, Self::of(["bellwether-sentinel", "bellwether-rebooter"])?),
        ]))
    }

    fn of(services: [&str; 2]) -> Result<BTreeSet<String>> {
        let mut known = BTreeSet::new();
        for service in services {
            let help = Command::new(tools::binary(service)?).arg("--help").output()?;
            let help = String::from_utf8(help.stdout)?;
            let variables = help.split("[env: ").skip(1);
            known.extend(variables.filter_map(|rest| Some(rest.split(['=', ']']).next()?.to_owned())));
        }
        Ok(known)
    }

    /// A service ignores a name that it does not know, without a word to the operator.
    pub(crate) async fn check(&self, world: &World) -> Result<()> {
        for (namespace, known) in &self.0 {
            let maps: Api<ConfigMap> = Api::namespaced(world.client(), namespace);
            let all = maps.list(&ListParams::default()).await?;
            let ours = all
                .iter()
                .filter(|map| map.name_any().starts_with("bellwether-settings-"));
            let names: Vec<&String> = ours
                .flat_map(|map| map.data.iter().flatten())
                .map(|(name, _)| name)
                .collect();
            assert!(!names.is_empty(), "{namespace} has no settings");
            for name in names {
                assert!(
                    known.contains(name),
                    "no service in {namespace} knows {name}: {known:?}"
                );
            }
        }
        Ok(())
    }
}

//! The settings that containers are given by their environment.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, PodSpec};

use crate::facts::Facts;
use crate::object::{name, namespace};
use crate::workload::Workload;

/// Names and values. No value where it cannot be read here, such as one from a Secret.
pub(crate) type Environment<'a> = BTreeMap<&'a str, Option<&'a str>>;

pub(crate) fn of_workload<'a>(workload: &'a Workload, facts: &'a Facts) -> Environment<'a> {
    of_spec(workload.pod_spec(), namespace(workload.meta()), facts)
}

pub(crate) fn of_pod<'a>(pod: &'a Pod, facts: &'a Facts) -> Environment<'a> {
    of_spec(pod.spec.as_ref(), namespace(&pod.metadata), facts)
}

fn of_spec<'a>(spec: Option<&'a PodSpec>, namespace: &str, facts: &'a Facts) -> Environment<'a> {
    let mut environment = BTreeMap::new();
    for container in containers(spec) {
        let sources = config_maps(container).filter_map(|(config, _)| config_map(config, namespace, facts));
        for config in sources {
            let data = config.data.iter().flatten();
            environment.extend(data.map(|(key, value)| (key.as_str(), Some(value.as_str()))));
        }
        for entry in container.env.iter().flatten() {
            environment.insert(entry.name.as_str(), entry.value.as_deref());
        }
    }
    environment
}

/// A ConfigMap that a workload's environment needs, and that is not in its namespace.
pub(crate) fn missing_config_map<'a>(workload: &'a Workload, facts: &Facts) -> Option<&'a str> {
    let namespace = namespace(workload.meta());
    containers(workload.pod_spec())
        .iter()
        .flat_map(config_maps)
        .find(|(config, optional)| !optional && config_map(config, namespace, facts).is_none())
        .map(|(config, _)| config)
}

fn containers(spec: Option<&PodSpec>) -> &[Container] {
    spec.map(|spec| spec.containers.as_slice()).unwrap_or_default()
}

/// Names of the ConfigMaps that a container's environment is made of, and whether they may be missing.
fn config_maps(container: &Container) -> impl Iterator<Item = (&str, bool)> {
    let sources = container.env_from.iter().flatten();
    sources.filter_map(|source| {
        let config = source.config_map_ref.as_ref()?;
        Some((config.name.as_str(), config.optional == Some(true)))
    })
}

fn config_map<'a>(wanted: &str, of: &str, facts: &'a Facts) -> Option<&'a ConfigMap> {
    let mut all = facts.beside(of).objects.config_maps.iter();
    all.find(|config| name(&config.metadata) == wanted && namespace(&config.metadata) == of)
}

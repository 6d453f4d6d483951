//! The settings that the workloads are given: there, and the same on both sides.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::facts::Facts;
use crate::finding::{Finding, Topic, names};
use crate::object::{containers, entries, items, name, namespace, text};
use crate::secrets;
use crate::checks::workloads::{PARTS, SCHEDULER};
use crate::facts::Answer;

pub(crate) use bellwether_proto::setting::{
    NATS_CA, NATS_CREDENTIALS, NATS_PASSWORD, NATS_URL, STREAM_REPLICAS, TOLERATE_RIVALS,
};

/// What the containers of a workload or pod are told by environment. Nothing for what cannot be read
/// here, such as a value from a Secret.
pub(crate) fn environment<'a>(object: &'a Value, beside: &'a Answer) -> BTreeMap<&'a str, Option<&'a str>> {
    let mut told = BTreeMap::new();
    for container in containers(object) {
        for config in config_maps(container).filter_map(|(config, _)| config_map(object, beside, config)) {
            told.extend(entries(config, "/data").map(|(key, value)| (key, Some(value))));
        }
        for entry in items(container, "/env") {
            told.insert(text(entry, "/name"), entry.get("value").and_then(Value::as_str));
        }
    }
    told
}

/// Names of the ConfigMaps that a container's environment is made of, and whether they may be missing.
fn config_maps(container: &Value) -> impl Iterator<Item = (&str, bool)> {
    items(container, "/envFrom").iter().filter_map(|source| {
        let optional = source.pointer("/configMapRef/optional") == Some(&Value::Bool(true));
        Some((source.pointer("/configMapRef/name")?.as_str()?, optional))
    })
}

fn config_map<'a>(object: &Value, beside: &'a Answer, wanted: &str) -> Option<&'a Value> {
    let here = |config: &&Value| name(config) == wanted && namespace(config) == namespace(object);
    beside.of("ConfigMap").find(here)
}

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut same = 0;
    let reference = facts
        .workload(&SCHEDULER)
        .map(|it| environment(it, facts.beside(it)))
        .unwrap_or_default();
    for part in &PARTS {
        let Some(workload) = facts.workload(part) else { continue };
        let beside = facts.beside(workload);
        if beside.trouble.is_some() {
            continue;
        }
        let subject = format!("settings of {}", part.component);
        if let Some(missing) = missing(workload, beside) {
            let remedy = format!("kubectl apply -k OVERLAY    # it generates {missing} in both namespaces");
            let found = format!("ConfigMap {missing} is not in namespace {}", namespace(workload));
            findings.push(Topic::Settings.problem(subject, found, remedy));
            continue;
        }
        let told = environment(workload, beside);
        if !told.contains_key(NATS_URL) {
            let found = format!("{NATS_URL} is not set, so it looks for NATS in its own pod");
            let remedy = format!("set {NATS_URL} under `configMapGenerator` of your overlay, in both namespaces");
            findings.push(Topic::Settings.problem(subject, found, remedy));
            continue;
        }
        match differences(&reference, &told).as_slice() {
            [] => same += 1,
            differ => findings.push(Topic::Settings.warning(
                subject,
                format!("other than the scheduler's: {}", names(differ)),
                "give both namespaces the same settings: `configMapGenerator` of your overlay",
            )),
        }
    }
    if same == PARTS.len() {
        findings.push(Topic::Settings.ok("settings", "the same for all four services"));
    }
    findings
}

fn missing<'a>(workload: &'a Value, beside: &Answer) -> Option<&'a str> {
    containers(workload)
        .iter()
        .flat_map(config_maps)
        .find(|(config, optional)| !optional && config_map(workload, beside, config).is_none())
        .map(|(config, _)| config)
}

fn shown(key: &str, value: &str) -> String {
    if key == NATS_URL {
        secrets::addresses(value)
    } else {
        value.to_owned()
    }
}

/// What both are told, and not the same.
fn differences(one: &BTreeMap<&str, Option<&str>>, other: &BTreeMap<&str, Option<&str>>) -> Vec<String> {
    let differ = |(key, value): (&&str, &Option<&str>)| match (value, other.get(key)) {
        (Some(here), Some(Some(there))) if here != there => {
            Some(format!("{key} is {}, not {}", shown(key, there), shown(key, here)))
        }
        _ => None,
    };
    one.iter().filter_map(differ).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::finding::Severity;
    use super::*;

    fn workload(kind: &str, component: &str, namespace: &str) -> Value {
        json!({
            "kind": kind,
            "metadata": { "name": component, "namespace": namespace },
            "spec": { "template": { "spec": { "containers": [{
                "envFrom": [{ "configMapRef": { "name": "bellwether-settings-5t2m" } }],
                "env": [{ "name": "BELLWETHER_IDENTITY", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
            }] } } },
        })
    }

    fn config(namespace: &str, url: &str) -> Value {
        json!({
            "kind": "ConfigMap", "metadata": { "name": "bellwether-settings-5t2m", "namespace": namespace },
            "data": { NATS_URL: url, "BELLWETHER_LOG": "info" },
        })
    }

    fn facts() -> Facts {
        let mut facts = Facts::for_tests();
        facts.workloads.objects = vec![
            workload("Deployment", "scheduler", "bellwether"),
            workload("Deployment", "drainer", "bellwether"),
            workload("DaemonSet", "sentinel", "bellwether-agents"),
            workload("DaemonSet", "rebooter", "bellwether-agents"),
        ];
        facts.control.objects = vec![config("bellwether", "nats://nats.bellwether.svc:4222")];
        facts.agents.objects = vec![config("bellwether-agents", "nats://nats.bellwether.svc:4222")];
        facts
    }

    #[test]
    fn settings_that_agree_are_one_line() {
        let findings = findings(&facts());
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings.first().map(|it| it.severity), Some(Severity::Ok));
    }

    #[test]
    fn what_differs_between_the_namespaces_is_named_with_both_values() {
        let mut facts = facts();
        facts.agents.objects = vec![config("bellwether-agents", "nats://old:4222")];
        let findings = findings(&facts);
        assert_eq!(findings.len(), 2, "{findings:?}");
        for finding in findings {
            assert_eq!(finding.severity, Severity::Warning);
            assert!(
                finding
                    .found
                    .ends_with("BELLWETHER_NATS_URL is nats://old:4222, not nats://nats.bellwether.svc:4222"),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let mut facts = facts();
        facts.agents.objects = vec![config("bellwether-agents", "token@nats-0,nats://anna:pw@nats-1")];
        let finding = findings(&facts).remove(0);
        assert!(finding.found.contains("is nats-0,nats://nats-1, not"), "{finding:?}");
    }

    #[test]
    fn a_config_map_that_is_not_there_is_a_problem_unless_it_could_not_be_looked_for() {
        let mut facts = facts();
        facts.agents.objects.clear();
        let all = findings(&facts);
        assert!(all.iter().all(|it| it.severity == Severity::Problem), "{all:?}");
        assert!(all.iter().all(|it| {
            it.found
                .contains("bellwether-settings-5t2m is not in namespace bellwether-agents")
        }));
        facts.agents.trouble = Some("Forbidden".to_owned());
        assert_eq!(findings(&facts), []);
    }

    #[test]
    fn a_service_that_is_not_told_where_nats_is_is_a_problem() {
        let mut facts = facts();
        facts.control.objects = vec![json!({
            "kind": "ConfigMap", "metadata": { "name": "bellwether-settings-5t2m", "namespace": "bellwether" }, "data": {},
        })];
        let first = findings(&facts).remove(0);
        assert_eq!(first.severity, Severity::Problem);
        assert!(first.found.starts_with("BELLWETHER_NATS_URL is not set"), "{first:?}");
    }
}

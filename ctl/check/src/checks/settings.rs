//! The settings that the workloads are given: there, and the same on both sides.

use bellwether_proto::setting::NATS_URL;

use crate::check::Check;
use crate::code::Code;
use crate::environment::{self, Environment};
use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::group::names;
use crate::object::namespace;
use crate::part::{PARTS, SCHEDULER};
use crate::secrets;

pub(crate) const CHECK: Check = Check {
    name: "settings",
    needs_kubernetes: true,
    find: findings,
};

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut same = 0;
    let reference = facts
        .workload(&SCHEDULER)
        .map(|it| environment::of_workload(it, facts))
        .unwrap_or_default();
    for part in &PARTS {
        let Some(workload) = facts.workload(part) else { continue };
        let namespace = namespace(workload.meta());
        if facts.beside(namespace).failure.is_some() {
            continue;
        }
        let subject = format!("settings of {}", part.component);
        if let Some(missing) = environment::missing_config_map(workload, facts) {
            let remedy = format!("kubectl apply -k OVERLAY    # it generates {missing} in both namespaces");
            let found = format!("ConfigMap {missing} is not in namespace {namespace}");
            findings.push(Topic::Settings.problem(Code::SettingsMissing, subject, found, remedy));
            continue;
        }
        let own = environment::of_workload(workload, facts);
        if !own.contains_key(NATS_URL) {
            let found = format!("{NATS_URL} is not set, so it looks for NATS in its own pod");
            let remedy = format!("set {NATS_URL} under `configMapGenerator` of your overlay, in both namespaces");
            findings.push(Topic::Settings.problem(Code::NatsUrlMissing, subject, found, remedy));
            continue;
        }
        match differences(&reference, &own).as_slice() {
            [] => same += 1,
            differ => findings.push(Topic::Settings.warning(
                Code::SettingsDiffer,
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

/// A setting's value without passwords.
fn shown(key: &str, value: &str) -> String {
    if key == NATS_URL {
        secrets::addresses(value)
    } else {
        value.to_owned()
    }
}

/// The settings that both are given, with different values.
fn differences(one: &Environment<'_>, other: &Environment<'_>) -> Vec<String> {
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
    use serde_json::{Value, json};

    use super::*;
    use crate::failure::Failure;
    use crate::finding::Severity;
    use crate::testing::{beside, objects};

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
        let mut facts = crate::testing::facts();
        facts.workloads.objects = objects([
            workload("Deployment", "scheduler", "bellwether"),
            workload("Deployment", "drainer", "bellwether"),
            workload("DaemonSet", "sentinel", "bellwether-agents"),
            workload("DaemonSet", "rebooter", "bellwether-agents"),
        ]);
        facts.control.objects = beside([config("bellwether", "nats://nats.bellwether.svc:4222")]);
        facts.agents.objects = beside([config("bellwether-agents", "nats://nats.bellwether.svc:4222")]);
        facts
    }

    #[test]
    fn settings_that_agree_are_one_line() {
        let findings = findings(&facts());
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings.first().map(|it| it.severity), Some(Severity::Ok));
    }

    #[test]
    fn a_setting_that_differs_between_the_namespaces_is_named_with_both_values() {
        let mut facts = facts();
        facts.agents.objects = beside([config("bellwether-agents", "nats://old:4222")]);
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
        facts.agents.objects = beside([config("bellwether-agents", "token@nats-0,nats://anna:pw@nats-1")]);
        let finding = findings(&facts).remove(0);
        assert!(finding.found.contains("is nats-0,nats://nats-1, not"), "{finding:?}");
    }

    #[test]
    fn a_config_map_that_is_not_there_is_a_problem_unless_it_could_not_be_looked_for() {
        let mut facts = facts();
        facts.agents.objects = beside([]);
        let all = findings(&facts);
        assert!(all.iter().all(|it| it.severity == Severity::Problem), "{all:?}");
        assert!(all.iter().all(|it| {
            it.found
                .contains("bellwether-settings-5t2m is not in namespace bellwether-agents")
        }));
        facts.agents.failure = Some(Failure::forbidden("no"));
        assert_eq!(findings(&facts), []);
    }

    #[test]
    fn a_service_without_the_address_of_nats_is_a_problem() {
        let mut facts = facts();
        facts.control.objects = beside([json!({
            "kind": "ConfigMap", "metadata": { "name": "bellwether-settings-5t2m", "namespace": "bellwether" }, "data": {},
        })]);
        let first = findings(&facts).remove(0);
        assert_eq!(first.severity, Severity::Problem);
        assert!(first.found.starts_with("BELLWETHER_NATS_URL is not set"), "{first:?}");
    }
}

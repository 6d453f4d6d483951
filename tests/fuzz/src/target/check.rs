//! Objects of Kubernetes as kubectl prints them, one JSON value after the other: the findings of `kubectl reboots check`
//! and of `uninstall-check`.

use bellwether_check::{
    Facts, Gathered, Namespaces, PodKey, Readiness, RemovalFacts, Report, examine, examine_removal, pods_to_ask,
};
use bellwether_proto::readiness;
use jiff::Timestamp;
use serde_json::Value;

use crate::judge;

/// A password in an address, as settings may have one.
const SECRET: &str = "hunter22";
const IN_ADDRESS: &str = "://anna:hunter22@";

pub(crate) fn run(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let objects: Vec<Value> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .map_while(Result::ok)
        .collect();
    if objects.is_empty() {
        return false;
    }
    let now: Timestamp = "2026-11-27T14:00:00Z".parse().expect("a time");
    let is_only_in_addresses = !text.replace(IN_ADDRESS, "").contains(SECRET);
    for report in [
        examine(&facts(&objects, now)),
        examine_removal(&removal_facts(&objects, now)),
    ] {
        judged(&report, is_only_in_addresses);
    }
    true
}

fn namespaces() -> Namespaces {
    Namespaces {
        control: "bellwether".to_owned(),
        agents: "bellwether-agents".to_owned(),
    }
}

fn facts(objects: &[Value], now: Timestamp) -> Facts {
    let mut facts = Facts::new(now, namespaces());
    let of = |namespace: &str| {
        let inside = |object: &&Value| object["metadata"]["namespace"] == namespace;
        objects.iter().filter(inside).cloned().collect::<Vec<_>>()
    };
    facts.kubernetes_version = Ok("v1.33.1".to_owned());
    facts.tool_version = Some("0.1.0".to_owned());
    facts.nodes = Gathered::read(objects.to_vec(), None);
    facts.workloads = Gathered::read(objects.to_vec(), None);
    facts.control = Gathered::read(of("bellwether"), None);
    facts.agents = Gathered::read(of("bellwether-agents"), None);
    facts.lease = Gathered::read(of("bellwether"), None);
    facts.services = Gathered::read(objects.to_vec(), None);
    facts.policies = Gathered::read(objects.to_vec(), None);
    facts.own_rights = Gathered::read(objects.to_vec(), None);
    facts.account_rights = Gathered::read(objects.to_vec(), None);
    let body = objects
        .iter()
        .find_map(|object| object["readyz"].as_str())
        .unwrap_or_default();
    for pod in pods_to_ask(&facts) {
        let PodKey { namespace, name } = pod.pod;
        let answer = Readiness::Answered(readiness::parse(body));
        facts.readiness.insert(PodKey { namespace, name }, answer);
    }
    facts
}

fn removal_facts(objects: &[Value], now: Timestamp) -> RemovalFacts {
    let mut facts = RemovalFacts::new(now, namespaces());
    facts.nodes = Gathered::read(objects.to_vec(), None);
    facts.all_namespaces = Gathered::read(objects.to_vec(), None);
    facts.workloads = Gathered::read(objects.to_vec(), None);
    facts.cluster = Gathered::read(objects.to_vec(), None);
    facts.control = Gathered::read(objects.to_vec(), None);
    facts.agents = Gathered::read(objects.to_vec(), None);
    facts
}

fn judged(report: &Report, hides_secret: bool) {
    let json = report.json().expect("a report has a form for programs");
    serde_json::from_str::<Value>(&json).expect("JSON");
    for finding in report.findings() {
        judge::plain(&finding.found);
        if hides_secret {
            judge::hides(&finding.found, SECRET);
        }
    }
    drop(report.table());
}

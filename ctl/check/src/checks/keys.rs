//! The keys that sign records: published in both namespaces, not too old, and known to the rebooters.
//!
//! The Secret is not read: a user who runs a check need not be able to sign.

use bellwether_proto::PublicKeys;
use bellwether_proto::setting::RECORD_KEY_LIFETIME;
use bellwether_proto::signature::KEY_FILE;
use jiff::SignedDuration;

use crate::check::Check;
use crate::code::Code;
use crate::environment;
use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::group::{count, names};
use crate::object::name;
use crate::part::SCHEDULER;
use crate::text;

pub(crate) const CHECK: Check = Check {
    name: "keys",
    needs_kubernetes: true,
    find: findings,
};

/// The ConfigMaps of the public keys.
const NAME: &str = "bellwether-record-keys";

/// The scheduler's default.
const LIFETIME: SignedDuration = SignedDuration::from_hours(720);

/// So much longer than its lifetime a key may be there: a fleet without a leader makes none.
const SLACK: SignedDuration = SignedDuration::from_hours(24);

const SUBJECT: &str = "keys of records";

fn findings(facts: &Facts) -> Vec<Finding> {
    let control = &facts.namespaces.control;
    let logs =
        format!("kubectl -n {control} logs deployment/scheduler    # the leader publishes the keys, or states why not");
    let mut published = Vec::new();
    for namespace in [control, &facts.namespaces.agents] {
        // Of a namespace that was not read, something else reports.
        if facts.beside(namespace).failure.is_some() {
            return Vec::new();
        }
        match keys(facts, namespace) {
            Ok(keys) => published.push(keys),
            Err(fault) => {
                let found = format!("ConfigMap {NAME} in namespace {namespace} {fault}");
                return vec![Topic::Keys.problem(Code::RecordKeysNotPublished, SUBJECT, found, logs)];
            }
        }
    }
    let mut findings = Vec::new();
    if let [one, other] = published.as_slice()
        && one != other
    {
        let found = format!("the ConfigMaps {NAME} of both namespaces differ");
        findings.push(Topic::Keys.problem(Code::RecordKeysDiffer, SUBJECT, found, logs));
    }
    findings.extend(published.first().map(|keys| age(keys, facts)));
    findings.extend(unknown(facts));
    findings
}

fn keys(facts: &Facts, namespace: &str) -> Result<PublicKeys, String> {
    let mut maps = facts.beside(namespace).objects.config_maps.iter();
    let map = maps.find(|map| name(&map.metadata) == NAME).ok_or("is not there")?;
    let text = map.data.as_ref().and_then(|data| data.get(KEY_FILE));
    let text = text.filter(|text| !text.is_empty()).ok_or("has no keys yet")?;
    text.parse().map_err(|fault| format!("holds something else: {fault}"))
}

/// How old the newest key is.
fn age(keys: &PublicKeys, facts: &Facts) -> Finding {
    let newest = keys.iter().map(|(id, key)| (key.created, id)).max();
    let Some((created, id)) = newest else {
        return Topic::Keys.ok(SUBJECT, "none");
    };
    let environment = facts
        .workload(&SCHEDULER)
        .map(|workload| environment::of_workload(workload, facts))
        .unwrap_or_default();
    let set = environment.get(RECORD_KEY_LIFETIME).copied().flatten();
    let lifetime = set.and_then(|text| text.parse().ok()).unwrap_or(LIFETIME);
    let found = format!(
        "{}, the newest {id} is {} old",
        count(keys.iter().count(), "key"),
        text::between(created, facts.now)
    );
    if facts.now.duration_since(created) > lifetime + SLACK {
        let remedy = "see whether a scheduler leads: the leader makes a new key";
        return Topic::Keys.warning(Code::RecordKeyOld, SUBJECT, found, remedy);
    }
    Topic::Keys.ok(SUBJECT, found)
}

/// The nodes that wait for their rebooters to know the key.
fn unknown(facts: &Facts) -> Option<Finding> {
    let waits = |code: &str| code == "RecordKeyUnknown";
    let statuses = facts.statuses().iter();
    let nodes: Vec<&str> = statuses
        .filter(|status| status.reason.as_ref().is_some_and(|reason| waits(&reason.code)))
        .map(|status| status.node.as_str())
        .collect();
    let agents = &facts.namespaces.agents;
    (!nodes.is_empty()).then(|| {
        let found = format!("the rebooters of {} do not know the key that signs records", names(&nodes));
        let remedy = format!(
            "kubectl -n {agents} describe pods -l app.kubernetes.io/component=rebooter    # is the ConfigMap {NAME} mounted? A kubelet brings a change within two minutes"
        );
        Topic::Keys.warning(Code::RecordKeyUnknown, SUBJECT, found, remedy)
    })
}

#[cfg(test)]
mod tests {
    use bellwether_proto::SigningKey;
    use bellwether_proto::wire::{ListNodesResponse, NodeStatus, Reason};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::facts::FleetAnswer;
    use crate::finding::Severity;
    use crate::testing::{beside, facts};

    fn text(byte: u8, days: i64, now: Timestamp) -> String {
        let created = now - SignedDuration::from_hours(24 * days);
        let key = SigningKey::new(&[byte; 32], created).unwrap();
        PublicKeys::of([&key]).to_string()
    }

    /// The findings where the namespaces have these keys.
    fn found(control: Option<&str>, agents: Option<&str>) -> Vec<(Severity, Code)> {
        let mut facts = facts();
        let map = |namespace: &str, keys: Option<&str>| {
            let map = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": NAME, "namespace": namespace },
                "data": keys.map(|keys| json!({ "keys": keys })),
            });
            beside([map])
        };
        facts.control.objects = map(&facts.namespaces.control.clone(), control);
        facts.agents.objects = map(&facts.namespaces.agents.clone(), agents);
        findings(&facts).into_iter().map(|it| (it.severity, it.code)).collect()
    }

    #[test]
    fn keys_have_to_be_published_alike_in_both_namespaces_and_young_enough() {
        let now = facts().now;
        let (new, old, other) = (text(1, 3, now), text(1, 32, now), text(2, 3, now));
        assert_eq!(found(Some(&new), Some(&new)), [(Severity::Ok, Code::InOrder)]);
        assert_eq!(found(Some(&old), Some(&old)), [(Severity::Warning, Code::RecordKeyOld)]);
        let missing = [(Severity::Problem, Code::RecordKeysNotPublished)];
        assert_eq!(found(Some(&new), None), missing);
        assert_eq!(found(Some(""), Some(&new)), missing);
        assert_eq!(found(Some("hunter2"), Some(&new)), missing);
        let differ = [
            (Severity::Problem, Code::RecordKeysDiffer),
            (Severity::Ok, Code::InOrder),
        ];
        assert_eq!(found(Some(&new), Some(&other)), differ);
    }

    #[test]
    fn nodes_whose_rebooters_do_not_know_the_key_are_named() {
        let mut facts = facts();
        let status = NodeStatus {
            node: "node-7".to_owned(),
            reason: Some(Reason {
                code: "RecordKeyUnknown".to_owned(),
                ..Reason::default()
            }),
            ..NodeStatus::default()
        };
        facts.fleet = Ok(FleetAnswer {
            leader: "here".to_owned(),
            list: ListNodesResponse {
                nodes: vec![status],
                ..ListNodesResponse::default()
            },
        });
        let finding = unknown(&facts).unwrap();
        assert_eq!(finding.code, Code::RecordKeyUnknown);
        assert!(finding.found.contains("node-7"), "{finding:?}");
    }
}

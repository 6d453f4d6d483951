//! Traces of each kind.

use serde_json::json;

use super::*;
use crate::failure::Failure;
use crate::testing::{objects, removal_facts};

/// Subject, found and remedy of all findings.
fn lines(facts: &RemovalFacts) -> Vec<String> {
    let line = |it: Finding| format!("{} | {} | {}", it.subject, it.found, it.remedy.unwrap_or_default());
    findings(facts).into_iter().map(line).collect()
}

#[test]
fn a_clean_cluster_is_one_line() {
    assert_eq!(
        lines(&removal_facts()),
        ["traces | nothing of Bellwether is left in this cluster | "]
    );
}

#[test]
fn everything_that_we_may_write_on_a_node_is_named_with_its_command() {
    let mut facts = removal_facts();
    facts.nodes.objects = objects([json!({
        "kind": "Node",
        "metadata": {
            "name": "node-1",
            "annotations": { "bellwether.dev/cordoned-for": "a77e", "bellwether.dev/other": "x", "example.com/a": "b",
                "bellwether.dev/marked-with": "phase,a b;c,weave.works/kured-reboot-in-progress,example.com/busy",
                "bellwether.dev/guarded-by":
                    "karpenter.sh/do-not-disrupt,example.com/a,node.kubernetes.io/exclude-from-external-load-balancers" },
            "labels": { "bellwether.dev/group": "g" },
        },
        "spec": {
            "unschedulable": true,
            "taints": [
                { "key": "bellwether.dev/rebooting", "effect": "NoSchedule" },
                { "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" },
            ],
        },
        "status": { "conditions": [
            { "type": "Ready" }, { "type": "bellwether.dev/RebootRequired" },
            { "type": "Drained", "reason": "BellwetherReboot" }, { "type": "MaintenancePlanned", "reason": "Firmware" },
        ] },
    })]);
    assert_eq!(
        lines(&facts),
        [
            "node node-1 | cordoned by Bellwether | kubectl uncordon node-1 && kubectl annotate node node-1 bellwether.dev/cordoned-for-",
            "node node-1 | annotation bellwether.dev/guarded-by | kubectl annotate node node-1 bellwether.dev/guarded-by- karpenter.sh/do-not-disrupt-; kubectl label node node-1 node.kubernetes.io/exclude-from-external-load-balancers-",
            "node node-1 | annotation bellwether.dev/marked-with | kubectl annotate node node-1 bellwether.dev/marked-with- weave.works/kured-reboot-in-progress-; kubectl label node node-1 phase- example.com/busy-",
            "node node-1 | annotation bellwether.dev/other | kubectl annotate node node-1 bellwether.dev/other-",
            "node node-1 | label bellwether.dev/group | kubectl label node node-1 bellwether.dev/group-",
            "node node-1 | taint bellwether.dev/rebooting:NoSchedule | kubectl taint node node-1 bellwether.dev/rebooting:NoSchedule-",
            r#"node node-1 | condition bellwether.dev/RebootRequired | kubectl patch node node-1 --subresource=status -p '{"status":{"conditions":[{"type":"bellwether.dev/RebootRequired","$patch":"delete"}]}}'"#,
            r#"node node-1 | condition Drained | kubectl patch node node-1 --subresource=status -p '{"status":{"conditions":[{"type":"Drained","$patch":"delete"}]}}'"#,
        ]
    );
}

#[test]
fn a_foreign_cordon_is_no_trace() {
    let mut facts = removal_facts();
    facts.nodes.objects =
        objects([json!({ "kind": "Node", "metadata": { "name": "node-1" }, "spec": { "unschedulable": true } })]);
    assert_eq!(lines(&facts).len(), 1);
}

#[test]
fn cluster_objects_are_known_by_label_name_role_group_or_claim() {
    let mut facts = removal_facts();
    let object = |kind: &str, name: &str| json!({ "kind": kind, "metadata": { "name": name } });
    let mut labelled = object("PriorityClass", "eu-reboots");
    *labelled.get_mut("metadata").unwrap() = json!({ "name": "eu-reboots", "labels": { PART_OF: "bellwether" } });
    let mut by_hand = object("ClusterRoleBinding", "check-anna");
    by_hand
        .as_object_mut()
        .unwrap()
        .insert("roleRef".to_owned(), json!({ "name": "bellwether-check" }));
    let mut volume = object("PersistentVolume", "pvc-1");
    volume
        .as_object_mut()
        .unwrap()
        .insert("spec".to_owned(), json!({ "claimRef": { "namespace": "bellwether" } }));
    let mut definition = object("CustomResourceDefinition", "rebootpolicies.bellwether.dev");
    definition
        .as_object_mut()
        .unwrap()
        .insert("spec".to_owned(), json!({ "group": "bellwether.dev" }));
    facts.cluster.objects = objects([
        labelled,
        by_hand,
        volume,
        definition,
        object("ClusterRole", "bellwether-drainer"),
        object("ClusterRole", "view"),
    ]);
    let lines = lines(&facts);
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|it| it.ends_with("kubectl delete clusterrolebinding check-anna")),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .any(|it| it.contains("with the data of NATS | kubectl delete persistentvolume pvc-1")),
        "{lines:?}"
    );
    let delete = "all objects of its kind | kubectl delete customresourcedefinition rebootpolicies.bellwether.dev";
    assert!(lines.iter().any(|it| it.ends_with(delete)), "{lines:?}");
}

#[test]
fn a_namespace_of_ours_goes_as_a_whole_and_in_another_one_each_object_is_named() {
    let namespace = |name: &str, label: &str, phase: &str| {
        let metadata = json!({ "name": name, "labels": { PART_OF: label } });
        json!({ "kind": "Namespace", "metadata": metadata, "status": { "phase": phase } })
    };
    let lease = json!({ "kind": "Lease", "metadata": { "name": LEASE, "namespace": "bellwether" } });
    let other = json!({ "kind": "ConfigMap", "metadata": { "name": "kube-root-ca.crt", "namespace": "bellwether" } });
    let mut facts = removal_facts();
    facts.control.objects = objects([lease, other]);
    facts.all_namespaces.objects = objects([namespace("bellwether", "bellwether", "Active")]);
    assert_eq!(
        lines(&facts),
        ["namespace bellwether | still there, with Lease bellwether-scheduler | kubectl delete namespace bellwether"]
    );
    facts.all_namespaces.objects = objects([namespace("bellwether", "somebody-else", "Active")]);
    assert_eq!(
        lines(&facts),
        [
            "Lease bellwether/bellwether-scheduler | still there | kubectl -n bellwether delete lease bellwether-scheduler"
        ]
    );
    facts.all_namespaces.objects = objects([namespace("bellwether", "bellwether", "Terminating")]);
    let lines = lines(&facts);
    assert!(
        lines
            .first()
            .unwrap()
            .contains("is being deleted | kubectl wait --for=delete"),
        "{lines:?}"
    );
}

#[test]
fn a_cluster_that_could_not_be_read_is_not_clean() {
    let mut facts = removal_facts();
    facts.cluster.failure = Some(Failure::forbidden("Error from server (Forbidden)"));
    let lines = lines(&facts);
    assert!(
        lines.first().unwrap().starts_with("cluster objects | not looked at"),
        "{lines:?}"
    );
}

//! Tests of the decisions about cordons: objects in, decisions and patches out.

use super::*;
use crate::marks::MarkPatch;
use bellwether_proto::{AttemptId, Generation};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

#[test]
fn d1_a_node_that_is_gone_going_or_another_is_refused() {
    let attempt = attempt();
    // D42, D43.
    assert!(matches!(cordon_of(None, &attempt), Cordon::NodeGone(_)));
    let other = node(json!({ "uid": "v" }), json!({}));
    assert!(matches!(cordon_of(Some(&other), &attempt), Cordon::NodeGone(_)));
    let going = node(json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }), json!({}));
    assert!(matches!(cordon_of(Some(&going), &attempt), Cordon::NodeGone(_)));
}

#[test]
fn d3_a_cordon_without_our_mark_is_foreign() {
    let attempt = attempt();
    let foreign = node(json!({}), json!({ "unschedulable": true }));
    assert!(matches!(cordon_of(Some(&foreign), &attempt), Cordon::Foreign(_)));
    let other = node(
        json!({ "annotations": { CORDONED_FOR: "x" } }),
        json!({ "unschedulable": true }),
    );
    assert!(matches!(cordon_of(Some(&other), &attempt), Cordon::Foreign(_)));
}

#[test]
fn d47_a_drain_continues_on_a_node_with_our_cordon() {
    assert_eq!(cordon_of(Some(&cordoned()), &attempt()), Cordon::Ours);
}

#[test]
fn d9_a_node_that_an_operator_uncordoned_has_no_cordon_though_it_keeps_our_mark() {
    assert_eq!(cordon_of(Some(&marked_only()), &attempt()), Cordon::None);
}

#[test]
fn d8_the_cordon_touches_two_fields_under_the_version_that_was_read() {
    // D2: mark and cordon in one patch.
    let patch = cordon_patch(&node(json!({}), json!({})), &attempt(), false, MarkPatch::default());
    let wanted = json!({
        "metadata": {
            "resourceVersion": "7",
            "annotations": {
                CORDONED_FOR: attempt().attempt.to_string(),
                // D46.
                "cluster-autoscaler.kubernetes.io/scale-down-disabled": "true",
                "karpenter.sh/do-not-disrupt": "true",
                "bellwether.dev/guarded-by":
                    "cluster-autoscaler.kubernetes.io/scale-down-disabled,karpenter.sh/do-not-disrupt",
            },
        },
        "spec": { "unschedulable": true },
    });
    assert_eq!(patch, wanted);
    // D6: the label too, if the drain demands that.
    let patch = cordon_patch(&node(json!({}), json!({})), &attempt(), true, MarkPatch::default());
    let label = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "true" });
    assert_eq!(patch.pointer("/metadata/labels"), Some(&label));
}

#[test]
fn the_cordon_goes_together_with_its_mark() {
    assert_eq!(removal(Some(&cordoned()), &attempt()), Removal::MarkAndCordon);
    let wanted = json!({
        "metadata": {
            "resourceVersion": "7",
            "annotations": { CORDONED_FOR: null, "bellwether.dev/guarded-by": null },
        },
        "spec": { "unschedulable": null },
    });
    assert_eq!(uncordon_patch(&cordoned(), true, MarkPatch::default()), wanted);
}

#[test]
fn of_a_node_that_an_operator_uncordoned_only_the_mark_is_removed() {
    assert_eq!(removal(Some(&marked_only()), &attempt()), Removal::Mark);
    assert_eq!(
        uncordon_patch(&marked_only(), false, MarkPatch::default()).get("spec"),
        None
    );
}

#[test]
fn d3_a_foreign_cordon_is_left_alone() {
    for annotations in [json!({}), json!({ CORDONED_FOR: "x" })] {
        for unschedulable in [true, false] {
            let foreign = node(
                json!({ "annotations": annotations }),
                json!({ "unschedulable": unschedulable }),
            );
            let left_unschedulable = unschedulable;
            assert_eq!(
                removal(Some(&foreign), &attempt()),
                Removal::Nothing { left_unschedulable }
            );
        }
    }
}

#[test]
fn d43_a_newcomer_of_the_same_name_is_left_alone_even_with_our_mark() {
    let newcomer = node(
        json!({ "uid": "v", "annotations": { CORDONED_FOR: attempt().attempt.to_string() } }),
        json!({ "unschedulable": true }),
    );
    let done = Removal::Nothing {
        left_unschedulable: false,
    };
    assert_eq!(removal(Some(&newcomer), &attempt()), done);
    assert_eq!(removal(None, &attempt()), done);
}

fn cordoned() -> NodeView {
    let mark = json!({ CORDONED_FOR: attempt().attempt.to_string() });
    node(json!({ "annotations": mark }), json!({ "unschedulable": true }))
}

fn marked_only() -> NodeView {
    node(
        json!({ "annotations": { CORDONED_FOR: attempt().attempt.to_string() } }),
        json!({}),
    )
}

fn node(metadata: Value, spec: Value) -> NodeView {
    let mut whole = json!({ "name": "n1", "uid": "u", "resourceVersion": "7" });
    let fields = whole.as_object_mut().unwrap();
    fields.extend(metadata.as_object().unwrap().clone());
    let node: Node = serde_json::from_value(json!({ "metadata": whole, "spec": spec })).unwrap();
    NodeView::from(&node)
}

fn attempt() -> AttemptRef {
    let node_uid = "u".parse().unwrap();
    AttemptRef {
        node: "n1".parse().unwrap(),
        attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
        node_uid,
        generation: Generation(3),
    }
}

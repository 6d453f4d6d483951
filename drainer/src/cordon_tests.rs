//! Tests of the decisions about cordons: objects in, decisions and patches out.

use super::*;
use crate::permit::Deed;
use bellwether_proto::{AttemptId, Generation};

#[test]
fn d1_a_node_that_is_gone_going_or_another_is_refused() {
    let order = order();
    // D42, D43.
    assert!(matches!(cordon_of(None, &order), Cordon::NodeGone(_)));
    let other = node(json!({ "uid": "v" }), json!({}));
    assert!(matches!(cordon_of(Some(&other), &order), Cordon::NodeGone(_)));
    let going = node(json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }), json!({}));
    assert!(matches!(cordon_of(Some(&going), &order), Cordon::NodeGone(_)));
}

#[test]
fn d3_a_cordon_without_our_mark_is_foreign() {
    // Defect 6.
    let order = order();
    let foreign = node(json!({}), json!({ "unschedulable": true }));
    assert!(matches!(cordon_of(Some(&foreign), &order), Cordon::Foreign(_)));
    let other = node(
        json!({ "annotations": { CORDONED_FOR: "x" } }),
        json!({ "unschedulable": true }),
    );
    assert!(matches!(cordon_of(Some(&other), &order), Cordon::Foreign(_)));
}

#[test]
fn d47_a_node_with_our_cordon_is_gone_on_with() {
    assert_eq!(cordon_of(Some(&cordoned()), &order()), Cordon::Ours);
}

#[test]
fn d9_a_node_that_somebody_uncordoned_has_no_cordon_though_our_mark_is_left() {
    // Defect 12.
    assert_eq!(cordon_of(Some(&marked_only()), &order()), Cordon::None);
}

#[test]
fn d8_the_cordon_touches_two_fields_under_the_version_that_was_seen() {
    // D2: mark and cordon in one patch.
    let patch = cordon_patch(&node(json!({}), json!({})), &order());
    let wanted = json!({
        "metadata": { "resourceVersion": "7", "annotations": { CORDONED_FOR: order().attempt.to_string() } },
        "spec": { "unschedulable": true },
    });
    assert_eq!(patch, wanted);
}

#[test]
fn the_cordon_goes_together_with_its_mark() {
    assert_eq!(undo(Some(&cordoned()), &order()), Undo::MarkAndCordon);
    let wanted = json!({
        "metadata": { "resourceVersion": "7", "annotations": { CORDONED_FOR: null } },
        "spec": { "unschedulable": null },
    });
    assert_eq!(uncordon_patch(&cordoned(), true), wanted);
}

#[test]
fn of_a_node_that_a_person_uncordoned_only_the_mark_is_taken() {
    assert_eq!(undo(Some(&marked_only()), &order()), Undo::Mark);
    assert_eq!(uncordon_patch(&marked_only(), false).get("spec"), None);
}

#[test]
fn defect_6_a_foreign_cordon_is_left_alone() {
    for annotations in [json!({}), json!({ CORDONED_FOR: "x" })] {
        for unschedulable in [true, false] {
            let foreign = node(
                json!({ "annotations": annotations }),
                json!({ "unschedulable": unschedulable }),
            );
            let left_unschedulable = unschedulable;
            assert_eq!(undo(Some(&foreign), &order()), Undo::Nothing { left_unschedulable });
        }
    }
}

#[test]
fn d43_a_newcomer_of_the_same_name_is_left_alone_even_with_our_mark() {
    let newcomer = node(
        json!({ "uid": "v", "annotations": { CORDONED_FOR: order().attempt.to_string() } }),
        json!({ "unschedulable": true }),
    );
    let done = Undo::Nothing {
        left_unschedulable: false,
    };
    assert_eq!(undo(Some(&newcomer), &order()), done);
    assert_eq!(undo(None, &order()), done);
}

fn cordoned() -> Node {
    let mark = json!({ CORDONED_FOR: order().attempt.to_string() });
    node(json!({ "annotations": mark }), json!({ "unschedulable": true }))
}

fn marked_only() -> Node {
    node(
        json!({ "annotations": { CORDONED_FOR: order().attempt.to_string() } }),
        json!({}),
    )
}

fn node(metadata: Value, spec: Value) -> Node {
    let mut whole = json!({ "name": "n1", "uid": "u", "resourceVersion": "7" });
    let fields = whole.as_object_mut().unwrap();
    fields.extend(metadata.as_object().unwrap().clone());
    serde_json::from_value(json!({ "metadata": whole, "spec": spec })).unwrap()
}

fn order() -> Order {
    let node_uid = "u".parse().unwrap();
    Order {
        node: "n1".parse().unwrap(),
        attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
        node_uid,
        generation: Generation(3),
        deed: Deed::Uncordon,
    }
}

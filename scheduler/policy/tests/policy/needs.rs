//! Annotations that ask for a reboot: which values do, and each mistake with its field and the remedy.

use bellwether_policy::{NeedAnnotation, RebootPolicy};
use serde_json::{Value, json};

fn read(annotations: &Value) -> RebootPolicy {
    RebootPolicy::read("p".into(), &json!({ "needs": { "annotations": annotations } }))
}

fn annotations(spec: &Value) -> Vec<NeedAnnotation> {
    read(spec).terms.unwrap().need_annotations
}

#[test]
fn an_annotation_asks_by_its_value_or_by_every_value_but_false() {
    let any = &annotations(&json!([{ "key": "example.com/reboot" }]))[0];
    assert!(any.asks("") && any.asks("true") && any.asks("2026-01-01T00:00:00Z") && !any.asks("false"));
    let only = &annotations(&json!([{ "key": "reboot", "value": "yes" }]))[0];
    assert!(only.asks("yes") && !only.asks("") && !only.asks("true") && !only.asks("yes please"));
    let odd = &annotations(&json!([{ "key": "healthy", "value": "false" }]))[0];
    assert!(odd.asks("false") && !odd.asks("true"));
    let shown = [any, only].map(ToString::to_string);
    assert_eq!(shown, ["example.com/reboot", "reboot=yes"]);
}

#[test]
fn a_policy_without_the_field_asks_by_no_annotation_and_two_values_of_one_key_are_two() {
    let none = RebootPolicy::read("p".into(), &json!({ "needs": {} })).terms.unwrap();
    assert_eq!(none.need_annotations, []);
    let two = json!([{ "key": "a/b", "value": "x" }, { "key": "a/b", "value": "y" }]);
    assert_eq!(annotations(&two).len(), 2);
}

#[test]
fn each_mistake_names_its_field_and_the_remedy() {
    let long = "x".repeat(64);
    let example = "such as example.com/needs-reboot";
    for (spec, field, remedy) in [
        (json!([{ "key": "" }]), "[0].key: `` is no key", example),
        (json!([{ "key": "a" }, { "key": "a b" }]), "[1].key: ", example),
        (json!([{ "key": "a/b/c" }]), "[0].key: ", example),
        (json!([{ "key": "/a" }]), "[0].key: ", example),
        (json!([{ "key": "a/" }]), "[0].key: ", example),
        (json!([{ "key": "A.b/c" }]), "[0].key: ", example),
        (json!([{ "key": "a..b/c" }]), "[0].key: ", example),
        (json!([{ "key": "-a" }]), "[0].key: ", example),
        (json!([{ "key": long }]), "[0].key: ", example),
        (
            json!([{ "key": "bellwether.dev/hold" }]),
            "[0].key: ",
            "the program that asks",
        ),
        (
            json!([{ "key": "x.bellwether.dev/y" }]),
            "[0].key: ",
            "the program that asks",
        ),
        (
            json!([{ "key": "a", "value": "y".repeat(257) }]),
            "[0].value: ",
            "a shorter one",
        ),
        (
            json!([{ "key": "a" }, { "key": "a", "value": "y" }]),
            "[1]: `a=y`",
            "remove one",
        ),
        (
            json!([{ "key": "a", "value": "y" }, { "key": "a", "value": "y" }]),
            "[1]: ",
            "remove one",
        ),
        (
            json!((0..9).map(|key| json!({ "key": key.to_string() })).collect::<Vec<_>>()),
            ": 9 entries",
            "remove some",
        ),
    ] {
        let faults = read(&spec).terms.unwrap_err();
        assert_eq!(faults.len(), 1, "{spec}: {faults:?}");
        let text = faults[0].to_string();
        assert!(
            text.starts_with(&format!("spec.needs.annotations{field}")) && text.contains(remedy),
            "{text}"
        );
    }
    assert_eq!(annotations(&json!([{ "key": "mybellwether.dev/y" }])).len(), 1);
}

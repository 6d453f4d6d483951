//! Whether kustomize and Helm render the same objects.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::document::{Document, SETTINGS};
use super::template::MANAGED_BY;

/// The differences, one line each; empty if the sets are the same. Leaves out
/// the name of the tool and the hash of the settings, which have to differ, and empty lists and maps, which
/// mean nothing.
pub(crate) fn differences(expected: &[Document], found: &[Document]) -> Vec<String> {
    let (expected, found) = (by_id(expected), by_id(found));
    let mut lines = Vec::new();
    for (id, object) in &expected {
        match found.get(id) {
            None => lines.push(format!("{id} is missing")),
            Some(other) => compare(id, object, other, &mut lines),
        }
    }
    let extra = found.keys().filter(|id| !expected.contains_key(*id));
    lines.extend(extra.map(|id| format!("{id} is too much")));
    lines
}

fn by_id(documents: &[Document]) -> BTreeMap<String, Json> {
    let documents = documents.iter().map(|document| Document(normal(&document.0)));
    documents.map(|document| (document.id(), document.0)).collect()
}

fn compare(path: &str, expected: &Json, found: &Json, lines: &mut Vec<String>) {
    match (expected, found) {
        (Json::Object(left), Json::Object(right)) => {
            let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let path = format!("{path}/{key}");
                match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => compare(&path, left, right, lines),
                    (Some(left), None) => lines.push(format!("{path}: {left} is missing")),
                    (None, Some(right)) => lines.push(format!("{path}: {right} is too much")),
                    (None, None) => {}
                }
            }
        }
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}/{index}"), left, right, lines);
            }
        }
        (left, right) if left == right => {}
        (left, right) => lines.push(format!("{path}: {left} became {right}")),
    }
}

fn normal(json: &Json) -> Json {
    match json {
        Json::Object(map) => {
            let entries = map.iter().filter(|(key, _)| *key != MANAGED_BY);
            let entries = entries.map(|(key, value)| (key.clone(), normal(value)));
            Json::Object(entries.filter(|(_, value)| !is_empty(value)).collect())
        }
        Json::Array(list) => Json::Array(list.iter().map(normal).collect()),
        Json::String(text) if text.starts_with(SETTINGS) => Json::from(SETTINGS),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => json.clone(),
    }
}

fn is_empty(json: &Json) -> bool {
    json.as_object().is_some_and(serde_json::Map::is_empty) || json.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(replicas: u32, extra: &Json) -> Document {
        Document(json!({
            "kind": "Deployment",
            "metadata": { "name": "scheduler", "labels": { MANAGED_BY: "kustomize" } },
            "spec": { "replicas": replicas, "extra": extra, "ref": format!("{SETTINGS}abc") },
        }))
    }

    #[test]
    fn a_changed_a_missing_and_an_extra_field_are_named() {
        let lines = differences(&[object(2, &json!(1))], &[object(3, &json!([]))]);
        assert_eq!(
            lines,
            [
                "Deployment//scheduler/spec/extra: 1 is missing",
                "Deployment//scheduler/spec/replicas: 2 became 3",
            ]
        );
        assert_eq!(
            differences(&[object(2, &json!(1))], &[]),
            ["Deployment//scheduler is missing"]
        );
        assert_eq!(
            differences(&[], &[object(2, &json!(1))]),
            ["Deployment//scheduler is too much"]
        );
    }

    #[test]
    fn what_has_to_differ_does_not_count() {
        let mut helm = object(2, &json!({}));
        helm.set("/metadata/labels/app.kubernetes.io~1managed-by", json!("Helm"))
            .unwrap();
        helm.set("/spec/ref", json!(format!("{SETTINGS}def"))).unwrap();
        assert_eq!(differences(&[object(2, &json!([]))], &[helm]), Vec::<String>::new());
    }
}

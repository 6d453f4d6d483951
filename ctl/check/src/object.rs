//! Reading objects of Kubernetes as kubectl prints them. What is absent is empty or zero.

use jiff::Timestamp;
use serde_json::Value;

/// The label that names a part of Bellwether.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";
/// The label that all of Bellwether carries, whoever deployed it.
pub(crate) const PART_OF: &str = "app.kubernetes.io/part-of";
/// What all of our marks on nodes begin with.
pub(crate) const OUR_PREFIX: &str = "bellwether.dev/";

/// A text, by its JSON pointer.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number, by its JSON pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// The entries of a list, by its JSON pointer.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Keys and values of a map of texts, by its JSON pointer.
pub(crate) fn entries<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let map = object.pointer(pointer).and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}

/// An instant, by its JSON pointer.
pub(crate) fn instant(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

pub(crate) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    keyed(object, "/metadata/labels", key)
}

pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    keyed(object, "/metadata/annotations", key)
}

fn keyed<'a>(object: &'a Value, pointer: &str, key: &str) -> &'a str {
    let value = object.pointer(pointer).and_then(|map| map.get(key));
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Whether a condition of this type is true.
pub(crate) fn holds(object: &Value, condition: &str) -> bool {
    let conditions = items(object, "/status/conditions").iter();
    conditions
        .filter(|it| text(it, "/type") == condition)
        .any(|it| text(it, "/status") == "True")
}

/// The containers of a workload, or of a pod.
pub(crate) fn containers(object: &Value) -> &[Value] {
    match items(object, "/spec/template/spec/containers") {
        [] => items(object, "/spec/containers"),
        of_workload => of_workload,
    }
}

/// The images that an object's containers run.
pub(crate) fn images(object: &Value) -> impl Iterator<Item = &str> {
    containers(object).iter().map(|container| text(container, "/image"))
}

/// Whether somebody has cordoned the node.
pub(crate) fn is_cordoned(node: &Value) -> bool {
    node.pointer("/spec/unschedulable") == Some(&Value::Bool(true))
}

/// What the node is, if it is one that Bellwether leaves alone.
pub(crate) fn left_alone(node: &Value) -> Option<&'static str> {
    bellwether_proto::node::left_alone(|name| Some(label(node, name)))
}

/// Whether a Service has no address of its own: its name means the pods behind it.
pub(crate) fn is_headless(service: &Value) -> bool {
    text(service, "/spec/clusterIP") == "None"
}

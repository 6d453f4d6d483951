//! The kureds in a file: DaemonSets among other objects, or values of the chart.

use anyhow::bail;
use serde_json::Value;

use super::chart;
use super::fault::Fault;
use super::manifest;
use super::source::Source;

/// A kured, with the place where it was found.
pub(crate) type Found = (String, Result<Source, Vec<Fault>>);

/// The kureds in these documents. Of several DaemonSets those of kured count; one alone counts whatever its name.
///
/// # Errors
/// There is none.
pub(crate) fn kureds(documents: &[Value], is_kured: impl Fn(&Value) -> bool) -> anyhow::Result<Vec<Found>> {
    let daemon_sets: Vec<&Value> = documents
        .iter()
        .filter(|document| document.get("kind").and_then(Value::as_str) == Some("DaemonSet"))
        .collect();
    let found: Vec<Found> = match daemon_sets.as_slice() {
        [] => documents
            .iter()
            .filter_map(chart::values)
            .map(|values| ("kured by its chart's values".to_owned(), Ok(chart::source(values))))
            .collect(),
        [one] => vec![of_daemon_set(one)],
        several => several
            .iter()
            .filter(|it| is_kured(it))
            .map(|it| of_daemon_set(it))
            .collect(),
    };
    if found.is_empty() {
        bail!("there is no kured in it: give the manifest of its DaemonSet, or the values of its chart");
    }
    Ok(found)
}

/// A DaemonSet of kured.
pub(crate) fn of_daemon_set(object: &Value) -> Found {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let origin = match (text("/metadata/namespace"), text("/metadata/name")) {
        ("", name) => format!("kured {name}"),
        (namespace, name) => format!("kured {namespace}/{name}"),
    };
    (origin, manifest::source(object))
}

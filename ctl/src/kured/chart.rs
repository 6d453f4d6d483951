//! What configures a kured, from the values of its Helm chart (6.1): what the chart would make of them.

use serde_json::Value;

use super::flag::Flag;
use super::manifest::{env, mounts, scalar};
use super::selector;
use super::source::{Arg, Source};
use super::value::Kind;

/// Not a flag: whether the folder of the sentinel file is mounted.
const USE_HOST_PATH: &str = "useRebootSentinelHostPath";

/// The values of kured's chart in a document: a values file, one with the chart as a dependency, or the resource of a
/// GitOps tool that holds values. None if the document has another kind.
pub(crate) fn values(document: &Value) -> Option<&Value> {
    let values = match document.get("kind").and_then(Value::as_str) {
        None => document,
        Some("HelmRelease") => document.pointer("/spec/values")?,
        Some("Application") => document.pointer("/spec/source/helm/valuesObject")?,
        Some(_) => return None,
    };
    let of_dependency = values.get("kured").filter(|_| values.get("configuration").is_none());
    Some(of_dependency.unwrap_or(values)).filter(|values| values.is_object())
}

/// Reads the values of the chart.
pub(crate) fn source(values: &Value) -> Source {
    let mut source = Source {
        name: "kured".to_owned(),
        ..Source::default()
    };
    let configuration = values.get("configuration").and_then(Value::as_object);
    let uses_host_path = configuration.and_then(|map| map.get(USE_HOST_PATH)).is_none_or(is_true);
    for (key, value) in configuration.into_iter().flatten() {
        configure(key, value, uses_host_path, &mut source);
    }
    for (key, value) in values.get("extraArgs").and_then(Value::as_object).into_iter().flatten() {
        let arg = if is_true(value) {
            format!("--{key}={}", scalar(value))
        } else {
            format!("--{key}")
        };
        source.args.push(Arg::from(arg.as_str()));
    }
    let extra = serde_json::json!({ "env": values.get("extraEnvVars") });
    source.env = env(&extra, &mut source.notes);
    source.mounts = mounts(values, values);
    selector::read(values, &mut source);
    source
}

/// One entry of `configuration`. The chart drops what a template takes for false, and names that it does not know.
fn configure(key: &str, value: &Value, uses_host_path: bool, source: &mut Source) {
    if key == USE_HOST_PATH || !is_true(value) {
        return;
    }
    let set_by_chart = [Flag::NodeId, Flag::DsName, Flag::DsNamespace];
    let Some(flag) = Flag::named(&kebab(key)).filter(|flag| !set_by_chart.contains(flag)) else {
        source
            .notes
            .push(format!("configuration.{key} has no effect: the chart does not know it"));
        return;
    };
    if flag == Flag::RebootSentinelCommand && uses_host_path {
        source.notes.push(format!(
            "configuration.{key} has no effect, since the chart drops it unless configuration.{USE_HOST_PATH} is false: \
             kured looks at the sentinel file"
        ));
        return;
    }
    let is_list = matches!(flag.kind(), Kind::Slice | Kind::Array);
    let list = value.as_array().filter(|_| is_list).map(Vec::as_slice);
    let entries = list.unwrap_or_else(|| std::slice::from_ref(value));
    for entry in entries {
        let arg = format!("--{}={}", flag.name(), scalar(entry));
        source.args.push(Arg::from(arg.as_str()));
    }
}

/// What a template takes for true.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// `lockTtl` as `lock-ttl`.
fn kebab(camel: &str) -> String {
    let mut kebab = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn args(values: &Value) -> Vec<String> {
        source(values).args.into_iter().map(|arg| arg.text).collect()
    }

    #[test]
    fn the_arguments_are_those_that_the_chart_would_make() {
        let values = json!({
            "configuration": {
                "lockTtl": 0, "drainGracePeriod": 0, "forceReboot": true, "concurrency": 2, "startTime": "",
                "rebootDays": ["mo", 2], "blockingPodSelector": ["a=1,b=2", "c=3"],
            },
            "extraArgs": { "drain-timeout": "30m", "annotate-nodes": null },
        });
        assert_eq!(
            args(&values),
            [
                "--blocking-pod-selector=a=1,b=2",
                "--blocking-pod-selector=c=3",
                "--concurrency=2",
                "--force-reboot=true",
                "--reboot-days=mo",
                "--reboot-days=2",
                "--annotate-nodes",
                "--drain-timeout=30m",
            ]
        );
    }

    #[test]
    fn a_sentinel_command_is_dropped_as_the_chart_drops_it() {
        let command = json!({ "configuration": { "rebootSentinelCommand": "/bin/check", "dsName": "x", "ttl": 1 } });
        assert_eq!(args(&command), Vec::<String>::new());
        let notes = source(&command).notes;
        assert!(
            notes
                .iter()
                .any(|note| note.contains("useRebootSentinelHostPath is false")),
            "{notes:?}"
        );
        assert_eq!(
            notes.iter().filter(|note| note.contains("does not know it")).count(),
            2,
            "{notes:?}"
        );
        let used = json!({ "configuration": { "rebootSentinelCommand": "/bin/check", USE_HOST_PATH: false } });
        assert_eq!(args(&used), ["--reboot-sentinel-command=/bin/check"]);
    }

    #[test]
    fn values_are_found_below_a_dependency_and_in_resources_of_gitops_tools() {
        let inner = json!({ "configuration": { "period": "30m" } });
        for document in [
            inner.clone(),
            json!({ "kured": inner }),
            json!({ "kind": "HelmRelease", "spec": { "values": inner } }),
            json!({ "kind": "Application", "spec": { "source": { "helm": { "valuesObject": { "kured": inner } } } } }),
        ] {
            assert_eq!(values(&document), Some(&inner), "{document}");
        }
        assert_eq!(values(&json!({ "kind": "ConfigMap", "data": {} })), None);
        assert_eq!(values(&json!("text")), None);
    }
}

//! What kured leaves on nodes, with the command that removes it.

use serde::Serialize;
use serde_json::Value;

use super::flag::Flag;
use super::settings::Settings;

/// On nodes, with `--annotate-nodes`.
const IN_PROGRESS: &str = "weave.works/kured-reboot-in-progress";
const ANNOTATIONS: [&str; 2] = [IN_PROGRESS, "weave.works/kured-most-recent-reboot-needed"];

/// The effect of `--prefer-no-schedule-taint`.
const EFFECT: &str = "PreferNoSchedule";

/// Something that kured left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Trace {
    /// What, and on how many nodes.
    pub(crate) found: String,
    /// The command that removes it.
    pub(crate) command: String,
}

/// The traces on these nodes, as kubectl prints them.
pub(crate) fn of_nodes(nodes: &[Value], settings: &Settings) -> Vec<Trace> {
    let mut traces = Vec::new();
    // kured leaves a node cordoned if it died or lost its lock in between.
    let in_mid = names(nodes, |node| is_cordoned(node) && has(node, "annotations", IN_PROGRESS));
    push(
        &mut traces,
        &in_mid,
        "cordoned, with kured's annotation of a reboot in progress",
        |nodes| format!("kubectl uncordon {nodes}"),
    );
    for key in ANNOTATIONS {
        let found = names(nodes, |node| has(node, "annotations", key));
        push(&mut traces, &found, &format!("annotation {key}"), |nodes| {
            format!("kubectl annotate node {nodes} {key}-")
        });
    }
    for key in labels(settings) {
        let found = names(nodes, |node| has(node, "labels", &key));
        let title = format!("label {key}, which kured set; keep it if other programs read it");
        push(&mut traces, &found, &title, |nodes| {
            format!("kubectl label node {nodes} {key}-")
        });
    }
    let taint = settings.text(Flag::PreferNoScheduleTaint);
    let found = names(nodes, |node| has_taint(node, &taint));
    push(&mut traces, &found, &format!("taint {taint}"), |nodes| {
        format!("kubectl taint node {nodes} {taint}:{EFFECT}-")
    });
    traces
}

fn push(traces: &mut Vec<Trace>, nodes: &[&str], found: &str, command: impl Fn(&str) -> String) {
    if !nodes.is_empty() {
        let count = if nodes.len() == 1 {
            "1 node".to_owned()
        } else {
            format!("{} nodes", nodes.len())
        };
        traces.push(Trace {
            found: format!("{count}: {found}"),
            command: command(&nodes.join(" ")),
        });
    }
}

fn names(nodes: &[Value], fits: impl Fn(&Value) -> bool) -> Vec<&str> {
    let named = nodes.iter().filter(|node| fits(node));
    named
        .filter_map(|node| node.pointer("/metadata/name")?.as_str())
        .collect()
}

fn has(node: &Value, kind: &str, key: &str) -> bool {
    let map = node.get("metadata").and_then(|metadata| metadata.get(kind));
    map.and_then(|map| map.get(key)).is_some()
}

fn is_cordoned(node: &Value) -> bool {
    node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true)
}

fn has_taint(node: &Value, key: &str) -> bool {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    taints.into_iter().flatten().any(|taint| {
        let text = |field: &str| taint.get(field).and_then(Value::as_str).unwrap_or_default();
        !key.is_empty() && text("key") == key && text("effect") == EFFECT
    })
}

/// The keys of the labels that kured sets before and after a reboot.
fn labels(settings: &Settings) -> Vec<String> {
    let mut keys: Vec<String> = [Flag::PreRebootNodeLabels, Flag::PostRebootNodeLabels]
        .into_iter()
        .flat_map(|flag| settings.list(flag))
        .map(|label| label.split('=').next().unwrap_or_default().to_owned())
        .filter(|key| !key.is_empty())
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kured::source::{Arg, Source};

    #[test]
    fn each_trace_that_a_node_carries_has_its_command_and_no_other() {
        let args = [
            "--pre-reboot-node-labels=phase=reboot,team=ops",
            "--post-reboot-node-labels=phase=done",
            "--prefer-no-schedule-taint=weave.works/kured-node-reboot",
        ];
        let source = Source {
            args: args.iter().map(|arg| Arg::from(*arg)).collect(),
            ..Source::default()
        };
        let settings = Settings::read(&source).unwrap();
        let taint = |effect: &str| json!([{ "key": "weave.works/kured-node-reboot", "effect": effect }]);
        let nodes = [
            json!({ "metadata": { "name": "n1", "annotations": { IN_PROGRESS: "x" }, "labels": { "phase": "done" } },
                    "spec": { "unschedulable": true } }),
            json!({ "metadata": { "name": "n2", "annotations": { ANNOTATIONS[1]: "x" }, "labels": { "phase": "done" } },
                    "spec": { "taints": taint("PreferNoSchedule") } }),
            json!({ "metadata": { "name": "n3" }, "spec": { "unschedulable": true, "taints": taint("NoSchedule") } }),
        ];
        let commands: Vec<String> = of_nodes(&nodes, &settings)
            .into_iter()
            .map(|trace| trace.command)
            .collect();
        assert_eq!(
            commands,
            [
                "kubectl uncordon n1",
                "kubectl annotate node n1 weave.works/kured-reboot-in-progress-",
                "kubectl annotate node n2 weave.works/kured-most-recent-reboot-needed-",
                "kubectl label node n1 n2 phase-",
                "kubectl taint node n2 weave.works/kured-node-reboot:PreferNoSchedule-",
            ]
        );
        assert_eq!(of_nodes(&nodes[2..], &settings), []);
    }
}

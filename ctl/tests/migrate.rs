//! `kubectl reboots migrate`: three configurations of kured as teams have them, and a kured in the cluster.
//!
//! `BLESS=1` writes the expected outputs again.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "tests; the general allowance leaves out their helpers"
)]

mod run;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::run::{path_with, reboots, run, stand_in_for_kubectl};

/// Each has its expected report beside it.
const CONFIGURATIONS: [&str; 3] = ["manifest", "values", "release"];

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate").join(name)
}

async fn migrate(file: &Path, more: &[&str]) -> String {
    let args = [&["migrate", "--file", file.to_str().unwrap(), "--print"], more].concat();
    let (code, out, error) = run(reboots(&args)).await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{file:?}");
    out
}

#[tokio::test]
async fn real_configurations_have_the_expected_reports() {
    for name in CONFIGURATIONS {
        let report = migrate(&place(&format!("{name}.yaml")), &[]).await;
        let expected = place(&format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &report).unwrap();
        }
        assert_eq!(report, fs::read_to_string(&expected).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn every_printed_policy_passes_policy_check() {
    let folder = tempfile::tempdir().unwrap();
    for name in CONFIGURATIONS {
        let policy = folder.path().join("policy.yaml");
        fs::write(
            &policy,
            migrate(&place(&format!("{name}.yaml")), &["-o", "policy"]).await,
        )
        .unwrap();
        let (code, out, error) = run(reboots(&["policy", "check", policy.to_str().unwrap()])).await;
        assert_eq!((code, error.as_str()), (Some(0), ""), "{name}: {out}");
        assert!(out.contains("window ") && !out.contains("WARNING"), "{name}: {out}");
    }
}

#[tokio::test]
async fn json_names_each_flag_with_its_counterpart() {
    let out = migrate(&place("values.yaml"), &["-o", "json"]).await;
    let json: Value = serde_json::from_str(&out).unwrap();
    let flags = json["flags"].as_array().unwrap();
    let force = flags.iter().find(|flag| flag["flag"] == "force-reboot").unwrap();
    assert_eq!(force["counterpart"], "none");
    assert_eq!(json["policy"]["spec"]["windows"][0]["timeZone"], "America/New_York");
    assert_eq!(json["traces"], Value::Null, "the cluster was not asked");
}

#[tokio::test]
async fn a_setting_that_kured_refuses_fails_the_command_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    for (text, expected) in [
        (
            "configuration: { startTime: \"5:00pm\", period: 30 }",
            "  --period: kured cannot read `30`",
        ),
        (
            "configuration: { endTime: noon }",
            "  --end-time: kured cannot read `noon`",
        ),
        ("kind: ConfigMap", "there is no kured in it"),
        ("a: [b", "this is no YAML"),
    ] {
        fs::write(&file, text).unwrap();
        let (code, out, error) = run(reboots(&["migrate", "--file", file.to_str().unwrap(), "--print"])).await;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{text}");
        assert!(error.contains(expected), "{error}");
    }
}

/// A DaemonSet of kured on so many nodes, with this lock.
fn kured(name: &str, nodes: u32, lock: Option<&str>) -> Value {
    let annotations = lock.map_or_else(|| json!({}), |lock| json!({ "weave.works/kured-node-lock": lock }));
    json!({
        "kind": "DaemonSet",
        "metadata": { "name": name, "namespace": "kube-system", "annotations": annotations },
        "spec": { "selector": {}, "template": { "spec": { "containers": [
            { "name": "kured", "image": "ghcr.io/kubereboot/kured:1.23.0", "args": ["--concurrency=2"] }
        ] } } },
        "status": { "desiredNumberScheduled": nodes, "currentNumberScheduled": nodes, "numberMisscheduled": 0, "numberReady": nodes },
    })
}

/// Runs `migrate` in a cluster with these DaemonSets, and one node that kured annotated.
async fn in_cluster(daemon_sets: &[Value], args: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let list = |items: Value| json!({ "kind": "List", "items": items }).to_string();
    let annotations = json!({ "weave.works/kured-reboot-in-progress": "2026-11-22T12:00:00Z" });
    let nodes = list(json!([{ "kind": "Node", "metadata": { "name": "n1", "annotations": annotations } }]));
    fs::write(folder.path().join("sets"), list(json!(daemon_sets))).unwrap();
    fs::write(folder.path().join("nodes"), nodes).unwrap();
    let script = format!(
        "case \"$*\" in *'get daemonsets --all-namespaces'*) cat {0}/sets;; *'get nodes'*) cat {0}/nodes;; *) exit 1;; esac",
        folder.path().display()
    );
    stand_in_for_kubectl(folder.path(), &script);
    let mut command = reboots(&[&["migrate"], args].concat());
    command.env("PATH", path_with(folder.path()));
    run(command).await
}

#[tokio::test]
async fn beside_a_kured_that_runs_or_a_held_lock_only_print_translates() {
    let held = r#"{"nodeID":"n9","created":"2026-11-22T12:00:00Z","TTL":0}"#;
    for (set, obstacle) in [
        (
            kured("kured", 3, None),
            "kured kube-system/kured is on 3 node(s): kubectl -n kube-system delete daemonset kured",
        ),
        (
            kured("kured", 0, Some(held)),
            "the lock of kured kube-system/kured is held by n9",
        ),
        (kured("kured", 0, Some("paused")), "held by an unknown holder"),
    ] {
        let (code, out, error) = in_cluster(std::slice::from_ref(&set), &[]).await;
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(error.contains(obstacle) && error.contains("--print"), "{error}");
        let (code, out, error) = in_cluster(&[set], &["--print"]).await;
        assert_eq!((code, error.as_str()), (Some(0), ""));
        assert!(out.contains("BELLWETHER_SLOTS=2"), "{out}");
    }
}

#[tokio::test]
async fn once_kured_is_on_no_node_what_it_left_is_listed_with_commands() {
    let (code, out, _) = in_cluster(&[kured("kured", 0, None)], &[]).await;
    assert_eq!(code, Some(0));
    for command in [
        "kubectl -n kube-system delete daemonset kured\n",
        "kubectl annotate node n1 weave.works/kured-reboot-in-progress-\n",
    ] {
        assert!(out.contains(command), "{command}\n{out}");
    }
    let manifest = place("manifest.yaml");
    let (code, out, _) = in_cluster(&[], &["--file", manifest.to_str().unwrap()]).await;
    assert!(code == Some(0) && !out.contains("delete daemonset"), "{out}");
    let (code, _, error) = in_cluster(&[], &[]).await;
    assert!(code == Some(1) && error.contains("by --file FILE"), "{error}");
}

#[tokio::test]
async fn of_several_kureds_one_is_chosen() {
    let sets = [kured("kured", 0, None), kured("kured-gpu", 0, None)];
    let (code, _, error) = in_cluster(&sets, &[]).await;
    assert_eq!(code, Some(1));
    assert!(
        error.contains("kube-system/kured, kured kube-system/kured-gpu; translate"),
        "{error}"
    );
    let (code, out, _) = in_cluster(&sets, &["--daemon-set", "kube-system/kured-gpu", "-o", "policy"]).await;
    assert!(code == Some(0) && out.contains("kured-gpu"), "{out}");
    let (code, _, error) = in_cluster(&sets, &["--daemon-set", "kube-system/other"]).await;
    assert!(
        code == Some(1) && error.contains("there is no kured kube-system/other"),
        "{error}"
    );
}

#[tokio::test]
async fn a_cluster_that_cannot_be_read_is_no_cluster_without_kured() {
    let folder = tempfile::tempdir().unwrap();
    stand_in_for_kubectl(folder.path(), "echo 'Error from server (Forbidden): no' >&2; exit 1");
    let manifest = place("manifest.yaml");
    let mut command = reboots(&["migrate", "--file", manifest.to_str().unwrap()]);
    command.env("PATH", path_with(folder.path()));
    let (code, out, error) = run(command).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        error.contains("kured may run there: Error from server (Forbidden)"),
        "{error}"
    );
}

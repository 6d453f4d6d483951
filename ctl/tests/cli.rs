//! The built command against schedulers that say what the test wants.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests; the general allowance leaves out their helpers"
)]

mod fake;
mod run;

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};

use crate::fake::Schedulers;
use crate::run::{TEST_TIMEOUT, path_with, reboots, run, stand_in_for_kubectl};

async fn line_with(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, part: &str) {
    let find = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(part) {
                return;
            }
        }
        panic!("the output ended without `{part}`");
    };
    tokio::time::timeout(TEST_TIMEOUT, find).await.unwrap();
}

const STATUS: &str = "Slots taken: 0/1.\n\
    NODE       STATUS   STATE   SINCE   REASON   KERNEL\n\
    worker-1   Ready    Idle    -       -        6.1\n";

#[tokio::test]
async fn a_dead_address_and_a_standby_are_passed_over() {
    let mut schedulers = Schedulers::default();
    let (standby, leader) = (schedulers.start(false).await, schedulers.start(true).await);
    let all = format!("127.0.0.1:1,{standby},{leader}");
    let answer = run(reboots(&["status", "--scheduler", &all])).await;
    assert_eq!(answer, (Some(0), STATUS.to_owned(), String::new()));
}

#[tokio::test]
async fn without_a_leader_each_address_is_named_with_its_problem() {
    let mut schedulers = Schedulers::default();
    let standby = schedulers.start(false).await;
    let (code, out, error) = run(reboots(&["status", "--scheduler", &format!("127.0.0.1:1,{standby}")])).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for part in [
        "127.0.0.1:1: Connection refused",
        "not the leader: scheduler-0 leads",
        "check --scheduler",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_node_is_named_with_its_neighbours() {
    let leader = Schedulers::leader().await;
    let (code, _, error) = run(reboots(&["explain", "wroker-1", "--scheduler", &leader.0])).await;
    assert_eq!(code, Some(1));
    assert_eq!(error, "error: there is no node `wroker-1`; did you mean worker-1?\n");
}

#[tokio::test]
async fn a_rehearsal_fails_unless_every_node_can_be_drained_and_needs_a_node_or_all() {
    let leader = Schedulers::leader().await;
    for subject in ["worker-1", "--all"] {
        let (code, out, error) = run(reboots(&["drain-check", subject, "--scheduler", &leader.0])).await;
        assert_eq!((code, error.as_str()), (Some(1), ""));
        assert!(
            out.contains("worker-1   cannot   0      -        BudgetNeverAllows"),
            "{out}"
        );
        assert!(
            out.ends_with("worker-1: PodDisruptionBudget shop/web never allows an eviction\n"),
            "{out}"
        );
    }
    let json = ["drain-check", "worker-1", "--output=json", "--scheduler", &leader.0];
    let (code, out, _) = run(reboots(&json)).await;
    assert_eq!(code, Some(1));
    let forecasts: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(forecasts.pointer("/0/findings/0/kind").unwrap(), "BudgetNeverAllows");
    let (code, _, error) = run(reboots(&["drain-check", "worker", "--scheduler", &leader.0])).await;
    assert_eq!(code, Some(1));
    assert_eq!(error, "error: there is no node `worker`; did you mean worker-1?\n");
    for wrong in [&["drain-check"][..], &["drain-check", "worker-1", "--all"]] {
        let (code, _, error) = run(reboots(&[wrong, &["--scheduler", &leader.0]].concat())).await;
        assert_eq!(code, Some(2), "{error}");
    }
}

#[tokio::test]
async fn orders_carry_the_name_of_the_operator() {
    let leader = Schedulers::leader().await;
    let (code, out, _) = run(reboots(&["pause", "--reason", "release day", "--scheduler", &leader.0])).await;
    assert_eq!(code, Some(0));
    assert!(out.starts_with("Paused by anna: release day\n"), "{out}");
    assert!(out.contains("worker-9"), "{out}");
    let cancel = ["cancel", "worker-1", "--reason", "now", "--scheduler", &leader.0];
    let (code, _, error) = run(reboots(&cancel)).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("nothing to cancel"), "{error}");
    let (code, out, _) = run(reboots(&["pause", "--scheduler", &leader.0])).await;
    assert_eq!(code, Some(0), "at 3 a.m. a reason can come later");
    assert!(out.starts_with("Paused by anna\n"), "{out}");
}

#[tokio::test]
async fn a_standing_order_is_shown_as_the_scheduler_has_stored_it() {
    let leader = Schedulers::leader().await;
    fn at<'a>(leader: &'a str, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--scheduler", leader]].concat()
    }
    let leader = leader.0.as_str();
    for (args, line) in [
        (
            &["hold", "n1", "--reason", "disks"][..],
            "Held: node n1, by anna: disks\nit lasts.\n",
        ),
        (
            &["pause", "--policy", "nights", "--for", "2h"],
            "Paused: policy nights, by anna\nit lasts 7200 seconds.\n",
        ),
        (&["pause", "--for", "90m"], "Paused, by anna\nit lasts 5400 seconds.\n"),
        (
            &["approve", "n1", "--for", "1h30m"],
            "Approved: node n1, by anna\nit lasts 5400 seconds.\n",
        ),
        (
            &["approve", "--policy", "nights"],
            "Approved: policy nights, by anna\nit lasts.\n",
        ),
        (
            &["skip", "n1", "--reason", "retired"],
            "Skipped: node n1, by anna: retired\nit lasts.\n",
        ),
        (&["now", "n1"], "To be rebooted now: node n1, by anna\nit lasts.\n"),
    ] {
        let (code, out, error) = run(reboots(&at(leader, args))).await;
        assert_eq!((code, &*out), (Some(0), line), "{error}");
    }
    for args in [
        &["release", "n1"][..],
        &["approve", "n1", "--revoke"],
        &["now", "n1", "--revoke"],
        &["resume", "--policy", "nights"],
    ] {
        let (code, _, error) = run(reboots(&at(leader, args))).await;
        assert_eq!(code, Some(1));
        assert!(error.contains("there is no such order"), "{error}");
    }
    let wrong = [
        &["approve"][..],
        &["approve", "n1", "--policy", "nights"],
        &["hold", "n1", "--for", "soon"],
    ];
    for args in wrong {
        let (code, _, error) = run(reboots(&at(leader, args))).await;
        assert_eq!(code, Some(2), "{error}");
    }
}

#[tokio::test]
async fn a_release_ends_hold_and_skip_and_names_what_still_stands() {
    let leader = Schedulers::leader().await;
    for (node, code, shown, errors) in [
        ("held", 0, "The hold has ended.\nand its annotation stands\n", ""),
        ("skipped", 0, "The skip has ended.\n", ""),
        ("free", 1, "", "error: there is no such order\n"),
        (
            "annotated",
            1,
            "The hold has ended.\nand its annotation stands\n",
            "remove the annotation",
        ),
        ("older", 0, "The hold has ended.\nand its annotation stands\n", ""),
    ] {
        let (found, out, error) = run(reboots(&["release", node, "--scheduler", &leader.0])).await;
        assert_eq!((found, &*out), (Some(code), shown), "{error}");
        assert!(
            error.contains(errors) && error.is_empty() == errors.is_empty(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn json_is_json() {
    let leader = Schedulers::leader().await;
    for verb in [&["status"][..], &["explain", "worker-1"]] {
        let args = [verb, &["-o", "json", "--scheduler", &leader.0]].concat();
        let (code, out, _) = run(reboots(&args)).await;
        assert_eq!(code, Some(0));
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        let node = value.get("node").or_else(|| value.pointer("/nodes/0")).unwrap();
        assert_eq!(node["name"], "worker-1");
    }
}

#[tokio::test]
async fn a_watch_reports_a_lost_scheduler_and_continues() {
    let leader = Schedulers::leader().await;
    let mut watch = reboots(&["watch", "--scheduler", &leader.0]);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    line_with(&mut events, "worker-1  Cordoned").await;
    line_with(&mut notes, "Lost the scheduler, trying again").await;
    line_with(&mut notes, "again; `kubectl reboots explain NODE`").await;
    line_with(&mut events, "worker-1  Cordoned").await;
}

#[tokio::test]
async fn a_watched_status_outlives_a_change_of_leader() {
    let (address, schedulers) = Schedulers::leader().await;
    let mut watch = reboots(&["status", "--watch", "--scheduler", &address]);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut tables = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    line_with(&mut tables, "worker-1   Ready").await;
    schedulers.lead(false);
    line_with(&mut notes, "Lost the scheduler, trying again").await;
    schedulers.lead(true);
    line_with(&mut notes, "Reached the scheduler again").await;
}

#[tokio::test]
#[cfg(unix)]
async fn without_an_address_kubectl_opens_the_way_and_is_ended() {
    let leader = Schedulers::leader().await;
    let port = leader.0.rsplit(':').next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let forward = format!(
        "case \"$*\" in\n\
         *'--context blue get lease bellwether-scheduler'*) printf scheduler-0;;\n\
         *'port-forward --address=127.0.0.1 pod/scheduler-0 0:9090'*) echo $$ > {pid}\n\
         echo 'Forwarding from 127.0.0.1:{port} -> 9090'; exec sleep 120;;\n\
         *) echo \"unexpected: $*\" >&2; exit 1;;\n\
         esac",
        pid = pid.display()
    );
    stand_in_for_kubectl(folder.path(), &forward);
    let mut command = reboots(&["status", "--context", "blue"]);
    command.env("PATH", path_with(folder.path()));
    assert_eq!(run(command).await, (Some(0), STATUS.to_owned(), String::new()));
    let pid = std::fs::read_to_string(pid).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    // The process is gone, or its parent has not waited for it yet: a zombie.
    let ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    let end = async {
        while !ended() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let end = tokio::time::timeout(TEST_TIMEOUT, end).await;
    assert!(end.is_ok(), "kubectl still runs after {TEST_TIMEOUT:?}");
}

#[tokio::test]
#[cfg(unix)]
async fn a_failure_of_kubectl_is_reported_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut missing = reboots(&["status"]);
    missing.env("PATH", folder.path());
    let (code, _, error) = run(missing).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot run kubectl: install it or give"), "{error}");

    stand_in_for_kubectl(folder.path(), "echo 'Error from server (Forbidden): no' >&2; exit 1");
    let mut forbidden = reboots(&["status"]);
    forbidden.env("PATH", path_with(folder.path()));
    let (_, _, error) = run(forbidden).await;
    assert!(
        error.contains("namespace bellwether") && error.contains("(Forbidden): no"),
        "{error}"
    );
}

const POLICY: &str = "apiVersion: bellwether.dev/v1alpha1\n\
    kind: RebootPolicy\n\
    metadata: { name: nights }\n\
    spec: { windows: [{ days: [Mon-Fri], start: \"22:00\", end: \"05:00\" }] }\n";

#[tokio::test]
async fn a_policy_is_read_without_a_cluster_and_a_mistake_fails_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policies.yaml");
    let shown = file.to_str().unwrap();
    std::fs::write(&file, POLICY).unwrap();
    let (code, out, error) = run(reboots(&["policy", "check", shown, "--at", "2026-12-10T12:00:00Z"])).await;
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(out.starts_with("policy nights\n"), "{out}");
    assert!(out.contains("Mon-Fri 22:00 to 05:00 of the next day, UTC"), "{out}");

    std::fs::write(&file, POLICY.replace("22:00", "10pm")).unwrap();
    let (code, out, _) = run(reboots(&["policy", "check", shown])).await;
    assert_eq!(code, Some(1));
    assert!(out.contains("spec.windows[0].start: `10pm`"), "{out}");

    for (text, expected) in [
        ("a: [b", "this is no YAML"),
        ("kind: Secret", "no file has an object of the kind"),
    ] {
        std::fs::write(&file, text).unwrap();
        let (code, _, error) = run(reboots(&["policy", "check", shown])).await;
        assert_eq!(code, Some(1));
        assert!(error.contains(expected), "{error}");
    }
    let (code, _, error) = run(reboots(&["policy", "check", "missing.yaml"])).await;
    assert!(code == Some(1) && error.contains("cannot read missing.yaml"), "{error}");
}

#[tokio::test]
#[cfg(unix)]
async fn the_nodes_that_a_policy_would_govern_are_those_of_the_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policies.yaml");
    std::fs::write(&file, POLICY).unwrap();
    let node = |name: &str| format!(r#"{{"kind":"Node","metadata":{{"name":"{name}","labels":{{}}}}}}"#);
    let nodes = format!(r#"{{"kind":"List","items":[{},{}]}}"#, node("n1"), node("n2"));
    let script =
        format!("case \"$*\" in *\"get nodes\"*) echo '{nodes}';; *) echo '{{\"kind\":\"List\",\"items\":[]}}';; esac");
    stand_in_for_kubectl(folder.path(), &script);
    let mut check = reboots(&["policy", "check", file.to_str().unwrap(), "--cluster"]);
    check.env("PATH", path_with(folder.path()));
    let (code, out, error) = run(check).await;
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let expected = "\
nodes of the cluster
  governed  by nights: n1, n2
  order     of nights, if every node needed a reboot: n1, n2
";
    assert!(out.ends_with(expected), "{out}");
}

#[tokio::test]
async fn the_policy_of_the_readme_has_no_mistake_and_about_fifteen_lines() {
    let (_, rest) = include_str!("../../README.md")
        .split_once("```yaml\napiVersion: bellwether.dev")
        .unwrap();
    let (rest, _) = rest.split_once("```").unwrap();
    let policy = format!("apiVersion: bellwether.dev{rest}");
    assert!(policy.lines().count() <= 18, "{policy}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, &policy).unwrap();
    let check = [
        "policy",
        "check",
        file.to_str().unwrap(),
        "--at",
        "2026-11-02T12:00:00Z",
    ];
    let (code, out, error) = run(reboots(&check)).await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("opening ") && !out.contains("WARNING"), "{out}");
}

#[tokio::test]
async fn saved_nodes_stand_in_for_a_cluster_and_bring_their_policies() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, nodes) = (path("policies.yaml"), path("nodes.json"));
    std::fs::write(&file, POLICY).unwrap();
    let list = r#"{"kind":"List","items":[
        {"kind":"Node","metadata":{"name":"n1","labels":{"pool":"a"}}},
        {"kind":"Node","metadata":{"name":"n2"}},
        {"apiVersion":"bellwether.dev/v1alpha1","kind":"RebootPolicy","metadata":{"name":"pool-a"},
         "spec":{"priority":1,"nodeSelector":{"matchLabels":{"pool":"a"}}}}
    ]}"#;
    std::fs::write(&nodes, list).unwrap();
    let (code, out, error) = run(reboots(&["policy", "check", &file, "--nodes", &nodes])).await;
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let expected = format!(
        "\
nodes of {nodes}
  governed  by nights: n2
  order     of nights, if every node needed a reboot: n2
  governed  by pool-a: n1
  order     of pool-a, if every node needed a reboot: n1
"
    );
    assert!(out.ends_with(&expected), "{out}");

    std::fs::write(&nodes, "kind: List\nitems: []\n").unwrap();
    let (code, _, error) = run(reboots(&["policy", "check", &file, "--nodes", &nodes])).await;
    assert!(
        code == Some(1) && error.contains("no object of the kind Node"),
        "{error}"
    );
    let (code, _, error) = run(reboots(&["policy", "check", &file, "--nodes", &nodes, "--cluster"])).await;
    assert!(code == Some(2) && error.contains("--cluster"), "{error}");
}

#[tokio::test]
#[cfg(unix)]
async fn a_check_without_kubernetes_reports_that_and_asks_the_scheduler() {
    let leader = Schedulers::leader().await;
    let folder = tempfile::tempdir().unwrap();
    let mut check = reboots(&["check", "--scheduler", &leader.0]);
    check.env("PATH", folder.path());
    let (code, out, error) = run(check).await;
    assert_eq!((code, error.as_str()), (Some(1), ""));
    assert!(
        out.starts_with("problem  Kubernetes          not reached: cannot run kubectl"),
        "{out}"
    );
    assert!(
        out.contains(&format!("ok       leading scheduler   {}", leader.0)),
        "{out}"
    );
    assert!(out.ends_with("1 problem.\n"), "{out}");
}

#[tokio::test]
#[cfg(unix)]
async fn a_check_asks_an_unready_pod_for_its_readiness() {
    let leader = Schedulers::leader().await;
    let folder = tempfile::tempdir().unwrap();
    let pod = serde_json::json!({ "items": [{
        "kind": "Pod",
        "metadata": {
            "name": "drainer-1", "namespace": "bellwether", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "app.kubernetes.io/component": "drainer" },
        },
        "spec": { "containers": [{ "ports": [{ "name": "admin", "containerPort": 8080 }] }] },
        "status": { "phase": "Running", "containerStatuses": [{ "state": { "running": {} } }] },
    }]});
    let admin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = admin.local_addr().unwrap().port();
    let kubectl = format!(
        "case \"$*\" in\n\
         *version*) echo '{{\"serverVersion\":{{\"gitVersion\":\"v1.30.4\"}}}}';;\n\
         *'--namespace bellwether get pods'*) echo '{pod}';;\n\
         *'--namespace bellwether port-forward --address=127.0.0.1 pod/drainer-1 0:8080'*)\n\
         echo 'Forwarding from 127.0.0.1:{port} -> 8080'; exec sleep 120;;\n\
         *) echo '{{\"items\":[]}}';;\n\
         esac"
    );
    stand_in_for_kubectl(folder.path(), &kubectl);
    let mut check = reboots(&["check", "--scheduler", &leader.0]);
    check.env("PATH", path_with(folder.path()));
    let readyz = async {
        let (mut stream, _) = admin.accept().await.unwrap();
        let mut request = [0; 11];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"GET /readyz");
        let answer = b"HTTP/1.0 503 Service Unavailable\r\n\r\nnats: not connected\nrights: missing\n";
        stream.write_all(answer).await.unwrap();
        // All that was asked is read, so that the answer is not cut off by a reset.
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    };
    let ((code, out, _), ()) = tokio::join!(run(check), readyz);
    assert_eq!(code, Some(1));
    for part in [
        "v1.30.4 is too old: Bellwether is tested against 1.33 and newer",
        "not ready: nats: not connected; rights: missing",
        "-> kubectl -n bellwether logs drainer-1",
        "Deployment scheduler",
    ] {
        assert!(out.contains(part), "`{part}`:\n{out}");
    }
}

#[tokio::test]
async fn an_audit_trail_of_several_pages_is_one_list_and_an_old_scheduler_that_cuts_it_is_named() {
    let (leader, _schedulers) = Schedulers::leader().await;
    let (code, out, _) = run(reboots(&["history", "paged", "-o", "csv", "--scheduler", &leader])).await;
    assert_eq!(
        (code, out.matches("OrderGiven,,anna,skip of node paged").count()),
        (Some(0), 2),
        "{out}"
    );
    let (code, _, error) = run(reboots(&["history", "old", "--scheduler", &leader])).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("upgrade"), "{error}");
}

#[tokio::test]
async fn an_audit_trail_that_is_not_whole_fails_with_the_code_and_a_list_of_it_does_not() {
    let (leader, _schedulers) = Schedulers::leader().await;
    let (code, out, _) = run(reboots(&["history", "--verify", "--scheduler", &leader])).await;
    assert_eq!(code, Some(1));
    assert!(out.contains("worker-1   0        HeadMissing"), "{out}");
    let (code, out, _) = run(reboots(&["history", "worker-1", "--scheduler", &leader])).await;
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "The audit trail has no event of this node and time.\n")
    );
    let (code, _, error) = run(reboots(&["history", "--since", "soon", "--scheduler", &leader])).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("write a span such as 12h or 30d"), "{error}");
}

//! What a holder of the drainer's token can do to a Node object under `narrow-rights`, and that no other user notices it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::mark;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use rig::world::{World, WorldOptions};
use rig::{tools, wait};
use serde_json::{Value, json};
use tonic::codegen::http::Request;

use super::{
    APPLY, COMPONENT, Change, EVENTS, GUARD, KARPENTER, LEASES, NODES, PODS, STATUS, client, code, denied, merge,
    patched, set, world,
};
use crate::fleet::DEADLINE;

/// Attempts, by their ids.
const ONE: &str = "0195d2f1-0000-7000-8000-000000000001";
const OTHER: &str = "0195d2f1-0000-7000-8000-000000000002";

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const BY_JSON: &str = "application/json-patch+json";

#[tokio::test(flavor = "multi_thread")]
async fn with_the_drainers_token_a_node_is_cordoned_and_uncordoned_and_nothing_else() -> Result<()> {
    let world = world(WorldOptions {
        nodes: 1,
        // A silent node would get a taint of Kubernetes in between.
        node_grace: Duration::from_secs(600),
        ..WorldOptions::default()
    })
    .await?;
    let name = world.host(0)?.name().to_owned();
    let drainer = client(&world, "drainer").await?;
    let own = json!({
        "metadata": {
            "labels": { "team": "a" },
            "annotations": { "note": "b", KARPENTER: "true", mark::HOLD: "why", mark::APPROVE: "why" },
        },
        "spec": { "taints": [taint("example.com/gpu", "NoSchedule"), taint(mark::WAITS_FOR_REBOOT, "NoExecute")] },
    });
    set(&world, &name, own).await?;

    // A node without a cordon.
    let ours = taint(mark::WAITS_FOR_REBOOT, mark::WAITS_FOR_REBOOT_EFFECT);
    let (gpu, hard) = (
        taint("example.com/gpu", "NoSchedule"),
        taint(mark::WAITS_FOR_REBOOT, "NoExecute"),
    );
    refused(&world, &drainer, &attacks(&world).await?).await?;
    for taints in [json!([gpu, ours]), json!([gpu]), json!([gpu, ours])] {
        patched(&drainer, &name, &merge(json!({ "spec": { "taints": taints } })), false).await??;
    }
    let again = merge(json!({ "spec": { "taints": [gpu, hard] } }));
    denied(&patched(&drainer, &name, &again, true).await?, NODES)?;
    patched(&drainer, &name, &merge(cordon(ONE)), false).await??;

    // One with ours.
    let mut of_another = cordon(OTHER);
    of_another["spec"] = json!({});
    let mut attacks = attacks(&world).await?;
    attacks.extend([
        ("the mark of another attempt", merge(of_another)),
        (
            "the cordon without its mark",
            merge(json!({ "spec": { "unschedulable": null } })),
        ),
        ("a guard with another value", merge(annotate(GUARD, json!("false")))),
        (
            "a list with a foreign guard",
            merge(annotate(mark::GUARDED_BY, json!(format!("{GUARD},{KARPENTER}")))),
        ),
        (
            "a list with a foreign name",
            merge(annotate(mark::GUARDED_BY, json!(format!("{GUARD},note")))),
        ),
        (
            "a label that is in no list",
            merge(json!({ "metadata": { "labels": { mark::OUT_OF_LOAD_BALANCERS: "true" } } })),
        ),
    ]);
    refused(&world, &drainer, &attacks).await?;
    // An operator takes it away and sets one of their own: the mark alone goes.
    for unschedulable in [false, true] {
        world.set_cordon(&name, unschedulable).await?;
    }
    let marks =
        json!({ "metadata": { "annotations": { mark::CORDONED_FOR: null, GUARD: null, mark::GUARDED_BY: null } } });
    patched(&drainer, &name, &merge(marks.clone()), false).await??;

    // One with a foreign cordon, which no step on the way takes away.
    let mut both = marks;
    both["spec"] = json!({ "unschedulable": null });
    let attacks = [
        ("a foreign cordon", merge(json!({ "spec": { "unschedulable": null } }))),
        ("a foreign cordon, with the mark that is not there", merge(both.clone())),
        ("a mark for a foreign cordon", merge(cordon(ONE))),
    ];
    refused(&world, &drainer, &attacks).await?;
    // And one that was left without a cordon, with the mark of an attempt of before.
    world.set_cordon(&name, false).await?;
    set(&world, &name, annotate(mark::CORDONED_FOR, json!(OTHER))).await?;
    patched(&drainer, &name, &merge(cordon(ONE)), false).await??;
    patched(&drainer, &name, &merge(both), false).await??;
    let node = world.node(&name).await?;
    ensure!(
        node.annotations().contains_key(KARPENTER) && node.labels().contains_key("team"),
        "{node:?}"
    );

    others_are_not_touched(&world, &name).await?;
    every_field_of_a_node_is_named(&world).await?;
    world.finish()
}

/// Changes that are refused whatever cordon the node carries; the node as it is.
async fn attacks(world: &World) -> Result<Vec<(&'static str, Change)>> {
    let name = world.host(0)?.name().to_owned();
    let node = world.node(&name).await?;
    let label = |key: &str, value: Value| json!({ "metadata": { "labels": { key: value } } });
    let apply = |labels: Value, spec: Value| {
        let metadata = json!({ "name": name, "labels": labels });
        Change(
            APPLY,
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec }),
        )
    };
    let json_patch = |patch: Value| Change(BY_JSON, patch);
    // The entry of the operator who approved, as if the approval were of a later time.
    let mut fields = serde_json::to_value(node.managed_fields())?;
    for entry in fields.as_array_mut().context("managed fields")? {
        let entry = entry.as_object_mut().context("an entry")?;
        entry.insert("time".to_owned(), json!("2030-01-01T00:00:00Z"));
    }
    let mut with_ours = serde_json::to_value(node.spec.as_ref().and_then(|it| it.taints.clone()).unwrap_or_default())?;
    let taints = with_ours.as_array_mut().context("taints")?;
    let before = taints.len();
    taints.retain(|it| it["key"] != mark::WAITS_FOR_REBOOT || it["effect"] != mark::WAITS_FOR_REBOOT_EFFECT);
    if taints.len() == before {
        taints.push(taint(mark::WAITS_FOR_REBOOT, mark::WAITS_FOR_REBOOT_EFFECT));
    }
    Ok(vec![
        ("a foreign label", merge(label("team", json!("b")))),
        (
            "a new label",
            merge(label("node-role.kubernetes.io/control-plane", json!(""))),
        ),
        ("a label that goes", merge(label("team", Value::Null))),
        ("a foreign annotation", merge(annotate("note", json!("c")))),
        ("an operator's order", merge(annotate(mark::HOLD, Value::Null))),
        (
            "an approval",
            merge(annotate(mark::APPROVE_UNTIL, json!("2030-01-01T00:00:00Z"))),
        ),
        (
            "the time of an approval",
            // With a change that is allowed: the API server takes a change of times alone for none.
            merge(json!({ "metadata": { "managedFields": fields }, "spec": { "taints": with_ours } })),
        ),
        (
            "all managed fields",
            merge(json!({ "metadata": { "managedFields": [{}] } })),
        ),
        ("a guard of another owner", merge(annotate(KARPENTER, Value::Null))),
        ("a cordon without a mark", {
            let schedulable = !node.spec.and_then(|spec| spec.unschedulable).unwrap_or_default();
            // What there is of a cordon goes the other way round.
            merge(json!({ "spec": { "unschedulable": schedulable } }))
        }),
        (
            "a mark without a cordon",
            merge(annotate(mark::CORDONED_FOR, json!(OTHER))),
        ),
        ("a mark that is no attempt", merge(cordon("me"))),
        (
            "a foreign taint",
            merge(json!({ "spec": { "taints": [taint("a", "NoExecute")] } })),
        ),
        ("all taints", merge(json!({ "spec": { "taints": null } }))),
        (
            "a taint of ours that keeps pods away",
            json_patch(json!([
                { "op": "add", "path": "/spec/taints/-", "value": taint(mark::WAITS_FOR_REBOOT, "NoSchedule") },
            ])),
        ),
        (
            "the provider's id",
            merge(json!({ "spec": { "providerID": "rig://other" } })),
        ),
        (
            "addresses of pods",
            merge(json!({ "spec": { "podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"] } })),
        ),
        (
            "a finalizer",
            merge(json!({ "metadata": { "finalizers": ["example.com/mine"] } })),
        ),
        (
            "an owner",
            merge(json!({ "metadata": { "ownerReferences": [
            { "apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": "gone" },
        ] } })),
        ),
        (
            "all annotations by JSON patch",
            json_patch(json!([{ "op": "remove", "path": "/metadata/annotations" }])),
        ),
        (
            "all labels by JSON patch",
            json_patch(json!([{ "op": "replace", "path": "/metadata/labels", "value": {} }])),
        ),
        (
            "labels by a directive",
            Change(
                STRATEGIC,
                json!({ "metadata": { "labels": { "$patch": "replace", "b": "c" } } }),
            ),
        ),
        (
            "annotations by a directive",
            Change(
                STRATEGIC,
                json!({ "metadata": { "annotations": { "$patch": "delete" } } }),
            ),
        ),
        (
            "spec by a directive",
            Change(
                STRATEGIC,
                json!({ "spec": { "$patch": "replace", "providerID": "rig://x" } }),
            ),
        ),
        ("a label by apply", apply(json!({ "mine": "x" }), json!({}))),
        (
            "a cordon by apply",
            apply(json!({}), json!({ "unschedulable": true, "providerID": "rig://x" })),
        ),
    ])
}

/// Fails unless the policy refuses each of these, on trial and for real, and the node stays as it is.
async fn refused(world: &World, drainer: &Client, attacks: &[(&str, Change)]) -> Result<()> {
    let name = world.host(0)?.name().to_owned();
    let spec_and_marks = async || {
        let mut node = world.node(&name).await?;
        let (labels, annotations) = (node.labels().clone(), node.annotations().clone());
        // A moment after a cordon, Kubernetes' own controller sets its taint.
        if let Some(taints) = node.spec.as_mut().and_then(|it| it.taints.as_mut()) {
            taints.retain(|it| !it.key.starts_with("node.kubernetes.io/"));
        }
        anyhow::Ok((node.spec, labels, annotations))
    };
    let before = spec_and_marks().await?;
    for (attack, patch) in attacks {
        for dry_run in [true, false] {
            let answer = patched(drainer, &name, patch, dry_run).await?;
            denied(&answer, NODES).with_context(|| (*attack).to_owned())?;
        }
    }
    let after = spec_and_marks().await?;
    ensure!(after == before, "the node has changed: {before:?}, {after:?}");

    // What RBAC alone refuses, and what has no effect.
    let nodes = Api::<Node>::all(drainer.clone());
    let status = json!({ "status": { "conditions": [], "capacity": { "cpu": "0" } } });
    let params = PatchParams::default();
    let by_rbac = nodes.patch_status(&name, &params, &Patch::Merge(&status)).await;
    ensure!(code(by_rbac) == 403, "the status was patched");
    ensure!(code(nodes.delete(&name, &DeleteParams::default()).await) == 403);
    let all = (DeleteParams::default(), ListParams::default());
    ensure!(code(nodes.delete_collection(&all.0, &all.1).await) == 403);
    let newcomer = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "newcomer" } });
    let newcomer = Change(APPLY, newcomer);
    let body = Api::<Node>::all(world.client()).get(&name).await?;
    ensure!(code(nodes.replace(&name, &PostParams::default(), &body).await) == 403);
    ensure!(code(patched(drainer, "newcomer", &newcomer, false).await?) == 403);
    let request = Request::get(format!("/api/v1/nodes/{name}/proxy/pods")).body(vec![])?;
    ensure!(code(drainer.request_text(request).await) == 403);
    nodes.patch(&name, &params, &Patch::Merge(&status)).await?;
    let conditions = world.node(&name).await?.status.and_then(|it| it.conditions);
    ensure!(
        conditions.is_some_and(|it| !it.is_empty()),
        "the status has changed with the node"
    );
    Ok(())
}

/// An administrator, the node's kubelet and the cluster autoscaler change what they always change.
async fn others_are_not_touched(world: &World, name: &str) -> Result<()> {
    let kubectl = world.kubectl()?;
    let autoscaler = "--as=system:serviceaccount:kube-system:cluster-autoscaler";
    let bind = [
        "create",
        "clusterrolebinding",
        "autoscaler",
        "--clusterrole=cluster-admin",
    ];
    let bind = [&bind[..], &["--serviceaccount=kube-system:cluster-autoscaler"]].concat();
    kubectl.run(&bind, "").await?;
    let kubelet = [format!("--as=system:node:{name}"), "--as-group=system:nodes".to_owned()];
    let kubelet: Vec<&str> = kubelet.iter().map(String::as_str).collect();
    for user in [&[][..], &kubelet, &[autoscaler]] {
        let guard = format!("{GUARD}=true");
        for args in [
            &["label", "node", name, "team=b", "--overwrite"][..],
            &["annotate", "node", name, &guard],
        ] {
            kubectl.run(&[args, user].concat(), "").await?;
        }
        kubectl
            .run(&[&["annotate", "node", name, &format!("{GUARD}-")], user].concat(), "")
            .await?;
    }
    for args in [["cordon", name], ["uncordon", name]] {
        kubectl.run(&[&args[..], &[autoscaler]].concat(), "").await?;
    }
    let tainted = [
        "taint",
        "node",
        name,
        "ToBeDeletedByClusterAutoscaler=1:NoSchedule",
        autoscaler,
    ];
    kubectl.run(&tainted, "").await.map(drop)
}

/// The policy names each field of a Node that this API server knows, apart from those that it keeps by itself.
async fn every_field_of_a_node_is_named(world: &World) -> Result<()> {
    const KEPT: [&str; 11] = [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generateName",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let api: Value = world
        .client()
        .request(Request::get("/openapi/v3/api/v1").body(vec![])?)
        .await?;
    for (file, of, prefix) in [
        ("drainer-nodes.yaml", "io.k8s.api.core.v1.NodeSpec", "object.?spec.?"),
        (
            "drainer-nodes.yaml",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            "object.metadata.?",
        ),
        (
            "scheduler-nodes.yaml",
            "io.k8s.api.core.v1.NodeStatus",
            "object.?status.?",
        ),
        (
            "scheduler-nodes.yaml",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            "object.metadata.?",
        ),
    ] {
        let policy = fs::read_to_string(tools::repository().join(COMPONENT).join(file))?;
        let fields = api
            .pointer(&format!("/components/schemas/{of}/properties"))
            .and_then(Value::as_object);
        let fields: BTreeSet<&str> = fields.context(of)?.keys().map(String::as_str).collect();
        ensure!(fields.len() > 5, "{fields:?}");
        for field in fields {
            let is_kept = prefix == "object.metadata.?" && KEPT.contains(&field);
            ensure!(
                is_kept || policy.contains(&format!("{prefix}{field}")),
                "{of}.{field} is not named"
            );
        }
    }
    // The controller reports there what it does not understand.
    let policies = Api::<ValidatingAdmissionPolicy>::all(world.client());
    for name in [NODES, PODS, EVENTS, LEASES, STATUS] {
        let checked = wait::until("the policy's types to be checked", DEADLINE, async || {
            let status = policies.get(name).await?.status.unwrap_or_default();
            status.type_checking.context("not yet")
        });
        let warnings = checked.await?.expression_warnings.unwrap_or_default();
        ensure!(warnings.is_empty(), "{name}: {warnings:?}");
    }
    Ok(())
}

/// The cordon of an attempt with one guard, as the drainer sets it.
fn cordon(attempt: &str) -> Value {
    json!({
        "metadata": { "annotations": { mark::CORDONED_FOR: attempt, GUARD: "true", mark::GUARDED_BY: GUARD } },
        "spec": { "unschedulable": true },
    })
}

fn annotate(key: &str, value: Value) -> Value {
    json!({ "metadata": { "annotations": { key: value } } })
}

fn taint(key: &str, effect: &str) -> Value {
    json!({ "key": key, "effect": effect })
}

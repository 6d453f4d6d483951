//! Which pods go.

use std::time::Duration;

use anyhow::Result;
use rig::wait;
use serde_json::{Value, json};

use crate::case::{Case, owner};
use crate::check::{Check, expect};
use crate::observe::shown;
use crate::stage::{DAEMON_SET_KIND, Stage};

const STATIC: &str = "| static: annotation `kubernetes.io/config.mirror`, or a controller of kind `Node` | stays |";
const FINISHED: &str = "| finished (`Succeeded`, `Failed`, or a deletion timestamp and each container ended), unless it has \
    a deletion timestamp and no finalizer | stays |";
const DAEMON: &str = "| controlled (`controller: true`) by a DaemonSet of `apps` or `apps.kruise.io`, an \
    ExtendedDaemonSetReplicaSet of `datadoghq.com`, or a kind that `BELLWETHER_DRAINER_DAEMON_SET_KINDS` names";
const ROUNDS: &str = "Evict all that came back in at most 3 rounds for each owner";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-PODS-01", STATIC, |stage| Box::pin(mirrored(stage))),
        Check::must("D-PODS-02", FINISHED, |stage| Box::pin(finished(stage))),
        Check::must("D-PODS-03", DAEMON, |stage| Box::pin(daemon_sets(stage))),
        Check::must(
            "D-PODS-04",
            "| annotation `bellwether.dev/stays: \"true\"` | stays |",
            |stage| Box::pin(annotated(stage)),
        ),
        Check::must(
            "D-PODS-05",
            "| any other | evict, unless the pod came back often enough |",
            |stage| Box::pin(all_others(stage)),
        ),
        Check::must("D-PODS-06", ROUNDS, |stage| Box::pin(comes_back(stage))).slow(),
    ]
}

/// Pods with these changes stay, and the node is drained.
async fn stay(stage: &Stage, all: Vec<Value>) -> Result<()> {
    let case = Case::new(stage).await?;
    for (number, changes) in all.iter().enumerate() {
        case.pod(&format!("p{number}"), changes.clone()).await?;
    }
    case.drain().await?;
    case.drained().await?;
    expect(case.evictions().is_empty(), "no eviction", || shown(&case.evictions()))
}

/// Pods with these changes are evicted.
async fn go(stage: &Stage, all: Vec<Value>) -> Result<()> {
    let case = Case::new(stage).await?;
    for (number, changes) in all.iter().enumerate() {
        case.pod(&format!("p{number}"), changes.clone()).await?;
    }
    case.drain().await?;
    case.drained().await?;
    for number in 0..all.len() {
        let name = format!("p{number}");
        expect(
            !case.has_pod(&name).await?,
            "that each pod is gone before drained",
            || format!("still there: {:?}", all.get(number)),
        )?;
    }
    Ok(())
}

fn controlled(version: &str, kind: &str) -> Value {
    json!({ "metadata": { "ownerReferences": [owner(version, kind, "owner")] } })
}

async fn mirrored(stage: &Stage) -> Result<()> {
    let mirror = json!({ "metadata": {
        "annotations": { "kubernetes.io/config.mirror": "x" }, "ownerReferences": null,
    }});
    stay(stage, vec![mirror, controlled("v1", "Node")]).await
}

async fn finished(stage: &Stage) -> Result<()> {
    stay(
        stage,
        vec![
            json!({ "status": { "phase": "Succeeded" } }),
            json!({ "status": { "phase": "Failed" } }),
        ],
    )
    .await
}

async fn daemon_sets(stage: &Stage) -> Result<()> {
    let (group, kind) = DAEMON_SET_KIND.split_once('/').unwrap_or_default();
    stay(
        stage,
        vec![
            controlled("apps/v1", "DaemonSet"),
            controlled("apps.kruise.io/v1alpha1", "DaemonSet"),
            controlled("datadoghq.com/v1alpha1", "ExtendedDaemonSetReplicaSet"),
            controlled(&format!("{group}/v7"), kind),
        ],
    )
    .await
}

async fn annotated(stage: &Stage) -> Result<()> {
    stay(
        stage,
        vec![json!({ "metadata": { "annotations": { "bellwether.dev/stays": "true" } } })],
    )
    .await
}

async fn all_others(stage: &Stage) -> Result<()> {
    let mut no_controller = owner("apps/v1", "DaemonSet", "owner");
    if let Some(fields) = no_controller.as_object_mut() {
        fields.insert("controller".to_owned(), json!(false));
    }
    go(
        stage,
        vec![
            json!({ "metadata": { "ownerReferences": null } }),
            json!({ "metadata": { "ownerReferences": [no_controller] } }),
            controlled("example.com/v1", "DaemonSet"),
            json!({ "metadata": { "annotations": { "bellwether.dev/stays": "false" } } }),
            json!({ "status": { "phase": "Pending", "conditions": null } }),
            json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } }),
            json!({ "spec": { "volumes": [{ "name": "scratch", "emptyDir": {} }] } }),
            json!({ "spec": { "priorityClassName": "system-node-critical" } }),
        ],
    )
    .await
}

/// An owner that puts a pod back onto the node at once, whatever is evicted.
async fn comes_back(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let own =
        json!({ "metadata": { "ownerReferences": [owner("apps/v1", "ReplicaSet", &format!("set-{}", case.tag))] } });
    // Without it the first pod could be gone before the drain looks.
    let mut last = "n0".to_owned();
    case.pod(&last, own.clone()).await?;
    case.drain().await?;
    let mut number = 0;
    let end = wait::until("the event drained", Duration::from_secs(90), async || {
        if case.is_drained()? {
            return Ok(());
        }
        if !case.has_pod(&last).await? {
            number += 1;
            last = format!("n{number}");
            case.pod(&last, own.clone()).await?;
        }
        anyhow::bail!("{number} pods came back")
    });
    end.await?;
    let evicted = (0..=number)
        .filter(|number| !case.evictions_of(&format!("n{number}")).is_empty())
        .count();
    expect(
        evicted <= 4,
        "four pods evicted at most: the first, and one in each of 3 rounds",
        || evicted.to_string(),
    )
}

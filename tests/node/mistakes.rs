//! An installation with every mistake that operators make: nothing crash-loops, no node
//! is touched, `check` names each thing with its remedy; and the right overlay, applied over it,
//! fixes it.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use rig::findings::Findings;
use rig::wait;

use crate::artefacts::or_error;
use crate::cluster::{Cluster, DEADLINE};
use crate::overlay::{ABSENT_DIRECTORY, ABSENT_SECRET, Overlay};

/// The findings that `check` has to report.
fn named(findings: &Findings) -> Result<()> {
    let remedy = findings.remedy(&format!("secret \"{ABSENT_SECRET}\" not found"))?;
    let make = format!("kubectl -n bellwether-agents create secret generic {ABSENT_SECRET} ");
    ensure!(remedy.starts_with(&make), "{remedy}");
    let directory = format!("hostPath type check failed: {ABSENT_DIRECTORY} is not a directory");
    let remedy = findings.remedy(&directory)?;
    ensure!(remedy.starts_with("make it on the host"), "{remedy}");
    findings.remedy("2 pods of scheduler: not ready: nats: not connected to ")?;
    // No scheduler leads, so none has published the keys of records either.
    findings.remedy("2 pods of drainer: not ready: keys: there are no keys to verify by")?;
    findings.has("RecordKeysNotPublished")
}

/// Applies it, and looks as an operator would.
pub(crate) async fn are_named(cluster: &Cluster) -> Result<()> {
    cluster.send(&Overlay::with_mistakes("mistakes")).await?;
    // The agents never will: their volumes cannot be mounted.
    wait::until("scheduler and drainer to run", DEADLINE, async || {
        let pods = cluster.pods().await?;
        let running = |pod: &&Pod| pod.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Running");
        let running = pods.iter().filter(running).count();
        ensure!(running == 4, "{running} of 4 pods run");
        Ok(())
    })
    .await?;
    cluster.wait_findings("check", named).await?;
    let printed = or_error(cluster.reboots(&["check"]).await);
    cluster.keep("0-mistakes-check", &printed)?;
    for pod in cluster.pods().await? {
        let statuses = pod.status.iter().flat_map(|it| it.container_statuses.iter().flatten());
        let restarts: i32 = statuses.map(|it| it.restart_count).sum();
        ensure!(restarts == 0, "{} was restarted", pod.name_any());
    }
    for machine in cluster.machines() {
        let node = machine.name();
        ensure!(cluster.nodes.cordons(&node) == 0, "{node} was cordoned");
        ensure!(cluster.boots(&node).await? == 1, "{node} was rebooted");
    }
    Ok(())
}

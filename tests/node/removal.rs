//! The removal, step by step as docs/remove.md says: nothing of Bellwether is left behind.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use rig::findings::Findings;
use rig::record::node_state;
use rig::wait;

use crate::cluster::{Cluster, DEADLINE};
use crate::overlay::Overlay;

/// The marks that users and programs can leave on a node; names only, since some values change by
/// themselves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    cordoned: bool,
    annotations: BTreeSet<String>,
    labels: BTreeSet<String>,
    taints: BTreeSet<String>,
    conditions: BTreeSet<String>,
}

impl Marks {
    fn of(node: &Node) -> Self {
        let conditions = node.status.iter().flat_map(|it| it.conditions.iter().flatten());
        let taints = node.spec.iter().flat_map(|it| it.taints.iter().flatten());
        Self {
            cordoned: node_state(node).cordoned,
            annotations: node.annotations().keys().cloned().collect(),
            labels: node.labels().keys().cloned().collect(),
            taints: taints.map(|it| it.key.clone()).collect(),
            conditions: conditions.map(|it| it.type_.clone()).collect(),
        }
    }
}

/// The marks of all nodes once each of them has settled, in the order of their names. Before that a node
/// may still have a mark of its boot, such as the taint `node.kubernetes.io/not-ready`.
pub(crate) async fn settled_marks(cluster: &Cluster) -> Result<Vec<Marks>> {
    for machine in cluster.machines() {
        cluster.wait_ready(&machine.name()).await?;
    }
    marks(cluster).await
}

async fn marks(cluster: &Cluster) -> Result<Vec<Marks>> {
    let mut all = vec![];
    for machine in cluster.machines() {
        all.push(Marks::of(&cluster.node(&machine.name()).await?));
    }
    Ok(all)
}

/// Removes what an overlay has brought; `before` was before anything of Bellwether was there.
pub(crate) async fn leaves_nothing(cluster: &Cluster, overlay: &Overlay, before: &[Marks]) -> Result<()> {
    cluster.reboots(&["pause", "--reason", "removal"]).await?;
    let safe = |found: &Findings| found.no_problem().and_then(|()| found.says("safe to remove now"));
    cluster.wait_findings("uninstall-check", safe).await?;
    cluster.withdraw(overlay).await?;
    let found = cluster.findings("uninstall-check").await?;
    found.in_order()?;
    found.says("nothing of Bellwether is left in this cluster")?;
    // The Node objects agree.
    wait::until("the nodes to be as they were", DEADLINE, async || {
        let now = marks(cluster).await?;
        ensure!(now == before, "they were {before:#?}, and are {now:#?}");
        Ok(())
    })
    .await
}

//! Bellwether on real nodes: two virtual machines with systemd, containerd and kubelet, installed
//! with one `kubectl apply -k`, rebooted through their logind or by another method. `cargo xtask test node`
//! prepares and runs a story; each is a test of its name here.
//!
//! Stories are long, since a machine takes a minute to boot: each step begins where the one before ended.

mod apparmor;
mod artefacts;
mod cluster;
mod evidence;
mod faults;
mod install;
mod limit;
mod methods;
mod mistakes;
mod nats;
mod operator;
mod overlay;
mod removal;
mod roll;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rig::place::Place;
use rig::tools;

use artefacts::Artefacts;
use cluster::Cluster;
use limit::{Limit, TimeIsUp};
use overlay::Overlay;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs virtual machines: `cargo xtask test node`"]
async fn whole() -> Result<()> {
    on_machines(async |cluster: &Cluster| Box::pin(story(cluster)).await).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs virtual machines: `cargo xtask test node --story methods`"]
async fn methods() -> Result<()> {
    on_machines(async |cluster: &Cluster| Box::pin(methods::story(cluster)).await).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs virtual machines: `cargo xtask test node --story faults`"]
async fn faults() -> Result<()> {
    on_machines(async |cluster: &Cluster| Box::pin(faults::story(cluster)).await).await
}

async fn on_machines(story: impl AsyncFnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let artefacts = Artefacts::fresh()?;
    let place = Arc::new(Place::new()?);
    let result = Box::pin(run(Arc::clone(&place), &artefacts, story)).await;
    if let Err(error) = &result {
        if let Some(time_is_up) = error.downcast_ref::<TimeIsUp>() {
            print_stopped(time_is_up);
            place.finish();
            return Ok(());
        }
        artefacts.keep_logs(&place)?;
    }
    // The artefacts have all that a reader needs; the disks of the machines are only large.
    place.finish();
    result.with_context(|| format!("see {}", artefacts.folder().display()))
}

/// Every step so far has passed; the rest was not run.
#[allow(clippy::print_stdout, reason = "no reader may take it for the whole story")]
fn print_stopped(time_is_up: &TimeIsUp) {
    println!("== node: STOPPED: {time_is_up}; this step and those after it were NOT tested");
}

async fn run(place: Arc<Place>, artefacts: &Artefacts, story: impl AsyncFnOnce(&Cluster) -> Result<()>) -> Result<()> {
    // When machines of another day behave in another way, compare these first.
    let packages = std::fs::read_to_string(tools::tool("node-image/versions")?)?;
    artefacts.keep("0-packages", &packages)?;
    let limit = Limit::from_env()?;
    let cluster = Cluster::start(place, artefacts.clone(), limit);
    let cluster = limit.keep("the machines boot", cluster).await?;
    match story(&cluster).await {
        Ok(()) => cluster.finish(),
        Err(error) => {
            if !error.is::<TimeIsUp>() {
                evidence::keep(&cluster).await;
            }
            Err(error)
        }
    }
}

async fn story(cluster: &Cluster) -> Result<()> {
    let elsewhere = |name| Overlay::with_nats_at(name, cluster.nats.port());
    let right = elsewhere("right");
    let upgraded = elsewhere("upgraded").upgraded();
    let confined = elsewhere("confined").upgraded().with_default_apparmor();
    let with_nats = Overlay::with_nats_on("with-nats", nats::NODE).upgraded();
    let before = removal::settled_marks(cluster).await?;
    let wrong = mistakes::are_named(cluster);
    cluster
        .step("the mistakes of operators are named, and harm no node", wrong)
        .await?;
    let first = cluster.apply(&right);
    cluster
        .step("the right overlay is applied over it, every pod is Ready", first)
        .await?;
    let rights = install::rights(cluster);
    cluster.step("every pod has the rights it should have", rights).await?;
    let both = Box::pin(roll::both(cluster, &upgraded));
    cluster
        .step("both nodes are rebooted, one after the other", both)
        .await?;
    let confine = cluster.apply(&confined);
    cluster.step("the rebooter is confined", confine).await?;
    let refused = apparmor::nothing_is_drained(cluster);
    cluster
        .step("a rebooter that could not reboot is not relied on", refused)
        .await?;
    let nats = nats::move_in(cluster, &with_nats);
    cluster
        .step("the quickstart: NATS moves into the cluster, onto the first node", nats)
        .await?;
    let apart = Box::pin(nats::keeps_nodes_apart(cluster));
    cluster
        .step("an agent of one node cannot speak for the other one", apart)
        .await?;
    let reboot = nats::reboots_with_its_node(cluster);
    cluster.step("the node that NATS is on is rebooted", reboot).await?;
    install::memory(cluster).await?;
    let removal = removal::leaves_nothing(cluster, &with_nats, &before);
    cluster
        .step("all of it is removed, and nothing is left behind", removal)
        .await
}

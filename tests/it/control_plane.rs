//! Nodes of the control plane on real parts: one at a time, whatever the slots, and after the others.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::Attempt;
use jiff::Timestamp;
use rig::services::ServicesOptions;
use rig::world::{World, WorldOptions};

use crate::fleet::Fleet;

fn is_of_control_plane(node: &str) -> bool {
    node.starts_with("control-plane")
}

/// When an attempt began and ended, by its record.
fn span(attempt: &Attempt) -> Result<(Timestamp, Timestamp)> {
    let (first, last) = (attempt.history.first(), attempt.history.last());
    let (first, last) = first.zip(last).context("a record without phases")?;
    Ok((first.at, last.at))
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_of_the_control_plane_go_one_at_a_time_under_two_slots_and_after_the_workers() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        control_plane_nodes: 3,
        ..WorldOptions::default()
    })
    .await?;
    let options = ServicesOptions::default().set("BELLWETHER_SLOTS", "2");
    let fleet = Fleet::start_in(world, options).await?;
    fleet.upgrade_all_at_once().await?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;

    let order = fleet.nodes.cordon_order();
    let planes = order.iter().map(|node| is_of_control_plane(node)).collect::<Vec<_>>();
    ensure!(planes == [false, false, true, true, true], "{order:?}");
    for disrupted in fleet.nodes.disrupted() {
        let planes = disrupted.iter().filter(|node| is_of_control_plane(node));
        ensure!(planes.count() <= 1, "{disrupted:?} were disrupted at once");
    }
    let mut spans = Vec::new();
    for host in fleet.world.hosts() {
        let attempt = fleet.attempt(host.name()).await?.context("no attempt")?;
        if is_of_control_plane(host.name()) {
            spans.push(span(&attempt)?);
        }
    }
    spans.sort();
    let overlap = spans.windows(2).find(|pair| pair[1].0 < pair[0].1);
    ensure!(spans.len() == 3 && overlap.is_none(), "{overlap:?} overlap");
    ensure!(fleet.nodes.most_disrupted().len() == 2, "both slots are used");
    fleet.finish()
}

//! A night on real parts, recorded by the scheduler and played again without any of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Attempt, Fact, NodeEvent, NodeName};
use bellwether_scheduler_core::{Effect, recording};
use rig::bus::Bus;
use rig::services::ServicesOptions;
use rig::world::{World, WorldOptions};

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_night_played_again_gives_the_records_and_events_of_that_night() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    let folder = tempfile::tempdir()?;
    let options = ServicesOptions {
        schedulers: 1,
        ..ServicesOptions::default()
    };
    let path = folder.path().to_str().context("the folder's path is text")?;
    let fleet = Fleet::start_in(world, options.set("BELLWETHER_RECORD_INPUTS", path)).await?;
    fleet.services.leader(&fleet.world).await?;
    fleet.services.ctl_ok(&["pause", "--reason", "collecting"]).await?;
    fleet.services.ctl_ok(&["resume"]).await?;
    fleet.upgrade_all()?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;

    let mut recordings = std::fs::read_dir(folder.path())?;
    let file = recordings.next().context("a recording")??.path();
    ensure!(recordings.next().is_none(), "one leader, one recording");
    // The leader writes on; its last line may be half there, and the night is over before.
    let text = std::fs::read_to_string(file)?;
    let (whole, _) = text.rsplit_once('\n').context("whole lines")?;
    let mut records: BTreeMap<NodeName, Attempt> = BTreeMap::new();
    let mut events: Vec<NodeEvent> = Vec::new();
    recording::play(whole, |_, effect| match effect {
        Effect::StoreAttempt(attempt, event) => {
            events.extend(event.map(|event| *event));
            records.insert(attempt.node.clone(), *attempt);
        }
        Effect::DeleteAttempt(_)
        | Effect::StoreControl(..)
        | Effect::SendCommand(_)
        | Effect::CheckCommand(_)
        | Effect::TaintNode(_)
        | Effect::SetConditions(_)
        | Effect::Read { .. }
        | Effect::PhaseEnded { .. } => (),
    })?
    .context("the recording has a start")?;

    let bus = Bus::connect(&fleet.world.nats).await?;
    for host in fleet.world.hosts() {
        let mut stored = fleet.attempt(host.name()).await?.context("a record")?;
        // The chain of events is the driver's.
        stored.event_chain = None;
        let played = records.get(&stored.node).context("a played record")?;
        assert_eq!(*played, stored);
        // The drainer and the rebooter publish events too; those are inputs here.
        let mut published = bus.events(host.name()).await?;
        published.retain_mut(|event| {
            let Fact::PhaseChanged { link, .. } = &mut event.fact else {
                return false;
            };
            link.take().is_some()
        });
        let of_node = events.iter().filter(|event| event.node == stored.node);
        assert_eq!(of_node.cloned().collect::<Vec<_>>(), published);
        assert_eq!(published.len(), 6, "from Draining to Done");
    }
    fleet.finish()
}

//! What waits for reboots: one event of the scheduler, from which the notifier has its messages.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, message::StreamMessage};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{FleetEvent, FleetFact, PolicyQueue, decode_body, subject};
use rig::hook::Hook;
use rig::services::ServicesOptions;
use rig::wait;
use serde_json::json;

use super::{asked, notifier};
use crate::fleet::{DEADLINE, Fleet};
use crate::policies;
use crate::windows::{has, status_fits};

/// Long enough for a leader that has decided to publish what it should not.
const WHILE: Duration = Duration::from_secs(5);

/// The newest event about queues; an error: there is none.
async fn newest(fleet: &Fleet) -> Result<StreamMessage> {
    let jetstream = jetstream::new(fleet.world.nats.client().await?);
    let stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
    Ok(stream
        .get_last_raw_message_by_subject(&subject::queues_changed())
        .await?)
}

fn queues(message: &StreamMessage) -> Result<Vec<PolicyQueue>> {
    match decode_body::<FleetEvent>(&message.payload)?.fact {
        FleetFact::QueuesChanged(queues) => Ok(queues),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_wait_are_one_event_and_one_message_also_for_the_next_leader() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let hook = Hook::start()?;
    let config = json!({
        "heldAfter": "1s",
        "targets": [{ "name": "hook", "perMinute": 600, "webhook": { "url": hook.url("/path") } }],
        "routes": [{ "targets": ["hook"], "policies": ["all"] }],
    });
    let notifier = notifier(&fleet.world.place, &fleet.world.nats, &config)?;
    notifier.wait_ready().await?;
    let freeze = json!({ "from": "2020-01-01", "to": "2199-12-31", "reason": "freeze" });
    policies::create(&fleet.world, "all", &json!({ "blackouts": [freeze] })).await?;
    status_fits(&fleet, "all", "the policy to be accepted", |status| {
        has(status, "Accepted", "True", "")
    })
    .await?;
    fleet.upgrade_all()?;
    let stored = wait::until("an event about both nodes", DEADLINE, async || {
        let stored = newest(&fleet).await?;
        let queues = queues(&stored)?;
        let queue = queues.first().context("nothing waits")?;
        let numbers = (queue.policy.as_str(), queue.nodes, queue.left_over);
        ensure!(numbers == ("all", 2, 2), "{queue:?}");
        assert_eq!((queue.code.as_str(), queue.opening_ends_at), ("WindowShut", None));
        assert!(queue.message.contains("freeze"), "{queue:?}");
        Ok(stored)
    })
    .await?;
    let held = asked(&hook, 1, "", "NodesHeld").await?;
    let [held] = held.as_slice() else {
        panic!("{held:?}");
    };
    assert_eq!(held.field("policy"), "all");
    assert!(held.field("detail").contains("it waits (WindowShut)"), "{held:?}");
    // The next leader continues after the event.
    let killed = fleet.services.leader(&fleet.world).await?.clone();
    killed.process.kill9();
    let next = fleet.services.leader(&fleet.world).await?;
    ensure!(next.process.name() != killed.process.name(), "the dead one leads");
    wait::steadily("no second event about the same", WHILE, async || {
        Ok(newest(&fleet).await?.sequence == stored.sequence)
    })
    .await?;
    asked(&hook, 1, "", "NodesHeld").await?;
    killed.process.restart()?;
    fleet.finish()
}

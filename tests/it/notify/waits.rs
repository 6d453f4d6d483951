//! What waits for reboots: one event of the scheduler, from which the notifier has its messages, also after a crash.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, message::StreamMessage};
use bellwether_proto::stream::{EVENTS_STREAM, NOTIFIER_CONSUMER};
use bellwether_proto::{FleetEvent, FleetFact, Phase, PolicyQueue, decode_body, subject};
use jiff::{SignedDuration, Timestamp};
use rig::hook::Hook;
use rig::services::ServicesOptions;
use rig::{wait, world};
use serde_json::json;

use super::{Stage, asked, entered, notifier};
use crate::fleet::{DEADLINE, Fleet};
use crate::policies;
use crate::windows::{has, status_fits};

/// Long enough for a leader to publish, and for the notifier to acknowledge, what it should not.
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
        FleetFact::QueuesChanged(queues) => Ok(queues.policies),
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

/// A queue of this policy, in which a node has needed its reboot for a day.
fn waiting(policy: &str) -> Result<PolicyQueue> {
    Ok(PolicyQueue {
        policy: policy.to_owned(),
        nodes: 1,
        oldest_since: Timestamp::now().checked_sub(SignedDuration::from_hours(24))?,
        oldest_node: "n1".parse()?,
        code: "WindowShut".to_owned(),
        message: "the windows of the policy are shut".to_owned(),
        left_over: 0,
        left_over_nodes: vec![],
        opening_ends_at: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_queues_give_their_message_also_after_a_crash_that_costs_the_state() -> Result<()> {
    let _turn = world::turn().await?;
    // As in an installation: above the time between two signs of life.
    let stage = Stage::with_ack_wait(NOTIFIER_CONSUMER.ack_wait).await?;
    let hook = Hook::start()?;
    let config = |held_after: &str| {
        json!({
            "heldAfter": held_after,
            "targets": [{ "name": "hook", "perMinute": 600, "webhook": { "url": hook.url("/path") } }],
        })
    };
    let notifier = stage.notifier(&config("1000h"))?;
    notifier.wait_ready().await?;
    stage.publish("n1", entered(Phase::Draining)).await?;
    asked(&hook, 1, "n1", "DrainStarted").await?;
    stage.publish_queues(vec![waiting("days")?]).await?;
    stage.publish_queues(vec![waiting("nights")?]).await?;
    let unsettled = async || {
        let info = stage.consumer().await?;
        Ok((info.num_pending, info.num_ack_pending))
    };
    wait::until_equal("the newest event alone to be kept", DEADLINE, (0, 1), unsettled).await?;
    wait::steadily("the newest event is not acknowledged", WHILE, async || {
        Ok(unsettled().await? == (0, 1))
    })
    .await?;

    notifier.process.kill9();
    std::fs::remove_dir_all(stage.place.folder("notifier-state")?)?;
    stage.place.folder("notifier-state")?;
    stage.place.file("notifier.yaml", config("1h").to_string())?;
    notifier.process.restart()?;
    let held = asked(&hook, 1, "", "NodesHeld").await?;
    let [held] = held.as_slice() else {
        panic!("{held:?}");
    };
    assert_eq!(held.field("policy"), "nights", "the newest event alone counts");
    // The next event ends its delivery, also that of the second process.
    stage.publish_queues(vec![]).await?;
    wait::until("the next event to be kept alone", DEADLINE, async || {
        let info = stage.consumer().await?;
        let kept = (info.num_pending, info.num_ack_pending, info.ack_floor.stream_sequence);
        ensure!(kept == (0, 1, 3), "{info:?}");
        Ok(())
    })
    .await?;
    stage.finish()
}

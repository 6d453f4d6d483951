//! The way of events to the leader: in batches, from where the records are, and none of them lost.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::consumer::{DeliverPolicy, FromConsumer as _, PullConsumer, pull};
use bellwether_proto::stream::{EVENTS_STREAM, SCHEDULER_CONSUMER};
use bellwether_proto::{AttemptId, Fact, Generation, NodeEvent, Phase, encode, subject};
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use rig::bus::Bus;
use rig::services::ServicesOptions;
use rig::wait;
use rig::world::{World, WorldOptions};

use crate::fleet::{DEADLINE, Fleet};

async fn consumer(fleet: &Fleet) -> Result<PullConsumer> {
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let found = jetstream.get_consumer_from_stream(SCHEDULER_CONSUMER.name, EVENTS_STREAM.name);
    Ok(found.await?)
}

async fn all_events_are_settled(fleet: &Fleet) -> Result<()> {
    wait::until_equal("events that are not settled", DEADLINE, (0, 0), async || {
        let info = consumer(fleet).await?.get_info().await?;
        Ok((info.num_pending, info.num_ack_pending))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_a_version_that_reads_fewer_kinds_of_events_is_changed_by_the_next_leader() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    fleet.services.leader(&fleet.world).await?;
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let mut config = consumer(&fleet).await?.cached_info().config.clone();
    config.filter_subjects = SCHEDULER_CONSUMER
        .filters
        .iter()
        .take(1)
        .map(|filter| (*filter).to_owned())
        .collect();
    let config = pull::Config::try_from_consumer_config(config).map_err(|error| anyhow::anyhow!(error))?;
    jetstream.update_consumer_on_stream(config, EVENTS_STREAM.name).await?;
    // The version that leads now does not look at its consumer again; the next one does.
    fleet.services.leader(&fleet.world).await?.process.kill9();
    fleet.services.leader(&fleet.world).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[host]).await?;
    let filters = consumer(&fleet).await?.cached_info().config.filter_subjects.clone();
    assert_eq!(filters.len(), SCHEDULER_CONSUMER.filters.len(), "{filters:?}");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_events_of_other_attempts_cost_few_requests_and_no_decision() -> Result<()> {
    const EVENTS: usize = 4000;
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let host = fleet.world.host(0)?;
    let leader = fleet.services.leader(&fleet.world).await?;
    all_events_are_settled(&fleet).await?;
    let client = fleet.world.nats.client().await?;
    let mut requests = client.subscribe("$JS.API.STREAM.INFO.>").await?;
    client.flush().await?;
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let mut stored = Vec::new();
    for number in 0..EVENTS {
        let event = NodeEvent {
            node: host.name().parse()?,
            attempt: AttemptId::new(&"of-another-node".parse()?, Generation(1), Timestamp::UNIX_EPOCH),
            generation: Generation(1),
            at: Timestamp::now(),
            source: "a test".to_owned(),
            fact: Fact::Drained {
                pods_gone: u32::try_from(number)?,
                pods_left: 0,
                pods_returning: 0,
                message: String::new(),
                report: None,
            },
        };
        let encoded = encode(&event);
        let mut headers = async_nats::HeaderMap::new();
        for (name, value) in encoded.headers {
            headers.insert(name, value);
        }
        let subject = subject::event(&event.node.token(), &event.fact);
        stored.push(
            jetstream
                .publish_with_headers(subject, headers, encoded.payload.into())
                .await?,
        );
        if stored.len() == 500 {
            for ack in stored.drain(..) {
                ack.await?;
            }
        }
    }
    all_events_are_settled(&fleet).await?;
    let mut counted = 0;
    while requests.next().now_or_never().flatten().is_some() {
        counted += 1;
    }
    // One batch costs two look-ups, whatever it holds.
    ensure!(counted < EVENTS / 4, "{counted} look-ups for {EVENTS} events");
    ensure!(fleet.attempt(host.name()).await?.is_none(), "an attempt began");
    ensure!(
        leader.metric("bellwether_scheduler_reloads_total").await? == 0.0,
        "the leader has loaded its records again"
    );
    host.upgrade_kernel("6.12.48")?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_consumer_of_events_is_created_where_the_oldest_attempt_began() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set("BELLWETHER_DRAIN_TIMEOUT", "20s");
    let mut fleet = Fleet::start_in(world, options).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    let attempt = fleet.attempt(host.name()).await?.context("no attempt")?;
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
    stream.delete_consumer(SCHEDULER_CONSUMER.name).await?;
    let start = wait::until("the consumer to be created again", DEADLINE, async || {
        let policy = consumer(&fleet).await?.cached_info().config.deliver_policy;
        let DeliverPolicy::ByStartTime { start_time } = policy else {
            anyhow::bail!("it starts at {policy:?}")
        };
        Ok(Timestamp::try_from(std::time::SystemTime::from(start_time))?)
    })
    .await?;
    let expected = attempt.started_at().checked_sub(SignedDuration::from_hours(1))?;
    ensure!(
        start.duration_since(expected).abs() < SignedDuration::from_secs(1),
        "it starts at {start}, not at {expected}"
    );
    // What was published in between is not lost: the drain fails at its time-out, and its drainer reports that once.
    let failed = fleet.event("the end of the drain", |event| {
        matches!(event.fact, Fact::DrainFailed { .. })
    });
    failed.await?;
    wait::eventually("the attempt to be rolled back", DEADLINE, async || {
        let attempt = fleet.attempt(host.name()).await?.context("no attempt")?;
        Ok(attempt.ending.is_some())
    })
    .await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_shows_what_blocks_a_drain_although_the_drainer_reports_nothing_new() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    let blocked = async || -> Result<()> {
        let story = fleet.services.ctl_ok(&["explain", host.name(), "-o", "json"]).await?;
        let story: serde_json::Value = serde_json::from_str(&story)?;
        let drain = &story["node"]["drain"];
        ensure!(drain["heldUpBy"].to_string().contains("stuck"), "{story}");
        Ok(())
    };
    wait::until("the budget to be shown", DEADLINE, &blocked).await?;
    let leader = fleet.services.leader(&fleet.world).await?;
    let progress = async || -> Result<usize> {
        let events = Bus::connect(&fleet.world.nats).await?.events(host.name()).await?;
        let progress = events
            .iter()
            .filter(|event| matches!(event.fact, Fact::DrainProgressed(_)));
        Ok(progress.count())
    };
    let before = progress().await?;
    leader.process.kill9();
    fleet.services.leader(&fleet.world).await?;
    wait::until(
        "the budget to be shown by the next leader",
        Duration::from_secs(5),
        &blocked,
    )
    .await?;
    ensure!(
        progress().await? == before,
        "the drainer has reported again, which this test cannot judge"
    );
    fleet.finish()
}

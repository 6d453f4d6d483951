//! The event about what waits: a leader that another one has superseded publishes no old queues over the newer ones.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::stream::{ATTEMPTS_STREAM, EVENTS_STREAM};
use bellwether_proto::{
    FleetControl, FleetEvent, FleetFact, HostReport, NeedReport, Queues, decode_body, encode, subject,
};
use jiff::Timestamp;
use rig::bus::Bus;
use rig::nats_front::Held;
use rig::record_keys::{self, Signer};
use rig::wait;
use tokio::sync::watch;

use super::behind_a_front;
use crate::fleet::{DEADLINE, Fleet};

/// Since when the node waits that waits longest, by each event about the queues, oldest first; none: nothing waits.
async fn published(fleet: &Fleet) -> Result<Vec<Option<Timestamp>>> {
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let mut stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
    let state = stream.info().await?.state.clone();
    let mut times = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await?;
        if *message.subject == *subject::queues_changed() {
            let FleetFact::QueuesChanged(queues) = decode_body::<FleetEvent>(&message.payload)?.fact;
            times.push(queues.policies.iter().map(|queue| queue.oldest_since).min());
        }
    }
    Ok(times)
}

/// Waits until the newest event states that a node waits, but not since these times. All of them are returned.
async fn until_waits(fleet: &Fleet, but: &[Option<Timestamp>]) -> Result<Vec<Option<Timestamp>>> {
    wait::until("an event about a node that waits", DEADLINE, async || {
        let times = published(fleet).await?;
        let newest = times.last().context("none yet")?;
        ensure!(newest.is_some() && !but.contains(newest), "{times:?}");
        Ok(times)
    })
    .await
}

/// Stores the orders as they are, as another leader does.
async fn store_orders_again(fleet: &Fleet) -> Result<()> {
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let stream = jetstream.get_stream(ATTEMPTS_STREAM.name).await?;
    let place = subject::control_record();
    let stored = stream.get_last_raw_message_by_subject(&place).await?;
    let record = encode(&decode_body::<FleetControl>(&stored.payload)?);
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in record.headers {
        headers.insert(name, value);
    }
    let key = record_keys::signing_key(&fleet.world.client()).await?;
    Signer::with(key)
        .store(&jetstream, place, headers, record.payload)
        .await?;
    Ok(())
}

/// The leader is stopped before its look at the newest event, and what it is about to publish is of before.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_superseded_while_it_was_stopped_publishes_no_old_queues() -> Result<()> {
    let (fleet, front) = behind_a_front(2).await?;
    let (first, second) = (fleet.world.host(0)?, fleet.world.host(1)?);
    let scheduler = fleet.services.leader(&fleet.world).await?.clone();
    fleet.services.ctl_ok(&["pause", "--reason", "collecting"]).await?;
    first.upgrade_kernel("6.12.48")?;
    let before = until_waits(&fleet, &[]).await?;
    scheduler.process.kill9();
    let (stopped, go_on) = (watch::Sender::new(false), watch::Sender::new(false));
    let (is_stopped, may_go_on) = (stopped.clone(), go_on.subscribe());
    front.hold(move |it| {
        let is_look = it.subject.starts_with("$JS.API.STREAM.MSG.GET.") && it.text.contains("queues-changed");
        let is_first = is_look && !*is_stopped.borrow();
        is_first.then(|| Held::Until(is_stopped.clone(), may_go_on.clone()))
    });
    scheduler.process.restart()?;
    let mut reached = stopped.subscribe();
    tokio::time::timeout(DEADLINE, reached.wait_for(|reached| *reached)).await??;

    // Of another leader, under which the node needs no reboot any more.
    let bus = Bus::connect(&fleet.world.nats).await?;
    let event = FleetEvent {
        at: Timestamp::now(),
        source: "another leader".to_owned(),
        fact: FleetFact::QueuesChanged(Queues::default()),
    };
    bus.publish(subject::queues_changed(), &event).await?;
    first.withdraw_need()?;
    wait::until("the report without a need", DEADLINE, async || {
        let report: HostReport = bus.host_report(first.name()).await?.context("no report")?;
        ensure!(report.need == NeedReport::NotRequired, "{:?}", report.need);
        Ok(())
    })
    .await?;
    store_orders_again(&fleet).await?;
    go_on.send_replace(true);

    // The next turn publishes what waits then, and what waited before came never again.
    second.upgrade_kernel("6.12.48")?;
    let after = until_waits(&fleet, &before).await?.split_off(before.len());
    ensure!(after.first() == Some(&None), "the other leader's: {after:?}");
    let old = after.iter().find(|time| before.contains(time));
    ensure!(old.is_none(), "old queues over newer ones: {after:?} after {before:?}");
    fleet.finish()
}

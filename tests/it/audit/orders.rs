//! The orders of operators in the trail, and the trail in pages.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::subject;
use bellwether_proto::wire::ReadHistoryRequest;
use bellwether_proto::wire::fleet_service_client::FleetServiceClient;
use bellwether_proto::wire::read_history_response::Part;
use rig::nats_front::Held;
use rig::service::Service;
use rig::wait;
use serde_json::Value;
use tokio::sync::watch;

use super::{behind_a_front, verified};
use crate::fleet::{DEADLINE, Fleet};

/// An order is confirmed once its record is stored; the scheduler dies before the event about it is published.
#[tokio::test(flavor = "multi_thread")]
async fn each_order_and_its_operator_is_in_the_trail_though_the_scheduler_dies_before_it_is_published() -> Result<()> {
    let (fleet, front) = behind_a_front(1).await?;
    let host = fleet.world.host(0)?;
    let scheduler = fleet.services.leader(&fleet.world).await?.clone();
    let reached = watch::Sender::new(false);
    let held = reached.clone();
    front.hold(move |it| (it.subject == subject::order_changed()).then(|| Held::Message(held.clone())));
    fleet.services.ctl_ok(&["pause", "--reason", "collecting"]).await?;
    let mut is_held = reached.subscribe();
    tokio::time::timeout(DEADLINE, is_held.wait_for(|held| *held)).await??;
    scheduler.process.kill9();
    front.release();
    scheduler.process.restart()?;
    fleet.services.leader(&fleet.world).await?;
    fleet
        .services
        .ctl_ok(&["hold", host.name(), "--reason", "disks"])
        .await?;
    fleet.services.ctl_ok(&["pause", "--reason", "release day"]).await?;
    fleet.services.ctl_ok(&["resume"]).await?;
    fleet.services.ctl_ok(&["release", host.name()]).await?;
    let expected = ["OrderGiven", "OrderGiven", "OrderGiven", "OrderEnded", "OrderEnded"];
    let places = wait::until("the orders in the stream", DEADLINE, async || {
        let events = listed(&fleet, &["history"]).await?;
        let changes: Vec<_> = events
            .iter()
            .filter_map(|event| event["order"]["change"].as_str())
            .collect();
        ensure!(changes == expected, "{changes:?}");
        let places: Option<Vec<u64>> = events.iter().map(|event| event["place"].as_u64()).collect();
        places.context("one of them waits")
    })
    .await?;
    let events = listed(&fleet, &["history"]).await?;
    for event in &events {
        ensure!(
            event["by"].as_str().is_some_and(|by| !by.is_empty()),
            "no operator: {event}"
        );
    }
    ensure!(events[0]["order"]["given"]["reason"] == "collecting", "{}", events[0]);
    are_logged(&scheduler, &events)?;
    // The second pause in place of the first; a resume ends the second.
    ensure!(
        events[2]["order"]["ended"][0]["reason"] == "collecting",
        "{}",
        events[2]
    );
    ensure!(
        events[3]["order"]["ended"][0]["reason"] == "release day",
        "{}",
        events[3]
    );
    let of_node = listed(&fleet, &["history", host.name()]).await?;
    ensure!(of_node.len() == 2, "a hold and its end: {of_node:?}");
    verified(&fleet, &[]).await?;
    paged(&fleet, &scheduler, expected.len()).await?;
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
    stream.delete_message(places[1]).await?;
    verified(&fleet, &["EventMissing"]).await?;
    fleet.finish()
}

/// The scheduler's log has each change of the orders, with its operator and whether the fleet is paused then.
fn are_logged(scheduler: &Service, events: &[Value]) -> Result<()> {
    let log = scheduler.process.output();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("Orders changed")).collect();
    ensure!(lines.len() == events.len(), "{lines:?}");
    let states = [
        ("collecting", true),
        ("disks", true),
        ("release day", true),
        ("", false),
        ("", false),
    ];
    for ((line, event), (reason, paused)) in lines.iter().zip(events).zip(states) {
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str);
        let change = text("/order/change").context("no change")?;
        let by = text("/by").context("no operator")?;
        for field in [
            format!("change=\"{change}\""),
            format!("by=\"{by}\""),
            format!("reason=\"{reason}\""),
            format!("paused={paused}"),
        ] {
            ensure!(line.contains(&field), "{field} is not in: {line}");
        }
    }
    Ok(())
}

/// The events of the trail in pages of two are those of one answer; a client of a version before the orders gets none of them.
async fn paged(fleet: &Fleet, scheduler: &Service, events: usize) -> Result<()> {
    fleet.services.leader(&fleet.world).await?;
    let port = scheduler.api_port.context("no API")?;
    let mut api = FleetServiceClient::connect(format!("http://127.0.0.1:{port}")).await?;
    let mut request = ReadHistoryRequest {
        orders: true,
        events_max: 2,
        ..ReadHistoryRequest::default()
    };
    let (mut places, mut pages) = (Vec::new(), 0);
    loop {
        let mut parts = api.read_history(request.clone()).await?.into_inner();
        let (before, mut cut) = (places.len(), None);
        while let Some(part) = parts.message().await? {
            match part.part {
                Some(Part::Event(event)) => places.push(event.place),
                Some(Part::Cut(found)) => cut = Some(found.place),
                Some(Part::Before(_) | Part::After(_)) | None => (),
            }
        }
        pages += 1;
        ensure!(places.len() - before <= 2, "{places:?}");
        let Some(place) = cut else { break };
        ensure!(Some(place) == places.last().copied(), "cut at {place} after {places:?}");
        request.after_place = place;
    }
    ensure!(places.len() == events && places.is_sorted(), "{places:?}");
    ensure!(pages == events.div_ceil(2), "{pages} pages");
    let mut parts = api.read_history(ReadHistoryRequest::default()).await?.into_inner();
    while let Some(part) = parts.message().await? {
        ensure!(
            !matches!(part.part, Some(Part::Event(_))),
            "an event of orders was sent: {part:?}"
        );
    }
    Ok(())
}

/// The events that a command lists.
async fn listed(fleet: &Fleet, command: &[&str]) -> Result<Vec<Value>> {
    let text = fleet.services.ctl_ok(&[command, &["-o", "json"]].concat()).await?;
    let list: Value = serde_json::from_str(&text)?;
    let events = list.get("events").and_then(Value::as_array);
    Ok(events.context("no list")?.clone())
}

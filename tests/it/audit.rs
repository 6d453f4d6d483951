//! The chain of events: each phase of an attempt is published once, whenever the scheduler dies, and what was changed in the
//! stream shows.

mod left;
mod orders;
mod queues;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::chain::{ChainCheck, ChainFault, ChainHead, with};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{
    EventChain, EventHash, Fact, NodeEvent, NodeName, Phase, decode_body, encode, encode_body, subject,
};
use rig::nats_front::{Held, NatsFront, Published};
use rig::record_keys::{self, Signer};
use rig::services::ServicesOptions;
use rig::wait;
use serde_json::Value;
use tokio::sync::watch;

use crate::fleet::{DEADLINE, Fleet};

/// The phases of an attempt that ends well.
const PHASES: [Phase; 6] = [
    Phase::Draining,
    Phase::Rebooting,
    Phase::Verifying,
    Phase::Uncordoning,
    Phase::Soaking,
    Phase::Done,
];

/// The event of a node at which the scheduler dies.
struct Point {
    node: NodeName,
    /// How many events of the node come before it.
    before: usize,
    /// The event is stored, and the scheduler does not know. Else it never arrives.
    stored: bool,
    count: Mutex<usize>,
    reached: watch::Sender<bool>,
}

impl Point {
    fn of_message(&self, it: &Published) -> Option<Held> {
        if it.subject != subject::phase_changed(&self.node.token()) {
            return None;
        }
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        if *count != self.before + 1 || *self.reached.borrow() {
            return None;
        }
        let reached = self.reached.clone();
        Some(if self.stored {
            Held::Answer(reached)
        } else {
            Held::Message(reached)
        })
    }
}

/// One scheduler, which reaches NATS through a front.
pub(crate) async fn behind_a_front(nodes: usize) -> Result<(Fleet, NatsFront)> {
    let options = ServicesOptions {
        schedulers: 1,
        ..ServicesOptions::default()
    };
    let fleet = Fleet::start(nodes, options.set("BELLWETHER_SLOTS", &nodes.to_string())).await?;
    let front = NatsFront::start(&fleet.world.nats)?;
    let scheduler = fleet.services.schedulers.first().context("no scheduler")?.clone();
    let api = fleet.world.control_plane.access().port();
    fleet
        .services
        .reroute_to(&fleet.world, &scheduler, api, front.port())
        .await?;
    fleet.services.leader(&fleet.world).await?;
    Ok((fleet, front))
}

/// The bodies of a node's chain as the stream has them, with their places.
async fn chain(fleet: &Fleet, node: &NodeName) -> Result<Vec<(u64, Vec<u8>)>> {
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let mut stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
    let state = stream.info().await?.state.clone();
    let own = subject::phase_changed(&node.token());
    let mut bodies = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        // One that was deleted is not there.
        if let Ok(message) = stream.get_raw_message(sequence).await
            && *message.subject == *own
        {
            bodies.push((sequence, message.payload.to_vec()));
        }
    }
    Ok(bodies)
}

/// What is wrong with the chain of a node, by the stream and its record.
async fn faults(fleet: &Fleet, node: &NodeName) -> Result<Vec<ChainFault>> {
    let attempt = fleet.attempt(node.as_str()).await?.context("no record")?;
    let head = attempt.event_chain.context("the record names no event")?;
    let head = ChainHead {
        sequence: head.sequence,
        hash: head.hash,
    };
    let mut check = ChainCheck::new(Some(head));
    let bodies = chain(fleet, node).await?;
    let mut faults: Vec<_> = bodies
        .iter()
        .filter_map(|(place, body)| check.take::<NodeEvent>(*place, body))
        .collect();
    faults.extend(check.finish(Some(head)));
    Ok(faults)
}

/// The chain of a node has each phase once, and holds.
async fn has_each_phase_once(fleet: &Fleet, node: &NodeName) -> Result<()> {
    wait::until_equal(
        &format!("the phases of {node}"),
        DEADLINE,
        PHASES.to_vec(),
        async || {
            let mut phases = Vec::new();
            for (_, body) in chain(fleet, node).await? {
                let event: NodeEvent = decode_body(&body)?;
                if let Fact::PhaseChanged { to, .. } = event.fact {
                    phases.push(to);
                }
            }
            Ok(phases)
        },
    )
    .await?;
    let faults = faults(fleet, node).await?;
    ensure!(faults.is_empty(), "{node}: {faults:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_dies_between_a_phase_and_its_event_leaves_no_gap_and_no_event_twice() -> Result<()> {
    // Each event that never arrives, and three whose answer never comes.
    let kills: Vec<_> = (0..PHASES.len())
        .map(|before| (before, false))
        .chain([0, 2, 5].map(|before| (before, true)))
        .collect();
    let (fleet, front) = behind_a_front(kills.len()).await?;
    let hosts = fleet.world.hosts();
    let points = hosts.iter().zip(kills).map(|(host, (before, stored))| {
        Ok(Point {
            node: host.name().parse()?,
            before,
            stored,
            count: Mutex::new(0),
            reached: watch::Sender::new(false),
        })
    });
    let points: Arc<[Point]> = points.collect::<Result<_>>()?;
    let of_messages = Arc::clone(&points);
    front.hold(move |it| of_messages.iter().find_map(|point| point.of_message(it)));
    let scheduler = fleet.services.leader(&fleet.world).await?.clone();
    fleet.upgrade_all()?;
    let mut killed_for: BTreeMap<&NodeName, bool> = BTreeMap::new();
    while killed_for.len() < points.len() {
        let next = wait::until("an event that the scheduler dies at", DEADLINE, async || {
            let mut reached = points.iter().filter(|point| *point.reached.borrow());
            let next = reached.find(|point| !killed_for.contains_key(&point.node));
            next.context("none is on its way")
        })
        .await?;
        killed_for.insert(&next.node, next.stored);
        scheduler.process.kill9();
        scheduler.process.restart()?;
    }
    fleet.rebooted_once(&hosts).await?;
    for point in points.iter() {
        has_each_phase_once(&fleet, &point.node)
            .await
            .with_context(|| format!("killed at event {}, stored: {}", point.before + 1, point.stored))?;
    }
    fleet.all_rolled(points.len()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_stream_does_not_take_delay_no_reboot_and_come_later() -> Result<()> {
    let (fleet, front) = behind_a_front(1).await?;
    let host = fleet.world.host(0)?;
    let node: NodeName = host.name().parse()?;
    let own = subject::phase_changed(&node.token());
    let held = watch::Sender::new(false);
    front.hold(move |it| (it.subject == own).then(|| Held::Message(held.clone())));
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[host]).await?;
    let bodies = chain(&fleet, &node).await?;
    ensure!(bodies.is_empty(), "the stream has {} events", bodies.len());
    front.release();
    has_each_phase_once(&fleet, &node).await?;
    fleet.finish()
}

/// Another leader publishes the event that a stopped one is about to publish, and the next one, which it has stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_superseded_while_it_was_stopped_publishes_no_old_event_again() -> Result<()> {
    let (fleet, front) = behind_a_front(1).await?;
    let host = fleet.world.host(0)?;
    let node: NodeName = host.name().parse()?;
    let own = subject::phase_changed(&node.token());
    let (stopped, go_on) = (watch::Sender::new(false), watch::Sender::new(false));
    let (is_stopped, may_go_on) = (stopped.clone(), go_on.subscribe());
    front.hold(move |it| {
        let is_first = it.subject == own && !*is_stopped.borrow();
        is_first.then(|| Held::Until(is_stopped.clone(), may_go_on.clone()))
    });
    host.upgrade_kernel("6.12.48")?;
    let mut reached = stopped.subscribe();
    tokio::time::timeout(DEADLINE, reached.wait_for(|reached| *reached)).await??;

    let mut attempt = fleet.attempt(node.as_str()).await?.context("no record")?;
    let chain_before = *attempt.event_chain.take().context("the record names no event")?;
    let first = chain_before.unpublished.first().context("no event waits")?.clone();
    let mut next: NodeEvent = decode_body(&first)?;
    next.source = "another leader".to_owned();
    let chain_after = with(Some(chain_before), next);
    for body in &chain_after.unpublished {
        put(&fleet, &node, body.clone()).await?;
    }
    attempt.event_chain = Some(Box::new(chain_after));
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let key = record_keys::signing_key(&fleet.world.client()).await?;
    let record = encode(&attempt);
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in record.headers {
        headers.insert(name, value);
    }
    let place = subject::attempt_record(&node.token());
    Signer::with(key)
        .store(&jetstream, place, headers, record.payload)
        .await?;
    go_on.send_replace(true);

    fleet.rebooted_once(&[host]).await?;
    wait::until("the chain to be whole", DEADLINE, async || {
        let bodies = chain(&fleet, &node).await?;
        ensure!(bodies.len() > PHASES.len(), "{} events", bodies.len());
        Ok(())
    })
    .await?;
    let faults = faults(&fleet, &node).await?;
    ensure!(faults.is_empty(), "{faults:?}");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_states_gates_and_kernels_and_a_change_of_the_stream_is_found() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let host = fleet.world.host(0)?;
    let node: NodeName = host.name().parse()?;
    fleet.services.leader(&fleet.world).await?;
    fleet.services.ctl_ok(&["pause", "--reason", "collecting"]).await?;
    host.upgrade_kernel("6.12.48")?;
    fleet.explained(host.name(), &["collecting"]).await?;
    fleet.services.ctl_ok(&["resume"]).await?;
    fleet.rebooted_once(&[host]).await?;
    has_each_phase_once(&fleet, &node).await?;

    let listed = fleet.services.ctl_ok(&["history", node.as_str(), "-o", "json"]).await?;
    let listed: Value = serde_json::from_str(&listed)?;
    let events = listed["events"].as_array().context("no list")?;
    let phases: Vec<_> = events.iter().filter_map(|event| event["phase"].as_str()).collect();
    ensure!(
        phases.len() == events.len(),
        "orders about all nodes are not of this one: {listed}"
    );
    ensure!(phases == PHASES.map(Phase::as_str), "{phases:?}");
    let held = events[0]["start"]["held"].as_array().context("no gates")?;
    let paused = held.iter().find(|held| held["code"] == "Paused");
    let message = paused.and_then(|held| held["message"].as_str()).context("no pause")?;
    ensure!(message.contains("collecting"), "{message}");
    let end = &events[5]["end"];
    ensure!(
        end["kernelAfter"] == "6.12.48" && end["bootAfter"] != end["bootBefore"],
        "{end}"
    );
    let report = fleet.services.ctl_ok(&["report", "-o", "json"]).await?;
    let report: Value = serde_json::from_str(&report)?;
    let own = &report["nodes"][0];
    ensure!(own["reboots"] == 1 && own["kernel"] == "6.12.48", "{own}");
    ensure!(
        own["exposureSeconds"].as_i64().is_some_and(|seconds| seconds > 0),
        "{own}"
    );

    verified(&fleet, &[]).await?;
    // Inserted after the newest event.
    let bodies = chain(&fleet, &node).await?;
    let mut forged: NodeEvent = decode_body(&bodies[5].1)?;
    let newest = EventChain {
        sequence: 6,
        hash: EventHash::of(&bodies[5].1),
        unpublished: Vec::new(),
    };
    forged.source = "forged".to_owned();
    let forged = with(Some(newest), forged).unpublished.remove(0);
    put(&fleet, &node, forged.clone()).await?;
    verified(&fleet, &["BeyondHead"]).await?;
    // Missing.
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
    let (inserted, _) = chain(&fleet, &node).await?.pop().context("the forged event")?;
    stream.delete_message(inserted).await?;
    verified(&fleet, &[]).await?;
    stream.delete_message(bodies[2].0).await?;
    verified(&fleet, &["EventMissing"]).await?;
    // Altered: all of them are stored again, one with another writer.
    stream.purge().filter(subject::phase_changed(&node.token())).await?;
    for (place, (_, body)) in bodies.iter().enumerate() {
        let mut event: NodeEvent = decode_body(body)?;
        if place == 2 {
            event.source.push_str(" altered");
        }
        put(&fleet, &node, encode(&event).payload).await?;
    }
    verified(&fleet, &["EventAltered"]).await?;
    stream.purge().filter(subject::phase_changed(&node.token())).await?;
    verified(&fleet, &["HeadMissing"]).await?;
    fleet.finish()
}

/// `history --verify` finds these faults, and fails if it finds any.
async fn verified(fleet: &Fleet, codes: &[&str]) -> Result<()> {
    let found = fleet.services.ctl(&["history", "--verify", "-o", "json"]).await?;
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    let list: Value =
        serde_json::from_str(&text).with_context(|| String::from_utf8_lossy(&found.stderr).into_owned())?;
    let chains = list.get("chains").and_then(Value::as_array).context("no list")?;
    let faults = chains.iter().filter_map(|chain| chain["faults"].as_array()).flatten();
    let faults: Vec<_> = faults.filter_map(|fault| fault["code"].as_str()).collect();
    ensure!(faults == codes, "found {faults:?} in place of {codes:?}: {text}");
    ensure!(found.status.success() == codes.is_empty(), "{:?}", found.status);
    Ok(())
}

/// Stores an event as it is.
async fn put(fleet: &Fleet, node: &NodeName, body: Vec<u8>) -> Result<()> {
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let mut headers = async_nats::HeaderMap::new();
    for (key, value) in encode_body::<NodeEvent>(Vec::new()).headers {
        headers.insert(key, value);
    }
    let subject = subject::phase_changed(&node.token());
    jetstream
        .publish_with_headers(subject, headers, body.into())
        .await?
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_the_retention_make_the_stream_and_an_operator_may_edit_it() -> Result<()> {
    let options = ServicesOptions::default()
        .set("BELLWETHER_EVENTS_MAX_AGE", "96h")
        .set("BELLWETHER_EVENTS_MAX_BYTES", "64Mi")
        .set("BELLWETHER_EVENTS_PER_NODE", "100");
    let fleet = Fleet::start(1, options).await?;
    fleet.services.leader(&fleet.world).await?;
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let limits = async || {
        let stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
        let config = stream.cached_info().config.clone();
        let hours = config.max_age.as_secs() / 3600;
        anyhow::Ok((hours, config.max_bytes, config.max_messages_per_subject))
    };
    let found = limits().await?;
    ensure!(found == (96, 64 << 20, 100), "{found:?}");
    let mut edited = jetstream
        .get_stream(EVENTS_STREAM.name)
        .await?
        .cached_info()
        .config
        .clone();
    edited.max_age = std::time::Duration::from_secs(200 * 3600);
    edited.max_messages_per_subject = -1;
    jetstream.update_stream(edited).await?;
    for service in fleet.services.schedulers.iter().chain(&fleet.services.drainers) {
        service.process.kill9();
        service.process.restart()?;
    }
    fleet.services.leader(&fleet.world).await?;
    let found = limits().await?;
    ensure!(found == (200, 64 << 20, -1), "{found:?}");
    fleet.finish()
}

//! Signed records: a client that may do everything on NATS orders neither drain nor reboot, and keys change under way.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{
    Attempt, AttemptId, AttemptRef, DrainNode, Encoded, Fact, Generation, Phase, PublicKeys, encode, header, setting,
    subject,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rig::host::Host;
use rig::record::node_state;
use rig::record_keys::{self, NAME, Signer};
use rig::services::{AGENTS, NAMESPACE, ServicesOptions};
use rig::wait;
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};

/// So long nothing happens that would happen at once.
const QUIET: Duration = Duration::from_secs(4);

/// A record that counts as none, in the metrics of the leader.
const UNTRUSTED: &str = "bellwether_records_untrusted_stored";

/// An order to reboot this host now, as a scheduler would write it.
async fn order(fleet: &Fleet, host: &Host, generation: u64) -> Result<Attempt> {
    let uid = fleet.world.node(host.name()).await?.metadata.uid.context("a UID")?;
    let (node_uid, now) = (uid.parse()?, Timestamp::now());
    let attempt = AttemptRef {
        node: host.name().parse()?,
        attempt: AttemptId::new(&node_uid, Generation(generation), now),
        node_uid,
        generation: Generation(generation),
    };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
    let soon = now.checked_add(SignedDuration::from_mins(5))?;
    Ok(Attempt {
        phase: Phase::Rebooting,
        drained_at: Some(now),
        reboot_not_after: Some(soon),
        deadline: Some(soon),
        ..Attempt::new(attempt, host.boot_id().parse()?, now, trace)
    })
}

fn packed(record: &Attempt) -> (HeaderMap, Vec<u8>) {
    let Encoded { headers, payload } = encode(record);
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name, value);
    }
    (map, payload)
}

async fn jetstream(fleet: &Fleet) -> Result<Context> {
    Ok(async_nats::jetstream::new(fleet.world.nats.client().await?))
}

/// Waits for a refusal with this code, about this record.
async fn refused(fleet: &mut Fleet, record: &Attempt, code: &str) -> Result<()> {
    let is_wanted = |fact: &Fact| matches!(fact, Fact::RebootRefused { code: found, .. } if found == code);
    fleet
        .event(code, |event| event.attempt == record.id && is_wanted(&event.fact))
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_replayed_record_orders_neither_drain_nor_reboot_and_counts_as_none() -> Result<()> {
    let mut fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let (victim, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    let bus = jetstream(&fleet).await?;
    let key = subject::attempt_record(&victim.name().parse::<bellwether_proto::NodeName>()?.token());
    // Not signed; then signed by a key of the attacker's own.
    let unsigned = order(&fleet, &victim, 1).await?;
    let (headers, body) = packed(&unsigned);
    bus.publish_with_headers(key.clone(), headers, body.into())
        .await?
        .await?;
    refused(&mut fleet, &unsigned, "RecordUnsigned").await?;
    let own = order(&fleet, &victim, 2).await?;
    let (headers, body) = packed(&own);
    Signer::new(66)?.store(&bus, key.clone(), headers, body).await?;
    refused(&mut fleet, &own, "RecordKeyUnknown").await?;
    // A forged record and its command drain nothing either.
    let draining = Attempt {
        phase: Phase::Draining,
        drained_at: None,
        ..order(&fleet, &other, 1).await?
    };
    let (headers, body) = packed(&draining);
    let token = draining.node.token();
    bus.publish_with_headers(subject::attempt_record(&token), headers, body.into())
        .await?
        .await?;
    let command = DrainNode {
        attempt: AttemptRef {
            node: draining.node.clone(),
            attempt: draining.id,
            node_uid: draining.node_uid.clone(),
            generation: draining.generation,
        },
        not_after: Timestamp::now().checked_add(SignedDuration::from_mins(5))?,
    };
    let bare = rig::bus::Bus::connect(&fleet.world.nats).await?;
    bare.publish(subject::drain_command(&token), &command).await?;
    wait::steadily("nothing happens", QUIET, async || {
        let cordons = fleet.nodes.cordons(victim.name()) + fleet.nodes.cordons(other.name());
        Ok(victim.reboot_orders() == 0 && other.reboot_orders() == 0 && cordons == 0)
    })
    .await?;
    wait::until("the leader to count the records as none", DEADLINE, async || {
        let leader = fleet.services.leader(&fleet.world).await?;
        ensure!(leader.sum(UNTRUSTED, "").await? > 0.0, "none is counted");
        Ok(())
    })
    .await?;
    // None of it keeps the fleet from rolling.
    fleet.upgrade_all()?;
    fleet.rebooted_once(&[victim.clone(), other]).await?;

    // What a scheduler has signed counts in its own place only.
    let mut stream = bus.get_stream(ATTEMPTS_STREAM.name).await?;
    let last = stream.info().await?.state.last_sequence;
    let mut replayed = None;
    for sequence in 1..=last {
        let Ok(message) = stream.get_raw_message(sequence).await else {
            continue;
        };
        let own = |name: &'static str| message.headers.get(name).map(async_nats::HeaderValue::as_str);
        let record = bellwether_proto::decode::<Attempt>(own, &message.payload);
        let is_order = record.is_ok_and(|record| record.phase == Phase::Rebooting);
        if *message.subject == *key && is_order && own(header::SIGNATURE).is_some() {
            replayed = Some(message);
        }
    }
    let replayed = replayed.context("the stream has no order of a scheduler any more")?;
    let mut headers = HeaderMap::new();
    for name in [header::TYPE, header::SCHEMA, header::SIGNATURE] {
        let value = replayed.headers.get(name).context("a header of every record")?;
        headers.insert(name, value.as_str());
    }
    bus.publish_with_headers(key, headers, replayed.payload).await?.await?;
    wait::steadily("nothing happens", QUIET, async || {
        Ok(victim.reboot_orders() == 1 && !node_state(&fleet.world.node(victim.name()).await?).cordoned)
    })
    .await?;
    fleet.finish()
}

/// Seconds instead of weeks: longer than a leader waits at most before it loads again, since records count for two keys only.
fn rotating() -> ServicesOptions {
    ServicesOptions::default()
        .set(setting::RECORD_KEY_LIFETIME, "20s")
        .set(setting::RECORD_KEY_NOTICE, "4s")
}

/// The ids of the public keys in a namespace.
async fn published(fleet: &Fleet, namespace: &str) -> Result<Vec<String>> {
    let maps: Api<ConfigMap> = Api::namespaced(fleet.world.client(), namespace);
    let text = maps
        .get(NAME)
        .await?
        .data
        .unwrap_or_default()
        .remove("keys")
        .unwrap_or_default();
    let keys: PublicKeys = text.parse()?;
    Ok(keys.ids().map(|id| id.to_string()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_under_running_reboots_and_no_order_is_refused() -> Result<()> {
    let fleet = Fleet::start(4, rotating().set("BELLWETHER_SOAK", "3s")).await?;
    let first = published(&fleet, AGENTS).await?;
    fleet.upgrade_all()?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;
    let bus = rig::bus::Bus::connect(&fleet.world.nats).await?;
    for event in bus.all_events().await? {
        let is_refusal = matches!(event.fact, Fact::RebootRefused { .. });
        ensure!(!is_refusal, "{event:?}");
    }
    wait::until("the first key to be gone", DEADLINE, async || {
        let present = published(&fleet, AGENTS).await?;
        ensure!(present == published(&fleet, NAMESPACE).await?, "the namespaces differ");
        ensure!(!first.iter().any(|key| present.contains(key)), "{present:?}");
        Ok(())
    })
    .await?;
    // What the first key had signed was signed again: nothing is lost.
    let status = fleet.services.ctl_ok(&["status"]).await?;
    ensure!(!status.contains("not trusted"), "{status}");
    fleet.services.ctl_ok(&["history", "--verify"]).await?;
    for host in fleet.world.hosts() {
        fleet.in_phase(host.name(), Phase::Done).await?;
    }
    let untrusted = fleet.services.leader(&fleet.world).await?.sum(UNTRUSTED, "").await?;
    ensure!(untrusted == 0.0, "{untrusted} records are not trusted");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_secret_voids_the_old_keys_at_once_and_stops_the_fleet_until_an_operator_resumes() -> Result<()> {
    let options = ServicesOptions::default().set(setting::RECORD_KEY_NOTICE, "4s");
    let fleet = Fleet::start(2, options).await?;
    // An order of an operator is in the records.
    fleet.services.ctl_ok(&["pause", "--reason", "for a moment"]).await?;
    fleet.services.ctl_ok(&["resume"]).await?;
    let old = Signer::with(record_keys::signing_key(&fleet.world.client()).await?);
    record_keys::empty_secret(&fleet.world.client()).await?;
    wait::until("new keys, and a stop", DEADLINE, async || {
        let keys = published(&fleet, AGENTS).await?;
        ensure!(!keys.contains(&old.key().id().to_string()), "the old key is published");
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(status.contains("the stored orders are not trusted"), "{status}");
        Ok(())
    })
    .await?;
    // The old key orders nothing any more.
    let victim = fleet.world.host(0)?;
    let record = order(&fleet, &victim, 1).await?;
    let (headers, body) = packed(&record);
    let key = subject::attempt_record(&record.node.token());
    let rebooter = fleet.services.agents_of(&victim)?.rebooter;
    old.store(&jetstream(&fleet).await?, key, headers, body).await?;
    fleet.upgrade_all()?;
    wait::steadily("nothing happens", QUIET, async || Ok(victim.reboot_orders() == 0)).await?;
    let unknown = rebooter
        .sum("bellwether_records_untrusted_total", "RecordKeyUnknown")
        .await?;
    ensure!(unknown > 0.0, "the record was not refused for its key");
    fleet.services.ctl_ok(&["resume"]).await?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwritten_config_map_is_put_right_and_costs_no_drain() -> Result<()> {
    let options = ServicesOptions::default().set(setting::RECORD_KEY_NOTICE, "4s");
    let fleet = Fleet::start(2, options).await?;
    let before = published(&fleet, AGENTS).await?;
    let maps: Api<ConfigMap> = Api::namespaced(fleet.world.client(), AGENTS);
    for data in [json!({ "keys": "hunter2" }), json!(null)] {
        let patch = Patch::Merge(json!({ "data": data }));
        maps.patch(NAME, &PatchParams::default(), &patch).await?;
        wait::until("the keys to be published again", DEADLINE, async || {
            let present = published(&fleet, AGENTS).await?;
            ensure!(present == before, "{present:?}");
            Ok(())
        })
        .await?;
    }
    fleet.upgrade_all()?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_rebooter_does_not_know_the_key_waits_undrained_until_it_does() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default().set("BELLWETHER_SLOTS", "2")).await?;
    let (lags, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    let file = fleet.world.place.path().join("lagging-keys");
    let rebooter = fleet.services.agents_of(&lags)?.rebooter;
    rebooter.process.reconfigure(|program| {
        let value = file.display().to_string();
        program.env.insert(setting::RECORD_KEYS.to_owned(), value);
    });
    rebooter.process.restart()?;
    let bus = rig::bus::Bus::connect(&fleet.world.nats).await?;
    wait::until("a report without keys", DEADLINE, async || {
        let report = bus.rebooter_report(lags.name()).await?.context("no report")?;
        ensure!(report.record_keys.is_some_and(|keys| keys.is_empty()), "it knows keys");
        Ok(())
    })
    .await?;
    fleet.upgrade_all()?;
    fleet.rebooted_once(&[other]).await?;
    wait::until("the reason to be shown", DEADLINE, async || {
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(status.contains("does not know the key"), "{status}");
        Ok(())
    })
    .await?;
    let (status, body) = rebooter.get("/readyz").await?;
    ensure!(status == 503 && body.contains("RecordKeysUnusable"), "{status} {body}");
    assert_eq!((lags.reboot_orders(), fleet.nodes.cordons(lags.name())), (0, 0));
    std::fs::copy(fleet.services.keys.file(AGENTS), &file)?;
    fleet.rebooted_once(&[lags]).await?;
    fleet.finish()
}

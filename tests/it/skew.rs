//! Version skew on a real bus: today's services beside ones of the previous release, which are
//! played by what that release wrote. That all its messages are understood is shown in
//! `proto/tests/golden`; here its messages lead today's services to a reboot.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use bellwether_proto::{Fact, NodeEvent, NodeName, Phase, decode, mark, subject};
use k8s_openapi::api::core::v1::Node;
use kube::api::Patch;
use kube::{Api, ResourceExt as _};
use rig::host::Host;
use rig::record::node_state;
use rig::record_keys;
use rig::services::ServicesOptions;
use rig::tools;
use rig::wait;
use serde_json::json;
use uuid::Uuid;

use crate::fleet::{DEADLINE, Fleet};

#[path = "../../proto/tests/golden/file.rs"]
mod file;

use file::File;

/// The nodes and ids in the stored messages.
const NODE: &str = "node-1.rig";
const NODE_UID: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const BOOT_BEFORE: &str = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";
const BOOT_AFTER: &str = "cccccccc-cccc-4ccc-8ccc-cccccccccccc";
const ATTEMPT: &str = "dddddddd-dddd-4ddd-8ddd-dddddddddddd";

/// A service of the previous release that speaks of one node.
struct Previous {
    jetstream: async_nats::jetstream::Context,
    nodes: Api<Node>,
    /// What stands in a stored message, and what it is in this world: of equal length, so that
    /// the rest of the bytes stays as it was written.
    swaps: Vec<(&'static str, String)>,
    node: NodeName,
}

impl Previous {
    async fn new(fleet: &Fleet, host: &Host) -> Result<Self> {
        let uid = fleet.world.node(host.name()).await?.uid().context("a UID")?;
        Ok(Self {
            jetstream: async_nats::jetstream::new(fleet.world.nats.client().await?),
            nodes: Api::all(fleet.world.client()),
            swaps: vec![(NODE, host.name().to_owned()), (NODE_UID, uid)],
            node: host.name().parse()?,
        })
    }

    fn swap(&mut self, stored: &'static str, here: impl ToString) {
        self.swaps.push((stored, here.to_string()));
    }

    fn message(&self, name: &str) -> Result<File> {
        let folder = tools::repository().join("proto/tests/golden/previous");
        let text = std::fs::read_to_string(folder.join(format!("{name}.txt")))?;
        let mut file: File = text.parse().map_err(anyhow::Error::msg)?;
        for (stored, here) in &self.swaps {
            ensure!(
                stored.len() == here.len(),
                "{here:?} does not fit in the place of {stored:?}"
            );
            let stored = stored.as_bytes();
            for at in 0..file.body.len() {
                let place = file.body.get_mut(at..at + stored.len());
                if let Some(place) = place.filter(|place| **place == *stored) {
                    place.copy_from_slice(here.as_bytes());
                }
            }
        }
        Ok(file)
    }

    /// Writes a message as the previous release did.
    async fn say(&self, subject: String, name: &str) -> Result<()> {
        let file = self.message(name)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &file.headers {
            headers.insert(name.as_str(), value.as_str());
        }
        let ack = self.jetstream.publish_with_headers(subject, headers, file.body.into());
        ack.await?
            .await
            .with_context(|| format!("cannot store the {}", file.kind))?;
        Ok(())
    }

    async fn tell(&self, name: &str) -> Result<()> {
        let file = self.message(name)?;
        let header = |name: &'static str| file.headers.iter().find(|(key, _)| key == name);
        let event: NodeEvent = decode(|name| header(name).map(|(_, value)| value.as_str()), &file.body)?;
        self.say(subject::event(&self.node.token(), &event.fact), name).await
    }

    /// Cordons the node for an attempt, as the drainer did; or takes the cordon away.
    async fn cordon(&self, attempt: Option<String>) -> Result<()> {
        let change = json!({
            "spec": { "unschedulable": attempt.is_some().then_some(true) },
            "metadata": { "annotations": { mark::CORDONED_FOR: attempt } },
        });
        let name = self.node.as_str();
        self.nodes
            .patch(name, &Default::default(), &Patch::Merge(change))
            .await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_and_a_drainer_of_the_previous_release_lead_to_a_reboot_today() -> Result<()> {
    let options = ServicesOptions {
        drainers: 0,
        // A drainer of the previous release answers no questions.
        ..ServicesOptions::default().without_drain_checks()
    };
    let mut fleet = Fleet::start(1, options).await?;
    let host = fleet.world.host(0)?;
    let agents = fleet.services.agents_of(&host)?;
    // Only the rebooter comes back with the next boot.
    host.adopt_agents(vec![agents.rebooter.process]);
    agents.sentinel.process.kill9();

    let mut previous = Previous::new(&fleet, &host).await?;
    previous.swap(BOOT_BEFORE, host.boot_id());
    let report = subject::sentinel_record(&previous.node.token());
    previous.say(report.clone(), "host-report-needing").await?;
    let draining = |event: &NodeEvent| {
        matches!(
            event.fact,
            Fact::PhaseChanged {
                to: Phase::Draining,
                ..
            }
        )
    };
    let attempt = fleet.event("the node to be draining", draining).await?.attempt;
    previous.swap(ATTEMPT, attempt);
    previous.cordon(Some(attempt.to_string())).await?;
    previous.tell("event-cordoned").await?;
    previous.tell("event-drain-progressed").await?;
    previous.tell("event-drained").await?;
    wait::until_equal("reboots", DEADLINE, 1, async || Ok(host.reboots())).await?;
    previous.swap(BOOT_AFTER, host.boot_id());
    previous.say(report, "host-report-content").await?;
    fleet.in_phase(host.name(), Phase::Uncordoning).await?;
    previous.cordon(None).await?;
    previous.tell("event-uncordoned").await?;
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_scheduler_of_the_previous_release_began_is_brought_to_its_end_today() -> Result<()> {
    let fleet = Fleet::start(3, ServicesOptions::default()).await?;
    // It paused the fleet, so that only its own attempts continue; then it was replaced.
    for scheduler in &fleet.services.schedulers {
        scheduler.process.kill9();
    }
    // It made no keys and signed nothing.
    record_keys::forget(&fleet.world.client()).await?;
    let [draining, rebooting, uncordoning] = [fleet.world.host(0)?, fleet.world.host(1)?, fleet.world.host(2)?];
    let previous = Previous::new(&fleet, &draining).await?;
    previous.say(subject::control_record(), "fleet-control").await?;
    for host in [&draining, &rebooting] {
        host.upgrade_kernel("6.12.48")?;
        wait::until("today's sentinel to report the need", DEADLINE, async || {
            let bus = rig::bus::Bus::connect(&fleet.world.nats).await?;
            let report = bus.host_report(host.name()).await?.context("no report")?;
            ensure!(report.need.required().is_some(), "{report:?}");
            Ok(())
        })
        .await?;
    }
    // Of today's rebooters, that of the host that has its order comes last: it would refuse an order without a signature.
    let rebooter = fleet.services.agents_of(&rebooting)?.rebooter;
    rebooter.process.kill9();
    for (host, record) in [
        (&draining, "attempt-draining"),
        (&rebooting, "attempt-rebooting"),
        (&uncordoning, "attempt-uncordoning"),
    ] {
        let attempt = Uuid::new_v4().to_string();
        let mut previous = Previous::new(&fleet, host).await?;
        previous.swap(ATTEMPT, &attempt);
        if record == "attempt-uncordoning" {
            previous.swap(BOOT_AFTER, host.boot_id());
        } else {
            previous.swap(BOOT_BEFORE, host.boot_id());
        }
        if record != "attempt-draining" {
            previous.cordon(Some(attempt)).await?;
        }
        let token = previous.node.token();
        previous.say(subject::attempt_record(&token), record).await?;
        if record == "attempt-draining" {
            previous.say(subject::drain_command(&token), "drain-node").await?;
        } else if record == "attempt-uncordoning" {
            previous.say(subject::uncordon_command(&token), "uncordon-node").await?;
        }
    }
    // It has signed nothing, so today's drainer and rebooter do nothing by its records.
    let cordoned = async |host: &Host| anyhow::Ok(node_state(&fleet.world.node(host.name()).await?).cordoned);
    wait::steadily("nothing happens", Duration::from_secs(3), async || {
        let first = cordoned(&draining).await?;
        Ok(!first && cordoned(&uncordoning).await? && rebooting.reboot_orders() == 0)
    })
    .await?;
    // The first leader of today signs what it finds, and all three continue.
    for scheduler in &fleet.services.schedulers {
        scheduler.process.restart()?;
    }
    fleet.services.leader(&fleet.world).await?;
    rebooter.process.restart()?;
    fleet.rebooted_once(&[draining, rebooting]).await?;
    fleet.in_phase(uncordoning.name(), Phase::Done).await?;
    assert_eq!(uncordoning.reboot_orders(), 0);
    let status = fleet.services.ctl_ok(&["status"]).await?;
    assert!(status.contains("release night"), "{status}");
    fleet.finish()
}

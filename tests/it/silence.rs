//! NATS that says nothing: a server that hangs, and a bucket that was created again under its watch.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::stream::HOSTS_STREAM;
use bellwether_proto::subject;
use rig::service::Service;
use rig::services::ServicesOptions;
use rig::wait;

use crate::fleet::{DEADLINE, Fleet};

/// Of a service of the control plane: fifteen seconds, and a little for busy cores.
const NOTICED: Duration = Duration::from_secs(18);

/// Of an agent, which tries its connection more rarely: a minute, and a little.
const NOTICED_BY_AGENT: Duration = Duration::from_secs(75);

/// Waits until each of these services reports that NATS is silent.
async fn noticed(services: &[Service], within: Duration) -> Result<()> {
    wait::until("every service to report that NATS is silent", within, async || {
        for service in services {
            let (status, body) = service.get("/readyz").await?;
            let name = service.process.name();
            ensure!(status == 503 && body.contains("nats Nats"), "{name}: {status} {body}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_notices_a_nats_server_that_hangs() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let agents = fleet
        .services
        .agents()
        .into_values()
        .flat_map(|it| [it.sentinel, it.rebooter]);
    let agents: Vec<_> = agents.collect();
    let control = fleet.services.schedulers.iter().chain(&fleet.services.drainers);
    let control: Vec<_> = control.cloned().collect();
    fleet.world.nats.process.pause()?;
    noticed(&control, NOTICED).await?;
    noticed(&agents, NOTICED_BY_AGENT).await?;
    fleet.world.nats.process.resume()?;
    fleet.services.wait_ready().await?;
    fleet.upgrade_all()?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_in_a_bucket_that_was_created_again_is_heard() -> Result<()> {
    const OLD: usize = 300;
    // No refresh helps: each report is stored once.
    let options = ServicesOptions::default().set("BELLWETHER_REFRESH_INTERVAL", "10m");
    let fleet = Fleet::start(1, options).await?;
    let host = fleet.world.host(0)?;
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let unknown_keys = async |count: usize| -> Result<u64> {
        let mut last = 0;
        for number in 0..count {
            let subject = subject::all_host_records().replace('>', &format!("unknown-{number}"));
            last = jetstream.publish(subject, "".into()).await?.await?.sequence;
        }
        Ok(last)
    };
    let before = unknown_keys(OLD).await?;
    let config = jetstream
        .get_stream(HOSTS_STREAM.name)
        .await?
        .cached_info()
        .config
        .clone();
    jetstream.delete_stream(HOSTS_STREAM.name).await?;
    jetstream.create_stream(config).await?;
    host.upgrade_kernel("6.12.48")?;
    let token = host.name().parse::<bellwether_proto::NodeName>()?.token();
    let reported = wait::until("the report of the need", DEADLINE, async || {
        let stream = jetstream.get_stream(HOSTS_STREAM.name).await?;
        let report = stream
            .get_last_raw_message_by_subject(&subject::sentinel_record(&token))
            .await;
        Ok(report.context("none is stored")?.sequence)
    })
    .await?;
    // The bucket has more messages than the one before had: its last sequence shows nothing.
    let after = unknown_keys(OLD * 2).await?;
    ensure!(reported < before && before < after, "{reported}, {before}, {after}");
    wait::until("the need to be shown", Duration::from_secs(40), async || {
        let status = fleet.services.ctl_ok(&["status", "-o", "json"]).await?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        ensure!(status["nodes"][0]["rebootRequired"] == true, "{status}");
        Ok(())
    })
    .await?;
    fleet.finish()
}

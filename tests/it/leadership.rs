//! Leadership changes hands: fast when the leader stops in order, by the Lease when it dies, and before the
//! Lease ends when it cannot renew.

#![expect(clippy::print_stdout, reason = "--nocapture shows the measured times")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Fact, NodeEvent, Phase};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::Api;
use kube::api::PostParams;
use rig::bus::Bus;
use rig::proxy::{Proxy, Way};
use rig::service::Service;
use rig::services::ServicesOptions;
use rig::wait;
use rig::world::{World, WorldOptions};
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};

/// A Lease as long as by default: only the way of an orderly stop can be far below it.
const LONG: Duration = Duration::from_secs(15);

/// A third of [`LONG`], and far more than the take-over takes on an idle machine.
const PROMPT: Duration = Duration::from_secs(5);

fn lease_of(duration: Duration) -> ServicesOptions {
    ServicesOptions::default().set("BELLWETHER_LEASE_DURATION", &format!("{}s", duration.as_secs()))
}

/// The leader and the other scheduler.
pub(crate) async fn pair(fleet: &Fleet) -> Result<(Service, Service)> {
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    let mut others = fleet.services.schedulers.iter();
    let standby = others.find(|it| it.process.name() != leader.process.name());
    Ok((leader, standby.context("a standby")?.clone()))
}

/// A leader behind proxies, and the other scheduler, which reaches both servers without them.
struct BehindProxies {
    leader: Service,
    standby: Service,
    api: Proxy,
    nats: Proxy,
}

impl BehindProxies {
    async fn start(fleet: &Fleet) -> Result<Self> {
        let (leader, standby) = pair(fleet).await?;
        let api = Proxy::start(fleet.world.control_plane.access().port())?;
        let nats = Proxy::start(fleet.world.nats.port())?;
        standby.process.kill9();
        fleet.services.reroute(&fleet.world, &leader, &api, &nats).await?;
        wait::eventually("the scheduler behind the proxy to lead", DEADLINE, async || {
            leads(&leader).await
        })
        .await?;
        standby.process.restart()?;
        standby.wait_ready().await?;
        Ok(Self {
            leader,
            standby,
            api,
            nats,
        })
    }
}

pub(crate) async fn leads(scheduler: &Service) -> Result<bool> {
    Ok(scheduler.metric("bellwether_scheduler_leading").await? == 1.0)
}

/// Waits until a scheduler leads and decides; how long that took from `since`.
async fn led_after(scheduler: &Service, since: Instant) -> Result<Duration> {
    wait::eventually("the standby to lead", DEADLINE, async || leads(scheduler).await).await?;
    Ok(since.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_leads_at_once_when_the_leader_stops_in_order() -> Result<()> {
    let fleet = Fleet::start(1, lease_of(LONG)).await?;
    for _ in 0..3 {
        let (leader, standby) = pair(&fleet).await?;
        let since = Instant::now();
        let (stopped, led) = tokio::join!(leader.process.terminate(DEADLINE), led_after(&standby, since));
        ensure!(stopped?.success(), "the leader did not end well");
        let led = led?;
        println!("led {led:?} after SIGTERM of the leader");
        ensure!(led < PROMPT, "the standby led only after {led:?}");
        leader.process.restart()?;
        leader.wait_ready().await?;
    }
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_node_is_drained_leaves_the_lead_to_a_ready_replica_on_another_node_and_else_leads_on()
-> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    let nodes = [0, 1].map(|number| world.host(number).map(|host| host.name().to_owned()));
    let [one, two] = nodes;
    let options = ServicesOptions {
        scheduler_nodes: vec![one?, two?],
        ..lease_of(LONG)
    };
    let fleet = Fleet::start_in(world, options).await?;
    let (leader, standby) = pair(&fleet).await?;
    let is_first = leader.process.name() == "scheduler-1";
    let (own, other) = if is_first { (0, 1) } else { (1, 0) };
    let (own, other) = (fleet.world.host(own)?, fleet.world.host(other)?);
    // No pod of another scheduler is there: nothing would be won.
    own.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(&own)).await?;
    ensure!(leads(&leader).await?, "the lead was left to no replica");

    let pod = json!({
        "metadata": {
            "name": "scheduler-other", "namespace": "bellwether",
            "labels": {
                "app.kubernetes.io/component": "scheduler", "app.kubernetes.io/part-of": "bellwether",
            },
        },
        "spec": {
            "nodeName": other.name(), "serviceAccountName": "scheduler", "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "scheduler", "image": "rig.bellwether.dev/app:1",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    });
    let pods: Api<Pod> = Api::namespaced(fleet.world.client(), "bellwether");
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    wait::until("the other scheduler's pod to be Ready", DEADLINE, async || {
        let status = pods.get("scheduler-other").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let is_ready = |it: &PodCondition| it.type_ == "Ready" && it.status == "True";
        ensure!(conditions.iter().any(is_ready), "{conditions:?}");
        Ok(())
    })
    .await?;
    own.upgrade_kernel("6.12.50")?;
    fleet.in_phase(own.name(), Phase::Draining).await?;
    let led = led_after(&standby, Instant::now()).await?;
    println!("led {led:?} after the begin of the drain of the leader's node");
    ensure!(led < PROMPT, "the standby led only after {led:?}");
    wait::until("the node to be rebooted under the other leader", DEADLINE, async || {
        let attempt = fleet.attempt(own.name()).await?.context("no attempt")?;
        let is_done = attempt.phase == Phase::Done && own.reboots() == 2;
        ensure!(is_done, "{} after {} reboots", attempt.phase.as_str(), own.reboots());
        Ok(())
    })
    .await?;
    ensure!(
        leads(&standby).await? && !leads(&leader).await?,
        "the lead has changed again"
    );
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_leads_after_the_lease_when_the_leader_dies() -> Result<()> {
    let lease = Duration::from_secs(5);
    let fleet = Fleet::start(1, lease_of(lease)).await?;
    let (leader, standby) = pair(&fleet).await?;
    let since = Instant::now();
    leader.process.kill9();
    let led = led_after(&standby, since).await?;
    println!("led {led:?} after SIGKILL of the leader, by a Lease of {lease:?}");
    // The newest renewal is at most a third of the duration old; the rest is time to load.
    ensure!(led > lease / 2, "the Lease was not waited for: {led:?}");
    ensure!(led < lease + PROMPT, "the standby led only after {led:?}");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_steps_down_before_another_leads() -> Result<()> {
    let lease = Duration::from_secs(9);
    let fleet = Fleet::start(1, lease_of(lease)).await?;
    for way in [Way::Silent, Way::Cut] {
        let BehindProxies {
            leader,
            standby,
            api,
            nats: _nats,
        } = BehindProxies::start(&fleet).await?;
        let since = Instant::now();
        api.set(way);
        wait::eventually("the leader to step down by itself", DEADLINE, async || {
            ensure!(!leads(&standby).await?, "both led at once");
            Ok(!leads(&leader).await?)
        })
        .await?;
        let down = since.elapsed();
        let led = led_after(&standby, since).await?;
        println!("{way:?}: stepped down after {down:?}, the other led after {led:?}");
        ensure!(down < lease, "the leader led for {down:?} without the API server");
        ensure!(led < lease + PROMPT, "the standby led only after {led:?}");
        // It asks again now and then, and not as fast as it can.
        let log = leader.process.output();
        let failures = log.lines().filter(|line| line.contains("(Connect)")).count();
        ensure!(failures < 200, "{failures} failed connections within {led:?}");
        // Back again, it takes part as a standby.
        api.set(Way::Open);
        standby.process.kill9();
        wait::eventually("the first to lead again", DEADLINE, async || leads(&leader).await).await?;
        standby.process.restart()?;
        standby.wait_ready().await?;
    }
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_nats_leaves_the_lease_to_the_other_scheduler() -> Result<()> {
    let mut fleet = Fleet::start(2, lease_of(Duration::from_secs(3))).await?;
    let BehindProxies {
        leader,
        standby,
        api: _api,
        nats,
    } = BehindProxies::start(&fleet).await?;
    // An attempt under way, which the next leader has to take to its end.
    fleet.upgrade_all()?;
    fleet.entering(Phase::Draining).await?;
    let since = Instant::now();
    // Nothing is closed, so that the client has to notice by itself.
    nats.set(Way::Silent);
    let led = led_after(&standby, since).await?;
    println!("the other led {led:?} after the leader lost NATS");
    wait::until("the reason in /readyz", DEADLINE, async || {
        let (status, body) = leader.get("/readyz").await?;
        ensure!(status == 503 && body.contains("StreamsNotSetUp"), "{status} {body}");
        Ok(())
    })
    .await?;
    let log = leader.process.output();
    ensure!(log.contains("Releases the Lease"), "the log does not name the cause");
    // The first takes no turn while the other leads.
    wait::steadily("the other leads on", Duration::from_secs(5), async || {
        leads(&standby).await
    })
    .await?;
    nats.set(Way::Open);
    leader.wait_ready().await?;
    // Back with NATS it takes part again, and leads when its turn comes.
    standby.process.kill9();
    wait::eventually("the first to lead again", DEADLINE, async || leads(&leader).await).await?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn schedulers_that_all_lack_nats_take_turns_without_harm() -> Result<()> {
    let fleet = Fleet::start(2, lease_of(Duration::from_secs(3))).await?;
    fleet.services.leader(&fleet.world).await?;
    fleet.world.nats.kill9();
    wait::eventually("each to have had a turn", DEADLINE, async || {
        let mut schedulers = fleet.services.schedulers.iter();
        Ok(schedulers.all(|it| it.process.output().contains("Releases the Lease")))
    })
    .await?;
    let status = fleet.services.ctl(&["status"]).await?;
    ensure!(!status.status.success(), "no scheduler has read the records");
    let reason = String::from_utf8_lossy(&status.stderr).into_owned();
    println!("{reason}");
    ensure!(reason.contains("JetStream"), "the cause is missing: {reason}");
    fleet.world.nats.restart().await?;
    fleet.upgrade_all()?;
    fleet.all_rolled(1).await
}

/// A leader that is stopped in the middle of a step, right after it has announced a phase, may have a write of a
/// record, a command, an event or a span on its way. Another leads meanwhile and takes the attempt to its end.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_leader_had_on_its_way_does_no_harm_when_it_continues() -> Result<()> {
    let phases = [Phase::Draining, Phase::Rebooting, Phase::Uncordoning];
    let mut fleet = Fleet::start(phases.len(), lease_of(Duration::from_secs(3))).await?;
    for (index, phase) in phases.into_iter().enumerate() {
        let (leader, standby) = pair(&fleet).await?;
        let host = fleet.world.host(index)?;
        host.upgrade_kernel("6.12.48")?;
        let entered = |event: &NodeEvent| {
            let here = event.node.as_str() == host.name();
            here && matches!(event.fact, Fact::PhaseChanged { to, .. } if to == phase)
        };
        fleet.event("the node's phase", entered).await?;
        leader.process.pause()?;
        wait::eventually("the other to lead", DEADLINE, async || leads(&standby).await).await?;
        fleet.rebooted_once(&[Arc::clone(&host)]).await?;
        leader.process.resume()?;
        wait::eventually("the stopped one to lead no more", DEADLINE, async || {
            Ok(!leads(&leader).await?)
        })
        .await?;
        wait::steadily("the other leads on", Duration::from_secs(4), async || {
            Ok(leads(&standby).await? && !leads(&leader).await?)
        })
        .await?;
    }
    let bus = Bus::connect(&fleet.world.nats).await?;
    for host in fleet.world.hosts() {
        let attempt = fleet.attempt(host.name()).await?.context("a record")?;
        let mut announced: Vec<_> = bus.events(host.name()).await?;
        announced.retain(|event| matches!(event.fact, Fact::PhaseChanged { .. }));
        let attempts: BTreeSet<_> = announced.iter().map(|event| event.attempt).collect();
        ensure!(
            attempts == BTreeSet::from([attempt.id]),
            "{} was tried again",
            host.name()
        );
        let generations: BTreeSet<_> = announced.iter().map(|event| event.generation).collect();
        ensure!(
            generations.len() == announced.len(),
            "a phase was announced twice: {announced:?}"
        );
        let trace = attempt.trace.to_string();
        let trace = trace.split('-').nth(1).context("a trace id")?;
        let spans = fleet.world.traces.trace(trace);
        for phase in phases {
            let count = spans
                .iter()
                .filter(|it| it.service == "scheduler" && it.name == phase.as_str())
                .count();
            ensure!(count <= 1, "{phase:?} has {count} spans of the scheduler");
        }
    }
    fleet.all_rolled(1).await
}

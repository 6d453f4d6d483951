//! One stand-in for all kubelets, sentinels and rebooters of the fleet.
//!
//! It publishes the contract's own messages, through the account of the agents as they do, and writes the Node objects as kubelets do. What it leaves out: pods, and
//! the kubelets' Leases, which the scheduler does not watch and whose renewal (one for each node in ten seconds) would
//! take the API server's time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use async_nats::Subscriber;
use bellwether_proto::permission::Role;
use bellwether_proto::{
    Attempt, BootId, Fact, HostReport, NeedReport, NodeEvent, NodeName, Phase, RebootNeed, RebooterReport, decode,
    subject,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use rig::accounts::{EVERY_NODE, User};
use rig::bus::Bus;
use rig::world::World;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout_at};
use uuid::Uuid;

use crate::shape;

/// How often an agent renews its report, and a kubelet its status, when nothing changes: the defaults of both.
pub(crate) const REFRESH: Duration = Duration::from_secs(300);
/// Requests to the API server that are under way at once while the fleet is created.
const REQUESTS: usize = 16;
/// Messages that wait for their acknowledgement at once while all agents report.
const PUBLISHES: usize = 64;
/// How often the stand-in looks which nodes are due. At 5,000 nodes one is due every 20 ms.
const TICK: Duration = Duration::from_millis(10);
/// How long after a hint the record is read again that was not stored yet: as the rebooter does.
const SECOND_LOOK: Duration = Duration::from_millis(500);
/// How long one write of the stand-in may take; a machine on which it takes longer measures nothing.
const WRITE_MAX: Duration = Duration::from_secs(20);

/// All hosts of the fleet.
pub(crate) struct Hosts {
    nodes: Api<Node>,
    /// As the sentinels of all nodes.
    sentinels: Bus,
    /// As their rebooters.
    rebooters: Bus,
    hosts: Vec<Host>,
    indices: BTreeMap<NodeName, usize>,
    down_for: Mutex<Duration>,
}

struct Host {
    name: NodeName,
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    boot: BootId,
    need_since: Option<Timestamp>,
    /// From the order to reboot to the end of the boot: neither kubelet nor agents write.
    rebooting: bool,
}

impl Hosts {
    /// Hosts without Node objects and reports yet.
    pub(crate) async fn new(world: &World, count: usize, down_for: Duration) -> Result<Self> {
        let of = |role| User { role, node: EVERY_NODE };
        let sentinels = Bus::connect_as(&world.nats, &of(Role::Sentinel)).await?;
        let rebooters = Bus::connect_as(&world.nats, &of(Role::Rebooter)).await?;
        let mut hosts = Vec::with_capacity(count);
        let mut indices = BTreeMap::new();
        for index in 0..count {
            let name: NodeName = format!("node-{index:05}.bench.example.com").parse()?;
            indices.insert(name.clone(), index);
            let state = State {
                boot: new_boot()?,
                need_since: None,
                rebooting: false,
            };
            hosts.push(Host {
                name,
                state: Mutex::new(state),
            });
        }
        Ok(Self {
            nodes: Api::all(world.client()),
            sentinels,
            rebooters,
            hosts,
            indices,
            down_for: Mutex::new(down_for),
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.hosts.len()
    }

    /// The name of the host at this place.
    pub(crate) fn name(&self, index: usize) -> Result<&NodeName> {
        Ok(&self.host(index)?.name)
    }

    /// How long a host is down from now on when it reboots.
    pub(crate) fn stay_down_for(&self, time: Duration) {
        *locked(&self.down_for) = time;
    }

    /// Creates all Node objects.
    pub(crate) async fn register_all(&self) -> Result<()> {
        let register = async |index: usize| {
            let host = self.host(index)?;
            let node = shape::node(index, &host.name, &host.state().boot);
            let node: Node = serde_json::from_value(node).context("the shape of a node is malformed")?;
            let created = self.nodes.create(&PostParams::default(), &node).await;
            created
                .map(drop)
                .with_context(|| format!("cannot create {}", host.name))
        };
        let all = stream::iter(0..self.count()).map(register);
        all.buffer_unordered(REQUESTS).try_collect().await
    }

    /// Both agents of every host report.
    pub(crate) async fn report_all(&self) -> Result<()> {
        let all = stream::iter(0..self.count()).map(async |index: usize| {
            self.report_sentinel(index).await?;
            self.report_rebooter(index).await
        });
        all.buffer_unordered(PUBLISHES).try_collect().await
    }

    /// The host needs a reboot from now on, and its sentinel reports so. Returns the instant right before the publish.
    pub(crate) async fn require_reboot(&self, index: usize) -> Result<Instant> {
        locked(&self.host(index)?.state).need_since = Some(Timestamp::now());
        let at = Instant::now();
        self.report_sentinel(index).await?;
        Ok(at)
    }

    /// Renews reports and status of all hosts, spread evenly over the refresh interval, and reboots the hosts that
    /// are ordered to. `records` is what [`Self::subscribe`] returned. Ends with the first error only.
    pub(crate) async fn run(&self, mut records: Subscriber) -> Result<()> {
        let renew = self.renew();
        let reboot = async {
            let mut reboots = stream::FuturesUnordered::new();
            loop {
                tokio::select! {
                    message = records.next() => {
                        let message = message.context("the subscription of the attempt records ended")?;
                        if let Some(index) = self.ordered(&message) {
                            reboots.push(self.reboot(index));
                        }
                    }
                    Some(done) = reboots.next() => done?,
                }
            }
        };
        tokio::select! {
            ended = renew => ended,
            ended = reboot => ended,
        }
    }

    /// A subscription of the attempt records of all nodes.
    pub(crate) async fn subscribe(&self) -> Result<Subscriber> {
        // Its inbox comes first.
        let records = Role::Rebooter.permissions(EVERY_NODE).subscribe.pop();
        let records = records.context("a rebooter subscribes to its record")?;
        Ok(self.rebooters.jetstream().client().subscribe(records).await?)
    }

    async fn renew(&self) -> Result<()> {
        let count = self.count();
        let started = Instant::now();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut writes = stream::FuturesUnordered::new();
        let mut renewed = 0;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(done) = writes.next() => {
                    done?;
                    continue;
                }
            }
            let rounds = started.elapsed().as_secs_f64() / REFRESH.as_secs_f64();
            while (renewed as f64) < rounds * count as f64 {
                // The three writers of a node do not write at the same time, nor do they on a real host.
                writes.push(self.renew_one(
                    renewed % count,
                    (renewed + count / 3) % count,
                    (renewed + 2 * count / 3) % count,
                ));
                renewed += 1;
            }
        }
    }

    async fn renew_one(&self, sentinel: usize, rebooter: usize, kubelet: usize) -> Result<()> {
        let up = |index: usize| Ok::<_, anyhow::Error>(!self.host(index)?.state().rebooting);
        if up(sentinel)? {
            self.report_sentinel(sentinel).await?;
        }
        if up(rebooter)? {
            self.report_rebooter(rebooter).await?;
        }
        if up(kubelet)? {
            self.patch_status(kubelet, shape::heartbeat()).await?;
        }
        Ok(())
    }

    /// The host that this message orders to reboot; marks it, so that a second message is no second order.
    fn ordered(&self, message: &async_nats::Message) -> Option<usize> {
        let headers = message.headers.as_ref()?;
        let header = |name: &'static str| headers.get(name).map(async_nats::HeaderValue::as_str);
        // The orders for the fleet and deleted records are no attempts.
        let attempt: Attempt = decode(header, &message.payload).ok()?;
        let index = *self.indices.get(&attempt.node)?;
        let mut state = locked(&self.hosts.get(index)?.state);
        let ordered = attempt.phase == Phase::Rebooting && attempt.boot_before == state.boot && !state.rebooting;
        state.rebooting |= ordered;
        ordered.then_some(index)
    }

    /// The steps of a rebooter, then those of a host that boots.
    async fn reboot(&self, index: usize) -> Result<()> {
        let host = self.host(index)?;
        let boot = host.state().boot;
        let order = match self.read_order(host, &boot).await {
            Ok(order) => order,
            Err(_) => {
                sleep(SECOND_LOOK).await;
                self.read_order(host, &boot).await?
            }
        };
        let event = NodeEvent {
            node: host.name.clone(),
            attempt: order.id,
            generation: order.generation,
            at: Timestamp::now(),
            source: "rebooter bench".to_owned(),
            fact: Fact::RebootStarted {
                boot_id: boot.clone(),
                method: "bench".to_owned(),
            },
        };
        let subject = subject::event(&host.name.token(), &event.fact);
        self.rebooters.publish(subject, &event).await?;
        let again = self.read_order(host, &boot).await?;
        ensure!(
            again.generation == order.generation,
            "the order for {} has changed",
            host.name
        );
        let back = tokio::time::Instant::now() + *locked(&self.down_for);
        self.patch_status(index, shape::down()).await?;
        tokio::time::sleep_until(back).await;
        let boot = new_boot()?;
        *locked(&host.state) = State {
            boot: boot.clone(),
            need_since: None,
            rebooting: false,
        };
        tokio::try_join!(
            self.patch_status(index, shape::booted(&boot)),
            self.report_sentinel(index),
            self.report_rebooter(index),
        )?;
        Ok(())
    }

    async fn read_order(&self, host: &Host, boot: &BootId) -> Result<Attempt> {
        let record = self.rebooters.attempt(host.name.as_str()).await?;
        let record = record.with_context(|| format!("{} has no attempt record", host.name))?;
        let in_time = record.reboot_not_after.is_some_and(|until| Timestamp::now() < until);
        ensure!(
            record.phase == Phase::Rebooting && record.boot_before == *boot && record.drained_at.is_some() && in_time,
            "the record of {} is no order to reboot: {} of generation {}",
            host.name,
            record.phase.as_str(),
            record.generation
        );
        Ok(record)
    }

    async fn patch_status(&self, index: usize, status: Value) -> Result<()> {
        let name = self.name(index)?;
        let params = PatchParams::default();
        let patch = Patch::Strategic(status);
        let write = self.nodes.patch_status(name.as_str(), &params, &patch);
        let written = timeout_at(tokio::time::Instant::now() + WRITE_MAX, write).await;
        let written = written.with_context(|| format!("no status of {name} within {WRITE_MAX:?}"))?;
        written
            .map(drop)
            .with_context(|| format!("cannot write the status of {name}"))
    }

    async fn report_sentinel(&self, index: usize) -> Result<()> {
        let host = self.host(index)?;
        let state = host.state();
        let need = state.need_since.map(|since| RebootNeed {
            since,
            first_since: since,
            reasons: vec!["linux-image-6.12.48+deb13-amd64".to_owned(), "linux-base".to_owned()],
            trace: None,
            undated: false,
        });
        let report = HostReport {
            node: host.name.clone(),
            boot_id: state.boot,
            reported_at: Timestamp::now(),
            booted_at: None,
            refresh_interval: SignedDuration::try_from(REFRESH)?,
            need: need.map_or(NeedReport::NotRequired, NeedReport::Required),
            kernel_running: "6.12.48+deb13-amd64".to_owned(),
            kernel_installed: Some("6.12.48+deb13-amd64".to_owned()),
            os: "Debian GNU/Linux 13 (trixie)".to_owned(),
            agent_version: "0.1.0".to_owned(),
            probes: Vec::new(),
            services_to_restart: Vec::new(),
        };
        let subject = subject::sentinel_record(&host.name.token());
        self.sentinels.publish(subject, &report).await
    }

    async fn report_rebooter(&self, index: usize) -> Result<()> {
        let host = self.host(index)?;
        let report = RebooterReport {
            node: host.name.clone(),
            boot_id: host.state().boot,
            reported_at: Timestamp::now(),
            refresh_interval: SignedDuration::try_from(REFRESH)?,
            method: "bench".to_owned(),
            problem: None,
            agent_version: "0.1.0".to_owned(),
            record_keys: None,
            boot: None,
            kinds: Vec::new(),
            soft_reboots: None,
        };
        let subject = subject::rebooter_record(&host.name.token());
        self.rebooters.publish(subject, &report).await
    }

    fn host(&self, index: usize) -> Result<&Host> {
        self.hosts
            .get(index)
            .with_context(|| format!("there is no host {index}"))
    }
}

impl Host {
    fn state(&self) -> State {
        locked(&self.state).clone()
    }
}

fn new_boot() -> Result<BootId> {
    Ok(Uuid::new_v4().to_string().parse()?)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

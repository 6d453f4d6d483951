//! Leading: feeds the core, carries out what it wants, answers people.
//!
//! One loop owns the core, so nothing is decided in two places. Any error ends the loop; the
//! caller starts it again, and it begins with what is stored. There is no other way to recover.

use std::future::pending;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bellwether_chassis::args::StreamArgs;
use bellwether_chassis::{Bus, Chassis, Record, Verdict, Watched, clock, consume, stream};
use bellwether_proto::stream::{HOSTS_STREAM, SCHEDULER_CONSUMER};
use bellwether_proto::subject;
use bellwether_scheduler_core::{Fleet, Policy};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::api::reply::LeaderInfo;
use crate::api::service::{self, ApiHandle};
use crate::bus::store::{self, Store};
use crate::bus::wire::{self, HostRecord};
use crate::cluster::watch::{self, ClusterWatch};
use crate::message::{self, LeaderMessage};
use crate::observe::metrics::Metrics;

/// How often a leader that lost sight of nodes or rivals looks whether the API server is back.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long one such look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a leader looks whether somebody else has written records, even if it has nothing to write.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How many facts are taken before it is decided: a relist of a large fleet is one decision, not thousands.
const FACTS_AT_ONCE: usize = 10_000;

/// What a leader works with.
pub(crate) struct Lead {
    pub(crate) chassis: Chassis,
    pub(crate) bus: Bus,
    pub(crate) client: Client,
    pub(crate) api: ApiHandle,
    pub(crate) metrics: Metrics,
    pub(crate) policy: Policy,
    pub(crate) agents_namespace: String,
    pub(crate) source: String,
    pub(crate) streams: StreamArgs,
}

impl Lead {
    /// Says that this replica answers nobody any more.
    pub(crate) fn step_down(&self) {
        self.api.close();
        self.metrics.follow();
    }
}

/// Leads until something goes wrong.
pub(crate) async fn lead(lead: &Lead) -> anyhow::Result<()> {
    stream::ensure(&lead.bus, &lead.streams)
        .await
        .context("set up JetStream")?;
    let loaded = store::load(&lead.bus).await.context("load the records")?;
    let mut fleet = Fleet::new(
        lead.policy.clone(),
        lead.source.clone(),
        loaded.attempts,
        loaded.control,
    );
    for (node, problem) in loaded.unreadable {
        fleet.handle_unreadable(node, problem);
    }
    let hosts = lead
        .bus
        .watch(HOSTS_STREAM.name, subject::all_host_records())
        .await
        .context("watch the hosts")?;
    let mut leading = Leading {
        lead,
        fleet,
        store: loaded.store,
        cluster: ClusterWatch::new(&lead.client, lead.agents_namespace.clone()),
        hosts,
        hosts_seen: 0,
    };
    leading.see_everything().await?;
    let (sender, messages) = message::channel();
    lead.api.open(sender.clone());
    tokio::select! {
        outcome = leading.decide(messages) => outcome,
        outcome = consume_events(lead, sender) => outcome,
    }
}

/// Brings events to the loop, one by one and in order, and settles each as the loop says.
async fn consume_events(lead: &Lead, sender: mpsc::Sender<LeaderMessage>) -> anyhow::Result<()> {
    let handle = move |record: Record| {
        let sender = sender.clone();
        async move {
            let (answer, verdict) = oneshot::channel();
            // No answer: this replica leads no more, and the next leader shall have it.
            let again = Verdict::RetryAfter(Duration::from_millis(200));
            match sender.send(LeaderMessage::Event(record, answer)).await {
                Ok(()) => verdict.await.unwrap_or(again),
                Err(_) => again,
            }
        }
    };
    consume::consume(&lead.chassis, &lead.bus, &lead.streams, &SCHEDULER_CONSUMER, 1, handle).await
}

struct Leading<'a> {
    lead: &'a Lead,
    fleet: Fleet,
    store: Store,
    /// While it is blind, nothing is decided.
    cluster: ClusterWatch,
    hosts: BoxStream<'static, anyhow::Result<Watched>>,
    /// The newest report that was told.
    hosts_seen: u64,
}

impl Leading<'_> {
    /// Feeds every node, rival and report before anything is decided.
    async fn see_everything(&mut self) -> anyhow::Result<()> {
        let mut all_hosts = false;
        while !(self.cluster.is_complete() && all_hosts) {
            tokio::select! {
                event = self.cluster.next() => self.cluster.apply(event, &mut self.fleet),
                watched = self.hosts.next(), if !all_hosts => all_hosts = self.see_host(watched)?,
            }
        }
        Ok(())
    }

    async fn decide(&mut self, mut messages: mpsc::Receiver<LeaderMessage>) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK_AGAIN);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut check = tokio::time::interval_at(tokio::time::Instant::now() + CHECK_INTERVAL, CHECK_INTERVAL);
        loop {
            let now = clock::now();
            let failure = self.cluster.failure();
            if failure.is_none() {
                self.fleet.advance(now);
            }
            self.carry_out().await?;
            self.lead.metrics.lead(&self.fleet);
            let wake = self.fleet.poll_timeout(now).filter(|_| failure.is_none());
            tokio::select! {
                message = messages.recv() => self.open(message.context("nobody writes any more")?).await?,
                event = self.cluster.next() => {
                    self.cluster.apply(event, &mut self.fleet);
                    self.see_more()?;
                }
                watched = self.hosts.next() => {
                    self.see_host(watched)?;
                    self.see_more()?;
                }
                () = sleep_until(wake) => (),
                _ = look.tick(), if failure.is_some() => self.look_again().await?,
                _ = check.tick() => {
                    // Another leader, or a person who mended a record.
                    self.still_ours().await?;
                }
            }
        }
    }

    /// Takes the facts that are there already.
    fn see_more(&mut self) -> anyhow::Result<()> {
        use futures_util::FutureExt as _;
        for _ in 0..FACTS_AT_ONCE {
            if let Some(event) = self.cluster.next().now_or_never() {
                self.cluster.apply(event, &mut self.fleet);
            } else if let Some(watched) = self.hosts.next().now_or_never() {
                self.see_host(watched)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// True once all that was stored before has been told.
    fn see_host(&mut self, watched: Option<anyhow::Result<Watched>>) -> anyhow::Result<bool> {
        let record = match watched
            .context("the watch of the hosts ended")?
            .context("watch the hosts")?
        {
            Watched::CaughtUp => return Ok(true),
            Watched::Record(record) => record,
        };
        self.hosts_seen = self.hosts_seen.max(record.sequence);
        if record.deleted {
            return Ok(false);
        }
        match wire::host_record(&record) {
            Ok(HostRecord::Sentinel(heard)) => self.fleet.handle_sentinel(heard),
            Ok(HostRecord::Rebooter(heard)) => self.fleet.handle_rebooter(heard),
            Err(rejection) => self.reject(&record, &rejection),
        }
        Ok(false)
    }

    fn reject(&self, record: &Record, rejection: &wire::Rejection) {
        self.lead.metrics.rejected();
        let error = bellwether_chassis::chain(rejection);
        tracing::warn!(
            subject = record.subject,
            sequence = record.sequence,
            error,
            "Message rejected"
        );
    }

    async fn open(&mut self, message: LeaderMessage) -> anyhow::Result<()> {
        match message {
            LeaderMessage::Event(record, answer) => {
                let verdict = match wire::event(&record) {
                    Ok(event) => {
                        // Unknown to us may mean that another leads, who has to hear it.
                        if !self.fleet.handle_event(&event, clock::now()) {
                            self.still_ours().await?;
                        }
                        // Settled only after all that follows from it is stored.
                        self.carry_out().await?;
                        Verdict::Ack
                    }
                    Err(rejection) => {
                        self.reject(&record, &rejection);
                        Verdict::Terminate
                    }
                };
                if answer.send(verdict).is_err() {
                    tracing::debug!("The consumer went away: the event comes again, and changes nothing then");
                }
                Ok(())
            }
            LeaderMessage::Request(request) => {
                let info = self.info();
                let reply = service::answer(&mut self.fleet, request, info, clock::now());
                // An order counts only once it is stored.
                self.carry_out().await?;
                reply();
                Ok(())
            }
        }
    }

    /// Makes sure that nobody else has written records, and that the reports are those that we watch.
    async fn still_ours(&self) -> anyhow::Result<()> {
        ensure!(self.store.is_newest().await?, "somebody else has written records");
        // A watch of a bucket that was made anew would hear nothing for long.
        let hosts = self.lead.bus.last_sequence(HOSTS_STREAM.name).await?;
        ensure!(hosts >= self.hosts_seen, "the bucket of the hosts was made anew");
        Ok(())
    }

    /// Once the API server is back, everything is looked at anew: what was known may have changed unseen.
    async fn look_again(&self) -> anyhow::Result<()> {
        let readable = tokio::time::timeout(LOOK_TIMEOUT, watch::check_access(&self.lead.client)).await;
        ensure!(!matches!(readable, Ok(Ok(()))), "nodes or rivals were out of sight");
        Ok(())
    }

    async fn carry_out(&mut self) -> anyhow::Result<()> {
        while let Some(effect) = self.fleet.poll_effect() {
            self.store.carry_out(effect, &self.lead.metrics).await?;
        }
        Ok(())
    }

    fn info(&self) -> LeaderInfo {
        let failure = self.cluster.failure().map(|failure| failure.to_string());
        let rivals = || self.fleet.rivals().map(|reason| reason.message());
        LeaderInfo {
            notice: failure.or_else(rivals).unwrap_or_default(),
            scheduler_version: self.lead.chassis.service.version,
            nats_version: self.lead.bus.server_version(),
        }
    }
}

async fn sleep_until(instant: Option<Timestamp>) {
    match instant {
        Some(instant) => tokio::time::sleep(clock::until(instant)).await,
        None => pending().await,
    }
}

//! The one loop of the leading replica: takes facts and requests, lets the core decide, carries out
//! its effects, and replies.
//!
//! One loop owns the core, so decisions are made in one place. Any error ends the loop; the caller
//! starts it again, and it begins with the stored records. There is no other way to recover.

mod events;
mod requests;

use std::future::pending;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bellwether_chassis::args::StreamArgs;
use bellwether_chassis::{Bus, Chassis, Record, Watched, clock, stream};
use bellwether_proto::stream::{HOSTS_STREAM, SCHEDULER_CONSUMER};
use bellwether_proto::subject;
use bellwether_scheduler_core::{Input, Policy};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::api::handle::ApiHandle;
use crate::bus::{event, load};
use crate::bus::wire::{self, HostRecord};
use crate::cluster::client;
use crate::cluster::watch::ClusterWatch;
use crate::effect::Effects;
use crate::error::{NotLoaded, Refusal};
use crate::lead::events::Taken;
use crate::message::{self, LeaderMessage};
use crate::observe::metrics::Metrics;
use crate::observe::recorder::{RecordedFleet, Recorder};

/// How often the leader asks the API server again while a watch fails.
const ACCESS_INTERVAL: Duration = Duration::from_secs(1);

/// How long one such request may take.
const ACCESS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the leader makes sure that no other writer has changed the records, even if it writes none, and that the
/// watch of the reports is not silent. A silent watch shows at the second look: within 15 s.
const OWNERSHIP_INTERVAL: Duration = Duration::from_secs(7);

/// How many facts are taken before the next decision: a new list of a large fleet costs one decision,
/// not thousands, and a flood of reports cannot keep requests waiting for ever.
const FACTS_PER_DECISION: usize = 10_000;

/// The parts of the service that the leader works with.
pub(crate) struct LeaderContext {
    pub(crate) chassis: Chassis,
    pub(crate) bus: Bus,
    pub(crate) client: Client,
    pub(crate) api: ApiHandle,
    pub(crate) metrics: Metrics,
    pub(crate) policy: Policy,
    pub(crate) agents_namespace: String,
    /// The name under which events are published.
    pub(crate) source: String,
    pub(crate) streams: StreamArgs,
}

impl LeaderContext {
    /// Leads until an error. Dropping this future ends it at any point.
    ///
    /// # Errors
    /// The records are not this replica's any more, or NATS or the API server failed.
    pub(crate) async fn lead(&self, recorder: &mut Recorder) -> anyhow::Result<()> {
        let mut leader = self.load(recorder).await.context(NotLoaded)?;
        leader.observe_all().await.context(NotLoaded)?;
        let (sender, messages) = message::channel();
        self.api.open(sender.clone());
        tokio::select! {
            ended = leader.run(messages) => ended,
            ended = self.consume_events(sender) => ended,
        }
    }

    /// Refuses requests with this refusal, and clears the metrics of a leader.
    pub(crate) fn step_down(&self, refusal: Refusal) {
        self.api.close(refusal);
        self.metrics.follow();
    }

    async fn load<'a>(&'a self, recorder: &'a mut Recorder) -> anyhow::Result<Leader<'a>> {
        let loaded = load::load(&self.bus).await.context("load the records")?;
        let since = events::since(&loaded.attempts, clock::now());
        stream::ensure_consumer_since(&self.bus, &SCHEDULER_CONSUMER, &self.streams, since).await?;
        let hosts_state = self.bus.state(HOSTS_STREAM.name).await?;
        let hosts = self.bus.watch(HOSTS_STREAM.name, subject::all_host_records());
        let mut leader = Leader {
            context: self,
            fleet: RecordedFleet::new(self.policy.clone(), self.source.clone(), recorder),
            effects: Effects {
                bus: self.bus.clone(),
                store: loaded.store,
                metrics: self.metrics.clone(),
            },
            cluster: ClusterWatch::new(&self.client, self.agents_namespace.clone()),
            hosts: hosts.await.context("watch the reports")?,
            hosts_created: hosts_state.created,
            hosts_sequence: 0,
            hosts_stored: 0,
        };
        let progress = event::last_progress(&self.bus, &loaded.attempts).await;
        let attempts = loaded.attempts.into_iter().map(Box::new).map(Input::Attempt);
        let unreadable = loaded.unreadable.into_iter();
        let unreadable = unreadable.map(|(node, problem)| Input::UnreadableAttempt { node, problem });
        leader.feed(attempts.chain(unreadable).chain(loaded.control.map(Input::Control)));
        leader.feed(progress.into_iter().map(Input::Event));
        Ok(leader)
    }
}

/// The loop's state, from loading to the first error.
struct Leader<'a> {
    context: &'a LeaderContext,
    fleet: RecordedFleet<'a>,
    effects: Effects,
    /// While one of its watches fails, nothing is decided.
    cluster: ClusterWatch,
    hosts: BoxStream<'static, anyhow::Result<Watched>>,
    /// When the bucket of the reports was created.
    hosts_created: Timestamp,
    /// Sequence of the newest report that the core has.
    hosts_sequence: u64,
    /// Sequence of the newest report that was stored at the last look.
    hosts_stored: u64,
}

impl Leader<'_> {
    /// Gives the core every node, rival and report before its first decision.
    async fn observe_all(&mut self) -> anyhow::Result<()> {
        let mut all_reports = false;
        while !(self.cluster.is_complete() && all_reports) {
            tokio::select! {
                event = self.cluster.next() => {
                    let inputs = self.cluster.apply(event);
                    self.feed(inputs);
                }
                watched = self.hosts.next(), if !all_reports => all_reports = self.take_report(watched)?,
            }
        }
        Ok(())
    }

    async fn run(&mut self, mut messages: mpsc::Receiver<LeaderMessage>) -> anyhow::Result<()> {
        let mut access = tokio::time::interval(ACCESS_INTERVAL);
        access.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ownership =
            tokio::time::interval_at(tokio::time::Instant::now() + OWNERSHIP_INTERVAL, OWNERSHIP_INTERVAL);
        let mut taken: Option<Taken> = None;
        loop {
            let now = clock::now();
            let watch_failed = self.cluster.failure().is_some();
            if !watch_failed {
                self.fleet.advance(now);
            }
            self.carry_out_effects().await?;
            if let Some(taken) = taken.take() {
                taken.settle();
            }
            self.context.metrics.lead(&self.fleet);
            let timeout = self.fleet.poll_timeout().filter(|_| !watch_failed);
            tokio::select! {
                message = messages.recv() => {
                    taken = self.handle(message.context("the queue of messages is closed")?).await?;
                }
                event = self.cluster.next() => {
                    let inputs = self.cluster.apply(event);
                    self.feed(inputs);
                    self.take_waiting_facts()?;
                }
                watched = self.hosts.next() => {
                    self.take_report(watched)?;
                    self.take_waiting_facts()?;
                }
                () = sleep_until(timeout) => (),
                _ = access.tick(), if watch_failed => self.check_access().await?,
                _ = ownership.tick() => {
                    self.check_ownership().await?;
                    self.check_reports().await?;
                }
            }
        }
    }

    /// Takes the facts that wait already, so that one decision covers them all.
    fn take_waiting_facts(&mut self) -> anyhow::Result<()> {
        use futures_util::FutureExt as _;
        for _ in 0..FACTS_PER_DECISION {
            if let Some(event) = self.cluster.next().now_or_never() {
                let inputs = self.cluster.apply(event);
                self.feed(inputs);
            } else if let Some(watched) = self.hosts.next().now_or_never() {
                self.take_report(watched)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Gives inputs to the core.
    fn feed(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let now = clock::now();
        for input in inputs {
            self.fleet.handle_input(input, now);
        }
    }

    /// Gives a report to the core. True once all reports that were stored before have been taken.
    fn take_report(&mut self, watched: Option<anyhow::Result<Watched>>) -> anyhow::Result<bool> {
        let watched = watched.context("the watch of the reports ended")?;
        let record = match watched.context("watch the reports")? {
            Watched::CaughtUp => return Ok(true),
            Watched::Record(record) => record,
        };
        self.hosts_sequence = self.hosts_sequence.max(record.sequence);
        if record.deleted {
            return Ok(false);
        }
        let report = wire::host_record(&record);
        if report.as_ref().is_ok_and(HostRecord::has_unknown_code) {
            self.context.metrics.unknown_problem_code();
        }
        match report {
            Ok(HostRecord::Sentinel(report)) => self.feed([Input::Sentinel(report)]),
            Ok(HostRecord::Rebooter(report)) => self.feed([Input::Rebooter(report)]),
            Err(rejection) => self.reject(&record, &rejection),
        }
        Ok(false)
    }

    fn reject(&self, record: &Record, rejection: &wire::Rejection) {
        self.context.metrics.rejected();
        let error = bellwether_chassis::chain(rejection);
        tracing::warn!(
            subject = record.subject,
            sequence = record.sequence,
            error,
            "Message rejected"
        );
    }

    /// Handles one message. Events are returned if they are not settled yet.
    async fn handle(&mut self, message: LeaderMessage) -> anyhow::Result<Option<Taken>> {
        match message {
            LeaderMessage::Events(records, settle) => self.take_events(&records, settle).await,
            LeaderMessage::Request(request) => {
                let send_reply = self.decide_on(request);
                // An order is confirmed only once it is stored.
                self.carry_out_effects().await?;
                send_reply();
                Ok(None)
            }
        }
    }

    /// Makes sure that no other writer has changed the records, and that the bucket of the reports is
    /// the one that is watched.
    async fn check_ownership(&self) -> anyhow::Result<()> {
        // Another leader, or an operator who repaired a record.
        ensure!(
            self.effects.store.is_newest().await?,
            "another writer has changed the records"
        );
        // The watch of a bucket that was deleted and created again continues at the old sequence.
        let hosts = self.context.bus.state(HOSTS_STREAM.name).await?;
        ensure!(
            hosts.created == self.hosts_created,
            "the bucket of the reports was deleted and created again"
        );
        Ok(())
    }

    /// Makes sure that the watch of the reports is not silent: what was stored at the last look has arrived by now.
    async fn check_reports(&mut self) -> anyhow::Result<()> {
        ensure!(
            self.hosts_sequence >= self.hosts_stored,
            "reports up to sequence {} are stored, and the watch of the reports gave none since {}",
            self.hosts_stored,
            self.hosts_sequence
        );
        let stored = self
            .context
            .bus
            .newest(HOSTS_STREAM.name, subject::all_host_records())
            .await?;
        self.hosts_stored = stored.unwrap_or_default();
        Ok(())
    }

    /// Errors once the API server is back: changes may have been missed, so everything is loaded again.
    async fn check_access(&self) -> anyhow::Result<()> {
        let access = tokio::time::timeout(ACCESS_TIMEOUT, client::check_access(&self.context.client)).await;
        ensure!(
            !matches!(access, Ok(Ok(()))),
            "a watch of the API server had failed, and may have missed changes"
        );
        Ok(())
    }

    async fn carry_out_effects(&mut self) -> anyhow::Result<()> {
        while let Some(effect) = self.fleet.poll_effect() {
            let input = self.effects.carry_out(effect).await?;
            self.feed(input);
        }
        Ok(())
    }
}

async fn sleep_until(instant: Option<Timestamp>) {
    match instant {
        Some(instant) => tokio::time::sleep(clock::until(instant)).await,
        None => pending().await,
    }
}

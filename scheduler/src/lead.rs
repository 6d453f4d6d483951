//! The one loop of the leading replica: takes facts and requests, lets the core decide, carries out
//! its effects, and replies.
//!
//! One loop owns the core, so decisions are made in one place. Any error ends the loop; the caller
//! starts it again, and it begins with the stored records. There is no other way to recover.

use std::future::pending;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bellwether_chassis::args::StreamArgs;
use bellwether_chassis::{Bus, Chassis, Record, Verdict, Watched, clock, consume};
use bellwether_proto::stream::{HOSTS_STREAM, SCHEDULER_CONSUMER};
use bellwether_proto::subject;
use bellwether_scheduler_core::{CancelRefusal, Handled, Input, Policy};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::api::handle::ApiHandle;
use crate::api::reply::{self, LeaderInfo};
use crate::bus::load;
use crate::bus::wire::{self, HostRecord};
use crate::cluster::client;
use crate::cluster::watch::ClusterWatch;
use crate::effect::Effects;
use crate::error::Refusal;
use crate::message::{self, LeaderMessage, Request};
use crate::observe::metrics::Metrics;
use crate::observe::recorder::{RecordedFleet, Recorder};

/// How often the leader asks the API server again while a watch fails.
const ACCESS_INTERVAL: Duration = Duration::from_secs(1);

/// How long one such request may take.
const ACCESS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the leader makes sure that no other writer has changed the records, even if it writes none.
const OWNERSHIP_INTERVAL: Duration = Duration::from_secs(10);

/// How many facts are taken before the next decision: a new list of a large fleet costs one decision,
/// not thousands, and a flood of reports cannot keep requests waiting for ever.
const FACTS_PER_DECISION: usize = 10_000;

/// How soon an event comes again that this replica did not settle, because it leads no more.
const EVENT_RETRY: Duration = Duration::from_millis(200);

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
        let mut leader = self.load(recorder).await?;
        leader.observe_all().await?;
        let (sender, messages) = message::channel();
        self.api.open(sender.clone());
        tokio::select! {
            ended = leader.run(messages) => ended,
            ended = self.consume_events(sender) => ended,
        }
    }

    /// Refuses requests and clears the metrics of a leader.
    pub(crate) fn step_down(&self) {
        self.api.close();
        self.metrics.follow();
    }

    async fn load<'a>(&'a self, recorder: &'a mut Recorder) -> anyhow::Result<Leader<'a>> {
        let loaded = load::load(&self.bus).await.context("load the records")?;
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
            hosts_sequence: 0,
        };
        let attempts = loaded.attempts.into_iter().map(Box::new).map(Input::Attempt);
        let unreadable = loaded.unreadable.into_iter();
        let unreadable = unreadable.map(|(node, problem)| Input::UnreadableAttempt { node, problem });
        leader.feed(attempts.chain(unreadable).chain(loaded.control.map(Input::Control)));
        Ok(leader)
    }

    /// Passes events to the loop, one by one and in order, and settles each by the loop's verdict.
    async fn consume_events(&self, sender: mpsc::Sender<LeaderMessage>) -> anyhow::Result<()> {
        let handle = move |record: Record| {
            let sender = sender.clone();
            async move {
                let (verdict, returned) = oneshot::channel();
                // Without a verdict this replica leads no more, and the next leader has to get the event.
                let again = Verdict::RetryAfter(EVENT_RETRY);
                match sender.send(LeaderMessage::Event(record, verdict)).await {
                    Ok(()) => returned.await.unwrap_or(again),
                    Err(_) => again,
                }
            }
        };
        consume::consume(&self.chassis, &self.bus, &self.streams, &SCHEDULER_CONSUMER, 1, handle).await
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
    /// Sequence of the newest report that the core has.
    hosts_sequence: u64,
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
        loop {
            let now = clock::now();
            let watch_failed = self.cluster.failure().is_some();
            if !watch_failed {
                self.fleet.advance(now);
            }
            self.carry_out_effects().await?;
            self.context.metrics.lead(&self.fleet);
            let timeout = self.fleet.poll_timeout().filter(|_| !watch_failed);
            tokio::select! {
                message = messages.recv() => self.handle(message.context("the queue of messages is closed")?).await?,
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
                _ = ownership.tick() => self.check_ownership().await?,
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

    async fn handle(&mut self, message: LeaderMessage) -> anyhow::Result<()> {
        match message {
            LeaderMessage::Event(record, settle) => {
                let verdict = self.handle_event(&record).await?;
                if settle.send(verdict).is_err() {
                    tracing::debug!("The consumer ended: the event comes again, and changes nothing then");
                }
            }
            LeaderMessage::Request(request) => {
                let send_reply = self.decide_on(request);
                // An order is confirmed only once it is stored.
                self.carry_out_effects().await?;
                send_reply();
            }
        }
        Ok(())
    }

    async fn handle_event(&mut self, record: &Record) -> anyhow::Result<Verdict> {
        let event = match wire::event(record) {
            Ok(event) => event,
            Err(rejection) => {
                self.reject(record, &rejection);
                return Ok(Verdict::Terminate);
            }
        };
        // An event of an attempt that the core does not have may mean that another replica leads, which
        // has to get the event.
        if self.fleet.handle_input(Input::Event(event), clock::now()) == Handled::OtherAttempt {
            self.check_ownership().await?;
        }
        // Settled only after everything that follows from the event is stored.
        self.carry_out_effects().await?;
        Ok(Verdict::Ack)
    }

    /// Lets the core decide on a request. The closure sends the reply. A client that has left gets none, and
    /// nothing else depends on it.
    fn decide_on(&mut self, request: Request) -> Box<dyn FnOnce() + Send> {
        let now = clock::now();
        match request {
            Request::ListNodes(sender) => {
                let list = reply::list(&self.fleet, self.info(), now);
                Box::new(move || drop(sender.send(Ok(list))))
            }
            Request::ExplainNode(node, sender) => {
                let status = reply::explain(&self.fleet, node, now);
                Box::new(move || drop(sender.send(status)))
            }
            Request::PauseFleet { by, reason, reply } => {
                self.fleet.handle_input(Input::Pause { by, reason }, now);
                let paused = reply::paused(&self.fleet);
                Box::new(move || drop(reply.send(Ok(paused))))
            }
            Request::ResumeFleet { by, reply } => {
                self.fleet.handle_input(Input::Resume { by }, now);
                let resumed = reply::resumed(&self.fleet);
                Box::new(move || drop(reply.send(Ok(resumed))))
            }
            Request::CancelAttempt {
                node,
                by,
                reason,
                reply,
            } => {
                let cancel = Input::Cancel {
                    node: node.clone(),
                    by,
                    reason,
                };
                let cancelled = match self.fleet.handle_input(cancel, now) {
                    Handled::Cancelled(effect) => Ok(reply::cancelled(&self.fleet, &node, effect)),
                    Handled::Refused(refusal) => Err(Refusal::Cancel(refusal)),
                    // The core handles no cancel so; if it did, nothing would be cancelled.
                    Handled::Accepted | Handled::OtherAttempt => Err(Refusal::Cancel(CancelRefusal::NoAttempt(node))),
                };
                Box::new(move || drop(reply.send(cancelled)))
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
        // The watch of a bucket that was deleted and created again would stay silent for long.
        let sequence = self.context.bus.last_sequence(HOSTS_STREAM.name).await?;
        ensure!(
            sequence >= self.hosts_sequence,
            "the bucket of the reports was deleted and created again"
        );
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
            self.effects.carry_out(effect).await?;
        }
        Ok(())
    }

    fn info(&self) -> LeaderInfo {
        let failure = self.cluster.failure().map(|failure| failure.to_string());
        let rivals = || self.fleet.rivals().map(|reason| reason.message());
        LeaderInfo {
            notice: failure.or_else(rivals).unwrap_or_default(),
            scheduler_version: self.context.chassis.service.version,
            nats_version: self.context.bus.server_version(),
        }
    }
}

async fn sleep_until(instant: Option<Timestamp>) {
    match instant {
        Some(instant) => tokio::time::sleep(clock::until(instant)).await,
        None => pending().await,
    }
}

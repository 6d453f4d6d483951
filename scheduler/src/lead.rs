//! The one loop of the leading replica: takes facts and requests, lets the core decide, carries out
//! its effects, and replies.
//!
//! One loop owns the core, so decisions are made in one place. Any error ends the loop; the caller
//! starts it again, and it begins with the stored records. There is no other way to recover. What outlives such a
//! turn is in `kept`: the watches, and what NATS refused.

mod events;
mod hold;
mod kept;
mod own_node;
mod requests;
mod views;

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bellwether_chassis::args::StreamArgs;
use bellwether_chassis::{Bus, Chassis, clock, stream};
use bellwether_proto::SignatureFault;
use bellwether_proto::readiness::ReadinessCode;
use bellwether_proto::stream::SCHEDULER_CONSUMER;
use bellwether_scheduler_core::{Input, Policy, PolicyStanding};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::api::handle::ApiHandle;
use crate::bus::outbox::Outbox;
use crate::bus::queue_events::KnownQueues;
use crate::bus::{event, load};
use crate::cluster::node_conditions::{NodeConditionWriter, NodeConditions};
use crate::cluster::node_events::{NodeEventWriter, NodeEvents};
use crate::cluster::record_keys::{KeyKeeper, RecordKeys};
use crate::cluster::{client, policy_status};
use crate::effect::Effects;
use crate::error::{NotLoaded, Refusal};
use crate::lead::events::Taken;
use crate::lead::kept::Refused;
pub(crate) use crate::lead::kept::{Kept, LED_WELL};
pub(crate) use crate::lead::own_node::{OwnNode, OwnNodeDrains};
use crate::lead::views::Views;
use crate::message::{self, LeaderMessage};
use crate::observe::metrics::Metrics;
use crate::observe::recorder::{RecordedFleet, Recorder};
use crate::observe::spans;
use crate::readings::Readings;

/// How often the leader asks the API server again while a watch fails.
const ACCESS_INTERVAL: Duration = Duration::from_secs(1);

/// How long one such request may take.
const ACCESS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the leader makes sure that no other writer has changed the records, even if it writes none, and that the
/// watch of the reports is not silent. A silent watch shows at the second look: within 15 s.
const OWNERSHIP_INTERVAL: Duration = Duration::from_secs(7);

/// How often the statuses of the policies are made: each time costs by the number of nodes, and a rollout changes their
/// numbers all the time.
const POLICIES_INTERVAL: Duration = Duration::from_secs(5);

/// How long `/readyz` shows that a load has met records that are not trusted.
const UNTRUSTED_SHOWN: Duration = Duration::from_secs(60);

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
    /// Where the files are that the gates of policies name.
    pub(crate) gate_secrets: PathBuf,
    pub(crate) own_node: OwnNode,
    pub(crate) node_events: NodeEventWriter,
    pub(crate) node_conditions: NodeConditionWriter,
    /// The keys of records.
    pub(crate) record_keys: Mutex<KeyKeeper>,
    /// How often they are looked at.
    pub(crate) keys_interval: Duration,
}

impl LeaderContext {
    /// Leads until an error. Dropping this future ends it at any point.
    ///
    /// # Errors
    /// The records are not this replica's any more, or NATS or the API server failed.
    pub(crate) async fn lead(&self, recorder: &mut Recorder, kept: &mut Kept) -> anyhow::Result<()> {
        // Each round without an error stood still, and ends with a try or an error.
        loop {
            let mut leader = self.load(recorder, kept).await.context(NotLoaded)?;
            let ended = self.lead_once(&mut leader).await;
            kept.end_turn(leader, &ended);
            ended?;
        }
    }

    /// One turn, which ends with an error, or when the leader has stood still for long enough.
    async fn lead_once(&self, leader: &mut Leader<'_>) -> anyhow::Result<()> {
        leader.observe_all().await.context(NotLoaded)?;
        let (sender, mut messages) = message::channel();
        self.api.open(sender.clone());
        if let Some(time) = leader.refused.as_mut().and_then(Refused::stand_still) {
            return leader.stand_still(time, &mut messages).await;
        }
        leader.try_to_store().await?;
        let keys = leader.keys.clone();
        let notices = leader.effects.node_events.queue();
        // Boxed: a request to create an object is the largest part of this future.
        let notices = Box::pin(self.node_events.write(&notices));
        let publisher = leader.effects.publisher();
        let events = Box::pin(publisher.publish());
        let conditions = leader.effects.node_conditions.queue();
        let conditions = Box::pin(self.node_conditions.write(&conditions));
        let statuses = policy_status::write(self.client.clone(), leader.policies.subscribe());
        let queue_events = leader.effects.queue_events(self.source.clone());
        let queues = Box::pin(queue_events.publish(leader.queues.subscribe()));
        let consumed = Box::pin(self.consume_events(sender));
        tokio::select! {
            ended = leader.run(&mut messages) => ended,
            ended = consumed => ended,
            () = statuses => bail!("the leader shows no policies any more"),
            () = queues => bail!("the leader publishes no events about queues any more"),
            ended = self.look_after_keys(keys) => ended,
            () = notices => bail!("the leader writes no Events any more"),
            () = events => bail!("the leader publishes no events any more"),
            () = conditions => bail!("the leader writes no conditions any more"),
        }
    }

    /// Looks after the keys until another one signs.
    ///
    /// # Errors
    /// Another key signs from now on: everything is loaded again, and signed with it.
    async fn look_after_keys(&self, used: RecordKeys) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(self.keys_interval).await;
            let newer = self.record_keys.lock().await.keys().await?;
            self.metrics.signs_with(&used.signing, clock::now());
            ensure!(
                !used.is_outdated_by(&newer),
                "another key signs the records from now on"
            );
        }
    }

    /// Shows records in the bucket that no scheduler has signed.
    fn show_untrusted(&self, untrusted: &[(String, SignatureFault)]) {
        self.metrics.untrusted(untrusted);
        if let Some((subject, fault)) = untrusted.first() {
            let (count, code) = (untrusted.len(), fault.code());
            let message = format!("{count} records count as none, such as {subject}, {code}: {fault}");
            self.chassis
                .health
                .not_ready_for(ReadinessCode::RecordNotVerified, message, UNTRUSTED_SHOWN);
        }
    }

    /// Refuses requests with this refusal, and clears the metrics of a leader.
    pub(crate) fn step_down(&self, refusal: Refusal) {
        self.api.close(refusal);
        self.metrics.follow();
    }

    async fn load<'a>(&'a self, recorder: &'a mut Recorder, kept: &mut Kept) -> anyhow::Result<Leader<'a>> {
        let keys = self
            .record_keys
            .lock()
            .await
            .keys()
            .await
            .context("the keys of records")?;
        self.metrics.signs_with(&keys.signing, clock::now());
        let mut loaded = load::load(&self.bus, &keys).await.context("load the records")?;
        if keys.adopts && loaded.is_signed() {
            self.record_keys.lock().await.adopted().await?;
        }
        self.show_untrusted(&loaded.untrusted);
        let since = events::since(&loaded.attempts, clock::now());
        stream::ensure_consumer_since(&self.bus, &SCHEDULER_CONSUMER, &self.streams, since).await?;
        let mut views = match kept.views.take() {
            Some(views) => views,
            None => Views::watch(self).await?,
        };
        let now = clock::now();
        kept.withhold(&mut loaded, now);
        let outbox = Outbox::new(std::mem::take(&mut loaded.chains));
        let progress = event::last_progress(&self.bus, &loaded.attempts).await;
        let refused = kept.refused.take();
        let outage = refused.as_ref().and_then(Refused::stood_still_since);
        let observed = views.take_observed();
        let mut node_events = NodeEvents::new(self.metrics.clone());
        for attempt in &loaded.attempts {
            node_events.stored(attempt, now);
            spans::write_again(attempt, now);
        }
        progress.iter().for_each(|event| node_events.published(event, now));
        let mut leader = Leader {
            context: self,
            fleet: RecordedFleet::new(self.policy.clone(), self.source.clone(), recorder),
            effects: Effects {
                bus: self.bus.clone(),
                store: loaded.store,
                outbox,
                metrics: self.metrics.clone(),
                node_events,
                node_conditions: NodeConditions::new(self.metrics.clone()),
                readings: Readings::new(self.gate_secrets.clone(), self.client.clone(), self.bus.clone()),
            },
            views,
            refused,
            policies: watch::Sender::default(),
            queues: watch::Sender::default(),
            began: now,
            keys,
        };
        // An empty core decides nothing; from this instant on it counts its grace.
        leader.fleet.advance(kept.resumes_at(outage, now));
        let attempts = loaded.attempts.into_iter().map(Box::new).map(Input::Attempt);
        let unreadable = loaded.unreadable.into_iter();
        let unreadable = unreadable.map(|(node, problem)| Input::UnreadableAttempt { node, problem });
        leader.feed([Input::SigningKey(leader.keys.signing.id())]);
        leader.feed(attempts.chain(unreadable).chain(loaded.control.map(Input::Control)));
        leader.feed(progress.into_iter().map(Input::Event));
        leader.feed(observed);
        Ok(leader)
    }
}

/// The loop's state, from loading to the first error.
struct Leader<'a> {
    context: &'a LeaderContext,
    fleet: RecordedFleet<'a>,
    effects: Effects,
    views: Views,
    /// NATS did not store the last write. None once it has stored one.
    refused: Option<Refused>,
    /// What the policies' statuses are made of.
    policies: watch::Sender<Vec<PolicyStanding>>,
    /// What waits, by policy, for the event about that.
    queues: watch::Sender<KnownQueues>,
    began: Timestamp,
    /// Sign what this turn stores.
    keys: RecordKeys,
}

impl Leader<'_> {
    async fn run(&mut self, messages: &mut mpsc::Receiver<LeaderMessage>) -> anyhow::Result<()> {
        let mut access = tokio::time::interval(ACCESS_INTERVAL);
        access.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ownership =
            tokio::time::interval_at(tokio::time::Instant::now() + OWNERSHIP_INTERVAL, OWNERSHIP_INTERVAL);
        ownership.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut policies = tokio::time::interval(POLICIES_INTERVAL);
        policies.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken: Option<Taken> = None;
        loop {
            let now = clock::now();
            let watch_failed = self.views.cluster.failure().is_some();
            if !watch_failed {
                self.fleet.advance(now);
            }
            self.carry_out_effects().await?;
            if let Some(taken) = taken.take() {
                taken.settle();
            }
            self.context.own_node.check(&self.fleet, &self.context.client).await?;
            self.context.metrics.lead(&self.fleet);
            let timeout = self.fleet.poll_timeout().filter(|_| !watch_failed);
            tokio::select! {
                message = messages.recv() => {
                    taken = self.handle(message.context("the queue of messages is closed")?).await?;
                }
                reading = self.effects.readings.next() => self.feed([reading]),
                node = self.effects.outbox.next_to_leave() => self.effects.delete(&node).await?,
                fact = self.views.next() => self.take_with_waiting(fact)?,
                () = sleep_until(timeout) => (),
                _ = access.tick(), if watch_failed => self.check_access().await?,
                _ = policies.tick() => self.show(!watch_failed),
                _ = ownership.tick() => {
                    self.check_ownership().await?;
                    self.check_reports().await?;
                }
            }
        }
    }

    /// Gives inputs to the core.
    fn feed(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let now = clock::now();
        for input in inputs {
            self.fleet.handle_input(input, now);
        }
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

    /// Makes sure that no other writer has changed the records: another leader, or an operator who repaired one.
    async fn check_ownership(&self) -> anyhow::Result<()> {
        ensure!(
            self.effects.store.is_newest().await?,
            "another writer has changed the records"
        );
        Ok(())
    }

    /// Publishes the metrics of the policies, and has the status of each one written that has changed; names drains that have
    /// been blocked for long, and, once the leader has decided, what waits.
    fn show(&mut self, has_decided: bool) {
        let now = clock::now();
        self.effects.node_events.look(now);
        let standings = self.fleet.policies();
        self.context.metrics.show(&self.fleet, &standings, now);
        if has_decided {
            send_if_new(&self.queues, Some(self.fleet.queues(&standings, now)));
        }
        send_if_new(&self.policies, standings);
    }

    /// Errors once the API server is back: changes may have been missed, so everything is loaded again.
    async fn check_access(&mut self) -> anyhow::Result<()> {
        let access = tokio::time::timeout(ACCESS_TIMEOUT, client::check_access(&self.context.client)).await;
        let answers = matches!(access, Ok(Ok(())));
        if answers {
            self.views.have_missed_changes();
        }
        ensure!(
            !answers,
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

fn send_if_new<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|sent| {
        let is_new = *sent != value;
        *sent = value;
        is_new
    });
}

async fn sleep_until(instant: Option<Timestamp>) {
    match instant {
        Some(instant) => tokio::time::sleep(clock::until(instant)).await,
        None => pending().await,
    }
}

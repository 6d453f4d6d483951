//! One event from its message to its verdict: acknowledged once each of its messages is settled, and one of the fleet once the next
//! one is there.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellwether_chassis::{Bus, Chassis, Record, Verdict, clock, stream};
use bellwether_notifier_core::{Office, Placed, Settings};
use bellwether_proto::stream::NOTIFIER_CONSUMER;
use tokio::sync::oneshot;

use crate::error::EventError;
use crate::metrics::Metrics;
use crate::newest::Newest;
use crate::post::Post;
use crate::state::StateFile;
use crate::wire::{self, Event};

/// What the parts of the service share.
#[derive(Debug)]
pub(crate) struct Notifier {
    pub(crate) chassis: Chassis,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    /// One for each target, in the order of the settings.
    pub(crate) posts: Vec<Post>,
    pub(crate) office: Mutex<Office>,
    pub(crate) newest: Newest,
    /// Events that are handled and not acknowledged yet.
    pub(crate) under_way: AtomicU64,
    /// The file, and the changes that it has.
    pub(crate) state: tokio::sync::Mutex<(StateFile, u64)>,
}

/// What an event waits for before its verdict.
enum Awaited {
    /// Its messages.
    Messages(Vec<oneshot::Receiver<()>>),
    /// The next event of the fleet, which gives this one its verdict.
    Next(oneshot::Receiver<Verdict>),
}

/// Counts an event for as long as it is under way, also one that is dropped.
struct Counted(Arc<Notifier>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Notifier {
    /// True unless NATS confirms that the office has every event.
    pub(crate) async fn is_behind(&self, bus: &Bus) -> bool {
        let known = || self.under_way.load(Ordering::SeqCst);
        let before = known();
        match stream::waiting(bus, &NOTIFIER_CONSUMER).await {
            Ok(waiting) => waiting.all() > before.min(known()),
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "NATS does not answer, and digests wait");
                true
            }
        }
    }

    /// The desk takes events in the order of the calls; what is returned waits for their messages.
    pub(crate) fn handle(self: Arc<Self>, record: &Record) -> impl Future<Output = Verdict> + Send + use<> {
        let accepted = self.accept(record);
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(Arc::clone(&self));
        async move {
            let _counted = counted;
            match accepted {
                Ok(Awaited::Messages(messages)) => self.settled(messages).await,
                Ok(Awaited::Next(next)) => self.replaced(next).await,
                Err(error) => {
                    tracing::warn!(error = bellwether_chassis::chain(&error), "Event not understood");
                    self.metrics.rejected();
                    Verdict::Terminate
                }
            }
        }
    }

    fn accept(&self, record: &Record) -> Result<Awaited, EventError> {
        let event = wire::event(record)?;
        // Held until the posts know of the messages: else one could be settled before its event waits for it.
        let mut office = self.office();
        let placed = match event {
            Event::Node(event) => office.handle_event(&event, (record.sequence, record.stored_at), clock::now()),
            Event::Fleet(event) => {
                office.handle_fleet_event(&event, record.stored_at);
                return Ok(Awaited::Next(self.newest.hold(record.stored_at)));
            }
        };
        Ok(Awaited::Messages(self.placed(&office, placed)))
    }

    /// Waits until another event has taken the place of this one.
    async fn replaced(&self, next: oneshot::Receiver<Verdict>) -> Verdict {
        self.save().await;
        tokio::select! {
            verdict = next => verdict.unwrap_or(Verdict::RetryAfter(Duration::ZERO)),
            // The next process gets it at once.
            () = self.chassis.stop.cancelled() => Verdict::RetryAfter(Duration::ZERO),
        }
    }

    async fn settled(&self, awaited: Vec<oneshot::Receiver<()>>) -> Verdict {
        for message in awaited {
            let settled = tokio::select! {
                settled = message => settled.is_ok(),
                () = self.chassis.stop.cancelled() => false,
            };
            if !settled {
                // The next process continues with it, at once.
                return Verdict::RetryAfter(Duration::ZERO);
            }
        }
        self.save().await;
        Verdict::Ack
    }

    /// Wakes the targets of messages that were placed; returns what an event waits for.
    pub(crate) fn placed(&self, office: &Office, placed: Vec<Placed>) -> Vec<oneshot::Receiver<()>> {
        let mut awaited = Vec::new();
        for message in placed {
            let place = message.target;
            let (Some(post), Some(target)) = (self.posts.get(place), self.settings.targets.get(place)) else {
                continue;
            };
            if message.is_awaited {
                awaited.push(post.settlement(&message.key));
            }
            self.metrics.waiting(&target.name, office.waiting(place));
            post.added();
        }
        awaited
    }

    /// Keeps the state. One write serves all that wait for it.
    pub(crate) async fn save(&self) {
        let mut state = self.state.lock().await;
        let (changes, content) = {
            let office = self.office();
            if office.changes() == state.1 {
                return;
            }
            (office.changes(), office.state().clone())
        };
        match tokio::task::block_in_place(|| state.0.write(&content)) {
            Ok(()) => state.1 = changes,
            Err(error) => tracing::warn!(%error, "State not kept: a restart now may repeat messages"),
        }
    }

    pub(crate) fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The event about what waits for reboots, published by the leader beside its loop: nothing waits for it.
//!
//! The next leader continues after the newest event in the stream, so each change is one event. A leader that another one has
//! superseded publishes none: it looks at its records after the newest event, and the server stores an event only after that one.

use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Backoff, Bus, Expect, clock};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{FleetEvent, FleetFact, Queues, encode, subject};
use bellwether_scheduler_core::queues_differ;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::bus::publisher::ASK_RIGHT;
use crate::bus::store::Ownership;

/// How long after an event the next one comes at the earliest. A rollout changes the queues with each
/// node, and what is published about them are waits of minutes to days.
const INTERVAL: Duration = Duration::from_secs(60);

/// How soon what NATS did not take is tried again, and how late: a right that is missing is missing for hours.
const RETRY: Backoff = Backoff::between(INTERVAL, Duration::from_secs(960));

/// How long NATS may take for one read and one event.
const TIMEOUT: Duration = Duration::from_secs(5);

/// By then a write of this leader that was on its way has its answer, and one that another leader has superseded knows that: it
/// looks every seven seconds.
const UNPROVED: Duration = Duration::from_secs(7);

/// What waits; none: the leader has not decided yet.
pub(crate) type KnownQueues = Option<Queues>;

/// The newest event in the stream.
struct Newest {
    /// 0: there is none.
    sequence: u64,
    /// None: the event is of a version that this one does not read.
    queues: KnownQueues,
}

/// What became of the present queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// They are the newest event.
    Stored,
    /// The newest event states them already.
    Known,
    /// Nothing: another leader may have stored records, whose queues are newer than these.
    NotProved,
}

/// Publishes the queues of one leader.
pub(crate) struct QueueEvents {
    bus: Bus,
    ownership: Ownership,
    source: String,
}

impl QueueEvents {
    /// `source` is the name under which events are published.
    pub(crate) fn new(bus: Bus, ownership: Ownership, source: String) -> Self {
        Self { bus, ownership, source }
    }

    /// Publishes what is sent and differs from the newest event, for ever.
    pub(crate) async fn publish(self, queues: watch::Receiver<KnownQueues>) {
        // None: not read yet, or a try has failed since.
        let mut newest = None;
        publish_each(queues, async |present| self.publish_news(&present, &mut newest).await).await;
    }

    async fn publish_news(&self, present: &Queues, newest: &mut Option<Newest>) -> anyhow::Result<Outcome> {
        let known = match newest.take() {
            Some(known) => known,
            None => read(&self.bus).await?,
        };
        let is_news = known
            .queues
            .as_ref()
            .is_none_or(|before| queues_differ(before, present));
        if !is_news {
            *newest = Some(known);
            return Ok(Outcome::Known);
        }
        // Looked at after the newest event, which may be of a leader that has superseded this one.
        if !self.ownership.is_proved().await? {
            return Ok(Outcome::NotProved);
        }
        let event = FleetEvent {
            at: clock::now(),
            source: self.source.clone(),
            fact: FleetFact::QueuesChanged(present.clone()),
        };
        // Of two replicas only one stores it.
        let expect = Expect::LastOfSubject(known.sequence);
        let sequence = self
            .bus
            .publish_aside(subject::fleet_event(&event), encode(&event), expect)
            .await?;
        let queues = Some(present.clone());
        *newest = Some(Newest { sequence, queues });
        Ok(Outcome::Stored)
    }
}

/// Publishes what is sent, for ever: one event at a time. What NATS does not take is logged once, and tried again.
async fn publish_each(
    mut queues: watch::Receiver<KnownQueues>,
    mut publish: impl AsyncFnMut(Queues) -> anyhow::Result<Outcome>,
) {
    let mut retry = RETRY;
    // The sender lives as long as the leader, and this future too.
    while queues.changed().await.is_ok() {
        let Some(present) = queues.borrow_and_update().clone() else {
            continue;
        };
        let published = timeout(TIMEOUT, publish(present)).await;
        match published.context("NATS has not answered in time").flatten() {
            Ok(Outcome::Known) => retry = RETRY,
            Ok(Outcome::Stored) => {
                retry = RETRY;
                tokio::time::sleep(INTERVAL).await;
            }
            Ok(Outcome::NotProved) => {
                queues.mark_changed();
                tokio::time::sleep(UNPROVED).await;
            }
            Err(error) => {
                report(&error, &retry);
                queues.mark_changed();
                tokio::time::sleep(retry.after_failure()).await;
            }
        }
    }
}

/// The first fault of a series is news.
fn report(error: &anyhow::Error, retry: &Backoff) {
    let error = format!("{error:#}");
    let subject = subject::queues_changed();
    if retry.is_first() {
        tracing::warn!(subject, error, "Event about the queues not published: {ASK_RIGHT}");
    } else {
        tracing::debug!(subject, error, "Event about the queues still not published");
    }
}

async fn read(bus: &Bus) -> anyhow::Result<Newest> {
    let stored = bus.read_current(EVENTS_STREAM.name, subject::queues_changed()).await?;
    let Some(record) = stored else {
        // Before the first event nothing waits.
        let queues = Some(Queues::default());
        return Ok(Newest { sequence: 0, queues });
    };
    let event = record.decode::<FleetEvent>().ok();
    Ok(Newest {
        sequence: record.sequence,
        queues: event.map(|event| match event.fact {
            FleetFact::QueuesChanged(queues) => queues,
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;

    /// When the queues were published, in seconds, within six hours: with these outcomes one after the other, then with the last one.
    async fn published(outcomes: &[Result<Outcome, ()>]) -> Vec<u64> {
        let began = Instant::now();
        let times = Arc::<Mutex<Vec<u64>>>::default();
        let (sender, queues) = watch::channel(None);
        sender.send_replace(Some(Queues::default()));
        let noted = Arc::clone(&times);
        let publishing = publish_each(queues, async move |_| {
            let mut times = noted.lock().unwrap();
            let outcome = outcomes.get(times.len()).or_else(|| outcomes.last()).unwrap();
            times.push(began.elapsed().as_secs());
            outcome.map_err(|()| anyhow::anyhow!("no right"))
        });
        let hours = timeout(Duration::from_secs(6 * 60 * 60), publishing);
        assert!(hours.await.is_err(), "the leader published no more");
        let times = times.lock().unwrap();
        times.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn what_nats_does_not_take_is_tried_after_a_minute_and_then_seldomer_up_to_every_quarter_of_an_hour() {
        let times = published(&[Err(())]).await;
        let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Each wait is varied by a fifth.
        for (wait, expected) in waits.iter().zip([60, 120, 240, 480, 960, 960, 960]) {
            assert!(
                (expected * 4 / 5 - 1..=expected * 6 / 5 + 1).contains(wait),
                "{waits:?}"
            );
        }
        assert!((20..40).contains(&times.len()), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_ends_the_series_of_failures() {
        let (failed, stored) = (Err(()), Ok(Outcome::Stored));
        let times = published(&[failed, failed, failed, failed, failed, stored]).await;
        assert_eq!(times.len(), 6, "what is stored is not published again: {times:?}");
        let times = published(&[failed, failed, failed, Ok(Outcome::NotProved), failed, stored]).await;
        assert!(times[5] - times[4] > 300, "an unproved right ends none: {times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn queues_of_which_the_right_is_not_proved_are_tried_again_soon_and_those_that_are_known_are_not() {
        let times = published(&[Ok(Outcome::NotProved), Ok(Outcome::NotProved), Ok(Outcome::Known)]).await;
        assert_eq!(times, [0, 7, 14]);
    }
}

//! Events on their way into the core: taken in batches, each batch followed by one decision, and settled only after
//! everything that follows from them is stored.
//!
//! Events of attempts that are over cost no decision and no look-up of their own: a consumer that was created again
//! may bring many of them.

use bellwether_chassis::{Record, Verdict, batch, clock};
use bellwether_proto::Attempt;
use bellwether_proto::stream::SCHEDULER_CONSUMER;
use bellwether_scheduler_core::{Handled, Input};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::bus::wire;
use crate::lead::{Leader, LeaderContext};
use crate::message::LeaderMessage;

/// How soon events come again that this replica did not settle, because it leads no more.
const EVENT_RETRY: std::time::Duration = std::time::Duration::from_millis(200);

/// How far the clocks of a scheduler and of a NATS server may differ: more than an hour is a wrong time zone, and an
/// hour of events costs seconds.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

/// Events that the core has, and whose consequences are not stored yet.
pub(super) struct Taken {
    verdicts: Vec<Verdict>,
    settle: oneshot::Sender<Vec<Verdict>>,
}

impl Taken {
    /// Settles the events: all their consequences are stored.
    pub(super) fn settle(self) {
        if self.settle.send(self.verdicts).is_err() {
            tracing::debug!("The consumer ended: its events come again, and change nothing then");
        }
    }
}

impl LeaderContext {
    /// Passes events to the loop, in batches and in order, and settles each by the loop's verdict.
    pub(super) async fn consume_events(&self, sender: mpsc::Sender<LeaderMessage>) -> anyhow::Result<()> {
        let handle = move |records: Vec<Record>| {
            let sender = sender.clone();
            async move {
                let (verdicts, returned) = oneshot::channel();
                // Without a verdict this replica leads no more, and the next leader has to get the events.
                let again = vec![Verdict::RetryAfter(EVENT_RETRY); records.len()];
                match sender.send(LeaderMessage::Events(records, verdicts)).await {
                    Ok(()) => returned.await.unwrap_or(again),
                    Err(_) => again,
                }
            }
        };
        batch::consume(&self.chassis, &self.bus, &SCHEDULER_CONSUMER, handle).await
    }
}

impl Leader<'_> {
    /// Gives a batch of events to the core. None: nothing follows from them, and they are settled.
    pub(super) async fn take_events(
        &mut self,
        records: &[Record],
        settle: oneshot::Sender<Vec<Verdict>>,
    ) -> anyhow::Result<Option<Taken>> {
        let now = clock::now();
        let mut verdicts = Vec::with_capacity(records.len());
        let (mut accepted, mut other) = (false, false);
        for record in records {
            match wire::event(record) {
                Ok(event) => {
                    self.effects.node_events.published(&event, now);
                    match self.fleet.handle_input(Input::Event(event), now) {
                        Handled::OtherAttempt => other = true,
                        Handled::Accepted | Handled::Cancelled(_) | Handled::Refused(_) | Handled::NotOrdered(_) => {
                            accepted = true
                        }
                    }
                    verdicts.push(Verdict::Ack);
                }
                Err(rejection) => {
                    self.reject(record, &rejection);
                    verdicts.push(Verdict::Terminate);
                }
            }
        }
        // An event of an attempt that the core does not have may mean that another replica leads, which
        // has to get the event.
        if other {
            self.check_ownership().await?;
        }
        let taken = Taken { verdicts, settle };
        if accepted {
            return Ok(Some(taken));
        }
        taken.settle();
        Ok(None)
    }
}

/// From when on a stored event may belong to a present attempt: the start of the oldest attempt that events can
/// still change.
pub(super) fn since(attempts: &[Attempt], now: Timestamp) -> Timestamp {
    let present = attempts
        .iter()
        .filter(|attempt| !attempt.phase.is_ended() || attempt.slot_held || attempt.cordoned_at.is_some());
    let oldest = present.map(Attempt::started_at).min().unwrap_or(now).min(now);
    oldest.checked_sub(CLOCKS_DIFFER).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use bellwether_proto::{AttemptRef, Generation, Phase, PhaseEntered, TraceParent};

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3600).unwrap()
    }

    fn attempt(started: i64, phase: Phase) -> Attempt {
        let id = bellwether_proto::AttemptId::new(&"uid".parse().unwrap(), Generation(1), at(started));
        let attempt = AttemptRef {
            node: "n1".parse().unwrap(),
            node_uid: "uid".parse().unwrap(),
            attempt: id,
            generation: Generation(1),
        };
        let trace = TraceParent {
            trace_id: [1; 16],
            span_id: [1; 8],
            sampled: true,
        };
        let mut attempt = Attempt::new(attempt, "boot".parse().unwrap(), at(started), trace);
        attempt.phase = phase;
        attempt.slot_held = !phase.is_ended();
        attempt.history = vec![PhaseEntered {
            phase: Phase::Draining,
            at: at(started),
        }];
        attempt
    }

    #[test]
    fn events_are_read_from_the_oldest_attempt_that_they_can_change() {
        let (running, done) = (attempt(90, Phase::Draining), attempt(20, Phase::Done));
        assert_eq!(since(&[running.clone(), done.clone()], at(100)), at(89));
        let mut kept = attempt(50, Phase::Failed);
        kept.slot_held = true;
        assert_eq!(since(&[running.clone(), kept, done.clone()], at(100)), at(49));
        let mut cordoned = attempt(40, Phase::Failed);
        cordoned.cordoned_at = Some(at(41));
        assert_eq!(since(&[running, cordoned], at(100)), at(39));
        assert_eq!(since(&[done], at(100)), at(99));
    }

    #[test]
    fn an_attempt_that_a_clock_ahead_started_does_not_move_the_start_into_the_future() {
        assert_eq!(since(&[attempt(200, Phase::Draining)], at(100)), at(99));
    }
}

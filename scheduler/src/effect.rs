//! Carries out the effects of the core, one after the other, in its order and no other.

use bellwether_chassis::{Bus, PublishError, clock};
use bellwether_proto::AttemptRef;
use bellwether_scheduler_core::{Effect, Input};

use crate::bus::store::Store;
use crate::bus::{command, event};
use crate::cluster::node_events::NodeEvents;
use crate::error::EffectError;
use crate::observe::metrics::Metrics;
use crate::observe::spans;
use crate::readings::Readings;

/// Where effects go.
pub(crate) struct Effects {
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    pub(crate) node_events: NodeEvents,
    pub(crate) readings: Readings,
}

impl Effects {
    /// Carries out one effect. Returns what the core has to be given for it, if anything. After an error no
    /// effect may follow: the leader has to reload.
    pub(crate) async fn carry_out(&mut self, effect: Effect) -> Result<Option<Input>, EffectError> {
        match effect {
            Effect::StoreAttempt(attempt) => {
                let stored = self.store.put(&attempt).await;
                stored.map_err(|error| EffectError::of_record(error, &attempt.node))?;
                self.node_events.stored(&attempt, clock::now());
            }
            Effect::StoreControl(control) => self.store.put_control(&control).await?,
            Effect::DeleteAttempt(node) => self.store.delete(&node).await?,
            Effect::PublishEvent(event) => match event::publish(&self.bus, &event).await {
                // The record has all of it, and the events may have a gap.
                Err(error @ PublishError::TooLong { .. }) => {
                    let error = bellwether_chassis::chain(&error);
                    tracing::warn!(node = %event.node, error, "Event left out");
                }
                published => published?,
            },
            Effect::SendCommand(command) => command::queue(&self.bus, &command).await?,
            Effect::CheckCommand(command) => {
                if !command::is_queued(&self.bus, &command).await? {
                    let AttemptRef {
                        node,
                        attempt,
                        generation,
                        ..
                    } = command.attempt().clone();
                    return Ok(Some(Input::CommandLost {
                        node,
                        attempt,
                        generation: generation.0,
                    }));
                }
            }
            Effect::TaintNode(command) => command::queue_taint(&self.bus, &command).await?,
            Effect::Read { query, asked_at } => self.readings.ask(query, asked_at),
            Effect::PhaseEnded {
                attempt,
                phase,
                began,
                ended,
            } => {
                self.metrics.phase_over(&attempt, phase, began, ended);
                spans::write(&attempt, phase, began, ended);
            }
        }
        Ok(None)
    }
}

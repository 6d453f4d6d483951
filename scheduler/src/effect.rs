//! Carries out the effects of the core, one after the other, in its order and no other.

use bellwether_chassis::{Bus, clock};
use bellwether_proto::{Attempt, AttemptRef, FleetControl, NodeEvent, NodeName, OrderChanged, attribute};
use bellwether_scheduler_core::{Effect, Input};

use crate::bus::command;
use crate::bus::outbox::Outbox;
use crate::bus::publisher::Publisher;
use crate::bus::queue_events::QueueEvents;
use crate::bus::store::Store;
use crate::cluster::node_conditions::NodeConditions;
use crate::cluster::node_events::NodeEvents;
use crate::error::EffectError;
use crate::observe::metrics::Metrics;
use crate::observe::spans;
use crate::readings::Readings;

/// Where effects go.
pub(crate) struct Effects {
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) outbox: Outbox,
    pub(crate) metrics: Metrics,
    pub(crate) node_events: NodeEvents,
    pub(crate) node_conditions: NodeConditions,
    pub(crate) readings: Readings,
}

impl Effects {
    /// Publishes the events that are stored, while this leader owns the records.
    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::new(self.bus.clone(), self.store.ownership(), self.outbox.chains())
    }

    /// Publishes the events about what waits, under this name, while this leader owns the records.
    pub(crate) fn queue_events(&self, source: String) -> QueueEvents {
        QueueEvents::new(self.bus.clone(), self.store.ownership(), source)
    }

    /// Carries out one effect. Returns what the core has to be given for it, if anything. After an error no
    /// effect may follow: the leader has to reload.
    pub(crate) async fn carry_out(&mut self, effect: Effect) -> Result<Option<Input>, EffectError> {
        match effect {
            Effect::StoreAttempt(attempt, event) => self.store_attempt(*attempt, event).await?,
            Effect::StoreControl(control, event) => self.store_control(*control, event).await?,
            Effect::DeleteAttempt(node) => {
                if self.outbox.leave(&node) {
                    self.delete(&node).await?;
                }
            }
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
            Effect::SetConditions(change) => self.node_conditions.request(change),
            Effect::Read { query, asked_at } => self.readings.ask(query, asked_at),
            Effect::PhaseEnded {
                attempt,
                phase,
                began,
                ended,
            } => {
                self.metrics.phase_over(&attempt, phase, began, ended);
                spans::write(&attempt);
            }
        }
        Ok(None)
    }

    /// Stores the orders together with the event about their change, which is published after that.
    async fn store_control(
        &mut self,
        mut control: FleetControl,
        event: Option<Box<OrderChanged>>,
    ) -> Result<(), EffectError> {
        // A cancel changes no order, so the record names the operator of the change before.
        let news = event
            .as_ref()
            .map(|event| (event.change, event.by.clone(), event.reason.clone()));
        self.outbox.enter_orders(&mut control, event.map(|event| *event));
        self.store.put_control(&control).await?;
        self.outbox.stored();
        if let Some((change, by, reason)) = news {
            let change = change.as_str();
            tracing::info!(change, by, reason, paused = control.paused(), "Orders changed");
        }
        Ok(())
    }

    /// Deletes the record of a node, whose events the stream has.
    pub(crate) async fn delete(&mut self, node: &NodeName) -> Result<(), EffectError> {
        Ok(self.store.delete(node).await?)
    }

    /// Stores a record together with the event about it, which is published after that.
    async fn store_attempt(&mut self, mut attempt: Attempt, event: Option<Box<NodeEvent>>) -> Result<(), EffectError> {
        if let Some(event) = &event {
            tracing::info!(
                node = %event.node,
                { attribute::ATTEMPT } = %event.attempt,
                fact = ?event.fact,
                "Phase changed"
            );
        }
        self.outbox.enter(&mut attempt, event.map(|event| *event));
        let stored = self.store.put(&attempt).await;
        stored.map_err(|error| EffectError::of_record(error, &attempt.node))?;
        self.outbox.stored();
        self.node_events.stored(&attempt, clock::now());
        Ok(())
    }
}

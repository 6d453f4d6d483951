//! Standing still while NATS stores nothing: the leader observes and answers, decides nothing, and tries again later.
//!
//! Its core has decided once, to state why each node waits; these decisions are dropped with the core.

use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::clock;
use bellwether_scheduler_core::Effect;
use tokio::sync::mpsc;

use crate::error::EffectError;
use crate::lead::Leader;
use crate::message::LeaderMessage;

impl Leader<'_> {
    /// After NATS has stored nothing: writes a record again as it is, before anything is decided. So a leader that has
    /// nothing to store knows too whether NATS stores again.
    pub(super) async fn try_to_store(&mut self) -> Result<(), EffectError> {
        if self.refused.is_none() {
            return Ok(());
        }
        // Without any record there is nothing to know: the first write shows.
        if let Some(attempt) = self.fleet.attempts().next() {
            let attempt = Box::new(attempt.clone());
            self.effects.carry_out(Effect::StoreAttempt(attempt, None)).await?;
        } else if let Some(control) = self.fleet.control() {
            let control = Box::new(control.clone());
            self.effects.carry_out(Effect::StoreControl(control, None)).await?;
        }
        tracing::info!("NATS stores again");
        self.refused = None;
        Ok(())
    }

    /// Stands still for so long.
    pub(super) async fn stand_still(
        &mut self,
        time: Duration,
        messages: &mut mpsc::Receiver<LeaderMessage>,
    ) -> anyhow::Result<()> {
        tracing::warn!(seconds = time.as_secs(), "Leader stands still: NATS stores nothing");
        if self.views.cluster.failure().is_none() {
            self.fleet.advance(clock::now());
        }
        self.context.metrics.lead(&self.fleet);
        let policies = self.fleet.policies();
        self.context.metrics.show(&self.fleet, &policies, clock::now());
        let over = tokio::time::sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                message = messages.recv() => match message.context("the queue of messages is closed")? {
                    LeaderMessage::Request(request) => self.reply_without_storing(request),
                    // None is consumed meanwhile; one without a verdict comes again.
                    LeaderMessage::Events(..) => (),
                },
                fact = self.views.next() => self.take_with_waiting(fact)?,
            }
        }
    }
}

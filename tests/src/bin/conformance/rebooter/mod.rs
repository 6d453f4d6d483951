//! The checks of a rebooter, by the sections of its page.
//!
//! A call for a reboot is a run of the reboot command. The host obeys only where a trial lets it: else it runs on, as one
//! that ignores the call.

mod faults;
mod hint;
mod permit;
mod record;
mod refusal;
mod report;
mod signature;
mod start;
mod steps;

use std::time::Duration;

use anyhow::{Result, ensure};
use bellwether_proto::{Attempt, AttemptId, AttemptRef, Fact, Generation, NodeEvent, Phase, subject};
use jiff::{SignedDuration, Timestamp};
use rig::wait;

use crate::agent::case::{Case, QUIET, SOON, Setup, publish};
use crate::agent::observe::At;
use crate::agent::stage::Stage;
use crate::case::packed;
use crate::check::{Check, expect, miss};

/// How long an order of a trial holds.
const LONG: Duration = Duration::from_secs(120);

/// The delay of each way where a trial acts between two steps of the program: each request takes twice as long.
const LATE: Duration = Duration::from_millis(900);

/// All checks of a rebooter, by id within each section.
pub(crate) fn checks() -> Vec<Check<Stage>> {
    let sections = [
        start::checks(),
        permit::checks(),
        record::checks(),
        steps::checks(),
        refusal::checks(),
        hint::checks(),
        report::checks(),
        signature::checks(),
        faults::checks(),
    ];
    sections.into_iter().flatten().collect()
}

/// The record that orders the reboot of the boot that runs now.
fn order(setup: &Setup<'_>) -> Result<Attempt> {
    order_of(setup.node.as_str(), &setup.host.boot_id())
}

fn order_of(node: &str, boot: &str) -> Result<Attempt> {
    let now = Timestamp::now();
    let (node_uid, generation): (bellwether_proto::NodeUid, _) = ("u1".parse()?, Generation(7));
    let attempt = AttemptRef {
        node: node.parse()?,
        attempt: AttemptId::new(&node_uid, generation, now),
        node_uid,
        generation,
    };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
    let mut record = Attempt::new(attempt, boot.parse()?, now, trace);
    record.phase = Phase::Rebooting;
    record.cordoned_at = Some(now);
    record.drained_at = Some(now);
    record.reboot_not_after = Some(now.checked_add(SignedDuration::try_from(LONG)?)?);
    record.deadline = record.reboot_not_after;
    Ok(record)
}

/// Waits until the order does not hold any more.
async fn order_is_over(record: &Attempt) -> Result<()> {
    wait::until("the end of the order", LONG, async || {
        let over = record.reboot_not_after.is_none_or(|end| Timestamp::now() > end);
        ensure!(over, "it holds");
        Ok(())
    })
    .await
}

/// The scripted scheduler, and what it sees.
impl Case<'_> {
    /// The record that orders the reboot of the boot that runs now.
    fn order(&self) -> Result<Attempt> {
        order_of(self.node.as_str(), &self.host.boot_id())
    }

    /// Stores the record of the node.
    async fn store(&self, record: &Attempt) -> Result<()> {
        let (headers, body) = packed(record);
        let subject = subject::attempt_record(&self.node.token());
        publish(self.stage, subject, headers, body).await.map(drop)
    }

    /// Stores an order with a change; returns it.
    async fn ordered(&self, change: impl FnOnce(&mut Attempt)) -> Result<Attempt> {
        let mut record = self.order()?;
        change(&mut record);
        self.store(&record).await?;
        Ok(record)
    }

    /// How often the program has called for a reboot.
    fn calls(&self) -> usize {
        self.host.reboot_orders()
    }

    /// Waits until the program has called for a reboot so often.
    async fn called(&self, times: usize) -> Result<()> {
        wait::until("the call for a reboot", SOON, async || {
            let (calls, kinds) = (self.calls(), self.kinds()?);
            expect(calls == times, &format!("{times} calls for a reboot"), || {
                format!("{calls} calls and the events {kinds:?}")
            })
        })
        .await
    }

    /// For a while the program calls for no further reboot.
    async fn never_more_than(&self, times: usize) -> Result<()> {
        tokio::time::sleep(QUIET).await;
        let calls = self.calls();
        expect(calls <= times, &format!("at most {times} calls for a reboot"), || {
            format!("{calls} calls")
        })
    }

    /// For a while the program neither calls for a reboot nor publishes an event.
    async fn does_nothing(&self) -> Result<()> {
        self.never_more_than(0).await?;
        self.now().await?;
        let kinds = self.kinds()?;
        expect(kinds.is_empty(), "no event", || format!("the events {kinds:?}"))
    }

    /// The kinds of all events so far.
    fn kinds(&self) -> Result<Vec<&'static str>> {
        Ok(self.events()?.iter().map(|(_, _, event)| event.fact.kind()).collect())
    }

    /// Waits for the event `reboot-started` of this order.
    async fn started(&self, record: &Attempt) -> Result<At<()>> {
        self.of(record, "the event reboot-started", |fact| {
            matches!(fact, Fact::RebootStarted { .. })
        })
        .await
    }

    /// Waits for the event `reboot-refused` of this order; the program has not called for a reboot.
    async fn refused(&self, record: &Attempt) -> Result<()> {
        self.of(record, "the event reboot-refused", |fact| {
            matches!(fact, Fact::RebootRefused { .. })
        })
        .await
        .map(drop)
    }

    async fn of(&self, record: &Attempt, awaited: &str, is: impl Fn(&Fact) -> bool) -> Result<At<()>> {
        let is_of = |event: &NodeEvent| (event.attempt, event.generation) == (record.id, record.generation);
        self.event(awaited, 0, |event| (is(&event.fact) && is_of(event)).then_some(()))
            .await
    }

    /// Lets each way take its time, orders a reboot, and returns once `reboot-started` is stored: its acknowledgement is
    /// under way then, and the last look at the record has not begun.
    async fn announced(&self, change: impl FnOnce(&mut Attempt)) -> Result<Attempt> {
        self.way.set(rig::proxy::Way::Late(LATE));
        let record = self.ordered(change).await?;
        self.started(&record).await?;
        if self.calls() == 0 {
            return Ok(record);
        }
        Err(miss("no call before the event is stored", "a call".to_owned()))
    }
}

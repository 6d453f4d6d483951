//! The rebooter's loop: read the record, ask the guard, act, report, wait.
//!
//! Owner of the connection and of what this process remembers. A message on the record's subject is only a hint to read: the
//! subject also carries writes that the stream rejects. Nothing that this process remembers is needed after a restart; that is
//! what the boot id is for.

use std::collections::VecDeque;
use std::time::Duration;

use bellwether_chassis::clock::{self, jitter};
use bellwether_chassis::{Bus, Chassis, RecordKeyFile, Retry, nats};
use bellwether_proto::{
    Attempt, AttemptId, Fact, Generation, NodeEvent, Phase, Problem, RebootKind, SignatureFault, attribute,
};
use bellwether_rebooter_core::guard::{self, Acted, Decision, Order, Own, Refusal, Waiting};
use bellwether_rebooter_core::ladder::{Climb, Next};
use futures_util::{FutureExt as _, StreamExt as _};
use tracing::Instrument as _;

use crate::args::Args;
use crate::error::{CallError, RebootError};
use crate::escalation::Escalation;
use crate::host::Host;
use crate::metrics::{Metrics, Outcome};
use crate::preflight::Preflight;
use crate::reboot::Method;
use crate::record::{Found, Look, StoredRecord};
use crate::systemd::Systemd;
use crate::wire;

/// A hint may arrive before its record is stored, or a replica that lags may answer: so the record is
/// looked at once more after this long, and not only when the interval is over.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// Events that wait to be stored. A refusal and an error of the call for one record are all
/// there can be at once; the rest is for records that change while NATS is away.
const UNSTORED_MAX: usize = 16;

struct Rebooter {
    chassis: Chassis,
    bus: Bus,
    host: Host,
    method: Method,
    systemd: Systemd,
    escalation: Escalation,
    preflight: Preflight,
    metrics: Metrics,
    acted: Option<Acted>,
    refused: Option<(AttemptId, Generation)>,
    waiting: Option<Waiting>,
    /// The order whose reboot this process has announced.
    announced: Option<(AttemptId, Generation)>,
    unstored: VecDeque<NodeEvent>,
    record: StoredRecord,
    storing: Retry,
}

pub(crate) async fn run(chassis: Chassis, args: Args) -> anyhow::Result<()> {
    let metrics = chassis.metrics(Metrics::register);
    let method = Method::new(args.method()?, &args);
    let systemd = Systemd::new(args.bus_socket());
    let escalation = Escalation::start(&args).await?;
    let keys = RecordKeyFile::new(&args.record_keys, &chassis);
    chassis.spawn("record keys", keys.clone().look_after(chassis.clone()));
    let host = Host::new(args.agent.node_name, args.agent.host);
    tracing::info!(node = %host.node(), boot_id = %host.boot_id()?, method = method.name(), "Host found");
    let preflight = Preflight::new(
        method.clone(),
        systemd.clone(),
        host.node().clone(),
        args.agent.refresh_interval,
        keys.clone(),
        &chassis,
        metrics.clone(),
    );
    let bus = nats::connect(&chassis, &args.chassis, Some(host.node())).await?;
    // Heard first, then read: what is written in between is a hint.
    let mut hints = bus.hints(wire::record_subject(host.node())).await?;
    let mut connections = bus.connections();
    let record = StoredRecord::new(bus.clone(), host.node().clone(), keys, metrics.clone());
    let mut rebooter = Rebooter {
        chassis: chassis.clone(),
        bus,
        host,
        method,
        systemd,
        escalation,
        preflight,
        metrics,
        acted: None,
        refused: None,
        waiting: None,
        announced: None,
        unstored: VecDeque::new(),
        record,
        storing: Retry::new("store events"),
    };
    let mut hinted = false;
    loop {
        let due = rebooter.step().await?.min(jitter(args.reread_interval));
        let wait = if hinted { due.min(SECOND_LOOK) } else { due };
        hinted = false;
        tokio::select! {
            hint = hints.next() => {
                anyhow::ensure!(hint.is_some(), "the subscription to the attempt record ended");
                // One look answers all of them.
                while hints.next().now_or_never().flatten().is_some() {}
                hinted = true;
            }
            Ok(()) = connections.changed() => rebooter.preflight.handle_connection(),
            () = tokio::time::sleep(wait) => (),
            () = chassis.stop.cancelled() => return Ok(()),
        }
    }
}

impl Rebooter {
    /// Does what is due. Returns how long to wait at most.
    ///
    /// # Errors
    /// The boot id cannot be read: without it nothing may be done.
    async fn step(&mut self) -> anyhow::Result<Duration> {
        let boot_id = self.host.boot_id()?;
        // The command first: its time is limited.
        let looked = self.look().await?;
        let stored = self.store_events().await;
        let reported = self.preflight.keep_reported(&self.bus, &boot_id).await;
        Ok([looked, stored].into_iter().flatten().fold(reported, Duration::min))
    }

    /// Reads the record and obeys it, if it is a command. Returns when to try again if it could not be read.
    async fn look(&mut self) -> anyhow::Result<Option<Duration>> {
        let found = match self.record.read(Look::Any).await {
            Ok(found) => found,
            Err(delay) => return self.escalate_unread(delay).await,
        };
        let record = match found {
            Some(Found::Verified(record)) => record,
            Some(Found::Untrusted(claim, fault)) => {
                self.escalation.note(None);
                self.distrust(&claim, fault).await?;
                return Ok(None);
            }
            None => {
                self.escalation.note(None);
                return Ok(None);
            }
        };
        self.escalation.note(Some(&record));
        match guard::examine(&record, &self.own_for(&record, None).await?, clock::now()) {
            Decision::Nothing => self.escalate(&record).await,
            Decision::Refuse(refusal) => {
                self.refuse(&record, &refusal);
                Ok(None)
            }
            Decision::Act(_) | Decision::Wait(_) => self.obey(&record).await,
        }
    }

    /// Obeys a command that passed every rule but the preflight. Returns when to look again if it has to wait.
    async fn obey(&mut self, record: &Attempt) -> anyhow::Result<Option<Duration>> {
        let problem = self.preflight.check(record.reboot_kind).await;
        let order = match guard::examine(record, &self.own_for(record, problem).await?, clock::now()) {
            Decision::Act(order) => order,
            Decision::Wait(problem) => return Ok(Some(self.wait_for(record, problem))),
            Decision::Refuse(refusal) => {
                self.refuse(record, &refusal);
                return Ok(None);
            }
            Decision::Nothing => return self.escalate(record).await,
        };
        let span = tracing::info_span!(
            "reboot host",
            { attribute::NODE } = %self.host.node(),
            { attribute::ATTEMPT } = %order.attempt,
            { attribute::GENERATION } = order.generation.0,
            { attribute::REBOOT_METHOD } = self.method.name_with(order.kind),
        );
        let announced = self.announce(&order).instrument(span).await;
        if announced && self.is_still_ordered(&order).await? {
            return Ok(self.reboot(record, order).await);
        }
        self.metrics.rebooted(Outcome::CalledOff);
        Ok(None)
    }

    /// Calls again by another method, if the host was called for by this record, still runs, and a step is due. Returns when
    /// the next one is.
    async fn escalate(&mut self, record: &Attempt) -> anyhow::Result<Option<Duration>> {
        let own = self.own(None)?;
        if let Some(adopted) = Climb::adopted(record, &own, self.announced) {
            self.escalation.adopt(adopted, record);
        }
        match self.escalation.next(record, &own) {
            Next::Over => return Ok(None),
            Next::In(left) => return Ok(Some(left)),
            Next::Step(_) => (),
        }
        let current = match self.record.read(Look::Last).await {
            Ok(Some(Found::Verified(current))) => current,
            Ok(Some(Found::Untrusted(..)) | None) => {
                self.escalation.note(None);
                return Ok(None);
            }
            Err(delay) => return self.escalate_unread(delay).await,
        };
        self.escalation.note(Some(&current));
        match self.escalation.next(&current, &self.own(None)?) {
            Next::Step(step) => Ok(Some(self.take(step).await)),
            Next::In(left) => Ok(Some(left)),
            Next::Over => Ok(None),
        }
    }

    /// The same while NATS is out of reach. Returns when to try again.
    async fn escalate_unread(&mut self, delay: Duration) -> anyhow::Result<Option<Duration>> {
        // Servers that answer and do not give the record may have another one.
        if self.bus.is_connected() {
            return Ok(Some(delay));
        }
        match self.escalation.next_unread(&self.own(None)?) {
            Next::Over => Ok(Some(delay)),
            Next::In(left) => Ok(Some(delay.min(left))),
            Next::Step(step) => Ok(Some(self.take(step).await)),
        }
    }

    /// Takes a step of the escalation, unless an inhibitor holds it back. Returns when to look again.
    async fn take(&mut self, step: usize) -> Duration {
        if self.escalation.is_adopted() && !self.method.is_uninhibited().await {
            return guard::WAIT_INTERVAL;
        }
        if let Some((method, acted)) = self.escalation.take(step).await {
            self.acted = Some(acted);
            self.metrics.rebooted(Outcome::Escalated);
            self.preflight.spend(method);
        }
        Duration::ZERO
    }

    /// Keeps an order for later. Returns when to look again.
    fn wait_for(&mut self, record: &Attempt, problem: Problem) -> Duration {
        let waiting = Waiting::new(record, problem);
        if self.waiting.as_ref() != Some(&waiting) {
            tracing::warn!(
                { attribute::ATTEMPT } = %waiting.attempt,
                { attribute::GENERATION } = waiting.generation.0,
                code = %waiting.problem.code,
                problem = waiting.problem.message,
                "Reboot waits"
            );
        }
        self.waiting = Some(waiting);
        let left = record.reboot_not_after.map(clock::until).unwrap_or_default();
        guard::WAIT_INTERVAL.min(left)
    }

    /// Reports that the host is going to reboot, and waits until that is stored: no operator has to guess
    /// later. False: there was no time left to say it, so it must not happen either.
    async fn announce(&mut self, order: &Order) -> bool {
        let announced = Some((order.attempt, order.generation));
        if self.announced == announced {
            return true;
        }
        let fact = Fact::RebootStarted {
            boot_id: order.boot_id.clone(),
            method: self.method.name_with(order.kind).to_owned(),
        };
        let event = self.event(order.attempt, order.generation, fact);
        loop {
            let delay = match wire::store_event(&self.bus, &event).await {
                Ok(_) => {
                    self.storing.worked();
                    self.announced = announced;
                    return true;
                }
                Err(error) => self.storing.failed(&error),
            };
            if !self.wait(delay, order).await {
                return false;
            }
        }
    }

    /// The last look before the call: at the stored record, the boot id and the clock.
    async fn is_still_ordered(&mut self, order: &Order) -> anyhow::Result<bool> {
        loop {
            let delay = match self.record.read(Look::Last).await {
                Ok(Some(Found::Untrusted(claim, fault))) => {
                    self.distrust(&claim, fault).await?;
                    return Ok(false);
                }
                Ok(Some(Found::Verified(record))) => {
                    return Ok(
                        match guard::examine(&record, &self.own_for(&record, None).await?, clock::now()) {
                            Decision::Act(again) if again.is_same(order) => true,
                            Decision::Refuse(refusal) => {
                                self.refuse(&record, &refusal);
                                false
                            }
                            Decision::Act(_) | Decision::Wait(_) | Decision::Nothing => {
                                tracing::info!({ attribute::ATTEMPT } = %order.attempt, "Reboot called off: the record moved on");
                                false
                            }
                        },
                    );
                }
                Ok(None) => {
                    tracing::info!({ attribute::ATTEMPT } = %order.attempt, "Reboot called off: there is no record any more");
                    return Ok(false);
                }
                Err(delay) => delay,
            };
            if !self.wait(delay, order).await {
                return Ok(false);
            }
        }
    }

    /// The irreversible step. Returns when to look again if the call has not arrived.
    async fn reboot(&mut self, record: &Attempt, order: Order) -> Option<Duration> {
        // Before the call: what comes after it may never happen.
        self.acted = Some(Acted {
            attempt: order.attempt,
            boot_id: order.boot_id.clone(),
        });
        self.preflight.spend(self.method.name_with(order.kind));
        tracing::warn!(
            { attribute::ATTEMPT } = %order.attempt,
            { attribute::GENERATION } = order.generation.0,
            { attribute::BOOT_BEFORE } = %order.boot_id,
            { attribute::REBOOT_METHOD } = self.method.name_with(order.kind),
            "Rebooting host"
        );
        match self.method.reboot((&order).into()).await {
            Ok(()) => {
                self.metrics.rebooted(Outcome::Accepted);
                self.escalation.begin(record);
                tracing::info!("Reboot accepted");
                None
            }
            Err(CallError::NotArrived(error)) => {
                self.metrics.rebooted(Outcome::NotArrived);
                self.acted = None;
                self.preflight.unspend();
                Some(self.wait_for(record, error.problem()))
            }
            Err(CallError::Unclear(error)) => {
                self.escalation.begin(record);
                self.call_failed(&order, &error);
                None
            }
        }
    }

    /// Reports that the call may have failed.
    fn call_failed(&mut self, order: &Order, error: &RebootError) {
        self.metrics.rebooted(Outcome::Failed);
        let message = bellwether_chassis::chain(error);
        tracing::error!(
            error = message,
            "Call to reboot failed; the host may reboot all the same"
        );
        let event = self.event(order.attempt, order.generation, Fact::RebootFailed { message });
        self.remember(event);
    }

    /// Refuses a record that does not verify, if it would be a command.
    async fn distrust(&mut self, claim: &Attempt, fault: SignatureFault) -> anyhow::Result<()> {
        let own = Own {
            refused: self.record.distrusted(),
            ..self.own_for(claim, None).await?
        };
        match guard::examine_claim(claim, fault, &own, clock::now()) {
            Decision::Refuse(refusal) => {
                self.record.distrust(claim);
                self.report_refusal(claim, &refusal);
            }
            Decision::Nothing | Decision::Act(_) | Decision::Wait(_) => (),
        }
        Ok(())
    }

    fn refuse(&mut self, record: &Attempt, refusal: &Refusal) {
        self.refused = Some((record.id, record.generation));
        self.report_refusal(record, refusal);
    }

    fn report_refusal(&mut self, record: &Attempt, refusal: &Refusal) {
        self.metrics.refused(refusal.code());
        tracing::warn!(
            { attribute::ATTEMPT } = %record.id,
            { attribute::GENERATION } = record.generation.0,
            reason = %refusal,
            "Reboot refused"
        );
        if refusal.is_reported() {
            let message = refusal.to_string();
            let code = refusal.code().to_owned();
            let event = self.event(record.id, record.generation, Fact::RebootRefused { message, code });
            self.remember(event);
        }
    }

    /// Keeps an event until it is stored.
    fn remember(&mut self, event: NodeEvent) {
        if self.unstored.len() == UNSTORED_MAX {
            self.unstored.pop_front();
        }
        self.unstored.push_back(event);
    }

    /// Stores the events that wait. Returns when to try again if that did not work.
    async fn store_events(&mut self) -> Option<Duration> {
        while let Some(event) = self.unstored.front() {
            match wire::store_event(&self.bus, event).await {
                Ok(_) => {
                    self.storing.worked();
                    self.unstored.pop_front();
                }
                Err(error) => return Some(self.storing.failed(&error)),
            }
        }
        None
    }

    /// Waits, but not beyond the time in which the order holds. False: it holds no longer.
    async fn wait(&self, delay: Duration, order: &Order) -> bool {
        let left = clock::until(order.not_after);
        self.chassis.sleep(delay.min(left)).await && left > delay
    }

    fn own(&self, problem: Option<Problem>) -> anyhow::Result<Own> {
        Ok(Own {
            node: self.host.node().clone(),
            boot_id: self.host.boot_id()?,
            acted: self.acted.clone(),
            refused: self.refused,
            waiting: self.waiting.clone(),
            inherited: self.record.inherited(),
            problem,
            soft_reboots: None,
        })
    }

    /// The same for this record: how many soft reboots the boot has had is read now, if that decides.
    async fn own_for(&self, record: &Attempt, problem: Option<Problem>) -> anyhow::Result<Own> {
        let is_soft = record.phase == Phase::Rebooting && record.reboot_kind == RebootKind::Soft;
        let soft_reboots = if is_soft {
            self.systemd.soft_reboots().await
        } else {
            None
        };
        Ok(Own {
            soft_reboots,
            ..self.own(problem)?
        })
    }

    fn event(&self, attempt: AttemptId, generation: Generation, fact: Fact) -> NodeEvent {
        let service = self.chassis.service;
        NodeEvent {
            node: self.host.node().clone(),
            attempt,
            generation,
            at: clock::now(),
            source: format!("{} {}", service.name, service.version),
            fact,
        }
    }
}

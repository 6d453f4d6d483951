//! One command from its message to its verdict.
//!
//! A command needs three things before the driver begins: no other work on the same command in this
//! process, a place among the drains, and a record that authorises the command.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellwether_chassis::{Bus, Record, RecordKeyFile, Verdict, clock, traces};
use bellwether_drainer_core::permit::judge;
use bellwether_drainer_core::{Command, CommandEnd, Conclusion, Drain, DrainOrder, Refusal, Task, Uncordon};
use bellwether_proto::{AfterTimeout, Attempt, DrainFailure, NodeName, attribute, span};
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tracing::{Instrument as _, Span};

use crate::drive::Driver;
use crate::events::EventPublisher;
use crate::given_back::GivenBack;
use crate::kube::rights::{self, Rights};
use crate::metrics::{Outcome, Rejection};
use crate::record::RecordReader;
use crate::taint;
use crate::tools::Tools;
use crate::wire::{self, Commanded};

/// Wait before a command that is in progress comes again, in case that work is dropped.
const IN_PROGRESS: Duration = Duration::from_secs(10);
/// Wait before an uncordon that failed comes again, and a drain while it is open whether the rights suffice.
const AGAIN: Duration = Duration::from_secs(5);
/// Wait before a command comes again whose record could not be read.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// How long a read may lag behind the write that the command followed: copies of the stream
/// answer reads too, and some of them a moment late.
const RECORD_LAG: Duration = Duration::from_secs(1);
/// So long after a command its record may be read as an older one; later the record was lost.
const RECORD_LAG_MAX: Duration = Duration::from_secs(60);

/// The right that a policy needs which has pods deleted, with the remedy.
const FORCE_FORBIDDEN: &str = "delete pods, which the policy's drain.onTimeout: Force needs: deploy the component \
    deploy/components/force-drain, or choose another value";
/// A right that the API server has forbidden for so long is missing.
const DELETION_GRACE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// The shared parts of all commands.
pub(crate) struct Drainer {
    pub(crate) bus: Bus,
    /// Verify records.
    pub(crate) keys: RecordKeyFile,
    pub(crate) tools: Tools,
    pub(crate) rights: watch::Receiver<Rights>,
    pub(crate) places: Semaphore,
    pub(crate) given_back: GivenBack,
    pub(crate) in_progress: InProgress,
    pub(crate) source: String,
}

/// The commands that this process works on.
pub(crate) type InProgress = Arc<Mutex<HashSet<Command>>>;

/// Keeps a command in [`InProgress`]. After NATS was away a command comes a second time while the first
/// is still in progress; a second drain of the same node would do no harm, but no good either.
struct Claim {
    in_progress: InProgress,
    command: Command,
}

impl Claim {
    fn take(in_progress: &InProgress, command: &Command) -> Option<Self> {
        let mut commands = in_progress.lock().unwrap_or_else(PoisonError::into_inner);
        commands.insert(command.clone()).then(|| Self {
            in_progress: Arc::clone(in_progress),
            command: command.clone(),
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut commands = self.in_progress.lock().unwrap_or_else(PoisonError::into_inner);
        commands.remove(&self.command);
    }
}

impl Drainer {
    /// Carries out the command of one message.
    pub(crate) async fn handle(self: Arc<Self>, message: Record) -> Verdict {
        let command = match wire::command(&message) {
            Ok(Commanded::ByRecord(command)) => command,
            Ok(Commanded::Taint(command)) => return Box::pin(taint::carry_out(&self.tools, &command)).await,
            Err(error) => {
                self.tools.metrics.rejected(Rejection::from(&error));
                let error = bellwether_chassis::chain(&error);
                tracing::error!(subject = message.subject, error, "Command rejected");
                return Verdict::Terminate;
            }
        };
        let Some(_claim) = Claim::take(&self.in_progress, &command) else {
            return Verdict::RetryAfter(IN_PROGRESS);
        };
        let _place = match command.task {
            Task::Drain { .. } => match self.places.try_acquire() {
                Ok(place) => Some(place),
                Err(_) => return Verdict::RetryAfter(self.given_back.wait(&command)),
            },
            Task::Uncordon => None,
        };
        Box::pin(self.carry_out(command, message.stored_at)).await
    }

    async fn carry_out(&self, command: Command, commanded_at: Timestamp) -> Verdict {
        let record = RecordReader::new(self.bus.clone(), self.keys.clone(), &command.attempt.node);
        let read_at = clock::now();
        let attempt = match judge(&command, record.read().await) {
            Ok(attempt) => attempt,
            Err(refusal) => return self.refused(&command, &refusal, commanded_at),
        };
        if matches!(command.task, Task::Drain { .. }) && self.are_rights_open() {
            return Verdict::RetryAfter(AGAIN);
        }
        let Some(may_delete) = self.may_delete(&command, &attempt, commanded_at).await else {
            return Verdict::RetryAfter(AGAIN);
        };
        let span = span_of(&command);
        // Of spans that the scheduler writes in any case: a drainer that dies leaves no span without its parent.
        let parent = match command.task {
            Task::Drain { .. } => attempt.draining_span(),
            Task::Uncordon => attempt.trace,
        };
        traces::set_parent(&span, parent);
        let work = async {
            let started = clock::now();
            let end = self.run(&command, &attempt, may_delete, &record, read_at).await;
            let outcome = Outcome::from(&end);
            close(&Span::current(), outcome, &end);
            match command.task {
                Task::Drain { .. } => {
                    let seconds = clock::now().duration_since(started).as_secs_f64();
                    self.tools.metrics.drain_ended(outcome, seconds);
                }
                Task::Uncordon => self.tools.metrics.uncordon_ended(outcome),
            }
            verdict_of(&end)
        };
        work.instrument(span).await
    }

    /// A command without a record that authorises it: its only trace is the log.
    fn refused(&self, command: &Command, refusal: &Refusal, commanded_at: Timestamp) -> Verdict {
        let age = Duration::try_from(clock::now().duration_since(commanded_at)).unwrap_or_default();
        let is_lost = matches!(refusal, Refusal::Behind(_)) && age > RECORD_LAG_MAX;
        let reason = refusal.to_string();
        let attempt = &command.attempt;
        let (node, generation, attempt) = (&attempt.node, &attempt.generation, &attempt.attempt);
        if refusal.is_final() || is_lost {
            self.tools.metrics.rejected(Rejection::Stale);
            tracing::info!(%node, %attempt, %generation, reason, "Stale command dropped");
            return Verdict::Ack;
        }
        tracing::warn!(%node, %attempt, %generation, reason, "Command postponed");
        verdict_after(refusal)
    }

    /// Runs the command's state machine, then the one that stores its end. `may_delete`: or no pod has to be deleted.
    async fn run(
        &self,
        command: &Command,
        attempt: &Attempt,
        may_delete: bool,
        record: &RecordReader,
        read_at: Timestamp,
    ) -> CommandEnd {
        let events = EventPublisher {
            bus: self.bus.clone(),
            source: self.source.clone(),
            attempt: command.attempt.clone(),
        };
        let driver = Driver {
            tools: &self.tools,
            node: &command.attempt.node,
            record,
            events: &events,
            trace: attempt.draining_span(),
        };
        let end = match command.task {
            Task::Drain { not_after } => {
                let _under_way = self.tools.metrics.under_way();
                let of_force = (!may_delete).then(|| FORCE_FORBIDDEN.to_owned());
                match self.missing_rights().or(of_force) {
                    None => {
                        let order = DrainOrder {
                            attempt: command.attempt.clone(),
                            began_at: attempt.phase_since(),
                            // No command is signed: none lets a drain continue beyond the time of its record.
                            not_after: attempt.deadline.map_or(not_after, |deadline| not_after.min(deadline)),
                            terms: attempt.drain_terms,
                        };
                        let drain = Drain::new(order, self.tools.drains.clone(), read_at);
                        Box::pin(driver.drive(drain)).await
                    }
                    // The drain ends at once, so that the attempt ends with this reason.
                    Some(missing) => CommandEnd::DrainFailed {
                        failure: DrainFailure::Forbidden,
                        message: format!("the drainer lacks rights in Kubernetes: {missing}"),
                        obstacle: None,
                        report: None,
                    },
                }
            }
            Task::Uncordon => {
                let is_removed = attempt.cordon_removed_at.is_some();
                let marks = self.tools.drains.marks.clone();
                let uncordon = Uncordon::new(command.attempt.clone(), is_removed, marks, read_at);
                Box::pin(driver.drive(uncordon)).await
            }
        };
        log(&command.attempt.node, &end);
        let conclusion = Conclusion::new(command.clone(), end, clock::now());
        let end = Box::pin(driver.conclude(conclusion)).await;
        if let CommandEnd::PermitLost { reason } = &end {
            tracing::info!(node = %command.attempt.node, reason, "Stopped, the attempt has moved on");
        }
        end
    }

    /// True while no drain may start and none may fail for its rights.
    fn are_rights_open(&self) -> bool {
        match &*self.rights.borrow() {
            Rights::Unknown => true,
            Rights::Missing { is_final, .. } => !is_final,
            Rights::Held => false,
        }
    }

    fn missing_rights(&self) -> Option<String> {
        match &*self.rights.borrow() {
            Rights::Missing { names, .. } => Some(names.clone()),
            Rights::Held | Rights::Unknown => None,
        }
    }

    /// Whether the drainer may delete pods, or the command deletes none. None: not known yet, so that the command comes again.
    async fn may_delete(&self, command: &Command, attempt: &Attempt, commanded_at: Timestamp) -> Option<bool> {
        let deletes = match attempt.drain_terms.after_timeout {
            AfterTimeout::Force => matches!(command.task, Task::Drain { .. }),
            AfterTimeout::Restore | AfterTimeout::Hold | AfterTimeout::Proceed => false,
        };
        if !deletes {
            return Some(true);
        }
        let may_delete = rights::may_delete_pods(&self.tools.clients.requests).await.ok()?;
        settled(may_delete, commanded_at, clock::now())
    }
}

/// Whether pods may be deleted, by this answer of the API server; none: not known yet. An API server that has just started
/// forbids everything, and the right may be on its way.
fn settled(may_delete: bool, commanded_at: Timestamp, now: Timestamp) -> Option<bool> {
    let is_final = now.duration_since(commanded_at) >= DELETION_GRACE;
    (may_delete || is_final).then_some(may_delete)
}

fn log(node: &NodeName, end: &CommandEnd) {
    match end {
        CommandEnd::Drained {
            pods_gone,
            staying,
            remarks,
            attached,
            report: _,
        } => tracing::info!(
            %node,
            pods_gone,
            pods_left = staying.total(),
            daemon_set = staying.daemon_set,
            r#static = staying.r#static,
            finished = staying.finished,
            annotated = staying.annotated,
            returning = staying.returning,
            remarks,
            attached,
            "Node drained"
        ),
        CommandEnd::DrainFailed { message, .. } => {
            let outcome = Outcome::from(end).as_str();
            tracing::warn!(%node, error = message, outcome, "Drain ended without success");
        }
        CommandEnd::Uncordoned { left_unschedulable } => {
            tracing::info!(%node, left_unschedulable, "Node does not carry our cordon");
        }
        CommandEnd::UncordonFailed { message } => {
            tracing::error!(%node, message, "Node could not be uncordoned, trying again");
        }
        CommandEnd::Postponed { reason } => {
            tracing::warn!(%node, error = %reason, "Command postponed");
        }
        CommandEnd::Interrupted => tracing::info!(%node, "Command handed over, since this drainer stops"),
        // Logged when the command is settled: the permit may also be lost after the end.
        CommandEnd::PermitLost { .. } => (),
    }
}

fn verdict_of(end: &CommandEnd) -> Verdict {
    match end {
        CommandEnd::Drained { .. }
        | CommandEnd::DrainFailed { .. }
        | CommandEnd::Uncordoned { .. }
        | CommandEnd::PermitLost { .. } => Verdict::Ack,
        CommandEnd::UncordonFailed { .. } => Verdict::RetryAfter(AGAIN),
        CommandEnd::Interrupted => Verdict::RetryAfter(Duration::ZERO),
        CommandEnd::Postponed { reason } => verdict_after(reason),
    }
}

fn verdict_after(refusal: &Refusal) -> Verdict {
    match refusal {
        Refusal::Stale(_) => Verdict::Ack,
        Refusal::Behind(_) => Verdict::RetryAfter(RECORD_LAG),
        Refusal::Unreadable(_) | Refusal::Malformed(_) => Verdict::RetryAfter(READ_AGAIN),
    }
}

/// One span per command. Fields that are not known yet are recorded when the command ends.
fn span_of(command: &Command) -> Span {
    let attempt = &command.attempt;
    match command.task {
        Task::Drain { .. } => tracing::info_span!(
            span::DRAIN_NODE,
            { attribute::NODE } = %attempt.node,
            { attribute::ATTEMPT } = %attempt.attempt,
            { attribute::PODS_GONE } = tracing::field::Empty,
            { attribute::OUTCOME } = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        ),
        Task::Uncordon => tracing::info_span!(
            span::UNCORDON_NODE,
            { attribute::NODE } = %attempt.node,
            { attribute::ATTEMPT } = %attempt.attempt,
            { attribute::OUTCOME } = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        ),
    }
}

fn close(span: &Span, outcome: Outcome, end: &CommandEnd) {
    if let CommandEnd::Drained { pods_gone, .. } = end {
        span.record(attribute::PODS_GONE, pods_gone);
    }
    span.record(attribute::OUTCOME, outcome.as_str());
    if outcome.is_failure() {
        span.record("otel.status_code", "ERROR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::{AttemptId, AttemptRef, Generation};

    #[test]
    fn the_right_to_delete_pods_is_missing_only_a_minute_after_the_command() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let missing = |second| settled(false, at(100), at(second));
        assert_eq!((missing(100), missing(159)), (None, None), "the command comes again");
        assert_eq!((missing(160), missing(1000)), (Some(false), Some(false)));
        assert_eq!(missing(40), None, "a clock that was set back");
        assert_eq!(
            settled(true, at(100), at(100)),
            Some(true),
            "a right that is there is there"
        );
    }

    #[test]
    fn a_command_is_in_progress_once_at_a_time() {
        let node_uid = "u".parse().unwrap();
        let command = Command {
            attempt: AttemptRef {
                node: "n1".parse().unwrap(),
                attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
                node_uid,
                generation: Generation(3),
            },
            task: Task::Uncordon,
        };
        let in_progress = InProgress::default();
        let first = Claim::take(&in_progress, &command);
        assert!(first.is_some());
        assert!(Claim::take(&in_progress, &command).is_none());
        drop(first);
        assert!(Claim::take(&in_progress, &command).is_some());
    }
}

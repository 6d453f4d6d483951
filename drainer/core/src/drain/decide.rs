//! The next action of a drain, read from its facts.

use std::time::Duration;

use bellwether_proto::{AttemptRef, Blocker, BlockerKind, DrainFailure, DrainProgress, DrainReport, Fact};
use jiff::Timestamp;

use super::detach::Awaited;
use super::progress::Due;
use super::proof::{self, Stage as ProofStage};
use super::state::{Drain, Forbidden, Stage};
use crate::action::{Action, CommandEnd, Notice};
use crate::backoff::after;
use crate::cordon::{Cordon, cordon_of, cordon_patch};
use crate::edit::{Change, EditFault, EditPoll, NodeEdit};
use crate::fault::ApiFault;
use crate::marks::MarkPatch;
use crate::node::NodeView;
use crate::plan::{QUIET_MAX, Step, Suspension, of_long_graces, seconds};
use crate::pod::NodePod;
use crate::timers::Timer;

/// How long evictions are suspended when the record does not authorise them: the time in which a NATS
/// server elects a leader.
const UNAUTHORISED_WAIT: Duration = Duration::from_secs(2);

/// How the node's cordon looks to a drain that wants to set it.
enum Wanted {
    Cordoned,
    Failure(DrainFailure, String),
}

impl Drain {
    /// Looks at all facts, and queues the actions that follow.
    pub(super) fn decide(&mut self, now: Timestamp) {
        self.timers.clear();
        if now >= self.not_after {
            self.time_over(now);
            return;
        }
        self.has_begun = true;
        self.timers.set(Timer::NotAfter, self.not_after);
        match &self.stage {
            Stage::Cordoning(_) => self.decide_cordon(now),
            Stage::Emptying => self.decide_pods(now),
            Stage::Announcing(_) | Stage::Ended => (),
        }
        if matches!(self.stage, Stage::Ended) {
            return;
        }
        if let Some(id) = self.permit.poll_read(now, &mut self.ids) {
            self.actions.push_back(Action::ReadRecord(id));
        }
        if let Some(at) = self.permit.next_read_at() {
            self.timers.set(Timer::Record, at);
        }
    }

    fn decide_cordon(&mut self, now: Timestamp) {
        let Stage::Cordoning(edit) = &mut self.stage else {
            return;
        };
        let (attempt, leaves) = (&self.attempt, self.load_balancers.are_left());
        let marks = self.mark_tries.marks(|| self.marks.clone());
        let decide = |node: Option<&NodeView>| change_of(node, attempt, leaves, &marks);
        let polled = edit.poll(now, &mut self.permit, &mut self.ids, &mut self.spread, decide);
        if let Some(at) = edit.next_try_at() {
            self.timers.set(Timer::NodeEdit, at);
        }
        match polled {
            EditPoll::Waiting => (),
            EditPoll::Act(action) => self.actions.push_back(action),
            EditPoll::Done(Wanted::Cordoned) => {
                self.forbidden.reset(&Forbidden::Cordon);
                self.cordoned(now);
            }
            EditPoll::Done(Wanted::Failure(failure, message)) => self.fail(now, failure, message),
            EditPoll::Failed(EditFault::Api(ApiFault::Forbidden(reason)))
                if self.forbidden.is_over(now, Forbidden::Cordon) =>
            {
                self.fail(now, DrainFailure::Forbidden, reason);
            }
            EditPoll::Failed(fault) => {
                // A record that does not authorise the patch is no answer about the right to it.
                let is_answer = matches!(&fault, EditFault::Api(fault) if !matches!(fault, ApiFault::Forbidden(_)));
                if is_answer {
                    self.forbidden.reset(&Forbidden::Cordon);
                }
                let notice = Notice::NodeEditFailed(fault.to_string());
                self.actions.push_back(Action::Log(notice));
            }
        }
    }

    /// The node carries our cordon.
    fn cordoned(&mut self, now: Timestamp) {
        self.proof.restart(now);
        self.load_balancers.cordoned(now);
        if self.is_announced {
            // Pods may have come while the node was schedulable: what is known of them is void (D9).
            self.inventory.mark_incomplete();
            self.plan.cordoned_again();
            self.stage = Stage::Emptying;
            self.actions.push_back(Action::WatchPods);
        } else {
            let id = self.ids.next();
            self.stage = Stage::Announcing(id);
            self.actions.push_back(Action::StoreFact(id, Fact::Cordoned));
        }
    }

    fn decide_pods(&mut self, now: Timestamp) {
        if let Some(cordon) = self.lost_cordon.take() {
            self.cordon_lost(now, cordon);
            return;
        }
        let mut step = self.step(now);
        if let Some(at) = step.look_again {
            self.timers.set(Timer::Plan, at);
        }
        self.decide_proof(now, &mut step);
        if !matches!(self.stage, Stage::Emptying) {
            return;
        }
        let passages = self.plan.passages().take().into_iter().map(Action::Trace);
        self.actions.extend(passages);
        self.decide_evictions(now, &step);
        // Also before the first look has succeeded: the fault of a watch has to be known.
        if self.inventory.is_complete() || !self.watch_faults.is_empty() {
            self.decide_progress(now, step);
        }
        if let Some(suspension) = &self.unauthorised {
            self.timers.set(Timer::Suspension, suspension.until);
        }
    }

    /// Ends the drain of a node that is gone or cordoned by another owner, and cordons any other node again.
    fn cordon_lost(&mut self, now: Timestamp, cordon: Cordon) {
        match cordon {
            Cordon::NodeGone(reason) => self.fail(now, DrainFailure::NodeGone, reason),
            Cordon::Foreign(reason) => self.fail(now, DrainFailure::ForeignCordon, reason),
            Cordon::None | Cordon::Ours => {
                self.batch = None;
                self.stage = Stage::Cordoning(NodeEdit::new());
                self.actions.push_back(Action::Log(Notice::CordonedAgain));
            }
        }
    }

    fn step(&mut self, now: Timestamp) -> Step {
        self.unauthorised.take_if(|suspension| suspension.until <= now);
        let throttled = self.throttled_until.filter(|until| *until <= after(now, QUIET_MAX));
        let throttled = throttled.map(|until| Suspension {
            until,
            reason: "the API server is busy and asked for fewer requests".to_owned(),
        });
        // Without its kubelet nothing ends, and no end is confirmed (D45). The watch of the node ends the wait.
        let not_ready = self.not_ready.as_ref().map(|reason| Suspension {
            until: self.not_after,
            reason: format!(
                "node {} is not Ready ({reason}): its kubelet ends no pod, and evictions pause until it is",
                self.attempt.node
            ),
        });
        let leaving = self.load_balancers.leaving(now);
        let suspensions = [self.unauthorised.clone(), throttled, not_ready.clone(), leaving];
        let longest = suspensions
            .into_iter()
            .flatten()
            .max_by_key(|suspension| suspension.until);
        let pods = self.inventory.pods();
        self.detach.note(&pods);
        let mut step = self.plan.step(now, &pods, longest.as_ref());
        let of_graces = of_long_graces(&pods, now, self.not_after);
        step.held_up_by.extend(of_graces);
        if let Some(Suspension { reason, .. }) = not_ready.filter(|_| step.pods_left > 0)
            && !step.held_up_by.contains(&reason)
        {
            step.held_up_by.insert(0, reason);
        }
        if !self.watch_faults.is_empty() {
            step.held_up_by.splice(0..0, self.watch_faults.values().cloned());
            step.blockers.insert(0, Blocker::of(BlockerKind::Look, 0));
        }
        step
    }

    fn decide_proof(&mut self, now: Timestamp, step: &mut Step) {
        let is_empty = self.inventory.is_complete() && step.pods_left == 0;
        if !is_empty {
            self.detach.restart();
            // A pod came while the proof was under way.
            if self.proof.stage != ProofStage::Idle {
                self.proof.fail(now);
            }
            return;
        }
        // Also of a node without pods that go: a pod of a DaemonSet may be what the load balancers use.
        if let Some(leaving) = self.load_balancers.leaving(now) {
            self.timers.set(Timer::Proof, leaving.until);
            step.held_up_by.push(leaving.reason);
            step.blockers.push(Blocker::of(BlockerKind::Rest, 0));
            return;
        }
        let attached = match self.poll_detach(now) {
            Awaited::Over(sentence) => sentence,
            Awaited::Until(until, sentence) if self.proof.stage == ProofStage::Idle => {
                self.timers.set(Timer::Detach, until);
                step.held_up_by.push(sentence);
                step.blockers.push(Blocker::of(BlockerKind::Volume, 0));
                return;
            }
            // A proof that has begun continues: the volume came, or a look at it failed, since.
            Awaited::Until(_, sentence) => sentence,
        };
        match self.proof.stage.clone() {
            ProofStage::Idle if now < self.proof.not_before() => {
                self.timers.set(Timer::Proof, self.proof.not_before());
            }
            // The answer of the list under way leads here again.
            ProofStage::Idle if !self.proof.may_list() => (),
            ProofStage::Idle => {
                let id = self.ids.next();
                self.proof.list_begins(id);
                self.actions.push_back(Action::ListPods(id));
            }
            ProofStage::Listed(staying) => {
                let id = self.ids.next();
                self.proof.stage = ProofStage::ReadingNode(id, staying);
                self.actions.push_back(Action::ReadNode(id));
            }
            ProofStage::Listing(_) | ProofStage::ReadingNode(..) => (),
            ProofStage::Authorising(ticket, staying) => match self.permit.result(ticket) {
                None => (),
                Some(Ok(())) => {
                    let report = DrainReport {
                        pods_gone: step.pods_gone,
                        staying,
                        ..self.report(now, &[])
                    };
                    self.finish(CommandEnd::Drained {
                        pods_gone: step.pods_gone,
                        staying,
                        remarks: step.remarks.clone(),
                        attached,
                        report: Box::new(report),
                    });
                }
                Some(Err(refusal)) => {
                    let notice = Notice::Unconfirmed(refusal.to_string());
                    self.actions.push_back(Action::Log(notice));
                    self.proof.fail(now);
                    self.timers.set(Timer::Proof, self.proof.not_before());
                }
            },
        }
    }

    /// Whether the volumes of the node, on which no pod that has to go is left, let the drain end.
    fn poll_detach(&mut self, now: Timestamp) -> Awaited {
        let pods = self.inventory.pods().into_iter();
        let pods: Vec<NodePod> = pods.map(|pod| self.plan.classify(pod)).collect();
        self.detach.poll(now, self.not_after, &pods)
    }

    /// Evicts and deletes one batch, if a read of the record that begins from now on authorises it.
    fn decide_evictions(&mut self, now: Timestamp, step: &Step) {
        if step.evict.is_empty() && step.delete.is_empty() {
            self.batch = None;
            return;
        }
        let permit = &mut self.permit;
        let ticket = *self.batch.get_or_insert_with(|| permit.want());
        let Some(result) = self.permit.result_for_evictions(ticket, now) else {
            return;
        };
        self.batch = None;
        match result {
            Ok(()) => {
                for pod in &step.evict {
                    let turn = self.plan.started(&pod.uid);
                    self.actions.push_back(Action::Evict(pod.clone(), turn));
                }
                for pod in &step.delete {
                    self.plan.deletion_started(pod);
                    self.actions.push_back(Action::Delete(pod.clone()));
                }
            }
            Err(refusal) => {
                let reason = refusal.to_string();
                self.actions
                    .push_back(Action::Log(Notice::EvictionsSuspended(reason.clone())));
                self.unauthorised = Some(Suspension {
                    until: after(now, UNAUTHORISED_WAIT),
                    reason,
                });
            }
        }
    }

    fn decide_progress(&mut self, now: Timestamp, step: Step) {
        let state = DrainProgress {
            pods_left: step.pods_left,
            pods_gone: step.pods_gone,
            held_up_by: step.held_up_by,
            blockers: step.blockers,
        };
        match self.progress.poll(now, state) {
            Due::Nothing => (),
            Due::Now(progress) => self.actions.push_back(Action::SendProgress(progress)),
            Due::At(at) => self.timers.set(Timer::Progress, at),
        }
    }

    /// Ends the drain with what kept it from its end.
    fn time_over(&mut self, now: Timestamp) {
        let is_emptying = matches!(self.stage, Stage::Emptying) && self.has_begun;
        let step = is_emptying.then(|| self.step(now));
        let message = match &step {
            Some(step) => unfinished(step),
            None => self.time_over_before_evictions(now),
        };
        let obstacle = step.and_then(|step| step.obstacle);
        let report = self.failure_report(now);
        self.finish(CommandEnd::DrainFailed {
            failure: DrainFailure::Timeout,
            message,
            obstacle,
            report,
        });
    }

    /// What a drain has met that failed; none before its evictions could begin.
    pub(super) fn failure_report(&mut self, now: Timestamp) -> Option<Box<DrainReport>> {
        let has_met_pods = self.has_begun && self.is_announced;
        let pods: Vec<NodePod> = self
            .inventory
            .pods()
            .into_iter()
            .map(|pod| self.plan.classify(pod))
            .collect();
        has_met_pods.then(|| Box::new(self.report(now, &pods)))
    }

    /// What the drain has met, given with the pods that are there.
    fn report(&mut self, now: Timestamp, pods: &[NodePod]) -> DrainReport {
        let took = Duration::try_from(now.duration_since(self.began_at)).unwrap_or_default();
        let left = pods.iter().filter(|pod| pod.has_to_go()).count();
        DrainReport {
            seconds: seconds(took),
            pods_left: u32::try_from(left).unwrap_or(u32::MAX),
            staying: proof::staying(pods),
            ..self.plan.report(now)
        }
    }

    fn time_over_before_evictions(&self, now: Timestamp) -> String {
        if !self.has_begun {
            // Both times: an operator sees whether the drainer came late, or the clock of its machine is wrong.
            return format!(
                "the time for the drain was over before a drainer could start or resume it: it ends at {:.0}, and for the \
                 drainer it is {now:.0}",
                self.not_after
            );
        }
        let node = &self.attempt.node;
        match self.stage {
            Stage::Cordoning(_) => {
                format!("node {node} could not be cordoned in time: the API server or NATS could not be reached")
            }
            Stage::Announcing(_) | Stage::Emptying | Stage::Ended => {
                format!("node {node} was cordoned, but NATS did not store that in time")
            }
        }
    }
}

fn change_of(
    node: Option<&NodeView>,
    attempt: &AttemptRef,
    leaves_load_balancers: bool,
    marks: &MarkPatch,
) -> Change<Wanted> {
    match (cordon_of(node, attempt), node) {
        (Cordon::Ours, _) => Change::Done(Wanted::Cordoned),
        (Cordon::NodeGone(reason), _) => Change::Done(Wanted::Failure(DrainFailure::NodeGone, reason)),
        (Cordon::Foreign(reason), _) => Change::Done(Wanted::Failure(DrainFailure::ForeignCordon, reason)),
        (Cordon::None, Some(node)) => {
            let patch = cordon_patch(node, attempt, leaves_load_balancers, marks.clone());
            Change::Patch(patch)
        }
        (Cordon::None, None) => {
            let reason = format!("node {} does not exist", attempt.node);
            Change::Done(Wanted::Failure(DrainFailure::NodeGone, reason))
        }
    }
}

/// Pods that were left, and their blockers.
fn unfinished(step: &Step) -> String {
    let blockers = if step.held_up_by.is_empty() {
        "no blocker is known".to_owned()
    } else {
        step.held_up_by.join("; ")
    };
    format!(
        "the time was over with {} pods gone and {} still there: {blockers}",
        step.pods_gone, step.pods_left
    )
}

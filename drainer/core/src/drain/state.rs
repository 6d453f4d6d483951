//! The facts of one drain, and how they come in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bellwether_proto::{AttemptRef, DrainFailure, DrainTerms};
use jiff::Timestamp;

use super::detach::Detach;
use super::load_balancers::LoadBalancers;
use super::progress::Progress;
use super::proof::{Proof, Stage as ProofStage};
use crate::action::{Action, CommandEnd, HeldBack};
use crate::answer::Answer;
use crate::backoff::{Spread, after};
use crate::budget::Budgets;
use crate::command::{Command, Task};
use crate::cordon::{Cordon, cordon_of};
use crate::edit::NodeEdit;
use crate::fault::ApiFault;
use crate::grace::ForbiddenGrace;
use crate::machine::Machine;
use crate::marks::{MarkPatch, MarkTries, NodeMarks};
use crate::namespace::NamespaceOwners;
use crate::node::{NodePatched, NodeRead, NodeView, NodeWatch};
use crate::permit::{Permit, RecordView, Ticket};
use crate::plan::deadline::Deadline;
use crate::plan::passage::Passage;
use crate::plan::{Plan, Suspension, quiet};
use crate::pod::{DaemonSetKinds, Inventory, NodePod, PodView};
use crate::request::{RequestId, RequestIds};
use crate::stateful_set::StatefulSets;
use crate::terms::detach_wait;
use crate::timers::Timers;
use crate::volume::Attached;
use crate::watched::{Looked, WatchTarget, Watched};

/// Where a drain is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The node does not carry our cordon yet, or lost it.
    Cordoning(NodeEdit),
    /// The node carries our cordon; the event about that is not stored yet.
    Announcing(RequestId),
    /// The pods are being evicted.
    Emptying,
    /// The drain has ended.
    Ended,
}

/// A thing that the API server may forbid to a drain, each with a grace of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Forbidden {
    /// To read or patch the node for its cordon.
    Cordon,
    /// To read the node, for the proof.
    NodeRead,
    /// To list the pods, for the proof.
    PodsList,
    /// To watch.
    Watch(WatchTarget),
    /// To evict the pod with this UID.
    Eviction(String),
}

/// The settings of the drainer that its drains heed.
#[derive(Debug, Clone)]
pub struct DrainSettings {
    /// How many evictions of one node await their answer at once.
    pub evictions_in_flight_max: usize,
    /// The kinds of controllers whose pods stay on the node.
    pub daemon_sets: DaemonSetKinds,
    /// What operators want on a node with its cordon.
    pub marks: NodeMarks,
}

/// The order to drain one node.
#[derive(Debug, Clone)]
pub struct DrainOrder {
    /// The attempt that the drain belongs to.
    pub attempt: AttemptRef,
    /// When the attempt began to drain its node, by its record.
    pub began_at: Timestamp,
    /// When the drain must have ended.
    pub not_after: Timestamp,
    /// How the node is drained, by the attempt's record.
    pub terms: DrainTerms,
}

/// A drain under way.
#[derive(Debug)]
pub struct Drain {
    pub(super) attempt: AttemptRef,
    /// What operators want on the node with its cordon.
    pub(super) marks: MarkPatch,
    pub(super) mark_tries: MarkTries,
    pub(super) not_after: Timestamp,
    pub(super) began_at: Timestamp,
    pub(super) stage: Stage,
    pub(super) permit: Permit,
    /// The event about the cordon is stored: it is not published again after a second cordon.
    pub(super) is_announced: bool,
    pub(super) node_watch: NodeWatch,
    /// The newest cordon of the node that was observed and is not ours, until a decision considers it. A later
    /// state with our cordon does not replace it: pods may have come between (D9).
    pub(super) lost_cordon: Option<Cordon>,
    /// Why the node is not Ready, as it was observed last.
    pub(super) not_ready: Option<String>,
    pub(super) inventory: Inventory,
    pub(super) plan: Plan,
    pub(super) proof: Proof,
    pub(super) load_balancers: LoadBalancers,
    pub(super) detach: Detach,
    pub(super) progress: Progress,
    /// The read of the record that has to authorise the next batch of evictions.
    pub(super) batch: Option<Ticket>,
    /// Set while the record does not authorise evictions.
    pub(super) unauthorised: Option<Suspension>,
    /// The API server asked the drainer for quiet until this instant.
    pub(super) throttled_until: Option<Timestamp>,
    /// So often in a row the API server was busy.
    pub(super) busy_in_a_row: u32,
    /// Why the cluster cannot be watched at present, for operators.
    pub(super) watch_faults: BTreeMap<WatchTarget, String>,
    /// Has at most four entries besides those of the node's pods.
    pub(super) forbidden: ForbiddenGrace<Forbidden>,
    pub(super) ids: RequestIds,
    pub(super) spread: Spread,
    pub(super) timers: Timers,
    pub(super) actions: VecDeque<Action>,
    /// The drain has decided at least once.
    pub(super) has_begun: bool,
}

impl Drain {
    /// Begins a drain that a read of the record begun at `now` authorised.
    #[must_use]
    pub fn new(order: DrainOrder, settings: DrainSettings, now: Timestamp) -> Self {
        let DrainOrder {
            attempt,
            began_at,
            not_after,
            terms,
        } = order;
        let DrainSettings {
            evictions_in_flight_max,
            daemon_sets,
            marks,
        } = settings;
        let command = Command {
            attempt: attempt.clone(),
            task: Task::Drain { not_after },
        };
        Self {
            not_after,
            began_at: now,
            marks: marks.set(began_at),
            mark_tries: MarkTries::default(),
            stage: Stage::Cordoning(NodeEdit::new()),
            permit: Permit::new(command, now),
            is_announced: false,
            node_watch: NodeWatch::default(),
            lost_cordon: None,
            not_ready: None,
            inventory: Inventory::new(attempt.node.to_string(), daemon_sets),
            plan: Plan::new(evictions_in_flight_max)
                .ending_by(Deadline::of(&terms, began_at, not_after))
                .ordered(terms),
            proof: Proof::since_cordon(now),
            load_balancers: LoadBalancers::new(terms.load_balancer_wait),
            detach: Detach::new(detach_wait(&terms)),
            progress: Progress::new(),
            batch: None,
            unauthorised: None,
            throttled_until: None,
            busy_in_a_row: 0,
            watch_faults: BTreeMap::new(),
            forbidden: ForbiddenGrace::default(),
            ids: RequestIds::default(),
            spread: Spread::seeded_by(&attempt.attempt.to_string()),
            timers: Timers::default(),
            actions: VecDeque::new(),
            has_begun: false,
            attempt,
        }
    }

    /// Ends the drain. Actions that were decided before and not yet taken are void.
    pub(super) fn finish(&mut self, end: CommandEnd) {
        if matches!(self.stage, Stage::Ended) {
            return;
        }
        self.stage = Stage::Ended;
        self.timers.clear();
        self.actions.clear();
        let passages = self.plan.passages().end().into_iter().map(Action::Trace);
        self.actions.extend(passages);
        self.actions.push_back(Action::Finish(end));
    }

    pub(super) fn fail(&mut self, now: Timestamp, failure: DrainFailure, message: String) {
        let report = self.failure_report(now);
        self.finish(CommandEnd::DrainFailed {
            failure,
            message,
            obstacle: None,
            report,
        });
    }

    /// Remembers whether the node is Ready, and a state of the node without our cordon. A failed read shows nothing.
    fn observe_node(&mut self, node: &NodeRead) {
        let view = match node {
            NodeRead::Found(view) => Some(view),
            NodeRead::Absent => None,
            NodeRead::Failed(_) => return,
        };
        self.not_ready = view.and_then(|view| view.not_ready.clone());
        let cordon = cordon_of(view, &self.attempt);
        if cordon != Cordon::Ours {
            self.lost_cordon = Some(cordon);
        }
    }

    /// The watch works: its last fault is over.
    fn watch_works(&mut self, target: WatchTarget) {
        self.watch_faults.remove(&target);
        self.forbidden.reset(&Forbidden::Watch(target));
    }

    /// Takes in why the cluster cannot be looked at, and ends the drain if that is a missing right.
    fn look_failed(&mut self, now: Timestamp, thing: Forbidden, target: WatchTarget, fault: &ApiFault) {
        if let ApiFault::Forbidden(reason) = fault {
            if self.forbidden.is_over(now, thing) {
                self.fail(now, DrainFailure::Forbidden, reason.clone());
                return;
            }
        } else {
            self.forbidden.reset(&thing);
        }
        // Nothing is assumed about the cluster: the drain waits until it can be looked at again.
        let sentence = format!("{} cannot be watched: {fault}", target.as_str());
        self.watch_faults.insert(target, sentence);
    }
}

impl Machine for Drain {
    fn handle_record(&mut self, id: RequestId, record: RecordView) {
        if let Some(refusal) = self.permit.handle_record(id, record) {
            self.finish(CommandEnd::PermitLost {
                reason: refusal.to_string(),
            });
        }
    }

    fn handle_record_hint(&mut self) {
        self.permit.handle_hint();
    }

    fn handle_node_read(&mut self, now: Timestamp, id: RequestId, read: NodeRead) {
        if let Stage::Cordoning(edit) = &mut self.stage {
            edit.handle_node_read(id, read);
            return;
        }
        let ProofStage::ReadingNode(awaited, staying) = self.proof.stage else {
            return;
        };
        if awaited != id {
            return;
        }
        if let NodeRead::Failed(fault) = read {
            self.proof.fail(now);
            self.look_failed(now, Forbidden::NodeRead, WatchTarget::Node, &fault);
            return;
        }
        self.forbidden.reset(&Forbidden::NodeRead);
        self.watch_faults.remove(&WatchTarget::Node);
        self.proof.stage = ProofStage::Authorising(self.permit.want(), staying);
        self.observe_node(&read);
    }

    fn handle_node_patched(&mut self, _now: Timestamp, id: RequestId, patched: NodePatched) {
        if let Stage::Cordoning(edit) = &mut self.stage {
            self.mark_tries.note(&patched);
            edit.handle_node_patched(id, patched);
        }
    }

    fn handle_stored(&mut self, id: RequestId) {
        if matches!(self.stage, Stage::Announcing(awaited) if awaited == id) {
            self.is_announced = true;
            self.stage = Stage::Emptying;
            self.actions.push_back(Action::WatchPods);
            self.actions.push_back(Action::WatchNode);
        }
    }

    fn handle_progress_sent(&mut self) {
        self.progress.handle_sent();
    }

    fn handle_node(&mut self, event: Watched<NodeView>) {
        self.watch_works(WatchTarget::Node);
        if let Some(node) = self.node_watch.handle(event) {
            self.observe_node(&node);
        }
    }

    fn handle_pod(&mut self, event: Watched<PodView>) {
        self.watch_works(WatchTarget::Pods);
        self.inventory.handle(&event);
    }

    fn handle_budgets(&mut self, budgets: Option<Arc<Budgets>>) {
        self.plan.handle_budgets(budgets);
    }

    fn handle_attached(&mut self, attached: Looked<Vec<Attached>>) {
        self.plan.handle_attached(attached.clone());
        self.detach.handle(attached);
    }

    fn handle_sets(&mut self, sets: Looked<Arc<StatefulSets>>) {
        self.plan.handle_sets(sets);
    }

    fn handle_owners(&mut self, owners: Arc<NamespaceOwners>) {
        self.plan.handle_owners(owners);
    }

    fn handle_watch_failed(&mut self, now: Timestamp, target: WatchTarget, fault: ApiFault) {
        self.look_failed(now, Forbidden::Watch(target), target, &fault);
    }

    fn handle_pods_listed(&mut self, now: Timestamp, id: RequestId, pods: Result<Vec<PodView>, ApiFault>) {
        self.proof.list_answered(id);
        let is_awaited = self.proof.stage == ProofStage::Listing(id);
        match pods {
            Ok(pods) => {
                self.forbidden.reset(&Forbidden::PodsList);
                self.watch_faults.remove(&WatchTarget::Pods);
                let pods = pods.iter().filter_map(|pod| self.inventory.classify(pod));
                let pods: Vec<NodePod> = pods.map(|pod| self.plan.classify(pod)).collect();
                // Also the list of a proof that has failed meanwhile: the next proof has a list of its own.
                let gone = self.plan.listed(&pods);
                self.inventory.remove(gone);
                if is_awaited {
                    let left = self.proof.handle_list(now, &pods);
                    self.inventory.add(left);
                }
            }
            Err(fault) if is_awaited => {
                self.proof.fail(now);
                self.look_failed(now, Forbidden::PodsList, WatchTarget::Pods, &fault);
            }
            Err(_) => (),
        }
    }

    fn handle_answer(&mut self, now: Timestamp, uid: &str, answer: Answer) {
        let thing = Forbidden::Eviction(uid.to_owned());
        let answer = if let Answer::Forbidden(reason) = answer {
            if self.forbidden.is_over(now, thing) {
                self.fail(now, DrainFailure::Forbidden, reason);
                return;
            }
            Answer::Failed(reason)
        } else {
            self.forbidden.reset(&thing);
            answer
        };
        if let Answer::Throttled(asked) = answer {
            // The answers to evictions that were sent before this quiet are the same news.
            if self.throttled_until.is_none_or(|until| until <= now) {
                self.busy_in_a_row = self.busy_in_a_row.saturating_add(1);
            }
            let until = after(now, self.spread.lengthen(quiet(asked, self.busy_in_a_row)));
            self.handle_throttle(until);
            self.actions.push_back(Action::Throttle(until));
        } else {
            self.busy_in_a_row = 0;
        }
        self.plan.answered(now, uid, answer, |wait| self.spread.vary(wait));
    }

    fn handle_held_back(&mut self, now: Timestamp, uid: &str, why: HeldBack) {
        self.plan.held_back(now, uid, why);
    }

    fn handle_places(&mut self, free: usize) {
        self.plan.handle_places(free);
    }

    fn lacks_places(&self) -> bool {
        self.plan.lacks_places()
    }

    fn handle_throttle(&mut self, until: Timestamp) {
        self.throttled_until = self.throttled_until.max(Some(until));
    }

    fn interrupt(&mut self) -> Vec<Passage> {
        self.plan.passages().end()
    }

    fn poll_action(&mut self, now: Timestamp) -> Option<Action> {
        // A decision without a new fact finds nothing to do, so no memory of what has changed is needed.
        if self.actions.is_empty() {
            self.decide(now);
        }
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.earliest()
    }
}

//! A cluster and a bus in memory, whose clock the test moves.
//!
//! A request takes effect when the machine asks for it; its answer is delivered when the test says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bellwether_drainer_core::{
    Action, Answer, ApiFault, CommandEnd, DaemonSetKinds, Drain, DrainOrder, DrainSettings, Machine, NodeMarks,
    NodePatched, NodeRead, NodeView, Notice, PodView, RecordView, RequestId, WatchTarget, Watched,
};
use bellwether_proto::mark::CORDONED_FOR;
use bellwether_proto::{AfterTimeout, Attempt, DrainProgress, DrainTerms, Fact, Phase};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(crate) use crate::samples::{at, attempt, has_to_go, pod, staying};

/// An answer on its way to the machine.
#[derive(Debug)]
pub(crate) enum Response {
    Record(RequestId, RecordView),
    NodeRead(RequestId, NodeRead),
    NodePatched(RequestId, NodePatched),
    PodsListed(RequestId, Result<Vec<PodView>, ApiFault>),
    Stored(RequestId),
    ProgressSent,
    Evicted(String, Answer),
    Pod(Watched<PodView>),
    Node(Watched<NodeView>),
}

/// How often one instant may poll a machine. A machine that asks for more never waits: its driver would spin.
const POLLS_MAX: u32 = 10_000;

/// The world around one machine.
pub(crate) struct World<M> {
    pub(crate) machine: M,
    pub(crate) now: Timestamp,
    // The cluster.
    pub(crate) node: Option<NodeView>,
    pub(crate) pods: BTreeMap<String, PodView>,
    pub(crate) api_fault: Option<ApiFault>,
    pub(crate) eviction_answer: Answer,
    /// The answers to evictions of these pods, by UID, instead of that one.
    pub(crate) eviction_answers: BTreeMap<String, Answer>,
    /// The watch of the pods never shows anything.
    pub(crate) is_blind: bool,
    watches_pods: bool,
    watches_node: bool,
    // The bus.
    pub(crate) phase: Phase,
    pub(crate) nats_answers: bool,
    /// An admission webhook keeps the node as it is.
    pub(crate) patches_are_undone: bool,
    /// So the API server answers a patch with labels.
    pub(crate) label_fault: Option<ApiFault>,
    // Answers in their order; those of one watch keep it.
    pub(crate) responses: VecDeque<Response>,
    // The machine's actions.
    pub(crate) evicted: Vec<String>,
    /// The evictions among these that the API server accepted.
    pub(crate) accepted: Vec<String>,
    /// The pods that were to be deleted whatever their budgets say.
    pub(crate) deleted: Vec<String>,
    /// An admission policy denies the deletion of pods.
    pub(crate) refuses_deletions: bool,
    /// The terms of the drain have pods deleted at its end.
    pub(crate) forces: bool,
    pub(crate) patches: u32,
    pub(crate) lists: u32,
    pub(crate) facts: Vec<Fact>,
    pub(crate) progress: Vec<DrainProgress>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) throttles: Vec<Timestamp>,
    pub(crate) end: Option<(Timestamp, CommandEnd)>,
    // For the invariants.
    /// The pods as the machine knows them from its watch.
    pub(crate) known: BTreeMap<String, PodView>,
    listing: BTreeMap<String, PodView>,
    /// Pods that some consistent list contained.
    found: BTreeSet<String>,
    /// Since when the node carries our cordon.
    pub(crate) cordoned_at: Option<Timestamp>,
    /// When the pods were listed last, and since when the node carried our cordon at its read after that.
    pub(crate) listed_at: Option<Timestamp>,
    pub(crate) cordoned_at_read: Option<Timestamp>,
    /// How many pods that have to go the last list contained; none if the list failed.
    pub(crate) listed_to_go: Option<usize>,
    /// Evictions of pods that the machine did not know as evictable.
    pub(crate) wrong_evictions: Vec<String>,
    /// The phase in the record that the machine learned last.
    pub(crate) known_phase: Option<Phase>,
    /// The instant of the newest poll, and the polls at this instant.
    polled: (Timestamp, u32),
}

impl World<Drain> {
    /// A drain that begins at second 0, on a schedulable node with these pods.
    pub(crate) fn drain(not_after: i64, pods: &[PodView]) -> Self {
        Self::drain_by(AfterTimeout::Restore, not_after, pods)
    }

    /// The same, with this to follow once its time is over.
    pub(crate) fn drain_by(after_timeout: AfterTimeout, not_after: i64, pods: &[PodView]) -> Self {
        let terms = DrainTerms {
            after_timeout,
            ..DrainTerms::default()
        };
        Self::drain_with(terms, not_after, pods)
    }

    /// The same, with these terms.
    pub(crate) fn drain_with(terms: DrainTerms, not_after: i64, pods: &[PodView]) -> Self {
        let settings = DrainSettings {
            evictions_in_flight_max: 10,
            daemon_sets: DaemonSetKinds::default(),
            marks: NodeMarks::default(),
        };
        let order = DrainOrder {
            attempt: attempt(),
            began_at: at(0),
            not_after: at(not_after),
            terms,
        };
        let mut drain = Drain::new(order, settings, at(0));
        drain.handle_attached(Ok(vec![]));
        let mut world = Self::new(drain, Phase::Draining);
        world.forces = terms.after_timeout == AfterTimeout::Force;
        world.pods = pods.iter().map(|pod| (pod.uid.clone(), pod.clone())).collect();
        world
    }
}

impl<M: Machine> World<M> {
    pub(crate) fn new(machine: M, phase: Phase) -> Self {
        Self {
            machine,
            now: at(0),
            node: Some(NodeView {
                uid: "u".to_owned(),
                resource_version: Some("1".to_owned()),
                is_being_deleted: false,
                not_ready: None,
                is_unschedulable: false,
                mark: None,
                guards: Default::default(),
                set_marks: Default::default(),
            }),
            pods: BTreeMap::new(),
            api_fault: None,
            eviction_answer: Answer::Accepted,
            eviction_answers: BTreeMap::new(),
            is_blind: false,
            watches_pods: false,
            watches_node: false,
            phase,
            nats_answers: true,
            patches_are_undone: false,
            label_fault: None,
            responses: VecDeque::new(),
            evicted: Vec::new(),
            accepted: Vec::new(),
            deleted: Vec::new(),
            refuses_deletions: false,
            forces: false,
            patches: 0,
            lists: 0,
            facts: Vec::new(),
            progress: Vec::new(),
            notices: Vec::new(),
            throttles: Vec::new(),
            end: None,
            known: BTreeMap::new(),
            listing: BTreeMap::new(),
            found: BTreeSet::new(),
            cordoned_at: None,
            listed_at: None,
            cordoned_at_read: None,
            listed_to_go: None,
            wrong_evictions: Vec::new(),
            known_phase: None,
            polled: (at(0), 0),
        }
    }

    /// Lets the machine act until it waits, without any answer.
    pub(crate) fn act(&mut self) {
        while self.end.is_none() {
            let Some(action) = self.poll() else {
                let due = self.machine.poll_timeout();
                assert_eq!(self.poll(), None, "without a new fact nothing is left to do");
                assert_eq!(self.machine.poll_timeout(), due);
                return;
            };
            self.carry_out(action);
        }
    }

    fn poll(&mut self) -> Option<Action> {
        let polls = if self.polled.0 == self.now {
            self.polled.1 + 1
        } else {
            0
        };
        assert!(polls < POLLS_MAX, "the machine spins at {}", self.now);
        self.polled = (self.now, polls);
        self.machine.poll_action(self.now)
    }

    /// Delivers all answers, and those that follow from them.
    pub(crate) fn settle(&mut self) {
        self.act();
        while self.end.is_none() && !self.responses.is_empty() {
            self.deliver(0);
        }
    }

    /// Delivers these answers, and those of them that follow; all others stay on their way.
    pub(crate) fn deliver_only(&mut self, is_wanted: impl Fn(&Response) -> bool) {
        while let Some(index) = self.responses.iter().position(&is_wanted) {
            self.deliver(index);
        }
    }

    /// Delivers one answer. Events of watches keep their order.
    pub(crate) fn deliver(&mut self, index: usize) {
        let chosen = index.min(self.responses.len().saturating_sub(1));
        let is_event = |response: &Response| matches!(response, Response::Pod(_) | Response::Node(_));
        let index = match self.responses.get(chosen) {
            Some(response) if is_event(response) => self.responses.iter().position(is_event).unwrap(),
            Some(_) => chosen,
            None => return,
        };
        let response = self.responses.remove(index).unwrap();
        let now = self.now;
        match response {
            Response::Record(id, record) => {
                if let RecordView::Stored(record) = &record {
                    self.known_phase = Some(record.phase);
                }
                self.machine.handle_record(id, record);
            }
            Response::NodeRead(id, read) => self.machine.handle_node_read(now, id, read),
            Response::NodePatched(id, patched) => self.machine.handle_node_patched(now, id, patched),
            Response::PodsListed(id, pods) => {
                let found = pods.iter().flatten().filter(|pod| has_to_go(pod));
                self.found.extend(found.map(|pod| pod.uid.clone()));
                self.machine.handle_pods_listed(now, id, pods);
            }
            Response::Stored(id) => self.machine.handle_stored(id),
            Response::ProgressSent => self.machine.handle_progress_sent(),
            Response::Evicted(uid, answer) => self.machine.handle_answer(now, &uid, answer),
            Response::Pod(event) => {
                self.learn(&event);
                self.machine.handle_pod(event);
            }
            Response::Node(event) => self.machine.handle_node(event),
        }
        self.act();
    }

    /// Moves the clock, and wakes the machine whenever it asks for that.
    pub(crate) fn pass(&mut self, seconds: i64) {
        let target = self.now + SignedDuration::from_secs(seconds);
        self.settle();
        while self.end.is_none() {
            match self.machine.poll_timeout() {
                Some(due) if due <= target => self.now = self.now.max(due),
                Some(_) | None => break,
            }
            self.settle();
        }
        self.now = target;
        self.settle();
    }

    /// Changes a pod, or creates it.
    pub(crate) fn put_pod(&mut self, pod: PodView) {
        self.pods.insert(pod.uid.clone(), pod.clone());
        if self.watches_pods {
            self.responses.push_back(Response::Pod(Watched::Changed(pod)));
        }
    }

    pub(crate) fn remove_pod(&mut self, uid: &str) {
        let Some(pod) = self.pods.remove(uid) else { return };
        if self.watches_pods {
            self.responses.push_back(Response::Pod(Watched::Deleted(pod)));
        }
    }

    /// Changes the node; none deletes it.
    pub(crate) fn change_node(&mut self, change: impl FnOnce(&mut NodeView)) {
        let Some(node) = &mut self.node else { return };
        change(node);
        let version: u64 = node.resource_version.as_ref().unwrap().parse().unwrap();
        node.resource_version = Some((version + 1).to_string());
        let is_ours = node.is_unschedulable && node.mark == Some(attempt().attempt.to_string());
        self.cordoned_at = is_ours.then(|| self.cordoned_at.unwrap_or(self.now));
        let node = node.clone();
        if self.watches_node {
            self.responses.push_back(Response::Node(Watched::Changed(node)));
        }
    }

    pub(crate) fn delete_node(&mut self) {
        let Some(node) = self.node.take() else { return };
        self.cordoned_at = None;
        if self.watches_node {
            self.responses.push_back(Response::Node(Watched::Deleted(node)));
        }
    }

    pub(crate) fn hint(&mut self) {
        self.machine.handle_record_hint();
        self.act();
    }

    pub(crate) fn watch_fails(&mut self, target: WatchTarget, fault: ApiFault) {
        self.machine.handle_watch_failed(self.now, target, fault);
        self.act();
    }

    fn carry_out(&mut self, action: Action) {
        let response = match action {
            Action::ReadRecord(id) => Response::Record(id, self.read_record()),
            Action::ReadNode(id) => {
                self.cordoned_at_read = self.cordoned_at;
                Response::NodeRead(id, self.read_node())
            }
            Action::PatchNode(id, patch) => Response::NodePatched(id, self.patch_node(&patch)),
            Action::StoreFact(id, fact) => {
                self.facts.push(fact);
                Response::Stored(id)
            }
            Action::SendProgress(progress) => {
                let counted: u32 = progress.blockers.iter().map(|blocker| blocker.pods).sum();
                assert_eq!(counted, progress.pods_left, "each pod has one reason: {progress:?}");
                self.progress.push(progress);
                Response::ProgressSent
            }
            Action::WatchNode => {
                self.watches_node = true;
                let listed = self.node.clone().map(Watched::Listed);
                let events = [Some(Watched::ListStarted), listed, Some(Watched::ListEnded)];
                self.responses.extend(events.into_iter().flatten().map(Response::Node));
                return;
            }
            Action::WatchPods if self.is_blind => return,
            Action::WatchPods => {
                self.watches_pods = true;
                self.responses.retain(|response| !matches!(response, Response::Pod(_)));
                self.responses.push_back(Response::Pod(Watched::ListStarted));
                let listed = self.pods.values().cloned().map(Watched::Listed).map(Response::Pod);
                self.responses.extend(listed);
                self.responses.push_back(Response::Pod(Watched::ListEnded));
                return;
            }
            Action::ListPods(id) => {
                self.lists += 1;
                self.listed_at = Some(self.now);
                let to_go = self.pods.values().filter(|pod| has_to_go(pod)).count();
                self.listed_to_go = self.api_fault.is_none().then_some(to_go);
                let pods = self.pods.values().cloned().collect();
                Response::PodsListed(id, self.api_fault.clone().map_or(Ok(pods), Err))
            }
            Action::Evict(pod, _) => {
                self.evicted.push(pod.uid.clone());
                self.check_eviction(&pod.uid);
                let of_pod = self.eviction_answers.get(&pod.uid);
                let answer = of_pod.unwrap_or(&self.eviction_answer).clone();
                if answer == Answer::Accepted {
                    self.accepted.push(pod.uid.clone());
                }
                if answer == Answer::Accepted
                    && let Some(mut view) = self.pods.get(&pod.uid).cloned()
                {
                    view.deletion_at = Some(self.now + SignedDuration::from_secs(30));
                    self.put_pod(view);
                }
                Response::Evicted(pod.uid, answer)
            }
            Action::Delete(pod) => {
                self.deleted.push(pod.uid.clone());
                self.check_eviction(&pod.uid);
                let answer = if self.refuses_deletions {
                    Answer::AdmissionDenied("no".to_owned())
                } else {
                    Answer::Accepted
                };
                if answer == Answer::Accepted
                    && let Some(mut view) = self.pods.get(&pod.uid).cloned()
                {
                    view.deletion_at = Some(self.now + SignedDuration::from_secs(30));
                    self.put_pod(view);
                }
                Response::Evicted(pod.uid, answer)
            }
            Action::Throttle(until) => return self.throttles.push(until),
            Action::Trace(_) => return,
            Action::Log(notice) => return self.notices.push(notice),
            Action::Finish(end) => {
                self.end = Some((self.now, end));
                return;
            }
        };
        self.responses.push_back(response);
    }

    fn check_eviction(&mut self, uid: &str) {
        let is_evictable = |pod: &PodView| has_to_go(pod) && pod.deletion_at.is_none();
        // A list outside of the watch also makes a pod known.
        let is_known = self.known.get(uid).is_some_and(is_evictable) || self.found.contains(uid);
        if !is_known {
            self.wrong_evictions.push(uid.to_owned());
        }
    }

    fn read_record(&self) -> RecordView {
        if !self.nats_answers {
            return RecordView::Unreadable("no answer from NATS".to_owned());
        }
        RecordView::Stored(Box::new(record(self.phase)))
    }

    fn read_node(&self) -> NodeRead {
        match (&self.api_fault, &self.node) {
            (Some(fault), _) => NodeRead::Failed(fault.clone()),
            (None, Some(node)) => NodeRead::Found(node.clone()),
            (None, None) => NodeRead::Absent,
        }
    }

    fn patch_node(&mut self, patch: &Value) -> NodePatched {
        let has_labels = patch.pointer("/metadata/labels").is_some();
        if let Some(fault) = self.label_fault.as_ref().filter(|_| has_labels) {
            return NodePatched::Failed(fault.clone());
        }
        if let Some(fault) = &self.api_fault {
            return NodePatched::Failed(fault.clone());
        }
        let version = self.node.as_ref().and_then(|node| node.resource_version.as_deref());
        if version.is_none() || version != patch["metadata"]["resourceVersion"].as_str() {
            return NodePatched::Changed;
        }
        self.patches += 1;
        if self.patches_are_undone {
            return NodePatched::Written(self.node.clone().unwrap());
        }
        self.change_node(|node| {
            node.mark = patch["metadata"]["annotations"][CORDONED_FOR]
                .as_str()
                .map(str::to_owned);
            if patch.get("spec").is_some() {
                node.is_unschedulable = patch["spec"]["unschedulable"].as_bool().unwrap_or(false);
            }
        });
        NodePatched::Written(self.node.clone().unwrap())
    }

    /// Follows the pods as the machine does.
    fn learn(&mut self, event: &Watched<PodView>) {
        match event {
            Watched::ListStarted => self.listing.clear(),
            Watched::Listed(pod) => {
                self.listing.insert(pod.uid.clone(), pod.clone());
            }
            Watched::ListEnded => self.known = std::mem::take(&mut self.listing),
            Watched::Changed(pod) => {
                self.known.insert(pod.uid.clone(), pod.clone());
            }
            Watched::Deleted(pod) => {
                self.known.remove(&pod.uid);
            }
        }
    }
}

fn record(phase: Phase) -> Attempt {
    let (boot, trace) = ("b", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let since = Timestamp::UNIX_EPOCH;
    Attempt {
        phase,
        ..Attempt::new(attempt(), boot.parse().unwrap(), since, trace.parse().unwrap())
    }
}

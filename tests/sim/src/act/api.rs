//! The API server: changes of Node and Pod objects, and who hears of them.

use bellwether_drainer_core::{Answer, ApiFault, NodePatched, RequestId, Watched};
use bellwether_proto::mark::CORDONED_FOR;
use bellwether_scheduler_core::Input;
use serde_json::Value;

use crate::cluster::{Node, Pod};
use crate::happening::Happening;
use crate::job::{JobFact, JobId};
use crate::moment::{Ms, SECOND, instant};
use crate::setup::Way;
use crate::world::{World, tell};

/// A kube-scheduler that has chosen a node binds its pod within this time, whatever happens to the node.
const BIND_MAX: Ms = 1_500;

impl World {
    /// A host's kubelet creates its Node object.
    pub(super) fn create_node(&mut self, node: usize) {
        let number = self.cluster.number();
        let host = &self.hosts[node];
        self.cluster.nodes[node] = Some(Node {
            uid: format!("uid-{number}").parse().expect("a UID"),
            version: number,
            ready: true,
            ready_since: instant(self.now + host.skew),
            unschedulable: false,
            mark: None,
            deleting: false,
            boot: host.boot.clone(),
            control_plane: node < self.setup.control_plane,
        });
        tell!(self, "{} is created", self.names[node]);
        self.node_changed(node);
        self.wants_pods(node);
    }

    pub(super) fn delete_node(&mut self, node: usize) {
        if self.cluster.nodes[node].take().is_none() {
            return;
        }
        tell!(self, "{} is deleted", self.names[node]);
        self.cluster.pods[node].clear();
        self.referee.node_changed(self.now, node, None);
        self.broadcast(Way::NodesToLeader, &Input::NodeGone(self.names[node].clone()));
        self.job_facts(node, |_| None, true);
    }

    /// Changes a Node object, if there is one.
    pub(super) fn change_node(&mut self, node: usize, change: impl FnOnce(&mut Node)) {
        if let Some(object) = &mut self.cluster.nodes[node] {
            change(object);
            object.version += 1;
            self.node_changed(node);
        }
    }

    fn node_changed(&mut self, node: usize) {
        let Some(object) = &self.cluster.nodes[node] else {
            return;
        };
        let (view, changed) = (object.for_scheduler(&self.names[node]), object.for_drainer());
        self.referee.node_changed(self.now, node, Some(object));
        self.broadcast(Way::NodesToLeader, &Input::Node(view));
        self.job_facts(node, |_| Some(JobFact::Node(Watched::Changed(changed.clone()))), false);
    }

    /// Gives a fact about the node to each job that watches the node, in order.
    fn job_facts(&mut self, node: usize, fact: impl Fn(JobId) -> Option<JobFact>, deleted: bool) {
        let watching = self.jobs.iter().filter(|(_, job)| job.node == node && job.watches_node);
        let watching: Vec<JobId> = watching.map(|(id, _)| *id).collect();
        for id in watching {
            // A node that is deleted is missing in the next list.
            let fact = match fact(id) {
                Some(fact) => fact,
                None if deleted => JobFact::Several(vec![
                    JobFact::Node(Watched::ListStarted),
                    JobFact::Node(Watched::ListEnded),
                ]),
                None => continue,
            };
            self.send_to_job(id, Way::NodeToDrainer, fact);
        }
    }

    /// Sends a fact to a job on one of its two watches.
    pub(super) fn send_to_job(&mut self, id: JobId, way: Way, fact: JobFact) {
        let delay = self.delay(way);
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let last = if way == Way::PodsToDrainer {
            &mut job.pods_heard_at
        } else {
            &mut job.node_heard_at
        };
        *last = (*last).max(now + delay);
        let at = *last;
        self.agenda.enter(at, Happening::JobHears(id, Box::new(fact)));
    }

    /// A patch of a drainer arrives.
    pub(crate) fn patch_arrives(&mut self, id: JobId, node: usize, request: RequestId, patch: &Value) {
        let is_alive = self.jobs.contains_key(&id);
        if !is_alive && self.random.chance(500) {
            return;
        }
        let patched = self.patch(node, patch);
        self.job_hears(id, JobFact::NodePatched(request, patched));
    }

    pub(super) fn patch(&mut self, node: usize, patch: &Value) -> NodePatched {
        if self.api_is_away() {
            return NodePatched::Failed(ApiFault::Unavailable("no answer".to_owned()));
        }
        let version = patch["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let Some(object) = &self.cluster.nodes[node] else {
            return NodePatched::Failed(ApiFault::NotFound);
        };
        if version != Some(object.version.to_string()) {
            return NodePatched::Changed;
        }
        let mark = &patch["metadata"]["annotations"][CORDONED_FOR];
        let mark = mark.as_str().and_then(|mark| mark.parse().ok());
        let unschedulable = patch["spec"]
            .get("unschedulable")
            .map(|value| value.as_bool().unwrap_or(false));
        let before = object.clone();
        let unchanged = mark == before.mark && unschedulable.is_none_or(|value| value == before.unschedulable);
        if !unchanged {
            tell!(
                self,
                "drainer: {} unschedulable {unschedulable:?}, mark {mark:?}",
                self.names[node]
            );
            self.referee
                .drainer_patches(&self.names[node], &before, unschedulable, mark);
            self.change_node(node, |object| {
                object.mark = mark;
                object.unschedulable = unschedulable.unwrap_or(object.unschedulable);
            });
            if unschedulable == Some(false) {
                self.wants_pods(node);
            }
        }
        let object = self.cluster.nodes[node].as_ref().expect("the node that was patched");
        NodePatched::Written(object.for_drainer())
    }

    /// An eviction of a drainer arrives.
    pub(crate) fn eviction_arrives(&mut self, id: JobId, node: usize, uid: String) {
        if !self.jobs.contains_key(&id) && self.random.chance(500) {
            return;
        }
        let answer = self.evict(node, &uid);
        self.job_hears(id, JobFact::Evicted(uid, answer));
    }

    pub(super) fn evict(&mut self, node: usize, uid: &str) -> Answer {
        if self.api_is_away() {
            return Answer::Failed("no answer".to_owned());
        }
        let blocks = self.hosts[node].budget_blocks;
        let Some(pod) = self.cluster.pods[node].iter_mut().find(|pod| pod.uid == uid) else {
            return Answer::Gone;
        };
        if pod.deletion_at.is_some() {
            return Answer::Accepted;
        }
        if blocks {
            return Answer::BudgetBlocked("the disruption budget web needs 1 healthy pod and has 1".to_owned());
        }
        pod.deletion_at = Some(instant(self.now + 30 * SECOND));
        let view = pod.view(&self.names[node]);
        self.pod_changed(node, Watched::Changed(view));
        let grace = self.random.between(100, 25 * SECOND);
        self.enter(grace, Happening::PodEnds(node, uid.to_owned()));
        Answer::Accepted
    }

    pub(crate) fn pod_ends(&mut self, node: usize, uid: &str) {
        if self.hosts[node].pods_stick {
            self.enter(20 * SECOND, Happening::PodEnds(node, uid.to_owned()));
            return;
        }
        let pods = &mut self.cluster.pods[node];
        if let Some(position) = pods.iter().position(|pod| pod.uid == uid) {
            let view = pods.remove(position).view(&self.names[node]);
            self.pod_changed(node, Watched::Deleted(view));
            self.wants_pods(node);
        }
    }

    fn pod_changed(&mut self, node: usize, event: Watched<bellwether_drainer_core::PodView>) {
        let watching = self.jobs.iter().filter(|(_, job)| job.node == node && job.watches_pods);
        let watching: Vec<JobId> = watching.map(|(id, _)| *id).collect();
        for id in watching {
            self.send_to_job(id, Way::PodsToDrainer, JobFact::Pod(event.clone()));
        }
    }

    /// Pods that belong on the node come as long as the node is schedulable.
    pub(super) fn wants_pods(&mut self, node: usize) {
        let is_open = self.cluster.nodes[node]
            .as_ref()
            .is_some_and(|object| !object.unschedulable);
        if is_open && self.cluster.pods_to_go(node) < self.setup.pods_max {
            let delay = self.random.between(200, 40 * SECOND);
            self.enter(delay, Happening::PodChosen(node));
        }
    }

    /// A kube-scheduler chooses the node for a pod.
    pub(crate) fn pod_chosen(&mut self, node: usize) {
        let object = self.cluster.nodes[node].as_ref();
        let is_open = object.is_some_and(|object| !object.unschedulable && object.ready);
        if is_open && self.cluster.pods_to_go(node) < self.setup.pods_max {
            let delay = self.random.between(1, BIND_MAX);
            self.enter(delay, Happening::PodBinds(node));
        }
    }

    pub(crate) fn pod_binds(&mut self, node: usize) {
        if self.cluster.nodes[node].is_none() {
            return;
        }
        let pod = Pod {
            uid: format!("pod-{}", self.cluster.number()),
            is_daemon: false,
            deletion_at: None,
        };
        let view = pod.view(&self.names[node]);
        self.cluster.pods[node].push(pod);
        self.pod_changed(node, Watched::Changed(view));
        self.wants_pods(node);
    }
}

//! The rules about nodes and calls to reboot, judged at the moment at which something really changes.

use bellwether_proto::{Attempt, AttemptId, Generation, NodeName};

use crate::cluster::{Cluster, Node};
use crate::moment::Ms;
use crate::referee::facts::{Call, note};
use crate::referee::{Check, Referee};

impl Referee {
    /// A Node object has changed, or is gone.
    pub(crate) fn node_changed(&mut self, now: Ms, node: usize, object: Option<&Node>) {
        self.now = now;
        let facts = &mut self.facts[node];
        let Some(object) = object else {
            facts.exists = false;
            facts.cordon = None;
            facts.call = None;
            return;
        };
        facts.exists = true;
        facts.control_plane = object.control_plane;
        facts.deleting = object.deleting;
        let cordon = object.mark.filter(|_| object.unschedulable);
        if facts.cordon.map(|(attempt, _)| attempt) != cordon {
            facts.cordon = cordon.map(|attempt| (attempt, now));
        }
        let is_back = |call: &Call| call.uid != object.uid || (object.ready && object.boot != call.boot);
        if facts.call.as_ref().is_some_and(is_back) {
            facts.call = None;
        }
        self.judge_budget();
    }

    fn judge_budget(&mut self) {
        let disrupted: Vec<usize> = (0..self.facts.len())
            .filter(|node| self.facts[*node].is_disrupted())
            .collect();
        // A cordon without an attempt: a drainer was late.
        let is_late = |node: &usize| {
            let facts = &self.facts[*node];
            (facts.is_orphan || !facts.holds_slot) && facts.call.is_none()
        };
        let of_control_plane = |node: &usize| self.facts[*node].control_plane;
        let late = disrupted.iter().any(is_late);
        let in_time = disrupted.iter().filter(|node| !is_late(node)).count();
        let masters = disrupted.iter().filter(|node| of_control_plane(node)).count();
        let masters_in_time = disrupted
            .iter()
            .filter(|node| of_control_plane(node) && !is_late(node))
            .count();
        let slots = self.slots;
        let nodes = || {
            disrupted
                .iter()
                .map(|node| format!("n{node}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        if in_time > slots {
            self.fail(Check::Budget, || {
                format!("{} are disrupted at once, under {slots} slots", nodes())
            });
        } else if masters_in_time > 1 {
            self.fail(Check::ControlPlaneOneAtATime, || {
                format!("too many of {} are disrupted at once", nodes())
            });
        } else if late && (disrupted.len() > slots || masters > 1) {
            self.fail(Check::NoLateCordon, || {
                format!("{} are disrupted at once, under {slots} slots", nodes())
            });
        }
    }

    /// A drainer is about to change a node so.
    pub(crate) fn drainer_patches(
        &mut self,
        name: &NodeName,
        before: &Node,
        unschedulable: Option<bool>,
        mark: Option<AttemptId>,
    ) {
        let was_foreign = before.unschedulable && before.mark.is_none();
        self.require(!was_foreign, Check::ForeignCordonStays, || {
            format!("a drainer changes {name}, which carries a foreign cordon: {unschedulable:?}, {mark:?}")
        });
    }

    /// A drainer has proved that the node is drained, and publishes that.
    pub(crate) fn drain_concluded(&mut self, now: Ms, node: usize, attempt: AttemptId, generation: Generation) {
        self.facts[node].drained = Some((attempt, now));
        self.facts[node].drained_generations.insert((attempt, generation.0));
    }

    /// A rebooter's last look at the record permits the call.
    pub(crate) fn last_look(&mut self, now: Ms, node: usize, record: &Attempt) {
        self.now = now;
        let is_drained = self.facts[node]
            .drained
            .is_some_and(|(attempt, _)| attempt == record.id);
        self.require(is_drained, Check::DrainedBeforeRebooted, || {
            format!(
                "{} is ordered to reboot, and no drain of this attempt was concluded",
                record.node
            )
        });
    }

    /// A rebooter calls. `obeyed`: the host goes down by that.
    pub(crate) fn reboot_called(
        &mut self,
        now: Ms,
        node: usize,
        attempt: &AttemptId,
        need: Option<u64>,
        obeyed: bool,
        cluster: &Cluster,
    ) {
        self.now = now;
        let Some(object) = &cluster.nodes[node] else {
            return;
        };
        let facts = &self.facts[node];
        let cordon = facts.cordon.filter(|(of, _)| of == attempt);
        let concluded = facts.drained.filter(|(of, _)| of == attempt).map(|(_, at)| at);
        // Without a break of the cordon since before the proof no pod can have come. After a break the leader has to
        // take the order back as soon as it hears of that: see `leader_rests`.
        if let (Some((_, since)), Some(at)) = (cordon, concluded)
            && since <= at
        {
            let pods = cluster.pods_to_go(node);
            self.require(pods == 0, Check::DrainedBeforeRebooted, || {
                format!("n{node} reboots with {pods} pods that had to go")
            });
        }
        if !obeyed {
            return;
        }
        self.reboots += 1;
        if let Some(need) = need {
            let boot = object.boot.clone();
            let before = self.facts[node].rebooted_needs.insert(need, boot.clone());
            // A second call in one boot ends that boot once.
            self.require(before.is_none_or(|before| before == boot), Check::Once, || {
                format!("n{node} reboots twice for one need")
            });
        }
        self.facts[node].call = Some(Call {
            uid: object.uid.clone(),
            boot: object.boot.clone(),
            is_timed_out: false,
        });
        self.judge_budget();
    }

    /// A host has booted, by whatever hand.
    pub(crate) fn host_booted(&mut self, node: usize) {
        let facts = &mut self.facts[node];
        facts.has_booted = true;
        if facts.call.is_none() {
            facts.rebooted_needs.clear();
        }
    }

    /// An operator has ended the wait of a node for its next try.
    pub(crate) fn wait_ended(&mut self, node: usize) {
        let now = self.now;
        note(&mut self.facts[node].grants, now);
    }

    /// An operator has released the slot of a failed attempt: its node is the operator's business.
    pub(crate) fn slot_released(&mut self, node: usize) {
        let now = self.now;
        let facts = &mut self.facts[node];
        facts.call = None;
        note(&mut facts.grants, now);
    }
}

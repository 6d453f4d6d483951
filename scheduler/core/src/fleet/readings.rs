//! Which readings the fleet asks for, and when.
//!
//! A query to a Prometheus server is one for all nodes, as `admission::readings` has it. The pods of a node are listed
//! for the first few nodes of the queue, and for a drained node before the order to reboot: never for all that wait.

use bellwether_policy::{Gates, PodGate};
use bellwether_proto::{NodeName, Phase};
use jiff::Timestamp;

use crate::admission::Group;
use crate::effect::Effect;
use crate::fleet::Fleet;
use crate::fleet::drain_checks::Drainable;
use crate::fleet::member::Member;
use crate::reading::{Outcome, Query, Slot};
use crate::timers::{Clock, later};

/// How many nodes beyond the free slots have their pods listed ahead: if the first nodes of the queue have a pod that
/// keeps them, the next ones are ready to go.
const AHEAD: usize = 3;

/// What is known of the pods of a node in the queue.
enum Pods {
    /// None keeps the node from starting, or the policy has no such gate.
    Clear,
    /// They are being listed.
    Asked,
    /// These gates have to be read.
    Unknown(Vec<PodGate>),
}

impl Fleet {
    /// Has every shared query asked that is due.
    pub(super) fn read_shared(&mut self, now: Timestamp) {
        let due = self.blockers.readings.take_due(now);
        self.effects.extend(due.into_iter().map(|gate| Effect::Read {
            query: Query::Prometheus(gate),
            asked_at: now,
        }));
    }

    /// The first node of the queue that may start. Has the pods of the first few nodes listed until there is one, and then
    /// a drainer asked whether that one can be drained.
    pub(super) fn next_to_start(&mut self, now: Timestamp) -> Option<NodeName> {
        let free = self.budget.free();
        if free == 0 {
            return None;
        }
        let retries = self.budget.retries() < self.policy.retries_max();
        let has_room = |group: Option<&Group>| self.policy_budgets.has_room(group, now);
        let places = self.queue.first(retries, free.saturating_add(AHEAD), has_room);
        let first: Vec<NodeName> = places.map(|place| place.node.clone()).collect();
        for name in first {
            match self.pods_of(&name, now) {
                Pods::Clear => (),
                Pods::Asked => continue,
                Pods::Unknown(gates) => {
                    self.list_pods(&name, &gates, now);
                    self.decide(&name, now);
                    continue;
                }
            }
            match self.drainable(&name, now) {
                Drainable::Yes => return Some(name),
                Drainable::Awaited => return None,
                Drainable::Unknown => {
                    self.check_drain(&name, now);
                    self.decide(&name, now);
                    return None;
                }
            }
        }
        None
    }

    fn pods_of(&self, name: &NodeName, now: Timestamp) -> Pods {
        let Some(member) = self.members.get(name) else {
            return Pods::Clear;
        };
        let Some(gates) = self.gates_of(member) else {
            return Pods::Clear;
        };
        let clock = Clock::new(now);
        let is_asked = |gate: &&PodGate| member.pods.get(gate).is_some_and(|slot| slot.is_asked(&clock));
        if gates.pods.iter().any(|gate| is_asked(&gate)) {
            return Pods::Asked;
        }
        let is_clear = |gate: &PodGate| {
            let slot = member.pods.get(gate);
            slot.and_then(|slot| slot.outcome(Timestamp::MIN, &clock))
                .is_some_and(|outcome| match outcome {
                    Outcome::Open | Outcome::DaemonPods(_) => true,
                    Outcome::Shut(_) | Outcome::NotNow(_) => false,
                    Outcome::Failed(_) => gate.on_error == bellwether_policy::OnError::Allow,
                })
        };
        let unknown: Vec<_> = gates.pods.iter().filter(|gate| !is_clear(gate)).cloned().collect();
        if unknown.is_empty() {
            Pods::Clear
        } else {
            Pods::Unknown(unknown)
        }
    }

    /// Has the pods of a drained node listed, until its reboot is ordered.
    pub(super) fn read_pods_after_drain(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get(name) else { return };
        let attempt = member.attempt.as_deref();
        let drained = attempt.filter(|attempt| attempt.phase == Phase::Draining);
        let Some(drained_at) = drained.and_then(|attempt| attempt.drained_at) else {
            return;
        };
        let Some(gates) = self.gates_of(member) else { return };
        let is_due = |gate: &&PodGate| {
            let due_at = member.pods.get(gate).map(|slot| slot.due_at(drained_at));
            due_at.is_none_or(|due_at| clock.reached(due_at))
        };
        let due: Vec<_> = gates.pods.iter().filter(is_due).cloned().collect();
        self.list_pods(name, &due, clock.now());
        if !due.is_empty() {
            clock.reached(later(clock.now(), Slot::LOST_AFTER));
        }
    }

    fn list_pods(&mut self, name: &NodeName, gates: &[PodGate], now: Timestamp) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        for gate in gates {
            member.pods.entry(gate.clone()).or_default().asked_at = Some(now);
            self.effects.push_back(Effect::Read {
                query: Query::Pods {
                    node: name.clone(),
                    gate: gate.clone(),
                },
                asked_at: now,
            });
        }
    }

    fn gates_of(&self, member: &Member) -> Option<Gates> {
        let governing = self.blockers.policies.governing(member.node.as_ref()?);
        governing.gates().filter(|gates| !gates.pods.is_empty()).cloned()
    }
}

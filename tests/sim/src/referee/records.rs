//! The rules about records, judged at each one that the bucket stores.

use bellwether_proto::{Attempt, NodeName, Phase};

use crate::cluster::Cluster;
use crate::knowledge::Knowledge;
use crate::moment::{HOUR, MINUTE, Ms};
use crate::referee::facts::{Running, in_last_hour, note};
use crate::referee::{Check, Referee};

/// A write may be on its way for so long after its decision, in which a report can become stale.
const WRITE_LAG: Ms = MINUTE;

/// A record takes a slot.
fn holds_slot(record: &Attempt) -> bool {
    record.slot_held || !record.phase.is_ended()
}

impl Referee {
    pub(crate) fn control_stored(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// A record is stored, or deleted. `known`: all that its writer has been given; none: the writer has died.
    #[allow(clippy::too_many_arguments, reason = "one fact each")]
    pub(crate) fn record_stored(
        &mut self,
        now: Ms,
        clock: Ms,
        node: usize,
        before: Option<&Attempt>,
        after: Option<&Attempt>,
        known: Option<&[Knowledge]>,
        records: &[Option<Box<Attempt>>],
        cluster: &Cluster,
    ) {
        self.now = now;
        self.facts[node].holds_slot = after.is_some_and(holds_slot);
        let Some(after) = after else {
            self.facts[node].running = None;
            note(&mut self.facts[node].grants, now);
            return;
        };
        let is_new =
            before.is_none_or(|before| before.id != after.id || before.phase.is_ended() && !after.phase.is_ended());
        if is_new {
            self.facts[node].running = Some(Running {
                attempt: after.id,
                since: now,
            });
        }
        if is_new {
            self.facts[node].drained_generations.clear();
            self.facts[node].is_orphan = after.phase == Phase::RollingBack;
        }
        if is_new && after.phase == Phase::Draining {
            self.attempt_starts(now, node, after, known, records);
        }
        let is_order = after.phase == Phase::Rebooting && before.is_none_or(|before| before.phase != Phase::Rebooting);
        if is_order {
            // An answer to an older command proves nothing: pods may have come since.
            let asked = before.map_or(after.generation, |before| before.generation);
            let is_answered = self.facts[node].drained_generations.contains(&(after.id, asked.0));
            self.require(is_answered, Check::DrainedBeforeRebooted, || {
                format!(
                    "{} is ordered to reboot, and no drain of generation {asked} was concluded",
                    after.node
                )
            });
        }
        if let (true, Some(known)) = (is_order, known) {
            self.order_is_given(clock, after, &known[node]);
        }
        if after.phase.is_ended() {
            self.facts[node].running = None;
        }
        if after.phase == Phase::Done && before.is_none_or(|before| before.phase != Phase::Done) {
            note(&mut self.facts[node].grants, now);
            self.attempt_succeeds(node, after, cluster);
        }
    }

    fn attempt_starts(
        &mut self,
        now: Ms,
        node: usize,
        after: &Attempt,
        known: Option<&[Knowledge]>,
        records: &[Option<Box<Attempt>>],
    ) {
        self.attempts += 1;
        let name = &after.node;
        self.facts[node].waited = 0;
        let is_paused = self.is_paused;
        self.require(!is_paused, Check::PauseHolds, || {
            format!("{name} starts during a pause")
        });
        if let Some(known) = known {
            self.start_is_free(node, name, known, records);
        }
        note(&mut self.facts[node].starts, now);
        let starts = in_last_hour(&self.facts[node].starts, now);
        let grants = in_last_hour(&self.facts[node].grants, now);
        let bound = self.starts_per_hour() * (1 + grants);
        self.require(starts <= bound, Check::NoStorm, || {
            format!("{name} starts {starts} times in an hour, {bound} would be many")
        });
    }

    /// How often a node may start in an hour if each attempt fails at once: the delay doubles each time.
    fn starts_per_hour(&self) -> usize {
        let (mut delay, mut sum, mut starts) = (self.retry_delay.max(1), 0, 1);
        while sum + delay <= HOUR {
            sum += delay;
            delay *= 2;
            starts += 1;
        }
        starts + 1
    }

    /// As far as the leader knows, the node may start and a slot is free.
    fn start_is_free(&mut self, node: usize, name: &NodeName, known: &[Knowledge], records: &[Option<Box<Attempt>>]) {
        let taken = (0..known.len()).filter(|other| *other != node).filter(|other| {
            let view = known[*other].node.as_ref();
            let is_away = view.is_some_and(|view| !view.ready || view.unschedulable);
            is_away || records[*other].as_deref().is_some_and(holds_slot)
        });
        let (taken, slots) = (taken.count(), self.slots);
        self.require(taken < slots, Check::Budget, || {
            format!("{name} starts while {taken} nodes take {slots} slots")
        });
        let view = known[node].node.as_ref();
        let is_open = view.is_some_and(|view| view.ready && !view.deleting);
        self.require(is_open, Check::LookedAtAgain, || {
            format!("{name} starts, and is not Ready or is being deleted")
        });
        let is_foreign = view.is_some_and(|view| view.unschedulable);
        self.require(!is_foreign, Check::ForeignCordonStays, || {
            format!("{name} starts, and is cordoned")
        });
    }

    /// The last look before the order.
    fn order_is_given(&mut self, clock: Ms, after: &Attempt, known: &Knowledge) {
        let name = &after.node;
        if let Err(why) = known.is_fit_for_order(clock - WRITE_LAG) {
            self.fail(Check::LookedAtAgain, || {
                format!("{name} is ordered to reboot although {why}")
            });
        }
        let Some(view) = &known.node else {
            self.fail(Check::LookedAtAgain, || {
                format!("{name} is ordered to reboot, and is gone")
            });
            return;
        };
        let is_ours = view.unschedulable && view.cordoned_for == Some(after.id);
        self.require(is_ours, Check::DrainedBeforeRebooted, || {
            format!("{name} is ordered to reboot without the cordon of its attempt")
        });
        let is_there = view.ready && !view.deleting && view.uid == after.node_uid;
        self.require(is_there, Check::LookedAtAgain, || {
            format!("{name} is ordered to reboot, and is not Ready, being deleted or another one")
        });
    }

    fn attempt_succeeds(&mut self, node: usize, after: &Attempt, cluster: &Cluster) {
        let name = &after.node;
        let Some(object) = cluster.nodes[node]
            .as_ref()
            .filter(|object| object.uid == after.node_uid)
        else {
            return;
        };
        self.require(object.boot != after.boot_before, Check::NoFalseSuccess, || {
            format!("the attempt of {name} is Done in the old boot")
        });
        let is_cordoned = object.unschedulable && object.mark == Some(after.id) && !object.deleting;
        self.require(!is_cordoned, Check::NoFalseSuccess, || {
            format!("the attempt of {name} is Done, and the node carries its cordon")
        });
    }

    /// A leader has nothing left to do: an order that its views forbid is taken back by now.
    pub(crate) fn leader_rests(&mut self, node: usize, name: &NodeName, record: Option<&Attempt>, known: &Knowledge) {
        let sentinel = known.sentinel.as_ref().filter(|sentinel| sentinel.need == Some(false));
        if let Some(sentinel) = sentinel {
            self.facts[node].no_need_known = Some(sentinel.boot.clone());
        }
        let Some(record) = record.filter(|record| record.phase == Phase::Rebooting) else {
            return;
        };
        let Some(view) = &known.node else { return };
        let is_ours = view.unschedulable && view.cordoned_for == Some(record.id);
        let left = view.boot_id.as_ref().is_some_and(|boot| *boot != record.boot_before);
        self.require(
            is_ours || left || record.reboot_started_at.is_some(),
            Check::DrainedBeforeRebooted,
            || format!("{name} does not carry the cordon of its attempt any more, and its order stands"),
        );
    }
}

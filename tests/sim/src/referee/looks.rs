//! The rules about time: what has to come true within a bound, looked at again and again.

use bellwether_proto::{BootId, Phase};
use bellwether_scheduler_core::{Fleet, State};

use crate::bus::Bus;
use crate::cluster::Cluster;
use crate::host::{Host, Power};
use crate::knowledge::Knowledge;
use crate::moment::{MINUTE, Ms, SECOND, moment};
use crate::referee::{Check, Referee};

/// All that a look can see.
pub(crate) struct Scene<'a> {
    pub(crate) now: Ms,
    /// Time since the look before.
    pub(crate) passed: Ms,
    pub(crate) bus: &'a Bus,
    pub(crate) cluster: &'a Cluster,
    pub(crate) hosts: &'a [Host],
    /// The scheduler that has led without a break for longer than its grace, with all that it was given.
    pub(crate) leader: Option<(&'a Fleet, &'a [Knowledge])>,
    /// It answers operators now: it is not in the middle of its effects.
    pub(crate) leader_rests: bool,
}

impl Referee {
    /// Looks at everything. Times in which no scheduler could act do not count.
    pub(crate) fn look(&mut self, scene: &Scene<'_>) {
        self.now = scene.now;
        let Some((fleet, known)) = scene.leader else {
            for running in self.facts.iter_mut().filter_map(|facts| facts.running.as_mut()) {
                running.since += scene.passed;
            }
            return;
        };
        self.judge_attempts(scene);
        self.judge_waits(scene, known);
        if scene.leader_rests {
            self.judge_reasons(fleet, known);
        }
    }

    /// The clock of the schedulers has jumped: their deadlines have moved by as much.
    pub(crate) fn clock_jumped(&mut self, by: Ms) {
        self.clock_ahead += by;
        for facts in &mut self.facts {
            if let Some(running) = &mut facts.running {
                running.since += by.abs();
            }
            if let Some(call) = facts.call.as_mut().filter(|_| by > 0) {
                call.is_timed_out = true;
            }
        }
    }

    fn judge_attempts(&mut self, scene: &Scene<'_>) {
        for node in 0..self.facts.len() {
            let max = self.attempt_max;
            if let Some(running) = self.facts[node].running
                && scene.now - running.since > max
            {
                self.fail(Check::AttemptsEnd, || {
                    format!(
                        "attempt {} of n{node} has not ended after {} min",
                        running.attempt,
                        max / MINUTE
                    )
                });
            }
            let record = scene.bus.attempts[node].as_deref();
            let is_kept = record.is_some_and(|record| record.slot_held || !record.phase.is_ended());
            let object = scene.cluster.nodes[node].as_ref();
            let is_ours = object.is_some_and(|object| object.is_ours() && object.ready && !object.deleting);
            let orphaned = &mut self.facts[node].orphaned;
            *orphaned = if is_ours && !is_kept {
                *orphaned + scene.passed
            } else {
                0
            };
            let (orphaned, max) = (*orphaned, 2 * self.uncordon_max + 3 * MINUTE);
            self.require(orphaned <= max, Check::WayBack, || {
                format!(
                    "n{node} carries our cordon without an attempt for {} min",
                    orphaned / MINUTE
                )
            });
        }
    }

    /// The node could start now if there were a slot: by the truth, and by all reports that are stored.
    fn is_free(&self, scene: &Scene<'_>, known: &[Knowledge], node: usize) -> bool {
        let (host, facts) = (&scene.hosts[node], &self.facts[node]);
        let Some(object) = &scene.cluster.nodes[node] else {
            return false;
        };
        // A host whose need was back before its success waits as after a failure.
        let tried = scene.bus.attempts[node]
            .as_deref()
            .is_some_and(|record| record.phase != Phase::Done || record.slot_held || record.failures_in_row > 0);
        let is_needed = host
            .need
            .is_some_and(|need| !facts.rebooted_needs.contains_key(&need.id));
        let settled = object.boot == host.boot
            && known[node]
                .sentinel
                .as_ref()
                .is_some_and(|sentinel| sentinel.boot == host.boot);
        host.power == Power::Up
            && !tried
            && is_needed
            && settled
            && !self.may_be_refused(node, &host.boot)
            && !looks_older_than_boot(host)
            && object.ready
            && !object.unschedulable
            && object.mark.is_none()
            && !object.deleting
            && known[node].is_fit(scene.now + self.clock_ahead.max(0) + SECOND).is_ok()
    }

    fn judge_waits(&mut self, scene: &Scene<'_>, known: &[Knowledge]) {
        if self.is_paused {
            return;
        }
        let free: Vec<usize> = (0..self.facts.len())
            .filter(|node| self.is_free(scene, known, *node))
            .collect();
        // Nodes whose slots only an operator or a host can give back.
        let kept: Vec<usize> = (0..self.facts.len())
            .filter(|node| {
                let record = scene.bus.attempts[*node].as_deref();
                let is_running = record.is_some_and(|record| !record.phase.is_ended());
                let is_held = record.is_some_and(|record| record.slot_held && record.phase.is_ended());
                let object = scene.cluster.nodes[*node].as_ref();
                let is_away = object.is_some_and(|object| !object.ready || object.unschedulable);
                is_held || (is_away && !is_running)
            })
            .collect();
        let open = self.slots.saturating_sub(kept.len());
        // One such node of the control plane keeps all others of the control plane from their turn.
        let is_control_plane_kept = kept.iter().any(|node| self.facts[*node].control_plane);
        let needy = scene.hosts.iter().filter(|host| host.need.is_some()).count();
        let control_plane = free.iter().filter(|node| self.facts[**node].control_plane).count();
        for node in 0..self.facts.len() {
            if !free.contains(&node) {
                self.facts[node].waited = 0;
                self.facts[node].wait_max = 0;
                continue;
            }
            if open == 0 || (is_control_plane_kept && self.facts[node].control_plane) {
                continue;
            }
            self.facts[node].waited += scene.passed;
            // Every node with a need may be before this one in the queue and take its full time, one after the other
            // in each slot; nodes of the control plane go alone; and one attempt of a node that failed before may
            // be running.
            let turns = needy.div_ceil(open) + control_plane + 2;
            let bound = Ms::try_from(turns).unwrap_or(Ms::MAX) * self.attempt_max;
            // The queue was longest when the wait began, or grew since.
            let facts = &mut self.facts[node];
            facts.wait_max = facts.wait_max.max(bound);
            let (waited, bound) = (facts.waited, facts.wait_max);
            self.require(waited <= bound, Check::NoStarvation, || {
                format!(
                    "n{node} is free to start for {} min, {} would be long",
                    waited / MINUTE,
                    bound / MINUTE
                )
            });
        }
    }

    /// Every node with a need has a reason why it is not rebooted yet; in an attempt, its next step.
    fn judge_reasons(&mut self, fleet: &Fleet, known: &[Knowledge]) {
        for (view, standing) in fleet.standings() {
            let is_idle = standing.state == State::Idle;
            self.require(is_idle || standing.reason.is_some(), Check::Explained, || {
                format!("{} is {} without a reason", view.name, standing.state.as_str())
            });
            let Ok(node) = view.name.as_str().trim_start_matches('n').parse::<usize>() else {
                continue;
            };
            let reported = known[node]
                .sentinel
                .as_ref()
                .is_some_and(|sentinel| sentinel.need == Some(true));
            self.require(!(reported && is_idle), Check::Explained, || {
                format!("{} reports a need, and counts as idle", view.name)
            });
        }
        let shown = fleet.standings().count();
        let exist = known.iter().filter(|known| known.node.is_some()).count();
        self.require(shown == exist, Check::Explained, || {
            format!("{exist} nodes exist, and {shown} have a standing")
        });
    }

    /// What is left to be done in the quiet after the mishaps; none: everything has settled.
    pub(crate) fn unsettled(&self, scene: &Scene<'_>) -> Option<(Check, String)> {
        for node in 0..self.facts.len() {
            let record = scene.bus.attempts[node].as_deref();
            if let Some(record) = record.filter(|record| !record.phase.is_ended() || record.slot_held) {
                let phase = record.phase.as_str();
                return Some((Check::SlotsComeBack, format!("n{node} is {phase} and holds a slot")));
            }
            let Some(object) = &scene.cluster.nodes[node] else {
                continue;
            };
            if object.mark.is_some() || object.unschedulable {
                return Some((Check::WayBack, format!("n{node} is cordoned or carries a mark")));
            }
            let host = &scene.hosts[node];
            let survived = |id| self.facts[node].rebooted_needs.contains_key(&id);
            let is_refusable = self.may_be_refused(node, &host.boot) || looks_older_than_boot(host);
            if host.need.is_some_and(|need| !survived(need.id)) && !is_refusable {
                return Some((Check::NeedsAreServed, format!("n{node} still needs a reboot")));
            }
        }
        None
    }

    /// For all that a scheduler has been given since the host booted, the need has survived that boot.
    fn may_be_refused(&self, node: usize, boot: &BootId) -> bool {
        self.facts[node].has_booted && self.facts[node].no_need_known.as_ref() != Some(boot)
    }

    /// The quiet was too short for what is left.
    pub(crate) fn fail_unsettled(&mut self, check: Check, message: &str) {
        self.fail(check, || format!("{message}, long after the last mishap"));
    }
}

/// By the host's clock as it is now, the sentinel file is older than the boot: that clock was behind when the file was
/// written, shortly after the boot, and was set since.
fn looks_older_than_boot(host: &Host) -> bool {
    host.need
        .is_some_and(|need| moment(need.since) < host.booted + host.skew)
}

//! How the fleet decides: on each node that was touched or is due, then on who may start.

use bellwether_policy::Governing;
use bellwether_proto::{Attempt, LastReboot, NodeName, Phase, RebootNeed};
use jiff::Timestamp;

use crate::admission::{self, Group, Look, Reason, Verdict, clock_off, lacks_key};
use crate::attempt::{self, LastLook, Looks, Transition};
use crate::effect::{Command, Effect};
use crate::explain::{Basis, Stand, State};
use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::fleet::policy_effects::back_at;
use crate::fleet::service::soak_wants;
use crate::observed::Observation;
use crate::policy::Policy;
use crate::rival::RivalKind;
use crate::timers::{Clock, later};
use crate::wait::Wait;

/// Why a new Node of the same name does not start yet.
const NODE_DELETED: &str = "the Node object of this name was deleted while its host rebooted: its slot is kept until this node is Ready in a new boot";

impl Fleet {
    /// Decides all that can be decided now. Effects are ready to be polled afterwards.
    pub fn advance(&mut self, now: Timestamp) {
        if self.decided_at.is_some_and(|before| now < before) {
            // The clock was set back: what was to be due by it may be due much later now, or never.
            self.touch_all();
            self.taints.forget_requests();
            self.conditions.forget_requests();
            self.drain_checks.forget();
        }
        self.decided_at = Some(now);
        self.blockers.policies.refresh(now);
        self.resumed_at = Some(self.resumed_at.map_or(now, |at| at.min(now)));
        while let Some(changed) = self.blockers.orders.remove_ended(now) {
            self.store_control(changed);
        }
        while let Some(name) = self.timers.take_due(now) {
            self.touched.insert(name);
        }
        self.touched.extend(self.blockers.readings.refresh(now));
        self.decide_on_touched(now);
        self.start_attempts(now);
        self.read_shared(now);
        self.command_taints(now);
        self.request_conditions(now);
    }

    fn decide_on_touched(&mut self, now: Timestamp) {
        while let Some(name) = self.touched.pop_first() {
            self.decide(&name, now);
        }
    }

    /// Lets start who may, in order, while there are slots. Each start may shut a gate of the next.
    fn start_attempts(&mut self, now: Timestamp) {
        for _ in 0..self.budget.free() {
            let Some(name) = self.next_to_start(now) else { return };
            let Some(need) = self.need(&name).cloned() else { return };
            self.start_attempt(&name, &need, now);
            self.decide(&name, now);
            self.decide_on_touched(now);
        }
    }

    fn need(&self, name: &NodeName) -> Option<&RebootNeed> {
        let sentinel = self.members.get(name)?.sentinel.as_ref()?;
        sentinel.report.need.required()
    }

    /// Decides on one node: its attempt, its cordon, its command, its place in the queue, its standing
    /// and when it is due again.
    pub(super) fn decide(&mut self, name: &NodeName, now: Timestamp) {
        let clock = Clock::new(now);
        self.add_annotations(name, now);
        let gone = self.members.get(name).is_some_and(Member::attempt_is_of_gone_node);
        if gone {
            if self.gone_host_may_be_down(name, &clock) {
                // What a view shows is of no Node or of another one: no rule of the attempt applies.
                self.admit(name, &clock);
                return;
            }
            self.end_attempt_of_gone_node(name, now);
        }
        self.clamp_times(name, now);
        self.note_cordon(name, now);
        self.note_removed_cordon(name, now);
        self.note_drain(name, now);
        self.note_newest_need(name, now);
        self.take_transitions(name, &clock);
        // Of the phase that was entered.
        self.note_removed_cordon(name, now);
        self.note_hold(name, &clock);
        self.note_late_reboot(name, now);
        self.note_served_annotations(name, now);
        self.note_cleared_need(name, now);
        self.end_fulfilled_orders(name, &clock);
        self.adopt_orphan(name, &clock);
        self.check_command(name, &clock);
        self.read_pods_after_drain(name, &clock);
        self.read_daemon_pods(name, &clock);
        self.admit(name, &clock);
    }

    fn gone_host_may_be_down(&self, name: &NodeName, clock: &Clock) -> bool {
        let Some(member) = self.members.get(name) else {
            return false;
        };
        let attempt = member.attempt.as_deref();
        attempt.is_some_and(|attempt| {
            attempt::gone_host_may_be_down(attempt, member.observation().as_ref(), &self.policy, clock)
        })
    }

    /// Corrects instants that a wrong clock wrote.
    fn clamp_times(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        member.clamp_times(now);
        let Some(attempt) = &mut member.attempt else { return };
        if attempt::clamp(attempt, &self.policy, now) {
            self.effects.push_back(Effect::StoreAttempt(attempt.clone(), None));
        }
    }

    /// Notes that the node carries the cordon of its attempt, as its view shows: a drainer's report alone proves nothing.
    fn note_cordon(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get(name) else { return };
        let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
            return;
        };
        // The report that the time is over may come before the view that shows the cordon of a node that is held.
        let may_be_new = matches!(attempt.phase, Phase::Draining | Phase::RollingBack) || attempt::is_held(attempt);
        if may_be_new && attempt.cordoned_at.is_none() && observation.is_cordoned_for(attempt) {
            let mut changed = attempt.clone();
            changed.cordoned_at = Some(now);
            self.change_attempt(changed, None, now);
        }
    }

    /// Notes that the drain is done, if a drainer reports that and the view of the node shows the cordon of the attempt.
    fn note_drain(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get(name) else { return };
        let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
            return;
        };
        let is_due = attempt.phase == Phase::Draining && attempt.drained_at.is_none();
        if is_due && member.is_drain_reported() && observation.is_cordoned_for(attempt) {
            let mut changed = attempt.clone();
            changed.drained_at = Some(now);
            if !changed.left_behind.is_empty() {
                // The time of the drain is over: the looks before the order need some of their own.
                changed.deadline = Some(later(now, Policy::READING_PATIENCE));
            }
            if changed.reboot_not_before.is_none()
                && let Some(delay) = attempt.reboot_delay()
            {
                changed.reboot_not_before = Some(later(now, delay));
                changed.deadline = if changed.left_behind.is_empty() {
                    // The node may have to be drained once more after the delay, with all the time of a drain.
                    attempt::time_limit(&changed, &self.policy).map(|limit| later(now, limit))
                } else {
                    changed.deadline.map(|deadline| later(deadline, delay))
                };
            }
            self.change_attempt(changed, None, now);
        }
    }

    /// Notes the need as the boot that is to end reports it now: a need that the next boot reports alike has survived
    /// the reboot, whatever the clocks show by then.
    fn note_newest_need(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get(name) else { return };
        let (Some(sentinel), Some(attempt)) = (&member.sentinel, member.attempt.as_deref()) else {
            return;
        };
        let reported = sentinel.report.need.required();
        let Some(need) = reported.filter(|need| need.since != attempt.need_since) else {
            return;
        };
        let is_open = attempt.slot_held || !attempt.phase.is_ended();
        let may_reboot = is_open && attempt::is_for_reboot(attempt);
        let observation = member.observation();
        let is_over = observation.is_some_and(|observation| observation.soft_reboots_since(attempt).is_some());
        if may_reboot && !is_over && sentinel.report.boot_id == attempt.boot_before {
            let mut changed = attempt.clone();
            changed.need_since = need.since;
            changed.reasons.clone_from(&need.reasons);
            // The view of the next boot may be here before this report.
            let is_noted = attempt::has_noted_reboot(attempt);
            if let Some(reboot) = changed.last_reboot.as_mut().filter(|_| is_noted) {
                reboot.need_since = need.since;
            }
            self.change_attempt(changed, None, now);
        }
    }

    /// Notes the reboot of a host that was called for it and went down only after the end of its attempt.
    fn note_late_reboot(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get(name) else { return };
        let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
            return;
        };
        if attempt.phase.is_ended() && attempt.reboot_started_at.is_some() && !attempt::has_noted_reboot(attempt) {
            let mut changed = attempt.clone();
            attempt::note_reboot(&mut changed, Some(&observation));
            self.change_attempt(changed, None, now);
        }
    }

    /// Notes that the boot after the last reboot needed no other one: a later need in it is new.
    fn note_cleared_need(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get(name) else { return };
        let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
            return;
        };
        let Some(last) = attempt.last_reboot.as_ref().filter(|last| !last.need_cleared) else {
            return;
        };
        if observation.need_is_cleared_in(&last.boot_id) {
            let mut changed = attempt.clone();
            let cleared = LastReboot {
                need_cleared: true,
                ..last.clone()
            };
            changed.last_reboot = Some(cleared);
            self.change_attempt(changed, None, now);
        }
    }

    fn take_transitions(&mut self, name: &NodeName, clock: &Clock) {
        let resumed_at = self.resumed_at.unwrap_or_else(|| clock.now());
        let patient_until = later(resumed_at, Policy::RESUME_GRACE);
        // An attempt enters few phases at one instant; the bound keeps a faulty rule from looping.
        for _ in Phase::ALL {
            clock.forget();
            let Some(member) = self.members.get(name) else { return };
            let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
                return;
            };
            let looks = Looks {
                last_look: self.last_look(member, attempt, &observation, clock),
                service: self.service(member, attempt, &observation, clock),
                soak: self.soak_is_held_by(attempt, observation.node),
                is_held: self.hold(observation.node, clock).is_some(),
            };
            let next = attempt::next_transition(
                attempt,
                &observation,
                member.is_uncordoned(),
                &looks,
                &self.policy,
                patient_until,
                clock,
            );
            let Some(transition) = next else { return };
            let mut attempt = attempt.clone();
            if matches!(transition, Transition::Enter(Phase::Rebooting, _)) {
                attempt.daemon_pods = member.daemon_pods_of_last_listing();
                attempt.served_annotations = Some(self.served_by_order(&attempt, observation.node));
                attempt.units_before = self.units_before(&attempt, &observation);
                self.forget_needless(name, attempt.reboot_kind);
            }
            self.change_attempt(attempt, Some(transition), clock.now());
        }
    }

    /// The last look before the order to reboot, beyond what the attempt's own facts say.
    pub(super) fn last_look(
        &self,
        member: &Member,
        attempt: &Attempt,
        observation: &Observation<'_>,
        clock: &Clock,
    ) -> LastLook {
        if attempt.phase != Phase::Draining {
            return LastLook::Passed;
        }
        if let Some(reason) = self.blockers.order_refused(observation.node, clock) {
            return LastLook::Refused(reason);
        }
        let Some(drained_at) = attempt.drained_at else {
            return LastLook::Passed;
        };
        // The kubelet brings the key, and a next report the right time; or the time of the drain ends.
        if let Some(reason) = lacks_key(observation, self.blockers.signing_key).or_else(|| clock_off(observation)) {
            return LastLook::Waits(reason);
        }
        let ordered_from = attempt
            .reboot_not_before
            .map_or(drained_at, |not_before| not_before.max(drained_at));
        let blockers = &self.blockers;
        let look = match blockers.look_at_readings(observation.node, &member.pods, drained_at, clock) {
            Look::Open => self.look_at_service(member, observation, drained_at, clock),
            shut @ (Look::Shut(_) | Look::Failed(_) | Look::Unread(_)) => shut,
        };
        match look {
            Look::Open => LastLook::Passed,
            Look::Shut(reason) => LastLook::Refused(reason),
            // A server that restarts must not cost the drain, nor in a delay of the reboot.
            Look::Failed(reason) if clock.reached(later(ordered_from, Policy::READING_PATIENCE)) => {
                LastLook::Refused(reason)
            }
            Look::Failed(reason) | Look::Unread(reason) => LastLook::Waits(reason),
        }
    }

    /// A node of the queue waits for its turn; or for the listing of its pods.
    fn basis_in_queue(&self, member: &Member, observation: &Observation<'_>, clock: &Clock) -> Basis {
        if member.drain_check.slot.is_asked(clock) {
            let error = match self.drain_checks.failure() {
                None => "a drainer is being asked".to_owned(),
                Some(before) => format!("a drainer is being asked; the last answer: {before}"),
            };
            return Basis::Reason(Reason::DrainUnchecked { error });
        }
        if !member.pods.values().any(|slot| slot.is_asked(clock)) {
            return Basis::Queue;
        }
        let look = self
            .blockers
            .look_at_readings(observation.node, &member.pods, Timestamp::MIN, clock);
        match look {
            Look::Open => Basis::Queue,
            // What the last listing has shown, until the next is here.
            Look::Shut(reason) | Look::Failed(reason) | Look::Unread(reason) => Basis::Reason(reason),
        }
    }

    fn adopt_orphan(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get(name).filter(|member| member.unreadable.is_none()) else {
            return;
        };
        let Some(node) = &member.node else { return };
        let beside_bellwether = self
            .blockers
            .rivals
            .iter()
            .any(|rival| rival.kind == RivalKind::Bellwether);
        let orphan = attempt::orphan_of(node, member.attempt.as_deref(), beside_bellwether, &self.policy, clock);
        if let Some((attempt, message)) = orphan {
            self.begin_attempt(attempt, message, None, clock.now());
            self.take_transitions(name, clock);
        }
    }

    /// Has the driver look now and then whether a command that has no answer is still queued. So with
    /// the command of an attempt that was loaded: the scheduler that stored it may have died before it sent
    /// the command.
    fn check_command(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let Some(command) = member.attempt.as_deref().and_then(Command::of) else {
            return;
        };
        // The answer is here: what the attempt waits for is no drainer.
        if member.is_uncordoned() || member.is_drain_reported() {
            return;
        }
        if member.remind_at.is_none_or(|at| clock.reached(at)) {
            let next = later(clock.now(), Policy::REMINDER);
            member.remind_at = Some(next);
            clock.reached(next);
            self.effects.push_back(Effect::CheckCommand(command));
        }
    }

    /// Judges whether the node may start, and writes down what follows for the slots, the queue, the
    /// timers, the numbers and the operators.
    fn admit(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get(name) else { return };
        let node = member.node.as_ref();
        let policies = &self.blockers.policies;
        let governing = node.map_or(Governing::BuiltIn, |node| policies.governing(node));
        let mut place = None;
        let mut others = Vec::new();
        // Since when readings for the node have to be of, if it needs some.
        let mut wants = None;
        let judged = member.observation().map(|observation| {
            let last = member.attempt.as_deref();
            if let Some(problem) = &member.unreadable {
                let reason = Reason::RecordUnreadable(problem.to_string());
                return (State::Failed, Basis::Reason(reason));
            }
            if let Some(running) = last.filter(|last| !last.phase.is_ended()) {
                wants = running.drained_at.filter(|_| running.phase == Phase::Draining);
                let basis = if member.attempt_is_of_gone_node() {
                    Basis::Reason(Reason::InAttempt(Wait::Reboot, NODE_DELETED.to_owned()))
                } else {
                    Basis::None
                };
                return (State::InProgress(running.phase), basis);
            }
            let (own, blockers) = (member.own_readings(), &self.blockers);
            let verdict = admission::verdict(&observation, &governing, last, own, blockers, &self.policy, clock);
            if verdict.depends_on_readings() {
                wants = Some(Timestamp::MIN);
            }
            match verdict {
                Verdict::NotNeeded => (State::Idle, Basis::None),
                Verdict::Unknown(reason) => (State::Unknown, Basis::Reason(reason)),
                Verdict::Failed(reason) => (State::Failed, Basis::Reason(reason)),
                Verdict::Blocked(mut reasons) => {
                    others = reasons.split_off(1);
                    let first = reasons.pop();
                    (State::Waiting, first.map_or(Basis::None, Basis::Reason))
                }
                Verdict::Open(need) => {
                    let is_urgent = self.blockers.orders.is_urgent(name, clock);
                    place = Some(admission::place(observation.node, &governing, need, last, is_urgent));
                    (State::Waiting, self.basis_in_queue(member, &observation, clock))
                }
            }
        });
        let old = member.stand.as_ref();
        let stand = judged.map(|(state, basis)| Stand::after(old, state, basis, others, clock.now()));
        let holder = member.holder();
        let group = node.and_then(|node| Group::of(node, &governing));
        // A host that lost its Node while it reboots still counts where it did.
        let keeps_group = node.is_none() && holder.is_some();
        let is_control_plane = member.node.as_ref().is_some_and(|node| node.control_plane);
        let is_forgotten = member.is_forgotten(clock);
        let gates = wants.and_then(|_| governing.gates());
        let shared = gates.map(|gates| (gates.prometheus.as_slice(), wants.unwrap_or(Timestamp::MIN)));
        let of_soak = member
            .attempt
            .as_deref()
            .and_then(|attempt| soak_wants(attempt, &governing, clock));
        let (shared, since) = shared.or(of_soak).unwrap_or_default();
        self.blockers.readings.set_wanted(name, shared.iter(), since);
        self.budget.set(name, holder);
        self.budget.set_retry(name, member.is_retrying());
        if self.blockers.control_plane.set(name, is_control_plane, holder) {
            self.touched.extend(
                self.blockers
                    .control_plane
                    .nodes()
                    .filter(|other| *other != name)
                    .cloned(),
            );
        }
        let (failure, canary) = self.under_policy(member, &governing, stand.as_ref());
        let failures_changed = self.blockers.failures.set(name, failure);
        let canaries_changed = self.blockers.canaries.set(name, canary);
        let need = member.need_since();
        let conditions = self.conditions_to_change(member, stand.as_ref(), clock);
        let due_at = clock.next();
        if let Some(member) = self.members.get_mut(name) {
            self.counts.replace(member.stand.as_ref(), stand.as_ref());
            self.counts.replace_need(name, member.counted_need, need);
            let group = if keeps_group {
                member.group.clone()
            } else {
                self.policy_budgets
                    .move_node(name, member.group.as_ref(), group.as_ref());
                group.map(|(group, _)| group)
            };
            self.policy_budgets.set(name, group.as_deref(), holder);
            let back_at = member.attempt.as_deref().and_then(back_at);
            let same_group = member.group == group;
            let before = member.back_at.filter(|_| same_group);
            self.policy_budgets.set_back(name, group.as_deref(), before, back_at);
            member.back_at = back_at;
            let position = place.as_ref().map(|place| (group.as_ref(), place));
            self.queue.replace(member.position(), position);
            self.timers.replace(name, member.due_at, due_at);
            member
                .pods
                .retain(|gate, _| gates.is_some_and(|gates| gates.pods.contains(gate)));
            member.stand = stand;
            member.counted_need = need;
            member.group = group;
            member.place = place;
            member.due_at = due_at;
        }
        self.note_taint(name, &governing, clock.now());
        self.conditions.set(name, conditions, clock.now());
        if is_forgotten {
            self.members.remove(name);
        }
        if failures_changed || canaries_changed {
            self.touch_those_before_the_order();
        }
    }
}

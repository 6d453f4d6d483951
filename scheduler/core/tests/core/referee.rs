//! The referee of the world: what must hold after each step, and what the core may not have missed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_policy::{Approval, Brakes, Governing, OnError, Policies, RebootPolicy};
use bellwether_proto::{AfterTimeout, Attempt, NodeName, Phase, Problem, ProblemCode};
use bellwether_scheduler_core::invariant::{self, Invariant, STARTS_PER_HOUR_MAX};
use bellwether_scheduler_core::reading::{Outcome, Query};
use bellwether_scheduler_core::recording::{self};
use bellwether_scheduler_core::{Fleet, Policy, PolicyView, Reason, Standing, State};
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, bellwether};

pub(crate) fn fails_if(broken: bool, what: &str, node: &NodeName) -> Result<(), String> {
    if broken { Err(format!("{node}: {what}")) } else { Ok(()) }
}

impl World {
    /// A core that decides on every node again decides the same: now, since every change has touched
    /// its node, and until the core wants to be woken, since every rule that waits has said until when.
    pub(crate) fn missed_nothing(&self) {
        let timeout = self.fleet.poll_timeout();
        assert!(timeout.is_none_or(|at| at > self.now), "the timeout is over");
        let nanosecond = SignedDuration::from_nanos(1);
        let wait = timeout.map_or(SignedDuration::from_hours(100), |at| at.duration_since(self.now));
        for later in [SignedDuration::ZERO, wait - nanosecond] {
            let mut again = self.fleet.clone();
            again.touch_all();
            again.advance(self.now + later);
            let effect = again.poll_effect();
            assert_eq!(
                effect, None,
                "after {later:#} of {wait:#}: a change or a timer was missed"
            );
            assert_eq!(again.counts(), self.fleet.counts(), "after {later:#} of {wait:#}");
            assert_eq!(again.poll_timeout(), timeout, "after {later:#} of {wait:#}");
            let standings =
                |fleet: &Fleet| -> Vec<Standing> { fleet.standings().map(|(_, standing)| standing).collect() };
            assert_eq!(standings(&again), standings(&self.fleet), "after {later:#} of {wait:#}");
            assert_eq!(again.slots_taken(), self.fleet.slots_taken());
        }
    }

    /// The recording, written and played again, gives the same effects.
    pub(crate) fn plays_again(&self) {
        let lines: Vec<String> = self.recording.iter().map(|entry| entry.to_line().unwrap()).collect();
        let mut effects = Vec::new();
        let played = recording::play(&lines.join("\n"), |at, effect| effects.push((at, effect))).unwrap();
        assert_eq!(effects, self.effects);
        let counts = played.as_ref().map(Fleet::counts);
        assert_eq!(counts, Some(self.fleet.counts()));
    }

    /// Fails if an invariant is broken, unless the test hunts another one.
    pub(crate) fn must(&self, invariant: Invariant, holds: Result<(), String>) {
        if self.hunted.is_none_or(|hunted| hunted == invariant) {
            assert_eq!(holds, Ok(()), "{invariant} is broken");
        }
    }

    pub(crate) fn store(&mut self, attempt: Attempt) {
        let node = &attempt.node;
        let host = &self.hosts.get(node);
        let old = self.records.get(node);
        // A command that is asked for again has a new generation, and no new phase.
        let entered = old.is_none_or(|old| old.id != attempt.id || old.phase != attempt.phase);
        if old.is_none_or(|old| old.id != attempt.id) && attempt.phase == Phase::Draining {
            let views = self.hosts.iter().map(|(node, host)| (node.clone(), host.view.clone()));
            let slots = self.policy.slots.get();
            let budget = invariant::budget_when_starting(slots, node, &views.collect(), &self.records);
            self.must(Invariant::Budget, budget);
            let views = self.hosts.iter().map(|(node, host)| (node.clone(), host.view.clone()));
            let view = &self.hosts[node].view;
            let views = views.collect();
            let budget = invariant::policy_budget_when_starting(&self.policies, view, &views, &self.records, self.now);
            self.must(Invariant::Budget, budget);
            self.must_be_in_the_window(node);
            self.must_have_open_gates(node, self.now - SignedDuration::from_secs(60));
            self.must_be_drainable(&attempt);
            self.must_not_be_braked(node);
            self.must_follow_its_canaries(node);
            self.must_not_be_stopped(node);
            self.must_be_approved(node);
            let foreign = host.is_some_and(|host| host.foreign_cordon);
            self.must(Invariant::ForeignCordonStays, fails_if(foreign, "it starts", node));
            let hour_ago = self.now - SignedDuration::from_hours(1);
            let starts = self.starts.entry(attempt.node_uid.to_string()).or_default();
            starts.retain(|at| *at > hour_ago);
            starts.push(self.now);
            let storm = starts.len() > STARTS_PER_HOUR_MAX;
            self.must(
                Invariant::NoStorm,
                fails_if(storm, "it is drained again and again", node),
            );
            let paused = self.control.as_ref().is_some_and(|control| control.paused());
            assert!(!paused, "{node} starts while paused");
            assert!(!self.is_held(node), "{node} starts while held");
            assert!(!self.is_skipped(node), "{node} starts while skipped");
            let rivals = &self.rivals;
            assert!(
                rivals.is_empty() || self.policy.tolerate_rivals,
                "{node} starts beside {rivals:?}"
            );
        }
        if old.is_none_or(|old| old.id != attempt.id) && self.rivals.contains(&bellwether()) {
            let of_rival = host.is_some_and(|host| host.rival_mark == Some(attempt.id));
            self.must(
                Invariant::ForeignCordonStays,
                fails_if(of_rival, "another Bellwether's cordon is rolled back", node),
            );
        }
        if let Some(old) = old {
            assert!(
                attempt.generation >= old.generation,
                "the generation of {node} goes back"
            );
        }
        if entered && attempt.phase == Phase::Rebooting {
            self.must_be_in_the_window(node);
            self.must_have_open_gates(node, attempt.drained_at.unwrap());
            self.must_not_be_stopped(node);
            let wanted = host.is_some_and(|host| matches!(host.need, Ok(Some(_))) || self.is_annotated(host));
            let fit = host.is_some_and(|host| host.preflight.as_ref().is_none_or(passes) && host.view.ready);
            self.must(
                Invariant::LookedAtAgain,
                fails_if(!(wanted && fit), "it is ordered", node),
            );
        }
        self.must(
            Invariant::DrainedBeforeRebooted,
            invariant::drained_before_rebooted(&attempt),
        );
        self.must(Invariant::NoFalseSuccess, invariant::no_false_success(&attempt));
        self.must(Invariant::WayBack, invariant::way_back(&attempt));
        if entered && attempt.phase == Phase::Uncordoning {
            let proved = host.is_some_and(|host| host.view.ready && attempt.boot_after == host.view.boot_id);
            self.must(Invariant::NoFalseSuccess, fails_if(!proved, "it is not back", node));
        }
        self.records.insert(node.clone(), attempt);
    }

    fn must_be_in_the_window(&self, node: &NodeName) {
        if self.is_urgent(node) {
            return;
        }
        let view = &self.hosts[node].view;
        self.must(
            Invariant::InTheWindow,
            invariant::in_the_window(&self.policies, view, self.now),
        );
    }

    /// The newest outcome of each gate of the node's policy was asked for at `since` or later, and lets the node reboot.
    fn must_have_open_gates(&self, node: &NodeName, since: Timestamp) {
        let view = &self.hosts[node].view;
        let policies = self.policies.iter();
        let read = |policy: &PolicyView| RebootPolicy::read(policy.name.as_str().into(), &policy.spec);
        let governing = Policies::new(policies.map(read)).governing(&view.labels);
        let Some(gates) = governing.gates() else { return };
        let prometheus = gates.prometheus.iter();
        let prometheus = prometheus.map(|gate| (Query::Prometheus(gate.clone()), gate.on_error));
        let pods = gates.pods.iter().map(|gate| {
            let (node, gate) = (node.clone(), gate.clone());
            let on_error = gate.on_error;
            (Query::Pods { node, gate }, on_error)
        });
        for (query, on_error) in prometheus.chain(pods) {
            let outcome = self.outcomes.get(&query);
            let open = match outcome {
                Some((asked_at, Outcome::Open)) => *asked_at >= since,
                Some((asked_at, Outcome::Failed(_))) => *asked_at >= since && on_error == OnError::Allow,
                Some((_, Outcome::Shut(_) | Outcome::NotNow(_) | Outcome::DaemonPods(_))) | None => false,
            };
            let what = format!("it goes, and {query:?} has shown {outcome:?}");
            self.must(Invariant::LookedAtAgain, fails_if(!open, &what, node));
        }
    }

    /// A drainer has answered that the node can be drained, beside all nodes that are drained now.
    fn must_be_drainable(&self, attempt: &Attempt) {
        let node = &attempt.node;
        let answered = self.drainable_beside.get(node);
        let is_draining = |record: &&Attempt| record.phase == Phase::Draining && record.drained_at.is_none();
        let mut draining = self.records.values().filter(is_draining).map(|record| &record.node);
        let counts = answered.is_some_and(|beside| draining.all(|other| other == node || beside.contains(other)));
        // By the record's own terms, whatever the policy says by now.
        let overrides = match attempt.drain_terms.after_timeout {
            AfterTimeout::Proceed | AfterTimeout::Force => true,
            AfterTimeout::Restore | AfterTimeout::Hold => false,
        };
        assert!(
            counts || overrides || !self.policy.check_drains,
            "{node} starts, and the answer is {answered:?}"
        );
    }

    /// The policy that governs a node.
    fn governing(&self, node: &NodeName) -> Option<Arc<RebootPolicy>> {
        let read = |view: &PolicyView| RebootPolicy::read(view.name.as_str().into(), &view.spec);
        match Policies::new(self.policies.iter().map(read)).governing(&self.hosts.get(node)?.view.labels) {
            Governing::Policy(policy) => Some(policy),
            Governing::BuiltIn | Governing::None | Governing::Conflict(..) => None,
        }
    }

    fn brakes(&self, node: &NodeName) -> Option<(String, Brakes)> {
        let policy = self.governing(node)?;
        Some((policy.name.to_string(), policy.terms.clone().ok()?.brakes))
    }

    /// No node but a canary starts while a canary needs a reboot, is in an attempt, or has a failed reboot.
    fn must_follow_its_canaries(&self, node: &NodeName) {
        if self.is_urgent(node) {
            return;
        }
        let terms = |node: &NodeName| {
            let policy = self.governing(node)?;
            Some((policy.name.to_string(), policy.terms.clone().ok()?.canaries?))
        };
        let labels = |node: &NodeName| &self.hosts[node].view.labels;
        let Some((policy, canaries)) = terms(node).filter(|(_, canaries)| !canaries.selector.selects(labels(node)))
        else {
            return;
        };
        let is_canary = |other: &&NodeName| {
            let is_of_policy = terms(other).is_some_and(|(name, _)| name == policy);
            is_of_policy && canaries.selector.selects(labels(other))
        };
        let of_policy: Vec<_> = self.hosts.keys().filter(is_canary).collect();
        assert!(!of_policy.is_empty(), "{node} starts without a canary");
        for canary in of_policy.iter().copied() {
            let record = self.records.get(canary);
            let is_back = record.is_none_or(|record| record.phase.is_ended() && record.failed_reboot.is_none());
            let needs = !matches!(self.hosts[canary].need, Ok(None));
            assert!(
                is_back && (!needs || self.is_skipped_and_replaced(canary, &of_policy)),
                "{node} starts before {canary}"
            );
        }
    }

    /// No node starts without the approval that its policy demands.
    fn must_be_approved(&self, node: &NodeName) {
        let terms = self.governing(node).and_then(|policy| policy.terms.clone().ok());
        let is_manual = terms.is_some_and(|terms| terms.approval == Approval::Manual);
        let is_approved = self.is_approved(node) || self.is_urgent(node);
        assert!(!is_manual || is_approved, "{node} starts without an approval");
    }

    /// No node starts too soon after its own reboots.
    fn must_not_be_braked(&self, node: &NodeName) {
        let Some((_, brakes)) = self.brakes(node) else { return };
        let last = self.records.get(node).and_then(|record| record.last_reboot.as_ref());
        if let (Some(interval), Some(last)) = (brakes.min_interval, last) {
            assert!(
                self.now.duration_since(last.began_at) >= interval,
                "{node} starts again soon"
            );
        }
    }

    /// No node starts, and no reboot is ordered, beside too many failed reboots of the week before the last one.
    fn must_not_be_stopped(&self, node: &NodeName) {
        let Some((policy, brakes)) = self.brakes(node) else {
            return;
        };
        let of_policy = |other: &&NodeName| self.brakes(other).is_some_and(|(name, _)| name == policy);
        let failed = self.records.iter();
        let failed = failed.filter_map(|(other, record)| Some((other, record.failed_reboot?.at)));
        let failed: Vec<_> = failed.filter(|(other, _)| of_policy(other)).collect();
        let last = failed.iter().map(|(_, at)| *at).max();
        let is_recent = |at: Timestamp| last.is_some_and(|last| last.duration_since(at) <= Policy::FAILURES_SPAN);
        let failed: Vec<_> = failed
            .into_iter()
            .filter(|(_, at)| is_recent(*at))
            .map(|(other, _)| other)
            .collect();
        let are_too_many = |failed: usize, max: u32| failed >= usize::try_from(max).unwrap();
        let stops = brakes.failures_max.is_some_and(|max| are_too_many(failed.len(), max));
        assert!(!stops, "{node} proceeds, and the reboots of {failed:?} failed");
        let Some(cohort) = &brakes.cohort else { return };
        for label in &cohort.labels {
            let value = |node: &NodeName| self.hosts[node].view.labels.get(label).cloned();
            let alike = failed
                .iter()
                .filter(|other| value(node).is_some() && value(other) == value(node));
            let stops = are_too_many(alike.count(), cohort.failures_max);
            assert!(!stops, "{node} proceeds, and the reboots of {failed:?} failed");
        }
    }

    pub(crate) fn said_why(&self) {
        let standings: BTreeMap<_, _> = self
            .fleet
            .standings()
            .map(|(node, standing)| (&node.name, standing))
            .collect();
        for (node, host) in &self.hosts {
            let standing = &standings[node];
            let going = matches!(standing.state, State::InProgress(_));
            let wanted = !matches!(host.need, Ok(None)) || self.is_annotated(host);
            let silent = (going || wanted) && standing.reason.is_none();
            self.must(Invariant::SaidWhy, fails_if(silent, "nothing is said", node));
        }
        self.counts_agree(standings.values());
    }

    /// The numbers for metrics are those of the nodes' standings.
    fn counts_agree<'a>(&self, standings: impl Iterator<Item = &'a Standing>) {
        let counts = self.fleet.counts();
        let (mut states, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        for standing in standings {
            *states.entry(standing.state).or_insert(0) += 1;
            let reason = standing.reason.as_ref();
            // What an attempt waits for is no reason to wait with the attempt.
            if let Some(reason) = reason.filter(|reason| !matches!(reason, Reason::InAttempt(..))) {
                *reasons.entry(reason.code()).or_insert(0) += 1;
            }
        }
        for state in State::ALL {
            let number = states.remove(&state).unwrap_or(0);
            assert_eq!(counts.in_state(state), number, "{}", state.as_str());
        }
        for code in Reason::CODES {
            assert_eq!(counts.with_reason(code), reasons.remove(code).unwrap_or(0), "{code}");
        }
        assert!(states.is_empty(), "states that are not in the list: {states:?}");
        let needs = self.hosts.keys().filter_map(|node| {
            let need = &self.fleet.sentinel(node)?.report.need;
            Some(need.required()?.first_since)
        });
        assert_eq!(counts.oldest_need(), needs.min());
    }
}

/// The rebooter waits for the end of this problem itself.
fn passes(problem: &Problem) -> bool {
    problem.code == ProblemCode::ShutdownInhibited
}

//! The fleet as operators and metrics read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_policy::{Governing, RebootPolicy};
use bellwether_proto::{Attempt, DrainProgress, FleetControl, HostReport, NodeName, Phase, RebooterReport};

use crate::admission::budget::Holder;
use crate::admission::{Full, Reason, Scope};
use crate::attempt::{LastLook, Service};
use crate::explain::{Basis, Blocker, Counts, PolicyNodes, PolicyStanding, Stand, Standing, State};
use crate::fleet::Fleet;
use crate::fleet::drain_checks::is_draining;
use crate::fleet::member::Member;
use crate::observed::{NodeView, PolicyView, StoredReport};
use crate::timers::Clock;
use crate::wait::Wait;

impl Fleet {
    /// The nodes with the standing of each, by name.
    pub fn standings(&self) -> impl Iterator<Item = (&NodeView, Standing)> {
        let numbers: BTreeMap<&NodeName, usize> = self.queue.in_order().zip(1..).collect();
        self.members.iter().filter_map(move |(name, member)| {
            let number = numbers.get(name).copied();
            Some((
                member.node.as_ref()?,
                self.fill_in(member, member.stand.as_ref()?, number),
            ))
        })
    }

    /// One node with its standing.
    #[must_use]
    pub fn standing(&self, name: &NodeName) -> Option<(&NodeView, Standing)> {
        let member = self.members.get(name)?;
        let number = member.place.as_ref().map(|place| self.queue.number(place));
        let standing = self.fill_in(member, member.stand.as_ref()?, number);
        Some((member.node.as_ref()?, standing))
    }

    fn fill_in(&self, member: &Member, stand: &Stand, number: Option<usize>) -> Standing {
        let mut full = Vec::new();
        if stand.state == State::Waiting {
            full = self.full(member, number);
        }
        let reason = match &stand.basis {
            Basis::None => self.reason_in_attempt(member),
            Basis::Reason(reason) => Some(reason.clone()),
            Basis::Queue if full.is_empty() => Some(self.no_slot(self.fleet_scope(), number)),
            Basis::Queue => Some(full.remove(0)),
        };
        let shut = stand.others.iter().map(|(reason, since)| Blocker {
            reason: reason.clone(),
            since: Some(*since),
        });
        let full = full.into_iter().map(|reason| Blocker { reason, since: None });
        Standing {
            state: stand.state,
            reason,
            since: stand.since,
            others: shut.chain(full).collect(),
        }
    }

    /// The scopes in which no slot is free for a node, the widest first.
    fn full(&self, member: &Member, number: Option<usize>) -> Vec<Reason> {
        let fleet = (self.budget.free() == 0).then(|| self.fleet_scope());
        let group = member.group.as_deref();
        let now = self.decided_at.unwrap_or_default();
        let by_policy = group.into_iter().flat_map(|group| self.policy_budgets.full(group, now));
        let full = fleet.into_iter().chain(by_policy);
        full.map(|full| self.no_slot(full, number)).collect()
    }

    fn no_slot(&self, full: Full, number: Option<usize>) -> Reason {
        Reason::NoSlot {
            scope: full.scope,
            slots: full.slots,
            holders: full.holders,
            taken: full.taken,
            place: number,
            unchecked: self.drain_checks.failure().map(str::to_owned),
        }
    }

    fn fleet_scope(&self) -> Full {
        Full {
            scope: Scope::Fleet,
            slots: usize::try_from(self.budget.slots()).unwrap_or(usize::MAX),
            taken: self.budget.taken(),
            holders: self.holders().take(Full::NAMED_MAX).collect(),
        }
    }

    /// The name of the policy that governs a node; none if none does.
    #[must_use]
    pub fn policy_of(&self, node: &NodeView) -> Option<String> {
        match self.blockers.policies.governing(node) {
            Governing::Policy(policy) => Some(policy.name.to_string()),
            Governing::BuiltIn | Governing::None | Governing::Conflict(..) => None,
        }
    }

    /// The policies of the cluster, by name. Costs by the number of nodes.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyStanding> {
        let policies = &self.blockers.policies;
        let mut standings: BTreeMap<&str, PolicyStanding> = policies
            .iter()
            .map(|(view, policy)| (view.name.as_str(), self.policy_standing(view, policy)))
            .collect();
        if standings.is_empty() {
            return Vec::new();
        }
        for member in self.members.values() {
            let Some(node) = &member.node else { continue };
            match policies.governing(node) {
                Governing::Policy(policy) => {
                    if let Some(standing) = standings.get_mut(&*policy.name) {
                        count(&mut standing.nodes, member);
                    }
                }
                Governing::Conflict(first, second) => {
                    for (of, with) in [(&first, &second), (&second, &first)] {
                        if let Some(standing) = standings.get_mut(&*of.name) {
                            standing
                                .conflict
                                .get_or_insert_with(|| (Arc::clone(&with.name), node.name.clone()));
                        }
                    }
                }
                Governing::BuiltIn | Governing::None => (),
            }
        }
        for (policy, outlook) in self.outlook().policies {
            if let Some(standing) = standings.get_mut(&*policy) {
                standing.opening_ends_at = outlook.until;
                standing.left_over = Some(outlook.left_over.len());
                standing.first_left_over = outlook.left_over;
                standing.first_left_over.truncate(PolicyStanding::LEFT_OVER_NAMED_MAX);
            }
        }
        standings.into_values().collect()
    }

    fn policy_standing(&self, view: &PolicyView, policy: &RebootPolicy) -> PolicyStanding {
        let calendar = self.blockers.policies.state(policy);
        let terms = policy.terms.as_ref().ok();
        let blackout = terms
            .zip(calendar)
            .and_then(|(terms, state)| terms.calendar.blackout_of(state));
        PolicyStanding {
            name: view.name.clone(),
            generation: view.generation,
            faults: policy.faults(),
            conflict: None,
            stopped: self.blockers.failures.of_policy(&policy.name).map(ToString::to_string),
            failed_canary: self.blockers.canaries.failed(&policy.name),
            stopped_cohorts: self
                .blockers
                .failures
                .of_cohorts(&policy.name)
                .map(|(cohort, stop)| format!("{cohort}: {stop}"))
                .collect(),
            calendar,
            blackout: blackout.map(|blackout| blackout.reason().to_owned()),
            nodes: PolicyNodes::default(),
            budget: self.policy_budgets.usage(&view.name),
            opening_ends_at: None,
            left_over: None,
            first_left_over: Vec::new(),
        }
    }

    fn holders(&self) -> impl Iterator<Item = (NodeName, Holder)> {
        self.budget.holders().map(|(name, holder)| (name.clone(), holder))
    }

    /// How many nodes there are in each state and with each reason.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Each Node object's name, and whether its host needs a reboot, as far as its sentinel reports.
    pub fn needs(&self) -> impl Iterator<Item = (&NodeName, bool)> {
        let nodes = self.members.iter().filter(|(_, member)| member.node.is_some());
        nodes.map(|(name, member)| (name, member.need_since().is_some()))
    }

    /// A sentinel's last report.
    #[must_use]
    pub fn sentinel(&self, node: &NodeName) -> Option<&StoredReport<HostReport>> {
        self.members.get(node)?.sentinel.as_ref()
    }

    /// A rebooter's last report.
    #[must_use]
    pub fn rebooter(&self, node: &NodeName) -> Option<&StoredReport<RebooterReport>> {
        self.members.get(node)?.rebooter.as_ref()
    }

    /// A node's present or last attempt.
    #[must_use]
    pub fn attempt(&self, node: &NodeName) -> Option<&Attempt> {
        self.members.get(node)?.attempt.as_deref()
    }

    /// Every present or last attempt.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.members.values().filter_map(|member| member.attempt.as_deref())
    }

    /// How far a node's drain is, while it drains.
    #[must_use]
    pub fn drain(&self, node: &NodeName) -> Option<&DrainProgress> {
        let member = self.members.get(node)?;
        let draining = member
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.phase == Phase::Draining);
        member.drain.as_deref().filter(|_| draining)
    }

    /// The nodes whose drains are under way, by name.
    pub fn draining(&self) -> impl Iterator<Item = &NodeName> {
        let holders = self.budget.holders().map(|(name, _)| name);
        holders.filter(|name| self.attempt(name).is_some_and(is_draining))
    }

    /// The operators' orders.
    #[must_use]
    pub fn control(&self) -> Option<&FleetControl> {
        self.blockers.orders.control()
    }

    /// The rivals that keep every node from starting; none if there are none or they are tolerated.
    #[must_use]
    pub fn rivals(&self) -> Option<Reason> {
        self.blockers.rival_reason()
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.budget.slots()
    }

    /// How many nodes take a slot.
    #[must_use]
    pub fn slots_taken(&self) -> usize {
        self.budget.taken()
    }

    /// The next thing that has to happen in a node's running attempt; none if no attempt is running.
    fn reason_in_attempt(&self, member: &Member) -> Option<Reason> {
        let attempt = member.attempt.as_deref()?;
        let observation = member.observation()?;
        let wait = Wait::of(attempt, &observation)?;
        if wait == Wait::DrainedNode
            && attempt.drained_at.is_some()
            && let Some(until) = attempt.reboot_not_before
            && self.decided_at < Some(until)
        {
            let message = format!("the node is drained, and its reboot is delayed by its policy until {until:.0}");
            return Some(Reason::InAttempt(Wait::RebootDelay, message));
        }
        if wait == Wait::DrainedNode
            && let LastLook::Waits(reason) =
                self.last_look(member, attempt, &observation, &Clock::new(self.decided_at?))
        {
            return Some(Reason::InAttempt(Wait::GateReading, reason.message()));
        }
        if wait == Wait::NewBootReports
            && let Service::Missing(missing) =
                self.service(member, attempt, &observation, &Clock::new(self.decided_at?))
        {
            return Some(Reason::InAttempt(
                Wait::Service,
                format!("the node is Ready in its new boot: {missing}"),
            ));
        }
        if wait == Wait::Soak
            && let Some(reason) = self.soak_is_held_by(attempt, observation.node)
            && attempt
                .deadline
                .is_some_and(|deadline| self.decided_at >= Some(deadline))
        {
            return Some(Reason::InAttempt(
                wait,
                format!("the soak is kept on: {}", reason.message()),
            ));
        }
        let ending = attempt.ending.as_ref().map(|ending| &ending.message);
        let detail = match (wait, &member.drain, ending) {
            (Wait::Drain, Some(progress), _) => progress.to_string(),
            (Wait::RebootCall | Wait::Reboot, ..) => match observation.hindrance_of_reboot(attempt) {
                Some(problem) => format!("the rebooter has its order, and reports: {}", problem.message),
                None => String::new(),
            },
            // Of running attempts only one that is rolled back has an ending already.
            (_, _, Some(ending)) => format!("{}, after: {ending}", wait.message()),
            _ => String::new(),
        };
        Some(Reason::InAttempt(wait, detail))
    }
}

fn count(nodes: &mut PolicyNodes, member: &Member) {
    nodes.governed += 1;
    match member.stand.as_ref().map(|stand| stand.state) {
        Some(State::Waiting) => nodes.waiting += 1,
        Some(State::InProgress(_)) => nodes.in_progress += 1,
        Some(State::Failed) => nodes.failed += 1,
        Some(State::Idle | State::Unknown) | None => (),
    }
}

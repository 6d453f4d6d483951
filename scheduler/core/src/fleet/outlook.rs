//! The outlook of the queue: the fleet as the forecast needs it, and the forecast by policy and node.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_policy::calendar::{CalendarState, Opening};
use bellwether_policy::{Governing, RebootPolicy, Terms};
use bellwether_proto::{Attempt, NodeName, Phase};
use jiff::{SignedDuration, Timestamp};

use crate::admission::budget::Holder;
use crate::admission::{self, Foreseen, Group, Limits, Place, Reason, TopologyLimits};
use crate::explain::forecast::{self, CanaryPlan, Held, Plan, Scene, Standpoint, TopologyPlan, Waiting};
use crate::explain::{Basis, Outlook, PolicyOutlook, Stand, State, Turn};
use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::timers::{Clock, later};

/// Most nodes that are played ahead: twice the largest fleet that Bellwether is measured with, so that an answer takes a
/// fraction of a second, also with hundreds of groups. Further nodes count as left over.
const NODES_MAX: usize = 10_000;

/// The policies without mistakes, each with its number in the scene and its limits.
type Policies<'a> = BTreeMap<&'a str, (usize, &'a Arc<RebootPolicy>, Limits<'a>)>;

impl Fleet {
    /// When each node that waits would start, and whether the openings suffice, as of the last decision. Costs n log n by
    /// the number of nodes.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let Some(now) = self.decided_at else {
            return Outlook::default();
        };
        let policies: Policies<'_> = self
            .blockers
            .policies
            .iter()
            .filter(|(_, policy)| policy.terms.is_ok())
            .map(|(_, policy)| policy)
            .enumerate()
            .map(|(number, policy)| {
                (
                    &*policy.name,
                    (number, policy, self.policy_budgets.limits(&policy.name)),
                )
            })
            .collect();
        let mut waiting: Vec<_> = self
            .members
            .values()
            .filter_map(|member| self.waiting(member, &policies, now))
            .collect();
        waiting.sort_by(|(place, _), (other, _)| place.cmp(other));
        let beyond = waiting.split_off(waiting.len().min(NODES_MAX));
        let (places, nodes): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let mut plans: Vec<_> = policies.values().collect();
        plans.sort_by_key(|(number, ..)| *number);
        let scene = Scene {
            now,
            slots: usize::try_from(self.budget.slots()).unwrap_or(usize::MAX),
            policies: plans
                .iter()
                .map(|(_, policy, limits)| self.plan(policy, limits, now))
                .collect(),
            held: self
                .budget
                .holders()
                .map(|(name, holder)| self.held(name, holder, &policies, now))
                .collect(),
            nodes,
        };
        let starts = forecast::starts(&scene);
        let mut outlook = Outlook::default();
        let mut of_policies: Vec<_> = scene.policies.iter().map(|plan| of_plan(plan, now)).collect();
        let nodes = places.into_iter().zip(scene.nodes.iter().zip(starts));
        let nodes = nodes.map(|(place, (node, start))| (place, node.at.policy, start));
        let beyond = beyond.into_iter().map(|(place, node)| (place, node.at.policy, None));
        for (place, policy, start) in nodes.chain(beyond) {
            let of_policy = policy.and_then(|policy| of_policies.get_mut(policy));
            // Without an end every node fits, also one of which it is not known when.
            let is_endless = |policy: &PolicyOutlook| policy.until.is_none() && !policy.is_never_open;
            let fits = start.is_some() || of_policy.as_deref().is_none_or(is_endless);
            match of_policy {
                Some(of_policy) if fits => of_policy.fitting += 1,
                Some(of_policy) => of_policy.left_over.push(place.node.clone()),
                None => (),
            }
            let turn = start
                .map(Turn::StartsAt)
                .or_else(|| (!fits).then_some(Turn::DoesNotFit));
            outlook.nodes.extend(turn.map(|turn| (place.node, turn)));
        }
        let names = plans.iter().map(|(_, policy, _)| Arc::clone(&policy.name));
        outlook.policies = names.zip(of_policies).collect();
        outlook
    }

    fn plan(&self, policy: &RebootPolicy, limits: &Limits<'_>, now: Timestamp) -> Plan {
        let terms = policy.terms.as_ref().ok();
        let opening = terms
            .zip(self.blockers.policies.state(policy))
            .and_then(|(terms, state)| opening(terms, state, now));
        let soak = terms.and_then(|terms| Some(terms.canaries.as_ref()?.soak));
        Plan {
            opening,
            has_begun: self.policy_budgets.has_begun(&policy.name, now),
            max_unavailable: limits.max_unavailable,
            topology: limits
                .topology
                .iter()
                .map(|topology| TopologyPlan {
                    max_domains: topology.max_domains,
                    max_nodes: topology.max_nodes.values().copied().collect(),
                })
                .collect(),
            canaries: soak.and_then(|soak| {
                let left = self.blockers.canaries.left(&policy.name)?;
                Some(CanaryPlan { left, soak })
            }),
        }
    }

    /// A node that waits for time, slots or openings alone, with its place; none: for something else, or not at all.
    fn waiting(&self, member: &Member, policies: &Policies<'_>, now: Timestamp) -> Option<(Place, Waiting)> {
        let stand = member.stand.as_ref().filter(|stand| stand.state == State::Waiting)?;
        let ready_at = ready_at(stand, now)?;
        let observation = member.observation()?;
        let need = observation.sentinel?.report.need.required()?;
        let governing = self.blockers.policies.governing(observation.node);
        let last = member.attempt.as_deref();
        let is_urgent = self.blockers.orders.is_urgent(&observation.node.name, &Clock::new(now));
        let place = admission::place(observation.node, &governing, need, last, is_urgent);
        let mut at = self.standpoint(member, &governing, policies)?;
        at.is_urgent = is_urgent;
        let terms = governing.terms();
        let longest = admission::longest_drain(terms, &self.policy);
        let margin = terms.map_or(longest, |terms| admission::margin(terms, last, &self.policy));
        let waiting = Waiting {
            at,
            ready_at,
            margin,
            duration: last.and_then(time_of_last).unwrap_or(margin),
        };
        Some((place, waiting))
    }

    /// A disrupted node. Only an attempt that is running ends at a time that can be estimated.
    fn held(&self, name: &NodeName, holder: Holder, policies: &Policies<'_>, now: Timestamp) -> Held {
        let member = self.members.get(name);
        let node = member.and_then(|member| member.node.as_ref());
        let governing = node.map_or(Governing::BuiltIn, |node| self.blockers.policies.governing(node));
        let at = member.and_then(|member| self.standpoint(member, &governing, policies));
        let attempt = member.and_then(|member| member.attempt.as_deref());
        let until = attempt
            .filter(|attempt| matches!(holder, Holder::Attempt(_)) && !attempt.phase.is_ended())
            .map(|attempt| {
                let margin = governing.terms().and_then(|terms| terms.start_margin);
                let needs = margin.unwrap_or_else(|| admission::longest_drain(governing.terms(), &self.policy));
                later(attempt.started_at(), needs).max(now)
            });
        Held {
            at: at.unwrap_or_default(),
            is_attempt: holder.is_attempt(),
            until,
        }
    }

    /// Where a node counts; none if its policy is not of the scene.
    fn standpoint(&self, member: &Member, governing: &Governing, policies: &Policies<'_>) -> Option<Standpoint> {
        let node = member.node.as_ref();
        let name = match governing {
            Governing::Policy(policy) => Some(&*policy.name),
            Governing::BuiltIn | Governing::None | Governing::Conflict(..) => {
                // A host without a Node still counts where it did.
                member.group.as_deref().map(Group::policy)
            }
        };
        let known = match name {
            Some(name) => Some(policies.get(name)?),
            None => None,
        };
        let domains = known.zip(member.group.as_deref()).map(|((_, _, limits), group)| {
            let values = limits.topology.iter().zip(group.domains());
            let number = |(topology, value): (&TopologyLimits<'_>, &String)| {
                let mut known = topology.max_nodes.keys();
                known.position(|known| known == value).unwrap_or(usize::MAX)
            };
            values.map(number).collect()
        });
        let canaries = governing.terms().and_then(|terms| terms.canaries.as_ref());
        let is_canary = canaries.zip(node);
        Some(Standpoint {
            policy: known.map(|(number, ..)| *number),
            domains: domains.unwrap_or_default(),
            control_plane: node.is_some_and(|node| node.control_plane),
            canary: is_canary.is_some_and(|(canaries, node)| canaries.selector.selects(&node.labels)),
            is_urgent: false,
        })
    }
}

/// The present opening, or the next one.
fn opening(terms: &Terms, state: CalendarState, now: Timestamp) -> Option<Opening> {
    match state {
        CalendarState::Open { until, .. } => Some(Opening { start: now, end: until }),
        CalendarState::Shut { opens_at, .. } => terms.calendar.openings(opens_at?, 1).first().copied(),
    }
}

fn of_plan(plan: &Plan, now: Timestamp) -> PolicyOutlook {
    PolicyOutlook {
        opens_at: plan.opening.map(|opening| opening.start).filter(|start| *start > now),
        until: plan.opening.and_then(|opening| opening.end),
        is_never_open: plan.opening.is_none(),
        ..PolicyOutlook::default()
    }
}

/// From when on only slots and openings keep a node; none: not by time alone.
fn ready_at(stand: &Stand, now: Timestamp) -> Option<Timestamp> {
    let first = match &stand.basis {
        Basis::None => return None,
        Basis::Queue => None,
        Basis::Reason(reason) => Some(reason),
    };
    let others = stand.others.iter().map(|(reason, _)| reason);
    first
        .into_iter()
        .chain(others)
        .map(Reason::foreseen)
        .try_fold(now, |ready_at, foreseen| match foreseen {
            Foreseen::At(at) => Some(ready_at.max(at)),
            Foreseen::InTurn => Some(ready_at),
            Foreseen::Never => None,
        })
}

/// How long the last attempt took a slot, if it led to a completed reboot.
fn time_of_last(last: &Attempt) -> Option<SignedDuration> {
    let last_entered = last.history.last().filter(|entered| entered.phase == Phase::Done)?;
    let time = last_entered.at.duration_since(last.started_at());
    Some(time.max(SignedDuration::ZERO))
}

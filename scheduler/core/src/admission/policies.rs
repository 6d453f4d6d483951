//! The policies of the cluster, each with the state of its calendar at the last decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_policy::calendar::CalendarState;
use bellwether_policy::{Governing, Policies, RebootPolicy};
use jiff::Timestamp;

use crate::observed::{NodeView, PolicyView};

/// All policies, and when each one lets nodes start.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicyStates {
    views: Vec<PolicyView>,
    policies: Policies,
    have_canaries: bool,
    name_annotations: bool,
    /// By name, of the policies without mistakes.
    states: BTreeMap<Arc<str>, Known>,
}

/// The state of a calendar, and the instant that it was asked for.
#[derive(Debug, Clone, Copy)]
struct Known {
    at: Timestamp,
    state: CalendarState,
}

impl Known {
    fn is_valid(&self, now: Timestamp) -> bool {
        self.at <= now && self.state.valid_until().is_none_or(|until| now < until)
    }
}

impl PolicyStates {
    /// Takes all policies of the cluster.
    pub(crate) fn set(&mut self, views: Vec<PolicyView>) {
        self.policies = Policies::new(
            views
                .iter()
                .map(|view| RebootPolicy::read(view.name.as_str().into(), &view.spec)),
        );
        let has_canaries =
            |policy: &Arc<RebootPolicy>| policy.terms.as_ref().is_ok_and(|terms| terms.canaries.is_some());
        self.have_canaries = self.policies.iter().any(has_canaries);
        let names_annotations = |policy: &Arc<RebootPolicy>| {
            policy
                .terms
                .as_ref()
                .is_ok_and(|terms| !terms.need_annotations.is_empty())
        };
        self.name_annotations = self.policies.iter().any(names_annotations);
        self.states.clear();
        self.views = views;
    }

    /// A policy has canaries.
    pub(crate) fn have_canaries(&self) -> bool {
        self.have_canaries
    }

    /// A policy names annotations as needs.
    pub(crate) fn name_annotations(&self) -> bool {
        self.name_annotations
    }

    /// The policies as they were given.
    pub(crate) fn into_views(self) -> Vec<PolicyView> {
        self.views
    }

    /// The generation of the spec of a policy.
    pub(crate) fn generation(&self, name: &str) -> i64 {
        let view = self.views.iter().find(|view| view.name == name);
        view.map_or(0, |view| view.generation)
    }

    /// Each policy with its view.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PolicyView, &Arc<RebootPolicy>)> {
        let of_name = |name: &str| self.policies.iter().find(move |policy| *policy.name == *name);
        self.views
            .iter()
            .filter_map(move |view| Some((view, of_name(&view.name)?)))
    }

    /// Asks each calendar whose last answer is not valid at this instant.
    pub(crate) fn refresh(&mut self, now: Timestamp) {
        for policy in self.policies.iter() {
            let Ok(terms) = &policy.terms else { continue };
            if self.states.get(&policy.name).is_none_or(|known| !known.is_valid(now)) {
                let state = terms.calendar.state_at(now);
                self.states.insert(Arc::clone(&policy.name), Known { at: now, state });
            }
        }
    }

    /// The state of a policy's calendar at the last decision; none if the policy has a mistake.
    pub(crate) fn state(&self, policy: &RebootPolicy) -> Option<CalendarState> {
        self.states.get(&policy.name).map(|known| known.state)
    }

    /// The name of the policy of a node, for reasons; `-` if there is not exactly one.
    pub(crate) fn name_for(&self, node: &NodeView) -> Arc<str> {
        match self.governing(node) {
            Governing::Policy(policy) => Arc::clone(&policy.name),
            Governing::BuiltIn | Governing::None | Governing::Conflict(..) => "-".into(),
        }
    }

    /// What governs a node.
    pub(crate) fn governing(&self, node: &NodeView) -> Governing {
        self.policies.governing(&node.labels)
    }
}

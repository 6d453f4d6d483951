//! The budgets of policies: how many of a policy's nodes, of a zone's nodes, and of its zones may be disrupted at once.
//!
//! A node that waits for its turn is in the queue of its [`Group`]; whether a group has a place left is asked when a
//! slot is free. So an attempt that ends touches no other node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bellwether_policy::{Amount, Budget, Governing, RampUp, RebootPolicy, Topology};
use bellwether_proto::NodeName;
use jiff::Timestamp;

use crate::admission::budget::Holder;
use crate::observed::NodeView;
use crate::policy::Policy;
use crate::timers::later;

/// Where a node counts: its policy, and its domain by each topology key of that policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    policy: Arc<str>,
    domains: Vec<String>,
}

impl Group {
    /// The name of the policy.
    pub(crate) fn policy(&self) -> &str {
        &self.policy
    }

    /// The value of each label of the policy's topology.
    pub(crate) fn domains(&self) -> &[String] {
        &self.domains
    }

    /// The group of a node; none if no policy without a mistake governs the node, or its policy limits nothing.
    pub(crate) fn of(node: &NodeView, governing: &Governing) -> Option<(Arc<Self>, Arc<RebootPolicy>)> {
        let Governing::Policy(policy) = governing else {
            return None;
        };
        let budget = &policy.terms.as_ref().ok()?.budget;
        if budget.is_unlimited() {
            return None;
        }
        let domain = |key: &String| node.labels.get(key).cloned().unwrap_or_default();
        let group = Self {
            policy: Arc::clone(&policy.name),
            domains: budget.topology.iter().map(|topology| domain(&topology.key)).collect(),
        };
        Some((Arc::new(group), Arc::clone(policy)))
    }
}

/// The limits of a policy's nodes as numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits<'a> {
    /// Of all nodes.
    pub(crate) max_unavailable: Option<usize>,
    /// By label.
    pub(crate) topology: Vec<TopologyLimits<'a>>,
}

/// The limits by the values of one label.
#[derive(Debug, Clone)]
pub(crate) struct TopologyLimits<'a> {
    /// Of the values at once.
    pub(crate) max_domains: Option<usize>,
    /// Of the nodes of each value.
    pub(crate) max_nodes: BTreeMap<&'a str, Option<usize>>,
}

/// A set of nodes of which all that may be disrupted at once are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All nodes, by the scheduler's slots.
    Fleet,
    /// The nodes of a policy.
    Policy(Arc<str>),
    /// The nodes of a policy of which none has come back from a reboot yet.
    First(Arc<str>),
    /// The nodes of a policy with one value of a label.
    Domain {
        /// The policy.
        policy: Arc<str>,
        /// The label.
        key: String,
        /// Its value; empty: the nodes without the label.
        domain: String,
    },
    /// The values of a label that nodes of a policy have: so many of them may have disrupted nodes.
    Domains {
        /// The policy.
        policy: Arc<str>,
        /// The label.
        key: String,
    },
}

/// A scope that is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) scope: Scope,
    /// How many nodes, or domains, may be disrupted at once.
    pub(crate) slots: usize,
    /// How many are; more than that if nodes went down by themselves.
    pub(crate) taken: usize,
    /// The first few disrupted nodes: operators read them in one line.
    pub(crate) holders: Vec<(NodeName, Holder)>,
}

impl Full {
    /// How many disrupted nodes are named.
    pub(crate) const NAMED_MAX: usize = 3;
}

/// How far the budget of a policy is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyUsage {
    /// Nodes that are disrupted, by us or otherwise.
    pub unavailable: usize,
    /// Nodes that may be: `maxUnavailable`, as a number.
    pub max_unavailable: usize,
}

/// The disrupted nodes of each policy that has a budget.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicyBudgets {
    by_policy: BTreeMap<Arc<str>, Usage>,
}

#[derive(Debug, Clone)]
struct Usage {
    policy: Arc<RebootPolicy>,
    /// All nodes of the policy.
    nodes: Members,
    /// By the index of the topology key, then by domain.
    domains: Vec<BTreeMap<String, Members>>,
    /// When each node that a reboot ended well came back.
    back: BTreeSet<(Timestamp, NodeName)>,
}

/// The nodes of a policy or a domain.
#[derive(Debug, Clone, Default)]
struct Members {
    count: usize,
    holders: BTreeMap<NodeName, Holder>,
}

impl Members {
    fn set(&mut self, node: &NodeName, holder: Option<Holder>) {
        match holder {
            Some(holder) => self.holders.insert(node.clone(), holder),
            None => self.holders.remove(node),
        };
    }

    /// The scope of these nodes, if so many of them are disrupted as may be.
    fn full(&self, limit: Option<Amount>, scope: impl FnOnce() -> Scope) -> Option<Full> {
        let slots = limit?.of(self.count);
        (self.holders.len() >= slots).then(|| Full {
            scope: scope(),
            slots,
            taken: self.holders.len(),
            holders: named(self.holders.iter()),
        })
    }
}

impl PolicyBudgets {
    /// States in which group a node is, in place of the one before.
    pub(crate) fn move_node(
        &mut self,
        node: &NodeName,
        old: Option<&Arc<Group>>,
        new: Option<&(Arc<Group>, Arc<RebootPolicy>)>,
    ) {
        if old == new.map(|(group, _)| group) {
            return;
        }
        if let Some(old) = old {
            self.leave(node, old);
        }
        if let Some((group, policy)) = new {
            let usage = self
                .by_policy
                .entry(Arc::clone(&group.policy))
                .or_insert_with(|| Usage {
                    policy: Arc::clone(policy),
                    nodes: Members::default(),
                    domains: vec![BTreeMap::new(); group.domains.len()],
                    back: BTreeSet::new(),
                });
            usage.nodes.count += 1;
            for (domains, domain) in usage.domains.iter_mut().zip(&group.domains) {
                domains.entry(domain.clone()).or_default().count += 1;
            }
        }
    }

    fn leave(&mut self, node: &NodeName, group: &Group) {
        self.set(node, Some(group), None);
        let Some(usage) = self.by_policy.get_mut(&group.policy) else {
            return;
        };
        usage.back.retain(|(_, of)| of != node);
        usage.nodes.count = usage.nodes.count.saturating_sub(1);
        for (domains, domain) in usage.domains.iter_mut().zip(&group.domains) {
            if let Some(members) = domains.get_mut(domain) {
                members.count = members.count.saturating_sub(1);
                if members.count == 0 {
                    domains.remove(domain);
                }
            }
        }
        if usage.nodes.count == 0 {
            self.by_policy.remove(&group.policy);
        }
    }

    /// States whether a node of a group is disrupted, and why.
    pub(crate) fn set(&mut self, node: &NodeName, group: Option<&Group>, holder: Option<Holder>) {
        let usage = group.and_then(|group| Some((group, self.by_policy.get_mut(&group.policy)?)));
        let Some((group, usage)) = usage else { return };
        usage.nodes.set(node, holder);
        for (domains, domain) in usage.domains.iter_mut().zip(&group.domains) {
            if let Some(members) = domains.get_mut(domain) {
                members.set(node, holder);
            }
        }
    }

    /// States when a node of a group came back from its last reboot, in place of the time before.
    pub(crate) fn set_back(
        &mut self,
        node: &NodeName,
        group: Option<&Group>,
        before: Option<Timestamp>,
        at: Option<Timestamp>,
    ) {
        let usage = group.and_then(|group| self.by_policy.get_mut(&group.policy));
        let Some(usage) = usage else { return };
        if let Some(before) = before {
            usage.back.remove(&(before, node.clone()));
        }
        usage.back.extend(at.map(|at| (at, node.clone())));
    }

    /// The use of a policy's budget, and the budget; none of a policy that limits nothing.
    fn budget_of(&self, policy: &str) -> Option<(&Usage, &Budget)> {
        let usage = self.by_policy.get(policy)?;
        Some((usage, &usage.policy.terms.as_ref().ok()?.budget))
    }

    /// A node of this group may be disrupted more; so may one without a group.
    pub(crate) fn has_room(&self, group: Option<&Group>, now: Timestamp) -> bool {
        group.is_none_or(|group| self.full(group, now).next().is_none())
    }

    /// The first node of the rollout of a policy is back, or need not go alone.
    pub(crate) fn has_begun(&self, policy: &str, now: Timestamp) -> bool {
        let budget = self.budget_of(policy);
        budget.is_none_or(|(usage, budget)| usage.has_begun(budget, now))
    }

    /// All that keeps a node of this group from its turn, the widest scope first.
    pub(crate) fn full(&self, group: &Group, now: Timestamp) -> impl Iterator<Item = Full> {
        let budget = self.budget_of(&group.policy);
        budget.into_iter().flat_map(move |(usage, budget)| {
            let first = usage.first_alone(budget, now);
            let policy = usage.full_policy(budget);
            first.into_iter().chain(policy).chain(usage.full_domains(budget, group))
        })
    }

    /// The limits of a policy's nodes; none of a policy without a budget.
    pub(crate) fn limits(&self, policy: &str) -> Limits<'_> {
        let Some((usage, budget)) = self.budget_of(policy) else {
            return Limits::default();
        };
        let of_count = |amount: Option<Amount>, count| Some(amount?.of(count));
        let topology = budget.topology.iter().zip(&usage.domains);
        Limits {
            max_unavailable: of_count(budget.max_unavailable, usage.nodes.count),
            topology: topology
                .map(|(topology, domains)| {
                    let nodes = domains.iter().map(|(domain, members)| {
                        let max = of_count(topology.max_unavailable, members.count);
                        (domain.as_str(), max)
                    });
                    TopologyLimits {
                        max_domains: domains_max(topology),
                        max_nodes: nodes.collect(),
                    }
                })
                .collect(),
        }
    }

    /// How many nodes of a policy are disrupted, and how many may be; none if the policy has no such limit.
    pub(crate) fn usage(&self, policy: &str) -> Option<PolicyUsage> {
        let (usage, budget) = self.budget_of(policy)?;
        let limit = budget.max_unavailable?;
        Some(PolicyUsage {
            unavailable: usage.nodes.holders.len(),
            max_unavailable: limit.of(usage.nodes.count),
        })
    }
}

impl Usage {
    /// The first node of the rollout is back, or need not go alone.
    fn has_begun(&self, budget: &Budget, now: Timestamp) -> bool {
        let last = self.back.last().map(|(at, _)| *at);
        let is_back = last.is_some_and(|last| now <= later(last, Policy::ROLLOUT_PAUSE));
        budget.ramp_up == RampUp::None || is_back
    }

    /// The attempts under way, as long as no node has come back from a reboot.
    fn first_alone(&self, budget: &Budget, now: Timestamp) -> Option<Full> {
        if self.has_begun(budget, now) {
            return None;
        }
        let attempts = || self.nodes.holders.iter().filter(|(_, holder)| holder.is_attempt());
        let taken = attempts().count();
        (taken > 0).then(|| Full {
            scope: Scope::First(Arc::clone(&self.policy.name)),
            slots: 1,
            taken,
            holders: named(attempts()),
        })
    }

    fn full_policy(&self, budget: &Budget) -> Option<Full> {
        let scope = || Scope::Policy(Arc::clone(&self.policy.name));
        self.nodes.full(budget.max_unavailable, scope)
    }

    fn full_domains(&self, budget: &Budget, group: &Group) -> impl Iterator<Item = Full> {
        let topologies = budget.topology.iter().zip(&self.domains).zip(&group.domains);
        topologies.flat_map(|((topology, domains), domain)| {
            let members = domains.get(domain);
            let one = members.and_then(|members| {
                members.full(topology.max_unavailable, || Scope::Domain {
                    policy: Arc::clone(&self.policy.name),
                    key: topology.key.clone(),
                    domain: domain.clone(),
                })
            });
            // A domain that has disrupted nodes already is none more.
            let is_new = members.is_none_or(|members| members.holders.is_empty());
            let all = is_new.then(|| self.full_domains_of(topology, domains)).flatten();
            all.into_iter().chain(one)
        })
    }

    fn full_domains_of(&self, topology: &Topology, domains: &BTreeMap<String, Members>) -> Option<Full> {
        let slots = domains_max(topology)?;
        let disrupted = || domains.values().filter(|members| !members.holders.is_empty());
        let taken = disrupted().count();
        (taken >= slots).then(|| Full {
            scope: Scope::Domains {
                policy: Arc::clone(&self.policy.name),
                key: topology.key.clone(),
            },
            slots,
            taken,
            // One of each domain.
            holders: named(disrupted().filter_map(|members| members.holders.first_key_value())),
        })
    }
}

fn domains_max(topology: &Topology) -> Option<usize> {
    let max = topology.max_domains?.get();
    Some(usize::try_from(max).unwrap_or(usize::MAX))
}

fn named<'a>(holders: impl Iterator<Item = (&'a NodeName, &'a Holder)>) -> Vec<(NodeName, Holder)> {
    let named = holders.take(Full::NAMED_MAX);
    named.map(|(node, holder)| (node.clone(), *holder)).collect()
}

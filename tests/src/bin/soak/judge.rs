//! The judge: what the API server showed, in the order of its versions, against the promises. Pure, and without any
//! knowledge of Bellwether's records and events.
//!
//! All objects of a control plane share one counter of versions, so a pod's change and a node's change have an order
//! although two watches deliver them.

use std::collections::{BTreeMap, BTreeSet};

/// More is not read.
const VIOLATIONS_MAX: usize = 50;

/// A disruption budget by the numbers with which the soak made it.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) name: String,
    /// The label `app` of its pods.
    pub(crate) app: String,
    /// So many of them have to be healthy.
    pub(crate) desired: usize,
}

/// A pod as the API server showed it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodView {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) app: String,
    pub(crate) node: Option<String>,
    pub(crate) version: u64,
    pub(crate) ready: bool,
    pub(crate) deleting: bool,
    /// The Eviction API marked it.
    pub(crate) evicted: bool,
    /// It belongs to a DaemonSet.
    pub(crate) stays: bool,
}

/// A node as the API server showed it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeView {
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) cordoned: bool,
    /// The attempt that it is cordoned for.
    pub(crate) mark: Option<String>,
}

/// The knowledge of a pod that is there.
#[derive(Debug)]
struct Pod {
    name: String,
    app: String,
    deleting: bool,
    /// It was ready once. Later it may count as not ready because its node was not heard: that is no disruption of ours.
    was_ready: bool,
}

/// A node's state from a version on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cordon {
    from: u64,
    cordoned: bool,
    mark: Option<String>,
    /// Changes before it may have been missed: the watch began again.
    after_gap: bool,
}

impl Cordon {
    fn is_of_attempt(&self) -> bool {
        self.cordoned && self.mark.is_some()
    }
}

#[derive(Debug)]
struct Eviction {
    pod: String,
    node: String,
    version: u64,
}

/// Everything observed so far.
#[derive(Debug)]
pub(crate) struct Judge {
    slots: usize,
    budgets: Vec<Budget>,
    pods: BTreeMap<String, Pod>,
    nodes: BTreeMap<String, Vec<Cordon>>,
    evictions: Vec<Eviction>,
    violations: Vec<String>,
    most_cordoned: usize,
    /// The pods of a list that has begun; none between lists.
    listed_pods: Option<BTreeSet<String>>,
    lists_nodes: bool,
    unseen: usize,
    tightest: BTreeMap<String, usize>,
}

impl Judge {
    pub(crate) fn new(slots: usize, budgets: Vec<Budget>) -> Self {
        Self {
            slots,
            budgets,
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            evictions: Vec::new(),
            violations: Vec::new(),
            most_cordoned: 0,
            listed_pods: None,
            lists_nodes: false,
            unseen: 0,
            tightest: BTreeMap::new(),
        }
    }

    /// A list of all pods begins, since the watch does.
    pub(crate) fn pods_begin(&mut self) {
        self.listed_pods = Some(BTreeSet::new());
    }

    /// The list is complete: pods that are not in it are gone.
    pub(crate) fn pods_end(&mut self) {
        let Some(listed) = self.listed_pods.take() else {
            return;
        };
        let before = self.pods.len();
        // A pod of which the watch had shown no deletion went unseen.
        self.unseen += self
            .pods
            .iter()
            .filter(|(uid, pod)| !pod.deleting && !listed.contains(*uid))
            .count();
        self.pods.retain(|uid, _| listed.contains(uid));
        debug_assert!(self.pods.len() <= before, "a list adds no pod at its end");
    }

    /// A pod was listed, or has changed.
    pub(crate) fn pod(&mut self, view: PodView) {
        if let Some(listed) = &mut self.listed_pods {
            listed.insert(view.uid.clone());
        }
        let pod = self.pods.entry(view.uid.clone()).or_insert_with(|| Pod {
            name: view.name.clone(),
            app: view.app.clone(),
            deleting: false,
            was_ready: false,
        });
        pod.was_ready |= view.ready;
        if !view.deleting || std::mem::replace(&mut pod.deleting, true) {
            return;
        }
        // A pod that no scheduler has placed disrupts nothing when it goes.
        let Some(node) = view.node.clone() else { return };
        self.leaves(&view);
        self.evictions.push(Eviction {
            pod: view.name,
            node,
            version: view.version,
        });
    }

    /// A pod is gone.
    pub(crate) fn pod_gone(&mut self, uid: &str) {
        self.pods.remove(uid);
    }

    fn leaves(&mut self, view: &PodView) {
        let node = view.node.as_deref().unwrap_or_default();
        if view.stays {
            self.violate(format!("{} of a DaemonSet was deleted on {node}", view.name));
        } else if !view.evicted {
            self.violate(format!("{} was deleted on {node}, not evicted", view.name));
        }
        for budget in self.budgets.clone() {
            if budget.app != view.app {
                continue;
            }
            let healthy = self.healthy(&budget.app);
            if healthy < budget.desired {
                let (name, desired) = (&budget.name, budget.desired);
                self.violate(format!(
                    "the budget {name} was broken: {} left {healthy} healthy pods of {desired}",
                    view.name
                ));
            }
            let room = healthy.saturating_sub(budget.desired);
            let tightest = self.tightest.entry(budget.name).or_insert(room);
            *tightest = room.min(*tightest);
        }
    }

    fn healthy(&self, app: &str) -> usize {
        let healthy = |pod: &&Pod| pod.app == app && pod.was_ready && !pod.deleting;
        self.pods.values().filter(healthy).count()
    }

    /// A list of all nodes begins, since the watch does.
    pub(crate) fn nodes_begin(&mut self) {
        self.lists_nodes = true;
    }

    /// The list is complete.
    pub(crate) fn nodes_end(&mut self) {
        self.lists_nodes = false;
        self.count_cordons();
    }

    /// A node was listed, or has changed.
    pub(crate) fn node(&mut self, view: NodeView) {
        let cordons = self.nodes.entry(view.name).or_default();
        let same = cordons
            .last()
            .is_some_and(|last| last.cordoned == view.cordoned && last.mark == view.mark);
        if same {
            return;
        }
        cordons.push(Cordon {
            from: view.version,
            cordoned: view.cordoned,
            mark: view.mark,
            after_gap: self.lists_nodes,
        });
        // In the middle of a list some states are old and some new.
        if !self.lists_nodes {
            self.count_cordons();
        }
    }

    /// Only cordons of attempts count: an operator may cordon what an attempt has just begun on.
    fn count_cordons(&mut self) {
        let cordoned = self.now(Cordon::is_of_attempt);
        self.most_cordoned = self.most_cordoned.max(cordoned.len());
        if cordoned.len() > self.slots {
            let slots = self.slots;
            self.violate(format!(
                "{} nodes were cordoned at once with {slots} slots: {}",
                cordoned.len(),
                cordoned.join(", ")
            ));
        }
    }

    /// The nodes that are cordoned now.
    pub(crate) fn cordoned(&self) -> Vec<String> {
        self.now(|last| last.cordoned)
    }

    /// The nodes that carry the mark of an attempt now.
    pub(crate) fn marked(&self) -> Vec<String> {
        self.now(|last| last.mark.is_some())
    }

    fn now(&self, is: impl Fn(&Cordon) -> bool) -> Vec<String> {
        let lasts = self
            .nodes
            .iter()
            .filter_map(|(name, cordons)| cordons.last().map(|last| (name, last)));
        lasts
            .filter(|(_, last)| is(last))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// How often nodes were cordoned for an attempt.
    pub(crate) fn cordons(&self) -> usize {
        let all = self.nodes.values().flatten();
        all.filter(|cordon| cordon.is_of_attempt()).count()
    }

    /// Adds what another witness saw.
    pub(crate) fn violate(&mut self, violation: String) {
        if self.violations.len() < VIOLATIONS_MAX && !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    /// What was broken so far.
    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Looks back at the end of the run, when no attempt is in progress.
    pub(crate) fn conclude(&mut self) {
        let outside: Vec<String> = self
            .evictions
            .iter()
            .filter(|eviction| !self.is_in_attempt(eviction))
            .map(|eviction| format!("{} went from {} outside an attempt", eviction.pod, eviction.node))
            .collect();
        outside.into_iter().for_each(|violation| self.violate(violation));
        let left: Vec<String> = self
            .nodes
            .iter()
            .filter_map(|(name, cordons)| cordons.last().map(|last| (name, last)))
            .filter(|(_, last)| last.cordoned || last.mark.is_some())
            .map(|(name, last)| {
                let of = last
                    .mark
                    .as_ref()
                    .map_or_else(|| "no mark".to_owned(), |mark| format!("the mark {mark}"));
                let cordon = if last.cordoned { "cordoned" } else { "schedulable" };
                format!("{name} was left {cordon} with {of}")
            })
            .collect();
        left.into_iter().for_each(|violation| self.violate(violation));
    }

    fn is_in_attempt(&self, eviction: &Eviction) -> bool {
        let Some(cordons) = self.nodes.get(&eviction.node) else {
            return false;
        };
        let later = cordons.partition_point(|cordon| cordon.from <= eviction.version);
        let then = later.checked_sub(1).and_then(|at| cordons.get(at));
        // In a gap of the watch the change may have come before the eviction.
        let next = cordons.get(later).filter(|next| next.after_gap);
        then.into_iter().chain(next).any(Cordon::is_of_attempt)
    }

    /// How many pods that had been ready, and were not being deleted, are there now.
    pub(crate) fn ready(&self) -> usize {
        let ready = |pod: &&Pod| pod.was_ready && !pod.deleting;
        self.pods.values().filter(ready).count()
    }

    /// The names of an application's pods that are there.
    pub(crate) fn names(&self, app: &str) -> BTreeSet<String> {
        let of = self.pods.values().filter(|pod| pod.app == app);
        of.map(|pod| pod.name.clone()).collect()
    }

    pub(crate) fn evictions(&self) -> usize {
        self.evictions.len()
    }

    pub(crate) fn most_cordoned(&self) -> usize {
        self.most_cordoned
    }

    /// Pods that went while the API server showed nothing.
    pub(crate) fn unseen(&self) -> usize {
        self.unseen
    }

    /// How many more evictions each budget would have allowed at its tightest moment.
    pub(crate) fn tightest(&self) -> &BTreeMap<String, usize> {
        &self.tightest
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;

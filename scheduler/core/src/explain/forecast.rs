//! When each node that waits would start: the queue played ahead in virtual time.
//!
//! It plays what the scheduler knows: order, slots, budgets, openings, canaries, and how long nodes took before. It decides
//! nothing, and what cannot be known before (a failure, an operator, an alert) is not in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use bellwether_policy::calendar::Opening;
use jiff::{SignedDuration, Timestamp};

use crate::timers::later;

/// The state from which the queue is played.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) now: Timestamp,
    /// How many nodes of the fleet may be disrupted at once.
    pub(crate) slots: usize,
    pub(crate) policies: Vec<Plan>,
    /// The nodes that are disrupted.
    pub(crate) held: Vec<Held>,
    /// The nodes that wait, in the order of the queue.
    pub(crate) nodes: Vec<Waiting>,
}

/// What a policy demands of the starts of its nodes.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The present opening or the next one, the only one that is played; none: there is none.
    pub(crate) opening: Option<Opening>,
    /// Else one node goes alone, until a node is back.
    pub(crate) has_begun: bool,
    pub(crate) max_unavailable: Option<usize>,
    pub(crate) topology: Vec<TopologyPlan>,
    /// The canaries for which the other nodes wait; none: for none.
    pub(crate) canaries: Option<CanaryPlan>,
}

/// The limits by the values of one label.
#[derive(Debug, Clone)]
pub(crate) struct TopologyPlan {
    /// How many values at once may have disrupted nodes.
    pub(crate) max_domains: Option<usize>,
    /// How many nodes of each value may be disrupted.
    pub(crate) max_nodes: Vec<Option<usize>>,
}

/// The canaries that have to be rebooted before the other nodes.
#[derive(Debug, Clone)]
pub(crate) struct CanaryPlan {
    /// How many, with those whose end is not known.
    pub(crate) left: usize,
    pub(crate) soak: SignedDuration,
}

/// Where a node counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standpoint {
    /// Its policy; none: no policy limits the node.
    pub(crate) policy: Option<usize>,
    /// For each label of the policy's topology, its value.
    pub(crate) domains: Vec<usize>,
    pub(crate) control_plane: bool,
    /// A canary of its policy.
    pub(crate) canary: bool,
    /// An operator has ordered to reboot the node now: windows and canaries do not count.
    pub(crate) is_urgent: bool,
}

/// A node that is disrupted.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) at: Standpoint,
    /// By an attempt of ours.
    pub(crate) is_attempt: bool,
    /// Until when, as far as that can be known.
    pub(crate) until: Option<Timestamp>,
}

/// A node that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) at: Standpoint,
    /// Not before this instant, whatever the slots.
    pub(crate) ready_at: Timestamp,
    /// So long before the end of an opening it has to start.
    pub(crate) margin: SignedDuration,
    /// So long it is disrupted.
    pub(crate) duration: SignedDuration,
}

/// Most combinations of policy and topology that are played apart: the cost of a start grows with their number. Beyond,
/// the topology does not count, and nodes may seem to fit that do not.
const GROUPS_MAX: usize = 256;

/// When each node of the scene would start, in their order; none: not in the opening that is played.
///
/// Costs n log n by the number of nodes, times the number of their groups.
pub(crate) fn starts(scene: &Scene) -> Vec<Option<Timestamp>> {
    let mut play = Play::new(scene);
    play.start_at(scene.now);
    while let Some(Reverse((at, _))) = play.events.peek().copied() {
        while let Some(Reverse((_, event))) = play.events.pop_if(at) {
            play.take(event, at);
        }
        play.start_at(at);
    }
    play.starts
}

/// What happens at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// This one of the disrupted nodes is disrupted no more.
    Ends(usize),
    /// This node may start from now on.
    Ready(usize),
    /// Nodes may start that could not: an opening begins.
    Opens,
    /// The canaries of this policy have soaked.
    Soaked(usize),
}

/// The events in their order.
#[derive(Debug, Default)]
struct Events(BinaryHeap<Reverse<(Timestamp, Event)>>);

impl Events {
    fn push(&mut self, at: Timestamp, event: Event) {
        self.0.push(Reverse((at, event)));
    }

    fn peek(&self) -> Option<&Reverse<(Timestamp, Event)>> {
        self.0.peek()
    }

    fn pop_if(&mut self, at: Timestamp) -> Option<Reverse<(Timestamp, Event)>> {
        let Reverse((next, _)) = self.0.peek()?;
        (*next <= at).then(|| self.0.pop()).flatten()
    }
}

struct Play<'a> {
    scene: &'a Scene,
    taken: Taken,
    /// All nodes that are or were disrupted.
    held: Vec<&'a Standpoint>,
    /// The nodes that are ready, by their number, in groups of which all or none have room.
    groups: BTreeMap<Standpoint, BTreeSet<usize>>,
    events: Events,
    starts: Vec<Option<Timestamp>>,
    /// The topology counts.
    has_topology: bool,
}

impl<'a> Play<'a> {
    fn new(scene: &'a Scene) -> Self {
        let kinds: BTreeSet<_> = scene.nodes.iter().map(|node| &node.at).collect();
        let mut play = Self {
            scene,
            taken: Taken::new(&scene.policies),
            held: Vec::new(),
            groups: BTreeMap::new(),
            events: Events::default(),
            starts: vec![None; scene.nodes.len()],
            has_topology: kinds.len() <= GROUPS_MAX,
        };
        for held in &scene.held {
            play.hold(&held.at, held.is_attempt, held.until);
        }
        for (number, node) in scene.nodes.iter().enumerate() {
            play.events.push(node.ready_at.max(scene.now), Event::Ready(number));
        }
        for opening in scene.policies.iter().filter_map(|plan| plan.opening) {
            play.events.push(opening.start.max(scene.now), Event::Opens);
        }
        play
    }

    fn hold(&mut self, at: &'a Standpoint, is_attempt: bool, until: Option<Timestamp>) {
        self.taken.add(at, is_attempt);
        if let Some(until) = until {
            self.events
                .push(until.max(self.scene.now), Event::Ends(self.held.len()));
        }
        self.held.push(at);
    }

    fn take(&mut self, event: Event, at: Timestamp) {
        match event {
            Event::Opens => (),
            Event::Ready(number) => {
                if let Some(node) = self.scene.nodes.get(number) {
                    let mut group = node.at.clone();
                    if !self.has_topology {
                        group.domains.clear();
                    }
                    self.groups.entry(group).or_default().insert(number);
                }
            }
            Event::Soaked(policy) => {
                if let Some(of_policy) = self.taken.policies.get_mut(policy) {
                    of_policy.is_trial_over = true;
                }
            }
            Event::Ends(number) => {
                let Some(held) = self.held.get(number).copied() else {
                    return;
                };
                self.taken.remove(held);
                let policy = held.policy.filter(|_| held.canary);
                let of_policy = policy.and_then(|policy| self.taken.policies.get_mut(policy));
                let plan = policy.and_then(|policy| self.scene.policies.get(policy)?.canaries.as_ref());
                if let (Some(policy), Some(of_policy), Some(plan)) = (policy, of_policy, plan) {
                    of_policy.canaries_back += 1;
                    if of_policy.canaries_back == plan.left {
                        self.events.push(later(at, plan.soak), Event::Soaked(policy));
                    }
                }
            }
        }
    }

    /// Starts every node that may start at this instant, in their order.
    fn start_at(&mut self, at: Timestamp) {
        while self.taken.all < self.scene.slots {
            let Some(number) = self.next_at(at) else { return };
            let Some(node) = self.scene.nodes.get(number) else {
                return;
            };
            if let Some(start) = self.starts.get_mut(number) {
                *start = Some(at);
            }
            self.hold(&node.at, true, Some(later(at, node.duration)));
        }
    }

    /// Takes the first node that may start at this instant out of its group.
    fn next_at(&mut self, at: Timestamp) -> Option<usize> {
        let Self {
            scene, taken, groups, ..
        } = self;
        let mut first: Option<(usize, &mut BTreeSet<usize>)> = None;
        for (kind, numbers) in groups.iter_mut() {
            let opening = kind.policy.and_then(|policy| scene.policies.get(policy));
            let opening = opening.filter(|_| !kind.is_urgent).map(|plan| plan.opening);
            if opening.is_some_and(|opening| !is_open(opening, at)) || !taken.has_room(scene, kind) {
                continue;
            }
            let end = opening.flatten().and_then(|opening| opening.end);
            // A node for which the opening is too short now does not fit later either.
            while let Some(number) = numbers.first().copied() {
                let margin = scene.nodes.get(number).map(|node| node.margin).unwrap_or_default();
                if end.is_none_or(|end| later(at, margin) < end) {
                    break;
                }
                numbers.pop_first();
            }
            if let Some(number) = numbers.first().copied()
                && first.as_ref().is_none_or(|(before, _)| number < *before)
            {
                first = Some((number, numbers));
            }
        }
        let (number, numbers) = first?;
        numbers.pop_first();
        Some(number)
    }
}

fn is_open(opening: Option<Opening>, at: Timestamp) -> bool {
    opening.is_some_and(|opening| opening.start <= at && opening.end.is_none_or(|end| at < end))
}

/// How many nodes are disrupted.
#[derive(Debug)]
struct Taken {
    all: usize,
    control_plane: usize,
    policies: Vec<OfPolicy>,
}

#[derive(Debug, Default)]
struct OfPolicy {
    nodes: usize,
    /// Of them, those with an attempt.
    attempts: usize,
    has_begun: bool,
    /// By label and value.
    domains: Vec<BTreeMap<usize, usize>>,
    canaries_back: usize,
    /// The canaries have soaked, so the other nodes need not wait for them.
    is_trial_over: bool,
}

impl Taken {
    fn new(policies: &[Plan]) -> Self {
        let of_policy = |plan: &Plan| OfPolicy {
            domains: vec![BTreeMap::new(); plan.topology.len()],
            has_begun: plan.has_begun,
            is_trial_over: plan.canaries.is_none(),
            ..OfPolicy::default()
        };
        Self {
            all: 0,
            control_plane: 0,
            policies: policies.iter().map(of_policy).collect(),
        }
    }

    fn add(&mut self, at: &Standpoint, is_attempt: bool) {
        self.all += 1;
        self.control_plane += usize::from(at.control_plane);
        let of_policy = at.policy.and_then(|policy| self.policies.get_mut(policy));
        let Some(of_policy) = of_policy else { return };
        of_policy.nodes += 1;
        of_policy.attempts += usize::from(is_attempt);
        for (domains, domain) in of_policy.domains.iter_mut().zip(&at.domains) {
            *domains.entry(*domain).or_default() += 1;
        }
    }

    /// A node with an attempt is back.
    fn remove(&mut self, at: &Standpoint) {
        self.all = self.all.saturating_sub(1);
        self.control_plane = self.control_plane.saturating_sub(usize::from(at.control_plane));
        let of_policy = at.policy.and_then(|policy| self.policies.get_mut(policy));
        let Some(of_policy) = of_policy else { return };
        of_policy.nodes = of_policy.nodes.saturating_sub(1);
        of_policy.attempts = of_policy.attempts.saturating_sub(1);
        of_policy.has_begun = true;
        for (domains, domain) in of_policy.domains.iter_mut().zip(&at.domains) {
            let taken = domains.remove(domain).unwrap_or_default();
            if taken > 1 {
                domains.insert(*domain, taken - 1);
            }
        }
    }

    /// A node that counts there may be disrupted more, but for the slots of the fleet.
    fn has_room(&self, scene: &Scene, at: &Standpoint) -> bool {
        if at.control_plane && self.control_plane > 0 {
            return false;
        }
        let of_policy = at
            .policy
            .and_then(|policy| Some((self.policies.get(policy)?, scene.policies.get(policy)?)));
        let Some((taken, plan)) = of_policy else { return true };
        let waits_for_canaries = !at.canary && !at.is_urgent && !taken.is_trial_over;
        let goes_alone = !taken.has_begun && taken.attempts > 0;
        if waits_for_canaries || goes_alone || plan.max_unavailable.is_some_and(|max| taken.nodes >= max) {
            return false;
        }
        let topology = plan.topology.iter().zip(&taken.domains).zip(&at.domains);
        topology.into_iter().all(|((limits, taken), domain)| {
            let nodes = taken.get(domain).copied().unwrap_or_default();
            let max_nodes = limits.max_nodes.get(*domain).copied().flatten();
            let is_new = nodes == 0;
            max_nodes.is_none_or(|max| nodes < max) && limits.max_domains.is_none_or(|max| !is_new || taken.len() < max)
        })
    }
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;

//! A world for the core: nodes with hosts, drainers, rebooters and a store, all of which do
//! just what they are told to do, when a test says so. Each step is checked against the invariants.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{
    Attempt, AttemptId, BootId, BootReport, Fact, FleetControl, HostReport, KeyId, KindPreflight, NeedReport, NodeName,
    Obstacle, Phase, Problem, RebootNeed, RebooterReport,
};
use bellwether_scheduler_core::invariant::Invariant;
use bellwether_scheduler_core::reading::{Outcome, Query};
use bellwether_scheduler_core::recording::Entry;
use bellwether_scheduler_core::{
    Command, Effect, Fleet, Handled, Input, NodeView, Policy, PolicyView, Reason, Rival, RivalKind, Standing,
    StoredReport,
};
use jiff::{SignedDuration, Timestamp};

use crate::renewal;

/// What a reboot makes of a host's need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtBoot {
    Ends,
    Survives,
    /// A program writes the sentinel file at each boot, before the sentinel looks.
    Comes,
}

pub(crate) struct Host {
    pub(crate) view: NodeView,
    pub(crate) need: Result<Option<Timestamp>, String>,
    /// The earliest file time that the sentinel has reported of the need in this boot.
    pub(crate) first_since: Option<(BootId, Timestamp)>,
    /// The host does not show when the need began.
    pub(crate) undated: bool,
    /// What a reboot makes of the need.
    pub(crate) at_boot: AtBoot,
    /// How far the host's clock is ahead.
    pub(crate) clock_ahead: SignedDuration,
    /// How far its rebooter reports the clock to be ahead.
    pub(crate) rebooter_ahead: SignedDuration,
    /// When the host booted; none: before the world began, or its sentinel is of a version that does not report that.
    pub(crate) booted_at: Option<Timestamp>,
    pub(crate) preflight: Option<Problem>,
    /// What the host shows of its boot.
    pub(crate) boot: Option<BootReport>,
    /// The kinds of reboot that its rebooter reports.
    pub(crate) kinds: Vec<KindPreflight>,
    /// The soft reboots of its boot that its rebooter reports.
    pub(crate) soft_reboots: Option<u32>,
    pub(crate) keys: Option<Vec<KeyId>>,
    /// What keeps the drains of the node from their end, as its drainer reports.
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) foreign_cordon: bool,
    /// The mark of another Bellwether's cordon.
    pub(crate) rival_mark: Option<AttemptId>,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) policy: Policy,
    pub(crate) hosts: BTreeMap<NodeName, Host>,
    pub(crate) fleet: Fleet,
    pub(crate) records: BTreeMap<NodeName, Attempt>,
    pub(crate) control: Option<FleetControl>,
    pub(crate) commands: BTreeMap<NodeName, Vec<Command>>,
    pub(crate) rivals: BTreeSet<Rival>,
    pub(crate) policies: Vec<PolicyView>,
    pub(crate) log: Vec<String>,
    /// The outcome of every query, which is there at once; none: no server answers.
    pub(crate) answer: Option<Outcome>,
    /// The pods of DaemonSets on every node, as each listing has them at once; none: no listing is answered.
    pub(crate) daemon_pods: Option<Outcome>,
    /// The answer of a drainer to every question whether a node can be drained, which is there at once; none: no drainer
    /// answers.
    pub(crate) drain_answer: Option<Outcome>,
    /// The nodes beside each node in the newest answer about it that the node can be drained.
    pub(crate) drainable_beside: BTreeMap<NodeName, Vec<NodeName>>,
    /// Such questions without an answer.
    pub(crate) drain_questions: Vec<(Query, Timestamp)>,
    /// The listings of such pods without an outcome.
    pub(crate) listings: Vec<(Query, Timestamp)>,
    /// The queries without an outcome.
    pub(crate) asked: Vec<(Query, Timestamp)>,
    /// The newest outcome that the core was given of each query.
    pub(crate) outcomes: BTreeMap<Query, (Timestamp, Outcome)>,
    /// The only invariant that is looked at; none: all of them.
    pub(crate) hunted: Option<Invariant>,
    /// Boots that a rebooter of ours has ended.
    pub(crate) ended_boots: BTreeSet<(String, BootId)>,
    /// All that the core was given, and the effects that it asked for.
    pub(crate) recording: Vec<Entry>,
    pub(crate) effects: Vec<(Timestamp, Effect)>,
    /// The newest input of each kind for each node.
    given: Vec<Input>,
    pub(crate) boots: u64,
    /// Drainers carry out commands about taints.
    pub(crate) drainers_taint: bool,
    /// When attempts began on each node, by UID, since an operator last ended a wait.
    pub(crate) starts: BTreeMap<String, Vec<Timestamp>>,
}

pub(crate) fn kured() -> Rival {
    Rival {
        namespace: "kube-system".into(),
        name: "kured".into(),
        kind: RivalKind::Kured {
            lock_holder: Some("node-3".into()),
        },
    }
}

/// A policy of the cluster.
pub(crate) fn policy(name: &str, spec: serde_json::Value) -> PolicyView {
    PolicyView {
        name: name.to_owned(),
        generation: 1,
        spec,
    }
}

pub(crate) fn bellwether() -> Rival {
    Rival {
        namespace: "elsewhere".into(),
        name: "rebooter".into(),
        kind: RivalKind::Bellwether,
    }
}

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

impl World {
    pub(crate) fn new(slots: u32, nodes: &[&str]) -> Self {
        let policy = Policy {
            slots: slots.try_into().unwrap(),
            ..Policy::default()
        };
        let fleet = Fleet::new(policy.clone(), "test".into());
        let mut world = Self {
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            policy,
            hosts: BTreeMap::new(),
            fleet,
            records: BTreeMap::new(),
            control: None,
            commands: BTreeMap::new(),
            rivals: BTreeSet::new(),
            policies: Vec::new(),
            log: Vec::new(),
            answer: None,
            daemon_pods: Some(Outcome::DaemonPods(vec![])),
            drain_answer: Some(Outcome::Open),
            drainable_beside: BTreeMap::new(),
            drain_questions: Vec::new(),
            listings: Vec::new(),
            asked: Vec::new(),
            outcomes: BTreeMap::new(),
            hunted: None,
            ended_boots: BTreeSet::new(),
            recording: Vec::new(),
            effects: Vec::new(),
            given: Vec::new(),
            boots: 0,
            drainers_taint: true,
            starts: BTreeMap::new(),
        };
        world.new_core();
        for node in nodes {
            world.join(node);
        }
        world.settle();
        world
    }

    pub(crate) fn join(&mut self, node: &str) {
        self.boots += 1;
        // The nodes a and b are of one pool.
        let pool = ["a", "b"].contains(&node).then(|| ("pool".to_owned(), "w".to_owned()));
        let view = NodeView {
            name: name(node),
            uid: format!("uid-{}", self.boots).parse().unwrap(),
            ready: true,
            ready_since: None,
            unschedulable: false,
            cordoned_for: None,
            labels: pool.into_iter().collect(),
            taints: Vec::new(),
            conditions: Default::default(),
            our_conditions: Default::default(),
            orders: None,
            annotations: Default::default(),
            control_plane: node.starts_with("cp"),
            deleting: false,
            boot_id: Some(format!("boot-{}", self.boots).parse().unwrap()),
            kernel: "6.1".into(),
            os: "Debian".into(),
        };
        let host = Host {
            view,
            need: Ok(None),
            first_since: None,
            undated: false,
            at_boot: AtBoot::Ends,
            clock_ahead: SignedDuration::ZERO,
            rebooter_ahead: SignedDuration::ZERO,
            booted_at: None,
            preflight: None,
            boot: None,
            kinds: Vec::new(),
            soft_reboots: None,
            keys: None,
            obstacle: None,
            foreign_cordon: false,
            rival_mark: None,
        };
        self.hosts.insert(name(node), host);
        self.settle();
    }

    pub(crate) fn leave(&mut self, node: &str) {
        self.hosts.remove(&name(node));
        self.give(Input::NodeGone(name(node)));
        self.given
            .retain(|given| !matches!(given, Input::Node(view) if view.name == name(node)));
        self.settle();
    }

    pub(crate) fn host(&mut self, node: &str) -> &mut Host {
        self.hosts.get_mut(&name(node)).unwrap()
    }

    pub(crate) fn need(&mut self, node: &str) {
        // Each need is a newer one.
        self.now = self.now.checked_add(SignedDuration::from_millis(1)).unwrap();
        let now = self.now;
        self.host(node).need = Ok(Some(now));
        self.settle();
    }

    pub(crate) fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap();
        self.settle();
    }

    /// The scheduler dies, and another goes on with what is stored.
    pub(crate) fn crash(&mut self) {
        self.given.clear();
        self.new_core();
        self.settle();
    }

    /// The scheduler loads its records again, and gives its next core what the last one has observed.
    pub(crate) fn reload(&mut self) {
        let last = self.new_core();
        for input in last.into_observed() {
            self.give(input);
        }
        self.settle();
    }

    /// A core that has loaded what is stored. Returns the one before.
    fn new_core(&mut self) -> Fleet {
        let (policy, source) = (self.policy.clone(), String::from("test"));
        let last = std::mem::replace(&mut self.fleet, Fleet::new(policy.clone(), source.clone()));
        self.recording.push(Entry::Start { policy, source });
        self.asked.clear();
        self.listings.clear();
        self.outcomes.clear();
        for record in self.records.clone().into_values() {
            self.give(Input::Attempt(Box::new(record)));
        }
        if let Some(control) = self.control.clone() {
            self.give(Input::Control(control));
        }
        last
    }

    /// Hands an input to the core.
    pub(crate) fn give(&mut self, input: Input) -> Handled {
        self.recording.push(Entry::Input {
            at: self.now,
            input: Box::new(input.clone()),
        });
        self.fleet.handle_input(input, self.now)
    }

    /// Lets the core decide, and does what it asks for.
    pub(crate) fn advance(&mut self) {
        self.decide();
        // An answer leads to a decision, and that may lead to another query.
        loop {
            if let Some(outcome) = self.answer.clone().filter(|_| !self.asked.is_empty()) {
                self.answer_with(&outcome);
            } else if let Some(outcome) = self.daemon_pods.clone().filter(|_| !self.listings.is_empty()) {
                self.list_with(&outcome);
            } else {
                break;
            }
        }
    }

    pub(crate) fn decide(&mut self) {
        loop {
            self.recording.push(Entry::Advance { at: self.now });
            self.fleet.advance(self.now);
            self.do_effects();
            self.missed_nothing();
            match self.drain_answer.clone().filter(|_| !self.drain_questions.is_empty()) {
                Some(answer) => self.give_drain_answer(&answer),
                None => return,
            }
        }
    }

    /// An operator pauses the fleet, and the order is stored.
    pub(crate) fn pause(&mut self, reason: &str) {
        let (by, reason) = ("me".into(), reason.into());
        self.give(Input::Pause { by, reason });
        self.do_effects();
    }

    /// An operator resumes the fleet, and the order is stored.
    pub(crate) fn resume(&mut self) {
        self.give(Input::Resume { by: "me".into() });
        self.do_effects();
    }

    /// An operator cancels a node's attempt.
    pub(crate) fn cancel(&mut self, node: &str, reason: &str) -> Handled {
        let handled = self.give(Input::Cancel {
            node: name(node),
            by: "me".into(),
            reason: reason.into(),
        });
        self.do_effects();
        if matches!(handled, Handled::Cancelled(_)) {
            self.starts.clear();
        }
        handled
    }

    /// Gives the core everything, lets it decide, and does what it wants.
    pub(crate) fn settle(&mut self) {
        let mut inputs = vec![
            Input::Rivals(self.rivals.clone()),
            Input::Policies(self.policies.clone()),
        ];
        // A watch gives an object when it has changed, and an agent renews its report now and then. An
        // input that is given again would touch its node, and hide that the change did not.
        for host in self.hosts.values_mut() {
            let boot_id = host.view.boot_id.clone().unwrap();
            let refresh_interval = SignedDuration::from_mins(5);
            inputs.push(Input::Node(host.view.clone()));
            if let Ok(need) = &host.need {
                let first = host.first_since.take().filter(|(boot, _)| *boot == boot_id);
                host.first_since = need.map(|since| {
                    let first = first.map_or(since, |(_, first)| first.min(since));
                    (boot_id.clone(), first)
                });
            }
            let first_since = host.first_since.as_ref().map(|(_, first)| *first);
            let need = match host.need.clone() {
                Ok(Some(since)) => NeedReport::Required(RebootNeed {
                    since,
                    first_since: first_since.unwrap_or(since),
                    reasons: vec!["linux-image".into()],
                    trace: None,
                    undated: host.undated,
                }),
                Ok(None) => NeedReport::NotRequired,
                Err(message) => NeedReport::Unknown(Problem::unclassified(message)),
            };
            let report = HostReport {
                node: host.view.name.clone(),
                boot_id: boot_id.clone(),
                reported_at: self.now + host.clock_ahead,
                booted_at: host.booted_at.map(|at| at + host.clock_ahead),
                refresh_interval,
                need,
                kernel_running: "6.1".into(),
                kernel_installed: None,
                os: "Debian".into(),
                agent_version: "0".into(),
                probes: Vec::new(),
                services_to_restart: Vec::new(),
            };
            inputs.push(Input::Sentinel(StoredReport {
                report,
                stored_at: self.now,
            }));
            let report = RebooterReport {
                node: host.view.name.clone(),
                boot_id,
                reported_at: self.now + host.rebooter_ahead,
                // Another one than the sentinel's, so that neither report hides that the other is stale.
                refresh_interval: SignedDuration::from_mins(3),
                method: "logind".into(),
                problem: host.preflight.clone(),
                agent_version: "0".into(),
                record_keys: host.keys.clone(),
                boot: host.boot.clone(),
                kinds: host.kinds.clone(),
                soft_reboots: host.soft_reboots,
            };
            inputs.push(Input::Rebooter(StoredReport {
                report,
                stored_at: self.now,
            }));
        }
        for input in inputs {
            if !self.given.iter().any(|given| renewal::is_old(given, &input)) {
                self.given.retain(|given| !renewal::is_of_same(given, &input));
                self.given.push(input.clone());
                self.give(input);
            }
        }
        self.advance();
        self.said_why();
    }

    pub(crate) fn do_effects(&mut self) {
        while let Some(effect) = self.fleet.poll_effect() {
            self.effects.push((self.now, effect.clone()));
            match effect {
                Effect::StoreAttempt(attempt, event) => {
                    let name = attempt.node.clone();
                    self.store(*attempt);
                    if let Some(Fact::PhaseChanged { to, message, .. }) = event.map(|event| event.fact) {
                        self.log
                            .push(format!("{name} {} {message}", to.as_str()).trim().to_owned());
                    }
                }
                Effect::DeleteAttempt(node) => {
                    self.records.remove(&node);
                }
                Effect::StoreControl(control, _) => self.control = Some(*control),
                Effect::SendCommand(command) => {
                    let node = match &command {
                        Command::Drain(drain) => drain.attempt.node.clone(),
                        Command::Uncordon(uncordon) => uncordon.attempt.node.clone(),
                    };
                    let queue = self.commands.entry(node).or_default();
                    if !queue.contains(&command) {
                        queue.push(command);
                    }
                }
                Effect::CheckCommand(command) => {
                    let attempt = command.attempt().clone();
                    let queue = self.commands.get(&attempt.node);
                    if !queue.is_some_and(|queue| queue.contains(&command)) {
                        self.give(Input::CommandLost {
                            node: attempt.node,
                            attempt: attempt.attempt,
                            generation: attempt.generation.0,
                        });
                    }
                }
                Effect::TaintNode(command) => self.taint(&command),
                Effect::SetConditions(change) => self.set_conditions(&change),
                Effect::Read { query, asked_at } => match query {
                    Query::DaemonPods { .. } => self.listings.push((query, asked_at)),
                    Query::Drain { .. } => self.drain_questions.push((query, asked_at)),
                    Query::Prometheus(_) | Query::Pods { .. } => self.asked.push((query, asked_at)),
                },
                Effect::PhaseEnded { .. } => (),
            }
        }
    }

    /// A policy of the world, which has one at most, names an annotation that the node carries.
    pub(crate) fn is_annotated(&self, host: &Host) -> bool {
        let entries = |view: &PolicyView| view.spec["needs"]["annotations"].as_array().cloned();
        let mut entries = self.policies.iter().filter_map(entries).flatten();
        entries.any(|entry| {
            let key = entry["key"].as_str().unwrap_or_default();
            let value = host.view.annotations.get(key).cloned().flatten();
            value.is_some_and(|value| entry["value"].as_str().map_or(value != "false", |only| only == value))
        })
    }

    pub(crate) fn phase(&self, node: &str) -> Option<Phase> {
        self.records.get(&name(node)).map(|record| record.phase)
    }

    pub(crate) fn reason(&self, node: &str) -> Option<&'static str> {
        self.standing(node)?.reason.as_ref().map(Reason::code)
    }

    pub(crate) fn message(&self, node: &str) -> String {
        let reason = self.standing(node).and_then(|standing| standing.reason);
        reason.as_ref().map(Reason::message).unwrap_or_default()
    }

    fn standing(&self, node: &str) -> Option<Standing> {
        self.fleet.standing(&name(node)).map(|(_, standing)| standing)
    }
}

//! A world for the core: nodes with hosts, drainers, rebooters and a store, all of which do
//! just what they are told to do, when a test says so. Each step is checked against the invariants.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{
    Attempt, AttemptId, BootId, DrainFailure, Fact, FleetControl, Generation, HostReport, NeedReport, NodeEvent,
    NodeName, Phase, Problem, RebootNeed, RebooterReport,
};
use bellwether_scheduler_core::invariant::{self, Invariant};
use bellwether_scheduler_core::recording::{self, Entry};
use bellwether_scheduler_core::{
    Command, Effect, Fleet, Handled, Input, NodeView, Policy, Reason, Rival, RivalKind, Standing, State, StoredReport,
};
use jiff::{SignedDuration, Timestamp};

pub(crate) struct Host {
    pub(crate) view: NodeView,
    pub(crate) need: Result<Option<Timestamp>, String>,
    pub(crate) preflight: Option<String>,
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
    pub(crate) log: Vec<String>,
    /// The only invariant that is looked at; none: all of them.
    pub(crate) hunted: Option<Invariant>,
    /// Boots that a rebooter of ours has ended.
    pub(crate) ended_boots: BTreeSet<(String, BootId)>,
    /// All that the core was given, and the effects that it asked for.
    pub(crate) recording: Vec<Entry>,
    pub(crate) effects: Vec<(Timestamp, Effect)>,
    boots: u64,
}

fn fails_if(broken: bool, what: &str, node: &NodeName) -> Result<(), String> {
    if broken { Err(format!("{node}: {what}")) } else { Ok(()) }
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
            log: Vec::new(),
            hunted: None,
            ended_boots: BTreeSet::new(),
            recording: Vec::new(),
            effects: Vec::new(),
            boots: 0,
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
        let view = NodeView {
            name: name(node),
            uid: format!("uid-{}", self.boots).parse().unwrap(),
            ready: true,
            ready_since: None,
            unschedulable: false,
            cordoned_for: None,
            control_plane: node.starts_with("cp"),
            deleting: false,
            boot_id: Some(format!("boot-{}", self.boots).parse().unwrap()),
            kernel: "6.1".into(),
            os: "Debian".into(),
        };
        let host = Host {
            view,
            need: Ok(None),
            preflight: None,
            foreign_cordon: false,
            rival_mark: None,
        };
        self.hosts.insert(name(node), host);
        self.settle();
    }

    pub(crate) fn leave(&mut self, node: &str) {
        self.hosts.remove(&name(node));
        self.give(Input::NodeGone(name(node)));
        self.settle();
    }

    pub(crate) fn host(&mut self, node: &str) -> &mut Host {
        self.hosts.get_mut(&name(node)).unwrap()
    }

    /// Another Bellwether cordons a node, or uncordons what it cordoned.
    pub(crate) fn rival_cordons(&mut self, node: &str, cordons: bool) {
        self.boots += 1;
        let now = self
            .now
            .checked_add(SignedDuration::from_nanos(i64::try_from(self.boots).unwrap()));
        let host = self.host(node);
        if cordons && !host.view.unschedulable && host.view.cordoned_for.is_none() {
            let mark = AttemptId::new(&host.view.uid, Generation(1), now.unwrap());
            host.rival_mark = Some(mark);
            host.view.cordoned_for = Some(mark);
            host.view.unschedulable = true;
        } else if !cordons && host.rival_mark.take().is_some() {
            host.view.cordoned_for = None;
            host.view.unschedulable = host.foreign_cordon;
        }
        self.settle();
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
        self.new_core();
        for record in self.records.clone().into_values() {
            self.give(Input::Attempt(Box::new(record)));
        }
        if let Some(control) = self.control.clone() {
            self.give(Input::Control(control));
        }
        self.settle();
    }

    fn new_core(&mut self) {
        let (policy, source) = (self.policy.clone(), String::from("test"));
        self.fleet = Fleet::new(policy.clone(), source.clone());
        self.recording.push(Entry::Start { policy, source });
    }

    /// Hands an input to the core.
    pub(crate) fn give(&mut self, input: Input) -> Handled {
        self.recording.push(Entry::Input {
            at: self.now,
            input: input.clone(),
        });
        self.fleet.handle_input(input, self.now)
    }

    /// Lets the core decide, and does what it asks for.
    pub(crate) fn advance(&mut self) {
        self.recording.push(Entry::Advance { at: self.now });
        self.fleet.advance(self.now);
        self.do_effects();
        self.missed_nothing();
    }

    /// A core that decides on every node again decides the same: now, since every change has touched
    /// its node, and until the core wants to be woken, since every rule that waits has said until when.
    fn missed_nothing(&self) {
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
        handled
    }

    /// Tells the core everything, lets it decide, and does what it wants.
    pub(crate) fn settle(&mut self) {
        let mut inputs = vec![Input::Rivals(self.rivals.clone())];
        for host in self.hosts.values() {
            let boot_id = host.view.boot_id.clone().unwrap();
            let refresh_interval = SignedDuration::from_mins(5);
            inputs.push(Input::Node(host.view.clone()));
            let need = match host.need.clone() {
                Ok(Some(since)) => NeedReport::Required(RebootNeed {
                    since,
                    reasons: vec!["linux-image".into()],
                    trace: None,
                }),
                Ok(None) => NeedReport::NotRequired,
                Err(message) => NeedReport::Unknown(Problem::unclassified(message)),
            };
            let report = HostReport {
                node: host.view.name.clone(),
                boot_id: boot_id.clone(),
                reported_at: self.now,
                refresh_interval,
                need,
                kernel_running: "6.1".into(),
                kernel_installed: None,
                os: "Debian".into(),
                agent_version: "0".into(),
            };
            inputs.push(Input::Sentinel(StoredReport {
                report,
                stored_at: self.now,
            }));
            let report = RebooterReport {
                node: host.view.name.clone(),
                boot_id,
                reported_at: self.now,
                refresh_interval,
                method: "logind".into(),
                problem: host.preflight.clone().map(Problem::unclassified),
                agent_version: "0".into(),
            };
            inputs.push(Input::Rebooter(StoredReport {
                report,
                stored_at: self.now,
            }));
        }
        for input in inputs {
            self.give(input);
        }
        self.advance();
        self.said_why();
    }

    pub(crate) fn do_effects(&mut self) {
        while let Some(effect) = self.fleet.poll_effect() {
            self.effects.push((self.now, effect.clone()));
            match effect {
                Effect::StoreAttempt(attempt) => self.store(*attempt),
                Effect::DeleteAttempt(node) => {
                    self.records.remove(&node);
                }
                Effect::StoreControl(control) => self.control = Some(control),
                Effect::PublishEvent(event) => {
                    if let Fact::PhaseChanged { to, message, .. } = event.fact {
                        self.log
                            .push(format!("{} {} {message}", event.node, to.as_str()).trim().to_owned());
                    }
                }
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
                Effect::PhaseEnded { .. } => (),
            }
        }
    }

    /// Fails if an invariant is broken, unless the test hunts another one.
    pub(crate) fn must(&self, invariant: Invariant, holds: Result<(), String>) {
        if self.hunted.is_none_or(|hunted| hunted == invariant) {
            assert_eq!(holds, Ok(()), "{invariant} is broken");
        }
    }

    fn store(&mut self, attempt: Attempt) {
        let node = &attempt.node;
        let host = &self.hosts.get(node);
        let old = self.records.get(node);
        let entered = old.is_none_or(|old| old.generation != attempt.generation);
        if old.is_none_or(|old| old.id != attempt.id) && attempt.phase == Phase::Draining {
            let views = self.hosts.iter().map(|(node, host)| (node.clone(), host.view.clone()));
            let slots = self.policy.slots.get();
            let budget = invariant::budget_when_starting(slots, node, &views.collect(), &self.records);
            self.must(Invariant::Budget, budget);
            let foreign = host.is_some_and(|host| host.foreign_cordon);
            self.must(Invariant::ForeignCordonStays, fails_if(foreign, "it starts", node));
            let paused = self.control.as_ref().is_some_and(|control| control.paused());
            assert!(!paused, "{node} starts while paused");
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
            let wanted = host.is_some_and(|host| matches!(host.need, Ok(Some(_))));
            let fit = host.is_some_and(|host| host.preflight.is_none() && host.view.ready);
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

    fn said_why(&self) {
        let standings: BTreeMap<_, _> = self
            .fleet
            .standings()
            .map(|(node, standing)| (&node.name, standing))
            .collect();
        for (node, host) in &self.hosts {
            let standing = &standings[node];
            let going = matches!(standing.state, State::InProgress(_));
            let silent = !matches!(host.need, Ok(None)) && !going && standing.reason.is_none();
            self.must(Invariant::SaidWhy, fails_if(silent, "nothing is said", node));
        }
    }

    fn say(&mut self, node: &NodeName, fact: Fact, generation: Generation, attempt: AttemptId) {
        let event = NodeEvent {
            node: node.clone(),
            attempt,
            generation,
            at: self.now,
            source: "test".into(),
            fact,
        };
        self.give(Input::Event(event));
        self.do_effects();
        self.settle();
    }

    /// A drainer takes the oldest command of a node and, if the record agrees, carries it out.
    /// What it says is said as often as told: events may come twice, or never.
    pub(crate) fn drainer(&mut self, node: &str, works: bool, said: usize) {
        let node = name(node);
        let Some(command) = self
            .commands
            .get_mut(&node)
            .filter(|queue| !queue.is_empty())
            .map(|queue| queue.remove(0))
        else {
            return;
        };
        let (attempt, generation) = match &command {
            Command::Drain(drain) => (drain.attempt.attempt, drain.attempt.generation),
            Command::Uncordon(uncordon) => (uncordon.attempt.attempt, uncordon.attempt.generation),
        };
        let agrees = self
            .records
            .get(&node)
            .is_some_and(|record| record.id == attempt && record.generation == generation);
        let (Some(host), true) = (self.hosts.get_mut(&node), agrees) else {
            return;
        };
        let fact = match command {
            Command::Drain(_) if host.foreign_cordon || host.rival_mark.is_some() => Fact::DrainFailed {
                failure: DrainFailure::ForeignCordon,
                message: "foreign".into(),
            },
            Command::Drain(_) => {
                host.view.unschedulable = true;
                host.view.cordoned_for = Some(attempt);
                if works {
                    Fact::Drained {
                        pods_gone: 3,
                        pods_left: 1,
                    }
                } else {
                    Fact::DrainFailed {
                        failure: DrainFailure::Timeout,
                        message: "a budget".into(),
                    }
                }
            }
            Command::Uncordon(_) if !works => Fact::UncordonFailed { message: "no".into() },
            Command::Uncordon(_) => {
                if host.view.cordoned_for == Some(attempt) {
                    host.view.unschedulable = host.foreign_cordon;
                    host.view.cordoned_for = None;
                    host.rival_mark = None;
                }
                Fact::Uncordoned {
                    left_unschedulable: host.view.unschedulable,
                }
            }
        };
        for _ in 0..said {
            self.say(&node, fact.clone(), generation, attempt);
        }
    }

    /// The rebooter looks at its record and, if it is its command, reboots its host.
    pub(crate) fn rebooter(&mut self, node: &str, host_obeys: bool) {
        self.rebooter_then(node, host_obeys, true);
    }

    /// As [`Self::rebooter`], with a node that is Ready after its boot, or not yet.
    pub(crate) fn rebooter_then(&mut self, node: &str, host_obeys: bool, ready: bool) {
        let node = name(node);
        let Some(record) = self.records.get(&node).cloned() else {
            return;
        };
        let Some(host) = self.hosts.get(&node) else { return };
        let boot = host.view.boot_id.clone().unwrap();
        let in_time = record.reboot_not_after.is_some_and(|until| self.now < until);
        if record.phase != Phase::Rebooting
            || record.boot_before != boot
            || record.node_uid != host.view.uid
            || !in_time
        {
            return;
        }
        let started = Fact::RebootStarted {
            boot_id: boot.clone(),
            method: "logind".into(),
        };
        self.say(&node, started, record.generation, record.id);
        if host_obeys {
            let first = self.ended_boots.insert((record.node_uid.to_string(), boot));
            self.must(Invariant::Once, fails_if(!first, "a second reboot in one boot", &node));
            let view = &self.hosts[&node].view;
            let ours = view.unschedulable && view.cordoned_for == Some(record.id);
            let drained = ours && record.drained_at.is_some();
            self.must(
                Invariant::DrainedBeforeRebooted,
                fails_if(!drained, "it was not, or was uncordoned since", &node),
            );
            self.boot(node.as_str(), ready);
        }
    }

    /// The host boots, for whatever reason, and its need is gone; its kubelet may take longer.
    pub(crate) fn boot(&mut self, node: &str, ready: bool) {
        self.boots += 1;
        let boot_id = format!("boot-{}", self.boots).parse().unwrap();
        let host = self.host(node);
        host.view.boot_id = Some(boot_id);
        host.view.ready = ready;
        host.need = Ok(None);
        self.settle();
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

    /// Everybody does their work until nothing is left to do.
    pub(crate) fn work_until_quiet(&mut self) {
        for _ in 0..400 {
            let nodes: Vec<String> = self.hosts.keys().map(ToString::to_string).collect();
            for node in &nodes {
                self.drainer(node, true, 1);
                self.rebooter(node, true);
            }
            let busy = self.records.values().any(|record| !record.phase.is_ended());
            let next = self.fleet.poll_timeout();
            match next {
                Some(next) if busy || next < self.now.checked_add(SignedDuration::from_hours(9)).unwrap() => {
                    self.now = next;
                    self.settle();
                }
                _ => return,
            }
            // Reports are renewed in every step, so only they are left to wait for.
            let needs = self.hosts.values().any(|host| !matches!(host.need, Ok(None)));
            let cordons = self.hosts.values().any(|host| host.view.cordoned_for.is_some());
            if !busy && !needs && !cordons {
                return;
            }
        }
    }
}

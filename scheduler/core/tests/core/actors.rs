//! The drainers, rebooters, hosts and rivals of the world: each does one thing when a test says so.

use bellwether_proto::{AttemptId, DrainFailure, Fact, Generation, NodeEvent, NodeName, Phase, TaintNode, mark};
use bellwether_scheduler_core::invariant::Invariant;
use bellwether_scheduler_core::{Command, ConditionChange, Input, OurCondition, Taint};
use jiff::SignedDuration;

use crate::referee::fails_if;
use crate::world::{AtBoot, World, name};

impl World {
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

    pub(crate) fn say(&mut self, node: &NodeName, fact: Fact, generation: Generation, attempt: AttemptId) {
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
                obstacle: None,
                report: None,
            },
            Command::Drain(_) => {
                host.view.unschedulable = true;
                host.view.cordoned_for = Some(attempt);
                if works {
                    Fact::Drained {
                        pods_gone: 3,
                        pods_left: 1,
                        pods_returning: 0,
                        message: String::new(),
                        report: None,
                    }
                } else {
                    Fact::DrainFailed {
                        failure: DrainFailure::Timeout,
                        message: "a budget".into(),
                        obstacle: host.obstacle.clone(),
                        report: None,
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

    /// A drainer carries out a command about a taint, and the watch shows that at the next settling.
    pub(crate) fn taint(&mut self, command: &TaintNode) {
        let host = self.hosts.get_mut(&command.node);
        let host = host.filter(|host| host.view.uid == command.node_uid && self.drainers_taint);
        if let Some(host) = host {
            host.view.taints.retain(|taint| taint.key != mark::WAITS_FOR_REBOOT);
            if command.present {
                host.view.taints.push(Taint {
                    key: mark::WAITS_FOR_REBOOT.to_owned(),
                    value: String::new(),
                    effect: mark::WAITS_FOR_REBOOT_EFFECT.to_owned(),
                });
            }
        }
    }

    /// The API server has the conditions, and the watch shows them at the next settling.
    pub(crate) fn set_conditions(&mut self, change: &ConditionChange) {
        let Some(host) = self
            .hosts
            .get_mut(&change.node)
            .filter(|host| host.view.uid == change.node_uid)
        else {
            return;
        };
        let view = &mut host.view;
        let Some(diff) = change
            .conditions
            .diff(&view.our_conditions, |type_| view.conditions.contains_key(type_))
        else {
            return;
        };
        for set in diff.set {
            let condition = OurCondition {
                status: set.wanted.status.as_str().to_owned(),
                reason: set.wanted.reason.to_owned(),
                message: set.wanted.message.clone(),
            };
            view.our_conditions.insert(set.type_.to_owned(), condition);
        }
        for type_ in diff.removed {
            view.our_conditions.remove(type_);
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

    /// Takes a node from its drain to Done.
    pub(crate) fn reboot(&mut self, node: &str) {
        assert_eq!(self.phase(node), Some(Phase::Draining), "{:?}", self.reason(node));
        self.drainer(node, true, 1);
        self.rebooter(node, true);
        self.drainer(node, true, 1);
        self.pass(self.policy.soak);
        assert_eq!(self.phase(node), Some(Phase::Done));
    }

    /// The rebooter refuses its order.
    pub(crate) fn rebooter_refuses(&mut self, node: &str) {
        let record = self.records[&name(node)].clone();
        let message = "it does not fit".into();
        self.say(
            &name(node),
            Fact::RebootRefused {
                message,
                code: String::new(),
            },
            record.generation,
            record.id,
        );
    }

    /// The host boots, for whatever reason, and its need is gone; its kubelet may take longer.
    pub(crate) fn boot(&mut self, node: &str, ready: bool) {
        self.boots += 1;
        let boot_id = format!("boot-{}", self.boots).parse().unwrap();
        let now = self.now;
        let host = self.host(node);
        host.booted_at = Some(now);
        host.view.boot_id = Some(boot_id);
        host.view.ready = ready;
        match host.at_boot {
            AtBoot::Ends => host.need = Ok(None),
            AtBoot::Survives => (),
            AtBoot::Comes => {
                self.now += SignedDuration::from_secs(1);
                let now = self.now;
                self.host(node).need = Ok(Some(now));
            }
        }
        self.settle();
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

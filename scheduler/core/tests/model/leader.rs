//! The driver of the core: loads it, hands it messages, and carries out its effects, up to its death.

use bellwether_proto::{
    AttemptId, Fact, Generation, HostReport, NeedReport, NodeEvent, Phase, Problem, RebootNeed, RebooterReport,
};
use bellwether_scheduler_core::{Command, Effect, Fleet, Input, NodeView, StoredReport};
use jiff::{SignedDuration, Timestamp};

use crate::referee;
use crate::state::{Job, Message, State, WORKS, boot_id, is_pending, last_sent, policy, start};

impl State {
    /// A scheduler that begins to lead: a new core with every record, Node object and report as stored. The list
    /// is not behind, so it overtakes views and reports that were under way; events come again by themselves.
    pub(crate) fn load(&mut self) {
        self.core = Fleet::new(policy(self.slots), "model".into());
        self.loaded_at = self.now;
        let sent: Vec<(u8, bool)> = (0..self.hosts.len()).map(|node| last_sent(self, node)).collect();
        for host in &mut self.hosts {
            host.unchecked.clear();
            host.ready_from = None;
            host.uncordoned = None;
            host.asked_at = None;
        }
        self.late
            .retain(|message| matches!(message, Message::Event(_) | Message::Copy(_)));
        for record in self.records.values() {
            self.core
                .handle_input(Input::Attempt(Box::new(record.clone())), self.now);
        }
        for (node, report) in sent.into_iter().enumerate() {
            let view = self.hosts[node].object.clone();
            self.give_view(view);
            self.give_report(node, report);
        }
        self.decide();
    }

    pub(crate) fn give_view(&mut self, view: NodeView) {
        let node = self.node_of(&view.name);
        let is_newest = !self
            .late
            .iter()
            .any(|message| matches!(message, Message::View(late, _) if late.name == view.name));
        let host = &mut self.hosts[node];
        let ours = view.unschedulable && view.cordoned_for.is_some();
        if !ours && host.announced.is_none() && is_newest {
            host.drained = None;
        }
        if ours {
            host.unchecked.clear();
        }
        let stays = host.ready_from.is_some() && host.given.ready_since == view.ready_since;
        let from = if stays { host.ready_from } else { Some(self.now) };
        host.ready_from = from.filter(|_| view.ready);
        host.given = view.clone();
        self.core.handle_input(Input::Node(view), self.now);
    }

    pub(crate) fn give_report(&mut self, node: usize, report: (u8, bool)) {
        let host = &mut self.hosts[node];
        host.reported = report;
        host.unfit_reported = host.unfit;
        let refresh_interval = SignedDuration::from_hours(1);
        let sentinel = HostReport {
            node: host.object.name.clone(),
            boot_id: boot_id(node, report.0),
            reported_at: start(),
            booted_at: None,
            refresh_interval,
            need: if report.1 {
                NeedReport::Required(RebootNeed {
                    since: start(),
                    first_since: start(),
                    reasons: Vec::new(),
                    trace: None,
                    undated: false,
                })
            } else {
                NeedReport::NotRequired
            },
            kernel_running: "6".into(),
            kernel_installed: None,
            os: "Debian".into(),
            agent_version: "0".into(),
            probes: Vec::new(),
            services_to_restart: Vec::new(),
        };
        let rebooter = RebooterReport {
            node: host.object.name.clone(),
            boot_id: boot_id(node, report.0),
            reported_at: start(),
            refresh_interval,
            method: "logind".into(),
            problem: host.unfit.then(|| Problem::unclassified("unfit")),
            agent_version: "0".into(),
            record_keys: None,
            boot: None,
            kinds: Vec::new(),
            soft_reboots: None,
        };
        let stored_at = start();
        let sentinel = Input::Sentinel(StoredReport {
            report: sentinel,
            stored_at,
        });
        let rebooter = Input::Rebooter(StoredReport {
            report: rebooter,
            stored_at,
        });
        self.core.handle_input(sentinel, self.now);
        self.core.handle_input(rebooter, self.now);
    }

    /// Hands a message over, and lets the core decide. An event whose consequences a scheduler that died did
    /// not store comes again at once.
    pub(crate) fn give(&mut self, message: Message) {
        match message {
            Message::View(view, _) => self.give_view(view),
            Message::Report(node, report) => self.give_report(node, report),
            Message::Copy(event) | Message::Event(event) => {
                if matches!(event.fact, Fact::Uncordoned { .. }) {
                    let node = self.node_of(&event.node);
                    self.hosts[node].uncordoned = Some(event.generation);
                }
                if matches!(event.fact, Fact::Cordoned | Fact::Drained { .. }) {
                    self.note_unchecked(&event);
                }
                let dies = self.dies_after.is_some();
                self.core.handle_input(Input::Event(event.clone()), self.now);
                self.decide();
                if !dies || self.dies_after.is_some() {
                    return;
                }
                self.core.handle_input(Input::Event(event), self.now);
            }
        }
        self.decide();
    }

    /// Notes a report that the core cannot check yet; of each kind the first of an attempt and generation.
    fn note_unchecked(&mut self, event: &NodeEvent) {
        let node = self.node_of(&event.node);
        let (kind, now) = (event.fact.kind(), self.now);
        let host = &mut self.hosts[node];
        let is_shown = host.given.unschedulable && host.given.cordoned_for.is_some();
        let is_known = |known: &(&str, AttemptId, Generation, Timestamp)| {
            let of_any = kind == "cordoned" || known.2 == event.generation;
            (known.0, known.1) == (kind, event.attempt) && of_any
        };
        if !is_shown && !host.unchecked.iter().any(is_known) {
            host.unchecked.push((kind, event.attempt, event.generation, now));
        }
    }

    /// The core decides, and its effects are carried out, up to the death of the scheduler.
    pub(crate) fn decide(&mut self) {
        // An answer to a look for a command can have the core decide again, for each command once.
        for _ in 0..16 {
            self.core.advance(self.now);
            let mut answers = Vec::new();
            while let Some(effect) = self.core.poll_effect() {
                if self.is_last_of(&effect) {
                    self.dies_after = None;
                    self.load();
                    return;
                }
                answers.extend(self.carry_out(effect));
            }
            if answers.is_empty() {
                return;
            }
            for answer in answers {
                self.core.handle_input(answer, self.now);
            }
        }
        self.fault
            .get_or_insert_with(|| "Attempts end: the core decides without end".into());
    }

    fn is_last_of(&mut self, effect: &Effect) -> bool {
        let lasts = matches!(
            effect,
            Effect::StoreAttempt(..) | Effect::DeleteAttempt(_) | Effect::SendCommand(_)
        );
        let dies = lasts && self.dies_after == Some(self.done);
        self.done += usize::from(lasts && !dies);
        dies
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::StoreAttempt(attempt, _) => {
                referee::judge_record(self, &attempt);
                self.records.insert(attempt.node.clone(), *attempt);
            }
            Effect::DeleteAttempt(node) => {
                self.records.remove(&node);
            }
            Effect::SendCommand(command) => {
                let node = self.node_of(&command.attempt().node);
                self.hosts[node].asked_at = Some(self.now);
                self.queue(command);
            }
            Effect::CheckCommand(command) => {
                let node = self.node_of(&command.attempt().node);
                self.hosts[node].asked_at = Some(self.now);
                if !self.jobs.iter().any(|job| job.command == command) {
                    let attempt = command.attempt();
                    return Some(Input::CommandLost {
                        node: attempt.node.clone(),
                        attempt: attempt.attempt,
                        generation: attempt.generation.0,
                    });
                }
            }
            // The model has no policy, and so no gate that is read.
            Effect::StoreControl(..)
            | Effect::PhaseEnded { .. }
            | Effect::Read { .. }
            | Effect::TaintNode(_)
            | Effect::SetConditions(_) => (),
        }
        None
    }

    /// The queue holds one command of each kind for a node; a drainer that evicts keeps its own.
    fn queue(&mut self, command: Command) {
        let of_same = |job: &Job| {
            !job.evicts
                && job.command.attempt().node == command.attempt().node
                && matches!(job.command, Command::Drain(_)) == matches!(command, Command::Drain(_))
        };
        self.jobs.retain(|job| !of_same(job));
        self.jobs.push(Job {
            command,
            evicts: false,
            slow: false,
        });
    }

    /// Forgets commands that no record orders (generations only grow, so no record orders them again) and the
    /// slowness of works that are not pending.
    pub(crate) fn forget(&mut self) {
        let records = &self.records;
        self.jobs.retain(|job| {
            let commanded = job.command.attempt();
            let record = records.get(&commanded.node);
            record.is_some_and(|record| {
                let orders = match job.command {
                    Command::Drain(_) => record.phase == Phase::Draining,
                    Command::Uncordon(_) => {
                        matches!(record.phase, Phase::Uncordoning | Phase::RollingBack | Phase::Failed)
                    }
                };
                record.generation == commanded.generation && record.id == commanded.attempt && orders
            })
        });
        for job in self.jobs.iter().filter(|job| job.slow) {
            let mut hosts = self.hosts.iter_mut();
            if let Some(host) = hosts.find(|host| host.object.name == job.command.attempt().node) {
                host.asked_until = Some(self.now);
            }
        }
        for node in 0..self.hosts.len() {
            for work in WORKS {
                if self.hosts[node].slow[work as usize] && !is_pending(self, node, work) {
                    self.hosts[node].slow[work as usize] = false;
                }
            }
        }
        self.done = 0;
        self.dies_after = None;
    }
}

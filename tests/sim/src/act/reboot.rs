//! How a rebooter obeys its record: the steps of `rebooter/src/run.rs`, with time between them.

use bellwether_proto::{Attempt, Fact, NodeEvent, Phase, Problem, ProblemCode};
use bellwether_rebooter_core::guard::{Acted, Decision, Own, Refusal, WAIT_INTERVAL, Waiting, examine, order_in};

use crate::happening::Happening;
use crate::moment::{Ms, SECOND, moment};
use crate::setup::Way;
use crate::world::{World, tell};

/// A rebooter reads its record this often even without a hint.
const REREAD: Ms = 30 * SECOND;

/// The second look after a hint, for a replica that was behind.
const SECOND_LOOK: Ms = 500;

impl World {
    /// A record was written: its rebooter hears of that, or reads later by itself.
    pub(super) fn rebooter_hinted(&mut self, node: usize) {
        let lost = self.random.chance(self.setup.lost_hints);
        let delay = if lost {
            self.random.between(1, REREAD)
        } else {
            self.delay(Way::Hints)
        };
        self.rebooter_looks_in(node, delay);
    }

    pub(super) fn rebooter_looks_in(&mut self, node: usize, delay: Ms) {
        let at = self.now + delay;
        let rebooter = &mut self.hosts[node].rebooter;
        if !rebooter.process.is_up || rebooter.looks_at.is_some_and(|looks_at| looks_at <= at) {
            return;
        }
        rebooter.looks_at = Some(at);
        let run = rebooter.process.run;
        self.enter(delay, Happening::RebooterLooks(node, run));
    }

    /// Reads the record from any replica, at first the newest copy, and obeys a command.
    pub(crate) fn rebooter_looks(&mut self, node: usize, run: u32) {
        let rebooter = &mut self.hosts[node].rebooter;
        if rebooter.process.run != run || !rebooter.process.is_up || rebooter.looks_at.is_none_or(|at| at > self.now) {
            return;
        }
        rebooter.looks_at = None;
        if rebooter.obeying.is_some() {
            return;
        }
        if self.nats_is_away() {
            let delay = self.until_back(self.bus.away_until);
            self.rebooter_looks_in(node, delay);
            return;
        }
        let is_first = !std::mem::replace(&mut self.hosts[node].rebooter.has_looked, true);
        let is_behind = self.random.chance(50) && !is_first && self.bus.before[node].is_some();
        let record = if is_behind {
            self.bus.before[node].clone()
        } else {
            self.bus.attempts[node].clone()
        };
        if is_first {
            self.hosts[node].rebooter.inherited = record.as_deref().and_then(order_in);
        }
        let Some(record) = record else {
            return;
        };
        if is_behind {
            self.rebooter_looks_in(node, SECOND_LOOK);
        } else if record.phase == Phase::Rebooting {
            // The reads in between change nothing, since only this phase is a command.
            self.rebooter_looks_in(node, REREAD);
        }
        match examine(&record, &self.own(node, None), self.at(self.hosts[node].skew)) {
            Decision::Nothing => (),
            Decision::Refuse(refusal) => self.rebooter_refuses(node, &record, &refusal),
            Decision::Act(_) | Decision::Wait(_) => self.rebooter_obeys(node, &record),
        }
    }

    fn own(&self, node: usize, problem: Option<Problem>) -> Own {
        let host = &self.hosts[node];
        Own {
            node: self.names[node].clone(),
            boot_id: host.boot.clone(),
            acted: host.rebooter.acted.clone(),
            refused: host.rebooter.refused,
            waiting: host.rebooter.waiting.clone(),
            inherited: host.rebooter.inherited,
            problem,
            soft_reboots: None,
        }
    }

    fn rebooter_obeys(&mut self, node: usize, record: &Attempt) {
        let problem = self.preflight(node);
        if problem.is_some() {
            self.wake_rebooter_in(node, 1);
        }
        match examine(record, &self.own(node, problem), self.at(self.hosts[node].skew)) {
            Decision::Act(order) => {
                tell!(
                    self,
                    "{}: rebooter obeys generation {}",
                    self.names[node],
                    order.generation
                );
                self.hosts[node].rebooter.obeying = Some(order);
                self.hosts[node].rebooter.taken_up = Some(Box::new(record.clone()));
                let delay = self.random.between(10, 2_000);
                let run = self.hosts[node].rebooter.process.run;
                self.enter(delay, Happening::RebooterAnnounces(node, run, true));
            }
            Decision::Wait(problem) => self.rebooter_waits(node, record, problem),
            Decision::Refuse(refusal) => self.rebooter_refuses(node, record, &refusal),
            Decision::Nothing => (),
        }
    }

    /// Looks again after a while, and not later than at the end of the order.
    fn rebooter_waits(&mut self, node: usize, record: &Attempt, problem: Problem) {
        tell!(self, "{}: rebooter waits: {}", self.names[node], problem.message);
        let rebooter = &mut self.hosts[node].rebooter;
        rebooter.waiting = Some(Waiting::new(record, problem));
        let interval = Ms::try_from(WAIT_INTERVAL.as_millis()).unwrap_or(Ms::MAX / 4);
        let end = record.reboot_not_after.map_or(0, moment);
        let left = end - (self.now + self.hosts[node].skew);
        self.rebooter_looks_in(node, interval.min(left.max(1)));
    }

    fn rebooter_refuses(&mut self, node: usize, record: &Attempt, refusal: &Refusal) {
        self.hosts[node].rebooter.refused = Some((record.id, record.generation));
        if refusal.is_reported() {
            tell!(self, "{}: rebooter refuses: {refusal}", self.names[node]);
            let fact = Fact::RebootRefused {
                message: refusal.to_string(),
                code: refusal.code().to_owned(),
            };
            let event = self.event_of(node, record, fact);
            self.send_event(event);
        }
    }

    fn event_of(&self, node: usize, record: &Attempt, fact: Fact) -> NodeEvent {
        NodeEvent {
            node: self.names[node].clone(),
            attempt: record.id,
            generation: record.generation,
            at: self.at(self.hosts[node].skew),
            source: "rebooter".to_owned(),
            fact,
        }
    }

    fn send_event(&mut self, event: NodeEvent) {
        let wait = if self.nats_is_away() {
            self.until_back(self.bus.away_until)
        } else {
            0
        };
        let delay = wait + self.delay(Way::Nats);
        let happening = Happening::EventArrives {
            job: None,
            event: Box::new(event),
            confirmed: true,
        };
        self.enter(delay, happening);
    }

    /// The announcement reaches the stream; its confirmation is on the way back, or lost.
    pub(crate) fn rebooter_announces(&mut self, node: usize, run: u32, may_be_lost: bool) {
        let is_alive = self.hosts[node].rebooter.process.run == run;
        let Some(order) = self.hosts[node].rebooter.obeying.clone().filter(|_| is_alive) else {
            return;
        };
        if self.nats_is_away() {
            let delay = self.until_back(self.bus.away_until);
            if self.now + delay + self.hosts[node].skew >= moment(order.not_after) {
                self.rebooter_stops(node);
            } else {
                self.enter(delay, Happening::RebooterAnnounces(node, run, may_be_lost));
            }
            return;
        }
        let event = NodeEvent {
            node: self.names[node].clone(),
            attempt: order.attempt,
            generation: order.generation,
            at: self.at(self.hosts[node].skew),
            source: "rebooter".to_owned(),
            fact: Fact::RebootStarted {
                boot_id: order.boot_id,
                method: "logind".to_owned(),
            },
        };
        self.bus.publish(event, &format!("{node}.{run}"), self.now);
        self.offer_events();
        let delay = self.delay(Way::Nats) + self.random.between(0, 2_000);
        if may_be_lost && self.random.chance(self.setup.lost_acks) {
            self.enter(delay, Happening::RebooterAnnounces(node, run, false));
        } else {
            self.enter(delay, Happening::RebooterAnnounced(node, run));
        }
    }

    fn rebooter_stops(&mut self, node: usize) {
        tell!(self, "{}: reboot called off", self.names[node]);
        self.hosts[node].rebooter.obeying = None;
        self.rebooter_looks_in(node, SECOND_LOOK);
    }

    /// The last look, at the record on the stream's leader.
    pub(crate) fn rebooter_announced(&mut self, node: usize, run: u32) {
        let rebooter = &self.hosts[node].rebooter;
        let Some(order) = rebooter.obeying.clone().filter(|_| rebooter.process.run == run) else {
            return;
        };
        if self.nats_is_away() {
            let delay = self.until_back(self.bus.away_until);
            if self.now + delay + self.hosts[node].skew >= moment(order.not_after) {
                self.rebooter_stops(node);
            } else {
                self.enter(delay, Happening::RebooterAnnounced(node, run));
            }
            return;
        }
        let Some(record) = self.bus.attempts[node].clone() else {
            self.rebooter_stops(node);
            return;
        };
        match examine(&record, &self.own(node, None), self.at(self.hosts[node].skew)) {
            Decision::Act(again) if again.is_same(&order) => {
                self.referee.last_look(self.now, node, &record);
                let delay = self.random.between(1, 200);
                self.enter(delay, Happening::RebooterCalls(node, run));
            }
            Decision::Refuse(refusal) => {
                self.rebooter_refuses(node, &record, &refusal);
                self.rebooter_stops(node);
            }
            Decision::Act(_) | Decision::Wait(_) | Decision::Nothing => self.rebooter_stops(node),
        }
    }

    /// The irreversible step.
    pub(crate) fn rebooter_calls(&mut self, node: usize, run: u32) {
        let rebooter = &mut self.hosts[node].rebooter;
        if rebooter.process.run != run {
            return;
        }
        let Some(order) = rebooter.obeying.take() else {
            return;
        };
        // An inhibitor has come since the last look: logind does not obey, and the call is none.
        if let Some(record) = rebooter.taken_up.take().filter(|_| self.hosts[node].preflight_fails) {
            let problem = Problem::new(ProblemCode::ShutdownInhibited, "a package upgrade began");
            self.wake_rebooter_in(node, 1);
            self.rebooter_waits(node, &record, problem);
            return;
        }
        let rebooter = &mut self.hosts[node].rebooter;
        rebooter.acted = Some(Acted {
            attempt: order.attempt,
            boot_id: order.boot_id.clone(),
        });
        rebooter.spent = true;
        rebooter.schedule.forget();
        let time = self.shutdown_time(node);
        tell!(self, "{}: rebooter calls; shutdown in {time:?} ms", self.names[node]);
        let need = self.hosts[node].need.map(|need| need.id);
        self.referee
            .reboot_called(self.now, node, &order.attempt, need, time.is_some(), &self.cluster);
        self.wake_rebooter_in(node, 5 * SECOND);
        if let Some(time) = time {
            self.host_shuts_down_in(node, time);
        } else {
            self.rebooter_looks_in(node, REREAD);
        }
    }
}

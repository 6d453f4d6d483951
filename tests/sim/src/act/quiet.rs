//! Looks at the fleet, and the quiet at the end of a run: nothing goes wrong any more, and operators repair.

use bellwether_proto::Phase;
use bellwether_scheduler_core::Input;

use crate::happening::Happening;
use crate::host::{Obeys, Power, Return};
use crate::leader::{Message, Stage};
use crate::moment::{HOUR, MINUTE, Ms, SECOND, millis};
use crate::referee::Scene;
use crate::world::{World, tell};

/// Time between two looks.
const LOOK: Ms = 90 * SECOND;

/// A leader that has begun processes the events of the time before first.
const GRACE: Ms = 30 * SECOND;

/// How often operators look for what needs a hand.
const ROUND: Ms = 20 * MINUTE;

/// The longest delay between two tries of a node.
const RETRY_MAX: Ms = 8 * HOUR;

impl World {
    pub(crate) fn look(&mut self) {
        let leader = self.leaders.iter().find(|leader| {
            !leader.is_deposed
                && leader.stage == Stage::Running
                && !leader.watch_fails
                && self.now >= leader.stalled_until
                && self.now - leader.running_since > GRACE
                && leader.sequence == self.bus.sequence
        });
        let leader = leader.filter(|_| !self.nats_is_away());
        let scene = Scene {
            now: self.now,
            passed: LOOK,
            bus: &self.bus,
            cluster: &self.cluster,
            hosts: &self.hosts,
            leader: leader.map(|leader| (&leader.fleet, leader.known.as_slice())),
            leader_rests: leader.is_some_and(|leader| !leader.waits_for_effect && !leader.must_decide),
        };
        self.referee.look(&scene);
        self.enter(LOOK, Happening::Look);
    }

    /// Adds the state of each node to the story, as operators see it.
    pub(crate) fn tell_standings(&mut self) {
        let mut lines = Vec::new();
        for leader in &self.leaders {
            for (view, standing) in leader.fleet.standings() {
                let reason = standing
                    .reason
                    .as_ref()
                    .map_or_else(String::new, |reason| format!("{}: {}", reason.code(), reason.message()));
                lines.push(format!(
                    "by leader {}: {} is {}, {reason}",
                    leader.id,
                    view.name,
                    standing.state.as_str()
                ));
            }
        }
        for (node, host) in self.hosts.iter().enumerate() {
            lines.push(format!(
                "in truth: n{node} need {:?}, {:?} in {}, node {:?}",
                host.need, host.power, host.boot, self.cluster.nodes[node]
            ));
            if let Some(record) = &self.bus.attempts[node] {
                lines.push(format!("stored: n{node} {record:?}"));
            }
        }
        for line in lines {
            tell!(self, "{line}");
        }
    }

    /// Nothing is left to be done, or the time for that is over.
    pub(crate) fn is_settled(&mut self) -> bool {
        let Some(since) = self.quiet_since else {
            return false;
        };
        let scene = Scene {
            now: self.now,
            passed: 0,
            bus: &self.bus,
            cluster: &self.cluster,
            hosts: &self.hosts,
            leader: None,
            leader_rests: false,
        };
        let Some((check, message)) = self.referee.unsettled(&scene) else {
            return true;
        };
        let slots = i64::from(self.setup.policy.slots.get());
        let nodes = i64::try_from(self.setup.nodes).unwrap_or(Ms::MAX);
        let turns = nodes / slots + i64::try_from(self.setup.control_plane).unwrap_or(0) + 2;
        let retry = RETRY_MAX.max(millis(self.setup.policy.retry_delay));
        let bound = retry + turns * self.referee.attempt_max() + 2 * HOUR;
        if self.now - since <= bound {
            return false;
        }
        self.referee.fail_unsettled(check, &message);
        true
    }

    /// The last mishap is over: everything is repaired that only another hand can repair.
    pub(crate) fn quiet(&mut self) {
        tell!(self, "the quiet begins");
        self.quiet_since = Some(self.now);
        self.bus.away_until = self.now;
        self.api_away_until = self.now;
        self.api_comes_back();
        self.setup.lost_acks = 0;
        self.leader_skew_is(0);
        for node in 0..self.names.len() {
            self.hosts[node].skew = 0;
            self.hosts[node].need_will_survive = false;
            self.hosts[node].budget_blocks = false;
            self.hosts[node].pods_stick = false;
            self.hosts[node].probe_fails = false;
            self.hosts[node].preflight_fails = false;
            self.hosts[node].obeys = Obeys::Promptly;
            if self.cluster.nodes[node].as_ref().is_some_and(|object| object.deleting) {
                self.node_is_removed(node);
            }
            self.uncordon_foreign(node);
            self.repair_host(node);
        }
        self.operator_asks(Input::Resume { by: "ops".to_owned() });
        self.enter(ROUND, Happening::Repair);
    }

    fn repair_host(&mut self, node: usize) {
        if self.hosts[node].is_gone {
            return;
        }
        let life = self.hosts[node].life;
        if self.hosts[node].power == Power::Down {
            self.hosts[node].returns = Return::Soon;
            self.enter(MINUTE, Happening::HostComesUp(node, life));
            return;
        }
        self.hosts[node].returns = Return::Soon;
        self.enter(MINUTE, Happening::NodeReady(node, life, true));
        self.enter(MINUTE, Happening::SentinelStarts(node, life));
        self.enter(MINUTE, Happening::RebooterStarts(node, life));
        self.sentinel_hinted(node);
    }

    /// Operators restart what refuses, and release slots of failed attempts.
    pub(crate) fn repair(&mut self) {
        for node in 0..self.names.len() {
            let failed = self.bus.attempts[node]
                .as_deref()
                .is_some_and(|record| record.phase == Phase::Failed && record.slot_held);
            if self.hosts[node].rebooter.spent && self.hosts[node].power == Power::Up {
                tell!(self, "operator restarts the rebooter of {}", self.names[node]);
                self.rebooter_ends(node);
                let life = self.hosts[node].life;
                self.enter(SECOND, Happening::RebooterStarts(node, life));
            }
            if failed {
                self.operator_asks(Input::Cancel {
                    node: self.names[node].clone(),
                    by: "ops".to_owned(),
                    reason: "looked at".to_owned(),
                });
            }
        }
        if self.referee_is_paused() {
            self.operator_asks(Input::Resume { by: "ops".to_owned() });
        }
        self.enter(ROUND, Happening::Repair);
    }

    fn referee_is_paused(&self) -> bool {
        self.bus
            .control
            .as_ref()
            .is_some_and(bellwether_proto::FleetControl::paused)
    }

    /// A request reaches some scheduler that leads, or believes to.
    pub(super) fn operator_asks(&mut self, request: Input) {
        let running: Vec<u32> = self
            .leaders
            .iter()
            .filter(|leader| leader.stage == Stage::Running)
            .map(|leader| leader.id)
            .collect();
        if running.is_empty() {
            return;
        }
        let id = self.random.pick(&running);
        self.enter(20, Happening::LeaderHears(id, Message::Request(Box::new(request))));
    }
}

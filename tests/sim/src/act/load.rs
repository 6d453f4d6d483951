//! How a leader begins, is deposed, stalls and dies.

use std::collections::{BTreeSet, VecDeque};

use bellwether_scheduler_core::{Fleet, Input};

use crate::happening::Happening;
use crate::knowledge::Knowledge;
use crate::leader::{Leader, Message, Stage};
use crate::moment::{Ms, SECOND};
use crate::setup::Way;
use crate::world::{World, tell};

use super::lead::ACK_WAIT;

impl World {
    /// A replica leads. `deposed`: it once led and has not noticed that it leads no more.
    pub(crate) fn leader_starts(&mut self, deposed: bool) {
        if !deposed && self.leaders.iter().any(|leader| !leader.is_deposed) {
            return;
        }
        self.leaders_started += 1;
        let id = self.leaders_started;
        tell!(self, "leader {id} starts");
        let leader = Leader {
            id,
            fleet: Fleet::new(self.setup.policy.clone(), format!("scheduler {id}")),
            stage: Stage::Starting,
            sequence: 0,
            skew: self.leader_skew,
            decided_at: 0,
            inbox: VecDeque::new(),
            waits_for_effect: false,
            must_decide: true,
            events_in_hand: Vec::new(),
            events_pulled: 0,
            events_heard_at: 0,
            reply: None,
            stalled_until: 0,
            watch_fails: false,
            is_deposed: deposed,
            wakes_at: Ms::MAX,
            token: 0,
            nodes_heard_at: 0,
            reports_heard_at: 0,
            known: vec![Knowledge::default(); self.names.len()],
            touched: BTreeSet::new(),
            running_since: 0,
        };
        self.leaders.push(leader);
        let delay = self.until_back(self.bus.away_until);
        self.enter(delay, Happening::LeaderLoads(id));
    }

    pub(crate) fn leader_loads(&mut self, id: u32) {
        if self.nats_is_away() {
            let delay = self.until_back(self.bus.away_until);
            self.enter(delay, Happening::LeaderLoads(id));
            return;
        }
        self.with_leader(id, |world, leader| {
            let now = world.at(leader.skew);
            leader.sequence = world.bus.sequence;
            for attempt in world.bus.attempts.iter().flatten() {
                leader.fleet.handle_input(Input::Attempt(attempt.clone()), now);
            }
            if let Some(control) = world.bus.control.clone() {
                leader.fleet.handle_input(Input::Control(control), now);
            }
            leader.stage = Stage::Loaded;
            let delay = world.until_back(world.api_away_until.max(world.bus.away_until));
            world.enter(delay, Happening::LeaderLists(id));
            true
        });
    }

    pub(crate) fn leader_lists(&mut self, id: u32) {
        if self.nats_is_away() || self.api_is_away() {
            let delay = self.until_back(self.api_away_until.max(self.bus.away_until));
            self.enter(delay, Happening::LeaderLists(id));
            return;
        }
        self.with_leader(id, |world, leader| {
            for node in 0..world.names.len() {
                if let Some(object) = &world.cluster.nodes[node] {
                    let view = object.for_scheduler(&world.names[node]);
                    world.leader_learns(leader, Input::Node(view));
                }
                if let Some(report) = world.bus.sentinels[node].clone() {
                    world.leader_learns(leader, Input::Sentinel(report));
                }
                if let Some(report) = world.bus.rebooters[node].clone() {
                    world.leader_learns(leader, Input::Rebooter(report));
                }
            }
            leader
                .fleet
                .handle_input(Input::Rivals(BTreeSet::new()), world.at(leader.skew));
            leader.stage = Stage::Running;
            leader.running_since = world.now;
            tell!(world, "leader {id} has loaded everything");
            world.leader_runs(leader)
        });
    }

    /// A watch of nodes or reports has a message for every leader that watches.
    pub(super) fn broadcast(&mut self, way: Way, input: &Input) {
        for position in 0..self.leaders.len() {
            let leader = &self.leaders[position];
            if leader.stage != Stage::Running || leader.watch_fails {
                continue;
            }
            let id = leader.id;
            let mut last = if way == Way::NodesToLeader {
                leader.nodes_heard_at
            } else {
                leader.reports_heard_at
            };
            let at = self.in_order(way, &mut last);
            let leader = &mut self.leaders[position];
            if way == Way::NodesToLeader {
                leader.nodes_heard_at = last;
            } else {
                leader.reports_heard_at = last;
            }
            let message = Message::Fact(Box::new(input.clone()));
            self.agenda.enter(at, Happening::LeaderHears(id, message));
        }
    }

    /// The leader dies at once. Another one leads once the Lease is over.
    pub(crate) fn leader_crashes(&mut self, id: u32) {
        let Some(position) = self.leaders.iter().position(|leader| leader.id == id) else {
            return;
        };
        let mut leader = self.leaders.remove(position);
        tell!(self, "leader {id} crashes");
        self.release_events(&mut leader, ACK_WAIT);
        if !leader.is_deposed {
            let delay = self.random.between(500, 20 * SECOND);
            self.enter(delay, Happening::LeaderStarts { deposed: false });
        }
    }

    /// Another replica leads; the present one notices later.
    pub(crate) fn leader_changes(&mut self) {
        let notices = self.random.between(0, 40 * SECOND);
        let ids: Vec<u32> = self.leaders.iter().map(|leader| leader.id).collect();
        for leader in &mut self.leaders {
            leader.is_deposed = true;
        }
        for id in ids {
            tell!(self, "leader {id} is deposed, and notices in {notices} ms");
            self.enter(notices, Happening::LeaderNotices(id));
        }
        let delay = self.random.between(0, 5 * SECOND);
        self.enter(delay, Happening::LeaderStarts { deposed: false });
    }

    pub(crate) fn leader_notices(&mut self, id: u32) {
        let Some(position) = self
            .leaders
            .iter()
            .position(|leader| leader.id == id && leader.is_deposed)
        else {
            return;
        };
        let mut leader = self.leaders.remove(position);
        tell!(self, "leader {id} leads no more");
        self.release_events(&mut leader, 200);
    }

    /// The API server does not answer for so long: the leader decides nothing, and begins again afterwards.
    pub(crate) fn api_goes_away(&mut self, time: Ms) {
        self.api_away_until = self.now + time;
        for leader in &mut self.leaders {
            leader.watch_fails = leader.stage == Stage::Running;
        }
    }

    pub(crate) fn api_comes_back(&mut self) {
        if self.api_is_away() {
            return;
        }
        let ids: Vec<u32> = self
            .leaders
            .iter()
            .filter(|leader| leader.watch_fails)
            .map(|leader| leader.id)
            .collect();
        for id in ids {
            self.with_leader(id, |_, _| false);
        }
    }
}

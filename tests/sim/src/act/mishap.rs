//! Mishaps: what can go wrong, each for a node or a part that chance picks.

use bellwether_scheduler_core::Input;

use crate::happening::{Happening, Undo};
use crate::host::{Obeys, Power, Return};
use crate::leader::Stage;
use crate::moment::{HOUR, MINUTE, Ms, SECOND};
use crate::setup::{Mishap, Plot};
use crate::world::{World, tell};

impl World {
    /// The next mishap, and the entry of the one after.
    pub(crate) fn mishap(&mut self) {
        if self.mishaps_left == 0 {
            self.quiet();
            return;
        }
        self.mishaps_left -= 1;
        let gap = self.random.between(1, 2 * self.setup.gap);
        self.enter(gap, Happening::Mishap);
        if self.setup.mishaps.is_empty() {
            return;
        }
        let mishaps = std::mem::take(&mut self.setup.mishaps);
        let mishap = self.random.pick(&mishaps);
        self.setup.mishaps = mishaps;
        let node = self.random.index(self.names.len());
        tell!(self, "mishap: {mishap:?} ({})", self.names[node]);
        self.strikes(mishap, node);
    }

    /// A node with an attempt, more often than not: most nodes rest most of the time.
    fn busy_node(&mut self, or: usize) -> usize {
        let busy: Vec<usize> = (0..self.names.len())
            .filter(|node| {
                self.bus.attempts[*node]
                    .as_deref()
                    .is_some_and(|record| record.slot_held)
            })
            .collect();
        if busy.is_empty() || self.random.chance(250) {
            or
        } else {
            self.random.pick(&busy)
        }
    }

    fn strikes(&mut self, mishap: Mishap, drawn: usize) {
        let node = self.busy_node(drawn);
        match mishap {
            Mishap::NeedBegins => self.need_begins(drawn),
            Mishap::NeedRenewed => self.need_begins(node),
            Mishap::NeedClears => {
                self.hosts[node].need = None;
                self.sentinel_hinted(node);
            }
            Mishap::NeedWillSurvive => self.hosts[node].need_will_survive = true,
            Mishap::ProbeFails => {
                self.hosts[node].probe_fails = true;
                self.sentinel_hinted(node);
                self.undo_later(node, Undo::ProbeFails, 10 * MINUTE);
            }
            Mishap::SentinelSilent | Mishap::SentinelRestarts => {
                self.sentinel_ends(node);
                let long = if mishap == Mishap::SentinelSilent {
                    40 * MINUTE
                } else {
                    10 * SECOND
                };
                let (delay, life) = (self.random.between(1, long), self.hosts[node].life);
                self.enter(delay, Happening::SentinelStarts(node, life));
            }
            Mishap::RebooterSilent | Mishap::RebooterRestarts => {
                self.rebooter_ends(node);
                let long = if mishap == Mishap::RebooterSilent {
                    40 * MINUTE
                } else {
                    10 * SECOND
                };
                let (delay, life) = (self.random.between(1, long), self.hosts[node].life);
                self.enter(delay, Happening::RebooterStarts(node, life));
            }
            Mishap::PreflightFails => {
                self.hosts[node].preflight_fails = true;
                // The rebooter finds out now, or at its next preflight.
                if self.random.chance(500) {
                    self.hosts[node].rebooter.schedule.forget();
                    self.wake_rebooter_in(node, SECOND);
                }
                self.undo_later(node, Undo::PreflightFails, 10 * MINUTE);
            }
            Mishap::BudgetBlocks => {
                self.hosts[node].budget_blocks = true;
                self.undo_later(node, Undo::BudgetBlocks, 30 * MINUTE);
            }
            Mishap::PodSticks => {
                self.hosts[node].pods_stick = true;
                self.undo_later(node, Undo::PodsStick, 30 * MINUTE);
            }
            Mishap::HostReboots
            | Mishap::HostIgnores
            | Mishap::HostStaysDown
            | Mishap::HostComesBackLate
            | Mishap::HostGoesDownSlowly
            | Mishap::NodeComesBackNotReady
            | Mishap::ReadyFlaps
            | Mishap::HostClockJumps => {
                self.host_strikes(mishap, node);
            }
            Mishap::LeaderCrashes | Mishap::LeaderChanges | Mishap::LeaderStalls | Mishap::LeaderClockJumps => {
                self.leader_strikes(mishap);
            }
            Mishap::DrainerCrashes
            | Mishap::DrainersAway
            | Mishap::CommandComesTwice
            | Mishap::ApiAway
            | Mishap::NatsAway => {
                self.part_strikes(mishap);
            }
            Mishap::NodeDeleted | Mishap::NodeReplaced => self.node_strikes(mishap, node),
            Mishap::OperatorCordons
            | Mishap::OperatorUncordons
            | Mishap::OperatorStripsMark
            | Mishap::OperatorStripsAndUncordons
            | Mishap::OperatorCancels
            | Mishap::OperatorPauses => {
                self.operator_strikes(mishap, node);
            }
        }
    }

    fn host_strikes(&mut self, mishap: Mishap, node: usize) {
        let host = &mut self.hosts[node];
        match mishap {
            Mishap::HostReboots => {
                let delay = self.random.between(1, 5 * SECOND);
                self.host_shuts_down_in(node, delay);
            }
            Mishap::HostIgnores => host.obeys = Obeys::Never,
            Mishap::HostGoesDownSlowly => host.obeys = Obeys::Slowly,
            Mishap::HostStaysDown => host.returns = Return::Never,
            Mishap::HostComesBackLate => host.returns = Return::Late,
            Mishap::NodeComesBackNotReady => host.returns = Return::NotReady,
            Mishap::ReadyFlaps => {
                let life = host.life;
                let mut at = 0;
                for _ in 0..self.random.between(1, 6) {
                    at += self.random.between(SECOND, 40 * SECOND);
                    self.enter(at, Happening::NodeReady(node, life, false));
                    at += self.random.between(SECOND, 40 * SECOND);
                    self.enter(at, Happening::NodeReady(node, life, true));
                }
            }
            _ => {
                host.skew = self
                    .random
                    .pick(&[-HOUR, -2 * MINUTE, -5 * SECOND, 5 * SECOND, 2 * MINUTE, HOUR]);
                self.undo_later(node, Undo::HostClock, 30 * MINUTE);
            }
        }
    }

    fn leader_strikes(&mut self, mishap: Mishap) {
        let running: Vec<usize> = (0..self.leaders.len())
            .filter(|at| self.leaders[*at].stage == Stage::Running)
            .collect();
        match mishap {
            Mishap::LeaderChanges => self.leader_changes(),
            Mishap::LeaderClockJumps => {
                let skew = self.random.pick(&[-10 * MINUTE, -MINUTE, 0, MINUTE, 10 * MINUTE]);
                self.leader_skew_is(skew);
            }
            _ if running.is_empty() => (),
            Mishap::LeaderCrashes => {
                let id = self.leaders[self.random.pick(&running)].id;
                let delay = self.random.between(0, 2 * SECOND);
                self.enter(delay, Happening::LeaderCrashes(id));
            }
            _ => {
                let (position, time) = (self.random.pick(&running), self.random.between(SECOND, MINUTE));
                self.leader_stalls(position, time);
                // The Lease is over by then: another one leads, and this one does not know.
                if time > 15 * SECOND {
                    self.leader_changes();
                }
            }
        }
    }

    pub(super) fn leader_skew_is(&mut self, skew: Ms) {
        if skew != self.leader_skew {
            tell!(self, "the clock of the schedulers is {skew} ms wrong");
            self.referee.clock_jumped(skew - self.leader_skew);
            self.leaders_clock_jumps(skew);
        }
    }

    fn part_strikes(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::DrainerCrashes => {
                let (drainer, back) = (
                    self.random.index(self.drainers.len()),
                    self.random.between(SECOND, 30 * SECOND),
                );
                self.drainer_crashes(drainer, back);
            }
            Mishap::DrainersAway => {
                let back = self.random.between(30 * SECOND, 10 * MINUTE);
                (0..self.drainers.len()).for_each(|drainer| self.drainer_crashes(drainer, back));
            }
            Mishap::CommandComesTwice => {
                let taken: Vec<_> = self
                    .bus
                    .commands
                    .iter()
                    .filter(|(_, queued)| queued.is_taken)
                    .map(|(place, queued)| (*place, queued.number))
                    .collect();
                if !taken.is_empty() {
                    let (place, number) = self.random.pick(&taken);
                    self.command_again(place, number);
                }
            }
            Mishap::ApiAway => {
                let time = self.random.between(SECOND, 5 * MINUTE);
                self.api_goes_away(time);
                self.enter(time, Happening::MishapEnds(0, Undo::ApiAway));
            }
            _ => {
                let time = self.random.between(SECOND, 5 * MINUTE);
                self.bus.away_until = self.now + time;
            }
        }
    }

    fn node_strikes(&mut self, mishap: Mishap, node: usize) {
        if self.hosts[node].is_gone {
            let needs = self.random.chance(500);
            self.node_is_made(node, needs);
            return;
        }
        if mishap == Mishap::NodeDeleted && self.random.chance(500) {
            // Deleted in the background: a finalizer keeps the object for a while.
            self.change_node(node, |object| object.deleting = true);
            self.undo_later(node, Undo::NodeDeleting, 5 * MINUTE);
            return;
        }
        let needs = self.random.chance(500);
        self.node_is_removed(node);
        if mishap == Mishap::NodeReplaced {
            self.node_is_made(node, needs);
        }
    }

    fn operator_strikes(&mut self, mishap: Mishap, node: usize) {
        match mishap {
            Mishap::OperatorCordons => {
                if self.operator_cordons(node) {
                    self.undo_later(node, Undo::ForeignCordon, 20 * MINUTE);
                }
            }
            Mishap::OperatorUncordons => self.operator_changes(node, true, false),
            Mishap::OperatorStripsMark => {
                self.operator_changes(node, false, true);
                self.undo_later(node, Undo::ForeignCordon, 20 * MINUTE);
            }
            Mishap::OperatorStripsAndUncordons => self.operator_changes(node, true, true),
            Mishap::OperatorCancels => self.operator_asks(Input::Cancel {
                node: self.names[node].clone(),
                by: "ops".to_owned(),
                reason: String::new(),
            }),
            _ => {
                self.operator_asks(Input::Pause {
                    by: "ops".to_owned(),
                    reason: String::new(),
                });
                self.undo_later(node, Undo::Pause, 20 * MINUTE);
            }
        }
    }

    fn undo_later(&mut self, node: usize, undo: Undo, longest: Ms) {
        let delay = self.random.between(SECOND, longest);
        if self.setup.plot != Some(Plot::Blocked) {
            self.enter(delay, Happening::MishapEnds(node, undo));
        }
    }

    pub(crate) fn mishap_ends(&mut self, node: usize, undo: Undo) {
        match undo {
            Undo::ProbeFails => {
                self.hosts[node].probe_fails = false;
                self.sentinel_hinted(node);
            }
            Undo::PreflightFails => self.hosts[node].preflight_fails = false,
            Undo::BudgetBlocks => self.hosts[node].budget_blocks = false,
            Undo::PodsStick => self.hosts[node].pods_stick = false,
            Undo::ForeignCordon => self.uncordon_foreign(node),
            Undo::Pause => self.operator_asks(Input::Resume { by: "ops".to_owned() }),
            Undo::ApiAway => self.api_comes_back(),
            Undo::NodeDeleting => {
                if self.cluster.nodes[node].as_ref().is_some_and(|object| object.deleting) {
                    self.node_is_removed(node);
                }
            }
            Undo::HostClock => self.hosts[node].skew = 0,
        }
    }

    /// The state in which a run begins.
    pub(crate) fn begin(&mut self) {
        for node in 0..self.names.len() {
            if self.setup.plot == Some(Plot::Blocked) {
                self.hosts[node].budget_blocks = node + 1 < self.names.len();
            }
            self.create_node(node);
            if self.random.chance(self.setup.needy) {
                // The free node of this plot has the newest need: all others are before it in the queue.
                self.need_begins(node);
            }
            debug_assert_eq!(self.hosts[node].power, Power::Up);
            let (sentinel, rebooter) = (self.random.between(1, 5 * SECOND), self.random.between(1, 5 * SECOND));
            self.enter(sentinel, Happening::SentinelStarts(node, 0));
            self.enter(rebooter, Happening::RebooterStarts(node, 0));
        }
        self.enter(1, Happening::LeaderStarts { deposed: false });
        let first = self.random.between(1, 2 * self.setup.gap);
        self.enter(first, Happening::Mishap);
        self.enter(MINUTE, Happening::Look);
    }
}

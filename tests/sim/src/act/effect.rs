//! The effects of a core, carried out one after the other as in `scheduler/src/effect.rs`.

use bellwether_proto::{Attempt, AttemptRef, Fact, NodeEvent, Phase};
use bellwether_scheduler_core::reading::{Outcome, Query};
use bellwether_scheduler_core::{Effect as Wanted, Input};
use jiff::Timestamp;

use crate::bus::Write;
use crate::happening::Happening;
use crate::leader::{Effect, Leader, Message, Stage};
use crate::moment::{Ms, SECOND};
use crate::setup::Way;
use crate::world::{World, tell};

/// How long a leader waits for NATS.
const REQUEST_TIMEOUT: Ms = 5 * SECOND;

/// Within this time a leader makes sure that no other writer has changed the records.
const OWNERSHIP_INTERVAL: Ms = 10 * SECOND;

impl World {
    pub(super) fn begin_effect(&mut self, leader: &mut Leader, wanted: Wanted) {
        let write = match wanted {
            Wanted::StoreAttempt(attempt, event) => {
                let node = self.index(&attempt.node).expect("a node of this world");
                if let Some(event) = event {
                    self.tell_phase(leader.id, &event);
                }
                Write::Attempt(node, attempt)
            }
            Wanted::DeleteAttempt(name) => Write::Delete(self.index(&name).expect("a node of this world")),
            Wanted::StoreControl(control, _) => Write::Control(*control),
            Wanted::SendCommand(command) => {
                let node = self.index(&command.attempt().node).expect("a node of this world");
                self.effect_begins(leader, Effect::Command(node, Box::new(command)));
                return;
            }
            Wanted::CheckCommand(command) => {
                let node = self.index(&command.attempt().node).expect("a node of this world");
                self.effect_begins(leader, Effect::Check(node, Box::new(command)));
                return;
            }
            Wanted::Read { query, asked_at } => {
                self.drainer_looks(leader.id, query, asked_at);
                return;
            }
            Wanted::PhaseEnded { .. } | Wanted::TaintNode(_) | Wanted::SetConditions(_) => return,
        };
        // The server applies a write at some moment between its beginning and its confirmation.
        if self.random.chance(500) && !self.nats_is_away() {
            let stored = self.apply_write(leader, leader.sequence, &write);
            self.effect_begins(leader, Effect::Written(stored));
        } else {
            self.effect_begins(leader, Effect::Write(leader.sequence, write));
        }
    }

    fn tell_phase(&mut self, leader: u32, event: &NodeEvent) {
        if let Fact::PhaseChanged { from, to, message, .. } = &event.fact {
            let from = from.map_or("nothing", Phase::as_str);
            tell!(
                self,
                "leader {leader}: {} from {from} to {} (generation {}) {message}",
                event.node,
                to.as_str(),
                event.generation
            );
        }
    }

    /// A drainer answers whether a node can be drained; the question or its answer may be lost. No policy of these worlds
    /// has a gate that is read, so there is no other question.
    fn drainer_looks(&mut self, leader: u32, query: Query, asked_at: Timestamp) {
        if self.nats_is_away() || self.random.chance(20) {
            return;
        }
        let outcome = if self.random.chance(50) {
            Outcome::NotNow("a budget allows no eviction now".into())
        } else if self.random.chance(20) {
            Outcome::Failed("the API server does not answer".to_owned())
        } else {
            Outcome::Open
        };
        let answer = Input::Reading {
            query,
            asked_at,
            outcome,
        };
        let delay = self.delay(Way::Nats);
        self.enter(delay, Happening::LeaderHears(leader, Message::Fact(Box::new(answer))));
    }

    fn effect_begins(&mut self, leader: &mut Leader, effect: Effect) {
        leader.waits_for_effect = true;
        let (delay, effect) = if self.nats_is_away() {
            (REQUEST_TIMEOUT, Effect::Lost)
        } else {
            (self.delay(Way::Nats), effect)
        };
        self.enter(delay, Happening::EffectEnds(leader.id, Box::new(effect)));
    }

    pub(crate) fn effect_ends(&mut self, id: u32, effect: Effect) {
        if !self.leaders.iter().any(|leader| leader.id == id) {
            // The sender has died; its request may have left before.
            if self.random.chance(500) {
                self.orphaned_effect(effect);
            }
            return;
        }
        self.with_leader(id, |world, leader| {
            let continues = match effect {
                Effect::Write(expected, write) => {
                    let stored = world.apply_write(leader, expected, &write);
                    world.written(leader, stored)
                }
                Effect::Written(stored) => world.written(leader, stored),
                Effect::Command(node, command) => {
                    world.queue_command(node, *command);
                    true
                }
                Effect::Check(node, command) => {
                    if !world.bus.is_queued(node, &command) {
                        let AttemptRef {
                            node,
                            attempt,
                            generation,
                            ..
                        } = command.attempt().clone();
                        let lost = Input::CommandLost {
                            node,
                            attempt,
                            generation: generation.0,
                        };
                        leader.fleet.handle_input(lost, world.at(leader.skew));
                    }
                    true
                }
                Effect::Lost => false,
            };
            leader.waits_for_effect = false;
            continues && world.leader_runs(leader)
        });
    }

    fn orphaned_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Write(expected, write) => {
                let before = self.record_before(&write);
                if self.bus.compare_and_swap(expected, &write).is_some() {
                    tell!(self, "a leader that has died has written all the same");
                    self.record_stored(before, &write, None);
                }
            }
            Effect::Command(node, command) => self.queue_command(node, *command),
            Effect::Check(..) | Effect::Written(_) | Effect::Lost => (),
        }
    }

    fn written(&mut self, leader: &mut Leader, stored: Option<u64>) -> bool {
        match stored {
            Some(sequence) => {
                leader.sequence = sequence;
                true
            }
            None => {
                tell!(self, "leader {}: write refused, another writer was first", leader.id);
                false
            }
        }
    }

    fn record_before(&self, write: &Write) -> Option<Box<Attempt>> {
        match write {
            Write::Attempt(node, _) | Write::Delete(node) => self.bus.attempts[*node].clone(),
            Write::Control(_) => None,
        }
    }

    fn apply_write(&mut self, leader: &Leader, expected: u64, write: &Write) -> Option<u64> {
        let before = self.record_before(write);
        let stored = self.bus.compare_and_swap(expected, write)?;
        self.record_stored(before, write, Some(leader));
        Some(stored)
    }

    /// A record has changed: hints go out, and the referee looks.
    fn record_stored(&mut self, before: Option<Box<Attempt>>, write: &Write, leader: Option<&Leader>) {
        let others: Vec<u32> = self.leaders.iter().map(|other| other.id).collect();
        for id in others {
            let delay = self.random.between(1, OWNERSHIP_INTERVAL);
            self.enter(delay, Happening::LeaderChecks(id));
        }
        match write {
            Write::Control(control) => {
                tell!(self, "stored: paused {}", control.paused());
                self.referee.control_stored(control.paused());
            }
            Write::Attempt(node, after) => {
                let clock = leader.map_or(self.now, |leader| leader.decided_at);
                let known = leader.map(|leader| leader.known.as_slice());
                self.referee.record_stored(
                    self.now,
                    clock,
                    *node,
                    before.as_deref(),
                    Some(after),
                    known,
                    &self.bus.attempts,
                    &self.cluster,
                );
                self.hint(*node);
            }
            Write::Delete(node) => {
                tell!(self, "stored: the record of {} is deleted", self.names[*node]);
                let known = leader.map(|leader| leader.known.as_slice());
                self.referee.record_stored(
                    self.now,
                    self.now,
                    *node,
                    before.as_deref(),
                    None,
                    known,
                    &self.bus.attempts,
                    &self.cluster,
                );
                self.hint(*node);
            }
        }
    }

    /// Readers of a record hear of a change, unless the hint is lost.
    fn hint(&mut self, node: usize) {
        self.rebooter_hinted(node);
        let jobs: Vec<u64> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.node == node)
            .map(|(id, _)| *id)
            .collect();
        for job in jobs {
            if !self.random.chance(self.setup.lost_hints) {
                let delay = self.delay(Way::Hints);
                self.enter(delay, Happening::JobHears(job, Box::new(crate::job::JobFact::Hint)));
            }
        }
    }

    /// A leader makes sure that the records are its own.
    pub(crate) fn leader_checks(&mut self, id: u32) {
        self.with_leader(id, |world, leader| {
            let is_own = leader.waits_for_effect || leader.sequence == world.bus.sequence;
            let can_tell = leader.stage == Stage::Running && world.now >= leader.stalled_until;
            if !is_own && !can_tell {
                world.enter(OWNERSHIP_INTERVAL, Happening::LeaderChecks(id));
            }
            is_own || !can_tell
        });
    }
}

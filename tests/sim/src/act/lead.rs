//! A leading scheduler: the loop of `scheduler/src/lead.rs`, one step at a time.

use bellwether_scheduler_core::{CancelEffect, Handled, Input};

use crate::happening::Happening;
use crate::leader::{Leader, Message, Stage};
use crate::moment::{Ms, SECOND, moment};
use crate::setup::Way;
use crate::world::{World, tell};

/// How soon an event comes again whose leader leads no more.
const EVENT_RETRY: Ms = 200;

/// The ack wait of both consumers.
pub(super) const ACK_WAIT: Ms = 15 * SECOND;

/// So many events are delivered to one leader before it settles the first (proto/README.md).
const EVENTS_PULLED_MAX: usize = 256;

/// The loop turns at least this often, so a clock that jumps is noticed by then.
const TURN: Ms = 10 * SECOND;

impl World {
    /// Takes a leader out of the world for one step, and puts it back unless the step ended it.
    pub(super) fn with_leader(&mut self, id: u32, step: impl FnOnce(&mut Self, &mut Leader) -> bool) {
        let Some(position) = self.leaders.iter().position(|leader| leader.id == id) else {
            return;
        };
        let mut leader = self.leaders.swap_remove(position);
        if step(self, &mut leader) {
            self.leaders.push(leader);
            self.leaders.sort_unstable_by_key(|leader| leader.id);
        } else {
            self.leader_ended(leader);
        }
    }

    pub(crate) fn leader_hears(&mut self, id: u32, message: Message) {
        if let (Message::Event(number), false) = (&message, self.leaders.iter().any(|leader| leader.id == id)) {
            // Delivered to a leader that has died: not acknowledged.
            self.enter(ACK_WAIT, Happening::EventReady(*number));
            return;
        }
        self.with_leader(id, |world, leader| {
            leader.inbox.push_back(message);
            world.leader_runs(leader)
        });
    }

    pub(crate) fn leader_wakes(&mut self, id: u32, token: u32) {
        self.with_leader(id, |world, leader| {
            if leader.token != token {
                return true;
            }
            leader.wakes_at = Ms::MAX;
            leader.must_decide = true;
            world.leader_runs(leader)
        });
    }

    /// The loop: effects in their order, then the verdict, then a decision, then the next message. False: the
    /// leader has to begin again.
    pub(super) fn leader_runs(&mut self, leader: &mut Leader) -> bool {
        if leader.stage != Stage::Running || self.now < leader.stalled_until {
            return true;
        }
        loop {
            if leader.waits_for_effect {
                return true;
            }
            if let Some(effect) = leader.fleet.poll_effect() {
                self.begin_effect(leader, effect);
                continue;
            }
            self.settle_events(leader);
            if let Some((node, effect)) = leader.reply.take() {
                tell!(self, "operator: {} is {effect:?}", self.names[node]);
                match effect {
                    CancelEffect::SlotReleased { .. } => self.referee.slot_released(node),
                    CancelEffect::WaitEnded => self.referee.wait_ended(node),
                    CancelEffect::RolledBack => (),
                }
            }
            if leader.must_decide && !leader.watch_fails {
                leader.must_decide = false;
                leader.decided_at = self.now + leader.skew;
                let now = self.at(leader.skew);
                leader.fleet.advance(now);
                continue;
            }
            match leader.inbox.pop_front() {
                Some(message) => {
                    if !self.leader_takes(leader, message) {
                        return false;
                    }
                    leader.must_decide = true;
                }
                None => break,
            }
        }
        self.leader_rests(leader);
        true
    }

    /// Hands one message to the core; all facts that wait go with a fact, and all events with an event: they come on
    /// ways of their own.
    fn leader_takes(&mut self, leader: &mut Leader, message: Message) -> bool {
        let now = self.at(leader.skew);
        match message {
            Message::Fact(input) => {
                self.leader_learns(leader, *input);
                for message in leader.take_waiting(|message| matches!(message, Message::Fact(_))) {
                    if let Message::Fact(input) = message {
                        self.leader_learns(leader, *input);
                    }
                }
                true
            }
            Message::Event(number) => self.leader_takes_events(leader, number),
            Message::Request(request) => {
                let node = match request.as_ref() {
                    Input::Cancel { node, .. } => self.index(node),
                    _ => None,
                };
                tell!(self, "operator asks leader {}: {request:?}", leader.id);
                if let (Handled::Cancelled(effect), Some(node)) = (leader.fleet.handle_input(*request, now), node) {
                    leader.reply = Some((node, effect));
                }
                true
            }
        }
    }

    fn leader_takes_events(&mut self, leader: &mut Leader, first: usize) -> bool {
        let (now, mut is_other) = (self.at(leader.skew), false);
        let waiting = leader.take_waiting(|message| matches!(message, Message::Event(_)));
        let waiting = waiting.into_iter().filter_map(|message| match message {
            Message::Event(number) => Some(number),
            Message::Fact(_) | Message::Request(_) => None,
        });
        for number in std::iter::once(first).chain(waiting) {
            leader.events_in_hand.push(number);
            let event = self.bus.events[number].clone();
            tell!(
                self,
                "leader {}: {} {} of generation {}",
                leader.id,
                event.node,
                event.fact.kind(),
                event.generation
            );
            if let Some(node) = self.index(&event.node) {
                leader.touched.insert(node);
            }
            is_other |= leader.fleet.handle_input(Input::Event(event), now) == Handled::OtherAttempt;
        }
        // Another replica may lead, which has to get the events.
        !is_other || leader.sequence == self.bus.sequence
    }

    pub(super) fn leader_learns(&mut self, leader: &mut Leader, input: Input) {
        let name = match &input {
            Input::Node(view) => Some(&view.name),
            Input::NodeGone(name) => Some(name),
            Input::Sentinel(stored) => Some(&stored.report.node),
            Input::Rebooter(stored) => Some(&stored.report.node),
            _ => None,
        };
        if let Some(node) = name.and_then(|name| self.index(name)) {
            leader.known[node].take(&input);
            leader.touched.insert(node);
        }
        leader.fleet.handle_input(input, self.at(leader.skew));
    }

    /// Nothing is left to do: the referee looks, and the timer is set.
    fn leader_rests(&mut self, leader: &mut Leader) {
        while let Some(node) = leader.touched.pop_first() {
            if leader.sequence == self.bus.sequence && !leader.watch_fails {
                let record = self.bus.attempts[node].as_deref();
                self.referee
                    .leader_rests(node, &self.names[node], record, &leader.known[node]);
            }
        }
        self.offer_events_to(leader);
        let due = leader.fleet.poll_timeout().filter(|_| !leader.watch_fails);
        let due = due.map_or(Ms::MAX, |at| moment(at) - leader.skew);
        if due < Ms::MAX && due != leader.wakes_at {
            leader.token += 1;
            leader.wakes_at = due;
            let delay = (due - self.now).max(1);
            self.enter(delay, Happening::LeaderWakes(leader.id, leader.token));
        }
    }

    /// The clock of every scheduler jumps.
    pub(super) fn leaders_clock_jumps(&mut self, skew: Ms) {
        self.leader_skew = skew;
        for position in 0..self.leaders.len() {
            let delay = self.random.between(1, TURN);
            let leader = &mut self.leaders[position];
            leader.skew = skew;
            self.wake_leader(position, delay);
        }
    }

    /// The leader does not run for so long.
    pub(super) fn leader_stalls(&mut self, position: usize, time: Ms) {
        self.leaders[position].stalled_until = self.now + time;
        self.wake_leader(position, time);
    }

    fn wake_leader(&mut self, position: usize, delay: Ms) {
        let leader = &mut self.leaders[position];
        leader.token += 1;
        leader.wakes_at = self.now + delay;
        let happening = Happening::LeaderWakes(leader.id, leader.token);
        self.enter(delay, happening);
    }

    /// Acknowledges the events whose consequences are stored.
    fn settle_events(&mut self, leader: &mut Leader) {
        for number in std::mem::take(&mut leader.events_in_hand) {
            leader.events_pulled -= 1;
            if self.random.chance(self.setup.lost_acks) {
                self.enter(ACK_WAIT, Happening::EventReady(number));
            }
        }
    }

    /// An event may be delivered.
    pub(crate) fn event_ready(&mut self, number: usize) {
        self.bus.waiting.insert(number);
        self.offer_events();
    }

    /// Gives the events that wait to leaders that pull. All of them pull from one consumer.
    pub(crate) fn offer_events(&mut self) {
        let pulling: Vec<u32> = self
            .leaders
            .iter()
            .filter(|leader| leader.pulls())
            .map(|leader| leader.id)
            .collect();
        if !pulling.is_empty() && !self.bus.waiting.is_empty() {
            let id = self.random.pick(&pulling);
            self.with_leader(id, |world, leader| {
                world.offer_events_to(leader);
                true
            });
        }
    }

    fn offer_events_to(&mut self, leader: &mut Leader) {
        while leader.pulls()
            && let Some(number) = self.bus.waiting.pop_first()
        {
            leader.events_pulled += 1;
            let mut last = leader.events_heard_at;
            let at = self.in_order(Way::EventsToLeader, &mut last);
            leader.events_heard_at = last;
            self.agenda
                .enter(at, Happening::LeaderHears(leader.id, Message::Event(number)));
        }
    }

    /// The leader's events come again, to the next one.
    fn leader_ended(&mut self, mut leader: Leader) {
        tell!(self, "leader {} begins again", leader.id);
        self.release_events(&mut leader, EVENT_RETRY);
        // A deposed one notices at the latest now that another one leads.
        if leader.is_deposed {
            return;
        }
        let backoff = self.random.between(200, 5_000);
        self.enter(backoff, Happening::LeaderStarts { deposed: false });
    }

    /// Gives the events of a leader back to the consumer.
    pub(super) fn release_events(&mut self, leader: &mut Leader, after: Ms) {
        let mut numbers = std::mem::take(&mut leader.events_in_hand);
        for message in leader.inbox.drain(..) {
            if let Message::Event(number) = message {
                numbers.push(number);
            }
        }
        for number in numbers {
            self.enter(after, Happening::EventReady(number));
        }
    }
}

impl Leader {
    /// Takes the messages of one kind out of the inbox, in their order.
    fn take_waiting(&mut self, is_kind: impl Fn(&Message) -> bool) -> Vec<Message> {
        if self.inbox.is_empty() {
            return Vec::new();
        }
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.inbox).into_iter().partition(is_kind);
        self.inbox = rest.into();
        taken
    }

    /// The leader asks the consumer for more events.
    fn pulls(&self) -> bool {
        self.stage == Stage::Running && self.events_pulled < EVENTS_PULLED_MAX
    }
}

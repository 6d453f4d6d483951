//! The book of one drain: the evictions of each pod so far, by UID (D34).
//!
//! A new book over a half-drained node continues where the book of the drainer before ended (D47).
//! The book never states that a node is drained: that takes a proof ([`crate::drain`]).

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use bellwether_proto::{BlockerKind, DrainReport, DrainTerms};
use jiff::Timestamp;

use super::blockers::{self, Blocker, Rank};
use super::deadline::{Deadline, Forced};
use super::delay;
use super::entry::Entry;
use super::ledger::Ledger;
use super::order::{Order, next_evictions};
use super::passage::{Left, Passages};
use super::returns::{self, Owner, Returns};
use super::step::{Step, Suspension, sooner};
use super::tally::{self, Tally};
use super::turns::{Ask, Kept, Turns, Waiting};
use crate::action::HeldBack;
use crate::answer::Answer;
use crate::backoff::after;
use crate::budget::Budgets;
use crate::namespace::NamespaceOwners;
use crate::pod::{Class, NodePod, StayReason, Wave};
use crate::stateful_set::{SetTurn, StatefulSets};
use crate::volume::Attached;
use crate::watched::Looked;

/// The book of one drain.
#[derive(Debug)]
pub struct Plan {
    in_flight_max: usize,
    /// Half of that after each answer that the API server is busy, and one more after each other answer: a server that
    /// recovers is not met by all evictions that have waited.
    in_flight_now: usize,
    in_flight: BTreeSet<String>,
    /// How many more may join these, beside the evictions of other drains of the process.
    places_free: usize,
    /// The newest step has more evictions than there were such places.
    lacks_places: bool,
    book: BTreeMap<String, Entry>,
    returns: Returns,
    turns: Turns,
    /// When pods go whatever their budgets say; none: never.
    deadline: Option<Deadline>,
    forced: Forced,
    order: Order,
    /// What the watch shows of the budgets; none: nothing, so that each pod is tried on its own.
    budgets: Option<Arc<Budgets>>,
    /// Who answers for the pods.
    owners: Arc<NamespaceOwners>,
    /// What the evictions of the newest step ask for, by the UIDs of the pods.
    offered: BTreeMap<String, Ask>,
    /// The turns of StatefulSets that these take, by the UIDs of the pods.
    offered_turns: BTreeMap<String, SetTurn>,
    pods_gone: u32,
    ledger: Ledger,
    passages: Passages,
}

impl Plan {
    /// An empty book. At most `in_flight_max` evictions await their answer at once.
    #[must_use]
    pub fn new(in_flight_max: usize) -> Self {
        Self {
            in_flight_max,
            in_flight_now: in_flight_max,
            in_flight: BTreeSet::new(),
            places_free: in_flight_max,
            lacks_places: false,
            book: BTreeMap::new(),
            returns: Returns::default(),
            turns: Turns::default(),
            deadline: None,
            forced: Forced::default(),
            order: Order::new(DrainTerms::default()),
            budgets: None,
            owners: Arc::default(),
            offered: BTreeMap::new(),
            offered_turns: BTreeMap::new(),
            pods_gone: 0,
            ledger: Ledger::default(),
            passages: Passages::default(),
        }
    }

    /// The same book, of a drain in which pods go at the end of its time whatever their budgets say.
    pub(crate) fn ending_by(self, deadline: Option<Deadline>) -> Self {
        Self { deadline, ..self }
    }

    /// The same book, with the orders of these terms.
    #[must_use]
    pub fn ordered(self, terms: DrainTerms) -> Self {
        let order = Order::new(terms);
        Self { order, ..self }
    }

    /// Takes in what the watch shows of the budgets; none: nothing.
    pub fn handle_budgets(&mut self, budgets: Option<Arc<Budgets>>) {
        self.budgets = budgets;
    }

    /// Takes in what the watch shows of the owners of namespaces.
    pub fn handle_owners(&mut self, owners: Arc<NamespaceOwners>) {
        self.owners = owners;
    }

    /// Takes in how many more evictions may await their answer.
    pub fn handle_places(&mut self, free: usize) {
        self.places_free = free;
    }

    /// True if the newest step would have had more evictions with more places.
    #[must_use]
    pub fn lacks_places(&self) -> bool {
        self.lacks_places
    }

    /// Takes in what is attached to the node.
    pub fn handle_attached(&mut self, attached: Looked<Vec<Attached>>) {
        self.order.handle_attached(attached);
    }

    /// Takes in what the watch shows of StatefulSets.
    pub fn handle_sets(&mut self, sets: Looked<Arc<StatefulSets>>) {
        self.order.handle_sets(sets);
    }

    /// Decides about all pods that are on the node now. The caller reports each eviction that it
    /// begins by [`Self::started`].
    pub fn step(&mut self, now: Timestamp, pods: &[NodePod], suspension: Option<&Suspension>) -> Step {
        self.lacks_places = false;
        self.count_gone(pods);
        self.enter(pods);
        self.begin_rounds(now, pods);
        let mut returning = BTreeMap::new();
        let mut step = Step {
            pods_gone: self.pods_gone,
            ..Step::default()
        };
        let mut waiting = Vec::new();
        let mut in_flight = Vec::new();
        let mut overdue = Vec::new();
        let mut blocking = Vec::new();
        let mut terminating = Vec::new();
        let mut tally = Tally::default();
        let mut left = Vec::new();
        // The first wave of which a pod waits or ends. One that is stuck in its end keeps no later wave.
        let mut first_wave = Wave::Own;
        for pod in pods {
            match &pod.class {
                Class::Stays(_) => step.pods_staying = step.pods_staying.saturating_add(1),
                _ if self.is_gone(&pod.uid, now) => {
                    step.pods_gone = step.pods_gone.saturating_add(1);
                    if let Some(believed_until) = self.book.get(&pod.uid).and_then(|entry| entry.next_try) {
                        sooner(&mut step.look_again, believed_until);
                    }
                }
                Class::Terminating { grace_ends_at } => {
                    step.pods_left = step.pods_left.saturating_add(1);
                    let (stuck, changes_at) = blockers::of_terminating(pod, *grace_ends_at, now);
                    sooner(&mut step.look_again, changes_at);
                    let blocker = stuck.as_ref().map_or(BlockerKind::Grace, |_| BlockerKind::Stuck);
                    left.push(Left::of(pod, blocker));
                    match stuck {
                        Some(blocker) => {
                            blocking.push(blocker);
                            tally.count(BlockerKind::Stuck, pod);
                            self.ledger.is_stuck(pod);
                        }
                        None => {
                            first_wave = first_wave.min(pod.wave());
                            terminating.push((*grace_ends_at, pod));
                            tally.count_ending(*grace_ends_at, pod);
                        }
                    }
                }
                Class::Evictable { .. } => {
                    let Some(entry) = self.book.get(&pod.uid) else { continue };
                    if self.stays(pod) {
                        step.pods_staying = step.pods_staying.saturating_add(1);
                        let pods: &mut u32 = returning.entry(entry.owner.clone()).or_default();
                        *pods = pods.saturating_add(1);
                        continue;
                    }
                    step.pods_left = step.pods_left.saturating_add(1);
                    first_wave = first_wave.min(pod.wave());
                    if entry.is_held() {
                        let next = self.returns.next_round_at(&entry.owner);
                        next.into_iter().for_each(|at| sooner(&mut step.look_again, at));
                        blocking.push(blockers::of_return(pod));
                        tally.count(BlockerKind::Returning, pod);
                        left.push(Left::of(pod, BlockerKind::Returning));
                        continue;
                    }
                    let answer = entry.last.as_ref();
                    // What a budget has answered is the matter of the turns.
                    let other = answer.filter(|answer| !answer.is_of_budget());
                    blocking.extend(other.and_then(|answer| blockers::of_answer(pod, answer)));
                    blocking.extend(entry.no_turn(now).map(|reason| blockers::of_no_turn(pod, reason)));
                    let is_in_flight = self.in_flight.contains(&pod.uid);
                    let due_at = self.deadline.map(|deadline| (deadline.due_at(pod), deadline.deletes));
                    let is_late = due_at.is_some_and(|(at, _)| at <= now);
                    if let Some((due_at, deletes)) = due_at {
                        if is_late && deletes {
                            overdue.push(pod);
                            tally.count(tally::kind_of(answer), pod);
                            left.push(Left::of(pod, tally::kind_of(answer)));
                            let next = entry.next_try.filter(|_| !entry.may_be_deleted(now));
                            next.into_iter().for_each(|at| sooner(&mut step.look_again, at));
                            continue;
                        }
                        if !is_late {
                            sooner(&mut step.look_again, due_at);
                        }
                    }
                    let pods = if is_in_flight { &mut in_flight } else { &mut waiting };
                    pods.push(Waiting {
                        pod,
                        tries: entry.tries,
                        next_try: entry.next_try,
                        last: answer,
                        is_late,
                    });
                }
            }
        }
        let none = Budgets::default();
        let budgets = self.budgets.as_deref().unwrap_or(&none);
        // The budgets of a later wave keep no other pod until its turn. At the end of the time there are no waves (D14).
        let is_later = |it: &Waiting<'_>| !it.is_late && it.pod.wave() > first_wave;
        let (later, of_first): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_later);
        waiting = of_first;
        blocking.extend(blockers::of_later_waves(later.iter().map(|later| later.pod)));
        later.iter().for_each(|later| tally.count(BlockerKind::Turn, later.pod));
        let choice = self.turns.choose(now, &waiting, &in_flight, pods, budgets);
        choice
            .look_again
            .into_iter()
            .for_each(|at| sooner(&mut step.look_again, at));
        blocking.extend(choice.blocking);
        blocking.extend((!overdue.is_empty()).then(|| blockers::of_overdue(overdue.len())));
        overdue.retain(|pod| !self.in_flight.contains(&pod.uid) && self.may_be_deleted(&pod.uid, now));
        let accepted = waiting.iter().filter(|waiting| {
            // The watch does not show yet that they end.
            waiting.last == Some(&Answer::Accepted) && waiting.next_try.is_some_and(|next| next > now)
        });
        let under_way: Vec<Waiting<'_>> = in_flight.iter().chain(accepted).copied().collect();
        let ordered = self.order.choose(now, choice.ready, &under_way, pods);
        let again = ordered.look_again;
        again.into_iter().for_each(|at| sooner(&mut step.look_again, at));
        blocking.extend(ordered.blocking);
        self.offered_turns = ordered.turns;
        let mut offered = BTreeMap::new();
        let suspension = suspension.filter(|suspension| suspension.until > now);
        let rests =
            |pod: &NodePod| suspension.is_some() && ordered.ready.iter().any(|(ready, _)| ready.pod.uid == pod.uid);
        for Waiting { pod, last, .. } in waiting.iter().chain(&in_flight) {
            let kept = choice.kept.get(pod.uid.as_str());
            let other = if rests(pod) {
                BlockerKind::Rest
            } else {
                tally::kind_of(*last)
            };
            match kept {
                Some(kept) => tally.count_kept(kept),
                None => tally.count(other, pod),
            }
            let budget = kept.map(Kept::numbers);
            left.push(Left {
                budget,
                ..Left::of(pod, other)
            });
        }
        self.passages.looked(now, &left);
        self.ledger.looked(now, tally.budgets().cloned().collect());
        step.blockers = tally.blockers(&self.owners);
        match suspension {
            Some(suspension) if !ordered.ready.is_empty() || !overdue.is_empty() => {
                blocking.push(Blocker::passing(Rank::Suspended, suspension.reason.clone()));
                sooner(&mut step.look_again, suspension.until);
            }
            Some(_) => (),
            None => {
                let places = self.in_flight_now.saturating_sub(self.in_flight.len());
                let wanted = ordered.ready.len().saturating_add(overdue.len()).min(places);
                self.lacks_places = wanted > self.places_free;
                let places = places.min(self.places_free);
                overdue.truncate(places);
                (step.evict, offered) = next_evictions(ordered.ready, places.saturating_sub(overdue.len()));
                step.delete = overdue.into_iter().cloned().collect();
            }
        }
        blocking.extend(blockers::of_all_terminating(&terminating));
        self.offered = offered;
        let remarks = [returns::sentence(&returning), self.forced.sentence()];
        let remarks = remarks.into_iter().filter(|remark| !remark.is_empty());
        step.remarks = remarks.collect::<Vec<_>>().join("; ");
        step.obstacle = blockers::obstacle(&blocking);
        step.held_up_by = blockers::sentences(blocking);
        step
    }

    /// The parts of the drain for its trace.
    pub(crate) fn passages(&mut self) -> &mut Passages {
        &mut self.passages
    }

    /// Enters the pods that have to go and are new.
    fn enter(&mut self, pods: &[NodePod]) {
        for pod in pods.iter().filter(|pod| pod.has_to_go()) {
            if !self.book.contains_key(&pod.uid) {
                let owner = Owner::of(pod);
                let is_return = self.returns.is_return(&owner);
                self.ledger.entered(pod, is_return.then_some(&owner));
                self.book.insert(pod.uid.clone(), Entry::new(owner, is_return));
            }
        }
    }

    /// Begins the rounds that are due. A round has all pods that its owner has brought back by now.
    fn begin_rounds(&mut self, now: Timestamp, pods: &[NodePod]) {
        let evictable = pods.iter().filter(|pod| matches!(pod.class, Class::Evictable { .. }));
        let held: Vec<&str> = evictable
            .map(|pod| pod.uid.as_str())
            .filter(|uid| self.book.get(*uid).is_some_and(Entry::is_held))
            .collect();
        let owners: BTreeSet<Owner> = held
            .iter()
            .filter_map(|uid| self.book.get(*uid).map(|entry| entry.owner.clone()))
            .collect();
        for owner in owners {
            if self.returns.begin_round(now, &owner) {
                for uid in &held {
                    let entry = self.book.get_mut(*uid).filter(|entry| entry.owner == owner);
                    entry.into_iter().for_each(|entry| entry.is_in_round = true);
                }
            }
        }
    }

    /// True for a pod that came back and stays, since its owner would bring each other one back too.
    fn stays(&self, pod: &NodePod) -> bool {
        let is_evictable = matches!(pod.class, Class::Evictable { .. });
        is_evictable
            && match self.book.get(&pod.uid) {
                Some(entry) => entry.is_held() && self.returns.has_ended(&entry.owner),
                None => self.returns.has_ended(&Owner::of(pod)),
            }
    }

    /// The pod with the class that it has by this book: one that came back may stay.
    #[must_use]
    pub fn classify(&self, pod: NodePod) -> NodePod {
        let class = if self.stays(&pod) {
            Class::Stays(StayReason::Returning)
        } else {
            pod.class
        };
        NodePod { class, ..pod }
    }

    /// What the drain has met until now, for its report; without the pods that are there.
    pub fn report(&mut self, now: Timestamp) -> DrainReport {
        DrainReport {
            pods_gone: self.pods_gone,
            ..self.ledger.report(now)
        }
    }

    /// The node was schedulable for a while: pods that have come since do not count as those that came back.
    pub fn cordoned_again(&mut self) {
        self.returns.forget();
        for entry in self.book.values_mut() {
            entry.is_return = false;
        }
    }

    fn may_be_deleted(&self, uid: &str, now: Timestamp) -> bool {
        self.book.get(uid).is_some_and(|entry| entry.may_be_deleted(now))
    }

    /// The deletion of this pod is under way.
    pub fn deletion_started(&mut self, pod: &NodePod) {
        self.started(&pod.uid);
        if let Some(entry) = self.book.get_mut(&pod.uid) {
            entry.deleted = Some(format!("{}/{}", pod.namespace, pod.name));
        }
    }

    /// The eviction of this pod is under way. Returns the turn of its StatefulSet that the eviction takes, if one does.
    pub fn started(&mut self, uid: &str) -> Option<SetTurn> {
        self.in_flight.insert(uid.to_owned());
        self.order.started(uid);
        let turn = self.offered_turns.remove(uid);
        if let Some(entry) = self.book.get_mut(uid) {
            entry.ask = self.offered.remove(uid);
            entry.turn.clone_from(&turn);
            entry.no_turn = None;
        }
        turn
    }

    /// The eviction that was reported by [`Self::started`] was not sent.
    pub fn held_back(&mut self, now: Timestamp, uid: &str, why: HeldBack) {
        self.in_flight.remove(uid);
        let Some(entry) = self.book.get_mut(uid) else { return };
        entry.ask = None;
        entry.turn = None;
        match why {
            HeldBack::NoTurn(reason) => {
                entry.no_turn = Some(reason);
                entry.next_try = Some(after(now, delay::NO_TURN));
            }
            // As soon as there is one.
            HeldBack::NoPlace => self.places_free = 0,
        }
    }

    /// Takes in the API server's answer. `vary` spreads the wait, so that drains do not act in step.
    pub fn answered(&mut self, now: Timestamp, uid: &str, answer: Answer, mut vary: impl FnMut(Duration) -> Duration) {
        self.in_flight.remove(uid);
        // A pod that is gone by now has no entry any more.
        let Some(entry) = self.book.get_mut(uid) else { return };
        entry.tries = entry.tries.saturating_add(1);
        if let Some(ask) = entry.ask.take() {
            self.turns.answered(now, ask, &answer);
        }
        let turn = entry.turn.take();
        if answer == Answer::Accepted {
            turn.into_iter().for_each(|turn| self.order.evicted(turn));
            self.returns.evicted(&entry.owner, entry.is_return);
            entry.deleted.iter().for_each(|name| self.forced.add(name));
            self.ledger.evicted();
        }
        let is_same = entry
            .last
            .as_ref()
            .is_some_and(|last| discriminant(last) == discriminant(&answer));
        entry.same_answers = if is_same {
            entry.same_answers.saturating_add(1)
        } else {
            1
        };
        self.in_flight_now = if matches!(answer, Answer::Throttled(_)) {
            (self.in_flight_now / 2).max(1)
        } else {
            self.in_flight_now.saturating_add(1).min(self.in_flight_max)
        };
        let wait = delay::after_answer(&answer, entry.same_answers);
        entry.next_try = Some(after(now, vary(wait)));
        entry.last = Some(answer);
    }

    fn is_gone(&self, uid: &str, now: Timestamp) -> bool {
        self.book.get(uid).is_some_and(|entry| entry.is_gone(now))
    }

    /// Takes in a consistent list, given with all pods of the node that it contains. Returns the pods, by UID, that the
    /// list does not contain and of which the API server has answered that they are gone: both together prove that.
    pub fn listed(&mut self, pods: &[NodePod]) -> Vec<String> {
        let listed: BTreeSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        let mut gone = Vec::new();
        for (uid, entry) in self.book.iter_mut().filter(|(_, entry)| entry.gone_answers() > 0) {
            if listed.contains(uid.as_str()) {
                entry.is_contradicted = true;
            } else {
                gone.push(uid.clone());
            }
        }
        gone
    }

    /// A pod that had to go and is not on the node any more is gone (D24).
    fn count_gone(&mut self, pods: &[NodePod]) {
        let present: BTreeSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        let before = self.book.len();
        self.book.retain(|uid, _| present.contains(uid.as_str()));
        let gone = u32::try_from(before.saturating_sub(self.book.len())).unwrap_or(u32::MAX);
        self.pods_gone = self.pods_gone.saturating_add(gone);
    }
}

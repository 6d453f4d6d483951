//! The book of one drain: the evictions of each pod so far, by UID (D34).
//!
//! A new book over a half-drained node continues where the book of the drainer before ended (D47).
//! The book never states that a node is drained: that takes a proof ([`crate::drain`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bellwether_proto::Obstacle;
use jiff::Timestamp;

use super::blockers::{self, Blocker, Rank};
use super::delay;
use crate::answer::Answer;
use crate::backoff::after;
use crate::pod::{Class, NodePod};

/// The book of one drain.
#[derive(Debug)]
pub struct Plan {
    in_flight_max: usize,
    in_flight: BTreeSet<String>,
    book: BTreeMap<String, Entry>,
    pods_gone: u32,
}

/// The evictions of one pod that has or had to go.
#[derive(Debug, Default)]
struct Entry {
    tries: u32,
    next_try: Option<Timestamp>,
    last: Option<Answer>,
    /// How often in a row the answer was that the pod is gone.
    gone_answers: u32,
    /// A consistent list has contained the pod after such an answer.
    is_contradicted: bool,
}

impl Entry {
    /// The API server answered that the pod is gone, and the watch may only be late (D24). A wrong answer is believed
    /// once, until the next eviction is due or a list shows the pod.
    fn is_gone(&self, now: Timestamp) -> bool {
        let is_first = self.gone_answers == 1 && !self.is_contradicted;
        is_first && self.next_try.is_some_and(|next| next > now)
    }
}

/// The decision about all pods of the node at one instant.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Pods to evict now.
    pub evict: Vec<NodePod>,
    /// Pods that still have to go, the ones to evict included.
    pub pods_left: u32,
    /// Pods that had to go and are gone.
    pub pods_gone: u32,
    /// Pods that stay on purpose.
    pub pods_staying: u32,
    /// What blocks the drain, for operators, most important first. Without new facts it changes at
    /// most once a minute.
    pub held_up_by: Vec<String>,
    /// The most important blocker that lasts beyond this drain, for comparison with other ones.
    pub obstacle: Option<Obstacle>,
    /// When the decision changes without new facts.
    pub look_again: Option<Timestamp>,
}

/// A time without evictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// When evictions continue.
    pub until: Timestamp,
    /// Why they are suspended, for operators.
    pub reason: String,
}

impl Plan {
    /// An empty book. At most `in_flight_max` evictions await their answer at once.
    #[must_use]
    pub fn new(in_flight_max: usize) -> Self {
        Self {
            in_flight_max,
            in_flight: BTreeSet::new(),
            book: BTreeMap::new(),
            pods_gone: 0,
        }
    }

    /// Decides about all pods that are on the node now. The caller reports each eviction that it
    /// begins by [`Self::started`].
    pub fn step(&mut self, now: Timestamp, pods: &[NodePod], suspension: Option<&Suspension>) -> Step {
        self.count_gone(pods);
        let mut step = Step {
            pods_gone: self.pods_gone,
            ..Step::default()
        };
        let mut ready = Vec::new();
        let mut blocking = Vec::new();
        let mut terminating = Vec::new();
        for pod in pods {
            match &pod.class {
                Class::Stays(_) => step.pods_staying = step.pods_staying.saturating_add(1),
                _ if self.is_gone(&pod.uid, now) => {
                    step.pods_gone = step.pods_gone.saturating_add(1);
                    let believed_until = self.book.get(&pod.uid).and_then(|entry| entry.next_try);
                    believed_until
                        .into_iter()
                        .for_each(|at| sooner(&mut step.look_again, at));
                }
                Class::Terminating { grace_ends_at } => {
                    self.book.entry(pod.uid.clone()).or_default();
                    step.pods_left = step.pods_left.saturating_add(1);
                    let (stuck, changes_at) = blockers::of_terminating(pod, *grace_ends_at, now);
                    sooner(&mut step.look_again, changes_at);
                    match stuck {
                        Some(blocker) => blocking.push(blocker),
                        None => terminating.push((*grace_ends_at, pod)),
                    }
                }
                Class::Evictable { .. } => {
                    let entry = self.book.entry(pod.uid.clone()).or_default();
                    step.pods_left = step.pods_left.saturating_add(1);
                    let answer = entry.last.as_ref();
                    blocking.extend(answer.and_then(|answer| blockers::of_answer(pod, answer)));
                    if self.in_flight.contains(&pod.uid) {
                        continue;
                    }
                    match entry.next_try.filter(|next| *next > now) {
                        Some(next) => sooner(&mut step.look_again, next),
                        None => ready.push((entry.tries, pod)),
                    }
                }
            }
        }
        match suspension.filter(|suspension| suspension.until > now) {
            Some(suspension) if !ready.is_empty() => {
                blocking.push(Blocker::passing(Rank::Suspended, suspension.reason.clone()));
                sooner(&mut step.look_again, suspension.until);
            }
            Some(_) => (),
            None => step.evict = self.next_evictions(ready),
        }
        blocking.extend(blockers::of_all_terminating(&terminating));
        step.obstacle = blockers::obstacle(&blocking);
        step.held_up_by = blockers::sentences(blocking);
        step
    }

    /// Chooses among the pods that may be evicted now, given with their tries so far.
    fn next_evictions(&self, mut ready: Vec<(u32, &NodePod)>) -> Vec<NodePod> {
        // Pods without a try come first, so that blocked pods do not starve them.
        ready.sort_by_key(|(tries, pod)| (*tries, &pod.namespace, &pod.name));
        let free = self.in_flight_max.saturating_sub(self.in_flight.len());
        ready.into_iter().take(free).map(|(_, pod)| pod.clone()).collect()
    }

    /// The eviction of this pod is under way.
    pub fn started(&mut self, uid: &str) {
        self.in_flight.insert(uid.to_owned());
    }

    /// Takes in the API server's answer. `vary` spreads the wait, so that drains do not act in step.
    pub fn answered(&mut self, now: Timestamp, uid: &str, answer: Answer, mut vary: impl FnMut(Duration) -> Duration) {
        self.in_flight.remove(uid);
        // A pod that is gone by now has no entry any more.
        let Some(entry) = self.book.get_mut(uid) else { return };
        entry.tries = entry.tries.saturating_add(1);
        let is_gone = answer == Answer::Gone;
        entry.gone_answers = if is_gone {
            entry.gone_answers.saturating_add(1)
        } else {
            0
        };
        let wait = delay::after_answer(&answer, entry.tries, entry.gone_answers);
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
        for (uid, entry) in self.book.iter_mut().filter(|(_, entry)| entry.gone_answers > 0) {
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

fn sooner(earliest: &mut Option<Timestamp>, other: Timestamp) {
    *earliest = Some(earliest.map_or(other, |earliest| earliest.min(other)));
}

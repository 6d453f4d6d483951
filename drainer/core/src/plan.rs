//! Decides which pods of a node are evicted when, which are waited for, and what holds it up.
//!
//! Pure: pods, answers and the time come in, steps go out. It owns the book of what was tried
//! with which pod, by UID (D34); a fresh book over a half-drained node goes on where the old
//! one was (D47). It never talks to anybody and never says that a node is drained: that takes
//! a look at the API server itself (see `drain.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::answer::Answer;
use crate::pod::{Class, PodSeen};

/// First wait after a budget blocked, and the longest. Freed budgets are noticed late by at
/// most this; a shorter wait would only make the API server count the same pods again.
const BLOCKED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// First wait after a failure, and the longest.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Wait where the server needs only a moment.
const MOMENT: Duration = Duration::from_secs(1);
/// Wait for the budget's controller.
const UNPROCESSED: Duration = Duration::from_secs(2);
/// Wait for the namespace controller to mark the pod.
const NAMESPACE: Duration = Duration::from_secs(10);
/// An accepted eviction shows on the pod within milliseconds; one that does not was lost.
const UNSEEN: Duration = Duration::from_secs(30);
/// So long past its grace a pod is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// How many sentences are told about what holds it up.
const SENTENCES_MAX: usize = 10;
/// How many pods that end as they should are told by name.
const NAMES_MAX: usize = 3;

/// The book of one drain.
#[derive(Debug)]
pub struct Plan {
    in_flight_max: usize,
    in_flight: BTreeSet<String>,
    book: BTreeMap<String, Entry>,
    pods_gone: u32,
}

/// What is known of one pod that has or had to go.
#[derive(Debug, Default)]
struct Entry {
    tries: u32,
    next_try: Option<Timestamp>,
    last: Option<Answer>,
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// To be evicted now.
    pub evict: Vec<PodSeen>,
    /// Pods that still have to go, these included.
    pub pods_left: u32,
    /// Pods that had to go and are gone.
    pub pods_gone: u32,
    /// Pods that stay on purpose.
    pub pods_staying: u32,
    /// What holds it up, for people, most important first. Changes at most once a minute by itself.
    pub held_up_by: Vec<String>,
    /// When to ask again if nothing happens before.
    pub look_again: Option<Timestamp>,
}

/// Why evictions rest for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Until when.
    pub until: Timestamp,
    /// Why, for people.
    pub why: String,
}

impl Plan {
    /// An empty book. At most so many evictions are in flight at once.
    pub fn new(in_flight_max: usize) -> Self {
        Self {
            in_flight_max,
            in_flight: BTreeSet::new(),
            book: BTreeMap::new(),
            pods_gone: 0,
        }
    }

    /// Decides on all pods that are on the node now. Whoever evicts says so with [`Self::started`].
    pub fn step(&mut self, now: Timestamp, pods: &[PodSeen], rest: Option<&Rest>) -> Step {
        self.count_gone(pods);
        let mut step = Step {
            pods_gone: self.pods_gone,
            ..Step::default()
        };
        let mut ready = Vec::new();
        let mut held = Vec::new();
        let mut ending = Vec::new();
        for pod in pods {
            match &pod.class {
                Class::Stays(_) => step.pods_staying = step.pods_staying.saturating_add(1),
                // D24: the API server said so; the watch is only late to tell.
                _ if self.is_gone(&pod.uid) => step.pods_gone = step.pods_gone.saturating_add(1),
                Class::Ending { by } => {
                    self.book.entry(pod.uid.clone()).or_default();
                    step.pods_left = step.pods_left.saturating_add(1);
                    match stuck(pod, *by, now, &mut step.look_again) {
                        Some(sentence) => held.push((4, sentence)),
                        None => ending.push((*by, pod)),
                    }
                }
                Class::Evictable { .. } => {
                    let entry = self.book.entry(pod.uid.clone()).or_default();
                    step.pods_left = step.pods_left.saturating_add(1);
                    held.extend(entry.holds(pod));
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
        match rest.filter(|rest| rest.until > now) {
            Some(rest) if !ready.is_empty() => {
                held.push((0, rest.why.clone()));
                sooner(&mut step.look_again, rest.until);
            }
            Some(_) => (),
            None => {
                // Pods that were never tried come first, so that blocked ones do not starve them.
                ready.sort_by_key(|(tries, pod)| (*tries, &pod.namespace, &pod.name));
                let free = self.in_flight_max.saturating_sub(self.in_flight.len());
                step.evict = ready.into_iter().take(free).map(|(_, pod)| pod.clone()).collect();
            }
        }
        held.extend(ending_together(&ending));
        step.held_up_by = sentences(held);
        step
    }

    /// The eviction of this pod is under way.
    pub fn started(&mut self, uid: &str) {
        self.in_flight.insert(uid.to_owned());
    }

    /// The API server answered. `vary` spreads the waits, so that a fleet does not act in step.
    pub fn answered(&mut self, now: Timestamp, uid: &str, answer: Answer, vary: impl Fn(Duration) -> Duration) {
        self.in_flight.remove(uid);
        // Gone in the meantime: nothing to remember.
        let Some(entry) = self.book.get_mut(uid) else { return };
        entry.tries = entry.tries.saturating_add(1);
        let wait = wait_after(&answer, entry.tries);
        entry.next_try = Some(after(now, vary(wait)));
        entry.last = Some(answer);
    }

    fn is_gone(&self, uid: &str) -> bool {
        let entry = self.book.get(uid);
        entry.is_some_and(|entry| entry.last == Some(Answer::Gone))
    }

    /// D24: who had to go and is not among the pods of the node any more is gone.
    fn count_gone(&mut self, pods: &[PodSeen]) {
        let present: BTreeSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        let before = self.book.len();
        self.book.retain(|uid, _| present.contains(uid.as_str()));
        let gone = u32::try_from(before.saturating_sub(self.book.len())).unwrap_or(u32::MAX);
        self.pods_gone = self.pods_gone.saturating_add(gone);
    }
}

impl Entry {
    /// What the last answer has to say to people, with its weight.
    fn holds(&self, pod: &PodSeen) -> Option<(u8, String)> {
        let name = Name(pod);
        Some(match self.last.as_ref()? {
            Answer::SeveralBudgets => (
                1,
                format!(
                    "{name} matches several disruption budgets, so the API server refuses to evict it: leave it one"
                ),
            ),
            Answer::BudgetBlocked(budget) => (2, format!("{name}: {budget}")),
            Answer::WebhookDenied(webhook) => (3, format!("{name}: {webhook}")),
            Answer::Forbidden(message) | Answer::Failed(message) => (5, format!("{name}: {message}")),
            Answer::NamespaceEnding => (6, format!("{name}: its namespace is being deleted")),
            Answer::BudgetUnprocessed => (7, format!("{name}: its disruption budget is still being processed")),
            Answer::Throttled(_) => (7, format!("{name}: the API server is busy")),
            Answer::Accepted | Answer::Gone | Answer::Conflict => return None,
        })
    }
}

struct Name<'p>(&'p PodSeen);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pod {}/{}", self.0.namespace, self.0.name)
    }
}

fn wait_after(answer: &Answer, tries: u32) -> Duration {
    match answer {
        Answer::Accepted => UNSEEN,
        Answer::Gone | Answer::Conflict => MOMENT,
        Answer::BudgetUnprocessed => UNPROCESSED,
        Answer::Throttled(wait) => *wait,
        Answer::NamespaceEnding => NAMESPACE,
        Answer::BudgetBlocked(_) | Answer::WebhookDenied(_) => growing(BLOCKED, tries),
        // It never works, but somebody may take one of the budgets away.
        Answer::SeveralBudgets => BLOCKED.1,
        Answer::Forbidden(_) | Answer::Failed(_) => growing(FAILED, tries),
    }
}

fn growing((first, longest): (Duration, Duration), tries: u32) -> Duration {
    let doubled = tries.saturating_sub(1).min(16);
    first.saturating_mul(1 << doubled).min(longest)
}

/// What a pod that is long past its grace has to say to people; nothing, if it is not.
fn stuck(pod: &PodSeen, by: Timestamp, now: Timestamp, look_again: &mut Option<Timestamp>) -> Option<String> {
    let over = Duration::try_from(now.duration_since(by)).unwrap_or_default();
    if over < STUCK {
        sooner(look_again, after(by, STUCK));
        return None;
    }
    let minutes = over.as_secs() / 60;
    sooner(look_again, after(by, Duration::from_secs(60 * (minutes + 1))));
    let name = Name(pod);
    Some(format!(
        "{name} does not end: {minutes} min over its grace (a finalizer, its preStop hook, or the kubelet)"
    ))
}

/// Pods that end as they should are one sentence, with a few of their names.
fn ending_together(ending: &[(Timestamp, &PodSeen)]) -> Option<(u8, String)> {
    let last = ending.iter().map(|(by, _)| by).max()?;
    let mut names: Vec<String> = ending.iter().map(|(_, pod)| Name(pod).to_string()).collect();
    names.sort();
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    let mut names = names.join(", ");
    if more > 0 {
        names = format!("{names} and {more} more");
    }
    Some((8, format!("ending, with time until {last:.0}: {names}")))
}

fn sentences(mut held: Vec<(u8, String)>) -> Vec<String> {
    held.sort();
    let more = held.len().saturating_sub(SENTENCES_MAX);
    held.truncate(SENTENCES_MAX);
    let mut sentences: Vec<String> = held.into_iter().map(|(_, sentence)| sentence).collect();
    if more > 0 {
        sentences.push(format!("and {more} more pods"));
    }
    sentences
}

fn after(instant: Timestamp, wait: Duration) -> Timestamp {
    instant.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

fn sooner(known: &mut Option<Timestamp>, other: Timestamp) {
    *known = Some(known.map_or(other, |known| known.min(other)));
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

//! The text for operators about pods that block the drain, most important first.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_proto::{Obstacle, ObstacleKind};
use jiff::Timestamp;

use super::returns::ROUNDS_MAX;
use crate::answer::Answer;
use crate::backoff::after;
use crate::budget::BudgetView;
use crate::pod::{Class, NodePod, Wave};

/// A pod that is so long past its grace is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// How many sentences one list has: more would not fit on an operator's screen.
const SENTENCES_MAX: usize = 10;
/// A grace of a pod that is to be evicted is worth a sentence from this length on: each shorter one would be named in the
/// last moments of a drain that waits for something else.
const LONG_GRACE: Duration = Duration::from_secs(120);
/// How many names one sentence has.
const NAMES_MAX: usize = 3;

/// Rank of a sentence: the lowest comes first. Suspended evictions and deletions come before all others, pods that
/// terminate in time after all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Suspended,
    Overdue,
    SeveralBudgets,
    Budget,
    Admission,
    Stuck,
    Returning,
    Failed,
    Namespace,
    Passing,
    Terminating,
}

/// One sentence with its rank.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blocker {
    rank: Rank,
    sentence: String,
    /// What lasts beyond this drain, for comparison with other ones; none: the blocker passes by itself.
    obstacle: Option<Obstacle>,
}

impl Blocker {
    /// A blocker that passes by itself.
    pub(super) fn passing(rank: Rank, sentence: String) -> Self {
        Self {
            rank,
            sentence,
            obstacle: None,
        }
    }

    /// A blocker that lasts beyond this drain.
    pub(super) fn lasting(rank: Rank, sentence: String, kind: ObstacleKind, pod: &NodePod) -> Self {
        let obstacle = Obstacle {
            kind,
            namespace: pod.namespace.clone(),
            owner: pod.owner.clone(),
            pod: pod.name.clone(),
        };
        Self {
            rank,
            sentence,
            obstacle: Some(obstacle),
        }
    }
}

/// The sentence about the last answer to the eviction of a pod that is still there; none if the answer blocks nothing.
pub(super) fn of_answer(pod: &NodePod, answer: &Answer) -> Option<Blocker> {
    let lasting = |rank, kind, sentence| Blocker::lasting(rank, sentence, kind, pod);
    Some(match answer {
        Answer::SeveralBudgets => lasting(
            Rank::SeveralBudgets,
            ObstacleKind::SeveralBudgets,
            format!("{pod} matches several disruption budgets, so the API server refuses to evict it: leave it one"),
        ),
        Answer::BudgetBlocked(budget) => lasting(Rank::Budget, ObstacleKind::Budget, format!("{pod}: {budget}")),
        Answer::AdmissionDenied(denial) => lasting(Rank::Admission, ObstacleKind::Webhook, format!("{pod}: {denial}")),
        Answer::Forbidden(message) | Answer::Failed(message) => {
            lasting(Rank::Failed, ObstacleKind::EvictionFailed, format!("{pod}: {message}"))
        }
        Answer::Gone => lasting(
            Rank::Failed,
            ObstacleKind::EvictionFailed,
            format!("{pod}: the API server answers to its eviction that the pod is gone, and still shows the pod"),
        ),
        Answer::NamespaceEnding => Blocker::passing(Rank::Namespace, format!("{pod}: its namespace is being deleted")),
        Answer::BudgetUnprocessed => Blocker::passing(
            Rank::Passing,
            format!("{pod}: its disruption budget is still being processed"),
        ),
        Answer::Throttled(_) => Blocker::passing(Rank::Passing, format!("{pod}: the API server is busy")),
        Answer::Accepted | Answer::Conflict => return None,
    })
}

/// The sentence about a pod that waits for its budget and was not tried, since the budget shows no room.
pub(super) fn of_budget(pod: &NodePod, budget: &BudgetView) -> Blocker {
    let sentence = format!("{pod}: {budget} allows no eviction now ({})", budget.numbers());
    Blocker::lasting(Rank::Budget, sentence, ObstacleKind::Budget, pod)
}

/// The sentence about pods that wait until the budgets of the node have let a pod go.
pub(super) fn of_free(pods: usize) -> Blocker {
    let sentence =
        format!("{pods} pods without a disruption budget wait until each budget of the node has let a pod go");
    Blocker::passing(Rank::Passing, sentence)
}

/// The sentence about pods that are deleted whatever their budgets say.
pub(super) fn of_overdue(pods: usize) -> Blocker {
    let sentence = format!(
        "{pods} pods are deleted whatever their budgets say: the time of the drain ends, and the policy of the node \
         demands that"
    );
    Blocker::passing(Rank::Overdue, sentence)
}

/// The sentences about pods that wait until those of earlier waves are gone, one for each wave.
pub(super) fn of_later_waves<'a>(pods: impl Iterator<Item = &'a NodePod>) -> impl Iterator<Item = Blocker> {
    let mut waves: BTreeMap<Wave, usize> = BTreeMap::new();
    for pod in pods {
        let count = waves.entry(pod.wave()).or_default();
        *count = count.saturating_add(1);
    }
    waves.into_iter().map(|(wave, pods)| {
        let kind = match wave {
            Wave::Ordinary => "",
            Wave::Critical => " of a priority class of the cluster itself",
            Wave::Own => " of Bellwether itself",
        };
        let sentence = format!("{pods} pods{kind} go later, once the pods before them are gone");
        Blocker::passing(Rank::Passing, sentence)
    })
}

/// The sentence about a pod whose StatefulSet lets a member go from another node now.
pub(super) fn of_no_turn(pod: &NodePod, reason: &str) -> Blocker {
    Blocker::passing(Rank::Passing, format!("{pod}: {reason}"))
}

/// The sentence about a pod that came back, and is evicted again after a wait.
pub(super) fn of_return(pod: &NodePod) -> Blocker {
    let owner = if pod.owner.is_empty() {
        "its creator"
    } else {
        &pod.owner
    };
    let sentence = format!(
        "{pod} came back: {owner} puts pods onto the cordoned node, by a toleration or by name; what comes back after \
         {ROUNDS_MAX} rounds of evictions stays"
    );
    Blocker::lasting(Rank::Returning, sentence, ObstacleKind::Returning, pod)
}

/// A terminating pod's sentence if the pod is stuck, and when that sentence changes next.
pub(super) fn of_terminating(pod: &NodePod, grace_ends_at: Timestamp, now: Timestamp) -> (Option<Blocker>, Timestamp) {
    let over = Duration::try_from(now.duration_since(grace_ends_at)).unwrap_or_default();
    if over < STUCK {
        return (None, after(grace_ends_at, STUCK));
    }
    let minutes = over.as_secs() / 60;
    let sentence = format!("{pod} does not end: {minutes} min over its grace; {}", why_stuck(pod));
    let changes_at = after(grace_ends_at, Duration::from_secs(60 * (minutes + 1)));
    let blocker = Blocker::lasting(Rank::Stuck, sentence, ObstacleKind::StuckPod, pod);
    (Some(blocker), changes_at)
}

/// What keeps the pod (D26).
fn why_stuck(pod: &NodePod) -> String {
    let facts = &pod.facts;
    let mut reasons = Vec::new();
    if !facts.running.is_empty() {
        reasons.push(format!(
            "not ended by the kubelet's report: container {} (its preStop hook, its process, or the kubelet itself)",
            listed(&facts.running)
        ));
    }
    if !facts.finalizers.is_empty() {
        reasons.push(format!("kept by finalizer {}", listed(&facts.finalizers)));
    }
    if !reasons.is_empty() {
        return reasons.join("; ");
    }
    if facts.claims.is_empty() {
        return "all its containers have ended, and the kubelet has not removed it".to_owned();
    }
    format!(
        "all its containers have ended, and the kubelet has not removed it: the volume of claim {} may not unmount",
        listed(&facts.claims)
    )
}

/// The sentence about pods that by their grace may take longer than the drain (D32).
pub(crate) fn of_long_graces(pods: &[NodePod], now: Timestamp, not_after: Timestamp) -> Option<String> {
    let is_longer = |pod: &&NodePod| match &pod.class {
        Class::Terminating { grace_ends_at } => *grace_ends_at > not_after,
        Class::Evictable { .. } => {
            let grace = pod.facts.grace;
            grace >= LONG_GRACE && now < not_after && after(now, grace) > not_after
        }
        Class::Stays(_) => false,
    };
    let mut names: Vec<String> = pods.iter().filter(is_longer).map(ToString::to_string).collect();
    if names.is_empty() {
        return None;
    }
    names.sort();
    Some(format!(
        "by its grace may end only after the drain's time is over at {not_after:.0}: {}",
        listed(&names)
    ))
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    let (named, more) = names.split_at(names.len().min(NAMES_MAX));
    let named = named.join(", ");
    match more.len() {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// One sentence for all pods that terminate in time, with a few of their names.
pub(super) fn of_all_terminating(terminating: &[(Timestamp, &NodePod)]) -> Option<Blocker> {
    let last = terminating.iter().map(|(grace_ends_at, _)| grace_ends_at).max()?;
    let mut names: Vec<String> = terminating.iter().map(|(_, pod)| pod.to_string()).collect();
    names.sort();
    let sentence = format!("ending, with time until {last:.0}: {}", listed(&names));
    Some(Blocker::passing(Rank::Terminating, sentence))
}

/// The most important obstacle that lasts beyond this drain, if there is one. Of several of one rank the first by
/// namespace and owner: the names of pods differ from drain to drain.
pub(super) fn obstacle(blockers: &[Blocker]) -> Option<Obstacle> {
    let lasting = blockers
        .iter()
        .filter_map(|blocker| Some((blocker.rank, blocker.obstacle.as_ref()?)));
    let first = lasting.min();
    first.map(|(_, obstacle)| obstacle.clone())
}

/// The most important sentences, in order.
pub(super) fn sentences(mut blockers: Vec<Blocker>) -> Vec<String> {
    blockers.sort();
    let more = blockers.len().saturating_sub(SENTENCES_MAX);
    blockers.truncate(SENTENCES_MAX);
    let mut sentences: Vec<String> = blockers.into_iter().map(|blocker| blocker.sentence).collect();
    if more > 0 {
        sentences.push(format!("and {more} more pods"));
    }
    sentences
}

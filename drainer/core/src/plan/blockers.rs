//! The text for operators about pods that block the drain, most important first.

use std::time::Duration;

use jiff::Timestamp;

use crate::answer::Answer;
use crate::backoff::after;
use crate::pod::NodePod;

/// A pod that is so long past its grace is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// How many sentences one list has: more would not fit on an operator's screen.
const SENTENCES_MAX: usize = 10;
/// How many pods that terminate in time are named.
const NAMES_MAX: usize = 3;

/// Rank of a sentence: the lowest comes first. Suspended evictions come before all others, pods that
/// terminate in time after all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Suspended,
    SeveralBudgets,
    Budget,
    Webhook,
    Stuck,
    Failed,
    Namespace,
    Passing,
    Terminating,
}

/// One sentence with its rank.
pub(super) type Blocker = (Rank, String);

/// The sentence about the last answer to the pod's eviction; none if the answer blocks nothing.
pub(super) fn of_answer(pod: &NodePod, answer: &Answer) -> Option<Blocker> {
    Some(match answer {
        Answer::SeveralBudgets => (
            Rank::SeveralBudgets,
            format!("{pod} matches several disruption budgets, so the API server refuses to evict it: leave it one"),
        ),
        Answer::BudgetBlocked(budget) => (Rank::Budget, format!("{pod}: {budget}")),
        Answer::WebhookDenied(webhook) => (Rank::Webhook, format!("{pod}: {webhook}")),
        Answer::Forbidden(message) | Answer::Failed(message) => (Rank::Failed, format!("{pod}: {message}")),
        Answer::NamespaceEnding => (Rank::Namespace, format!("{pod}: its namespace is being deleted")),
        Answer::BudgetUnprocessed => (
            Rank::Passing,
            format!("{pod}: its disruption budget is still being processed"),
        ),
        Answer::Throttled(_) => (Rank::Passing, format!("{pod}: the API server is busy")),
        Answer::Accepted | Answer::Gone | Answer::Conflict => return None,
    })
}

/// A terminating pod's sentence if the pod is stuck, and when that sentence changes next.
pub(super) fn of_terminating(pod: &NodePod, grace_ends_at: Timestamp, now: Timestamp) -> (Option<Blocker>, Timestamp) {
    let over = Duration::try_from(now.duration_since(grace_ends_at)).unwrap_or_default();
    if over < STUCK {
        return (None, after(grace_ends_at, STUCK));
    }
    let minutes = over.as_secs() / 60;
    let sentence =
        format!("{pod} does not end: {minutes} min over its grace (a finalizer, its preStop hook, or the kubelet)");
    let changes_at = after(grace_ends_at, Duration::from_secs(60 * (minutes + 1)));
    (Some((Rank::Stuck, sentence)), changes_at)
}

/// One sentence for all pods that terminate in time, with a few of their names.
pub(super) fn of_all_terminating(terminating: &[(Timestamp, &NodePod)]) -> Option<Blocker> {
    let last = terminating.iter().map(|(grace_ends_at, _)| grace_ends_at).max()?;
    let mut names: Vec<String> = terminating.iter().map(|(_, pod)| pod.to_string()).collect();
    names.sort();
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    let mut names = names.join(", ");
    if more > 0 {
        names = format!("{names} and {more} more");
    }
    Some((Rank::Terminating, format!("ending, with time until {last:.0}: {names}")))
}

/// The most important sentences, in order.
pub(super) fn sentences(mut blockers: Vec<Blocker>) -> Vec<String> {
    blockers.sort();
    let more = blockers.len().saturating_sub(SENTENCES_MAX);
    blockers.truncate(SENTENCES_MAX);
    let mut sentences: Vec<String> = blockers.into_iter().map(|(_, sentence)| sentence).collect();
    if more > 0 {
        sentences.push(format!("and {more} more pods"));
    }
    sentences
}

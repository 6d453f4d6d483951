//! What waits for reboots, by policy, as the scheduler's newest event states it: nodes that are held, and openings that are
//! too short.

use std::collections::BTreeMap;

use bellwether_proto::PolicyQueue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::news::News;
use crate::notification::Kind;

/// How long nodes do not fit into an opening before a message: the forecast changes with each node that is early or late.
pub(crate) const SHORT_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Why a policy may be worth a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Occasion {
    /// Names it: each gives one message.
    id: String,
    since: Timestamp,
    summary: String,
    detail: String,
}

/// A policy with nodes that need a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Queue {
    held: Occasion,
    short: Option<Occasion>,
}

/// All queues, as the newest event states them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Queues {
    /// When the stream took that event.
    newest: Option<Timestamp>,
    /// The policies by name; the empty one is of nodes without a policy.
    policies: BTreeMap<String, Queue>,
}

/// A message about a policy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OfPolicy<'a> {
    pub(crate) policy: &'a str,
    pub(crate) occasion: &'a str,
    pub(crate) due: Timestamp,
    pub(crate) news: News,
}

impl Queues {
    /// Takes in all queues as they are at this time; the stream took the event at `stored_at`. A late copy of an earlier event
    /// changes nothing. After `held_after` a node that needs a reboot is held.
    pub(crate) fn take(
        &mut self,
        queues: &[PolicyQueue],
        (at, stored_at): (Timestamp, Timestamp),
        held_after: SignedDuration,
    ) {
        if self.newest.is_some_and(|newest| stored_at <= newest) {
            return;
        }
        self.newest = Some(stored_at);
        let mut before = std::mem::take(&mut self.policies);
        for queue in queues {
            let known = before.remove(&queue.policy);
            let held = held(queue, known.as_ref().map(|known| &known.held), at, held_after);
            let short = short(queue, known.and_then(|known| known.short), at);
            self.policies.insert(queue.policy.clone(), Queue { held, short });
        }
    }

    /// The messages about policies, each with the time at which it is due.
    pub(crate) fn messages(&self, held_after: SignedDuration) -> impl Iterator<Item = OfPolicy<'_>> {
        self.policies.iter().flat_map(move |(policy, queue)| {
            let held = std::iter::once((Kind::NodesHeld, &queue.held, held_after));
            let short = queue.short.iter().map(|it| (Kind::WindowTooShort, it, SHORT_AFTER));
            held.chain(short).map(move |(kind, occasion, after)| OfPolicy {
                policy,
                occasion: &occasion.id,
                due: occasion.since.checked_add(after).unwrap_or(Timestamp::MAX),
                news: News {
                    kind,
                    summary: occasion.summary.clone(),
                    detail: occasion.detail.clone(),
                },
            })
        })
    }
}

/// One occasion lasts for as long as any node of the policy is held: in a long queue one node follows the other.
fn held(queue: &PolicyQueue, before: Option<&Occasion>, at: Timestamp, held_after: SignedDuration) -> Occasion {
    // A host's clock may be ahead.
    let oldest = queue.oldest_since.min(at);
    let is_held = |since: Timestamp| at.duration_since(since) >= held_after;
    let lasting = before.filter(|before| is_held(before.since) && is_held(oldest));
    let since = lasting.map_or(oldest, |before| before.since);
    let node = &queue.oldest_node;
    let (nodes, name) = (queue.nodes, named(queue));
    let reason = match (queue.code.as_str(), queue.message.as_str()) {
        ("", _) => "its attempt is in progress".to_owned(),
        (code, message) => format!("it waits ({code}): {message}"),
    };
    Occasion {
        id: format!("{}@{since}", queue.policy),
        since,
        summary: format!("{name}: {node} has needed a reboot since {oldest:.0}; nodes that need one: {nodes}"),
        detail: format!("{node}: {reason}"),
    }
}

/// One occasion is one opening; without any, it is the time for which none opens: a later such time is another message.
fn short(queue: &PolicyQueue, before: Option<Occasion>, at: Timestamp) -> Option<Occasion> {
    if queue.left_over == 0 {
        return None;
    }
    let (opening, id) = match queue.opening_ends_at {
        Some(ends_at) => {
            let id = format!("{}@{ends_at}", queue.policy);
            (format!("the opening until {ends_at:.0}"), id)
        }
        None => {
            let never = format!("{}@never@", queue.policy);
            let lasting = before.as_ref().filter(|before| before.id.starts_with(&never));
            let id = lasting.map_or_else(|| format!("{never}{at}"), |before| before.id.clone());
            ("any window, since none opens".to_owned(), id)
        }
    };
    let since = before
        .filter(|before| before.id == id)
        .map_or(at, |before| before.since);
    let mut names = queue.left_over_nodes.join(", ");
    let more = usize::try_from(queue.left_over).unwrap_or(usize::MAX);
    let more = more.saturating_sub(queue.left_over_nodes.len());
    if more > 0 {
        names.push_str(&format!(" and {more} more"));
    }
    Some(Occasion {
        id,
        since,
        summary: format!(
            "{}: nodes that do not fit into {opening}: {}",
            named(queue),
            queue.left_over
        ),
        detail: names,
    })
}

fn named(queue: &PolicyQueue) -> String {
    match queue.policy.as_str() {
        "" => "Nodes without a policy".to_owned(),
        policy => format!("Policy {policy}"),
    }
}

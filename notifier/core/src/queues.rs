//! What waits for reboots, by policy, as the scheduler's newest event states it: nodes that are held, and openings that are
//! too short.

use std::collections::BTreeMap;

use bellwether_proto::{self as proto, PolicyQueue, UndrainableNodes};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::news::News;
use crate::notification::Kind;

/// How long nodes do not fit into an opening before a message: the forecast changes with each node that is early or late.
pub(crate) const SHORT_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// How long the nodes that an owner's pods keep may be gone without a new message about the next ones: a drainer is asked about
/// one node after the other, and each answer counts for minutes.
const PAUSE_MAX: SignedDuration = SignedDuration::from_hours(1);

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

/// Nodes of a policy that pods of an owner's namespaces keep from being drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Undrainable {
    policy: String,
    /// Empty: the namespaces have none.
    owner: String,
    occasion: Occasion,
    /// Since when there are none any more.
    gone_since: Option<Timestamp>,
}

/// All queues, as the newest event states them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Queues {
    /// When the stream took that event.
    newest: Option<Timestamp>,
    /// The policies by name; the empty one is of nodes without a policy.
    policies: BTreeMap<String, Queue>,
    undrainable: Vec<Undrainable>,
}

/// A message about a policy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OfPolicy<'a> {
    pub(crate) policy: &'a str,
    /// Who has to hear of it; empty: no owner.
    pub(crate) owner: &'a str,
    pub(crate) occasion: &'a str,
    pub(crate) due: Timestamp,
    pub(crate) news: News,
}

impl Queues {
    /// Takes in all queues as they are at this time; the stream took the event at `stored_at`. A late copy of an earlier event
    /// changes nothing; the newest one counts again, since an earlier version may not have read all of it. After `held_after` a
    /// node that needs a reboot is held.
    pub(crate) fn take(
        &mut self,
        queues: &proto::Queues,
        (at, stored_at): (Timestamp, Timestamp),
        held_after: SignedDuration,
    ) {
        if self.newest.is_some_and(|newest| stored_at < newest) {
            return;
        }
        self.newest = Some(stored_at);
        let mut before = std::mem::take(&mut self.policies);
        for queue in &queues.policies {
            let known = before.remove(&queue.policy);
            let held = held(queue, known.as_ref().map(|known| &known.held), at, held_after);
            let short = short(queue, known.and_then(|known| known.short), at);
            self.policies.insert(queue.policy.clone(), Queue { held, short });
        }
        self.undrainable = undrainable(&queues.undrainable, std::mem::take(&mut self.undrainable), at);
    }

    /// The messages about policies, each with the time at which it is due: after `held_after` nodes are held, and after
    /// `blocked_after` those who answer for pods that keep nodes from being drained hear of that.
    pub(crate) fn messages(
        &self,
        held_after: SignedDuration,
        blocked_after: SignedDuration,
    ) -> impl Iterator<Item = OfPolicy<'_>> {
        let of_policies = self.policies.iter().flat_map(move |(policy, queue)| {
            let held = std::iter::once((Kind::NodesHeld, &queue.held, held_after));
            let short = queue.short.iter().map(|it| (Kind::WindowTooShort, it, SHORT_AFTER));
            held.chain(short)
                .map(move |(kind, occasion, after)| occasion.message(kind, after, (policy, "")))
        });
        let undrainable = self.undrainable.iter().filter(|it| it.gone_since.is_none());
        let undrainable = undrainable.map(move |it| {
            let of = (it.policy.as_str(), it.owner.as_str());
            it.occasion.message(Kind::NodesUndrainable, blocked_after, of)
        });
        of_policies.chain(undrainable)
    }
}

impl Occasion {
    fn message<'a>(&'a self, kind: Kind, after: SignedDuration, (policy, owner): (&'a str, &'a str)) -> OfPolicy<'a> {
        OfPolicy {
            policy,
            owner,
            occasion: &self.id,
            due: self.since.checked_add(after).unwrap_or(Timestamp::MAX),
            news: News {
                kind,
                summary: self.summary.clone(),
                detail: self.detail.clone(),
            },
        }
    }
}

/// One occasion lasts for as long as pods of the owner keep any node of the policy, with pauses; its time begins again after each.
fn undrainable(now: &[UndrainableNodes], before: Vec<Undrainable>, at: Timestamp) -> Vec<Undrainable> {
    let lasts = |it: &Undrainable| it.gone_since.is_none_or(|gone| at.duration_since(gone) <= PAUSE_MAX);
    let mut before: BTreeMap<(String, String), Undrainable> = before
        .into_iter()
        .filter(lasts)
        .map(|it| ((it.policy.clone(), it.owner.clone()), it))
        .collect();
    let mut all = Vec::new();
    for nodes in now {
        let UndrainableNodes { policy, owner, .. } = nodes;
        let known = before.remove(&(policy.clone(), owner.clone()));
        // The id of an owner in letters that any target takes: other characters would be alike in the id of a mail.
        let owner_id: String = owner.bytes().map(|byte| format!("{byte:02x}")).collect();
        let id = known.as_ref().map_or_else(
            || format!("{policy}@{owner_id}@{at}"),
            |known| known.occasion.id.clone(),
        );
        let lasting = known.filter(|known| known.gone_since.is_none());
        let of = match owner.as_str() {
            "" => String::new(),
            owner => format!(" of {owner}"),
        };
        all.push(Undrainable {
            policy: policy.clone(),
            owner: owner.clone(),
            occasion: Occasion {
                id,
                since: lasting.map_or(at, |known| known.occasion.since),
                summary: format!(
                    "{}: pods{of} keep nodes from being drained: {}",
                    named(policy),
                    nodes.nodes
                ),
                detail: format!("{}: {}", nodes.first_node, nodes.message),
            },
            gone_since: None,
        });
    }
    all.extend(before.into_values().map(|gone| Undrainable {
        gone_since: gone.gone_since.or(Some(at)),
        ..gone
    }));
    all
}

/// One occasion lasts for as long as any node of the policy is held: in a long queue one node follows the other.
fn held(queue: &PolicyQueue, before: Option<&Occasion>, at: Timestamp, held_after: SignedDuration) -> Occasion {
    // A host's clock may be ahead.
    let oldest = queue.oldest_since.min(at);
    let is_held = |since: Timestamp| at.duration_since(since) >= held_after;
    let lasting = before.filter(|before| is_held(before.since) && is_held(oldest));
    let since = lasting.map_or(oldest, |before| before.since);
    let node = &queue.oldest_node;
    let (nodes, name) = (queue.nodes, named(&queue.policy));
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
            named(&queue.policy),
            queue.left_over
        ),
        detail: names,
    })
}

fn named(policy: &str) -> String {
    match policy {
        "" => "Nodes without a policy".to_owned(),
        policy => format!("Policy {policy}"),
    }
}

//! Pods that come back: an owner puts a new pod onto the cordoned node after its old one was evicted there, since the
//! pod tolerates the cordon, or names the node itself.
//!
//! The first time this may be chance: a kube-scheduler that chose the node just before the cordon still binds its pod.
//! So all pods that came back are evicted again, in at most [`ROUNDS_MAX`] rounds for each owner, ever later. What
//! comes back after that would come back always: it stays, is counted and named, and the drain can end.
//!
//! The rounds are not stored. A drainer that continues a drain begins them again, so one drainer evicts a pod of
//! an owner at most once and [`ROUNDS_MAX`] times more, and drainers follow each other within one drain only as often
//! as one of them dies or stops.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_proto::ReturnedPods;
use jiff::Timestamp;

use crate::backoff::after;
use crate::pod::NodePod;

/// Waits between two rounds. The first round begins at once. Together they are longer than a kube-scheduler takes to
/// learn of the cordon, so that only what comes back by design is left after the last one.
const WAITS: [Duration; 2] = [Duration::from_secs(5), WAIT_MAX];
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Rounds of evictions for each owner.
pub(super) const ROUNDS_MAX: usize = WAITS.len() + 1;

/// The owner of a pod: its namespace, and its controller as `KIND/NAME`, or its own name if no controller owns the pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    namespace: String,
    name: String,
}

impl Owner {
    /// Pods of this owner that came back, for the report.
    pub(super) fn returned(&self, pods: u32) -> ReturnedPods {
        ReturnedPods {
            namespace: self.namespace.clone(),
            owner: self.name.clone(),
            pods,
        }
    }

    pub(super) fn of(pod: &NodePod) -> Self {
        let name = if pod.owner.is_empty() {
            format!("pod {}", pod.name)
        } else {
            pod.owner.clone()
        };
        Self {
            namespace: pod.namespace.clone(),
            name,
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in namespace {}", self.name, self.namespace)
    }
}

/// The rounds of one owner.
#[derive(Debug)]
struct Rounds {
    begun: usize,
    /// The newest round has evicted a pod, or none has begun yet. A round whose pods ended on their own shows nothing
    /// about the owner, so the next pods take its place.
    has_evicted: bool,
    next_at: Timestamp,
}

impl Rounds {
    /// The last round has evicted a pod: what comes back after that stays.
    fn are_over(&self) -> bool {
        self.begun >= ROUNDS_MAX && self.has_evicted
    }
}

/// The owners of which a pod was evicted in this drain.
#[derive(Debug, Default)]
pub(super) struct Returns {
    evicted: BTreeMap<Owner, Rounds>,
}

impl Returns {
    /// A pod of this owner was evicted; `is_return`: one that had come back.
    pub(super) fn evicted(&mut self, owner: &Owner, is_return: bool) {
        let first = Rounds {
            begun: 0,
            has_evicted: true,
            next_at: Timestamp::MIN,
        };
        let rounds = self.evicted.entry(owner.clone()).or_insert(first);
        rounds.has_evicted |= is_return;
    }

    /// True if a pod of this owner was evicted: a new one has come back.
    pub(super) fn is_return(&self, owner: &Owner) -> bool {
        self.evicted.contains_key(owner)
    }

    /// Begins the owner's next round if the round is due. True: begun.
    pub(super) fn begin_round(&mut self, now: Timestamp, owner: &Owner) -> bool {
        let Some(rounds) = self.evicted.get_mut(owner) else {
            return false;
        };
        // A wait that is longer than the longest was noted before the clock was set back: it is over.
        let is_due = rounds.next_at <= now || rounds.next_at > after(now, WAIT_MAX);
        if !is_due {
            return false;
        }
        if rounds.has_evicted {
            if rounds.are_over() {
                return false;
            }
            rounds.begun = rounds.begun.saturating_add(1);
            rounds.has_evicted = false;
        }
        // The wait before the next round, or before more pods take part in this one.
        let wait = WAITS.get(rounds.begun.saturating_sub(1)).copied().unwrap_or(WAIT_MAX);
        rounds.next_at = after(now, wait);
        true
    }

    /// When the owner's next round begins; none if the owner has had all its rounds, so that its pods stay.
    pub(super) fn next_round_at(&self, owner: &Owner) -> Option<Timestamp> {
        let rounds = self.evicted.get(owner)?;
        (!rounds.are_over()).then_some(rounds.next_at)
    }

    /// True if the pods of this owner that come back stay.
    pub(super) fn has_ended(&self, owner: &Owner) -> bool {
        self.evicted.get(owner).is_some_and(Rounds::are_over)
    }

    /// Forgets all owners: the node was schedulable, so any pod may have come for good reason.
    pub(super) fn forget(&mut self) {
        self.evicted.clear();
    }
}

/// The sentence about the pods that came back and stay, given with their numbers by owner; empty if there are none.
pub(super) fn sentence(staying: &BTreeMap<Owner, u32>) -> String {
    /// How many owners one sentence names.
    const NAMES_MAX: usize = 5;
    if staying.is_empty() {
        return String::new();
    }
    let mut owners: Vec<String> = staying
        .iter()
        .take(NAMES_MAX)
        .map(|(owner, pods)| format!("{pods} of {owner}"))
        .collect();
    let more = staying.len().saturating_sub(NAMES_MAX);
    if more > 0 {
        owners.push(format!("and those of {more} more owners"));
    }
    format!(
        "pods stay that came back to the cordoned node after {ROUNDS_MAX} rounds of evictions: {}",
        owners.join(", ")
    )
}

//! Whose turn it is among the pods that may be evicted: the budgets decide, by what the watch shows of them.
//!
//! A pod that asks a budget is tried while the budget shows room, and as many of its pods at once as it has room for; so a
//! blocked budget costs no request, and one that gets room is noticed at once. Since a watch may be late or wrong, one pod
//! of a budget without room is tried nevertheless, now and then.
//!
//! Pods that no budget keeps wait until each budget has let a pod go (D15): as long as a budget may keep the node, no
//! other pod is evicted for nothing. If a budget keeps the node to the end of the drain, they have not been touched.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_proto::BudgetNumbers;
use jiff::Timestamp;

use super::blockers::{self, Blocker};
use crate::answer::Answer;
use crate::backoff::after;
use crate::budget::{Asked, BudgetKey, BudgetView, Budgets, State};
use crate::pod::{Class, NodePod};

/// Between two tries of a budget that shows no room.
const PROBE: Duration = Duration::from_secs(30);

/// What a drain knows of the turns of each budget.
#[derive(Debug, Default)]
pub(super) struct Turns {
    of_budgets: BTreeMap<BudgetKey, Turn>,
}

/// The turn of one budget.
#[derive(Debug, Default)]
struct Turn {
    /// The API server has answered last about a pod of the budget.
    answered_at: Option<Timestamp>,
    /// The version of the budget whose pod the API server has refused last: the numbers of this version are used up.
    used_up: Option<String>,
    /// A version of the budget, and how many of its pods were evicted while the watch showed this version: the API server
    /// has counted them already.
    taken: (String, usize),
    /// A pod of the budget was evicted in this drain.
    has_let_go: bool,
}

impl Turn {
    /// How much of the room that this version of the budget shows is taken.
    fn taken_of(&self, version: &str) -> usize {
        if self.used_up.as_deref() == Some(version) {
            usize::MAX
        } else if self.taken.0 == version {
            self.taken.1
        } else {
            0
        }
    }
}

/// What an eviction asked for: the budget, in which version.
pub(super) type Ask = (BudgetKey, String);

/// A pod that may be evicted by all but its budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) pod: &'a NodePod,
    pub(super) tries: u32,
    /// When the pod may be tried again after its last answer.
    pub(super) next_try: Option<Timestamp>,
    pub(super) last: Option<&'a Answer>,
    /// The time of the drain ends, and the pod waits for no other one any more.
    pub(super) is_late: bool,
}

impl Waiting<'_> {
    fn is_due(&self, now: Timestamp) -> bool {
        self.next_try.is_none_or(|next| next <= now)
    }

    /// The last answer was about the budget, so that the next try depends on the budget alone.
    fn is_blocked_by_budget(&self) -> bool {
        self.last.is_some_and(Answer::is_of_budget)
    }
}

/// The pods whose turn it is, first those that ask a budget, and what follows for the others.
#[derive(Debug, Default)]
pub(super) struct Choice<'a> {
    pub(super) ready: Vec<(Waiting<'a>, Option<Ask>)>,
    pub(super) blocking: Vec<Blocker>,
    /// The pods that a budget keeps, by UID.
    pub(super) kept: BTreeMap<&'a str, Kept<'a>>,
    pub(super) look_again: Option<Timestamp>,
}

/// A pod that a budget keeps.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) pod: &'a NodePod,
    /// None: only the API server's answer names the budget, in prose.
    budget: Option<BudgetNumbers>,
}

impl Kept<'_> {
    /// The budget with its numbers. One that only an answer names has none, and no name.
    pub(super) fn numbers(&self) -> BudgetNumbers {
        let nameless = || BudgetNumbers {
            namespace: self.pod.namespace.clone(),
            ..BudgetNumbers::default()
        };
        self.budget.clone().unwrap_or_else(nameless)
    }
}

impl<'a> Choice<'a> {
    fn keep(&mut self, pod: &'a NodePod, budget: Option<&BudgetView>) {
        let budget = budget.map(BudgetView::status);
        self.kept.insert(&pod.uid, Kept { pod, budget });
    }

    fn look_again(&mut self, at: Timestamp) {
        self.look_again = Some(self.look_again.map_or(at, |earlier| earlier.min(at)));
    }
}

impl Turns {
    /// Chooses among pods that wait. `in_flight` are those whose eviction has no answer yet, `pods` all pods of the node.
    pub(super) fn choose<'a>(
        &self,
        now: Timestamp,
        waiting: &[Waiting<'a>],
        in_flight: &[Waiting<'a>],
        pods: &[NodePod],
        budgets: &Budgets,
    ) -> Choice<'a> {
        let mut choice = Choice::default();
        let mut of_budgets: BTreeMap<BudgetKey, OfBudget<'_, 'a>> = BTreeMap::new();
        let mut free = Vec::new();
        let mut may_be_kept = false;
        for waiting in waiting {
            match budgets.asked_by(waiting.pod) {
                Asked::Nothing => free.push(*waiting),
                Asked::Several(_) => {
                    may_be_kept = true;
                    choice.due(now, *waiting, None);
                }
                Asked::One(budget) => OfBudget::of(&mut of_budgets, budget).waiting.push(*waiting),
            }
        }
        for flying in in_flight {
            match budgets.asked_by(flying.pod) {
                Asked::Nothing => (),
                Asked::Several(_) => may_be_kept = true,
                Asked::One(budget) => OfBudget::of(&mut of_budgets, budget).flying.push(*flying),
            }
        }
        for (key, of) in of_budgets {
            let turn = self.of_budgets.get(&key);
            // An eviction that another drainer began counts too.
            let ends = |pod: &NodePod| matches!(pod.class, Class::Terminating { .. }) && of.budget.selects(pod);
            may_be_kept |= !turn.is_some_and(|turn| turn.has_let_go) && !pods.iter().any(ends);
            choice.of_budget(now, &key, of, turn);
        }
        let (go, wait): (Vec<_>, Vec<_>) = free.into_iter().partition(|free| free.is_late || !may_be_kept);
        if !wait.is_empty() {
            choice.blocking.push(blockers::of_free(wait.len()));
        }
        for waiting in go {
            // A budget that the watch does not show, or that is gone since.
            if let Some(answer) = waiting.last.filter(|_| waiting.is_blocked_by_budget()) {
                choice.blocking.extend(blockers::of_answer(waiting.pod, answer));
                choice.keep(waiting.pod, None);
            }
            choice.due(now, waiting, None);
        }
        choice
    }

    /// Takes in the answer to an eviction that asked a budget.
    pub(super) fn answered(&mut self, now: Timestamp, (key, version): Ask, answer: &Answer) {
        let turn = self.of_budgets.entry(key).or_default();
        turn.answered_at = Some(now);
        match answer {
            Answer::Accepted => {
                turn.has_let_go = true;
                let before = if turn.taken.0 == version { turn.taken.1 } else { 0 };
                turn.taken = (version, before.saturating_add(1));
            }
            Answer::BudgetBlocked(_) | Answer::BudgetUnprocessed => turn.used_up = Some(version),
            Answer::Gone
            | Answer::Conflict
            | Answer::SeveralBudgets
            | Answer::AdmissionDenied(_)
            | Answer::Throttled(_)
            | Answer::NamespaceEnding
            | Answer::Forbidden(_)
            | Answer::Failed(_) => (),
        }
    }
}

/// The pods that ask one budget.
struct OfBudget<'b, 'a> {
    budget: &'b BudgetView,
    waiting: Vec<Waiting<'a>>,
    /// Its pods whose eviction has no answer yet.
    flying: Vec<Waiting<'a>>,
}

impl<'b> OfBudget<'b, '_> {
    fn of<'m>(all: &'m mut BTreeMap<BudgetKey, Self>, budget: &'b BudgetView) -> &'m mut Self {
        all.entry(budget.key()).or_insert_with(|| Self {
            budget,
            waiting: Vec::new(),
            flying: Vec::new(),
        })
    }
}

impl<'a> Choice<'a> {
    /// The pods of one budget whose turn it is.
    fn of_budget(&mut self, now: Timestamp, key: &BudgetKey, of: OfBudget<'_, 'a>, turn: Option<&Turn>) {
        let OfBudget {
            budget,
            mut waiting,
            flying,
        } = of;
        let room = match budget.state() {
            State::Allows(allowed) => usize::try_from(*allowed).unwrap_or(usize::MAX),
            State::Exhausted | State::Never | State::Unprocessed | State::Broken(_) => 0,
        };
        let taken = turn.map_or(0, |turn| turn.taken_of(&budget.version));
        let room_left = room.saturating_sub(taken).saturating_sub(flying.len());
        let ask = || Some((key.clone(), budget.version.clone()));
        waiting.sort_by_key(|waiting| (waiting.tries, &waiting.pod.namespace, &waiting.pod.name));
        // A pod that waits after another answer does not occupy the room.
        let mut others = Vec::new();
        let mut offered = 0;
        for waiting in waiting {
            if offered < room_left && (waiting.is_blocked_by_budget() || waiting.is_due(now)) {
                self.ready.push((waiting, ask()));
                offered += 1;
            } else {
                others.push(waiting);
            }
        }
        let probe_at = turn.and_then(|turn| turn.answered_at).map(|at| after(at, PROBE));
        let mut tried = flying;
        match probe_at {
            _ if !tried.is_empty() || offered > 0 => (),
            Some(at) if at > now => self.look_again(at),
            Some(_) | None if others.is_empty() => (),
            Some(_) | None => {
                let first = others.remove(0);
                self.ready.push((first, ask()));
                tried.push(first);
            }
        }
        for waiting in &others {
            if !waiting.is_due(now) && !waiting.is_blocked_by_budget() {
                waiting.next_try.into_iter().for_each(|next| self.look_again(next));
            }
        }
        // The API server has the first word about a pod that is tried for the first time.
        tried.retain(Waiting::is_blocked_by_budget);
        for waiting in tried.iter().chain(&others) {
            match waiting.last {
                None | Some(Answer::BudgetBlocked(_) | Answer::BudgetUnprocessed) if room == 0 => {
                    self.blocking.push(blockers::of_budget(waiting.pod, budget));
                    self.keep(waiting.pod, Some(budget));
                }
                Some(answer @ Answer::BudgetBlocked(_)) => {
                    self.blocking.extend(blockers::of_answer(waiting.pod, answer));
                    self.keep(waiting.pod, Some(budget));
                }
                Some(_) | None => (),
            }
        }
    }

    /// A pod whose own wait decides.
    fn due(&mut self, now: Timestamp, waiting: Waiting<'a>, ask: Option<Ask>) {
        match waiting.next_try {
            Some(next) if !waiting.is_due(now) => self.look_again(next),
            Some(_) | None => self.ready.push((waiting, ask)),
        }
    }
}

//! One pod in the book of a drain.

use jiff::Timestamp;

use super::returns::Owner;
use super::turns::Ask;
use crate::answer::Answer;
use crate::stateful_set::SetTurn;

/// The evictions of one pod that has or had to go.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) owner: Owner,
    /// The owner put the pod onto the node after another pod of its had been evicted there.
    pub(super) is_return: bool,
    /// A pod that came back is evicted: it belongs to a round of its owner.
    pub(super) is_in_round: bool,
    /// What the eviction in flight asked for.
    pub(super) ask: Option<Ask>,
    /// The turn of its StatefulSet that the eviction in flight took.
    pub(super) turn: Option<SetTurn>,
    /// The drain of another node has the turn of its StatefulSet, for operators.
    pub(super) no_turn: Option<String>,
    pub(super) tries: u32,
    pub(super) next_try: Option<Timestamp>,
    pub(super) last: Option<Answer>,
    /// The pod is deleted, and not evicted any more: its name.
    pub(super) deleted: Option<String>,
    /// How often in a row the answer had this cause.
    pub(super) same_answers: u32,
    /// A consistent list has contained the pod after such an answer.
    pub(super) is_contradicted: bool,
}

impl Entry {
    pub(super) fn new(owner: Owner, is_return: bool) -> Self {
        Self {
            owner,
            is_return,
            is_in_round: false,
            ask: None,
            turn: None,
            no_turn: None,
            tries: 0,
            next_try: None,
            last: None,
            deleted: None,
            same_answers: 0,
            is_contradicted: false,
        }
    }

    /// A pod that came back and is not to be evicted, at least not before the next round.
    pub(super) fn is_held(&self) -> bool {
        self.is_return && !self.is_in_round
    }

    /// The pod, whose time to be evicted is over, may be deleted now: for the first time at once.
    pub(super) fn may_be_deleted(&self, now: Timestamp) -> bool {
        self.deleted.is_none() || self.next_try.is_none_or(|next| next <= now)
    }

    /// Why the pod waits for the turn of its StatefulSet, which another drain has.
    pub(super) fn no_turn(&self, now: Timestamp) -> Option<&str> {
        let reason = self.no_turn.as_deref()?;
        self.next_try.is_some_and(|next| next > now).then_some(reason)
    }

    /// How often in a row the answer was that the pod is gone.
    pub(super) fn gone_answers(&self) -> u32 {
        if self.last == Some(Answer::Gone) {
            self.same_answers
        } else {
            0
        }
    }

    /// The API server answered that the pod is gone, and the watch may only be late (D24). A wrong answer is believed
    /// once, until the next eviction is due or a list shows the pod.
    pub(super) fn is_gone(&self, now: Timestamp) -> bool {
        let is_first = self.gone_answers() == 1 && !self.is_contradicted;
        is_first && self.next_try.is_some_and(|next| next > now)
    }
}

//! The turns of StatefulSets, shared by all drains of this process.

use std::sync::{Arc, Mutex, PoisonError};

use bellwether_drainer_core::stateful_set::{SetTurn, SetTurns};
use bellwether_proto::NodeName;

/// The turns that drains of this process have taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<SetTurns>>);

impl Turns {
    /// Takes a turn for the drain of this node.
    ///
    /// # Errors
    /// The drain of another node has taken the turn. States which, for operators.
    pub(crate) fn take<'a>(&'a self, turn: SetTurn, node: &'a NodeName) -> Result<Taken<'a>, String> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.take(&turn, node.as_str())?;
        Ok(Taken {
            turns: self,
            turn,
            node,
            is_used: false,
        })
    }

    fn give_back(&self, turn: &SetTurn, node: &NodeName) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.give_back(turn, node.as_str());
    }
}

/// A turn that a drain has taken. Dropped, also with an eviction that is broken off, the turn is given back, unless the
/// member was evicted: then the set changes, and gives the next turn by that.
pub(crate) struct Taken<'a> {
    turns: &'a Turns,
    turn: SetTurn,
    node: &'a NodeName,
    is_used: bool,
}

impl Taken<'_> {
    /// The member was evicted.
    pub(crate) fn used(&mut self) {
        self.is_used = true;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            self.turns.give_back(&self.turn, self.node);
        }
    }
}

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
    pub(crate) fn take(&self, turn: &SetTurn, node: &NodeName) -> Result<(), String> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.take(turn, node.as_str())
    }

    /// Returns a turn without effect.
    pub(crate) fn give_back(&self, turn: &SetTurn, node: &NodeName) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.give_back(turn, node.as_str());
    }
}

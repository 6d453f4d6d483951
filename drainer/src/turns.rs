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

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_drainer_core::stateful_set::StatefulSetView;
    use k8s_openapi::api::apps::v1::StatefulSet;
    use serde_json::json;

    #[test]
    fn d35_a_turn_without_effect_is_given_back_also_by_an_eviction_that_is_broken_off() {
        let (turns, one, other) = (Turns::default(), node("n1"), node("n2"));
        let taken = turns.take(turn(), &one).unwrap();
        assert!(turns.take(turn(), &other).is_err(), "it is taken");
        drop(taken);
        let eviction = async {
            let _taken = turns.take(turn(), &other);
            std::future::pending::<()>().await;
        };
        let mut eviction = Box::pin(eviction);
        assert!(futures_util::FutureExt::now_or_never(eviction.as_mut()).is_none());
        assert!(turns.take(turn(), &one).is_err(), "its request is under way");
        drop(eviction);
        assert!(turns.take(turn(), &one).is_ok());
    }

    #[test]
    fn d35_a_turn_by_which_a_member_was_evicted_is_used_up() {
        let (turns, one, other) = (Turns::default(), node("n1"), node("n2"));
        let mut taken = turns.take(turn(), &one).unwrap();
        taken.used();
        drop(taken);
        let refused = turns.take(turn(), &other).err();
        let reason = "a member of StatefulSet shop/db is evicted from node n1 now";
        assert_eq!(refused.as_deref(), Some(reason));
    }

    fn turn() -> SetTurn {
        let set = json!({ "metadata": { "name": "db", "namespace": "shop", "resourceVersion": "7" } });
        let set: StatefulSet = serde_json::from_value(set).unwrap();
        let key = StatefulSetView::of(&set).unwrap().key().clone();
        SetTurn {
            key,
            version: "7".to_owned(),
        }
    }

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }
}

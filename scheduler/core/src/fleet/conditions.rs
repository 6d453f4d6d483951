//! The conditions of Node objects: which are to be written, and the requests for that.

use bellwether_proto::{NodeName, NodeUid};
use jiff::{SignedDuration, Timestamp};

use crate::condition::{ConditionChange, Conditions};
use crate::effect::Effect;
use crate::explain::{Stand, State};
use crate::fleet::Fleet;
use crate::fleet::differing::Urgency;
use crate::fleet::member::Member;
use crate::timers::{Clock, later};

/// A message alone is written no more often than this for each node, which is how often its kubelet writes the object anyway.
const MESSAGE_INTERVAL: SignedDuration = SignedDuration::from_mins(5);

impl Fleet {
    /// What has to change of the conditions of a node with this standing, with the UID of its object and how soon; none: the node
    /// is as wanted.
    pub(super) fn conditions_to_change(
        &self,
        member: &Member,
        stand: Option<&Stand>,
        clock: &Clock,
    ) -> Option<(NodeUid, Conditions, Urgency)> {
        let node = member.node.as_ref()?;
        let in_attempt = matches!(
            stand.map(|stand| stand.state),
            Some(State::InProgress(_) | State::Failed)
        );
        if !self.policy.node_conditions {
            let none = Conditions::default();
            none.diff_from(node)?;
            return Some((node.uid.clone(), none, Urgency::Usual));
        }
        let needed = member.observation().and_then(|observation| observation.reported_need());
        let wanted = Conditions::of(node, stand?, member.attempt.as_deref(), needed);
        let is_of_messages = wanted.diff_from(node)?.is_of_messages();
        let is_due = |at| clock.reached(later(at, MESSAGE_INTERVAL));
        let is_requested = self.conditions.requested(&node.name) == Some(&wanted);
        if is_of_messages && !is_requested && !member.conditions_at.is_none_or(is_due) {
            return None;
        }
        let urgency = match (in_attempt, is_of_messages) {
            (true, false) => Urgency::First,
            (false, false) => Urgency::Usual,
            (_, true) => Urgency::Last,
        };
        Some((node.uid.clone(), wanted, urgency))
    }

    /// Has ours removed from a node that leaves the view with them: its labels say now that it is to be left alone.
    pub(super) fn remove_conditions_of_node_that_leaves(&mut self, name: &NodeName, now: Timestamp) {
        let Some(node) = self.members.get(name).and_then(|member| member.node.as_ref()) else {
            return;
        };
        let none = Conditions::default();
        // Those that were requested may be on their way.
        if none.diff_from(node).is_some() || self.conditions.requested(name).is_some() {
            self.effects.push_back(Effect::SetConditions(Box::new(ConditionChange {
                node: name.clone(),
                node_uid: node.uid.clone(),
                at: now,
                conditions: none,
            })));
        }
    }

    /// Requests the changes that are due.
    pub(super) fn request_conditions(&mut self, now: Timestamp) {
        while let Some(due) = self.conditions.next(now) {
            if let Some(member) = self.members.get_mut(&due.node) {
                member.conditions_at = Some(now);
            }
            self.effects.push_back(Effect::SetConditions(Box::new(ConditionChange {
                node: due.node,
                node_uid: due.node_uid,
                at: now,
                conditions: due.change,
            })));
        }
    }
}

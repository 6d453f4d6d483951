//! The taint of nodes that wait for their reboot: which nodes have to carry it, and the commands to the drainers.

use bellwether_policy::{Governing, WaitingTaint};
use bellwether_proto::{NodeName, TaintNode};
use jiff::Timestamp;

use crate::effect::Effect;
use crate::explain::{Stand, State};
use crate::fleet::Fleet;
use crate::fleet::differing::{LASTS, Urgency};
use crate::fleet::member::Member;
use crate::observed::NodeView;
use crate::timers::later;

impl Fleet {
    /// Notes whether the node's taint is as wanted.
    pub(super) fn note_taint(&mut self, name: &NodeName, governing: &Governing, now: Timestamp) {
        let member = self.members.get(name);
        let change = member.and_then(|member| {
            let node = member.node.as_ref()?;
            let wanted = wanted(member, governing)?;
            (node.waits_for_reboot() != wanted).then_some((node.uid.clone(), wanted, Urgency::Usual))
        });
        self.taints.set(name, change, now);
    }

    /// Has the taint removed from a node that leaves the view with it: its labels say now that it is to be left alone.
    pub(super) fn untaint_node_that_leaves(&mut self, name: &NodeName, now: Timestamp) {
        let node = self.members.get(name).and_then(|member| member.node.as_ref());
        let may_be_tainted = |node: &&NodeView| node.waits_for_reboot() || self.taints.requested(name) == Some(&true);
        if let Some(node) = node.filter(may_be_tainted) {
            self.effects.push_back(Effect::TaintNode(TaintNode {
                node: name.clone(),
                node_uid: node.uid.clone(),
                present: false,
                not_after: later(now, LASTS),
            }));
        }
    }

    /// Sends the commands that are due.
    pub(super) fn command_taints(&mut self, now: Timestamp) {
        while let Some(due) = self.taints.next(now) {
            self.effects.push_back(Effect::TaintNode(TaintNode {
                node: due.node,
                node_uid: due.node_uid,
                present: due.change,
                not_after: due.not_after,
            }));
        }
    }
}

/// Whether the node has to carry the taint; none: the node stays as it is.
fn wanted(member: &Member, governing: &Governing) -> Option<bool> {
    let taint = governing.terms().map(|terms| terms.waiting_taint);
    if taint != Some(WaitingTaint::PreferNoSchedule) || member.observation()?.need_is_gone() {
        return Some(false);
    }
    let stand: &Stand = member.stand.as_ref()?;
    match stand.state {
        // The node starts in a moment if a drainer answers so.
        State::Waiting if member.drain_check.slot.asked_at.is_some() => None,
        State::Waiting => Some(!stand.reasons().any(|reason| reason.lasts())),
        State::Idle => Some(false),
        // A node without pods, or one of which nothing is known.
        State::InProgress(_) | State::Failed | State::Unknown => None,
    }
}

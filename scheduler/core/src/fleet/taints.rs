//! The taint of nodes that wait for their reboot: which nodes have to carry it, and the commands to the drainers.
//!
//! By the view of each node, and by no record: a node whose taint is not as wanted is commanded to be changed, again and
//! again, a few at a time. So a lost command, a late one or an operator who removes the taint needs no rule of its own.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_policy::{Governing, WaitingTaint};
use bellwether_proto::{NodeName, NodeUid, TaintNode};
use jiff::{SignedDuration, Timestamp};

use crate::effect::Effect;
use crate::explain::{Stand, State};
use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::observed::NodeView;
use crate::timers::later;

/// How many commands without an effect yet there are at most: as a window opens, thousands of nodes may begin to wait,
/// and a drain must not queue behind a command for each.
const UNDER_WAY_MAX: usize = 20;

/// After so long a command has no effect any more, and another one may be sent.
const LASTS: SignedDuration = SignedDuration::from_mins(1);

/// The nodes whose taint is not as wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitingTaints {
    /// By name: the change, and from when on it may be commanded.
    differing: BTreeMap<NodeName, (NodeUid, bool, Timestamp)>,
    /// The same by that instant. One in the future: a command is under way.
    queue: BTreeSet<(Timestamp, NodeName)>,
}

impl WaitingTaints {
    /// Notes that a node has to get the taint or lose it; none: the node is as wanted.
    fn set(&mut self, name: &NodeName, change: Option<(&NodeUid, bool)>) {
        let known = self.differing.get(name);
        if known.map(|(uid, present, _)| (uid, *present)) == change {
            return;
        }
        if let Some((_, _, from)) = self.differing.remove(name) {
            self.queue.remove(&(from, name.clone()));
        }
        if let Some((uid, present)) = change {
            self.differing
                .insert(name.clone(), (uid.clone(), present, Timestamp::MIN));
            self.queue.insert((Timestamp::MIN, name.clone()));
        }
    }

    /// The next command, unless enough are under way.
    fn next(&mut self, now: Timestamp) -> Option<TaintNode> {
        let under_way = self.queue.iter().rev().take_while(|(from, _)| *from > now).count();
        let is_due = self.queue.first().is_some_and(|(from, _)| *from <= now);
        if !is_due || under_way >= UNDER_WAY_MAX {
            return None;
        }
        let (_, name) = self.queue.pop_first()?;
        let (uid, present, at) = self.differing.get_mut(&name)?;
        *at = later(now, LASTS);
        let command = TaintNode {
            node: name.clone(),
            node_uid: uid.clone(),
            present: *present,
            not_after: *at,
        };
        self.queue.insert((*at, name));
        Some(command)
    }

    /// A command to set the taint may be under way.
    fn is_commanded(&self, name: &NodeName) -> bool {
        let known = self.differing.get(name);
        known.is_some_and(|(_, present, from)| *present && *from > Timestamp::MIN)
    }

    /// When the first command that was under way at this instant has no effect any more.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let under_way = self.queue.iter().rev().take_while(|(from, _)| *from > now);
        under_way.last().map(|(from, _)| *from)
    }

    /// Forgets the commands that are under way: the clock was set back.
    pub(super) fn forget_commands(&mut self) {
        self.queue = self
            .differing
            .keys()
            .map(|name| (Timestamp::MIN, name.clone()))
            .collect();
        self.differing
            .values_mut()
            .for_each(|(_, _, from)| *from = Timestamp::MIN);
    }
}

impl Fleet {
    /// Notes whether the node's taint is as wanted.
    pub(super) fn note_taint(&mut self, name: &NodeName, governing: &Governing) {
        let member = self.members.get(name);
        let change = member.and_then(|member| {
            let node = member.node.as_ref()?;
            let wanted = wanted(member, governing)?;
            (node.waits_for_reboot() != wanted).then_some((&node.uid, wanted))
        });
        self.taints.set(name, change);
    }

    /// Has the taint removed from a node that leaves the view with it: its labels say now that it is to be left alone.
    pub(super) fn untaint_node_that_leaves(&mut self, name: &NodeName, now: Timestamp) {
        let node = self.members.get(name).and_then(|member| member.node.as_ref());
        let may_be_tainted = |node: &&NodeView| node.waits_for_reboot() || self.taints.is_commanded(name);
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
        while let Some(command) = self.taints.next(now) {
            self.effects.push_back(Effect::TaintNode(command));
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

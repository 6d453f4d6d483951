//! Operators and autoscalers: cordons, uncordons, deleted and replaced nodes.

use crate::happening::Happening;
use crate::host::{NeedFile, Obeys, Power, Return};
use crate::moment::{MINUTE, SECOND, instant};
use crate::world::{World, tell};

impl World {
    /// `kubectl cordon`.
    pub(super) fn operator_cordons(&mut self, node: usize) -> bool {
        let is_open = self.cluster.nodes[node]
            .as_ref()
            .is_some_and(|object| !object.unschedulable && object.mark.is_none());
        if is_open {
            tell!(self, "operator cordons {}", self.names[node]);
            self.change_node(node, |object| object.unschedulable = true);
        }
        is_open
    }

    /// `kubectl uncordon` of a cordon that is not ours.
    pub(crate) fn uncordon_foreign(&mut self, node: usize) {
        if self.cluster.nodes[node]
            .as_ref()
            .is_some_and(|object| object.unschedulable && object.mark.is_none())
        {
            self.operator_changes(node, true, false);
        }
    }

    /// `kubectl uncordon`, `kubectl annotate` without the mark, or both.
    pub(super) fn operator_changes(&mut self, node: usize, uncordon: bool, strip: bool) {
        let Some(object) = &self.cluster.nodes[node] else {
            return;
        };
        if !(uncordon && object.unschedulable || strip && object.mark.is_some()) {
            return;
        }
        tell!(
            self,
            "operator changes {}: uncordon {uncordon}, strip the mark {strip}",
            self.names[node]
        );
        self.change_node(node, |object| {
            object.unschedulable &= !uncordon;
            if strip {
                object.mark = None;
            }
        });
        self.wants_pods(node);
    }

    /// The machine is taken away, and its Node object with it.
    pub(super) fn node_is_removed(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        host.is_gone = true;
        host.need = None;
        let life = host.life;
        self.delete_node(node);
        if self.hosts[node].power == Power::Up {
            self.host_goes_down(node, life);
        }
    }

    /// A machine under a name that another one had, or that had no Node object.
    pub(super) fn node_is_made(&mut self, node: usize, needs: bool) {
        let boot = self.next_boot();
        self.agents_end(node);
        let since = instant(self.now - 24 * 60 * MINUTE);
        self.needs_begun += 1;
        let id = self.needs_begun;
        let host = &mut self.hosts[node];
        host.life += 1;
        host.is_gone = false;
        host.power = Power::Up;
        host.boot = boot;
        host.obeys = Obeys::Promptly;
        host.returns = Return::Soon;
        host.need = needs.then_some(NeedFile { id, since });
        host.need_will_survive = false;
        let life = host.life;
        self.referee.host_booted(node);
        self.create_node(node);
        let (sentinel, rebooter) = (
            self.random.between(500, 30 * SECOND),
            self.random.between(500, 30 * SECOND),
        );
        self.enter(sentinel, Happening::SentinelStarts(node, life));
        self.enter(rebooter, Happening::RebooterStarts(node, life));
    }
}

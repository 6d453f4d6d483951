//! Hosts and kubelets: shutdown, boot, and the Node object's conditions.

use crate::happening::Happening;
use crate::host::{NeedFile, Obeys, Power, Return};
use crate::moment::{MINUTE, Ms, SECOND, instant, millis};
use crate::world::{World, tell};

impl World {
    /// A host is to go down in this time: by the call of its rebooter, or by another hand.
    pub(super) fn host_shuts_down_in(&mut self, node: usize, delay: Ms) {
        let life = self.hosts[node].life;
        self.enter(delay, Happening::HostGoesDown(node, life));
    }

    /// How long the shutdown after a call takes; none: the host ignores the call.
    pub(super) fn shutdown_time(&mut self, node: usize) -> Option<Ms> {
        let limit = millis(self.setup.policy.reboot_timeout);
        match self.hosts[node].obeys {
            Obeys::Promptly => Some(self.random.between(500, 20 * SECOND)),
            // Within the deadline for the boot: a later one is another fault, of which no record could know.
            Obeys::Slowly => Some(self.random.between(20 * SECOND, limit / 2)),
            Obeys::Never => None,
        }
    }

    pub(crate) fn host_goes_down(&mut self, node: usize, life: u32) {
        if self.hosts[node].life != life || self.hosts[node].power == Power::Down {
            return;
        }
        tell!(self, "{}: host goes down", self.names[node]);
        self.agents_end(node);
        let host = &mut self.hosts[node];
        host.life += 1;
        host.power = Power::Down;
        host.obeys = Obeys::Promptly;
        let (life, returns, is_gone) = (host.life, host.returns, host.is_gone);
        let unheard = self.random.between(5 * SECOND, 50 * SECOND);
        self.enter(unheard, Happening::NodeUnheard(node, life));
        if is_gone {
            return;
        }
        let timeout = millis(self.setup.policy.reboot_timeout);
        let up_in = match returns {
            Return::Never => return,
            Return::Late => self.random.between(timeout, timeout * 2),
            Return::Soon | Return::NotReady => self.random.between(5 * SECOND, 2 * MINUTE),
        };
        self.enter(up_in, Happening::HostComesUp(node, life));
    }

    /// The node controller has not heard of the kubelet for long.
    pub(crate) fn node_unheard(&mut self, node: usize, life: u32) {
        if self.hosts[node].life == life {
            self.set_ready(node, false);
        }
    }

    pub(crate) fn host_comes_up(&mut self, node: usize, life: u32) {
        if self.hosts[node].life != life || self.hosts[node].power == Power::Up {
            return;
        }
        let boot = self.next_boot();
        tell!(self, "{}: host comes up in {boot}", self.names[node]);
        let host = &mut self.hosts[node];
        host.life += 1;
        host.power = Power::Up;
        host.boot = boot;
        host.booted = self.now;
        let life = host.life;
        let survives = std::mem::take(&mut host.need_will_survive);
        let need = host.need.take().filter(|_| survives);
        if let Some(need) = need {
            // The file keeps its time, or gets an older one; or it is written during the boot.
            match self.random.between(0, 2) {
                0 => self.hosts[node].need = Some(need),
                1 => self.need_begins(node),
                _ => {
                    let since = instant(self.now - 48 * 60 * MINUTE);
                    self.hosts[node].need = Some(NeedFile { since, ..need });
                }
            }
        }
        self.referee.host_booted(node);
        let kubelet = self.random.between(500, 20 * SECOND);
        let sentinel = self.random.between(500, 40 * SECOND);
        let rebooter = self.random.between(500, 40 * SECOND);
        self.enter(kubelet, Happening::KubeletStarts(node, life));
        self.enter(sentinel, Happening::SentinelStarts(node, life));
        self.enter(rebooter, Happening::RebooterStarts(node, life));
    }

    /// The kubelet reports its boot, and is Ready then or later.
    pub(crate) fn kubelet_starts(&mut self, node: usize, life: u32) {
        if self.hosts[node].life != life || self.hosts[node].is_gone {
            return;
        }
        if self.cluster.nodes[node].is_none() {
            self.create_node(node);
            return;
        }
        let returns = std::mem::replace(&mut self.hosts[node].returns, Return::Soon);
        let boot = self.hosts[node].boot.clone();
        let pauses = returns == Return::NotReady || self.random.chance(400);
        let ready_since = instant(self.now + self.hosts[node].skew);
        self.change_node(node, |object| {
            object.boot = boot;
            if pauses {
                object.ready = false;
            } else if !object.ready {
                object.ready = true;
                object.ready_since = ready_since;
            }
        });
        if pauses {
            let verify = millis(self.setup.policy.verify_timeout);
            let delay = match returns {
                Return::NotReady => self.random.between(verify / 2, verify * 2),
                Return::Soon | Return::Late | Return::Never => self.random.between(SECOND, 30 * SECOND),
            };
            self.enter(delay, Happening::NodeReady(node, life, true));
        }
    }

    pub(crate) fn node_ready(&mut self, node: usize, life: u32, ready: bool) {
        if self.hosts[node].life == life && self.hosts[node].power == Power::Up {
            self.set_ready(node, ready);
        }
    }

    pub(super) fn set_ready(&mut self, node: usize, ready: bool) {
        let is = self.cluster.nodes[node].as_ref().map(|object| object.ready);
        if is != Some(!ready) {
            return;
        }
        let since = instant(self.now + self.hosts[node].skew);
        tell!(self, "{}: Ready is {ready}", self.names[node]);
        self.change_node(node, |object| {
            object.ready = ready;
            object.ready_since = since;
        });
        if ready {
            self.wants_pods(node);
        }
    }

    /// A need begins on a host, or is written again.
    pub(super) fn need_begins(&mut self, node: usize) {
        let since = instant(self.now + self.hosts[node].skew);
        // Written again, a file asks for another reboot: what it asked for before is not known any more.
        self.needs_begun += 1;
        let id = self.needs_begun;
        self.hosts[node].need = Some(NeedFile { id, since });
        tell!(self, "{}: the sentinel file is written", self.names[node]);
        self.sentinel_hinted(node);
    }
}

//! A pod of a DaemonSet on a node, as attempt records and readings have it.

use crate::wire;

/// A pod of a DaemonSet on a node. See [`wire::DaemonPod`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonPod {
    /// The DaemonSet, as `NAMESPACE/NAME`.
    pub daemon_set: String,
    /// The run of the pod's containers, for comparison alone.
    pub run: String,
    /// The pod is Ready.
    pub ready: bool,
}

impl DaemonPod {
    pub(crate) fn from_wire(wire: wire::DaemonPod) -> Self {
        let wire::DaemonPod { daemon_set, run, ready } = wire;
        Self { daemon_set, run, ready }
    }

    pub(crate) fn to_wire(&self) -> wire::DaemonPod {
        let Self { daemon_set, run, ready } = self.clone();
        wire::DaemonPod { daemon_set, run, ready }
    }
}

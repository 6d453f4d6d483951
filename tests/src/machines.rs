//! All simulated hosts of a rig, and how their nodes look.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};

use crate::host::Host;

/// The shape of a node beside its name.
#[derive(Clone, Debug, Default)]
pub struct NodeShape {
    /// The label `topology.kubernetes.io/zone`.
    pub zone: String,
    /// Whether it has the label and taint of the control plane.
    pub control_plane: bool,
}

/// A shared, growing list of hosts.
#[derive(Clone, Debug, Default)]
pub struct Machines(Arc<Mutex<Vec<Arc<Host>>>>);

impl Machines {
    /// Adds a host; it is looked after from now on.
    pub fn add(&self, host: Arc<Host>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(host);
    }

    /// All hosts, in the order in which they came.
    #[must_use]
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The host at this place, counted from zero.
    pub fn host(&self, index: usize) -> Result<Arc<Host>> {
        self.hosts()
            .get(index)
            .cloned()
            .with_context(|| format!("there is no host {index}"))
    }

    /// The host of this name.
    pub fn named(&self, name: &str) -> Result<Arc<Host>> {
        let host = self.hosts().into_iter().find(|host| host.name() == name);
        host.with_context(|| format!("there is no host {name}"))
    }

    /// Lets time pass on all of them. A host repeats a failed change of its disk.
    pub(crate) fn tick(&self) {
        for host in self.hosts() {
            host.tick().ok();
        }
    }
}

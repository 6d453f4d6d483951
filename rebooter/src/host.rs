//! Who we are: our node, and the boot of our host, read again each time that it matters.
//!
//! Read-only. A boot id that cannot be read is an error and never "the same as before".

use bellwether_chassis::{HostArgs, HostError};
use bellwether_proto::{BootId, NodeName};

/// The host of this process.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    node: NodeName,
    files: HostArgs,
}

impl Host {
    pub(crate) fn new(node: NodeName, files: HostArgs) -> Self {
        Self { node, files }
    }

    /// Its node.
    pub(crate) fn node(&self) -> &NodeName {
        &self.node
    }

    /// The boot that runs now. In a simulation, or after a checkpoint of this process, it may
    /// be another one than a moment ago.
    pub(crate) fn boot_id(&self) -> Result<BootId, HostError> {
        self.files.boot_id()
    }
}

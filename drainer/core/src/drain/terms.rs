//! The terms of a drain about volumes, which operators choose by policy.

use std::time::Duration;

/// How long a drain waits for volumes unless a policy states otherwise. Drivers detach within seconds; a cloud that is busy
/// takes a minute or two. After six minutes Kubernetes itself may detach by force (D37), and a reboot unmounts anyway.
const DETACH_WAIT: Duration = Duration::from_secs(120);

/// The terms of a drain about volumes, which operators choose by policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeTerms {
    /// How long the drain waits, once its pods are gone, until the node's volumes are detached. Zero: not at all.
    pub detach_wait: Duration,
}

impl Default for VolumeTerms {
    fn default() -> Self {
        Self {
            detach_wait: DETACH_WAIT,
        }
    }
}

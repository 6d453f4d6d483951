//! The terms of a drain that no policy has set.

use std::time::Duration;

use bellwether_proto::DrainTerms;

/// How long a drain waits for volumes unless a policy states otherwise. Drivers detach within seconds; a cloud that is busy
/// takes a minute or two. After six minutes Kubernetes itself may detach by force (D37), and a reboot unmounts anyway.
const DETACH_WAIT: Duration = Duration::from_secs(120);

/// How long the drain waits for volumes by these terms.
pub(crate) fn detach_wait(terms: &DrainTerms) -> Duration {
    terms.detach_wait.unwrap_or(DETACH_WAIT)
}

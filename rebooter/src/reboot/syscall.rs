//! Rebooting by the system call: the kernel stops at once, and no program is asked.
//!
//! The last step of an escalation only: files that are written at that moment are lost, beyond those that a sync saves. It
//! needs uid 0, the capability SYS_BOOT and the host's process namespace.

use std::path::Path;
use std::time::Duration;

use rustix::system::RebootCommand;
use rustix::thread::{CapabilitySet, capabilities};

use crate::error::{CallError, RebootError};
use crate::reboot::signal::is_systemd;

/// How long the sync may take: a file system that hangs must not keep the host from its reboot.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// In another process namespace the system call ends that namespace alone.
const FIRST_PROCESS: &str = "/proc/1/comm";

/// Whether the kernel would obey.
pub(crate) fn preflight() -> Result<(), RebootError> {
    is_systemd(Path::new(FIRST_PROCESS))?;
    let held = capabilities(None)
        .map(|sets| sets.effective)
        .unwrap_or(CapabilitySet::empty());
    if held.contains(CapabilitySet::SYS_BOOT) {
        Ok(())
    } else {
        Err(RebootError::NoCapability)
    }
}

/// Saves files, and reboots. It returns on an error only.
pub(crate) async fn reboot() -> Result<(), CallError> {
    preflight().map_err(CallError::NotArrived)?;
    let saving = tokio::task::spawn_blocking(rustix::fs::sync);
    if tokio::time::timeout(SYNC_TIMEOUT, saving).await.is_err() {
        tracing::warn!("Files are not saved within {SYNC_TIMEOUT:?}: rebooting all the same");
    }
    rustix::system::reboot(RebootCommand::Restart)
        .map_err(|source| CallError::NotArrived(RebootError::KernelDenied { source: source.into() }))
}

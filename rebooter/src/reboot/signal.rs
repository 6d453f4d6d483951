//! Rebooting by a signal to the host's first process: SIGRTMIN+5, at which systemd starts `reboot.target`.
//!
//! For hosts whose bus or logind does not obey. It needs uid 0 and the host's process namespace, and no capability. Neither
//! inhibitors nor the kubelet's graceful shutdown count: the drain has to be complete, as it is.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix_libc_wrappers::process::SignalExt as _;

use crate::error::{CallError, RebootError};

/// SIGRTMIN+5 by the numbers of the kernel and of systemd; libraries of C count SIGRTMIN differently.
const SIGRTMIN_5: i32 = 39;

/// The name of the first process in our own process namespace.
const FIRST_PROCESS: &str = "/proc/1/comm";

/// The first process of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstProcess;

impl FirstProcess {
    /// Whether the signal would be permitted, and reach a systemd.
    pub(crate) fn preflight(self) -> Result<(), RebootError> {
        is_systemd(Path::new(FIRST_PROCESS))?;
        test_kill_process(Pid::INIT).map_err(denied)
    }

    /// Sends the signal. An error means that it was not sent.
    pub(crate) fn reboot(self) -> Result<(), CallError> {
        let send = || {
            // Another first process would end by this signal, or ignore it.
            is_systemd(Path::new(FIRST_PROCESS))?;
            let signal = Signal::from_raw(SIGRTMIN_5)
                .ok_or(rustix::io::Errno::INVAL)
                .map_err(denied)?;
            kill_process(Pid::INIT, signal).map_err(denied)
        };
        send().map_err(CallError::NotArrived)
    }
}

/// The first process of our process namespace is that of a host: without hostPID it is the rebooter.
pub(crate) fn is_systemd(name: &Path) -> Result<(), RebootError> {
    let found = fs::read_to_string(name).unwrap_or_default();
    if found.trim() == "systemd" {
        return Ok(());
    }
    Err(RebootError::NotSystemd {
        found: found.trim().to_owned(),
    })
}

fn denied(source: rustix::io::Errno) -> RebootError {
    RebootError::KernelDenied { source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_process_that_is_no_systemd_is_no_host() {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("comm");
        for (comm, is_host) in [
            ("systemd\n", true),
            ("bellwether-reboo\n", false),
            ("init\n", false),
            ("", false),
        ] {
            fs::write(&name, comm).unwrap();
            assert_eq!(is_systemd(&name).is_ok(), is_host, "{comm:?}");
        }
        let error = is_systemd(Path::new("/nowhere/comm")).unwrap_err().to_string();
        assert!(error.contains("hostPID"), "{error}");
    }
}

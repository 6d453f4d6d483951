//! The probe of a host that runs for long.

use std::time::Duration;

use bellwether_chassis::HostArgs;
use bellwether_sentinel_core::{Finding, uptime};

use crate::error::ProbeError;
use crate::host::read_begin;

/// Longest `/proc/uptime`: two numbers.
const UPTIME_BYTES_MAX: u64 = 256;

#[derive(Debug)]
pub(crate) struct Uptime {
    host: HostArgs,
    older_than: Duration,
}

impl Uptime {
    pub(super) fn new(host: HostArgs, older_than: Duration) -> Self {
        Self { host, older_than }
    }

    pub(super) fn look(&self) -> Finding {
        let path = self.host.proc_root.join("uptime");
        match read_begin(&path, UPTIME_BYTES_MAX) {
            Ok(text) => uptime::finding(&text, self.older_than),
            Err(source) => ProbeError::Uptime { path, source }.finding(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_proc_that_cannot_be_read_is_a_problem_and_no_need() {
        let root = tempfile::tempdir().unwrap();
        let host = HostArgs {
            host_root: root.path().to_owned(),
            proc_root: root.path().to_owned(),
        };
        let probe = Uptime::new(host, Duration::from_secs(60));
        assert!(matches!(probe.look(), Finding::Unknown(_)));
        fs::write(root.path().join("uptime"), "59.00 1.00\n").unwrap();
        assert_eq!(probe.look(), Finding::NotRequired);
        fs::write(root.path().join("uptime"), "61.00 1.00\n").unwrap();
        assert!(matches!(probe.look(), Finding::Required(_)));
    }
}
